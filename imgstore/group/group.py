"""Several stores in step."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from imgstore.errors import ArgumentError, ChunkError, FrameIndexError
from imgstore.group.camera import Camera, Going, Image
from imgstore.group.clocks import Clock, as_clock, fit_clock
from imgstore.group.finding import camera_names, open_store
from imgstore.group.matching import Direction
from imgstore.group.stand_ins import StandIns
from imgstore.group.steps import NOT_THERE, Step, Steps
from imgstore.group.table import Align, Table, make_table
from imgstore.reading.left_out import LeftOut, OnError

if TYPE_CHECKING:
    import dask.array

__all__ = ["Missing", "StoreGroup"]

Missing = Literal["mask", "drop", "hold", "black"]
Path = str | os.PathLike[str]


class StoreGroup:
    """Stores in step: for each frame of a reference store, that of each other store which belongs to it.

    The stores may have different shapes, rates, formats and lengths. A frame is never given for another that is missing,
    unless that is asked for (``missing="hold"``).

    Parameters
    ----------
    stores : iterable of (ImgStore or path-like)
        Open for reading, or their directories, or videos and whatever else `imgstore.open` takes. Those that are given as
        paths are closed with the group.
    reference : int or None
        Whose frames are the steps: the place of a store among `stores`. None: the steps are all frame numbers that any store
        has, ascending; of several frames with the same number the first counts, whatever its time. (With
        ``align="number"`` alone, and without `direction` and `tolerance`.)
    align : {'number', 'time'}
        What frames of a step have in common. Of several with the same number, the one nearest in time belongs to it.
    direction : {'nearest', 'backward', 'forward'}
        The frame nearest in time, or the nearest of those that are not later, or of those that are not earlier.
    tolerance : float, optional
        Seconds by which a frame may be away from the step, itself included. Default with ``align="time"``: 0.75 of the
        usual interval of the store, 1.5 of it where `direction` is not ``"nearest"``: what is further away was taken in a
        gap. With ``align="number"``: none; or, where numbers start again, a quarter of the time in which they come round.
    offsets : sequence of (float or Clock), optional
        What each store's clock is ahead of the reference's: seconds, or a `Clock` with a drift, as `estimate_offsets`
        returns them.
    missing : {'mask', 'drop', 'hold', 'black'}
        What stands for a frame that is not there: None (in arrays, black, and not ``present``); or steps without a frame of
        each store are left out; or the store's frame before it again, black before its first; or a black image.
    on_error : {'warn', 'skip', 'raise'}
        What becomes of frames that are damaged: they are missing, with one warning for those in a row that names the store
        and the fault, or without a word; or an error.
    names : sequence of str, optional
        Of the stores; default their cameras' serials, or what tells their directories apart.

    Attributes
    ----------
    table : Table
        For each step the position in each store, and the time error. It holds the frames that there were when the group was
        made.

    Raises
    ------
    ArgumentError
        There are no stores, an argument cannot be used, or a store has no frame for any step.
    NotAStoreError, MetadataError, FormatError
        A path that cannot be opened.

    Examples
    --------
    >>> group = StoreGroup(["left", "right"], align="time")  # doctest: +SKIP
    >>> for step in group:  # doctest: +SKIP
    ...     left, right = step.images
    """

    def __init__(
        self,
        stores: Iterable[Any],
        *,
        reference: int | None = 0,
        align: Align = "number",
        direction: Direction = "nearest",
        tolerance: float | None = None,
        offsets: Sequence[float | Clock] | None = None,
        missing: Missing = "mask",
        on_error: OnError = "warn",
        names: Sequence[str] | None = None,
    ):
        _check("align", align, ("number", "time"))
        _check("direction", direction, ("nearest", "backward", "forward"))
        _check("missing", missing, ("mask", "drop", "hold", "black"))
        LeftOut("", on_error)
        if tolerance is not None and not tolerance >= 0:
            raise ArgumentError(f"tolerance must be seconds, 0 or more, not {tolerance!r}")
        if reference is None and (align != "number" or direction != "nearest" or tolerance is not None):
            raise ArgumentError("without a reference store frames are matched by number alone, whatever their times")
        if isinstance(stores, (str, os.PathLike)):
            raise ArgumentError("give a sequence of stores; imgstore.open_group finds those of a directory")
        given = list(stores)
        if not given:
            raise ArgumentError("there are no stores to go through in step")
        if reference is not None and not -len(given) <= reference < len(given):
            raise ArgumentError(f"reference must be the place of one of the {len(given)} stores, not {reference!r}")
        for what, values in (("offsets", offsets), ("names", names)):
            if values is not None and len(values) != len(given):
                raise ArgumentError(f"{what}: {len(values)} for {len(given)} stores")
        clocks = [as_clock(offset) for offset in offsets] if offsets is not None else [Clock()] * len(given)
        self._arguments = {
            "reference": reference, "align": align, "direction": direction, "tolerance": tolerance, "offsets": clocks,
            "missing": missing, "on_error": on_error, "names": names,
        }  # fmt: skip
        self._missing, self._on_error = missing, on_error
        self._reference = None if reference is None else reference % len(given)
        with contextlib.ExitStack() as opened:
            self.stores: tuple[Any, ...] = tuple(
                opened.enter_context(open_store(store)) if isinstance(store, (str, os.PathLike)) else store
                for store in given
            )
            self.names: tuple[str, ...] = tuple(names) if names is not None else camera_names(self.stores)
            self._cameras = [Camera(*each) for each in zip(self.stores, self.names, clocks, strict=True)]
            table = make_table(
                self._cameras, reference=self._reference, align=align, direction=direction, tolerance=tolerance
            )
            if missing == "drop":
                table = Table(table.columns[:, (table.columns >= 0).all(axis=0)], self._cameras, self._reference)
            self.table: Table = table
            self._opened = opened.pop_all()

    # -- what it is ----------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self.table)

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        return f"<StoreGroup of {', '.join(self.names)}: {len(self)} steps>"

    @property
    def fps(self) -> float:
        """Steps per second: the rate of the reference store, or of the first where there is none; NaN where unknown."""
        return float(self.stores[self._reference or 0].fps)

    def close(self) -> None:
        """Close the stores that were given as paths."""
        self._opened.close()

    def __enter__(self) -> StoreGroup:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        """A pickled group opens its stores again, in whatever process."""
        return _again, (self.stores, self._arguments)

    def open_again(self, *, threads: int | None = None, cache_size: int | None = None) -> StoreGroup:
        """Return a group of the same steps over stores that are opened once more, which are closed with it.

        Parameters
        ----------
        threads, cache_size : int, optional
            As in `imgstore.open`; default as the stores were opened.
        """
        group = StoreGroup.__new__(StoreGroup)
        group.__dict__.update(self.__dict__)
        with contextlib.ExitStack() as opened:
            group.stores = tuple(
                opened.enter_context(store.open_again(threads=threads, cache_size=cache_size)) for store in self.stores
            )
            group._cameras = [replace(camera, store=own) for camera, own in zip(self._cameras, group.stores, strict=True)]
            group.table = Table(self.table.columns, group._cameras, self._reference)
            group._opened = opened.pop_all()
        return group

    def estimate_offsets(self) -> list[Clock]:
        """Estimate the clocks of the stores, offset and drift, from frames with the same numbers.

        Returns
        -------
        list of Clock
            One per store, to be given as `offsets`. That of the reference (or of the first store) is exact.

        Raises
        ------
        ArgumentError
            A store has no number in common with the reference.
        """
        reference = self._reference or 0
        master = self._cameras[reference]
        bare = [Camera(camera.store, camera.name) for camera in self._cameras]
        bare[reference] = master
        if self._arguments["align"] == "number" and self._reference is not None:
            columns = self.table.columns
        else:
            columns = make_table(bare, reference=reference, align="number", direction="nearest", tolerance=None).columns
        steps = master.times()[columns[reference]]
        clocks = []
        for c, (camera, column) in enumerate(zip(bare, columns, strict=True)):
            at = np.flatnonzero(column >= 0)
            clocks.append(master.clock if c == reference else fit_clock(camera.times()[column[at]], steps[at]))
        return clocks

    # -- frames --------------------------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[Step]:
        """Go through all steps from the first; see `iter_images`."""
        return self.iter_images()

    def iter_images(self, start: int | None = None, stop: int | None = None, step: int | None = None) -> Iterator[Step]:
        """Go through steps, as a slice counts them; each store decodes ahead for itself.

        Moves the place where `get_next_image` of the stores goes on.

        Parameters
        ----------
        start, stop, step : int, optional
            As in a slice.

        Yields
        ------
        Step
            Steps without a frame of each store are left out where the group's `missing` is ``"drop"``.
        """
        steps = range(*slice(start, stop, step).indices(len(self)))
        return self._iterate(steps)

    def _iterate(self, steps: range) -> Iterator[Step]:
        going = [Going(camera.store) for camera in self._cameras]
        left_out = self._left_out()
        held = StandIns(self._cameras, self.table.columns)
        for index in steps:
            images: list[Image | None] = []
            numbers: list[int | None] = []
            times: list[float] = []
            for c, store in enumerate(going):
                position = int(self.table.columns[c, index])
                image, number, time = None, None, math.nan
                if position >= 0:
                    try:
                        image, number, time = store.read(position)
                    except ChunkError as error:
                        if self._on_error == "raise":
                            raise
                        left_out[c].add(self._cameras[c].frame(position)[0], error)
                    else:
                        left_out[c].tell(stacklevel=2)
                        held.note(c, position, image)
                if image is None and self._missing in ("hold", "black"):
                    image = held.before(c, index) if self._missing == "hold" else held.black(c)
                images.append(image)
                numbers.append(number)
                times.append(time)
            if self._missing != "drop" or None not in numbers:
                r = self._reference
                if r is not None and numbers[r] is not None:
                    moment = self._cameras[r].moment(times[r])
                else:
                    moment = self.table.time_of(index)
                yield Step(index, moment, tuple(images), tuple(numbers), tuple(times))
        for each in left_out:
            each.tell(stacklevel=2)

    def __getitem__(self, key: Any) -> Any:
        """Return the frames of a step, or of several.

        An integer gives a `Step`; a slice, a list or an array of integers, or a mask gives `Steps`, see `get_images`.

        Raises
        ------
        FrameIndexError
            A step that is not there; also an IndexError.
        ChunkError
            The step would be left out, as a frame of it is damaged and `missing` is ``"drop"``.
        """
        if isinstance(key, (slice, list, tuple)) or np.ndim(key):
            return self.get_images(key)
        index = int(self._indices([key])[0])
        steps = self.get_images([index])
        if not len(steps):
            raise ChunkError(f"step {index}: a frame is damaged, and steps without a frame of each store are left out")
        present = steps.present[0].tolist()
        shown = [there or self._missing != "mask" for there in present]
        return Step(
            index,
            float(steps.times[0]),
            tuple(images[0] if show else None for images, show in zip(steps.images, shown, strict=True)),
            tuple(int(n) if p else None for n, p in zip(steps.frame_numbers[0], present, strict=True)),
            tuple(steps.frame_times[0].tolist()),
        )

    def get_images(self, steps: Any) -> Steps:
        """Read the frames of many steps at once, each group of pictures of a video decoded once.

        Where `get_next_image` of the stores goes on is not changed.

        Parameters
        ----------
        steps : slice, sequence of int, or mask
            Which; negative ones count from the end.

        Returns
        -------
        Steps
            In the order asked for. Steps with a frame that is damaged are left out where `missing` is ``"drop"``.

        Raises
        ------
        FrameIndexError
            A step that is not there; also an IndexError.
        """
        indices = self._indices(steps)
        columns, held, left_out = self.table.columns, StandIns(self._cameras, self.table.columns), self._left_out()
        shape = (len(indices), len(self._cameras))
        present = np.zeros(shape, bool)
        numbers, times = np.full(shape, NOT_THERE, np.int64), np.full(shape, math.nan)
        images = []
        for c, camera in enumerate(self._cameras):
            positions = columns[c, indices]
            batch = np.zeros((len(indices), *held.black(c).shape), held.black(c).dtype)
            wanted = np.flatnonzero(positions >= 0)
            parts = [wanted] if len(wanted) else []
            while parts:
                part = parts.pop()
                try:
                    found, (numbers[part, c], times[part, c]) = camera.store.get_images(
                        frame_indices=positions[part].tolist()
                    )
                except ChunkError as error:
                    if self._on_error == "raise":
                        raise
                    if len(part) > 1:  # those that can be read: halves, until one is whole or a single frame
                        parts += [part[len(part) // 2 :], part[: len(part) // 2]]
                    else:
                        left_out[c].add(camera.frame(int(positions[part[0]]))[0], error)
                    continue
                if len(part) == len(indices):
                    batch = found
                else:
                    batch[part] = found
                present[part, c] = True
                left_out[c].tell(stacklevel=2)
            left_out[c].tell(stacklevel=2)
            if self._missing == "hold":
                for k in np.flatnonzero(~present[:, c]).tolist():
                    batch[k] = held.before(c, int(indices[k]))
            images.append(batch)
        moments = np.array([self.table.time_of(int(index)) for index in indices], np.float64)
        result = Steps(indices, moments, tuple(images), present, numbers, times)
        return (
            result.only(np.flatnonzero(present.all(axis=1)))
            if self._missing == "drop" and not present.all()
            else result
        )

    def to_dask(self, frames_per_block: int | None = None) -> tuple[dask.array.Array, ...]:
        """Return the frames as arrays of Dask's, one per store, all in step, which needs the extra ``dask``.

        Each task reads a block of one store's frames at once, from the store that it opens for itself.

        Parameters
        ----------
        frames_per_block : int, optional
            About how many; default as many as have 64 MB. All arrays have the same blocks, which end where the chunks of the
            reference do.

        Returns
        -------
        tuple of dask.array.Array
            Each ``(steps, h, w)`` or ``(steps, h, w, 3)``. Frames that are not there are black; where `missing` is ``"hold"``
            they are the store's frame before. So are damaged ones, unless `on_error` is ``"raise"``; with ``"warn"`` the
            worker's log says so. With ``"drop"`` damaged frames are an error, as an array cannot leave out steps any more.
        """
        from imgstore.bridges.dask import group_to_dask

        return group_to_dask(
            self.stores,
            self.table.columns,
            self._reference or 0,
            frames_per_block,
            hold=self._missing == "hold",
            on_error="raise" if self._missing == "drop" else self._on_error,
        )

    def _indices(self, steps: Any) -> npt.NDArray[np.intp]:
        count = len(self)
        if isinstance(steps, slice):
            return np.arange(*steps.indices(count), dtype=np.intp)
        wanted = np.asarray(steps)
        if wanted.dtype == bool:
            if wanted.shape != (count,):
                raise FrameIndexError(f"a mask must have one entry for each of the {count} steps")
            return np.flatnonzero(wanted)
        if wanted.size and not np.issubdtype(wanted.dtype, np.integer) or wanted.ndim != 1:
            raise ArgumentError(f"steps are chosen by whole numbers, a slice or a mask, not {steps!r}")
        outside = (wanted < -count) | (wanted >= count)
        if outside.any():
            raise FrameIndexError(f"there is no step {wanted[outside][0]}, there are {count}")
        return np.where(wanted < 0, wanted + count, wanted).astype(np.intp)

    def _left_out(self) -> list[LeftOut]:
        return [LeftOut(str(getattr(c.store, "filename", c.name)), self._on_error) for c in self._cameras]


def _check(name: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ArgumentError(f"{name} must be one of {', '.join(map(repr, allowed))}, not {value!r}")


def _again(stores: tuple[Any, ...], arguments: dict[str, Any]) -> StoreGroup:
    """Unpickle a group; its stores are its own from then on."""
    group = StoreGroup(stores, **arguments)
    for store in stores:
        group._opened.callback(store.close)
    return group

"""Stores of a group in step, as what new stores are made of: one of each, or one of all side by side."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from imgstore.errors import ArgumentError, ChunkError
from imgstore.group import StoreGroup
from imgstore.group.camera import Camera
from imgstore.group.stand_ins import StandIns
from imgstore.mapping.selection import Part, Selection
from imgstore.mapping.source import BEFORE_ALL, Frame, Records
from imgstore.mapping.source_frames import records_of_store
from imgstore.pixels.color import ensure_color

__all__ = ["InStep", "SideBySide", "in_step", "side_by_side"]

Image = npt.NDArray[Any]

_NOT_THERE = -1  # a position


def in_step(group: StoreGroup, wanted: range | None = None) -> list[InStep]:
    """Return what a store of each camera is made of.

    Their frames are those of the steps, with the steps' indices as numbers, and the times that the cameras' stores have. Where
    a store has no frame for a step there is none, or what the group's `missing` says, with the time of the step.

    Parameters
    ----------
    group : StoreGroup
        Of stores that are open for reading; it may be closed then.
    wanted : range, optional
        The steps of these frames of the reference store alone. Without a reference: these steps.

    Returns
    -------
    list of InStep
        One per store, some perhaps without frames.
    """
    return _in_step(group, wanted, group._missing)


def side_by_side(group: StoreGroup, wanted: range | None = None) -> SideBySide:
    """Return what a store of all cameras side by side is made of: a picture and the time of each step.

    Parameters
    ----------
    group, wanted
        See `in_step`. What is not there is black where the group's `missing` is ``"mask"``.

    Raises
    ------
    ArgumentError
        Pictures of different types cannot be joined.
    """
    cameras = _in_step(group, wanted, "black" if group._missing == "mask" else group._missing)
    moments = group.table.times[cameras[0].frame_numbers]
    return SideBySide(cameras, group.names, moments)


def _in_step(group: StoreGroup, wanted: range | None, missing: str) -> list[InStep]:
    columns, moments = group.table.columns, group.table.times
    place = np.arange(len(group)) if group._reference is None else columns[group._reference]
    if wanted is None:
        steps, end = np.arange(len(group)), len(group)
    else:
        steps = np.flatnonzero((place >= wanted.start) & (place < wanted.stop) & ((place - wanted.start) % wanted.step == 0))
        end = int(np.searchsorted(place, wanted.stop))
    rate = group.fps / (1 if wanted is None else wanted.step)
    found = []
    for store, column in zip(group.stores, columns, strict=True):
        own = steps if missing in ("hold", "black") else steps[column[steps] >= 0]
        times, there = moments[own], column[own] >= 0
        of_frames = store.frame_times[column[own[there]]]
        times[there] = np.where(np.isfinite(of_frames), of_frames, times[there])
        later = column[end:][column[end:] >= 0]
        part = replace(Selection.of(store).parts[0], fps=rate)
        found.append(InStep(part, column, own, times, missing, int(later[0]) if len(later) else store.frame_count))
    return found


class InStep:
    """Frames of a store for the steps of a group; a `imgstore.mapping.source.Source`.

    Parameters
    ----------
    part : Part
        The store.
    column : ndarray of integers
        For each step of the group the position of its frame in the store, -1 where there is none.
    steps : ndarray of integers, shape (n,)
        Which steps are wanted.
    times : ndarray of float64, shape (n,)
        Their times.
    missing : str
        What stands for a frame that is not there, as in `StoreGroup`.
    stop : int
        Position in the store behind the frames that belong to it: records from there on do not.
    gone : mapping of int to str, optional
        Positions of frames that are left out, and why.
    """

    def __init__(
        self,
        part: Part,
        column: npt.NDArray[Any],
        steps: npt.NDArray[Any],
        times: npt.NDArray[np.float64],
        missing: str,
        stop: int,
        gone: Mapping[int, str] | None = None,
    ):
        self._arguments = part, column, steps, times, missing, stop
        self._source = Selection([part])
        self._column, self._steps, self._stop, self._missing = column, steps, stop, missing
        self._positions = column[steps]
        self._gone = gone or {}
        self._kept: tuple[int, Image] | None = None
        self._stand_ins: StandIns | None = None
        self.frame_numbers: npt.NDArray[np.int64] = steps.astype(np.int64)
        self.frame_times = times

    def without(self, gone: Mapping[int, str]) -> InStep:
        """Return the same without some frames, by their positions; it is said why."""
        return InStep(*self._arguments, gone)

    @property
    def frame_count(self) -> int:
        """How many frames there are."""
        return len(self._steps)

    @property
    def filename(self) -> str:
        """The store's."""
        return self._source.filename

    @property
    def filenames(self) -> list[str]:
        """The store's."""
        return self._source.filenames

    @property
    def origin(self) -> list[str]:
        """The uuid of the recording."""
        return self._source.origin

    @property
    def fps(self) -> float:
        """Steps per second; NaN where it is not known."""
        return self._source.fps

    @property
    def user_metadata(self) -> dict[str, Any]:
        """The store's."""
        return self._source.user_metadata

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Of the store's frames."""
        return self._source.image_shape

    @property
    def image_dtype(self) -> np.dtype[Any]:
        """Of the store's frames."""
        return self._source.image_dtype

    def described(self) -> list[dict[str, Any]]:
        """Say what it is, in JSON, so that the same frames are known again."""
        arrays = self._column.astype(np.int64), self.frame_numbers, self.frame_times
        checksums = [zlib.crc32(array.tobytes()) for array in arrays]
        what = {"missing": self._missing, "steps": len(self._steps), "of": len(self._column), "checksums": checksums}
        return [{**each, "in step": what} for each in self._source.described()]

    def read(self, position: int) -> Frame:
        """Return a frame with its number and time.

        Raises
        ------
        ChunkError
            It cannot be read.
        """
        if position in self._gone:
            raise ChunkError(self._gone[position])
        where = int(self._positions[position])
        if where < 0:
            image = self._before(position)
        elif self._kept is not None and self._kept[0] == where:
            image = self._kept[1]
        else:
            image, _, _ = self._source.read(where)
        # a store of a lower rate has a frame for several steps, each of which whoever is given it may write into
        following = int(self._positions[position + 1]) if position + 1 < len(self._positions) else _NOT_THERE
        self._kept = (where, image.copy()) if where == following != _NOT_THERE else None
        if where >= 0 and following < 0 and self._missing == "hold":
            self._instead().note(0, where, image.copy())
        return image, int(self.frame_numbers[position]), float(self.frame_times[position])

    def stand_in(self, position: int) -> Frame | None:
        """Return what stands for a frame that cannot be read; None where nothing does, and it is left out."""
        if self._missing not in ("hold", "black"):
            return None
        return self._before(position), int(self.frame_numbers[position]), float(self.frame_times[position])

    def _before(self, position: int) -> Image:
        instead = self._instead()
        image = instead.before(0, int(self._steps[position])) if self._missing == "hold" else instead.black(0)
        return np.array(image)  # which whoever is given it may write into

    def _instead(self) -> StandIns:
        if self._stand_ins is None:
            self._stand_ins = StandIns([Camera(self._source.store(0))], self._column[np.newaxis])
        return self._stand_ins

    def records(self) -> dict[int, Records]:
        """Return the records of extra data that belong to frames, see `imgstore.mapping.source.Source`.

        Those beside a frame that is in no step go with the one before that is; of those before all the last one is kept, as it
        still held. Those beside a frame of several steps go with the first of these.
        """
        kept, first = np.unique(self._positions, return_index=True)
        kept, first = kept[kept >= 0], first[kept >= 0]
        found: dict[int, Records] = {}
        if not len(kept):
            return found
        before: Records = []
        for position, records in records_of_store(self._source.store(0)).items():
            if position < kept[0]:
                before = before + records if not kept[0] else records[-1:]
            elif position < self._stop:
                found.setdefault(int(first[np.searchsorted(kept, position, "right") - 1]), []).extend(records)
        if before:
            found[BEFORE_ALL] = before
        return found

    def close(self) -> None:
        """Close what is open."""
        self._stand_ins = None
        self._source.close()

    def __reduce__(self) -> tuple[Any, ...]:
        return InStep, (*self._arguments, self._gone)


class SideBySide:
    """Frames of several stores in step, joined; a `imgstore.mapping.source.Source`.

    Parameters
    ----------
    cameras : sequence of InStep
        Of the same steps, something standing for what is not there.
    names : sequence of str
        What the cameras are called.
    times : ndarray of float64, shape (n,)
        Of the steps.
    """

    def __init__(self, cameras: Sequence[InStep], names: Sequence[str], times: npt.NDArray[np.float64]):
        self._arguments = cameras, names, times
        self._cameras = [camera.without({}) for camera in cameras]  # opened for itself
        self._names = names
        self.frame_numbers = cameras[0].frame_numbers
        self.frame_times = times
        like = _join([np.empty(camera.image_shape, camera.image_dtype) for camera in cameras])
        self.image_shape: tuple[int, ...] = like.shape
        self.image_dtype: np.dtype[Any] = like.dtype

    @property
    def frame_count(self) -> int:
        """How many steps there are."""
        return len(self.frame_numbers)

    @property
    def filename(self) -> str:
        """What it is called in messages: the cameras' names."""
        return ", ".join(self._names)

    @property
    def filenames(self) -> list[str]:
        """The stores that are read."""
        return [name for camera in self._cameras for name in camera.filenames]

    @property
    def origin(self) -> list[str]:
        """The uuids of the recordings."""
        return [uuid for camera in self._cameras for uuid in camera.origin]

    @property
    def fps(self) -> float:
        """Steps per second; NaN where it is not known."""
        return self._cameras[0].fps

    @property
    def user_metadata(self) -> dict[str, Any]:
        """Who the cameras are, from left to right."""
        return {"cameras": list(self._names)}

    def described(self) -> list[dict[str, Any]]:
        """Say what it is, in JSON, so that the same frames are known again."""
        return [{"side by side": [what for camera in self._cameras for what in camera.described()]}]

    def read(self, position: int) -> Frame:
        """Return the frames of a step as one, with the step's index and time.

        Raises
        ------
        ChunkError
            One of them cannot be read.
        """
        return self._joined(position, [camera.read(position)[0] for camera in self._cameras])

    def stand_in(self, position: int) -> Frame | None:
        """Return a step with something in the place of what cannot be read; None where it is left out."""
        images = []
        for camera in self._cameras:
            try:
                image, _, _ = camera.read(position)
            except ChunkError:
                instead = camera.stand_in(position)
                if instead is None:
                    return None
                image = instead[0]
            images.append(image)
        return self._joined(position, images)

    def _joined(self, position: int, images: Sequence[Image]) -> Frame:
        return _join(images), int(self.frame_numbers[position]), float(self.frame_times[position])

    def records(self) -> dict[int, Records]:
        """Return the records of extra data of all cameras, see `InStep`; each is told apart by its ``camera``."""
        found: dict[int, Records] = {}
        for name, camera in zip(self._names, self._cameras, strict=True):
            for position, records in camera.records().items():
                found.setdefault(position, []).extend({"camera": name, **record} for record in records)
        return found

    def close(self) -> None:
        """Close what is open."""
        for camera in self._cameras:
            camera.close()

    def __reduce__(self) -> tuple[Any, ...]:
        return SideBySide, self._arguments


def _join(images: Sequence[Image]) -> Image:
    """Put pictures side by side, what is below those that are lower black.

    Raises
    ------
    ArgumentError
        They are of different types.
    """
    if len({image.dtype for image in images}) > 1:
        raise ArgumentError(
            f"pictures of {' and '.join(sorted({str(image.dtype) for image in images}))} cannot be put side by side"
        )
    if len({image.ndim for image in images}) > 1:
        images = [ensure_color(image) for image in images]
    height = max(image.shape[0] for image in images)
    return np.concatenate([np.pad(p, [(0, height - p.shape[0]), *[(0, 0)] * (p.ndim - 1)]) for p in images], axis=1)

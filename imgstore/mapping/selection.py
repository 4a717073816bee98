"""Frames of one or several stores in a row, all of them or some: what a new store is made of."""

from __future__ import annotations

import math
import os
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from imgstore.errors import ArgumentError
from imgstore.mapping.recipe import Recipe
from imgstore.mapping.source import Frame, Records
from imgstore.mapping.source_frames import records_of_store
from imgstore.plain.options import PlainOptions
from imgstore.plain.times import given_times

__all__ = ["Part", "Selection"]

_MOST_OPEN = 4  # stores
_USUAL_RATE = 25.0  # of sources that tell none


@dataclass(frozen=True)
class Part:
    """Frames of one store.

    Attributes
    ----------
    source : Recipe
        Opens the store.
    positions : range
        Of these frames in it. Its stop is where the part ends, which says which records belong to it.
    filename : str
        What the store is called in messages.
    uuid : str or None
        Of the recording; None of plain files, which have none.
    what : dict
        What makes the store known again, in JSON.
    shape, dtype
        Of its frames.
    fps : float
        Of the store; NaN where unknown.
    metadata : dict
        The user's.
    chunks : tuple of (int, int)
        Position of the first frame of each chunk, and how many it has.
    number_shift, time_shift
        What is added to the numbers and times of its frames, where they would not go on behind those before.
    times : ndarray or None
        Given in place of the store's, float64, one for each frame of the store.
    """

    source: Recipe
    positions: range
    filename: str
    uuid: str | None
    what: dict[str, Any]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fps: float
    metadata: dict[str, Any]
    chunks: tuple[tuple[int, int], ...]
    number_shift: int = 0
    time_shift: float = 0.0
    times: npt.NDArray[np.float64] | None = None

    def shifted(self, moment: float, store: Any, position: int) -> float:
        """Return a time in the store beside a frame as it is in what is made of it."""
        if self.times is None:
            return moment + self.time_shift
        return moment + float(self.times[position] - store.frame_times[position])


class Selection:
    """Frames of one or several stores in a row, all of them or some.

    ``Selection.of(store)`` has all of one, ``Selection.joined([...])`` several, one behind the other, and a slice has a part:
    ``selection[100:200:2]``. It holds no file open but those of the stores that are being read, is pickled as what opens them,
    and is closed when it is done with.

    Parameters
    ----------
    parts : iterable of Part
        In order.
    """

    def __init__(self, parts: Iterable[Part]):
        self.parts = tuple(parts)
        self._ends = np.cumsum([len(part.positions) for part in self.parts], dtype=np.int64).tolist()
        self._open: dict[int, Any] = {}
        self._arrays: tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]] | None = None

    @classmethod
    def of(cls, store: Any) -> Selection:
        """Return all frames of a store that is open for reading, and stays so or not."""
        plain = store._plain is not None
        count = store.frame_count
        part = Part(
            source=Recipe.of(store),
            positions=range(count),
            filename=store.filename,
            uuid=None if plain else store.uuid,
            what={
                "recording": store.uuid or store.full_path,
                "frames": count,
                "numbers": [store.frame_min, store.frame_max] if count else None,
                "times": [store.frame_time_min, store.frame_time_max] if count else None,
                "shown": repr(store._shown),
            },
            shape=store.image_shape,
            dtype=store.image_dtype,
            fps=store.fps,
            metadata=dict(store.user_metadata),
            chunks=tuple((file.position, file.frame_count) for file in store.chunk_files),
        )
        found = cls([part])
        found._arrays = store.frame_numbers, store.frame_times
        return found

    @classmethod
    def joined(cls, selections: Iterable[Selection]) -> Selection:
        """Return the frames of several, one behind the other.

        Numbers and times of each stay as they are where they go on behind all before, and are shifted as a whole where not: the
        first number is then the next one, and the first time that at which the last frame before has been shown.
        """
        parts: list[Part] = []
        arrays = []
        number = moment = None  # of the next frame, at least
        for selection in selections:
            numbers, times = selection.frame_numbers, selection.frame_times
            if not len(numbers):
                continue
            by_number = 0 if number is None else max(0, number - int(numbers.min()))
            first = float(times.min())
            by_time = 0.0 if moment is None or not first < moment else moment - first
            parts += [_shifted(part, by_number, by_time) for part in selection.parts]
            arrays.append((numbers + by_number, times + by_time))
            number = int(numbers.max()) + by_number + 1
            moment = float(times.max()) + by_time + 1 / _usual_rate(selection)
        found = cls(parts)
        if arrays:
            found._arrays = np.concatenate([a for a, _ in arrays]), np.concatenate([b for _, b in arrays])
        return found

    def timed(self, times: npt.ArrayLike | str | os.PathLike[str], column: str | int | None = None) -> Selection:
        """Return the same frames with other times.

        Parameters
        ----------
        times : array-like or path-like
            One for each frame, in seconds; or a CSV, npy or JSON file with them.
        column : str or int, optional
            Which one of the file.

        Raises
        ------
        ArgumentError
            There are more or fewer times, they cannot be read, or parts of stores are selected already.
        """
        if any(len(part.positions) != part.what["frames"] for part in self.parts):
            raise ArgumentError("times are given to whole sources, before a part of them is selected")
        folder = os.path.dirname(self.parts[0].filename) if self.parts else ""
        given = given_times(PlainOptions(times=times, column=column), self.frame_count, folder)
        each = np.split(given, self._ends[:-1])
        found = Selection(replace(p, times=t, time_shift=0.0) for p, t in zip(self.parts, each, strict=True))
        found._arrays = self.frame_numbers, given
        return found

    def __getitem__(self, wanted: slice) -> Selection:
        """Return some of them: a slice as of a list, forwards."""
        chosen = range(self.frame_count)[wanted]
        if chosen.step < 1:
            raise ArgumentError("frames are selected forwards")
        parts, begin = [], 0
        for part, end in zip(self.parts, self._ends, strict=True):
            first = max(chosen.start - begin, (chosen.start - begin) % chosen.step)
            rest = part.positions[first : max(first, min(end, chosen.stop) - begin) : chosen.step]
            if len(rest):
                within = range(rest.start, min(rest.stop, part.positions.stop), rest.step)
                parts.append(replace(part, positions=within))
            begin = end
        found = Selection(parts)
        found._arrays = self.frame_numbers[wanted], self.frame_times[wanted]
        return found

    def __len__(self) -> int:
        return self.frame_count

    @property
    def frame_count(self) -> int:
        """How many frames there are."""
        return int(self._ends[-1]) if self._ends else 0

    @property
    def frame_numbers(self) -> npt.NDArray[np.int64]:
        """Their numbers, int64 ``(n,)``."""
        return self._numbers_and_times()[0]

    @property
    def frame_times(self) -> npt.NDArray[np.float64]:
        """Their times in seconds, float64 ``(n,)``."""
        return self._numbers_and_times()[1]

    @property
    def filename(self) -> str:
        """What it is called in messages: the first store's name, and how many there are besides."""
        more = len({part.filename for part in self.parts}) - 1
        return (self.parts[0].filename if self.parts else "nothing") + (f" and {more} more" if more > 0 else "")

    @property
    def filenames(self) -> list[str]:
        """The stores and files that are read."""
        return [part.filename for part in self.parts]

    @property
    def origin(self) -> list[str]:
        """The uuids of the recordings."""
        return list(dict.fromkeys(part.uuid for part in self.parts if part.uuid is not None))

    @property
    def fps(self) -> float:
        """Frames per second, of those that are selected; NaN where it is not known, or not the same of all."""
        rates = {part.fps / part.positions.step if len(part.positions) > 1 else part.fps for part in self.parts}
        return rates.pop() if len(rates) == 1 else math.nan

    @property
    def user_metadata(self) -> dict[str, Any]:
        """What all stores have noted alike."""
        first, *others = [part.metadata for part in self.parts] or [{}]
        return {k: v for k, v in first.items() if all(k in other and repr(other[k]) == repr(v) for other in others)}

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Of the first store's frames."""
        return self.parts[0].shape

    @property
    def image_dtype(self) -> np.dtype[Any]:
        """Of the first store's frames."""
        return self.parts[0].dtype

    @property
    def created(self) -> Any:
        """Of the first store, as its `created`."""
        return self.store(0).created

    def described(self) -> list[dict[str, Any]]:
        """Say what it is, in JSON, so that the same frames are known again."""
        return [
            {
                **part.what,
                "positions": [part.positions.start, part.positions.stop, part.positions.step],
                "shifted": [part.number_shift, part.time_shift],
                "timed": None if part.times is None else [float(t) for t in (part.times[0], part.times[-1], part.times.sum())],
            }
            for part in self.parts
        ]

    def place(self, position: int) -> tuple[int, int]:
        """Return which part has a frame, and the frame's position in that part's store."""
        k = bisect_right(self._ends, position)
        part = self.parts[k]
        return k, part.positions[position - self._ends[k] + len(part.positions)]

    def begin(self, part: int) -> int:
        """Return at which position a part begins."""
        return int(self._ends[part - 1]) if part else 0

    def read(self, position: int) -> Frame:
        """Return a frame with its number and time.

        Raises
        ------
        ChunkError
            It cannot be read.
        """
        k, where = self.place(position)
        part = self.parts[k]
        img, (number, moment) = self.store(k).get_image(None, frame_index=where)
        moment = moment + part.time_shift if part.times is None else float(part.times[where])
        return img, number + part.number_shift, moment

    def stand_in(self, position: int) -> None:
        """Nothing stands for a frame that cannot be read."""

    def records(self) -> dict[int, Records]:
        """Return the records of extra data that belong to frames, see `imgstore.mapping.source.Source`.

        Records beside a frame that was not selected go with the one before that was; of those before a cut the last one is
        kept, as it still held.
        """
        found: dict[int, Records] = {}
        for k, part in enumerate(self.parts):
            wanted, begin = part.positions, self.begin(k)
            before: Records = []
            for position, records in records_of_store(self.store(k)).items():
                if position < wanted.start:
                    before = before + records if not wanted.start else records[-1:]
                elif position < wanted.stop:
                    for record in records:
                        if "frame_time" in record:
                            record["frame_time"] = part.shifted(record["frame_time"], self.store(k), position)
                    found.setdefault(begin + (position - wanted.start) // wanted.step, []).extend(records)
            if before:
                found[begin - 1] = found.get(begin - 1, []) + before
        return found

    def store(self, part: int) -> Any:
        """Return the store of a part, open for reading; a bounded number of them is."""
        store = self._open.pop(part, None)
        if store is None:
            recipe = self.parts[part].source
            store = recipe.again(*recipe.arguments)
            while len(self._open) >= _MOST_OPEN:
                self._open.pop(next(iter(self._open))).close()
        self._open[part] = store
        return store

    def close(self) -> None:
        """Close what is open."""
        while self._open:
            self._open.popitem()[1].close()

    def __enter__(self) -> Selection:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        return Selection, (self.parts,)

    def _numbers_and_times(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        if self._arrays is None:
            found = list(self._each_part())
            numbers = [np.empty(0, np.int64), *(n for n, _ in found)]
            self._arrays = np.concatenate(numbers), np.concatenate([np.empty(0), *(t for _, t in found)])
        return self._arrays

    def _each_part(self) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]]:
        for k, part in enumerate(self.parts):
            store, where = self.store(k), slice(part.positions.start, part.positions.stop, part.positions.step)
            times = store.frame_times + part.time_shift if part.times is None else part.times
            yield store.frame_numbers[where] + part.number_shift, times[where]


def _shifted(part: Part, by_number: int, by_time: float) -> Part:
    times = None if part.times is None else part.times + by_time
    return replace(
        part, number_shift=part.number_shift + by_number, time_shift=part.time_shift + by_time, times=times
    )


def _usual_rate(selection: Selection) -> float:
    """Return the rate of frames by which the last one's end is told."""
    fps = selection.fps
    if fps > 0:
        return fps
    steps = np.diff(selection.frame_times)
    steps = steps[steps > 0]
    return 1 / float(np.median(steps)) if len(steps) else _USUAL_RATE

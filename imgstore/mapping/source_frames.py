"""The frames of a source one after the other, those left out that cannot be read; and what was recorded beside each."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from imgstore.errors import ChunkError
from imgstore.mapping.left_out import LeftOut
from imgstore.mapping.selection import Selection

__all__ = ["BEFORE_ALL", "Records", "frames_between", "records_by_position"]

Records = list[dict[str, Any]]

BEFORE_ALL = -1  # a position
_OF_THE_FRAME = ("frame_index", "frame_number", "frame_time")  # what the copy notes by itself


def frames_between(
    source: Selection, begin: int, end: int, left_out: LeftOut
) -> Iterator[tuple[int, npt.NDArray[Any], int, float]]:
    """Read frames in order.

    Parameters
    ----------
    source : Selection
        What is read.
    begin, end : int
        Positions, as a slice counts them.
    left_out : LeftOut
        Where damaged frames are noted.

    Yields
    ------
    tuple
        ``(position, img, frame_number, frame_time)`` of each frame that can be read.
    """
    for position in range(begin, end):
        try:
            img, number, moment = source.read(position)
        except ChunkError as error:
            left_out.add(position, int(source.frame_numbers[position]), str(error))
            continue
        yield position, img, number, moment


def records_by_position(source: Selection) -> dict[int, Records]:
    """Return the records of extra data that belong to frames, by the frames' positions in the source.

    Those from before the first frame are at `BEFORE_ALL`. Records beside a frame that was not selected go with the one before
    that was; of those before a cut the last one is kept, as it still held. What a record says of its frame is left out, but for
    a ``frame_time`` that is not the frame's: of samples that were taken between frames.
    """
    found: dict[int, Records] = {}
    for k, part in enumerate(source.parts):
        wanted, begin = part.positions, source.begin(k)
        before: Records = []
        for position, records in _of_store(source.store(k)).items():
            if position < wanted.start:
                before = before + records if not wanted.start else records[-1:]
            elif position < wanted.stop:
                for record in records:
                    if "frame_time" in record:
                        record["frame_time"] = part.shifted(record["frame_time"], source.store(k), position)
                found.setdefault(begin + (position - wanted.start) // wanted.step, []).extend(records)
        if before:
            found[begin - 1] = found.get(begin - 1, []) + before
    return found


def _of_store(store: Any) -> dict[int, Records]:
    """Return the records of a store by position, in order."""
    found: dict[int, Records] = {}
    position, numbers, times = BEFORE_ALL, store.frame_numbers, store.frame_times
    for record in store.get_extra_records(ignore_corrupt_chunks=True):
        position = _position(record, numbers, times, position)
        own = {key: value for key, value in record.items() if key not in _OF_THE_FRAME}
        moment, number = record.get("frame_time"), record.get("frame_number")
        of_frame = position >= 0 and number == numbers[position]
        if of_frame and isinstance(moment, float) and math.isfinite(moment) and moment != times[position]:
            own["frame_time"] = moment
        found.setdefault(position, []).append(own)
    return dict(sorted(found.items()))


def _position(record: dict[str, Any], numbers: npt.NDArray[np.int64], times: npt.NDArray[np.float64], last: int) -> int:
    """Return the position of the frame beside which a record was added.

    It is the one that the record names, unless frames before it have been removed since; then it is found by its number.
    A record that names no frame of the store is kept with the one before it.
    """
    index, number, moment = (record.get(key) for key in _OF_THE_FRAME)
    if not isinstance(index, (int, float)) or not isinstance(number, (int, float)) or not math.isfinite(number):
        return last
    if 0 <= index < len(numbers) and (numbers[int(index)] == number or times[int(index)] == moment):
        return int(index)
    named = np.flatnonzero(numbers == number)
    if not len(named):
        return last
    if not isinstance(moment, (int, float)) or not math.isfinite(moment):
        return int(named[0])
    return int(named[np.argmin(np.abs(times[named] - moment))])

"""The frames of a source one after the other, those left out that cannot be read; and what was recorded beside a store's."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from imgstore.errors import ChunkError
from imgstore.mapping.left_out import LeftOut
from imgstore.mapping.source import BEFORE_ALL, Records, Source

__all__ = ["frames_between", "records_of_store"]

_OF_THE_FRAME = ("frame_index", "frame_number", "frame_time")  # what the copy notes by itself


def frames_between(
    source: Source, begin: int, end: int, left_out: LeftOut
) -> Iterator[tuple[int, npt.NDArray[Any], int, float]]:
    """Read frames in order.

    Parameters
    ----------
    source : Source
        What is read.
    begin, end : int
        Positions, as a slice counts them.
    left_out : LeftOut
        Where damaged frames are noted, also those that something stands for.

    Yields
    ------
    tuple
        ``(position, img, frame_number, frame_time)`` of each frame that can be read, or that something stands for.
    """
    for position in range(begin, end):
        try:
            img, number, moment = source.read(position)
        except ChunkError as error:
            instead = source.stand_in(position)
            note = left_out.add if instead is None else left_out.add_replaced
            note(position, int(source.frame_numbers[position]), str(error))
            if instead is None:
                continue
            img, number, moment = instead
        yield position, img, number, moment


def records_of_store(store: Any) -> dict[int, Records]:
    """Return the records of a store by position, in order; see `imgstore.mapping.source.Source.records`."""
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

"""A store as what `imgstore save` saves: frames, numbers, times, metadata, and records as they were added."""

from __future__ import annotations

import math
from collections.abc import Generator
from typing import Any

import numpy as np
import numpy.typing as npt

import imgstore
from imgstore.cli._source import LeftOut, Source, SourceFrame
from imgstore.errors import ChunkError

__all__ = ["open_store"]

Records = list[dict[str, Any]]

_OF_THE_FRAME = ("frame_index", "frame_number", "frame_time")  # what the copy notes by itself
_BEFORE_ALL = -1


def open_store(path: str) -> Source:
    """Open a store to be saved as another one."""
    store = imgstore.new_for_filename(path)
    rate = store.fps
    left_out = LeftOut()
    return Source(
        _frames(store, left_out),
        count=store.frame_count,
        fps=rate if math.isfinite(rate) else None,
        metadata=dict(store.user_metadata),
        left_out=left_out,
    )


def _frames(store: Any, left_out: LeftOut) -> Generator[SourceFrame, None, None]:
    with store:
        numbers, records = store.frame_numbers, _records_by_position(store)
        waiting: SourceFrame | None = None  # records of frames that are left out go to the one before
        earlier = records.get(_BEFORE_ALL, [])
        for position in range(store.frame_count):
            own = records.get(position, [])
            try:
                img, (number, moment) = store.get_image(None, frame_index=position)
            except ChunkError as error:
                left_out.add(position, int(numbers[position]), str(error))
                (earlier if waiting is None else waiting.records).extend(own)
                continue
            if waiting is not None:
                yield waiting
                earlier = []
            waiting = SourceFrame(img, number, moment, own, earlier)
        if waiting is not None:
            yield waiting


def _records_by_position(store: Any) -> dict[int, Records]:
    """Return the records of each frame, by its position in the store, and those from before the first."""
    found: dict[int, Records] = {}
    position, numbers, times = _BEFORE_ALL, store.frame_numbers, store.frame_times
    for record in store.get_extra_records(ignore_corrupt_chunks=True):
        position = _position(record, numbers, times, position)
        own = {key: value for key, value in record.items() if key not in _OF_THE_FRAME}
        found.setdefault(position, []).append(own)
    return found


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

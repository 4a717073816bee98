"""Stores, and what is opened like one, as what `imgstore save` saves: frames, numbers, times, records, metadata."""

from __future__ import annotations

import math
import os
from collections.abc import Generator
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

import imgstore
from imgstore.cli._source import LeftOut, Source, SourceFrame
from imgstore.errors import ArgumentError, ChunkError

__all__ = ["open_frames"]

Records = list[dict[str, Any]]

_OF_THE_FRAME = ("frame_index", "frame_number", "frame_time")  # what the copy notes by itself
_BEFORE_ALL = -1


def open_frames(path: str) -> Source:
    """Open a store, or what else `imgstore.open` takes, to be saved as a store."""
    is_store = imgstore.is_imgstore(path)
    store = imgstore.open(path) if is_store else _open_plain(path)
    rate = store.fps
    left_out = LeftOut()
    name = os.fsencode(os.path.basename(path)).decode("utf-8", "replace")  # as text, also where it is none
    return Source(
        _frames(store, left_out),
        count=store.frame_count,
        fps=rate if math.isfinite(rate) else None,
        metadata=dict(store.user_metadata) if is_store else {"source": name},
        left_out=left_out,
    )


def _open_plain(path: str) -> imgstore.ImgStore:
    """Open files with their times from their creation on, or by their own clocks where they do not note it."""
    starts: tuple[Literal["creation", "file"], ...] = ("creation", "file")
    for start in starts:
        try:
            return imgstore.open(path, start_time=start)
        except ArgumentError:
            continue
    return imgstore.open(path)


def _frames(store: imgstore.ImgStore, left_out: LeftOut) -> Generator[SourceFrame, None, None]:
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

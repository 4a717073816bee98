"""Stores, and what is opened like one, as what `imgstore save` saves: frames, numbers, times, records, metadata."""

from __future__ import annotations

import math
import os
from collections.abc import Generator
from typing import Any, Literal

import imgstore
from imgstore.cli._source import Source, SourceFrame
from imgstore.errors import ArgumentError
from imgstore.mapping import BEFORE_ALL, LeftOut, frames_between, records_by_position

__all__ = ["open_frames", "open_to_save"]


def open_to_save(path: str) -> tuple[imgstore.ImgStore, dict[str, Any]]:
    """Open a store, or what else `imgstore.open` takes; return it, and the metadata of a store that is made of it."""
    if imgstore.is_imgstore(path):
        store = imgstore.open(path)
        return store, dict(store.user_metadata)
    name = os.fsencode(os.path.basename(path)).decode("utf-8", "replace")  # as text, also where it is none
    return _open_plain(path), {"source": name}


def open_frames(path: str) -> Source:
    """Open what `open_to_save` takes, to be saved frame by frame."""
    store, metadata = open_to_save(path)
    rate = store.fps
    left_out = LeftOut()
    return Source(
        _frames(store, left_out),
        count=store.frame_count,
        fps=rate if math.isfinite(rate) else None,
        metadata=metadata,
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
        records = records_by_position(store)
        waiting: SourceFrame | None = None  # records of frames that are left out go to the one before
        earlier = records.get(BEFORE_ALL, [])
        behind = 0  # the first position whose records have not been given out
        for position, img, number, moment in frames_between(store, 0, store.frame_count, left_out):
            for missing in range(behind, position):
                (earlier if waiting is None else waiting.records).extend(records.get(missing, []))
            if waiting is not None:
                yield waiting
                earlier = []
            waiting = SourceFrame(img, number, moment, records.get(position, []), earlier)
            behind = position + 1
        if waiting is not None:
            for missing in range(behind, store.frame_count):
                waiting.records.extend(records.get(missing, []))
            yield waiting

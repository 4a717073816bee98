"""Chunks that are taken over as they are: nothing is decoded, nothing encoded again."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from imgstore.codec import ChunkCodec, FrameSpec
from imgstore.disk.atomic import make_directory, sync_directory, sync_file
from imgstore.disk.checksums import EXTRA_DATA_NAME, place_arrays
from imgstore.disk.chunk_index import read_all_arrays, write_chunk_index
from imgstore.disk.layout import chunk_base, chunk_path, has_index
from imgstore.disk.metadata import StoreMetadata, new_metadata, read_metadata
from imgstore.disk.store_arrays import store_arrays
from imgstore.errors import ArgumentError, FormatError
from imgstore.mapping.job import Task
from imgstore.mapping.selection import Selection
from imgstore.plugins import codec_for_format
from imgstore.writing.finished_video import examine_video, take_video

__all__ = ["Files", "describe_copy", "make_copy_tasks", "take_chunk"]

Files = Literal["copy", "hardlink", "link", "move"]
"""What becomes of the files: copied; given a second name, where the file system can; pointed to; or moved."""

# What videos' own formats are called in stores, where there is another name; "codec/container".
_CALLED = {"h264/mp4": "avc1/mp4", "mpeg4/mp4": "mp4v/mp4", "mpeg4/avi": "divx/avi"}
_OF_ALL = ("format", "imgshape", "imgdtype", "encoding")


def describe_copy(source: Selection, root: str, metadata: dict[str, Any] | None, fps: float | None) -> StoreMetadata:
    """Say what a store will be that takes over the chunks of others.

    Raises
    ------
    ArgumentError
        They do not go into one store, or not as they are; it is said which and why.
    """
    first: StoreMetadata | None = None
    for k, part in enumerate(source.parts):
        store = source.store(k)
        own = store._meta
        if part.positions != range(part.what["frames"]):
            raise ArgumentError(f"{part.filename}: only whole sources are taken over without encoding, not a part of one")
        if store._plain is not None:
            own = _as_of_a_store(part.filename, own, turned=store._shown.turn is not None)
        else:
            own = replace(own, format=store._entry.format.name)  # Motif notes the name of an encoder
        first = first or own
        for name in _OF_ALL:
            if (mine := getattr(own, name)) != (wanted := getattr(first, name)):
                raise ArgumentError(
                    f"{part.filename}: has another {name} ({mine}) than {source.parts[0].filename} ({wanted}), and one store"
                    " cannot hold both without encoding"
                )
    assert first is not None
    return new_metadata(
        root,
        format=first.format,
        extension=first.extension,
        imgshape=first.imgshape,
        imgdtype=first.imgdtype,
        chunksize=max(count for part in source.parts for _, count in part.chunks),
        encoding=first.encoding,
        fps=fps,
        user=metadata,
    )


def _as_of_a_store(filename: str, own: StoreMetadata, turned: bool) -> StoreMetadata:
    """Say what a store of a video would say of itself."""
    if own.extension is None:
        raise ArgumentError(f"{filename}: images are no chunk of a store, and have to be encoded")
    if turned:
        raise ArgumentError(f"{filename}: is shown turned, which stores do not do: it has to be encoded")
    name = own.format.replace("/mov", "/mp4")
    try:
        fmt = codec_for_format(_CALLED.get(name, name)).format
    except FormatError as error:
        raise ArgumentError(f"{filename}: no store holds {own.format} as it is: it has to be encoded") from error
    if fmt.dtypes is not None and str(own.imgdtype) not in fmt.dtypes:
        raise ArgumentError(f"{filename}: {fmt.name} in stores holds no samples of {own.imgdtype}: it has to be encoded")
    return replace(own, format=fmt.name, extension=fmt.extension)


def make_copy_tasks(source: Selection) -> list[Task]:
    """Return what is to be done: a chunk for each that is there."""
    tasks: list[Task] = []
    for k, part in enumerate(source.parts):
        for position, count in part.chunks:
            begin = source.begin(k) + position
            tasks.append(Task(len(tasks), begin, begin + count))
    return tasks


def take_chunk(source: Selection, task: Task, place: str, files: str) -> None:
    """Bring the files of a chunk to a place, and write their index there.

    Raises
    ------
    ArgumentError
        The chunk is not finished.
    ChunkError
        A video is not what it was taken for.
    StoreWriteError
        The operating system refused.
    """
    part, position = source.place(task.begin)
    store = source.store(part)
    found = next(file for file in store.chunk_files if file.position == position)
    where = slice(task.begin, task.end)
    numbers, times = source.frame_numbers[where], source.frame_times[where]
    metadata = read_metadata(place)
    of_store, copy = store_arrays(metadata.values), _HOW[files]
    if store._plain is not None:
        entry, extension = codec_for_format(metadata.format), metadata.extension
        assert isinstance(entry.codec, ChunkCodec) and extension is not None
        spec = FrameSpec(metadata.imgshape, metadata.imgdtype)
        beside: dict[str, Any] = {**examine_video(found.path, entry, spec, len(numbers)), **of_store}
        take_video(found.path, place, extension, task.chunk, numbers, times, beside, (), move=False, copy=copy)
        return
    base = chunk_base(store.filename, found.chunk, metadata.extension)
    if not has_index(store.filename, metadata.extension, found.chunk):
        raise ArgumentError(f"{found.path}: this chunk has no index of its own, as it was not finished; repair the store first")
    arrays = read_all_arrays(base)
    for name in ("frame_number", "frame_time", EXTRA_DATA_NAME):
        arrays.pop(name, None)
    beside = {k: v for k, v in arrays.items() if k not in of_store and np.asarray(v).dtype.kind != "O"}
    target = chunk_path(place, task.chunk, metadata.extension)
    if metadata.extension is not None:
        copy(found.path, target)
        sync_file(target)
    else:
        make_directory(target)
        index = os.path.basename(base)  # and what else stands beside it
        for name in sorted(os.listdir(found.path)):
            if not name.startswith((f"{index}.", ".")) and os.path.isfile(os.path.join(found.path, name)):
                copy(os.path.join(found.path, name), os.path.join(target, name))
                sync_file(os.path.join(target, name))
        sync_directory(target)
    there = chunk_base(place, task.chunk, metadata.extension)
    write_chunk_index(there, numbers, times, {**beside, **of_store, **place_arrays(place, task.chunk)})


def _hard_link(source: str, target: str) -> None:
    os.link(os.path.realpath(source), target)


def _hard_link_or_copy(source: str, target: str) -> None:
    try:
        _hard_link(source, target)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EPERM, errno.ENOTSUP, errno.EMLINK):
            raise
        shutil.copyfile(source, target)


def _link(source: str, target: str) -> None:
    os.symlink(os.path.realpath(source), target)


_HOW: dict[str, Callable[[str, str], object]] = {
    "copy": shutil.copyfile,
    "hardlink": _hard_link,
    "link": _link,
    # of a move the first half: the file is removed when the store is whole, and not before
    "move": _hard_link_or_copy,
}

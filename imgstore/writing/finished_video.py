"""A video that was finished elsewhere becomes a chunk."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from imgstore.beside.records import records_path, write_records
from imgstore.codec import ChunkCodec, FrameSpec
from imgstore.disk.atomic import as_write_error, sync_directory, sync_file, temporary_name
from imgstore.disk.checksums import checksum_arrays, frame_arrays, place_arrays, video_checksums
from imgstore.disk.chunk_index import write_chunk_index
from imgstore.disk.layout import chunk_base, chunk_path
from imgstore.errors import ChunkError, ImgStoreWarning
from imgstore.plugins import RegisteredCodec

__all__ = ["examine_video", "remove_original", "take_video"]


def examine_video(path: str, entry: RegisteredCodec, spec: FrameSpec, count: int) -> dict[str, npt.NDArray[Any]]:
    """Make sure that a video can be a chunk.

    Parameters
    ----------
    path : str
        The video.
    entry : RegisteredCodec
        The store's codec.
    spec : FrameSpec
        What the store's frames look like.
    count : int
        How many frames it must hold.

    Returns
    -------
    dict
        What the index of a chunk says of its frames.

    Raises
    ------
    ChunkError
        The file is no video, holds another number of frames, or others than the store's.
    """
    assert isinstance(entry.codec, ChunkCodec)
    try:
        reader = entry.codec.open_reader(path, entry.format, spec, {})
    except Exception as error:
        raise ChunkError(f"{path}: cannot be opened as a chunk: {error}") from error
    with contextlib.closing(reader):
        if reader.frame_count != count:
            raise ChunkError(f"{path}: holds {reader.frame_count} frames, but {count} frame numbers were given")
        try:
            for position in sorted({0, count - 1} if count else ()):
                reader.read(position)
        except Exception as error:
            raise ChunkError(f"{path}: its frames cannot be read as those of the store: {error}") from error
        hashes = reader.frame_checksums()
        size = os.path.getsize(path)
        return frame_arrays(hashes, reader.description if hashes else None, reader.kept_arrays(), size)


def take_video(
    path: str,
    root: str,
    extension: str,
    number: int,
    numbers: npt.NDArray[np.int64],
    times: npt.NDArray[np.float64],
    beside: Mapping[str, npt.NDArray[Any]],
    records: Sequence[str],
    *,
    move: bool,
    copy: Callable[[str, str], object] = shutil.copyfile,
) -> None:
    """Copy or move a video that `examine_video` has seen to where chunk `number` belongs, and write what is beside it.

    `beside` is what its index says besides numbers, times and the file's checksum; `records` are lines of extra data.
    What a link points to is copied, and both stay: it belongs to somebody. `copy` is how, it may make a link itself.

    Raises
    ------
    StoreWriteError
        The operating system refused. The video is where it was.
    """
    target, base = chunk_path(root, number, extension), chunk_base(root, number, extension)
    with contextlib.ExitStack() as undo:
        try:
            copied = _place(path, target, move, copy, undo)
            sync_file(target)
            if records:
                undo.callback(_remove, records_path(base))
                write_records(base, records)
            checksums = checksum_arrays(*video_checksums(target), records_path(base) if records else None)
            write_chunk_index(base, numbers, times, {**checksums, **place_arrays(root, number), **beside})
            sync_directory(root)
        except OSError as error:
            raise as_write_error(target, error) from error
        undo.pop_all()
    if move and copied:
        remove_original(path)


def _place(
    path: str, target: str, move: bool, copy: Callable[[str, str], object], undo: contextlib.ExitStack
) -> bool:
    """Bring a video to its place; return whether it was copied."""
    if os.path.lexists(target) and not (move and os.path.samefile(path, target)):
        raise OSError(errno.EEXIST, "there is a file already", target)
    if move and not os.path.islink(path):
        try:
            os.rename(path, target)
        except OSError as error:
            if error.errno != errno.EXDEV:  # another file system
                raise
        else:
            undo.callback(os.rename, target, path)
            return False
    temporary = temporary_name(target)
    undo.callback(_remove, str(temporary))
    copy(path, str(temporary))
    sync_file(str(temporary))
    undo.callback(_remove, target)
    os.rename(temporary, target)
    return True


def _remove(path: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)


def remove_original(path: str) -> None:
    """End the move of a video that had to be copied."""
    if os.path.islink(path):
        warnings.warn(
            f"{path}: is a link; the video has been copied into the store, and the link and what it points to stay",
            ImgStoreWarning,
            stacklevel=5,
        )
        return
    try:
        os.unlink(path)
    except OSError as error:
        warnings.warn(
            f"{path}: has been copied into the store, and cannot be removed: {error.strerror or error}",
            ImgStoreWarning,
            stacklevel=5,
        )

"""A video that was finished elsewhere becomes a chunk."""

from __future__ import annotations

import shutil

import numpy as np
import numpy.typing as npt

from imgstore.codec import ChunkCodec, FrameSpec
from imgstore.disk.atomic import as_write_error, sync_file
from imgstore.disk.checksums import checksum_arrays, frame_arrays, place_arrays, video_checksums
from imgstore.disk.chunk_index import write_chunk_index
from imgstore.disk.layout import chunk_base, chunk_path
from imgstore.errors import ChunkError
from imgstore.plugins import RegisteredCodec

__all__ = ["examine_video", "take_video"]


def examine_video(path: str, entry: RegisteredCodec, spec: FrameSpec, count: int) -> dict[str, npt.NDArray[np.uint64]]:
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
        What the index of a chunk says of its frames' checksums.

    Raises
    ------
    ChunkError
        The file is no video, or holds another number of frames.
    """
    assert isinstance(entry.codec, ChunkCodec)
    try:
        reader = entry.codec.open_reader(path, entry.format, spec, {})
    except Exception as error:
        raise ChunkError(f"{path}: cannot be opened as a chunk: {error}") from error
    try:
        if reader.frame_count != count:
            raise ChunkError(f"{path}: holds {reader.frame_count} frames, but {count} frame numbers were given")
        hashes = reader.frame_checksums()
        return frame_arrays(hashes, reader.description if hashes else None)
    finally:
        reader.close()


def take_video(
    path: str,
    root: str,
    extension: str,
    number: int,
    numbers: npt.NDArray[np.int64],
    times: npt.NDArray[np.float64],
    of_frames: dict[str, npt.NDArray[np.uint64]],
    *,
    move: bool,
) -> None:
    """Copy or move a video that `examine_video` has seen to where chunk `number` belongs, and write its index.

    Raises
    ------
    StoreWriteError
        The operating system refused.
    """
    target = chunk_path(root, number, extension)
    try:
        (shutil.move if move else shutil.copyfile)(path, target)
        sync_file(target)
        checksums = checksum_arrays(*video_checksums(target)) | of_frames | place_arrays(root, number)
        write_chunk_index(chunk_base(root, number, extension), numbers, times, checksums)
    except OSError as error:
        raise as_write_error(target, error) from error

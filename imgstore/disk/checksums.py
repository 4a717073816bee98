"""Checksums of what a chunk consists of, kept in its own index where imgstore 0.x does not look.

XXH3 (64 bits, https://github.com/Cyan4973/xxHash) runs at the speed of memory, so that it can be computed of every
frame that is written. It finds damage; it is no protection against intent.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xxhash

from imgstore.codec import Buffer
from imgstore.disk.kept_arrays import noted_arrays
from imgstore.disk.layout import METADATA_FILENAME

__all__ = ["checksum", "checksum_arrays", "file_checksum", "frame_arrays", "place_arrays", "video_checksums"]

SIZE_NAME = "_checksum_size"
HASH_NAME = "_checksum_xxh3_64"
EXTRA_DATA_NAME = "_checksum_extra_data"
METADATA_NAME = "_checksum_metadata"
CHUNK_NAME = "_checksum_chunk"
FRAME_NAME = "_checksum_frame_xxh3_64"  # of each frame's bytes in a video file, where the codec knows them
STREAM_NAME = "_checksum_stream"  # of what decoding them depends on
SINCE_REPAIR_NAME = "_checksum_since_repair"  # of what repair has found, which nothing tells to be what was written

# What to do about a checksum that is another one, said wherever one is found.
CHANGED_ON_PURPOSE = "if it was changed on purpose, `imgstore repair --accept-frames` takes it as it is"

_BLOCK = 2**20


def checksum(buffers: Sequence[Buffer]) -> int:
    """Return the XXH3-64 of some bytes that follow each other."""
    if len(buffers) == 1:
        return xxhash.xxh3_64_intdigest(buffers[0])  # type: ignore[arg-type]  # arrays are buffers
    state = xxhash.xxh3_64()
    for buffer in buffers:
        state.update(buffer)  # type: ignore[arg-type]
    return state.intdigest()


def file_checksum(path: str | os.PathLike[str]) -> tuple[int, int]:
    """Return the size in bytes and the XXH3-64 of a file."""
    state, size = xxhash.xxh3_64(), 0
    block = bytearray(_BLOCK)
    with open(path, "rb", buffering=0) as file:
        while count := file.readinto(block):
            state.update(memoryview(block)[:count])
            size += count
    return size, state.intdigest()


def video_checksums(path: str) -> tuple[list[int], list[int]]:
    """Return size and checksum of a chunk's one file, as `checksum_arrays` takes them."""
    size, found = file_checksum(path)
    return [size], [found]


def checksum_arrays(
    sizes: Sequence[int], hashes: Sequence[int], extra_data_path: str | None = None
) -> dict[str, npt.NDArray[Any]]:
    """Put checksums into the form in which a chunk's index holds them.

    Parameters
    ----------
    sizes, hashes : sequence of int
        Of the file of each frame, or of the one video file.
    extra_data_path : str, optional
        The chunk's extra data.

    Returns
    -------
    dict
        ``_checksum_size`` (int64), ``_checksum_xxh3_64`` (uint64), ``_checksum_extra_data`` (uint64, one entry).
    """
    arrays: dict[str, npt.NDArray[Any]] = {
        SIZE_NAME: np.array(sizes, np.int64),
        HASH_NAME: np.array(hashes, np.uint64),
    }
    if extra_data_path is not None:
        arrays[EXTRA_DATA_NAME] = np.array([file_checksum(extra_data_path)[1]], np.uint64)
    return arrays


def frame_arrays(
    hashes: Sequence[int], description: bytes | None, kept: Mapping[str, npt.NDArray[Any]], file_size: int
) -> dict[str, npt.NDArray[Any]]:
    """Put what is known of the frames in a video file into the form in which a chunk's index holds it.

    Parameters
    ----------
    hashes : sequence of int
        Of each frame's bytes; none where they are not known.
    description : bytes or None
        What decoding them depends on.
    kept : mapping of str to ndarray
        What the codec keeps of the file, which nothing is compared with where there are no checksums.
    file_size : int
        Of the file, in bytes.

    Returns
    -------
    dict
        ``_checksum_frame_xxh3_64`` (uint64), ``_checksum_stream`` (uint64, one entry), and what
        `imgstore.disk.kept_arrays.noted_arrays` makes of `kept`.
    """
    arrays: dict[str, npt.NDArray[Any]] = {}
    if hashes:
        arrays[FRAME_NAME] = np.array(hashes, np.uint64)
        arrays |= noted_arrays(kept, file_size)
    if description is not None:
        arrays[STREAM_NAME] = np.array([checksum([description])], np.uint64)
    return arrays


def place_arrays(root: str, chunk: int) -> dict[str, npt.NDArray[Any]]:
    """Say to which store and where in it a chunk belongs, as a chunk's index holds it.

    A chunk that is whole in itself may still be in the place of another, or be described by metadata that have changed.

    Parameters
    ----------
    root : str
        The store's directory, with its ``metadata.yaml``.
    chunk : int
        The chunk's number.

    Returns
    -------
    dict
        ``_checksum_metadata`` (uint64, one entry): XXH3-64 of ``metadata.yaml``; ``_checksum_chunk`` (int64, one).
    """
    return {
        METADATA_NAME: np.array([file_checksum(os.path.join(root, METADATA_FILENAME))[1]], np.uint64),
        CHUNK_NAME: np.array([chunk], np.int64),
    }

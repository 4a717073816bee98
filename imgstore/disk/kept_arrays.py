"""What a codec keeps of a chunk's file so that it is opened sooner, in the chunk's own index where imgstore 0.x does not look.

It is never needed: where it is missing, not what was written, or of a file of another size, nothing is kept of the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import xxhash

__all__ = ["KEPT_PREFIX", "is_kept", "kept_arrays_of", "noted_arrays"]

Array = npt.NDArray[Any]

KEPT_PREFIX = "_codec_"
_FILE_SIZE, _CHECKSUM = KEPT_PREFIX + "file_size", KEPT_PREFIX + "checksum"


def is_kept(name: str) -> bool:
    """Whether an array of a chunk's index is one of these."""
    return name.startswith(KEPT_PREFIX)


def noted_arrays(kept: Mapping[str, Array], file_size: int) -> dict[str, Array]:
    """Put what a codec keeps of a file into the form in which a chunk's index holds it.

    Parameters
    ----------
    kept : mapping of str to ndarray
        What `imgstore.codec.ChunkReader.kept_arrays` says.
    file_size : int
        Of the file, in bytes.

    Returns
    -------
    dict
        Each array as ``_codec_NAME``, ``_codec_file_size`` (int64, one entry), and ``_codec_checksum`` (uint64, one entry) of
        them all. Nothing where nothing is kept.
    """
    if not kept:
        return {}
    arrays = {_FILE_SIZE: np.array([file_size], np.int64)}
    arrays |= {KEPT_PREFIX + name: np.ascontiguousarray(array) for name, array in kept.items()}
    return {**arrays, _CHECKSUM: np.array([_checksum(arrays)], np.uint64)}


def kept_arrays_of(arrays: Mapping[str, Array], file_size: int) -> dict[str, Array]:
    """Return what the codec keeps of a file of this size, out of the arrays of a chunk's index; empty where it is none."""
    found = {name: array for name, array in arrays.items() if is_kept(name)}
    noted, size = found.pop(_CHECKSUM, None), found.get(_FILE_SIZE)
    if noted is None or size is None or noted.tolist() != [_checksum(found)] or size.tolist() != [file_size]:
        return {}
    return {name.removeprefix(KEPT_PREFIX): array for name, array in found.items() if name != _FILE_SIZE}


def _checksum(arrays: Mapping[str, Array]) -> int:
    """Return the XXH3-64 of names, types, shapes and values, by name: one who believes these seeks by them."""
    state = xxhash.xxh3_64()
    for name, array in sorted(arrays.items()):
        state.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        state.update(array.tobytes())
    return state.intdigest()

"""What a codec keeps of a chunk's file so that it is opened sooner, in the chunk's own index where imgstore 0.x does not look.

It is never needed: where it is missing, damaged, or of a file of another size, the file is read as if there were none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["KEPT_PREFIX", "is_kept", "kept_arrays_of", "noted_arrays"]

Array = npt.NDArray[Any]

KEPT_PREFIX = "_codec_"
_FILE_SIZE = KEPT_PREFIX + "file_size"


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
        Each array as ``_codec_NAME``, and ``_codec_file_size`` (int64, one entry). Nothing where nothing is kept.
    """
    if not kept:
        return {}
    return {**{KEPT_PREFIX + name: array for name, array in kept.items()}, _FILE_SIZE: np.array([file_size], np.int64)}


def kept_arrays_of(arrays: Mapping[str, Array], file_size: int) -> dict[str, Array]:
    """Return what the codec has kept of a file of this size, out of the arrays of a chunk's index; empty where it is none."""
    kept = {name.removeprefix(KEPT_PREFIX): array for name, array in arrays.items() if is_kept(name)}
    noted = kept.pop(_FILE_SIZE.removeprefix(KEPT_PREFIX), None)
    if noted is None or noted.tolist() != [file_size]:
        return {}
    return kept if all(array.ndim == 1 and array.dtype.kind in "iuf" for array in kept.values()) else {}

"""PIMS: once this module is imported, ``pims.open("store/metadata.yaml")`` opens a store.

PIMS has no entry points: it knows the readers that were imported, by the extensions that they name.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from pims import Frame, FramesSequence

import imgstore

__all__ = ["ImgStoreSequence"]


class ImgStoreSequence(FramesSequence):  # type: ignore[misc]
    """The frames of a store.

    Parameters
    ----------
    path : path-like
        The store's directory or its ``metadata.yaml``.
    """

    @classmethod
    def class_exts(cls) -> set[str]:
        """Extensions by which ``pims.open`` finds this class."""
        return {"yaml"}

    def __init__(self, path: str | os.PathLike[str]):
        self._store = imgstore.new_for_filename(path)
        self._numbers, self._times = self._store.frame_numbers, self._store.frame_times

    def __len__(self) -> int:
        return len(self._store)

    @property
    def frame_shape(self) -> tuple[int, ...]:
        """``(h, w)`` or ``(h, w, 3)``."""
        return self._store.image_shape

    @property
    def pixel_type(self) -> np.dtype[Any]:
        """Type of the samples."""
        return self._store.image_dtype

    @property
    def frame_rate(self) -> float:
        """Frames per second; NaN where unknown."""
        return self._store.fps

    def get_frame(self, i: int) -> Frame:
        """Return the frame at a position, its number and time (seconds) in ``metadata``."""
        metadata = {"frame_number": int(self._numbers[i]), "frame_time": float(self._times[i])}
        return Frame(self._store[i], frame_no=i, metadata=metadata)

    def close(self) -> None:
        """Close the store."""
        self._store.close()

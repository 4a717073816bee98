"""Grayscale to BGR and back."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from imgstore.errors import ArgumentError

__all__ = ["ensure_color", "ensure_grayscale"]

_CV2_DTYPES = frozenset(np.dtype(t) for t in (np.uint8, np.uint16, np.float32))


def ensure_color(img: npt.NDArray[Any], ensure_copy: bool = False) -> npt.NDArray[Any]:
    """Return an image in colour.

    Parameters
    ----------
    img : ndarray, shape (h, w), (h, w, 1) or (h, w, 3)
        Grayscale or BGR, of any dtype.
    ensure_copy : bool
        Return a copy where `img` is in colour already, and not `img` itself.

    Returns
    -------
    ndarray, shape (h, w, 3)
        `img` itself where it is in colour, else its values in each of the three channels.

    Raises
    ------
    ArgumentError
        The shape is another.
    """
    if img.ndim == 3 and img.shape[2] == 3:
        return img.copy() if ensure_copy else img
    if img.ndim == 3 and img.shape[2] == 1:
        img = img[:, :, 0]
    if img.ndim != 2:
        raise ArgumentError(f"an image of shape {img.shape} is neither grayscale, (h, w), nor colour, (h, w, 3)")
    if img.dtype in _CV2_DTYPES and img.size:
        import cv2  # much faster than NumPy at this

        return np.asarray(cv2.cvtColor(img, cv2.COLOR_GRAY2BGR))
    return np.repeat(img[:, :, np.newaxis], 3, axis=2)


def ensure_grayscale(img: npt.NDArray[Any], ensure_copy: bool = False) -> npt.NDArray[Any]:
    """Return an image in grayscale.

    Parameters
    ----------
    img : ndarray, shape (h, w, 3) or any other
        What has three channels is taken for BGR, of dtype uint8, uint16 or float32; all else for grayscale.
    ensure_copy : bool
        Return a copy where `img` is in grayscale already, and not `img` itself.

    Returns
    -------
    ndarray, shape (h, w)
        `img` itself where it is not in colour, else its luma, 0.114 B + 0.587 G + 0.299 R, in the same dtype.

    Raises
    ------
    ArgumentError
        A colour image of another dtype.
    """
    if img.ndim != 3 or img.shape[2] != 3:
        return img.copy() if ensure_copy else img
    native = img.dtype.newbyteorder("=")  # OpenCV would take the bytes as they are
    if native not in _CV2_DTYPES:
        raise ArgumentError(f"colour of dtype {img.dtype} cannot be made gray: uint8, uint16 and float32 can")
    if not img.size:
        return np.empty(img.shape[:2], native)
    import cv2

    return np.asarray(cv2.cvtColor(img.astype(native, copy=False), cv2.COLOR_BGR2GRAY))

"""Frames as they are given, before anything is done to them: taken as they are, in another type, or not at all."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt

from imgstore.codec import FrameSpec
from imgstore.errors import ArgumentError, ImgStoreWarning

__all__ = ["GivenFrames", "in_type"]

Frame = npt.NDArray[Any]

_NUMBERS = "biufc"  # kinds of numpy's types


class GivenFrames:
    """What one store takes. Used from several threads.

    Parameters
    ----------
    root : str
        The store's directory, for messages.
    spec : FrameSpec
        What its frames look like.
    """

    def __init__(self, root: str, spec: FrameSpec):
        self._root = root
        self._shape, self._dtype = spec.shape, spec.dtype
        self._warned = False

    def take(self, img: Frame, number: int) -> Frame:
        """Return a frame as an array of the store's shape and type.

        Raises
        ------
        ArgumentError
            It is none: of another shape, or with values that the type does not hold, or masked.
        """
        if type(img) is np.ndarray and img.dtype == self._dtype and img.shape == self._shape:
            return img
        if not isinstance(img, np.ndarray) or img.shape != self._shape:
            raise self._other(img, number, "")
        if isinstance(img, np.ma.MaskedArray) and np.ma.is_masked(img):
            raise ArgumentError(
                f"frame {number} is a masked array, and no format keeps a mask: give img.filled(value), or record the mask"
                f" beside the frame (store {self._root!r})"
            )
        plain = np.asarray(img)
        if plain.dtype == self._dtype:
            return plain
        taken = in_type(plain, self._dtype)
        if taken is None:
            raise self._other(
                img, number, f", which does not hold all of its values: convert it as you mean it ({self._dtype})"
            )
        if plain.dtype.newbyteorder("=") != self._dtype and not self._warned:
            self._warned = True
            warnings.warn(
                f"{self._root}: frame {number} is {plain.dtype} and the store was created for {self._dtype}, which holds"
                " its values: frames of other types are converted as long as that is so",
                ImgStoreWarning,
                stacklevel=6,
            )
        return taken

    def _other(self, img: object, number: int, why: str) -> ArgumentError:
        what = f"{img.dtype} {img.shape}" if isinstance(img, np.ndarray) else type(img).__name__
        return ArgumentError(
            f"frame {number} is {what}, but the store {self._root!r} was created for {self._dtype} {self._shape}{why}"
        )


def in_type(img: Frame, dtype: np.dtype[Any]) -> Frame | None:
    """Return an image as an array of another type where that holds each of its values exactly, else None.

    Parameters
    ----------
    img : numpy.ndarray
        Of any type and byte order.
    dtype : numpy.dtype
        The type.
    """
    if img.dtype.newbyteorder("=") == dtype:
        return img.astype(dtype)
    if img.dtype.kind not in _NUMBERS or dtype.kind not in _NUMBERS:
        return None
    if img.dtype.kind == "c" and dtype.kind != "c":
        return None if img.imag.any() else in_type(img.real, dtype)
    if img.dtype.kind == "c" and dtype.kind == "c":
        part = np.zeros(0, dtype).real.dtype
        real, imag = in_type(img.real, part), in_type(img.imag, part)
        if real is None or imag is None:
            return None
        both = np.empty(img.shape, dtype)
        both.real, both.imag = real, imag
        return both
    if img.dtype.kind != "c" and dtype.kind == "c":
        real = in_type(img, np.zeros(0, dtype).real.dtype)
        return None if real is None else real.astype(dtype)
    with np.errstate(all="ignore"):
        if dtype.kind in "iu" and not _within(img, np.iinfo(dtype).min, np.iinfo(dtype).max):
            return None
        converted = img.astype(dtype)
        if img.dtype.kind in "iu":
            # the way back must not leave the integers: where it does, what comes out is the processor's choice
            low, high = np.iinfo(img.dtype).min, np.iinfo(img.dtype).max
            if dtype.kind == "f":
                within = np.isfinite(converted) & (converted >= low) & (converted < float(high) + 1)
                if not bool(np.all(within)):
                    return None
        back = converted.astype(img.dtype)
        same = (back == img) | ((back != back) & (img != img))
    return converted if bool(np.all(same)) else None


def _within(img: Frame, low: int, high: int) -> bool:
    """Whether all values, as Python's integers, are between two."""
    if img.dtype.kind == "f" and not bool(np.all(np.isfinite(img))):
        return False
    return not img.size or (int(img.min()) >= low and int(img.max()) <= high)

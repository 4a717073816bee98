"""How frames leave: decoded, turned, in the type and the colour that were asked for. The one place where this is done."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from imgstore.errors import ArgumentError
from imgstore.pixels.color import ensure_color, ensure_grayscale
from imgstore.pixels.encodings import decode_to_bgr

__all__ = ["Color", "Shown", "Turn", "turned"]

Frame = npt.NDArray[Any]
Color = Literal["bgr", "rgb", "gray"]
Turn = tuple[int, int, int, int]

_SAMPLE = 12  # pixels: a size that every encoding takes
_SCALED = (np.dtype(np.uint8), np.dtype(np.uint16))


@dataclass(frozen=True)
class Shown:
    """What is done to frames as they are stored.

    Attributes
    ----------
    encoding : str or None
        How raw frames are turned into BGR.
    turn : tuple of int or None
        (a, b, c, d): what is at (x, y) is shown at (a x + c y, b x + d y), to the nearest quarter of a turn.
    dtype : numpy.dtype or None
        uint8 or uint16: 8 bits are scaled to 16, and 16 to 8, so that white stays white.
    color : {'bgr', 'rgb', 'gray'} or None
        None: as they are.
    """

    encoding: str | None = None
    turn: Turn | None = None
    dtype: np.dtype[Any] | None = None
    color: Color | None = None

    def __post_init__(self) -> None:
        if self.color not in (None, "bgr", "rgb", "gray"):
            raise ArgumentError(f"color must be 'bgr', 'rgb' or 'gray', not {self.color!r}")
        if self.dtype is not None and self.dtype not in _SCALED:
            raise ArgumentError(f"dtype must be 'uint8' or 'uint16', not {str(self.dtype)!r}")

    @property
    def changes(self) -> bool:
        """Whether anything is done at all."""
        return not (self.encoding is None and self.turn is None and self.dtype is None and self.color is None)

    def needed_for(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Shown:
        """Leave out what frames are already.

        Raises
        ------
        ArgumentError
            Such frames cannot be shown so.
        """
        needed = replace(self, turn=None if self.turn is not None and _is_upright(self.turn) else self.turn)
        found, its_dtype = replace(needed, color=None, dtype=None).applied_to(shape, dtype)
        if self.dtype == its_dtype:
            needed = replace(needed, dtype=None)
        is_color = len(found) == 3 and found[2] == 3
        if (self.color == "bgr" and is_color) or (self.color == "gray" and len(found) == 2):
            needed = replace(needed, color=None)
        needed.applied_to(shape, dtype)
        return needed

    def applied_to(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> tuple[tuple[int, ...], np.dtype[Any]]:
        """Return shape and type of what becomes of frames of a shape and a type."""
        if not self.changes:
            return shape, dtype
        # whatever the size that metadata claim, its memory is not needed to know what becomes of it
        raw = np.zeros((_SAMPLE, _SAMPLE, *shape[2:]), dtype)
        upright = replace(self, turn=None)(raw)
        size = tuple(n * m // _SAMPLE for n, m in zip(shape[:2], upright.shape[:2], strict=True))
        if self.turn is not None and _is_on_its_side(self.turn):
            size = size[::-1]
        return (*size, *upright.shape[2:]), upright.dtype

    def __call__(self, img: Frame) -> Frame:
        """Return a frame as it is shown; the same array where nothing is done.

        Raises
        ------
        ArgumentError
            It cannot be shown so.
        """
        if self.encoding is not None:
            img = decode_to_bgr(img, self.encoding)
        if self.turn is not None:
            img = turned(img, *self.turn)
        if self.dtype is not None and self.dtype != img.dtype:
            img = _scaled(img, self.dtype)
        if self.color == "gray":
            img = ensure_grayscale(img)
        elif self.color is not None:
            img = ensure_color(img)
            if self.color == "rgb":
                img = _swapped(img)
        return img


def _is_on_its_side(turn: Turn) -> bool:
    a, b, c, d = turn
    return abs(b) + abs(c) > abs(a) + abs(d)


def _is_upright(turn: Turn) -> bool:
    return not _is_on_its_side(turn) and turn[0] >= 0 and turn[3] >= 0


def turned(img: Frame, a: int, b: int, c: int, d: int) -> Frame:
    """Turn and mirror an image as a matrix has it, to the nearest quarter of a turn; see `imgstore.codec.Survey`."""
    if _is_on_its_side((a, b, c, d)):
        img, a, d = img.swapaxes(0, 1), c, b
    return np.ascontiguousarray(img[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1])


def _scaled(img: Frame, dtype: np.dtype[Any]) -> Frame:
    if img.dtype not in _SCALED:
        raise ArgumentError(f"frames of {img.dtype} are not made {dtype}: uint8 and uint16 are, into each other")
    return np.take(_eight_bits(), img) if dtype == np.uint8 else img.astype(np.uint16) * np.uint16(257)


@lru_cache(maxsize=1)
def _eight_bits() -> Frame:
    return np.rint(np.arange(1 << 16) / 257).astype(np.uint8)


def _swapped(img: Frame) -> Frame:
    """Return an image with its channels the other way round."""
    if img.dtype in (np.uint8, np.uint16, np.float32) and img.size:
        import cv2

        return np.asarray(cv2.cvtColor(img, cv2.COLOR_BGR2RGB))
    return np.ascontiguousarray(img[..., ::-1])

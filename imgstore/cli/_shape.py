"""The part of frames that is saved, and its size: cut out and scaled."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from imgstore.errors import ArgumentError

__all__ = ["Image", "Pictures", "Scale", "parse_crop", "parse_scale"]

Image = npt.NDArray[Any]
Scale = float | tuple[int, int]

_MOST = 16384  # pixels a side


class Pictures(NamedTuple):
    """What becomes of each frame.

    Attributes
    ----------
    crop : tuple of int or None
        Left, top, width, height.
    scale : float, tuple of int or None
        A factor, or width and height.
    """

    crop: tuple[int, int, int, int] | None
    scale: Scale | None

    @property
    def changes_nothing(self) -> bool:
        """Whether frames leave as they are."""
        return self.crop is None and self.scale is None

    def size(self, shape: Sequence[int]) -> tuple[int, int]:
        """Return height and width of what becomes of frames of a shape.

        Raises
        ------
        ArgumentError
            The part to be cut out is not within the frame, or nothing is left.
        """
        height, width = shape[:2]
        if self.crop is not None:
            left, top, cut_width, cut_height = self.crop
            if left + cut_width > width or top + cut_height > height:
                raise ArgumentError(f"crop {self.crop}: frames are {width} pixels wide and {height} high")
            height, width = cut_height, cut_width
        height, width = self._after_scaling(height, width)
        if max(height, width) > _MOST:
            raise ArgumentError(f"pictures of {width} x {height} are larger than {_MOST} pixels a side")
        return height, width

    def _after_scaling(self, height: int, width: int) -> tuple[int, int]:
        if isinstance(self.scale, tuple):
            return self.scale[1], self.scale[0]
        return (height, width) if self.scale is None else (
            max(1, round(height * self.scale)), max(1, round(width * self.scale))
        )  # fmt: skip

    def apply(self, img: Image) -> Image:
        """Return a picture, ``(h, w)`` or ``(h, w, 3)`` BGR."""
        if img.ndim == 3 and img.shape[2] == 1:
            img = img[:, :, 0]
        if self.crop is not None:
            left, top, width, height = self.crop
            img = img[top : top + height, left : left + width]
        if self.scale is not None:
            img = _scaled(img, self._after_scaling(*img.shape[:2]))
        return img


def _scaled(img: Image, size: tuple[int, int]) -> Image:
    import cv2

    height, width = size
    if img.dtype not in (np.uint8, np.uint16, np.int16, np.float32, np.float64):
        img = img.astype(np.float64)
    # each pixel the mean of those that it stands for, or between its neighbours
    how = cv2.INTER_AREA if height * width < img.shape[0] * img.shape[1] else cv2.INTER_LINEAR
    scaled: Image = cv2.resize(np.ascontiguousarray(img), (width, height), interpolation=how)
    return scaled


def parse_crop(value: object) -> tuple[int, int, int, int] | None:
    """Understand ``LEFT,TOP,WIDTH,HEIGHT``, or the same as a sequence of int."""
    if value is None:
        return None
    parts = value.split(",") if isinstance(value, str) else list(value) if isinstance(value, Sequence) else []
    try:
        left, top, width, height = (int(part) for part in parts)
    except (TypeError, ValueError):
        left = top = width = height = -1
    if left < 0 or top < 0 or width < 1 or height < 1:
        raise ArgumentError(f"crop {value!r}: LEFT,TOP,WIDTH,HEIGHT in pixels is wanted, such as 100,50,640,480")
    return left, top, width, height


def parse_scale(value: object) -> Scale | None:
    """Understand a factor, or ``WIDTHxHEIGHT``, or the latter as a sequence of int."""
    if value is None:
        return None
    try:
        if isinstance(value, str) and re.fullmatch(r"\d+x\d+", value, re.ASCII):
            value = value.split("x")
        if isinstance(value, Sequence) and not isinstance(value, str):
            width, height = (int(part) for part in value)
            if width > 0 and height > 0:
                return width, height
        else:
            factor = float(value)  # type: ignore[arg-type]
            if 0 < factor < math.inf:
                return factor
    except (TypeError, ValueError):
        pass
    raise ArgumentError(f"scale {value!r}: a factor such as 0.5, or WIDTHxHEIGHT such as 640x480, is wanted")

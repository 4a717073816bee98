"""From a stored frame to the picture that is exported: cut out, scaled, brought to 8 bits."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from imgstore.errors import ArgumentError, FormatError, ImgStoreWarning

__all__ = ["Image", "Pictures", "Scale", "check_shape", "parse_crop", "parse_levels", "parse_scale"]

Image = npt.NDArray[Any]
Scale = float | tuple[int, int]

_LOOKED_AT = 16  # frames, for levels that nobody gave
_MOST = 16384  # pixels a side


class Pictures(NamedTuple):
    """What becomes of each frame.

    Attributes
    ----------
    crop : tuple of int or None
        Left, top, width, height.
    scale : float, tuple of int or None
        A factor, or width and height.
    levels : tuple of float or None
        Samples that become black and white.
    """

    crop: tuple[int, int, int, int] | None
    scale: Scale | None
    levels: tuple[float, float] | None = None

    @property
    def changes_nothing(self) -> bool:
        """Whether frames leave as they are."""
        return self.crop is None and self.scale is None and self.levels is None

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
        """Return a picture, ``(h, w)`` or ``(h, w, 3)`` BGR; of 8 bits where there are levels."""
        if img.ndim == 3 and img.shape[2] == 1:
            img = img[:, :, 0]
        if self.crop is not None:
            left, top, width, height = self.crop
            img = img[top : top + height, left : left + width]
        if self.scale is not None:
            img = _scaled(img, self._after_scaling(*img.shape[:2]))
        if self.levels is not None:
            img = _to_8_bits(img, *self.levels)
        return img

    def for_8_bits(self, store: Any, positions: range) -> Pictures:
        """Return the same with levels, where samples have other than 8 bits and nobody gave any.

        Warns
        -----
        ImgStoreWarning
            Levels were taken from the darkest and the brightest sample of some frames.
        """
        if self.levels is not None or store.image_dtype == np.uint8:
            return self
        some = np.unique(np.linspace(0, len(positions) - 1, _LOOKED_AT).round().astype(np.int64))
        frames, _ = store.get_images(frame_indices=[positions[k] for k in some.tolist()], on_error="skip")
        finite = frames[np.isfinite(frames)]
        low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
        if low == high:
            high = low + 1
        warnings.warn(
            f"{store.filename}: samples are {store.image_dtype}, and what is exported has 8 bits: {low:g} becomes black and"
            f" {high:g} white; --levels sets others",
            ImgStoreWarning,
            stacklevel=4,
        )
        return self._replace(levels=(low, high))


def check_shape(store: Any) -> None:
    """Refuse frames that are no pictures.

    Raises
    ------
    FormatError
        They are not ``(h, w)``, ``(h, w, 1)`` or ``(h, w, 3)`` of numbers.
    """
    shape = store.image_shape
    if len(shape) not in (2, 3) or (len(shape) == 3 and shape[2] not in (1, 3)) or store.image_dtype.kind not in "uifb":
        raise FormatError(f"{store.filename}: frames of shape {tuple(shape)}, {store.image_dtype}, are no pictures")


def _scaled(img: Image, size: tuple[int, int]) -> Image:
    import cv2

    height, width = size
    if img.dtype not in (np.uint8, np.uint16, np.int16, np.float32, np.float64):
        img = img.astype(np.float64)
    # each pixel the mean of those that it stands for, or between its neighbours
    how = cv2.INTER_AREA if height * width < img.shape[0] * img.shape[1] else cv2.INTER_LINEAR
    scaled: Image = cv2.resize(np.ascontiguousarray(img), (width, height), interpolation=how)
    return scaled


def _to_8_bits(img: Image, low: float, high: float) -> Image:
    samples = (img.astype(np.float32 if img.dtype.itemsize <= 2 else np.float64) - low) * (255 / (high - low))
    levels: Image = np.nan_to_num(samples, nan=0.0, posinf=255.0, neginf=0.0).clip(0, 255).round().astype(np.uint8)
    return levels


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


def parse_levels(value: object) -> tuple[float, float] | None:
    """Understand ``LOW,HIGH``, or the same as a sequence of numbers."""
    if value is None:
        return None
    parts = value.split(",") if isinstance(value, str) else list(value) if isinstance(value, Sequence) else []
    try:
        low, high = (float(part) for part in parts)
    except (TypeError, ValueError):
        low = high = math.nan
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ArgumentError(f"levels {value!r}: LOW,HIGH is wanted, the samples that become black and white, such as 0,4095")
    return low, high

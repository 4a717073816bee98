"""Frames as PyTorch wants them: channels first, red first; or as numpy has them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch

import imgstore
from imgstore.bridges.torch.sources import Color

__all__ = ["Layout", "Output"]

Array = npt.NDArray[Any]
Output = Literal["torch", "numpy"]

_OF_OPENCV = (np.uint8, np.uint16, np.float32)


class Layout:
    """Turns frames as stores give them into those of a sample, which are always copies.

    Parameters
    ----------
    output : {'torch', 'numpy'}
    color : {'rgb', 'bgr', 'gray'}
        Grayscale frames stay gray.
    """

    def __init__(self, output: Output, color: Color):
        self.output = output
        self._color = color

    def image(self, img: Array, color: str) -> Any:
        """Return a frame, ``(c, h, w)``, or for numpy ``(h, w[, 3])``."""
        out = np.empty(self._shape(img, color), img.dtype)
        self._put(img, color, out)
        return self.values(out)

    def images(self, frames: Sequence[Array], color: str) -> Any:
        """Return frames of the same shape as one array, the first axis added."""
        out = np.empty((len(frames), *self._shape(frames[0], color)), frames[0].dtype)
        for frame, target in zip(frames, out, strict=True):
            self._put(frame, color, target)
        return self.values(out)

    def values(self, values: Array) -> Any:
        """Return an array as a tensor, or as it is for numpy."""
        return torch.from_numpy(values) if self.output == "torch" else values

    def _shape(self, img: Array, color: str) -> tuple[int, ...]:
        height, width = img.shape[:2]
        channels = 1 if color == "gray" or self._color == "gray" else 3
        if self.output == "torch":
            return channels, height, width
        return (height, width) if channels == 1 else (height, width, 3)

    def _put(self, img: Array, color: str, out: Array) -> None:
        if color == "gray":
            out[...] = img.reshape(out.shape)
            return
        swapped = img[..., ::-1]
        if self._color == "gray":
            bgr = np.ascontiguousarray(img if color == "bgr" else swapped)
            out[...] = imgstore.ensure_grayscale(bgr).reshape(out.shape)
            return
        wanted = img if color == self._color else swapped
        if self.output == "numpy":
            out[...] = wanted
        elif img.dtype.type in _OF_OPENCV:  # several times as fast as numpy
            import cv2

            cv2.split(img, list(out if wanted is img else out[::-1]))
        else:
            out[...] = wanted.transpose(2, 0, 1)

"""From a frame to the bytes that a browser takes."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import numpy.typing as npt

from imgstore.errors import FormatError

__all__ = ["KINDS", "encode"]

Image = npt.NDArray[Any]

KINDS = ("raw", "jpeg", "png")
_QUALITY = 90


def encode(img: Image, kind: str, *, most: int | None = None, levels: tuple[float, float] | None = None) -> tuple[bytes, str]:
    """Return a frame as bytes, and their media type.

    Parameters
    ----------
    img : numpy.ndarray
        ``(h, w)``, ``(h, w, 1)`` or ``(h, w, 3)`` BGR.
    kind : {'raw', 'jpeg', 'png'}
        Its samples as they are, little-endian; or a picture. A PNG has the samples themselves where they have 8 or 16 bits.
    most : int, optional
        Largest width or height of a picture.
    levels : tuple of float, optional
        Samples that become black and white, for other types than uint8; default the lowest and the highest.

    Raises
    ------
    FormatError
        The frame is no picture.
    """
    if img.ndim == 3 and img.shape[2] == 1:
        img = img[:, :, 0]
    if not (img.ndim == 2 or (img.ndim == 3 and img.shape[2] == 3)) or not img.size:
        raise FormatError(f"frames of shape {img.shape} are no pictures: (h, w) and (h, w, 3) are")
    if kind == "raw":
        return little_endian(img).tobytes(), "application/octet-stream"
    import cv2

    if kind == "jpeg" or img.dtype not in (np.uint8, np.uint16):
        img = _to_8_bits(img, levels)
    largest = max(img.shape[:2])
    if most is not None and largest > most:
        height, width = (max(1, round(n * most / largest)) for n in img.shape[:2])
        img = cv2.resize(img, (width, height), interpolation=cv2.INTER_AREA)
    settings = [cv2.IMWRITE_JPEG_QUALITY, _QUALITY] if kind == "jpeg" else [cv2.IMWRITE_PNG_COMPRESSION, 3]
    done, data = cv2.imencode(".jpg" if kind == "jpeg" else ".png", np.ascontiguousarray(img), settings)
    if not done:
        raise FormatError(f"OpenCV makes no {kind} of frames of shape {img.shape}")
    return data.tobytes(), f"image/{kind}"


def little_endian(img: Image) -> Image:
    """Return samples in the order of bytes that every browser has."""
    big = img.dtype.byteorder == ">" or (img.dtype.byteorder == "=" and sys.byteorder == "big")
    return img.astype(img.dtype.newbyteorder("<")) if big else img


def _to_8_bits(img: Image, levels: tuple[float, float] | None) -> Image:
    if img.dtype == np.uint8:
        return img
    samples = img.astype(np.float32)
    finite = samples[np.isfinite(samples)]
    low, high = levels or ((float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0))
    scaled = (samples - low) * (255 / (high - low) if high > low else 1.0)
    result: Image = np.nan_to_num(scaled, nan=0.0, posinf=255.0, neginf=0.0).clip(0, 255).round().astype(np.uint8)
    return result

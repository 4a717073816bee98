"""Frames that carry their position: whoever sees one knows which it is, whatever is said about it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import imgstore

BITS = 16
BLOCK = 16  # pixels: lossy formats leave a block of this size what it is
HEIGHT, WIDTH = 4 * BLOCK, 4 * BLOCK
START = 1_700_000_000.0

Image = npt.NDArray[Any]


def coded(position: int, dtype: Any = np.uint8, color: bool = False) -> Image:
    """Make a frame of 4 x 4 blocks, each dark or bright as a bit of the position is 0 or 1."""
    bits = (position >> np.arange(BITS)) & 1
    top = np.iinfo(dtype).max
    levels = np.where(bits, top * 4 // 5, top // 5).astype(dtype).reshape(4, 4)
    img = np.kron(levels, np.ones((BLOCK, BLOCK), dtype))
    return np.stack([img] * 3, axis=2) if color else img


def decoded(img: Image) -> int:
    """Read the position off a picture of 8 bits, (h, w) or (h, w, n)."""
    gray = np.asarray(img, np.float64)
    if gray.ndim == 3:
        gray = gray[:, :, :3].mean(axis=2)
    blocks = gray.reshape(4, BLOCK, 4, BLOCK).mean(axis=(1, 3)).ravel()
    return int(((blocks > 128).astype(np.int64) << np.arange(BITS)).sum())


def record(
    path: Path, fmt: str, count: int, *, rate: float = 25.0, lost: Any = (), chunksize: int = 100, dtype: Any = np.uint8,
    color: bool = False, start: float = START, **options: Any,
) -> Path:  # fmt: skip
    """Write a store whose frame with number n shows n; those that are lost are not there."""
    shape = coded(0, dtype, color).shape
    with imgstore.new_for_format(
        fmt, path, imgshape=shape, imgdtype=dtype, chunksize=chunksize, fps=rate, **options
    ) as store:
        for number in range(count):
            if number not in lost:
                store.add_image(coded(number, dtype, color), number, start + number / rate)
    return path

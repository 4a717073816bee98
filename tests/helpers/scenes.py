"""Frames that say which one they are, for tests of every kind of store."""

from __future__ import annotations

import os
import signal
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

HELPERS = Path(__file__).resolve().parent
# For processes that tests start: what is here can be imported there, also under PYTHONSAFEPATH, as tox has it.
WITH_HELPERS = {**os.environ, "PYTHONPATH": str(HELPERS)}
# For processes that a test interrupts: who runs the tests in the background may have them ignore Ctrl-C, and it is inherited.
INTERRUPTIBLE: dict[str, Any] = (
    {} if os.name == "nt" else {"preexec_fn": partial(signal.signal, signal.SIGINT, signal.SIG_DFL)}
)
SHAPE = (48, 64)
_GRID = 4  # 4 x 4 cells: 16 bits


def coded_frame(number: int, shape: tuple[int, ...] = SHAPE, dtype: npt.DTypeLike = np.uint8) -> npt.NDArray[Any]:
    """Show the lower 16 bits of a number as a grid of cells that survives any lossy codec."""
    dtype = np.dtype(dtype)
    high = 1 if dtype.kind in "fb" else np.iinfo(dtype).max
    height, width = shape[:2]
    rows = np.minimum(np.arange(height) * _GRID // height, _GRID - 1)
    columns = np.minimum(np.arange(width) * _GRID // width, _GRID - 1)
    bits = (number >> (rows[:, None] * _GRID + columns[None, :])) & 1
    frame = np.zeros(shape, dtype)
    frame[...] = (bits * high).astype(dtype).reshape((*bits.shape, *(1,) * (len(shape) - 2)))
    return frame


def shown_number(frame: npt.NDArray[Any]) -> int:
    """Read the number that `coded_frame` has drawn."""
    gray = frame.reshape(*frame.shape[:2], -1)[..., 0]
    height, width = gray.shape
    middle = (float(gray.max()) + float(gray.min())) / 2 if gray.max() > gray.min() else float(gray.max()) + 1
    if gray.max() == gray.min() and gray.max() > 127:
        middle = 127.0
    number = 0
    for bit in range(_GRID * _GRID):
        row, column = divmod(bit, _GRID)
        rows = slice(row * height // _GRID, (row + 1) * height // _GRID)
        cell = gray[rows, column * width // _GRID : (column + 1) * width // _GRID]
        inner = cell[cell.shape[0] // 4 : -cell.shape[0] // 4, cell.shape[1] // 4 : -cell.shape[1] // 4]
        number |= int(inner.mean() > middle) << bit
    return number


def write_store(path: Any, fmt: str, count: int, *, first: int = 100, **options: Any) -> str:
    """Write frames number `first` and up, 0.5 s apart from time 1000; return the path."""
    import imgstore

    options.setdefault("imgshape", SHAPE)
    options.setdefault("chunksize", 10)
    dtype = np.dtype(options.setdefault("imgdtype", np.uint8))
    with imgstore.new_for_format(fmt, path, **options) as store:
        for k in range(count):
            store.add_image(coded_frame(first + k, options["imgshape"], dtype), first + k, 1000 + 0.5 * k)
    return str(path)

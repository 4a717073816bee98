"""Numbers and times of frames as cameras' programs give them, checked."""

from __future__ import annotations

import math
import operator

import numpy as np

from imgstore.errors import ArgumentError

__all__ = ["checked_frame_number", "checked_frame_time"]


def checked_frame_number(value: object) -> int:
    """Return a frame number as an int, or raise ArgumentError."""
    try:
        if isinstance(value, (float, np.floating)):
            number = int(value)  # whole floats come out of pandas and MATLAB
            if number != value:
                raise ValueError
        else:
            number = operator.index(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        raise ArgumentError(f"frame_number must be a whole number, not {value!r}") from None
    if not -(2**63) <= number < 2**63:
        raise ArgumentError(f"frame_number {number} does not fit into 64 bits")
    return number


def checked_frame_time(value: object) -> float:
    """Return a frame time as a float, or raise ArgumentError."""
    try:
        if isinstance(value, (str, bytes, bytearray)):
            raise TypeError
        seconds = float(value)  # type: ignore[arg-type]
        if not math.isfinite(seconds):
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        raise ArgumentError(f"frame_time must be a finite number of seconds, not {value!r}") from None
    return seconds

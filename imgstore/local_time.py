"""A frame's time as people tell it."""

from __future__ import annotations

import math
from typing import Any

__all__ = ["local_time"]

_YEAR = 365 * 86400


def local_time(store: Any, frame_time: float) -> str:
    """Tell a frame's time in the recording's own time zone, or in seconds where it is no time since the epoch.

    Parameters
    ----------
    store : imgstore.store.ImgStore
        Where the frame is from.
    frame_time : float
        Seconds, since the epoch in most stores; in some since the start of the recording. Whatever lies in the first
        year after the epoch is taken for the latter.

    Returns
    -------
    str
        ``2023-11-14 22:13:20.000 UTC``, ``12.345 s`` or ``no time``.
    """
    if not math.isfinite(frame_time):
        return "no time"
    if not frame_time > _YEAR:
        return f"{frame_time:.3f} s"
    try:
        moment = store.convert_frame_time_to_datetime(frame_time)
        return f"{moment:%Y-%m-%d %H:%M:%S}.{moment.microsecond // 1000:03d} {moment:%Z}".rstrip()
    except (ValueError, OverflowError, OSError):  # beyond the calendar
        return f"{frame_time:.3f} s"

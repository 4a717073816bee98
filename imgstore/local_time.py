"""Times of frames as people tell and type them, in the recording's own zone."""

from __future__ import annotations

import datetime
import math
import re
from typing import Any

from imgstore.errors import ArgumentError

__all__ = ["is_date", "local_time", "read_clock"]

_FIRST_DATE = 365 * 86400  # seconds
_CLOCK = re.compile(
    r"(?:(?P<date>\d{4}-\d{2}-\d{2})[ T]+)?(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?P<part>\.\d{1,9})?)?",
    re.ASCII,
)
_ZONE = re.compile(r" [A-Za-z+\-:0-9]{1,9}$")  # behind a time, as `local_time` tells it; the recording's anyway


def is_date(seconds: float) -> bool:
    """Whether seconds since the epoch can be when something was.

    Whatever lies in its first year or before counts from the start of a recording, or is the zero of a clock that was not set.

    Parameters
    ----------
    seconds : float
        Of a frame, or of a file.
    """
    return bool(seconds > _FIRST_DATE)


def local_time(store: Any, frame_time: float) -> str:
    """Tell a frame's time in the recording's own time zone, or in seconds where it is no time since the epoch.

    Parameters
    ----------
    store : imgstore.store.ImgStore
        Where the frame is from.
    frame_time : float
        Seconds, since the epoch in most stores; in some since the start of the recording, see `is_date`.

    Returns
    -------
    str
        ``2023-11-14 22:13:20.000 UTC``, ``12.345 s`` or ``no time``.
    """
    if not math.isfinite(frame_time):
        return "no time"
    if not is_date(frame_time):
        return f"{frame_time:.3f} s"
    try:
        moment = store.convert_frame_time_to_datetime(frame_time)
        return f"{moment:%Y-%m-%d %H:%M:%S}.{moment.microsecond // 1000:03d} {moment:%Z}".rstrip()
    except (ValueError, OverflowError, OSError):  # beyond the calendar
        return f"{frame_time:.3f} s"


def read_clock(store: Any, text: str, near: float) -> float | None:
    """Return the time, in seconds, of what somebody has typed as a time of day.

    Parameters
    ----------
    store : imgstore.store.ImgStore
        Whose time zone counts.
    text : str
        ``14:03``, ``14:03:20.5`` or ``2026-11-29 14:03:20``, with or without the zone that `local_time` tells.
    near : float
        A time whose day is meant where none is given.

    Returns
    -------
    float or None
        None where it is no time of day.

    Raises
    ------
    ArgumentError
        It looks like one, and there is no such day or hour.
    """
    clock = _CLOCK.fullmatch(_ZONE.sub("", text)) or _CLOCK.fullmatch(text)
    if clock is None:
        return None
    try:
        day = datetime.date.fromisoformat(clock["date"]) if clock["date"] else None
        time = datetime.time(int(clock["hour"]), int(clock["minute"]), int(clock["second"] or 0))
        here = store.convert_frame_time_to_datetime(near if math.isfinite(near) else 0.0)
        moment = datetime.datetime.combine(day or here.date(), time, here.tzinfo)
        return float(moment.timestamp() + float(clock["part"] or 0))
    except (ValueError, OverflowError, OSError) as error:
        raise ArgumentError(f"{text!r} is no time: {error}") from error

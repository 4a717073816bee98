"""Times that are typed into the page, and times that are round on its time line."""

from __future__ import annotations

import contextlib
import datetime
import math
import re
from typing import Any

from imgstore.errors import ArgumentError
from imgstore.local_time import is_date, read_clock

__all__ = ["read_time", "round_times"]

_STEPS = (
    *(part * 10.0**k for k in (-3, -2, -1) for part in (1, 2, 5)), 1, 2, 5, 10, 15, 30,
    *(60 * n for n in (1, 2, 5, 10, 15, 30)), *(3600 * n for n in (1, 2, 3, 6, 12)),
    *(86400 * n for n in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)),
)  # fmt: skip
_SECONDS = re.compile(r"(?P<sign>[+-]?)(?P<value>\d{1,18}(?:\.\d{0,9})?)\s*s?", re.ASCII)


def round_times(store: Any, first: float, last: float, most: int) -> list[float]:
    """Return times that are round on a clock of a store's zone, so many at most, ascending; none where there is no length.

    Parameters
    ----------
    store : ImgStore
        Whose zone counts.
    first, last : float
        Within which they lie.
    most : int
        How many are wanted, at least 3: steps of a clock are up to 2.5 times as long as the one before.
    """
    if not (math.isfinite(first) and math.isfinite(last) and last > first):
        return []
    step = next((step for step in _STEPS if (last - first) / step < most), last - first)
    offset = 0.0
    if is_date(first):
        with contextlib.suppress(ValueError, OverflowError, OSError):  # beyond the calendar
            offset = (store.convert_frame_time_to_datetime(first).utcoffset() or datetime.timedelta()).total_seconds()
    begin = math.ceil((first + offset) / step)
    return [k * step - offset for k in range(begin, math.floor((last + offset) / step) + 1)]


def read_time(store: Any, text: str, near: float, first: float) -> float:
    """Return the time in seconds that somebody has typed.

    Parameters
    ----------
    store : ImgStore
        Whose zone counts.
    text : str
        ``14:03:20.5`` or ``2026-11-29 14:03:20``; seconds as frames have them; ``+90`` for seconds from the first frame.
    near : float
        A time whose day is meant where none is given.
    first : float
        Time of the first frame.

    Raises
    ------
    ArgumentError
        It is no time.
    """
    text = " ".join(text.split())
    seconds = _SECONDS.fullmatch(text)
    if seconds is not None:
        value = float(seconds["value"])
        return {"": value, "+": first + value, "-": -value}[seconds["sign"]]
    moment = read_clock(store, text, near)
    if moment is None:
        raise ArgumentError(f"{text!r} is no time: 14:03:20.5, 2026-11-29 14:03:20, +90 for seconds from the start")
    return moment

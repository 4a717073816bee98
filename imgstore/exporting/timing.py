"""From the times of frames to the ticks of a video: variable, as they were recorded."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from imgstore.errors import ArgumentError

__all__ = ["Timing", "ticks_for"]

# The finest first. FFmpeg's Matroska counts milliseconds, GIF hundredths of a second.
_TICKS_PER_SECOND = {"mp4": (1_000_000, 90_000, 10_000, 1_000), "mkv": (1_000,), "gif": (100,)}
# Ticks of the longest interval. MP4 has 31 bits from when a frame is decoded to when it is shown, up to 16 frames later.
_LONGEST = {"mp4": 2**31 // 17, "mkv": 2**31 // 17, "gif": 2**16 - 1}
_USUAL_RATE = 25.0  # of a single frame, of which no interval tells


class Timing(NamedTuple):
    """When frames are shown.

    Attributes
    ----------
    pts : numpy.ndarray
        Ticks from the first frame on, int64 ``(n,)``, strictly increasing.
    durations : numpy.ndarray
        How many ticks each is shown, int64 ``(n,)``; the last one as long as is usual.
    time_base : Fraction
        Seconds of a tick.
    rate : float
        Usual frames per second.
    """

    pts: npt.NDArray[np.int64]
    durations: npt.NDArray[np.int64]
    time_base: Fraction
    rate: float


def ticks_for(store: Any, positions: range, kind: str, *, speed: float = 1.0, fps: float | None = None) -> Timing:
    """Turn the times of frames into ticks.

    Parameters
    ----------
    store : imgstore.store.ImgStore
        Open for reading.
    positions : range
        Which frames.
    kind : {'mp4', 'mkv', 'gif'}
        What holds them.
    speed : float
        How many times faster than it was recorded.
    fps : float, optional
        Frames per second, in place of the times.

    Raises
    ------
    ArgumentError
        The times are none that a video can have: they do not increase, or are nearer to each other than the file's ticks.
    """
    seconds = np.arange(len(positions)) / fps if fps is not None else _since_first(store, positions)
    seconds = seconds / speed
    intervals = np.diff(seconds)
    usual = float(np.median(intervals)) if len(intervals) else 1 / ((fps or _USUAL_RATE) * speed)
    finest, *coarser = _TICKS_PER_SECOND[kind]
    longest = float(intervals.max(initial=usual))
    per_second = next((n for n in (finest, *coarser) if longest * n <= _LONGEST[kind]), None)
    if per_second is None:
        raise ArgumentError(
            f"{store.filename}: there is a pause of {longest:.0f} s, longer than {kind} holds: export the parts before"
            " and after it, or give frames even times (--fps)"
        )
    pts = np.rint(seconds * per_second).astype(np.int64)
    steps = np.diff(pts)
    if bool((steps <= 0).any()):
        k = int(np.argmax(steps <= 0))
        other = "export fewer frames (--step) or more slowly (--speed)" if kind == "gif" else "export to mp4"
        raise ArgumentError(
            f"{store.filename}: the frames at positions {positions[k]} and {positions[k + 1]} are {intervals[k]:.3g} s"
            f" apart, and {kind} counts in steps of 1/{per_second} s: {other}"
        )
    last = max(1, round(usual * per_second))
    return Timing(pts, np.append(steps, last), Fraction(1, per_second), 1 / usual)


def _since_first(store: Any, positions: range) -> npt.NDArray[np.float64]:
    times = store.frame_times[positions.start : positions.stop : positions.step]
    since: npt.NDArray[np.float64] = times - times[0]
    forward = np.diff(times) > 0  # False of NaN too
    if not np.isfinite(times).all() or not forward.all():
        k = 0 if not np.isfinite(times[0]) else int(np.argmin(np.append(forward, False)))
        later = positions[min(k + 1, len(positions) - 1)]
        raise ArgumentError(
            f"{store.filename}: the time of the frame at position {later} is not later than that of the one before,"
            " and a video's times must increase: give frames even times with --fps, or export the parts"
        )
    return since

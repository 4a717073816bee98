"""Frame numbers and times of frames of which nothing is known but their order: guesses, and marked as such."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import numpy.typing as npt

from imgstore.beside.motif import get_parse_true_fps
from imgstore.disk.metadata import StoreMetadata
from imgstore.errors import ArgumentError

__all__ = ["ESTIMATED_NAME", "estimate"]

ESTIMATED_NAME = "_estimated"

Numbers = npt.NDArray[np.int64]
Times = npt.NDArray[np.float64]


def estimate(
    count: int, before: tuple[Numbers, Times] | None, after: tuple[Numbers, Times] | None, meta: StoreMetadata
) -> tuple[Numbers, Times] | None:
    """Continue the numbers and times of the frames before, or lead up to those after.

    Parameters
    ----------
    count : int
        How many are to be guessed.
    before, after : tuple of ndarray, optional
        Frame numbers and times of the nearest chunks that have any.
    meta : StoreMetadata
        Of the store; for its rate, where the chunks do not tell one.

    Returns
    -------
    tuple of ndarray or None
        Frame numbers (int64) and times (seconds, float64), both ``(count,)``; None where no rate is known.
    """
    known = before or after
    step, interval = 1, math.nan
    if known is not None and len(known[0]) > 1:
        step = int(np.median(np.diff(known[0]))) or 1
        interval = float(np.median(np.diff(known[1])))
    if not (math.isfinite(interval) and interval > 0):
        interval = _interval_from_metadata(meta)
    if not (math.isfinite(interval) and interval > 0):
        return None
    steps = np.arange(1, count + 1, dtype=np.int64)
    if before is not None:
        number, time = int(before[0][-1]), float(before[1][-1])
    elif after is not None:
        number, time = int(after[0][0]), float(after[1][0])
        steps -= count + 1
    else:
        number, time = -1, meta.created.timestamp() - interval
    return number + step * steps, time + np.asarray(interval * steps, np.float64)


def _interval_from_metadata(meta: StoreMetadata) -> float:
    rate = meta.values.get("fps")
    if not isinstance(rate, (int, float)):
        try:
            rate = get_parse_true_fps(SimpleNamespace(user_metadata=meta.user), math.nan)
        except ArgumentError:
            return math.nan
    return 1 / float(rate) if rate else math.nan

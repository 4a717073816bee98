"""Clocks of cameras: what one is ahead of another, and how much more every second."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from imgstore.errors import ArgumentError

__all__ = ["Clock", "as_clock", "fit_clock"]

Floats = npt.NDArray[np.float64]

_PAIRS = 20_000  # of frames, from which a clock is estimated


class Clock(NamedTuple):
    """What a store's clock is ahead of the reference's, by which its times are put right.

    Attributes
    ----------
    offset : float
        Seconds that it is ahead at the time `at`.
    drift : float
        Seconds that it gains in each second of its own.
    at : float
        A time of its own.
    """

    offset: float = 0.0
    drift: float = 0.0
    at: float = 0.0

    def put_right(self, times: Floats) -> Floats:
        """Return times of this clock as the reference's clock shows them."""
        if not self.offset and not self.drift:
            return times
        return times - (self.offset + self.drift * (times - self.at))


def as_clock(given: object) -> Clock:
    """Take a clock, its fields in a tuple, or an offset in seconds.

    Raises
    ------
    ArgumentError
        It is none of these, or not finite.
    """
    fields = tuple(given) if isinstance(given, (tuple, list)) else (given,)
    try:
        clock = Clock(*(float(field) for field in fields))
        if np.isfinite(clock).all():
            return clock
    except (TypeError, ValueError):
        pass
    raise ArgumentError(f"an offset is a number of seconds, or a Clock(offset, drift, at), not {given!r}")


def fit_clock(times: Floats, reference: Floats) -> Clock:
    """Estimate a clock from frames that were taken at the same moments.

    The median of slopes and the median of what is left (Theil and Sen): up to a quarter of the pairs may be wrong.

    Parameters
    ----------
    times, reference : ndarray of float64, shape (n,)
        Times of the same moments in seconds, on the clock in question and on the reference's.

    Returns
    -------
    Clock
    """
    known = np.flatnonzero(np.isfinite(times) & np.isfinite(reference))
    if not len(known):
        raise ArgumentError("there are no frames of the same moments from which a clock could be estimated")
    chosen = known[np.unique(np.linspace(0, len(known) - 1, _PAIRS).astype(np.intp))]
    chosen = chosen[np.argsort(times[chosen], kind="stable")]
    own, ahead = times[chosen], times[chosen] - reference[chosen]
    at, half = float(np.median(own)), len(own) // 2
    apart = own[half:] - own[: len(own) - half]
    gained = ahead[half:] - ahead[: len(ahead) - half]
    slopes = gained[apart > 0] / apart[apart > 0]
    drift = float(np.median(slopes)) if half and len(slopes) else 0.0
    return Clock(float(np.median(ahead - drift * (own - at))), drift, at)

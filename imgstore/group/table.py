"""The table of a group: for each step, where in each store its frame is."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from imgstore.errors import ArgumentError
from imgstore.group.camera import Camera
from imgstore.group.matching import (
    Direction,
    first_of_each,
    match_numbers,
    match_times,
    usual_interval,
    wrap_time,
)

__all__ = ["Align", "Table", "make_table"]

Align = Literal["number", "time"]
Floats = npt.NDArray[np.float64]

# Of the usual interval: a longer pause is a gap, as a camera's jitter is less. See also `imgstore.cli.info`.
_GAP = 1.5
_OF_A_WRAP = 4  # frames of the same number that are a quarter of a round apart are of the same round


class Table:
    """For each step the position of its frame in each store, and how far that is away in time.

    The positions are all that is kept; times and errors are made when they are asked for.

    Attributes
    ----------
    positions : ndarray of integers, shape (steps, stores)
        Position in the store, -1 where it has no frame for the step. Read-only.
    """

    def __init__(self, columns: npt.NDArray[Any], cameras: Sequence[Camera], reference: int | None):
        columns.flags.writeable = False
        self.columns: npt.NDArray[Any] = columns  # (stores, steps): what is looked at is of one store
        self._cameras = cameras
        self._reference = reference

    @property
    def positions(self) -> npt.NDArray[Any]:
        """Position of the frame of each step in each store, shape (steps, stores); -1 where there is none."""
        positions: npt.NDArray[Any] = self.columns.T
        return positions

    def __len__(self) -> int:
        return int(self.columns.shape[1])

    def __repr__(self) -> str:
        return f"<Table of {len(self)} steps, {len(self._cameras)} stores>"

    @property
    def times(self) -> Floats:
        """Times of the steps in seconds on the reference's clock, float64 (steps,).

        They are the times of the reference store's frames; without a reference those of the first store that has a frame.
        """
        times = np.full(len(self), math.nan)
        for column, camera in zip(self.columns, self._cameras, strict=True):
            if self._reference is None or camera is self._cameras[self._reference]:
                at = np.flatnonzero((column >= 0) & np.isnan(times))
                if len(at):
                    times[at] = camera.times()[column[at]]
        return times

    @property
    def errors(self) -> Floats:
        """Seconds by which each frame is later than its step, offsets put right, float64 (steps, stores); NaN: no frame."""
        steps = self.times
        errors = np.full(self.columns.shape, math.nan)
        for errors_of_one, column, camera in zip(errors, self.columns, self._cameras, strict=True):
            _subtract(camera.times(), column, steps, errors_of_one)
        by_step: Floats = errors.T
        return by_step

    def time_of(self, step: int) -> float:
        """Return the time of one step; see `times`."""
        cameras = range(len(self._cameras)) if self._reference is None else (self._reference,)
        for c in cameras:
            position = int(self.columns[c, step])
            if position >= 0:
                return self._cameras[c].moment(self._cameras[c].frame(position)[1])
        return math.nan


def make_table(
    cameras: Sequence[Camera],
    *,
    reference: int | None,
    align: Align,
    direction: Direction,
    tolerance: float | None,
) -> Table:
    """Match the frames of stores; see `imgstore.StoreGroup` for what the arguments mean.

    Raises
    ------
    ArgumentError
        A store has frames, but none for any step.
    """
    dtype = np.int32 if max(camera.count for camera in cameras) < 2**31 else np.int64
    if reference is None:
        _refuse_wraps(cameras)
        _, firsts = first_of_each([camera.numbers() for camera in cameras])
        return Table(np.array(firsts, dtype), cameras, None)
    master = cameras[reference]
    steps = master.times()
    numbers = master.numbers() if align == "number" else None
    around = wrap_time(numbers, steps) if numbers is not None and tolerance is None else math.inf
    columns = np.empty((len(cameras), len(steps)), dtype)

    def match(c: int) -> None:
        camera, out = cameras[c], columns[c]
        if c == reference:
            out[:] = np.arange(len(steps))
            return
        times = camera.times()
        if numbers is not None:
            own = camera.numbers()
            within = min(around, wrap_time(own, times)) / _OF_A_WRAP if tolerance is None else tolerance
            match_numbers(own, times, numbers, steps, direction=direction, tolerance=within, out=out)
        else:
            within = _usual_tolerance(times, steps, direction) if tolerance is None else tolerance
            match_times(times, steps, direction=direction, tolerance=within, out=out)

    # numpy lets other threads work meanwhile
    with ThreadPoolExecutor(min(len(cameras), os.cpu_count() or 1)) as pool:
        list(pool.map(match, range(len(cameras))))
    for camera, column in zip(cameras, columns, strict=True):
        if len(steps) and camera.count and not (column >= 0).any():
            raise ArgumentError(_nothing_in_common(camera, master, align))
    return Table(columns, cameras, reference)


def _usual_tolerance(times: Floats, steps: Floats, direction: Direction) -> float:
    """Return how far a frame is away at most where none is missing: half an interval, or one, and a camera's jitter."""
    interval = usual_interval(times)
    if math.isnan(interval):
        interval = usual_interval(steps)
    if math.isnan(interval):
        return math.inf
    return interval * _GAP * (0.5 if direction == "nearest" else 1)


def _refuse_wraps(cameras: Sequence[Camera]) -> None:
    for camera in cameras:
        numbers = camera.numbers()
        if math.isfinite(wrap_time(numbers, np.arange(len(numbers), dtype=np.float64))):
            raise ArgumentError(
                f"{camera.name}: its frame numbers start again, so that a number alone does not tell a frame;"
                " name a reference store, whose times tell which round is meant, or align='time'"
            )


def _nothing_in_common(camera: Camera, master: Camera, align: Align) -> str:
    def span(values: npt.NDArray[Any]) -> str:
        return f"{np.nanmin(values):.15g} to {np.nanmax(values):.15g}"

    def spans(of: Camera) -> str:
        what = f"times {span(of.times())}"
        return f"{of.name!r} has {what}" if align == "time" else f"{of.name!r} has numbers {span(of.numbers())}, {what}"

    return (
        f"no frame of {camera.name!r} belongs to any of {master.name!r}: {spans(camera)}; {spans(master)}."
        " Do they belong together? Clocks that differ are put right by offsets=, a larger tolerance= takes what is further away"
    )


def _subtract(times: Floats, column: npt.NDArray[Any], steps: Floats, out: Floats) -> None:
    at = np.flatnonzero(column >= 0)
    out[at] = times[column[at]] - steps[at]

"""Which frame belongs to a step, against definitions that look at every frame, with exact arithmetic."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from imgstore.errors import ArgumentError
from imgstore.group import Clock, matching
from imgstore.group.clocks import as_clock, fit_clock
from imgstore.group.matching import Direction, first_of_each, match_numbers, match_times, usual_interval, wrap_time

NAN, INF = float("nan"), float("inf")
DIRECTIONS = st.sampled_from(["nearest", "backward", "forward"])
# times that tie and that come again, and any others
TIMES = st.integers(-8, 24).map(lambda k: k / 8) | st.floats(-1e3, 1e3) | st.sampled_from([1.7e9, 1.7e9 + 0.25, NAN])
TOLERANCES = st.sampled_from([0.0, 0.125, 0.5, 2.0, INF])
BLOCKS = st.sampled_from([1, 3, 8192])


@contextmanager
def setting(**values: int) -> Iterator[None]:
    """Let there be blocks of few steps, and few runs."""
    before = {name: getattr(matching, name) for name in values}
    try:
        for name, value in values.items():
            setattr(matching, name, value)
        yield
    finally:
        for name, value in before.items():
            setattr(matching, name, value)


def allowed(time: float, moment: float, direction: Direction) -> bool:
    return direction == "nearest" or (time >= moment if direction == "forward" else time <= moment)


def by_time(times: list[float], moment: float, direction: Direction, tolerance: float) -> int:
    """Go through all frames; the first of the nearest in store order."""
    frames = [
        (abs(Fraction(time) - Fraction(moment)), position)
        for position, time in enumerate(times)
        if math.isfinite(time) and math.isfinite(moment) and allowed(time, moment, direction)
    ]
    if not frames:
        return -1
    _, position = min(frames)
    return position if abs(times[position] - moment) <= tolerance else -1


def by_number(
    frames: list[tuple[int, float]], number: int, moment: float, direction: Direction, tolerance: float
) -> set[int]:
    """Return the frame that may be taken; several where only what rounding took from the distances tells them apart."""
    found: list[tuple[float, Fraction, int]] = []
    for position, (n, time) in enumerate(frames):
        timed = math.isfinite(time) and math.isfinite(moment)
        if n == number and timed and allowed(time, moment, direction) and abs(time - moment) <= tolerance:
            found.append((abs(time - moment), abs(Fraction(time) - Fraction(moment)), position))
        elif n == number and not timed and direction == "nearest" and tolerance == INF:
            found.append((INF, Fraction(0), position))
    if not found:
        return {-1}
    nearest = [frame for frame in found if frame[0] == min(found)[0]]
    exact = {distance for _, distance, _ in nearest}
    return {position for _, _, position in (nearest if len(exact) > 1 else nearest[:1])}


def last(time: float) -> tuple[bool, float]:
    return math.isnan(time), time


@given(st.lists(TIMES, max_size=12), st.lists(TIMES, max_size=8), DIRECTIONS, TOLERANCES, st.booleans(), BLOCKS)
def test_nearest_time(
    times: list[float], wanted: list[float], direction: Direction, tolerance: float, ordered: bool, block: int
) -> None:
    if ordered:
        times, wanted = sorted(times, key=last), sorted(wanted, key=last)
    with setting(_BLOCK=block):
        got = match_times(np.array(times, float), np.array(wanted, float), direction=direction, tolerance=tolerance)
    assert got.tolist() == [by_time(times, moment, direction, tolerance) for moment in wanted]


NUMBERS = st.integers(0, 4) | st.sampled_from([2**63 - 1, -(2**63)])


@given(
    st.lists(st.tuples(NUMBERS, TIMES), max_size=14),
    st.lists(st.tuples(NUMBERS, TIMES), max_size=8),
    DIRECTIONS,
    TOLERANCES,
    st.booleans(),
    st.sampled_from([0, 64]),
    BLOCKS,
)
@example([(0, 1 / 8), (0, 0.0)], [(0, NAN)], "nearest", INF, False, 0, 1)
@example([(0, NAN)], [(0, 0.0)], "forward", INF, False, 0, 1)
def test_same_number(
    frames: list[tuple[int, float]],
    steps: list[tuple[int, float]],
    direction: Direction,
    tolerance: float,
    ordered: bool,
    most_runs: int,
    block: int,
) -> None:
    if ordered:
        frames.sort(key=lambda frame: last(frame[1]))
    with setting(_BLOCK=block, _MOST_RUNS=most_runs):
        got = match_numbers(
            np.array([n for n, _ in frames], np.int64),
            np.array([t for _, t in frames], float),
            np.array([n for n, _ in steps], np.int64),
            np.array([t for _, t in steps], float),
            direction=direction,
            tolerance=tolerance,
        )
    for position, (number, moment) in zip(got.tolist(), steps, strict=True):
        assert position in by_number(frames, number, moment, direction, tolerance)


@given(st.lists(st.lists(st.integers(-3, 6) | st.sampled_from([2**40]), max_size=8), min_size=1, max_size=4))
def test_first_frame_of_each_number(stores: list[list[int]]) -> None:
    union, positions = first_of_each([np.array(numbers, np.int64) for numbers in stores])
    assert union.tolist() == sorted({n for numbers in stores for n in numbers})
    for numbers, column in zip(stores, positions, strict=True):
        assert column.tolist() == [numbers.index(n) if n in numbers else -1 for n in union.tolist()]


def test_tie_that_rounding_makes_is_none() -> None:
    near, moment, far = 1e-17, 1.0, 2.0
    assert moment - near == far - moment
    assert Fraction(moment) - Fraction(near) < Fraction(far) - Fraction(moment)
    assert match_times(np.array([far, near]), np.array([moment])).tolist() == [1]


def camera(rate: float, count: int, seed: int, drift: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Return numbers that wrap and repeat, and times, of a camera that drops frames."""
    rng = np.random.default_rng(seed)
    shot = np.flatnonzero(rng.random(count) > 0.02)
    times = 1.7e9 + np.sort(shot / rate * (1 + drift) + rng.normal(0, 0.1 / rate, len(shot)))
    numbers = shot % 700
    again = np.flatnonzero(rng.random(len(shot)) < 0.01)[1:]
    numbers[again] = numbers[again - 1]
    return numbers.astype(np.int64), times


def looked_for(times: np.ndarray, moments: np.ndarray, tolerance: float, may_be: np.ndarray | None = None) -> list[int]:
    """Look at every frame for every step."""
    distance = np.abs(times[None, :] - moments[:, None])
    if may_be is not None:
        distance[~may_be] = INF
    return np.where(distance.min(axis=1) <= tolerance, distance.argmin(axis=1), -1).tolist()


@pytest.mark.parametrize("shuffled", [False, True])
@pytest.mark.parametrize("count", [1000, pytest.param(10_000, marks=pytest.mark.long)])
def test_long_recordings_against_looking_at_every_frame(count: int, shuffled: bool) -> None:
    numbers, times = camera(30, count, 1)
    others = [camera(30, count + 100, seed, 50e-6 * (seed - 3)) for seed in range(2, 6)] + [camera(100, 3 * count, 6)]
    if shuffled:
        order = np.random.default_rng(4).permutation(len(others[0][0]))
        others[0] = others[0][0][order], others[0][1][order]
    with setting(_BLOCK=256 if count < 8192 else 8192):
        for own, at in others:
            by_time = match_times(at, times, tolerance=0.012)
            by_number = {
                tolerance: match_numbers(own, at, numbers, times, tolerance=tolerance) for tolerance in (0.05, 6.0)
            }
            for k in range(0, len(times), 500):
                part = slice(k, k + 500)
                assert by_time[part].tolist() == looked_for(at, times[part], 0.012)
                same = own[None, :] == numbers[part, None]
                for tolerance, found in by_number.items():
                    assert found[part].tolist() == looked_for(at, times[part], tolerance, same)


def test_usual_interval_leaves_gaps_aside() -> None:
    assert math.isnan(usual_interval(np.array([1.0])))
    assert math.isnan(usual_interval(np.array([1.0, 1.0])))
    times = np.cumsum([0.04] * 900 + [60.0] + [0.04] * 900 + [-5.0] + [0.04] * 900)
    assert usual_interval(times) == pytest.approx(0.04)


@pytest.mark.parametrize(
    ("numbers", "seconds"),
    [
        (np.arange(1000), INF),
        (np.arange(1000) % 256, 25.6),
        (np.arange(200, 300) % 256, INF),  # started again, and no number came twice
        (np.arange(1000) // 2, INF),
        (np.append(np.arange(500), np.arange(490, 500)), INF),  # a few came again: no new round
        (np.append(np.arange(-300, 0), np.arange(0, 300)), INF),
        (np.empty(0, int), INF),
        (np.array([7]), INF),
    ],
)
def test_numbers_that_start_again(numbers: np.ndarray, seconds: float) -> None:
    assert wrap_time(numbers.astype(np.int64), np.arange(len(numbers)) / 10) == pytest.approx(seconds)


def test_clock_is_found_although_some_pairs_are_wrong() -> None:
    reference = 1.7e9 + np.arange(5000) / 30
    true = Clock(2.5, 60e-6, 1.7e9)
    own = (reference + true.offset - true.drift * true.at) / (1 - true.drift)
    np.testing.assert_allclose(true.put_right(own), reference, atol=1e-6)
    own[::7] += 3.0
    found = fit_clock(own, reference)
    assert found.drift == pytest.approx(60e-6, abs=1e-6)
    good = np.arange(5000) % 7 > 0
    np.testing.assert_allclose(found.put_right(own)[good], reference[good], atol=1e-3)


def test_clocks_from_what_people_give() -> None:
    assert as_clock(2) == (2.0, 0.0, 0.0)
    assert as_clock((1.5, 1e-6, 10)) == (1.5, 1e-6, 10.0)
    for wrong in ("x", None, NAN, (1, 2, 3, 4), INF):
        with pytest.raises(ArgumentError, match="offset"):
            as_clock(wrong)
    with pytest.raises(ArgumentError, match="no frames of the same moments"):
        fit_clock(np.array([NAN]), np.array([1.0]))

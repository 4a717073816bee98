"""The page in Firefox: the same frames by the same keys."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from coded_frames import decoded, record
from firefox import FirefoxPage, firefox

import imgstore

END, HOME, PAGE_DOWN, RIGHT = "\ue010", "\ue011", "\ue00f", "\ue014"


@pytest.fixture(scope="module")
def driver(need_module: Callable[[str], Any]) -> Iterator[Any]:
    need_module("websocket")
    with firefox() as driver:
        yield driver


def look_about(driver: Any, url: str, path: Path, *, jumps: int, steps: int) -> None:
    """Jump, step and play; what is seen is what it is called, and the store's own."""
    seen = FirefoxPage(driver, url)
    with imgstore.new_for_filename(path) as store:
        lost = int(np.flatnonzero(np.diff(store.frame_numbers) > 1)[0]) + 1
        last = store.frame_count - 1

        def check(index: int) -> None:
            found, pixels = seen.at(index)
            assert found["number"] == str(store.frame_numbers[index]) == str(decoded(pixels))
            assert np.array_equal(pixels, store[index])

        check(0)
        for key, wanted in ((RIGHT, 1), (".", 2), (",", 1), (END, last), (HOME, 0), (PAGE_DOWN, lost)):
            seen.press(key)
            check(wanted)
        generator = random.Random(jumps)
        for _ in range(jumps):
            wanted = generator.randrange(last + 1)
            seen.run("location.hash = '#index=' + arguments[0]", wanted)
            check(wanted)
        seen.press(HOME)
        check(0)
        seen.press(*[RIGHT] * steps)
        check(steps)
        seen.press("l")
        before = steps
        for _ in range(10):
            found, pixels = seen.seen()
            assert str(decoded(np.where(pixels > 128, 255, 0))) == found["number"]  # a preview is a JPEG
            assert int(found["index"]) >= before
            before = int(found["index"])
            time.sleep(0.05)
        seen.press("k")
        assert before > steps
    assert seen.faults() == []


@pytest.mark.long
def test_looking_about_in_firefox(driver: Any, serve: Callable[..., Any], tmp_path: Path) -> None:
    path = record(tmp_path / "store", "avc1/mp4", 300, lost={150, 151})
    look_about(driver, serve(path).url, path, jumps=5, steps=6)


@pytest.mark.long
@pytest.mark.parametrize("fmt", ["avc1/mp4", "npy"])
def test_many_jumps_in_firefox(driver: Any, serve: Callable[..., Any], tmp_path: Path, fmt: str) -> None:
    path = record(tmp_path / "store", fmt, 2000, lost={150, 151})
    look_about(driver, serve(path).url, path, jumps=100, steps=50)

"""What info tells of times: how regular they are, clocks that are set, summer time; and how it is drawn."""

from __future__ import annotations

import zoneinfo
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
from commands import typed
from hypothesis import given
from hypothesis import strategies as st
from scenes import write_store

import imgstore
from imgstore.cli._facts import describe_intervals, find_gaps, find_zone_changes
from imgstore.cli._plot import Panel, panels_of

START = 1_700_000_000.0


def test_intervals() -> None:
    told = describe_intervals(np.array([0.0, 0.1, 0.2, 0.3, 0.8]))
    assert told == pytest.approx({"shortest": 0.1, "usual": 0.1, "longest": 0.5, "mean": 0.2, "jitter": 0.28})
    assert describe_intervals(np.array([1.0])) is None


def test_clocks_that_are_set_are_told_from_lost_frames() -> None:
    times = np.array([0.0, 0.1, 0.2, 0.5, 0.6, 3.6, 3.7, 3.2, 3.3])
    gaps = find_gaps(np.array([0, 1, 2, 5, 6, 7, 8, 9, 10]), times)
    assert [(gap["frame_number"], gap["missing"]) for gap in gaps["time_gaps"]] == [(5, 2), (7, 0)]
    assert gaps["frames_lost_by_time"] == 2 + 29
    ((number, seconds),) = [(step["frame_number"], step["seconds"]) for step in gaps["clock_steps"]]
    assert number == 9 and seconds == pytest.approx(-0.5)


def test_summer_time() -> None:
    zone = zoneinfo.ZoneInfo("Europe/Vienna")
    march, october = 1711846800, 1729990800  # 2024-03-31 and 2024-10-27, 01:00 UTC
    (change,) = find_zone_changes(np.array([march - 5e5, march + 3.0]), zone)
    assert change == {"time": march, "before": 3600.0, "after": 7200.0}
    assert [c["time"] for c in find_zone_changes(np.array([march - 1.0, october + 1.0]), zone)] == [march, october]
    assert find_zone_changes(np.array([march, march + 1e6]), zone) == []
    assert find_zone_changes(np.array([0.0, 1e6]), zone) == []


@given(st.lists(st.floats(0, 100), min_size=1, max_size=200), st.integers(1, 30))
def test_no_value_hides_behind_others(values: list[float], count: int) -> None:
    seconds = np.linspace(0, 10, len(values))
    panel = Panel("", seconds, np.array(values), np.array([[3.0, 3.0]]), 10.0)
    low, high = panel.columns(count)
    assert np.nanmax(high) == max(values) and np.nanmin(low) == min(values)
    ((first, last),) = panel.gap_columns(count)
    assert 0 <= first == last < count


@pytest.fixture
def recording(tmp_path: Path) -> str:
    with imgstore.new_for_format("png", tmp_path / "s", imgshape=(8, 8)) as store:
        for k in range(50):
            store.add_image(np.zeros((8, 8), np.uint8), k, START + k / 10 + (k >= 30) * 0.4)
            store.add_extra_data(temperature=20 + k % 7, note="x")
    return str(tmp_path / "s")


def test_plots_in_the_terminal_and_in_files(recording: str, tmp_path: Path) -> None:
    done = typed("info", recording, "--plot")
    assert done.returncode == 0 and "interval between frames, ms" in done.stdout and "\u25b2" in done.stdout
    assert "temperature" in done.stdout.split("metadata")[-1]
    assert typed("info", recording, "--plot-file", tmp_path / "p.svg").returncode == 0
    root = ElementTree.parse(tmp_path / "p.svg").getroot()
    groups = root.findall("{*}g")
    assert [group.findtext("{*}title") for group in groups] == ["interval between frames, ms", "temperature"]
    (gap,) = (rect for rect in groups[0].findall("{*}rect") if rect.get("class") == "gap")
    assert float(gap.get("x", 0)) == pytest.approx(90 + 1000 * 2.9 / 5.3, abs=1.5) and int(gap.get("width", 0)) >= 1
    assert typed("info", recording, "--plot-file", tmp_path / "p.png").returncode == 0
    img = cv2.imread(str(tmp_path / "p.png"))
    assert img is not None and (img[..., 0].astype(int) - img[..., 2] > 80).any()
    assert typed("info", recording, "--plot-file", tmp_path / "p.txt").returncode == 2
    with imgstore.new_for_filename(recording) as store:
        assert [panel.title for panel in panels_of(store)] == ["interval between frames, ms", "temperature"]


def test_text_of_one_and_lines_of_several(recording: str, tmp_path: Path) -> None:
    told = typed("info", recording).stdout
    assert "100 ms, nine tenths within a microsecond; 100 to 500 ms" in told and "where no number is missing" in told
    other = write_store(tmp_path / "t", "npy", 3)
    done = typed("info", recording, other, tmp_path / "none")
    assert done.returncode == 2 and "none" in done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    assert lines[2][:4] == ["s", "png", "50", "10"] and lines[3][:4] == ["t", "npy", "3", "2"]

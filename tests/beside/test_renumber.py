"""Records of extra data whose frames get other numbers."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgstore.beside.records import dumps_record, load_records, records_path, write_records
from imgstore.beside.renumber import renumber_records
from imgstore.errors import ExtraDataError, ImgStoreWarning

BEFORE = "_frame_number_before_reindex"


def test_records_get_the_numbers_of_their_frames(tmp_path: Path) -> None:
    """What 0.4.0 makes of it, but for the times, which it cuts to ten decimals."""
    old, new = np.array([5, 5, 6, 0, 5]), np.array([-3, -2, -1, 0, 5])
    times = np.array([1000.1, 1000.2428571428571, 1000.3857142857144, 1000.5285714285715, 1000.6714285714286])
    records = [
        {"a": k, "frame_time": times[i], "frame_number": int(old[i]), "frame_index": i}
        for k, i in enumerate([0, 1, 2, 4])
    ]
    write_records(str(tmp_path / "000000"), map(dumps_record, records))
    path = str(tmp_path / "000000.extra.json")
    assert renumber_records(path, old, times, new) == 4
    assert load_records(path) == [
        {**record, "frame_number": n, BEFORE: record["frame_number"]}
        for record, n in zip(records, [-3, -2, -1, 5], strict=True)
    ]
    assert list(load_records(path)[0]) == ["a", "frame_time", "frame_number", "frame_index", BEFORE]


def test_renumbering_again_changes_nothing_and_keeps_the_first_numbers(tmp_path: Path) -> None:
    old, new, times = np.array([3, 4, 0]), np.array([-2, -1, 0]), np.array([1.0, 2.0, 3.0])
    records = [{"frame_number": int(n), "frame_index": i, "frame_time": times[i]} for i, n in enumerate(old)]
    write_records(str(tmp_path / "000000"), map(dumps_record, records))
    path = str(tmp_path / "000000.extra.json")
    renumber_records(path, old, times, new)
    once = Path(path).read_bytes()
    renumber_records(path, new, times, new)
    assert Path(path).read_bytes() == once


def test_records_whose_index_was_renumbered_before_them(tmp_path: Path) -> None:
    """A reindex that died between a chunk's index and its records, and runs again."""
    old, new, times = np.array([1, 2, 0, 1, 2]), np.array([-2, -1, 0, 1, 2]), np.arange(5.0)
    records = [{"frame_number": int(n), "frame_index": i, "frame_time": times[i]} for i, n in enumerate(old)]
    write_records(str(tmp_path / "000000"), map(dumps_record, records))
    path = str(tmp_path / "000000.extra.json")
    renumber_records(path, new, times, new)
    assert [(r["frame_number"], r[BEFORE]) for r in load_records(path)] == list(zip(new, old, strict=True))


def test_records_whose_frame_cannot_be_told_stay_as_they_are(tmp_path: Path) -> None:
    records = [
        {"frame_number": math.nan, "frame_time": math.nan, "frame_index": -1},  # added before the first frame
        {"frame_number": 77, "frame_index": 1, "frame_time": 5.0},  # of a frame that is gone
        {"frame_number": 77, "frame_index": 99},
        {"a": 1},
        {"frame_number": None, "frame_index": 0},
        {"frame_number": "3", "frame_index": 0},
        {"frame_number": True, "frame_index": 0},
        {"frame_number": 3},  # there are two of them, and no time to tell
        {"frame_number": 4, "frame_index": "x"},
    ]
    write_records(str(tmp_path / "000000"), map(dumps_record, records))
    path = str(tmp_path / "000000.extra.json")
    numbers = np.array([3, 3, 4, 0])
    with pytest.warns(ImgStoreWarning, match="000000.extra.json.*8 records"):
        assert renumber_records(path, numbers, np.arange(4.0), np.array([-3, -2, -1, 0])) == 1
    got = load_records(path)
    assert repr(got[:-1]) == repr(records[:-1])
    assert got[-1] == {**records[-1], "frame_number": -1, BEFORE: 4}


def test_nothing_to_renumber_leaves_the_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "000000.extra.json"
    path.write_text('[ {"a":1} ]')
    with pytest.warns(ImgStoreWarning):
        assert renumber_records(str(path), np.array([0]), np.array([0.0]), np.array([0])) == 0
    assert path.read_text() == '[ {"a":1} ]'
    path.write_text("garbage")
    with pytest.raises(ExtraDataError, match="000000.extra.json"):
        renumber_records(str(path), np.array([0]), np.array([0.0]), np.array([0]))
    assert path.read_text() == "garbage"


@given(st.data())
def test_every_record_follows_its_frame_after_chunks_were_deleted(tmp_path_factory: Any, data: Any) -> None:
    numbers = data.draw(st.lists(st.integers(-5, 5), min_size=2, max_size=12))
    times = np.cumsum(data.draw(st.lists(st.floats(0.01, 2), min_size=len(numbers), max_size=len(numbers))))
    gone = data.draw(st.integers(0, len(numbers) - 1))
    records = [
        {"frame_number": n, "frame_index": i, "frame_time": times[i]} for i, n in enumerate(numbers) if i >= gone
    ]
    base = str(tmp_path_factory.mktemp("renumber") / "000000")
    write_records(base, map(dumps_record, records), sync=False)
    left, new = np.array(numbers[gone:]), np.arange(1000, 1000 + len(numbers) - gone)
    assert renumber_records(records_path(base), left, times[gone:], new, sync=False) == len(records)
    assert [record["frame_number"] for record in load_records(records_path(base))] == new.tolist()

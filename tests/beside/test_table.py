"""Tables and lists of records: no value is another than was recorded."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import imgstore
from imgstore.beside.extra_data import read_extra_data, read_extra_records
from imgstore.beside.records import dumps_record, records_path, write_records

CLOCK = 1_700_000_000_123_456_789  # nanoseconds, as cameras give them: a float64 would be wrong by 21


def is_missing(value: Any) -> bool:
    return value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value))


@pytest.mark.parametrize(
    ("chunks", "dtype", "values"),
    [
        # as in 0.x, where a float64 holds them all
        ([[{"x": 1}, {"x": 2}]], "int64", [1, 2]),
        ([[{"x": 1}, {}]], "float64", [1, None]),
        ([[{"x": 2**53}], [{"y": 1}]], "float64", [2**53, None]),
        ([[{"x": 1.5}, {"x": None}, {"x": 3}]], "float64", [1.5, None, 3]),
        ([[{"x": CLOCK}, {"x": CLOCK + 1}]], "int64", [CLOCK, CLOCK + 1]),
        # and whole where it does not
        ([[{"x": CLOCK}, {}]], "Int64", [CLOCK, None]),
        ([[{"x": CLOCK}, {"x": None}, {"x": math.nan}]], "Int64", [CLOCK, None, None]),
        ([[{"x": CLOCK}], [{"y": 1}]], "Int64", [CLOCK, None]),
        ([[{"x": CLOCK}, {}], [{"x": 7}]], "Int64", [CLOCK, None, 7]),
        ([[{"x": 7}, {}], [{"x": CLOCK}]], "Int64", [7, None, CLOCK]),
        ([[{"x": -CLOCK}, {}]], "Int64", [-CLOCK, None]),
        ([[{"x": 2**63 + 1}, {}]], "UInt64", [2**63 + 1, None]),
        ([[{"x": 2**63 + 1}], [{"x": 1}]], "UInt64", [2**63 + 1, 1]),
        ([[{"x": 2**63 + 1}, {}], [{"x": -1}]], "object", [2**63 + 1, None, -1]),
        ([[{"x": CLOCK}, {"x": 2.0}]], "Int64", [CLOCK, 2]),
        ([[{"x": CLOCK}, {"x": math.inf}]], "object", [CLOCK, math.inf]),
        ([[{"x": CLOCK}, {"x": 0.5}]], "object", [CLOCK, 0.5]),
        ([[{"x": CLOCK}], [{"x": 0.5}]], "object", [CLOCK, 0.5]),
        ([[{"x": 2**70}, {}]], "object", [2**70, None]),
    ],
)
def test_integers_keep_their_digits(chunks: list[list[dict[str, Any]]], dtype: str, values: list[Any]) -> None:
    table = read_extra_data(chunks)
    assert table is not None
    assert str(table["x"].dtype) == dtype
    found = [None if is_missing(value) else value for value in table["x"].astype(object).tolist()]
    assert found == values


anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.sampled_from([2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63), 2**63, 2**64 - 1]),
    st.floats(),
    st.text(),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(), st.integers(), max_size=2),
)
chunks_of_records = st.lists(st.lists(st.dictionaries(st.sampled_from("abc"), anything), max_size=4), max_size=3)


def same(a: Any, b: Any) -> bool:
    return type(a) is type(b) and (a == b or (a != a and b != b))


@given(chunks_of_records)
def test_whatever_is_recorded_comes_back(tmp_path_factory: Any, chunks: list[list[dict[str, Any]]]) -> None:
    root = tmp_path_factory.mktemp("records")
    paths = [str(root / f"{n:06d}") for n in range(len(chunks))]
    for path, records in zip(paths, chunks, strict=True):
        write_records(path, [dumps_record(record) for record in records], sync=False)
    recorded = [record for records in chunks for record in records]

    files = [records_path(path) for path in paths]
    found = read_extra_records(files)
    assert [list(record) for record in found] == [list(record) for record in recorded]
    for got, record in zip(found, recorded, strict=True):
        assert all(same(got[key], value) for key, value in record.items())

    table = read_extra_data(files)
    assert (table is None) == (not chunks)
    for n, record in enumerate(recorded):
        assert table is not None
        for key in table.columns:
            cell, value = table[key].iloc[n], record.get(key)
            if is_missing(value):
                assert is_missing(cell)
            else:
                assert cell == value
                assert not isinstance(value, int) or int(cell) == value  # numpy compares large ones as floats


def test_records_of_a_store_are_those_that_were_added(tmp_path: Path) -> None:
    added: list[dict[str, Any]] = [
        {"note": "before the first frame"},
        {"clock": CLOCK, "force": math.nan, "cue": None, "trial": 7},
        {"licks": 3},
        {"clock": CLOCK + 1, "pose": [1, [2.5, None]]},
    ]
    store = imgstore.new_for_format("npy", tmp_path / "store", imgshape=(4, 4), chunksize=2)
    store.add_extra_data(**added[0])
    for n, record in enumerate(added[1:]):
        store.add_image(np.zeros((4, 4), np.uint8), 10 + n, n / 2)
        store.add_extra_data(**record)

    def check() -> None:
        with imgstore.new_for_filename(tmp_path / "store") as reader:
            records = reader.get_extra_records()
            table = reader.get_extra_data()
        marks = [(math.nan, math.nan, -1), (10, 0.0, 0), (11, 0.5, 1), (12, 1.0, 2)]
        for record, values, (number, time, index) in zip(records, added, marks, strict=True):
            whole = {**values, "frame_time": time, "frame_number": number, "frame_index": index}
            assert list(record) == list(whole)
            assert all(same(record[key], value) for key, value in whole.items())
        assert table["clock"].dropna().tolist() == [CLOCK, CLOCK + 1]
        assert len(table) == len(records)

    check()  # while its last chunk is being written
    store.close()
    check()


def test_a_store_without_records_has_none(tmp_path: Path) -> None:
    imgstore.new_for_format("npy", tmp_path / "store", imgshape=(4, 4)).close()
    with imgstore.new_for_filename(tmp_path / "store") as store:
        assert store.get_extra_records() == []

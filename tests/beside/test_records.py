"""Records of extra data: encoding them, writing them, reading them again."""

from __future__ import annotations

import datetime
import json
import math
import os
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgstore import util
from imgstore.beside.extra_data import read_extra_data, read_extra_records
from imgstore.beside.records import dumps_record, load_records, records_path, write_records
from imgstore.errors import ArgumentError, ExtraDataError


class Sub(float):
    pass


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (np.int8(-3), "-3"),
        (np.uint64(2**64 - 1), "18446744073709551615"),
        (np.float32(0.1), "0.10000000149011612"),
        (np.float16(0.1), "0.0999755859375"),
        (np.float64(0.1), "0.1"),
        (np.longdouble(0.5), "0.5"),
        (np.bool_(True), "true"),
        (np.str_("q"), '"q"'),
        (np.bytes_(b"xy"), '"xy"'),
        (np.arange(4).reshape(2, 2), "[[0, 1], [2, 3]]"),
        (np.array([1.5, np.nan]), "[1.5, NaN]"),
        (np.array([0.5], np.longdouble), "[0.5]"),
        (np.array([1 + 2j]), "[[1.0, 2.0]]"),
        (np.array(["a", "b"]), '["a", "b"]'),
        (np.array([1, "x", None], object), '[1, "x", null]'),
        (np.array(5), "5"),
        (np.array([True]), "[true]"),
        (np.array([(1, 2.0)], [("a", "i4"), ("b", "f8")]), "[[1, 2.0]]"),
        (np.array([(1, 2.0)], [("a", "i4"), ("b", "f8")])[0], "[1, 2.0]"),
        (np.datetime64("2020-01-02T03:04:05.678901234"), '"2020-01-02T03:04:05.678901234"'),
        (np.array(["2020-01-02"], "M8[D]"), '["2020-01-02"]'),
        (np.timedelta64(1500, "ms"), "1.5"),
        (np.array([5, 6], "m8[s]"), "[5.0, 6.0]"),
        (np.ma.array([1, 2], mask=[0, 1]), "[1, null]"),
        (b"abc", '"abc"'),
        ("é".encode(), '"\\u00e9"'),
        (bytearray(b"xy"), '"xy"'),
        (memoryview(b"xy"), '"xy"'),
        ({3, 1, 2}, "[1, 2, 3]"),
        (frozenset(["b", "a"]), '["a", "b"]'),
        (1 + 2j, "[1.0, 2.0]"),
        (np.complex64(1 + 2j), "[1.0, 2.0]"),
        (datetime.datetime(2020, 1, 2, 3, 4, 5, 678), '"2020-01-02T03:04:05.000678"'),
        (
            datetime.datetime(2020, 1, 2, 3, 4, 5, 678, datetime.timezone.utc),
            '"2020-01-02T03:04:05.000678+00:00"',
        ),
        (pd.Timestamp("2020-01-02", tz="UTC"), '"2020-01-02T00:00:00+00:00"'),
        (datetime.date(2020, 1, 2), '"2020-01-02"'),
        (datetime.time(1, 2, 3), '"01:02:03"'),
        (datetime.timedelta(seconds=1.5), "1.5"),
        (PurePosixPath("/a/b"), '"/a/b"'),
        (math.nan, "NaN"),
        (math.inf, "Infinity"),
        (-np.float64(math.inf), "-Infinity"),
        (np.float32(math.nan), "NaN"),
        (10**30, str(10**30)),
        ("a\nb\u2028", '"a\\nb\\u2028"'),
        (Sub(0.5), "0.5"),
        ({"n": [{1}, b"x", np.int64(2)]}, '{"n": [[1], "x", 2]}'),
        ((1, None, True), "[1, null, true]"),
    ],
    ids=lambda v: f"{type(v).__module__}.{type(v).__name__}" if not isinstance(v, str) else v[:20],
)
def test_values_are_encoded(value: Any, text: str) -> None:
    line = dumps_record({"k": value})
    assert line == f'{{"k": {text}}}'
    assert json.dumps(value, cls=util.JsonCustomEncoder) == text
    assert "\n" not in line


def test_sets_that_have_no_order_are_kept_whole() -> None:
    assert sorted(json.loads(dumps_record({"k": {1, "a", None}}))["k"], key=str) == [1, None, "a"]


circular: list[Any] = []
circular.append(circular)
deep: list[Any] = []
for _ in range(100_000):
    deep = [deep]


@pytest.mark.parametrize(
    "value", [object(), len, b"\xff\xfe", {(1, 2): 3}, {"x": {object()}}, circular, deep, np.array([object()])]
)
def test_value_that_json_cannot_hold_is_an_error_that_names_its_key(value: Any) -> None:
    with pytest.raises(ArgumentError, match="'bad'"):
        dumps_record({"good": 1, "bad": value})


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(st.dictionaries(st.text(), json_values, max_size=4), max_size=4))
def test_records_come_back_as_they_were_written(tmp_path_factory: Any, records: list[dict[str, Any]]) -> None:
    base = str(tmp_path_factory.mktemp("records") / "000000")
    write_records(base, map(dumps_record, records), sync=False)
    assert os.listdir(os.path.dirname(base)) == ["000000.extra.json"]
    assert repr(load_records(records_path(base))) == repr(records)  # repr: NaN is not equal to itself
    with open(records_path(base), encoding="ascii") as file:
        assert repr(json.load(file)) == repr(records)  # what 0.x does


def test_writing_replaces_whole_or_not_at_all(tmp_path: Path) -> None:
    base = str(tmp_path / "000000")
    write_records(base, [dumps_record({"a": 1})])

    def torn() -> Any:
        yield dumps_record({"a": 2})
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_records(base, torn())
    assert load_records(records_path(base)) == [{"a": 1}]
    assert os.listdir(tmp_path) == ["000000.extra.json"]


rows = st.lists(st.dictionaries(st.sampled_from(["frame_number", "frame_index", "sensor_time", "x"]), json_values))
huge = st.sampled_from(
    [[{"x": 10**400}, {"x": 0.5}], [{"x": 10**400}, {}], {"x": [10**400, None]}, [{"frame_number": 10**400}]]
)


@pytest.mark.parametrize("extension", [".extra.json", ".extra_data.json"])
@given(st.one_of(st.binary(max_size=50), (json_values | rows | huge).map(lambda value: json.dumps(value).encode())))
def test_any_content_is_an_error_or_records(tmp_path_factory: Any, extension: str, content: bytes) -> None:
    path = tmp_path_factory.mktemp("any") / f"000000{extension}"
    path.write_bytes(content)
    try:
        records = read_extra_records([str(path)])
        table = read_extra_data([str(path)])
    except ExtraDataError as error:
        assert path.name in str(error)
        return
    assert len(records) == (0 if table is None else len(table))

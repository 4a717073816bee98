"""Extra data: encoding records, finding files, reading them as 0.4.0 does, renumbering them."""

from __future__ import annotations

import contextlib
import datetime
import json
import math
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import imgstore
from imgstore import util
from imgstore.beside.extra_data import (
    EXTENSIONS,
    extra_data_samplerate,
    find_extra_data_files,
    read_extra_data,
)
from imgstore.beside.records import dumps_record, load_records, records_path, write_records
from imgstore.beside.renumber import renumber_records
from imgstore.errors import ArgumentError, ExtraDataError, ImgStoreWarning

BEFORE = "_frame_number_before_reindex"


def columns_of(table: pd.DataFrame | None) -> dict[str, list[Any]] | None:
    """The columns in order, NaN as None so that they can be compared."""
    if table is None:
        return None
    assert isinstance(table.index, pd.RangeIndex)
    assert table.index.start == 0
    return {
        name: [None if isinstance(v, float) and math.isnan(v) else v for v in table[name].tolist()]
        for name in table.columns
    }


# encoding


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


# finding


def chunk_bases(root: Path, count: int, directories: bool) -> list[tuple[int, str]]:
    bases = []
    for n in range(count):
        name = root / f"{n:06d}"
        if directories:
            name.mkdir(exist_ok=True)
        bases.append((n, str(name / "index" if directories else name)))
    return bases


@pytest.mark.parametrize("directories", [False, True])
def test_motifs_files_come_before_ours_and_hdf5_before_json(tmp_path: Path, directories: bool) -> None:
    bases = chunk_bases(tmp_path, 9, directories)
    want = []
    for n, base in bases:
        for k, extension in enumerate(EXTENSIONS):
            if n >> k & 1:
                Path(base + extension if k == 0 else tmp_path / f"{n:06d}{extension}").write_text("[]")
        last = n.bit_length() - 1
        if 0 <= last < 3:
            want.append(bases[n][1] + EXTENSIONS[0] if last == 0 else str(tmp_path / f"{n:06d}{EXTENSIONS[last]}"))
    # 0 and 8 have none
    assert find_extra_data_files(str(tmp_path), bases) == want
    assert find_extra_data_files(str(tmp_path), bases, EXTENSIONS[::-1]) == want
    assert find_extra_data_files(str(tmp_path), bases, (".foo",)) == []
    ours = [base + ".extra.json" for n, base in bases if n & 1]
    assert find_extra_data_files(str(tmp_path), bases, (".extra.json",)) == ours
    motif = [str(tmp_path / f"{n:06d}.extra_data.json") for n, _ in bases if n & 2]
    assert find_extra_data_files(str(tmp_path), bases, (".extra_data.json", ".foo")) == motif


def test_files_of_other_chunks_and_in_other_places_are_not_found(tmp_path: Path) -> None:
    bases = chunk_bases(tmp_path, 2, True)
    (tmp_path / "000007.extra_data.h5").touch()
    (tmp_path / "000001.extra.json").touch()  # of a video store
    (tmp_path / "000001" / "index.extra_data.h5").touch()
    (tmp_path / "000001" / "000001.extra_data.json").touch()
    assert find_extra_data_files(str(tmp_path), bases) == []


def test_chunk_numbers_of_more_than_six_digits(tmp_path: Path) -> None:
    (tmp_path / "1234567.extra_data.h5").touch()
    (tmp_path / "1234568.extra.json").touch()
    bases = [(n, str(tmp_path / str(n))) for n in (1234567, 1234568)]
    assert [Path(p).name for p in find_extra_data_files(str(tmp_path), bases)] == [
        "1234567.extra_data.h5",
        "1234568.extra.json",
    ]


# reading ours

N = None


@pytest.mark.parametrize(
    ("chunks", "columns", "dtypes"),
    [
        # each line observed on 0.4.0 (pandas 3)
        (
            [[{"a": 1, "b": "x", "t": 0.5}, {"a": 2, "c": [1, 2], "t": 1.0}], [{"a": 0.25, "d": {"k": 1}}]],
            {"a": [1, 2, 0.25], "b": ["x", N, N], "t": [0.5, 1, N], "c": [N, [1, 2], N], "d": [N, N, {"k": 1}]},
            {"a": "float64", "t": "float64", "c": "object", "d": "object"},
        ),
        ([[{"a": True}, {"a": False}]], {"a": [True, False]}, {"a": "bool"}),
        ([[{"a": 1}, {"a": None}], [{"a": True}]], {"a": [1, N, 1]}, {"a": "float64"}),
        ([[{"a": True}], [{"a": 1}]], {"a": [1, 1]}, {"a": "int64"}),
        ([[{"a": True}], [{"a": "s"}]], {"a": [True, "s"]}, {"a": "object"}),
        ([[{"a": 1}], [{"a": 2.5}]], {"a": [1, 2.5]}, {"a": "float64"}),
        ([[{"a": 2**63}]], {"a": [2**63]}, {"a": "uint64"}),
        ([[{"a": 10**25}]], {"a": [10**25]}, {"a": "object"}),
        ([[{"a": 2**53 + 1}]], {"a": [2**53 + 1]}, {"a": "int64"}),
        (
            [[{"n": math.nan, "k": -1}], [{"n": 10, "k": 0}]],
            {"n": [N, 10], "k": [-1, 0]},
            {"n": "float64", "k": "int64"},
        ),
        ([[{"a": math.inf}, {"a": -math.inf}]], {"a": [math.inf, -math.inf]}, {"a": "float64"}),
        (
            [[{"date": "2020-01-01", "timestamp": 1000000000}]],
            {"date": ["2020-01-01"], "timestamp": [10**9]},
            {"timestamp": "int64"},
        ),
        ([[{"a": 1}], [], [{"a": 2}]], {"a": [1, 2]}, {"a": "int64"}),
        ([[{"": 3}]], {"": [3]}, {"": "int64"}),
        ([[]], {}, {}),
    ],
)
def test_records_of_several_chunks_make_one_table(
    tmp_path: Path, chunks: list[list[dict[str, Any]]], columns: dict[str, list[Any]], dtypes: dict[str, str]
) -> None:
    files = []
    for n, records in enumerate(chunks):
        write_records(str(tmp_path / f"{n:06d}"), map(dumps_record, records), sync=False)
        files.append(str(tmp_path / f"{n:06d}.extra.json"))
    table = read_extra_data(files)
    assert table is not None
    got = columns_of(table)
    assert got == columns
    assert list(got or {}) == list(columns)
    assert {name: str(table[name].dtype) for name in dtypes} == dtypes
    assert len(table) == sum(map(len, chunks))


def test_no_files_no_table() -> None:
    assert read_extra_data([]) is None


def test_records_without_a_file_come_last(tmp_path: Path) -> None:
    write_records(str(tmp_path / "000000"), [dumps_record({"a": 1})])
    files = [str(tmp_path / "000000.extra.json")]
    assert columns_of(read_extra_data([*files, [{"a": 2}, {"b": 3}]])) == {"a": [1, 2, N], "b": [N, N, 3]}
    assert columns_of(read_extra_data([[{"a": 2}]])) == {"a": [2]}


CORRUPT = {
    "empty": b"",
    "garbage": b"garbage",
    "torn": b'[{"a":1},',
    "number": b"5",
    "null": b"null",
    "string": b'"abc"',
    "numbers": b"[1, 2]",
    "mixed": b'[{"a":1}, 5]',
    "columns of different lengths": b'{"a":[1],"b":[1,2]}',
    "record alone": b'{"a":1}',
    "not UTF-8": b'[{"a":"\xff"}]',
    "too deep": b"[" * 200_000,
    "too long a number": b'[{"a":' + b"9" * 10_000 + b"}]",
}


@pytest.mark.parametrize("content", CORRUPT.values(), ids=CORRUPT.keys())
@pytest.mark.parametrize("extension", [".extra.json", ".extra_data.json", ".extra_data.h5"])
def test_corrupt_file_is_an_error_that_names_it_or_left_out(tmp_path: Path, content: bytes, extension: str) -> None:
    write_records(str(tmp_path / "000000"), [dumps_record({"a": 1})])
    bad = str(tmp_path / f"000001{extension}")
    Path(bad).write_bytes(content)
    files = [str(tmp_path / "000000.extra.json"), bad]
    with pytest.raises(ExtraDataError, match="000001"):
        read_extra_data(files)
    with pytest.warns(ImgStoreWarning, match="000001"):
        assert columns_of(read_extra_data(files, ignore_corrupt_chunks=True)) == {"a": [1]}
    with pytest.warns(ImgStoreWarning):
        assert read_extra_data([bad], ignore_corrupt_chunks=True) is None


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_file_that_is_gone_is_an_error_that_names_it(tmp_path: Path, extension: str) -> None:
    path = str(tmp_path / f"000001{extension}")
    with pytest.raises(ExtraDataError, match="000001"):
        read_extra_data([path])
    with pytest.warns(ImgStoreWarning, match="000001"):
        assert read_extra_data([path], ignore_corrupt_chunks=True) is None


# reading Motif's JSON


@pytest.mark.parametrize(
    ("records", "columns"),
    [
        (
            [
                {"a": 1, "frame_number": 3, "frame_index": 1},
                {"a": 2, "frame_number": -1, "frame_index": 0},
                {"a": 3, "frame_number": 2, "frame_index": 0},
                {"a": 4, "frame_number": None, "frame_index": 0},
            ],
            {"a": [3, 1], "frame_number": [2, 3], "frame_index": [0, 1]},
        ),
        (
            [
                {"a": i, "frame_number": n, "frame_index": k, "sensor_time": t}
                for i, (n, k, t) in enumerate(
                    [(5, 1, 2.0), (5, 1, 1.0), (4, 0, 9.0), (4, 0, 3.0), (-1, 0, 0), (3, 2, N), (3, 2, 1.0)]
                )
            ],
            {
                "a": [3, 2, 1, 0, 6, 5],
                "frame_number": [4, 4, 5, 5, 3, 3],
                "frame_index": [0, 0, 1, 1, 2, 2],
                "sensor_time": [3, 9, 1, 2, 1, N],
            },
        ),
        (
            {"a": [1, 2, 3], "frame_number": [3, 2, -1], "frame_index": [1, 0, 0]},
            {"a": [2, 1], "frame_number": [2, 3], "frame_index": [0, 1]},
        ),
    ],
)
def test_motifs_json_without_padding_and_sorted(tmp_path: Path, records: Any, columns: dict[str, list[Any]]) -> None:
    path = tmp_path / "000000.extra_data.json"
    path.write_text(json.dumps(records))
    assert columns_of(util.motif_extra_data_json_to_df(None, path)) == columns
    assert columns_of(read_extra_data([str(path)])) == columns


@given(st.lists(st.tuples(st.integers(-1, 5), st.integers(0, 4)), min_size=1, max_size=60))
def test_rows_of_one_frame_stay_in_order(tmp_path_factory: Any, rows: list[tuple[int, int]]) -> None:
    path = tmp_path_factory.mktemp("motif") / "000000.extra_data.json"
    path.write_text(json.dumps([{"i": i, "frame_number": n, "frame_index": k} for i, (n, k) in enumerate(rows)]))
    want = sorted((k, i) for i, (n, k) in enumerate(rows) if n >= 0)
    table = util.motif_extra_data_json_to_df(None, path)
    assert list(zip(table["frame_index"], table["i"], strict=True)) == want
    if not want:
        assert read_extra_data([str(path)]) is None


@pytest.mark.parametrize(
    "records",
    [
        [{"frame_index": 1}],
        [{"frame_number": 1}],
        [{"frame_number": "x", "frame_index": 1}],
        [{"frame_number": 1, "frame_index": 1}, {"frame_number": 1, "frame_index": "x"}],
    ],
)
def test_motifs_json_without_frame_numbers_is_an_error(tmp_path: Path, records: Any) -> None:
    path = tmp_path / "000000.extra_data.json"
    path.write_text(json.dumps(records))
    with pytest.raises(ExtraDataError, match="000000.extra_data.json"):
        util.motif_extra_data_json_to_df(None, path)


# reading Motif's HDF5

CAMERA = np.dtype([("frame_number", "i8"), ("frame_time", "f8"), ("frame_index", "i8")])


def write_h5(
    path: str | Path,
    numbers: list[int],
    datasets: dict[str, tuple[str, np.ndarray]] | None = None,
    text: Callable[[str], Any] = str,
    rates: float | dict[str, float] | None = 10.0,
    camera: np.dtype[Any] = CAMERA,
    change: Callable[[h5py.File], Any] | None = None,
) -> str:
    if datasets is None:
        datasets = {"ai": ("x, y", np.arange(2.0 * len(numbers)).reshape(2, -1))}
    with h5py.File(path, "w") as file:
        file.attrs["datasets"] = text(", ".join(datasets))
        for name, (columns, data) in datasets.items():
            dataset = file.create_dataset(name, data=data)
            dataset.attrs["column_names"] = text(columns)
            if rates is not None:
                dataset.attrs["samplerate"] = rates if isinstance(rates, float) else rates[name]
        samples = np.zeros(len(numbers), camera)
        samples["frame_number"] = numbers
        for k, field in enumerate(camera.names or ()):
            if field != "frame_number":
                samples[field] = np.arange(len(numbers)) * 10**k
        file.create_dataset("camera", data=samples)
        file.create_dataset("sample_delay", data=np.arange(len(numbers)) / 8)
        if change is not None:
            change(file)
    return str(path)


@pytest.mark.parametrize(
    "text", [str, np.bytes_, lambda s: np.array(s.split(","), "S")], ids=["str", "bytes", "array of bytes"]
)
@pytest.mark.parametrize("numbers", [[3, 3, 4, 5, -1, -1], [1, 2, 3], [1, -1, 3, -2, 5], [0]])
def test_motifs_hdf5_has_a_row_per_used_sample(tmp_path: Path, numbers: list[int], text: Any) -> None:
    path = write_h5(tmp_path / "000000.extra_data.h5", numbers, text=text)
    used = [i for i, n in enumerate(numbers) if n >= 0]
    table = util.motif_extra_data_h5_to_df(None, path)
    assert columns_of(table) == {
        "x": [float(i) for i in used],
        "y": [float(i + len(numbers)) for i in used],
        "frame_number": [numbers[i] for i in used],
        "frame_time": [i * 10.0 for i in used],
        "frame_index": [i * 100 for i in used],
        "sample_delay": [i / 8 for i in used],
    }
    assert [str(d) for d in table.dtypes] == ["float64", "float64", "int64", "float64", "int64", "float64"]


def test_datasets_come_in_the_order_of_the_list_and_keep_their_dtypes(tmp_path: Path) -> None:
    datasets = {
        "b": ("v", np.array([[1.5, 2.5, 3.5]], "f4")),
        "a": ("ttl, word", np.array([[0, 1, 0], [7, 8, 9]], "u1")),
        "s": ("text", np.array([[b"k", b"l", b"m"]])),
        "one": ("flat", np.array([4, 5, 6], "i2")),
    }
    camera = np.dtype([("frame_number", "i4"), ("frame_index", "u2"), ("frame_time", "f8"), ("more", "f4")])
    table = util.motif_extra_data_h5_to_df(
        None, write_h5(tmp_path / "x.h5", [5, -1, 6], datasets, camera=camera, rates=None)
    )
    assert {name: (str(table[name].dtype), table[name].tolist()) for name in table.columns} == {
        "v": ("float32", [1.5, 3.5]),
        "ttl": ("uint8", [0, 0]),
        "word": ("uint8", [7, 9]),
        "text": ("object", [b"k", b"m"]),
        "flat": ("int16", [4, 6]),
        "frame_number": ("int32", [5, 6]),
        "frame_index": ("uint16", [0, 20]),
        "frame_time": ("float64", [0.0, 200.0]),
        "more": ("float32", [0.0, 2000.0]),
        "sample_delay": ("float64", [0.0, 0.25]),
    }
    assert list(table.columns)[:5] == ["v", "ttl", "word", "text", "flat"]


def test_file_without_used_samples_adds_nothing(tmp_path: Path) -> None:
    empty = write_h5(tmp_path / "000000.extra_data.h5", [-1, -1])
    assert len(util.motif_extra_data_h5_to_df(None, empty)) == 0
    assert read_extra_data([empty]) is None
    write_records(str(tmp_path / "000001"), [dumps_record({"a": 1})])
    table = read_extra_data([empty, str(tmp_path / "000001.extra.json")])
    assert columns_of(table) == {"a": [1]}
    assert table is not None and table["a"].dtype == "int64"


def test_column_that_is_named_twice_is_said_so(tmp_path: Path) -> None:
    path = write_h5(tmp_path / "x.h5", [1, 2], {"a": ("q, q", np.arange(4).reshape(2, 2))})
    with pytest.warns(ImgStoreWarning, match="'q'"):
        table = util.motif_extra_data_h5_to_df(None, path)
    assert table["q"].tolist() == [2, 3]


def remove(name: str) -> Callable[[h5py.File], Any]:
    return lambda file: file.pop(name)


def replace(name: str, data: Any) -> Callable[[h5py.File], Any]:
    def change(file: h5py.File) -> None:
        file.pop(name)
        file.create_dataset(name, data=data)

    return change


@pytest.mark.parametrize(
    "change",
    [
        remove("camera"),
        remove("ai"),
        lambda file: file.attrs.pop("datasets"),
        lambda file: file["ai"].attrs.pop("column_names"),
        lambda file: file["ai"].attrs.modify("column_names", "x"),
        lambda file: file["ai"].attrs.modify("column_names", "x,y,z"),
        lambda file: file["ai"].attrs.create("column_names", np.bytes_(b"x,\xff")),
        replace("camera", np.arange(3)),
        replace("camera", np.zeros((3, 1), CAMERA)),
        replace("camera", np.zeros(2, CAMERA)),
        replace("camera", np.zeros(4, CAMERA)),
        replace("camera", np.zeros(3, [("frame_number", "S3")])),
        replace("sample_delay", np.zeros(2)),
        replace("sample_delay", np.zeros((1, 3))),
        lambda file: file.attrs.modify("datasets", "camera"),
        lambda file: (file.create_group("g"), file.attrs.modify("datasets", "g")),
        lambda file: (file.pop("camera"), file.create_dataset("camera", data=["a"])),
        lambda file: (file.__setitem__("t", np.dtype("i4")), file.attrs.modify("datasets", "t")),
    ],
)
def test_hdf5_that_is_not_as_motif_writes_it_is_an_error_that_names_it(tmp_path: Path, change: Any) -> None:
    path = write_h5(tmp_path / "000000.extra_data.h5", [1, 2, 3], change=change)
    with pytest.raises(ExtraDataError, match="000000.extra_data.h5"):
        util.motif_extra_data_h5_to_df(None, path)
    with pytest.warns(ImgStoreWarning, match="000000.extra_data.h5"):
        assert read_extra_data([path], ignore_corrupt_chunks=True) is None


def test_sample_delay_may_be_absent(tmp_path: Path) -> None:
    table = util.motif_extra_data_h5_to_df(None, write_h5(tmp_path / "x.h5", [1, 2], change=remove("sample_delay")))
    assert list(table.columns) == ["x", "y", "frame_number", "frame_time", "frame_index"]


def test_a_dataset_larger_than_the_memory_is_an_error(tmp_path: Path) -> None:
    def more(file: h5py.File) -> None:
        names = file["ai"].attrs["column_names"]
        del file["ai"]
        file.create_dataset("ai", shape=(1 << 40, 4), dtype="f8", chunks=(1024, 4))  # takes no place in the file
        file["ai"].attrs["column_names"] = names

    with pytest.raises(ExtraDataError, match="is of shape"):
        read_extra_data([str(write_h5(tmp_path / "000000.extra_data.h5", [3, 3, 4, -1], change=more))])


@pytest.mark.parametrize("at", [16, 40])
def test_a_list_of_objects_without_end_in_hdf5_is_an_error(tmp_path: Path, at: int) -> None:
    path = Path(write_h5(tmp_path / "000000.extra_data.h5", [1, 2]))
    content = bytearray(path.read_bytes())
    at += content.index(b"GCOL")  # a heap begins there: the library would go round in it for ever
    content[at : at + 16] = bytes(16)
    path.write_bytes(content)
    with pytest.raises(ExtraDataError, match=r"000000.extra_data.h5.*heap"):
        read_extra_data([str(path)])


def test_hdf5_whose_elements_would_have_to_be_converted_is_an_error(tmp_path: Path) -> None:
    def more(file: h5py.File) -> None:
        del file["ai"]
        short = h5py.h5t.STD_I64LE.copy()
        short.set_precision(40)  # the rest is padding
        h5py.h5d.create(file.id, b"ai", short, h5py.h5s.create_simple((2, 2)))
        file["ai"].attrs["column_names"] = "x, y"

    with pytest.raises(ExtraDataError, match="'ai' is no dataset of numbers"):
        read_extra_data([write_h5(tmp_path / "000000.extra_data.h5", [1, 2], change=more)])


def test_attributes_of_variable_length_that_are_no_text_are_left_out(tmp_path: Path) -> None:
    def more(file: h5py.File) -> None:
        file["ai"].attrs.create("ragged", np.array([np.arange(2), np.arange(3)], object), dtype=h5py.vlen_dtype("i8"))
        file["ai"].attrs["texts"] = ["a", "ä"]

    path = write_h5(tmp_path / "x.h5", [1, 2], change=more)
    attributes = util.motif_extra_data_h5_attrs(path)["ai"]
    assert sorted(attributes) == ["column_names", "samplerate", "texts"]
    assert attributes["texts"].tolist() == ["a", "ä"]
    assert len(util.motif_extra_data_h5_to_df(None, path)) == 2


@contextlib.contextmanager
def at_most_a_gigabyte_more() -> Iterator[None]:
    """Let no damage take the machine's memory: in one file of many the library reads a list that goes round."""
    if sys.platform != "linux":
        yield
        return
    import resource

    limits = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + (1 << 30), limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)


@given(st.data())
def test_damaged_hdf5_is_an_error_of_ours_or_a_table(tmp_path_factory: Any, data: Any) -> None:
    path = tmp_path_factory.mktemp("h5") / "000000.extra_data.h5"
    write_h5(path, [3, 3, 4, -1])
    content = bytearray(path.read_bytes())
    cut = data.draw(st.integers(0, len(content)))
    if data.draw(st.booleans()):
        content = content[:cut]
    else:
        for at in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=30)):
            content[at] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        with at_most_a_gigabyte_more():
            table = read_extra_data([str(path)])
    except ExtraDataError as error:
        assert "000000.extra_data.h5" in str(error)
    else:
        assert table is None or isinstance(table, pd.DataFrame)


def test_attributes_of_hdf5(tmp_path: Path) -> None:
    def more(file: h5py.File) -> None:
        file["ai"].attrs["units"] = "V"
        file["camera"].attrs["z"] = 3
        file.create_group("grp").attrs["q"] = 1

    path = write_h5(tmp_path / "x.h5", [1, 2], text=np.bytes_, change=more)
    assert util.motif_extra_data_h5_attrs(path) == {
        "_datasets": ["ai"],
        "ai": {"column_names": b"x, y", "samplerate": 10.0, "units": "V"},
        "camera": {"z": 3},
        "grp": {"q": 1},
        "sample_delay": {},
    }
    assert util.motif_extra_data_h5_attrs(write_h5(tmp_path / "y.h5", [1, 2]))["ai"]["column_names"] == "x, y"
    (tmp_path / "z.h5").write_bytes(b"garbage")
    with pytest.raises(ExtraDataError, match=r"z\.h5"):
        util.motif_extra_data_h5_attrs(tmp_path / "z.h5")
    with pytest.raises(FileNotFoundError):
        util.motif_extra_data_h5_attrs(tmp_path / "none.h5")


def two(rate_a: float, rate_b: float) -> dict[str, Any]:
    data = np.zeros((1, 2))
    return {"datasets": {"a": ("x", data), "b": ("y", data)}, "rates": {"a": rate_a, "b": rate_b}}


def test_sample_rate(tmp_path: Path) -> None:
    one = write_h5(tmp_path / "000000.extra_data.h5", [1, 2])
    assert extra_data_samplerate([one]) == 10.0
    same = write_h5(tmp_path / "000001.extra_data.h5", [1, 2], **two(20.0, 20.0))
    assert extra_data_samplerate([same]) == 20.0
    without = write_h5(tmp_path / "000002.extra_data.h5", [1, 2], rates=None)
    assert extra_data_samplerate(["000000.extra.json", without, one, same]) == 10.0
    different = write_h5(tmp_path / "000003.extra_data.h5", [1, 2], **two(20.0, 30.0))
    with pytest.raises(ExtraDataError, match="000003.*motif_extra_data_h5_attrs"):
        extra_data_samplerate([different])
    for files in ([], [without], ["000000.extra.json", "000001.extra_data.json"]):
        with pytest.raises(ExtraDataError, match="no file"):
            extra_data_samplerate(files)


# renumbering


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


# the samples


def sample_bases(root: Path) -> list[tuple[int, str]]:
    directories = any(p.is_dir() for p in root.iterdir())
    numbers = sorted({int(p.name[:6]) for p in root.iterdir() if p.name[:6].isdigit()})
    return [(n, str(root / f"{n:06d}" / "index" if directories else root / f"{n:06d}")) for n in numbers]


def test_sample_of_motifs_hdf5(samples: Path) -> None:
    files = find_extra_data_files(str(samples / "motif-h5"), sample_bases(samples / "motif-h5"))
    assert [Path(p).name for p in files] == ["000000.extra_data.h5"]
    table = read_extra_data(files)
    assert table is not None
    assert {name: str(dtype) for name, dtype in table.dtypes.items()} == {
        "ch0": "float32",
        "ch1": "float32",
        "ttl": "uint8",
        "frame_number": "int64",
        "frame_time": "float64",
        "frame_index": "int64",
        "sample_delay": "float64",
    }
    assert table["frame_number"].tolist() == [100 + i // 3 for i in range(50)]
    assert table["frame_index"].tolist() == [i // 3 for i in range(50)]
    assert table["frame_time"].tolist() == [1700000000 + i * 0.01 for i in range(50)]
    np.testing.assert_array_equal(table["ch0"], np.sin(np.arange(50) / 5).astype("f4"))
    np.testing.assert_array_equal(table["ch1"], np.cos(np.arange(50) / 5).astype("f4"))
    assert table["ttl"].tolist() == [i % 2 for i in range(50)]
    assert set(table["sample_delay"]) == {-0.002}
    assert extra_data_samplerate(files) == 100.0


@pytest.mark.parametrize(
    "name", ["dir-npy", "dir-png", "dir-bmp", "video-avc1-mp4", "video-h264-mkv", "video-mjpeg-avi"]
)
def test_samples_of_records(samples: Path, name: str) -> None:
    files = find_extra_data_files(str(samples / name), sample_bases(samples / name))
    table = read_extra_data(files)
    assert table is not None
    frames = {
        (index, number, time)
        for index, number, time, _ in json.loads((samples / f"{name}.expected.json").read_text())["frames"]
    }
    assert len(table) == 3
    assert set(zip(table["frame_index"], table["frame_number"], table["frame_time"], strict=True)) <= frames


def test_sample_that_0x_reindexed_is_what_we_make_of_its_old_numbers(samples: Path, tmp_path: Path) -> None:
    root = samples / "reindexed"
    indexes = [np.load(base + ".npz") for _, base in sample_bases(root)]
    old, times, new = (np.concatenate([i[key] for i in indexes]) for key in (BEFORE, "frame_time", "frame_number"))
    files = find_extra_data_files(str(root), sample_bases(root))
    assert len(files) == 2
    for path in files:
        want = load_records(path)
        before = [{k: v for k, v in {**r, "frame_number": r[BEFORE]}.items() if k != BEFORE} for r in want]
        base = str(tmp_path / Path(path).name.removesuffix(".extra.json"))
        write_records(base, map(dumps_record, before))
        renumber_records(records_path(base), old, times, new)
        assert load_records(records_path(base)) == want


# through a store


@pytest.mark.parametrize("fmt", ["npy", "png"])
def test_store_returns_what_was_added(tmp_path: Path, fmt: str) -> None:
    with imgstore.new_for_format(fmt, tmp_path / "s", imgshape=(8, 8), chunksize=3) as store:
        for i in range(7):
            store.add_image(np.zeros((8, 8), np.uint8), 10 + i, 1000 + i / 8)
            if i in (0, 1, 6):
                store.add_extra_data(a=np.int16(i), frame_number=5, b={"k": {i}})
    with imgstore.new_for_filename(tmp_path / "s") as store:
        assert store.has_extra_data
        assert columns_of(store.get_extra_data()) == {
            "a": [0, 1, 6],
            "frame_number": [10, 11, 16],
            "b": [{"k": [0]}, {"k": [1]}, {"k": [6]}],
            "frame_time": [1000.0, 1000.125, 1000.75],
            "frame_index": [0, 1, 6],
        }

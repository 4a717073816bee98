"""Extra data: finding files, and reading them as 0.4.0 does."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from extra_data_files import columns_of
from scenes import SHAPE, coded_frame

import imgstore
from imgstore.beside.extra_data import (
    EXTENSIONS,
    extra_data_samplerate,
    find_extra_data_files,
    read_extra_data,
)
from imgstore.beside.records import dumps_record, load_records, records_path, write_records
from imgstore.beside.renumber import renumber_records
from imgstore.errors import ExtraDataError, ImgStoreWarning

BEFORE = "_frame_number_before_reindex"

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


def test_what_marks_a_record_is_not_the_user_s_to_say(tmp_path: Path) -> None:
    with imgstore.new_for_format("npy", tmp_path / "s", imgshape=SHAPE) as store:
        store.add_image(coded_frame(0), 7, 1.5)
        with pytest.warns(ImgStoreWarning, match="frame_time and frame_number is replaced"):
            store.add_extra_data(frame_time=3.0, frame_number=np.arange(3), value=1)
    with imgstore.new_for_filename(tmp_path / "s") as store:
        (record,) = store.get_extra_data().to_dict("records")
    assert record == {"value": 1, "frame_time": 1.5, "frame_number": 7, "frame_index": 0}


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

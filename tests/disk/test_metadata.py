"""``metadata.yaml``: what users put in comes back or is refused, and whatever is in a file is understood or an error."""

from __future__ import annotations

import datetime
import enum
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

import imgstore
from imgstore.disk.metadata import is_imgstore, read_metadata
from imgstore.disk.user_metadata import plain_metadata
from imgstore.errors import ArgumentError, MetadataError

STORE = {
    "version": 2,
    "class": "DirectoryImgStore",
    "format": "npy",
    "imgshape": [48, 64],
    "imgdtype": "uint8",
    "chunksize": 10,
    "encoding": None,
    "uuid": "ab" * 16,
    "created_utc": "2024-01-01T00:00:00",
}


def written(directory: Path, values: dict[str, Any], user: dict[str, Any] | None = None) -> Path:
    directory.mkdir(exist_ok=True)
    (directory / "metadata.yaml").write_text(yaml.safe_dump({"__store": values, **(user or {})}))
    return directory


# --- what users give


def create(path: Path, metadata: Any) -> Any:
    """Write a store with some metadata and return what is read back."""
    imgstore.new_for_format("npy", path, imgshape=(4, 4), metadata=metadata).close()
    return read_metadata(str(path)).user


class Colour(str, enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


class Metres(float):
    def __repr__(self) -> str:
        return f"{float(self)} m"


UTC = datetime.timezone.utc


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ((1, (2,)), [1, [2]]),
        ({3, "x"}, {3, "x"}),
        (np.float32(0.1), float(np.float32(0.1))),
        (np.longdouble(1.5), 1.5),
        (np.int64(-5), -5),
        (np.array([[1, 2]], ">u2"), [[1, 2]]),
        (np.array([1.5], np.longdouble), [1.5]),
        (np.array(["2024-01-31T12:00"], "M8[ns]"), [datetime.datetime(2024, 1, 31, 12)]),
        (np.datetime64("2024-01-31"), datetime.date(2024, 1, 31)),
        (np.array(["a", None], object), ["a", None]),
        (np.array(7), 7),
        (pd.Timestamp("2024-01-31 12:00"), datetime.datetime(2024, 1, 31, 12)),
        (pd.Timestamp("2024-01-31 12:00", tz="UTC"), datetime.datetime(2024, 1, 31, 12, tzinfo=UTC)),
        (Path("a") / "b", os.path.join("a", "b")),
        (Colour.RED, "red"),
        (Level.HIGH, 3),
        (Metres(1.5), 1.5),
        (bytearray(b"\0\xff"), b"\0\xff"),
        ("\x85\u2028 \ttail ", "\x85\u2028 \ttail "),
        ([10**4000], [10**4000]),
        (-0.0, -0.0),
    ],
)
def test_values_are_kept(tmp_path: Path, value: Any, kept: Any) -> None:
    found = create(tmp_path / "store", {"value": {"deep": value}})["value"]["deep"]
    assert (found, type(found)) == (kept, type(kept))
    assert repr(found) == repr(kept) or isinstance(kept, (set, datetime.datetime))


LOOP: list[Any] = []
LOOP.append(LOOP)


@pytest.mark.parametrize(
    "value",
    [
        pd.NaT,
        pd.NA,
        pd.Timestamp("2024-01-31 12:00:00.000000001"),
        pd.Series([1]),
        np.datetime64("NaT"),
        np.datetime64("2024-01-31T12:00:00.000000001", "ns"),
        np.datetime64(100_000, "Y"),
        np.timedelta64(1, "ns"),
        datetime.timedelta(1),
        datetime.time(12),
        datetime.datetime(1800, 1, 1, tzinfo=datetime.timezone(datetime.timedelta(seconds=1172))),
        np.longdouble(1) / 3 if np.finfo(np.longdouble).nmant > 52 else 1j,
        1j,
        np.complex64(1),
        np.array([(1, 2.0)], [("a", "i4"), ("b", "f8")]),
        np.ma.masked_array([1, 2], [False, True]),
        os.fsdecode(b"versuch_m\xfc.mp4") if os.name != "nt" else "\udcfc",
        [10**5000],
        object(),
        LOOP,
        {("a", 1): 2},
        {"1": {np.str_("x"): 1, Path("x"): 2}},
        {(1, 2)},
        {math.nan: 1},
        [[[[{"x": print}]]]],
    ],
)
def test_values_that_yaml_lacks_are_named_and_nothing_is_made(tmp_path: Path, value: Any) -> None:
    with pytest.raises(ArgumentError, match="'animal'") as caught:
        create(tmp_path / "store", {"fine": 1, "animal": value})
    assert len(str(caught.value)) < 1000
    assert list(tmp_path.iterdir()) == []


def test_the_stores_own_key_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="__store"):
        create(tmp_path / "store", {"__store": {}})


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.text(st.characters(categories=["Cs", "Cc", "Zl", "Zs"]))
    | st.binary()
    | st.dates()
    | st.datetimes(timezones=st.none() | st.timezones())
    | st.timedeltas()
    | st.complex_numbers()
    | npst.arrays(npst.scalar_dtypes(), npst.array_shapes(max_dims=2, max_side=2))
    | npst.from_dtype(np.dtype("M8[ns]"))
    | npst.from_dtype(np.dtype("g")),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text() | st.integers() | st.booleans() | st.floats() | st.dates(), inner, max_size=3)
        | st.sets(st.text() | st.integers() | st.none(), max_size=3)
    ),
    max_leaves=6,
)


def equal(given: Any, found: Any) -> bool:
    """Whether a value of a user's, and what was read, are the same; arrays and tuples are lists there."""
    if isinstance(given, (list, tuple)) or (isinstance(given, np.ndarray) and given.ndim):
        return isinstance(found, list) and len(given) == len(found) and all(map(equal, given, found))
    if isinstance(given, dict):
        return (
            isinstance(found, dict) and given.keys() == found.keys() and all(equal(given[k], found[k]) for k in given)
        )
    if isinstance(given, datetime.datetime):
        return given == found and given.utcoffset() == found.utcoffset()
    if isinstance(given, np.datetime64):
        return bool(given == np.datetime64(found))  # numpy does not compare one in nanoseconds with a datetime
    return bool(given == found) or (given != given and found != found and found is not None)


@given(st.dictionaries(st.text() | st.integers(), anything, max_size=3))
@example({"a": "\ud800"})
@example({1: np.array("NaT", "M8[us]")})
@example({"a": np.datetime64(0, "ns")})
@example({"a": {0: 1, "": datetime.date(1, 1, 1)}})
def test_whatever_a_user_gives_is_refused_or_comes_back(tmp_path_factory: Any, metadata: dict[Any, Any]) -> None:
    root = tmp_path_factory.mktemp("metadata") / "store"
    try:
        plain = plain_metadata(metadata)
    except ArgumentError:
        with pytest.raises(ArgumentError):
            create(root, metadata)
        assert not root.exists()
        return
    found = create(root, metadata)
    assert equal(metadata, found)
    assert equal(plain, found)


# --- what is in a file

BIG = "0x" + "f" * 5000


@pytest.mark.parametrize(
    "line",
    [
        f"version: {BIG}",
        "version: 3",
        f"class: {BIG}",
        "class: [VideoImgStore]",
        f"format: {BIG}",
        "format: ''",
        f"uuid: {BIG}",
        "uuid: -1",
        "uuid: [a]",
        "uuid: 1.5",
        "created_utc: 0001-01-01T00:00:00+23:00",
        "created_utc: '0001-01-01T00:00:00+23:00'",
        "created_utc: '9999-12-31T23:59:59-23:00'",
        "created_utc: [x]",
        "created_utc: {x: y}",
        "imgdtype: ','",
        "imgdtype: 'M8[s/0]'",
        "imgdtype: '(-1,)u1'",
        "imgdtype: '(1000000000,1000000000)f8'",
        "imgdtype: [u1]",
        "imgdtype: object",
        "imgdtype: O",
        f"imgdtype: {BIG}",
        f"fps: {BIG}",
        "fps: 0x" + "f" * 400,
        "fps: fast",
        "fps: .nan",
        "imgshape: [1000000000, 1000000000]",
        f"imgshape: [{BIG}, 1]",
        "imgshape: [0, 4]",
        "imgshape: [true, 4]",
        "imgshape: [-1, -1]",
        "imgshape: [4.0, 4]",
        "imgshape: []",
        "imgshape: 4",
        "imgshape: [" + "1," * 70 + "]",
        "chunksize: x",
        f"chunksize: {BIG}",
        "encoding: [x]",
        "encoding: 7",
    ],
)
def test_values_that_cannot_be_are_errors_that_name_the_file(tmp_path: Path, line: str) -> None:
    root = written(tmp_path / "store", STORE)
    key = line.partition(":")[0]
    lines = [old for old in (root / "metadata.yaml").read_text().splitlines() if not old.startswith(f"  {key}:")]
    if key == "imgshape":
        lines = [old for old in lines if not old.startswith("  - ")]
    lines.insert(1 + lines.index("__store:"), f"  {line}")
    (root / "metadata.yaml").write_text("\n".join(lines))
    with pytest.raises(MetadataError, match="metadata.yaml") as caught:
        imgstore.new_for_filename(root)
    assert len(str(caught.value)) < 1000
    assert not is_imgstore(root)


def test_a_directory_whose_name_is_a_date_beyond_the_calendar(tmp_path: Path) -> None:
    values = {key: value for key, value in STORE.items() if key != "created_utc"} | {"timezone_local": "Asia/Tokyo"}
    meta = read_metadata(str(written(tmp_path / "00010101_000000", values)))
    assert meta.created.year > 2000  # of the file


@given(
    st.dictionaries(
        st.sampled_from([*STORE, "extension", "fps", "timezone_local"]),
        st.none()
        | st.integers()
        | st.floats()
        | st.text(max_size=10)
        | st.lists(st.integers(), max_size=4)
        | st.datetimes(),
        max_size=3,
    ),
    st.dictionaries(st.sampled_from(["timezone", "hwframerate", "acquisitionframerate"]), st.text() | st.floats()),
)
@example({"encoding": "0"}, {})
def test_any_values_describe_a_store_or_are_an_error(tmp_path_factory: Any, values: Any, user: Any) -> None:
    root = written(tmp_path_factory.mktemp("any"), {**STORE, **values}, user)
    try:
        with imgstore.new_for_filename(root) as store:
            assert store.frame_count == 0
            assert store.fps != 0
            str(store)
    except imgstore.errors.ImgStoreError as error:
        assert "metadata.yaml" in str(error) or isinstance(error, imgstore.errors.FormatError)


@given(st.binary(max_size=300))
def test_any_bytes_are_no_store(tmp_path_factory: Any, data: bytes) -> None:
    root = tmp_path_factory.mktemp("bytes")
    (root / "metadata.yaml").write_bytes(data)
    with pytest.raises(MetadataError, match="metadata.yaml"):
        read_metadata(str(root))

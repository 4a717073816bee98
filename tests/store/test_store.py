"""Writing and reading stores of every format: frames, numbers, times, places, errors."""

from __future__ import annotations

import datetime
import hashlib
import json
import math
import os
import pickle
import subprocess
import sys
import tempfile
import threading
import warnings
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rounds import long_but
from scenes import HELPERS, SHAPE, WITH_HELPERS, coded_frame, shown_number, write_store

import imgstore
from imgstore.errors import (
    ArgumentError,
    EndOfStoreError,
    FormatError,
    FrameDecodeError,
    FrameNotFoundError,
    ImgStoreError,
    ImgStoreWarning,
    MetadataError,
    NotAStoreError,
    StoreClosedError,
    StoreExistsError,
    StoreLockedError,
)

FORMATS = [f for f in imgstore.get_supported_formats() if not f.endswith("+color")]
KILLED = ["npy", "png", "bpk", "mjpeg/avi", "h264/mkv", "avc1/mp4", "ffv1/mkv"]
CHEAP = ["npy", "png", "mjpeg/avi", "avc1/mp4"]


@pytest.mark.parametrize("color", [False, True])
@pytest.mark.parametrize("fmt", FORMATS)
def test_round_trip(tmp_path: Path, fmt: str, color: bool) -> None:
    shape = (*SHAPE, 3) if color else SHAPE
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ImgStoreWarning)  # pgm loses its colour, and says so: tested elsewhere
        path = write_store(tmp_path / "store", fmt, 25, imgshape=shape)
    with imgstore.new_for_filename(path) as store:
        assert store.format == fmt
        assert len(store) == store.frame_count == 25
        assert store.chunks == [0, 1, 2]
        assert store.image_shape == shape
        for k in range(25):
            img, (number, time) = store.get_next_image()
            assert (number, time) == (100 + k, 1000 + 0.5 * k)
            assert img.shape == shape and img.dtype == np.uint8 and img.flags.writeable
            assert shown_number(img) == number
            if store.lossless:
                np.testing.assert_array_equal(img, coded_frame(number, shape))
        with pytest.raises(EndOfStoreError):
            store.get_next_image()
        for number in (124, 100, 117, 109, 110, 101):
            img, (got, _) = store.get_image(number)
            assert got == number == shown_number(img)
        assert store.get_next_image()[1][0] == 102
    left = {p.name for p in Path(path).rglob("*") if p.name.startswith(".")}
    assert left == {".imgstore-index"}, "after closing, nothing but the format's files and the cached index is left"


@pytest.mark.parametrize("name", ["uint16", "int16", "float32", "float64", "bool", "complex64"])
@pytest.mark.parametrize("fmt", [f for f in ("npy", "bpk", "png", "tif", "ffv1/mkv") if f in FORMATS])
def test_every_dtype_is_exact_or_refused(tmp_path: Path, fmt: str, name: str) -> None:
    dtype = np.dtype(name)
    frame = (np.arange(48 * 64).reshape(SHAPE) * 21).astype(dtype)
    try:
        store = imgstore.new_for_format(fmt, tmp_path / "s", imgshape=SHAPE, imgdtype=dtype)
    except FormatError as error:
        assert name in str(error)
        assert fmt not in ("npy", "bpk") and name != "uint16", "these hold it"
        return
    with store:
        store.add_image(frame, 0, 0.0)
    img = imgstore.new_for_filename(tmp_path / "s").get_next_image()[0]
    assert img.dtype == dtype
    np.testing.assert_array_equal(img, frame)


def test_samples_read_as_expected(samples: Path) -> None:
    for expected_path in sorted(samples.glob("*.expected.json")):
        name = expected_path.name.removesuffix(".expected.json")
        expected = json.loads(expected_path.read_text())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ImgStoreWarning)
            store = imgstore.new_for_filename(samples / name)
        frames = expected["frames"]
        if name.startswith("interrupted"):
            assert store.frame_count >= 20, name
            frames = frames[: store.frame_count]
        assert store.frame_count == len(frames), name
        numbers = expected.get("reindexed_numbers") or [f[1] for f in frames]
        for (index, original, time, digest), number in zip(frames, numbers, strict=True):
            if name == "bayer":
                continue
            img, metadata = store.get_image(None, frame_index=index)
            assert metadata == (number, time), name
            if expected["lossless"] and digest:
                assert hashlib.sha256(np.ascontiguousarray(img).tobytes()).hexdigest()[:16] == digest, (name, index)
            elif img.shape[:2] == SHAPE and expected.get("dtype", "uint8") == "uint8":
                assert shown_number(img) == original & 0xFFFF, (name, index)
        store.close()


def test_bayer_sample_decodes_to_bgr(samples: Path) -> None:
    import cv2

    expected = json.loads((samples / "bayer.expected.json").read_text())
    with imgstore.new_for_filename(samples / "bayer") as store:
        assert store.image_shape == (48, 64, 3)
        decoded = store.get_image(None, frame_index=2)[0]
        batch = store.get_images(frame_indices=[2])[0][0]
        store.disable_decoding()
        assert store.image_shape == (48, 64)
        raw = store.get_image(None, frame_index=2)[0]
    np.testing.assert_array_equal(decoded, cv2.cvtColor(raw, cv2.COLOR_BayerBG2BGR))
    np.testing.assert_array_equal(batch, decoded)
    assert len(expected["frames"]) == 5


def test_motif_sample_in_order_reversed_and_at_random(samples: Path) -> None:
    def number_in(img: np.ndarray) -> int:
        width = img.shape[1]
        bars = [img[:, width * k // 16 + 4 : width * (k + 1) // 16 - 4].mean() > 127 for k in range(16)]
        return int("".join(str(int(b)) for b in bars), 2)

    with imgstore.new_for_filename(samples / "motif-mp4") as store:
        assert (store.frame_min, store.frame_max) == (0, 178)
        for img, (number, _) in store:
            assert number_in(img) == number
        numbers = store.frame_numbers.tolist()
        for number in [*reversed(numbers), *np.random.default_rng(1).permutation(numbers)]:
            img, (got, _) = store.get_image(number)
            assert got == number == number_in(img)
        images, (got, _) = store.get_images(numbers[::-1])
        assert [number_in(img) for img in images] == got.tolist() == numbers[::-1]


# -- looking up ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def npy_store(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_store(tmp_path_factory.mktemp("npy") / "store", "npy", 25)


@pytest.mark.parametrize("kind", [int, np.int8, np.int16, np.uint8, np.int32, np.int64, np.uint64, float, np.float64])
def test_any_number_type_finds_frames(npy_store: str, kind: Any) -> None:
    with imgstore.new_for_filename(npy_store) as store:
        assert store.get_image(kind(110))[1][0] == 110
        assert store.get_image(None, frame_index=kind(3))[1][0] == 103
        assert shown_number(store[3]) == 103


def test_nearest(npy_store: str) -> None:
    with imgstore.new_for_filename(npy_store) as store:
        assert store.get_image(5000, exact_only=False)[1][0] == 124
        assert store.get_image(-5000, exact_only=False)[1][0] == 100
        assert store.get_nearest_image(1003.2)[1] == (106, 1003.0)
        assert store.get_nearest_image(1003.25)[1] == (106, 1003.0), "the first of two that are as near"


@pytest.mark.parametrize("number", [99, 125, 110.5, None, "a", float("nan"), 2**70])
def test_number_that_is_not_there(npy_store: str, number: Any) -> None:
    with imgstore.new_for_filename(npy_store) as store:
        store.get_image(105)
        with pytest.raises(ValueError) as caught:
            store.get_image(number)
        assert isinstance(caught.value, ImgStoreError)
        assert store.get_next_image()[1][0] == 106, "the place is where it was"


@pytest.mark.parametrize("index", [-1, 25, 10**12, "a"])
def test_index_that_is_not_there(npy_store: str, index: Any) -> None:
    with imgstore.new_for_filename(npy_store) as store, pytest.raises(ValueError):
        store.get_image(None, frame_index=index)


def test_end_of_store_keeps_the_place(npy_store: str) -> None:
    with imgstore.new_for_filename(npy_store) as store:
        assert np.isnan(store.frame_number) and np.isnan(store.frame_time)
        store.get_image(123)
        assert store.get_next_framenumber() == 124
        store.get_next_image()
        for _ in range(3):
            with pytest.raises(EOFError):
                store.get_next_image()
            with pytest.raises(EOFError):
                store.get_next_framenumber()
        assert (store.frame_number, store.frame_time) == (124, 1012.0)
        assert store.get_image(100)[1][0] == 100


@pytest.mark.parametrize("fmt", CHEAP)
def test_sequence_access(tmp_path: Path, fmt: str) -> None:
    path = write_store(tmp_path / "s", fmt, 25)
    with imgstore.new_for_filename(path) as store:
        assert [shown_number(i) for i in store[3:20:4]] == list(range(103, 120, 4))
        assert [shown_number(i) for i in store[::-1]] == list(range(124, 99, -1))
        assert shown_number(store[-1]) == 124
        assert [shown_number(i) for i in store[[7, -25, 7, 12]]] == [107, 100, 107, 112]
        mask = np.zeros(25, bool)
        mask[[4, 9]] = True
        assert [shown_number(i) for i in store[mask]] == [104, 109]
        assert store[5:5].shape == (0, *SHAPE)
        for wrong in (25, -26, [0, 25]):
            with pytest.raises(IndexError):
                store[wrong]
        assert [n for _, (n, _) in store] == list(range(100, 125))
        assert [(shown_number(i), n) for i, (n, _) in store.iter_images(20, None, 2)] == [
            (n, n) for n in (120, 122, 124)
        ]
        assert [n for _, (n, _) in store.iter_images(None, None, -8)] == [124, 116, 108, 100]


@pytest.mark.parametrize("fmt", CHEAP)
def test_batches(tmp_path: Path, fmt: str) -> None:
    path = write_store(tmp_path / "s", fmt, 45)
    with imgstore.new_for_filename(path) as store:
        store.get_image(107)
        wanted = [144, 100, 121, 121, 103, 140, 101]
        images, (numbers, times) = store.get_images(wanted)
        assert images.shape == (7, *SHAPE) and numbers.dtype == np.int64 and times.dtype == np.float64
        assert [shown_number(i) for i in images] == numbers.tolist() == wanted
        np.testing.assert_array_equal(times, 1000 + 0.5 * (np.array(wanted) - 100))
        assert store.get_next_image()[1][0] == 108, "a batch leaves the place where it was"
        out = np.empty((2, *SHAPE), np.uint8)
        assert store.get_images(frame_indices=[-1, 0], out=out)[0] is out
        assert [shown_number(i) for i in out] == [144, 100]
        spread = np.empty((4, SHAPE[0], 2 * SHAPE[1], *SHAPE[2:]), np.uint8)[::2, :, ::2]
        assert store.get_images(frame_indices=[-1, 0], out=spread)[0] is spread
        np.testing.assert_array_equal(spread, out)
        with pytest.raises(ArgumentError, match="not one of uint8 and shape"):
            store.get_images(frame_indices=[1], out=out)
        with pytest.raises(ArgumentError, match="not one of uint16"):
            store.get_images(frame_indices=[1, 2], out=out.astype(np.uint16))
        with pytest.raises(ArgumentError, match="not a list"):
            store.get_images(frame_indices=[1, 2], out=out.tolist())
        out.flags.writeable = False
        with pytest.raises(ArgumentError, match="read-only"):
            store.get_images(frame_indices=[1, 2], out=out)
        assert [shown_number(i) for i in out] == [144, 100]
        with pytest.raises(ArgumentError):
            store.get_images()
        with pytest.raises(FrameNotFoundError):
            store.get_images([100, 99])


@given(data=st.data())
def test_any_pattern_of_access(data: st.DataObject, pattern_store: str) -> None:
    with imgstore.new_for_filename(pattern_store) as store:
        position = -1
        for _ in range(data.draw(st.integers(1, 30))):
            what = data.draw(st.sampled_from(["next", "next", "next", "number", "index", "time", "batch"]))
            target = data.draw(st.integers(0, 44))
            if what == "next" and position == 44:
                with pytest.raises(EOFError):
                    store.get_next_image()
                continue
            if what == "batch":
                images = store.get_images(frame_indices=[target, 44 - target, target])[0]
                assert [shown_number(i) - 100 for i in images] == [target, 44 - target, target]
                continue
            if what == "next":
                img, (number, time) = store.get_next_image()
                position += 1
            elif what == "number":
                img, (number, time) = store.get_image(100 + target)
                position = target
            elif what == "index":
                img, (number, time) = store.get_image(None, frame_index=target)
                position = target
            else:
                img, (number, time) = store.get_nearest_image(1000 + 0.5 * target + 0.1)
                position = target
            assert shown_number(img) == number == 100 + position
            assert time == 1000 + 0.5 * position


@pytest.fixture(scope="module", params=["png", "avc1/mp4", "h264/mkv"])
def pattern_store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_store(tmp_path_factory.mktemp("pattern") / "store", request.param, 45)


@pytest.mark.parametrize("seek", [True, False])
def test_seek_gives_the_same_frames(pattern_store: str, seek: bool) -> None:
    with imgstore.new_for_filename(pattern_store, seek=seek) as store:
        for k in (30, 2, 44, 43, 0, 17):
            assert shown_number(store.get_image(None, frame_index=k)[0]) == 100 + k


# -- what a store says of itself -------------------------------------------------------------------------------------


def test_what_a_store_says(tmp_path: Path) -> None:
    metadata = {"genotype": "wt", "n": np.int64(3), "list": (1, 2.5), "when": datetime.datetime(2024, 1, 2, 3, 4)}
    before = dict(metadata)
    store = imgstore.new_for_format("png", tmp_path / "s", imgshape=SHAPE, chunksize=3, metadata=metadata, fps=50)
    assert metadata == before
    assert store.mode == "w" and store.frame_count == 0 and np.isnan(store.frame_min) and store.duration == 0
    assert np.isnan(store.frame_number) and store.chunks == []
    for k in range(7):
        store.add_image(coded_frame(k), np.int32(k * 2 + 10), np.float32(1.5 * k))
    assert (store.frame_count, store.frame_min, store.frame_max) == (7, 10, 22)
    assert (store.frame_time_min, store.frame_time_max, store.duration) == (0, 9, 9)
    assert (store.frame_number, store.frame_time, store.chunks) == (22, 9, [0, 1])
    assert "7 in" in repr(store)
    store.close()
    store.close()
    assert "closed" in repr(store)
    with imgstore.new_for_filename(tmp_path / "s" / "metadata.yaml") as store:
        assert store.user_metadata == {"genotype": "wt", "n": 3, "list": [1, 2.5], "when": metadata["when"]}
        assert store.frame_numbers.tolist() == list(range(10, 23, 2))
        assert store.frame_times.tolist() == [1.5 * k for k in range(7)]
        for array in (store.frame_numbers, store.frame_times):
            with pytest.raises(ValueError):
                array[0] = 1
        assert store.get_frame_metadata() == {
            "frame_number": list(range(10, 23, 2)),
            "frame_time": [1.5 * k for k in range(7)],
        }
        assert store.fps == 50 and store.format == "png" and store.lossless
        assert store.filename == str(tmp_path / "s") and store.full_path == str(tmp_path / "s" / "metadata.yaml")
        assert len(store.uuid) == 32
        created, zone = store.created
        assert abs((datetime.datetime.now(datetime.timezone.utc) - created).total_seconds()) < 60 and zone is not None
        at = store.convert_frame_time_to_datetime(1.7e9, tz=datetime.timezone.utc)
        assert at == datetime.datetime(2023, 11, 14, 22, 13, 20, tzinfo=datetime.timezone.utc)
        assert "7 in 3 chunks" in repr(store) and "<table>" in store._repr_html_()
        assert not store.has_extra_data and store.get_extra_data() is None


def test_fps_from_times(npy_store: str) -> None:
    with imgstore.new_for_filename(npy_store) as store:
        assert store.fps == 2


def test_is_imgstore(npy_store: str, tmp_path: Path) -> None:
    assert imgstore.is_imgstore(npy_store) and imgstore.is_imgstore(os.path.join(npy_store, "metadata.yaml"))
    assert not imgstore.is_imgstore(tmp_path) and not imgstore.is_imgstore(tmp_path / "nothing")


def test_created_of_old_stores(tmp_path: Path) -> None:
    root = tmp_path / "cam_20200102_030405"
    root.mkdir()
    store = "{version: 2, class: DirectoryImgStore, format: npy, imgshape: [4, 4], imgdtype: uint8, chunksize: 10}"
    text = f"__store: {store}\n"
    (root / "metadata.yaml").write_text(text + "timezone: America/New_York\n")
    created, zone = imgstore.new_for_filename(root).created
    assert created == datetime.datetime(2020, 1, 2, 8, 4, 5, tzinfo=datetime.timezone.utc)
    assert str(zone) == "America/New_York"
    assert imgstore.new_for_filename(root).uuid is None


# -- writing ---------------------------------------------------------------------------------------------------------


def test_extra_data(tmp_path: Path) -> None:
    with imgstore.new_for_format("npy", tmp_path / "s", imgshape=SHAPE, chunksize=3) as store:
        for k in range(7):
            store.add_image(coded_frame(k), k, float(k))
            if k % 2 == 0:
                store.add_extra_data(temperature=np.float32(20 + k), blob=b"ab", tags={1}, z=1 + 2j)
    with imgstore.new_for_filename(tmp_path / "s") as store:
        table = store.get_extra_data()
        assert table["temperature"].tolist() == [20, 22, 24, 26]
        assert table["frame_number"].tolist() == table["frame_index"].tolist() == [0, 2, 4, 6]
        assert len(store.find_extra_data_files()) == 3 and store.has_extra_data


def test_extra_data_may_have_any_key(tmp_path: Path) -> None:
    values = {"self": 1, "values": 2, "": 3, "a b": 4, "%": 5}
    with imgstore.new_for_format("npy", tmp_path / "s", imgshape=(8, 8)) as store:
        store.add_extra_data(**values)
    with imgstore.new_for_filename(tmp_path / "s") as store:
        (record,) = store.get_extra_records()
        assert {key: record[key] for key in values} == values


def test_extra_data_without_frames(tmp_path: Path) -> None:
    for fmt in ("npy", "mjpeg/avi"):
        root = tmp_path / fmt[:3]
        with imgstore.new_for_format(fmt, root, imgshape=SHAPE) as store:
            store.add_extra_data(a=1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ImgStoreWarning)
            with imgstore.new_for_filename(root) as store:
                assert store.frame_count == 0
                assert store.get_extra_data()["a"].tolist() == [1]


@pytest.mark.parametrize(
    ("img", "number", "time"),
    [
        (np.zeros((48, 65), np.uint8), 1, 1.0),
        (np.zeros((48, 64, 3), np.uint8), 1, 1.0),
        (np.full((48, 64), 256, np.uint16), 1, 1.0),
        ([[0] * 64] * 48, 1, 1.0),
        (np.zeros(SHAPE, np.uint8), "1", 1.0),
        (np.zeros(SHAPE, np.uint8), None, 1.0),
        (np.zeros(SHAPE, np.uint8), 1.5, 1.0),
        (np.zeros(SHAPE, np.uint8), float("nan"), 1.0),
        (np.zeros(SHAPE, np.uint8), 2**63, 1.0),
        (np.zeros(SHAPE, np.uint8), 1, "1.0"),
        (np.zeros(SHAPE, np.uint8), 1, None),
        (np.zeros(SHAPE, np.uint8), 1, float("nan")),
        (np.zeros(SHAPE, np.uint8), 1, float("inf")),
    ],
)
@pytest.mark.parametrize("fmt", ["png", "mjpeg/avi"])
def test_frames_that_are_refused(tmp_path: Path, fmt: str, img: Any, number: Any, time: Any) -> None:
    with imgstore.new_for_format(fmt, tmp_path / "s", imgshape=SHAPE) as store:
        store.add_image(coded_frame(1), 1, 1.0)
        with pytest.raises(ArgumentError):
            store.add_image(img, number, time)
        store.add_image(coded_frame(2), 2, 2.0)
    with imgstore.new_for_filename(tmp_path / "s") as store:
        assert [shown_number(i) for i, _ in store] == [1, 2], "nothing was lost, nothing came in"


@pytest.mark.parametrize(
    "options",
    [
        {"chunksize": 0},
        {"chunksize": -1},
        {"chunksize": 2.5},
        {"imgshape": None},
        {"imgshape": (0, 4)},
        {"imgshape": "ab"},
        {"imgshape": (4, 4, 2), "fmt": "png"},
        {"imgdtype": object},
        {"imgdtype": "nonsense"},
        {"encoding": "nonsense"},
        {"metadata": 3},
        {"metadata": {"a": object()}},
        {"metadata": {"__store": 1}},
        {"nonsense": 1},
        {"fps": -1},
        {"fps": "fast"},
        {"backend": "nonsense"},
        {"fmt": "nonsense"},
        {"fmt": "npy+color"},
        {"imgdtype": np.float32, "fmt": "jpg"},
    ],
)
def test_stores_that_are_refused(tmp_path: Path, options: dict[str, Any]) -> None:
    options = {"imgshape": SHAPE, **options}
    with pytest.raises(ValueError) as caught:
        imgstore.new_for_format(options.pop("fmt", "npy"), tmp_path / "s", **options)
    assert isinstance(caught.value, ImgStoreError)
    assert not (tmp_path / "s").exists(), "nothing is left behind"


def test_unknown_format_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="npy, png"):
        imgstore.new_for_format("nonsense", tmp_path / "s", imgshape=SHAPE)


def test_existing_store_is_refused_unless_told(tmp_path: Path) -> None:
    path = write_store(tmp_path / "s", "png", 25)
    (tmp_path / "s" / "notes.txt").write_text("mine")
    with pytest.raises(StoreExistsError, match="overwrite=True"):
        imgstore.new_for_format("npy", path, imgshape=SHAPE)
    assert imgstore.new_for_filename(path).frame_count == 25
    write_store(path, "mjpeg/avi", 3, first=7, overwrite=True)
    with imgstore.new_for_filename(path) as store:
        assert [shown_number(i) for i, _ in store] == [7, 8, 9]
    assert sorted(p.name for p in Path(path).iterdir()) == [
        ".imgstore-index", "000000.avi", "000000.npz", "metadata.yaml", "notes.txt",
    ]  # fmt: skip


def test_chunks_without_metadata_are_not_mixed_with_new_ones(tmp_path: Path) -> None:
    path = write_store(tmp_path / "s", "png", 5)
    os.unlink(os.path.join(path, "metadata.yaml"))
    with pytest.raises(StoreExistsError):
        imgstore.new_for_format("npy", path, imgshape=SHAPE)


def test_one_writer(tmp_path: Path) -> None:
    first = imgstore.new_for_format("npy", tmp_path / "s", imgshape=SHAPE)
    with pytest.raises(StoreLockedError, match=str(os.getpid())):
        imgstore.new_for_format("npy", tmp_path / "s", imgshape=SHAPE, overwrite=True)
    first.close()
    imgstore.new_for_format("npy", tmp_path / "s", imgshape=SHAPE, overwrite=True).close()


def test_a_collected_writer_leaves_a_whole_store(tmp_path: Path) -> None:
    store = imgstore.new_for_format("mjpeg/avi", tmp_path / "s", imgshape=SHAPE)
    store.add_image(coded_frame(5), 5, 5.0)
    del store
    with imgstore.new_for_filename(tmp_path / "s") as again:
        assert shown_number(again.get_next_image()[0]) == 5
    assert not (tmp_path / "s" / ".lock").exists()


def test_a_program_that_ends_without_closing_leaves_a_whole_store(tmp_path: Path) -> None:
    program = (
        "import imgstore, numpy as np, sys\n"
        "s = imgstore.new_for_format('avc1/mp4', sys.argv[1], imgshape=(48, 64))\n"
        "[s.add_image(np.zeros((48, 64), np.uint8), k, k) for k in range(5)]\n"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "s")], check=True)
    with imgstore.new_for_filename(tmp_path / "s") as store:
        assert store.frame_count == 5
    assert not list((tmp_path / "s").glob(".*.journal"))


def test_going_on_with_a_store(tmp_path: Path) -> None:
    for fmt in ("npy", "mjpeg/avi"):
        path = write_store(tmp_path / fmt[:3], fmt, 25, metadata={"a": 1})
        with imgstore.new_for_filename(path, mode="a") as store:
            assert (
                store.mode == "a" and store.frame_count == 25 and store.chunks == [0, 1, 2] and store.frame_max == 124
            )
            assert store.user_metadata == {"a": 1} and store.frame_number == 124
            for k in range(125, 140):
                store.add_image(coded_frame(k), k, 1000 + 0.5 * (k - 100))
            store.add_extra_data(k=1)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with imgstore.new_for_filename(path) as store:
                assert store.chunks == [0, 1, 2, 3, 4]
                assert [shown_number(i) for i, _ in store] == store.frame_numbers.tolist() == list(range(100, 140))
                assert store.get_extra_data()["frame_index"].tolist() == [39]
    with pytest.raises(NotAStoreError):
        imgstore.new_for_filename(tmp_path / "nothing", mode="a")


@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="only Linux tells one run of a process from another")
def test_the_lock_of_a_dead_writer(tmp_path: Path) -> None:
    program = (
        "import os, signal, sys, imgstore\n"
        "sys.path.insert(0, sys.argv[2])\n"
        "from scenes import coded_frame\n"
        "s = imgstore.new_for_format('npy', sys.argv[1], imgshape=(48, 64), chunksize=10)\n"
        "[s.add_image(coded_frame(k), k, k) for k in range(15)]\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    root = tmp_path / "s"
    subprocess.run([sys.executable, "-c", program, str(root), str(HELPERS)])
    lock = root / ".lock"
    owner = json.loads(lock.read_text())
    for change in ({"host": "elsewhere"}, {"boot": "another"}, {"pid": 1, "process_start": "x"}):
        lock.write_text(json.dumps({**owner, **change}))
        if change != {"pid": 1, "process_start": "x"}:  # that number was another process's, so this one is gone
            with pytest.raises(StoreLockedError, match="break_lock=True"):
                imgstore.new_for_filename(root, mode="a")
    lock.write_text("")  # as 0.x leaves it
    with pytest.raises(StoreLockedError, match="no name"):
        imgstore.new_for_filename(root, mode="a")
    imgstore.new_for_filename(root, mode="a", break_lock=True).close()
    lock.write_text(json.dumps(owner))
    with imgstore.new_for_filename(root, mode="a") as store:
        store.add_image(coded_frame(15), 15, 15.0)
    assert not lock.exists()
    with imgstore.new_for_filename(root) as store:
        assert [shown_number(i) for i, _ in store] == list(range(16))


def test_importing_imports_nothing_heavy() -> None:
    program = (
        "import sys, imgstore; heavy = {'cv2', 'pandas', 'av', 'h5py', 'blosc', 'click', 'rich', 'tqdm', 'sqlite3'}\n"
        "print(sorted(heavy & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr


def test_wrong_direction_and_after_close(tmp_path: Path) -> None:
    writer = imgstore.new_for_format("mjpeg/avi", tmp_path / "s", imgshape=SHAPE)
    writer.add_image(coded_frame(1), 1, 1.0)
    for call in (writer.get_next_image, lambda: writer.get_image(1), lambda: writer.frame_numbers, lambda: writer[0]):
        with pytest.raises(StoreClosedError, match="open for writing"):
            call()
    writer.close()
    with pytest.raises(StoreClosedError):
        writer.add_image(coded_frame(1), 1, 1.0)
    with pytest.raises(StoreClosedError):
        writer.add_extra_data(a=1)
    assert writer.frame_count == 1
    reader = imgstore.new_for_filename(tmp_path / "s")
    with pytest.raises(StoreClosedError, match="open for reading"):
        reader.add_image(coded_frame(1), 1, 1.0)
    with pytest.raises(ValueError):
        reader.empty()
    reader.close()
    reader.close()
    for call in (reader.get_next_image, lambda: reader.get_image(1), lambda: len(reader), lambda: reader.frame_times):
        with pytest.raises(StoreClosedError, match="closed"):
            call()


# -- what is changed is said -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fmt", "shape", "dtype", "stored"),
    [
        ("avc1/mp4", (49, 67), np.uint8, (48, 66)),
        ("avc1/mp4", (49, 66, 3), np.uint8, (48, 66, 3)),
        ("pgm", (48, 64, 3), np.uint8, (48, 64, 3)),
        ("mjpeg/avi", (48, 64), np.uint16, (48, 64)),
        ("jpg", (48, 64), np.uint16, (48, 64)),
    ],
)
def test_warnings_where_data_changes(tmp_path: Path, fmt: str, shape: Any, dtype: Any, stored: Any) -> None:
    with pytest.warns(ImgStoreWarning, match=fmt):
        store = imgstore.new_for_format(fmt, tmp_path / "s", imgshape=shape, imgdtype=dtype)
    with store:
        store.add_image(coded_frame(0x5A5A, shape, dtype), 1, 1.0)
    with imgstore.new_for_filename(tmp_path / "s") as store:
        img = store.get_next_image()[0]
        assert img.shape == store.image_shape == stored and img.dtype == np.uint8
        assert shown_number(img) == 0x5A5A


@pytest.mark.parametrize("fmt", ["png", "npy", "mjpeg/avi", "tif"])
def test_no_warning_where_nothing_changes(tmp_path: Path, fmt: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write_store(tmp_path / "s", fmt, 3)
        with imgstore.new_for_filename(tmp_path / "s") as store:
            list(store)


def test_decoded_variant(tmp_path: Path) -> None:
    import cv2

    raw = np.random.default_rng(0).integers(0, 255, SHAPE, np.uint8)
    with imgstore.new_for_format("png+color", tmp_path / "s", imgshape=SHAPE, encoding="cv_bayerbg") as store:
        store.add_image(raw, 0, 0.0)
    with imgstore.new_for_filename(tmp_path / "s") as store:
        assert store.format == "png" and store.image_shape == (48, 64, 3) and store._metadata["encoding"] is None
        np.testing.assert_array_equal(store.get_next_image()[0], cv2.cvtColor(raw, cv2.COLOR_BayerBG2BGR))


# -- assembling and renumbering --------------------------------------------------------------------------------------


def test_insert_chunk_and_empty(tmp_path: Path) -> None:
    source = Path(write_store(tmp_path / "source", "mjpeg/avi", 25))
    with imgstore.new_for_format("mjpeg/avi", tmp_path / "s", imgshape=SHAPE) as store:
        store.add_image(coded_frame(1), 1, 1.0)
        store.empty()
        assert store.frame_count == 0 and store.chunks == []
        store.insert_chunk(source / "000001.avi", range(110, 120), np.arange(10.0), move=False)
        store.insert_chunk(source / "000002.avi", [120, 121, 122, 123, 124], np.arange(10.0, 15))
        with pytest.raises(ArgumentError):
            store.insert_chunk(source / "000000.avi", [1, 2], [1.0])
        with pytest.raises(ImgStoreError, match="10 frames"):
            store.insert_chunk(source / "000000.avi", [1, 2], [1.0, 2.0])
        assert store.frame_count == 15 and (store.frame_min, store.frame_max) == (110, 124)
        store.add_image(coded_frame(130), 130, 20.0)
    assert (
        (source / "000001.avi").exists() and not (source / "000002.avi").exists() and (source / "000000.avi").exists()
    )
    with imgstore.new_for_filename(tmp_path / "s") as store:
        assert [shown_number(i) for i, _ in store] == [*range(110, 125), 130] == store.frame_numbers.tolist()
        assert store.chunks == [0, 1, 2]


@pytest.mark.parametrize("fmt", ["npy", "mjpeg/avi"])
def test_reindex(tmp_path: Path, fmt: str) -> None:
    numbers = [7, 8, 9, 0, 1, 2, 7]
    with imgstore.new_for_format(fmt, tmp_path / "s", imgshape=SHAPE, chunksize=2) as store:
        for k, n in enumerate(numbers):
            store.add_image(coded_frame(k), n, float(k))
            store.add_extra_data(k=k)
    with imgstore.new_for_filename(tmp_path / "s") as store:
        store.save_index()
        store.reindex()
        assert store.frame_numbers.tolist() == [-3, -2, -1, 0, 1, 2, 7]
    index = imgstore.index.ImgStoreIndex.new_from_file(tmp_path / "s" / ".index.sqlite")  # which 0.x would go on believing
    assert index.get_all_metadata()["frame_number"] == [-3, -2, -1, 0, 1, 2, 7]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ImgStoreWarning)  # the cached index is stale
        store = imgstore.new_for_filename(tmp_path / "s")
    with store:
        assert store.frame_numbers.tolist() == [-3, -2, -1, 0, 1, 2, 7]
        assert shown_number(store.get_image(-2)[0]) == 1
        table = store.get_extra_data()
        assert table["frame_number"].tolist() == [-3, -2, -1, 0, 1, 2, 7]
        assert table["_frame_number_before_reindex"].tolist() == numbers
    with np.load(next((tmp_path / "s").rglob("*.npz"))) as index:
        assert set(index["_frame_number_before_reindex"].tolist()) <= set(numbers)


@pytest.mark.parametrize("numbers", [[1, 2, 3], [0, 1, 0]])
def test_reindex_needs_one_zero(tmp_path: Path, numbers: list[int]) -> None:
    with imgstore.new_for_format("npy", tmp_path / "s", imgshape=SHAPE) as store:
        for k, n in enumerate(numbers):
            store.add_image(coded_frame(k), n, float(k))
    before = {p: p.read_bytes() for p in (tmp_path / "s").rglob("*") if p.is_file()}
    with imgstore.new_for_filename(tmp_path / "s") as store, pytest.raises(ValueError, match="nothing was changed"):
        store.reindex()
    assert {p: p.read_bytes() for p in (tmp_path / "s").rglob("*") if p.is_file()} == before


# -- stores that somebody has changed --------------------------------------------------------------------------------


def _open_quietly(path: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ImgStoreWarning)
        return imgstore.new_for_filename(path)


@pytest.mark.parametrize("fmt", ["npy", "mjpeg/avi"])
def test_missing_chunks_are_read_across(tmp_path: Path, fmt: str) -> None:
    path = write_store(tmp_path / "s", fmt, 35)
    chunk = Path(path) / "000001"
    if fmt == "npy":
        for file in chunk.iterdir():
            file.unlink()
        chunk.rmdir()
    else:
        chunk.with_suffix(".avi").unlink()
    with _open_quietly(path) as store:
        assert store.chunks == [0, 2, 3]
        expected = [*range(100, 110), *range(120, 135)]
        assert [shown_number(i) for i, _ in store] == store.frame_numbers.tolist() == expected
        with pytest.raises(FrameNotFoundError):
            store.get_image(115)


@pytest.mark.parametrize("how", ["truncated", "garbage", "empty", "pickles", "unequal", "missing"])
@pytest.mark.parametrize("fmt", ["npy", "mjpeg/avi"])
def test_unreadable_index_loses_one_chunk_and_says_so(tmp_path: Path, fmt: str, how: str) -> None:
    path = Path(write_store(tmp_path / "s", fmt, 35))
    index = path / "000001" / "index.npz" if fmt == "npy" else path / "000001.npz"
    content = index.read_bytes()
    if how == "missing":
        index.unlink()
    elif how == "pickles":
        np.savez(index, frame_number=np.array([Boom()], object), frame_time=np.array([1.0]))
    elif how == "unequal":
        np.savez(index, frame_number=np.arange(10), frame_time=np.arange(9.0))
    else:
        index.write_bytes({"truncated": content[:200], "garbage": b"\x07" * 500, "empty": b""}[how])
    with pytest.warns(ImgStoreWarning, match="000001"):
        store = imgstore.new_for_filename(path)
        assert store.frame_numbers.tolist() == [*range(100, 110), *range(120, 135)]
    assert shown_number(store.get_image(120)[0]) == 120
    assert not Boom.went_off


class Boom:
    """Tells when somebody unpickles."""

    went_off = False

    def __reduce__(self) -> Any:
        return (_go_off, ())


def _go_off() -> int:
    Boom.went_off = True
    return 1


def test_a_changed_chunk_is_never_read_by_the_cached_index(tmp_path: Path) -> None:
    path = Path(write_store(tmp_path / "s", "npy", 35))
    np.savez(path / "000001" / "index.npz", frame_number=np.arange(200, 210), frame_time=1000 + 0.5 * np.arange(10, 20))
    expected = [*range(100, 110), *range(200, 210), *range(120, 135)]
    readings = {
        "all": lambda s: s.frame_numbers.tolist() == expected,
        "metadata": lambda s: s.get_frame_metadata()["frame_number"] == expected,
        "new number": lambda s: shown_number(s.get_image(205)[0]) == 115,
        "by index": lambda s: s.get_image(None, frame_index=15)[1][0] == 205,
        "by time": lambda s: s.get_nearest_image(1007.5)[1][0] == 205,
        "in order": lambda s: [n for _, (n, _) in s] == expected,
        "batch": lambda s: s.get_images(frame_indices=[12, 3])[1][0].tolist() == [202, 103],
    }
    for name, reading in readings.items():
        with pytest.warns(ImgStoreWarning), imgstore.new_for_filename(path) as store:
            assert reading(store), name
    with imgstore.new_for_filename(path) as store, warnings.catch_warnings():
        warnings.simplefilter("ignore", ImgStoreWarning)
        with pytest.raises(FrameNotFoundError):
            store.get_image(115)


def test_a_damaged_cache_is_ignored_with_a_warning(tmp_path: Path) -> None:
    path = Path(write_store(tmp_path / "s", "npy", 35))
    cache = path / ".imgstore-index"
    content = cache.read_bytes()
    for damaged in (b"", content[:100], b"x" * len(content), content[:-1], bytes([content[0] ^ 1]) + content[1:]):
        cache.write_bytes(damaged)
        with pytest.warns(ImgStoreWarning, match="imgstore-index"), imgstore.new_for_filename(path) as store:
            assert store.frame_numbers.tolist() == list(range(100, 135))
    cache.unlink()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with imgstore.new_for_filename(path) as store:
            store.cache_index()
    assert cache.read_bytes() == content


def test_index_given_by_the_user(tmp_path: Path) -> None:
    path = write_store(tmp_path / "s", "npy", 25)
    with imgstore.new_for_filename(path) as store:
        store.save_index()
    index = imgstore.index.ImgStoreIndex.new_from_file(os.path.join(path, ".index.sqlite"))
    with imgstore.new_for_filename(path, index=index) as store:
        assert store._chunk_n_and_chunk_paths is None
        assert shown_number(store.get_image(117)[0]) == 117
        assert [n for n, _ in store._iter_chunk_n_and_chunk_paths()] == [0, 1, 2]
        assert store._chunk_n_and_chunk_paths == [(n, os.path.join(path, f"{n:06d}", "index")) for n in range(3)]
    with pytest.raises(ArgumentError):
        imgstore.new_for_filename(path, index=3)


@pytest.mark.parametrize("fmt", ["npy", "png", "mjpeg/avi", "avc1/mp4", "h264/mkv"])
@pytest.mark.parametrize("how", ["truncated", "empty", "swapped", "missing"])
def test_damaged_frames_are_errors_that_name_the_file(tmp_path: Path, fmt: str, how: str) -> None:
    path = Path(write_store(tmp_path / "s", fmt, 25))
    other = Path(write_store(tmp_path / "other", "jpg", 1))
    files = sorted(p for p in path.rglob("0000*.*") if p.suffix not in (".npz",))
    target = path / "000001" / files[0].name if files[0].parent != path else path / f"000001{files[0].suffix}"
    if how == "missing" and target.parent == path:
        return  # a missing chunk, tested above
    if how == "truncated":
        target.write_bytes(target.read_bytes()[: target.stat().st_size // 3])
    elif how == "empty":
        target.write_bytes(b"")
    elif how == "swapped":
        target.write_bytes((other / "000000" / "000000.jpg").read_bytes())
    else:
        target.unlink()
    with imgstore.new_for_filename(path) as store:
        good, bad = [], []
        for k in range(25):
            try:
                img, (number, _) = store.get_image(None, frame_index=k)
            except ImgStoreError as error:
                assert isinstance(error, (ValueError, OSError)) and target.name in str(error), str(error)
                bad.append(k)
            else:
                assert shown_number(img) == number == 100 + k, "a wrong frame"
                good.append(k)
        assert bad and bad[0] >= 10 and bad[-1] < 20
        assert set(range(10)) | set(range(20, 25)) <= set(good)


@pytest.mark.parametrize("count", [7, 13])
@pytest.mark.parametrize("fmt", ["mjpeg/avi", "avc1/mp4", "h264/mkv"])
def test_index_with_more_or_fewer_entries_than_frames(tmp_path: Path, fmt: str, count: int) -> None:
    path = Path(write_store(tmp_path / "s", fmt, 10))
    np.savez(path / "000000.npz", frame_number=np.arange(100, 100 + count), frame_time=np.arange(float(count)))
    with _open_quietly(path) as store, warnings.catch_warnings():
        warnings.simplefilter("ignore", ImgStoreWarning)
        assert len(store.frame_numbers) == store.frame_count == count
        for k in range(count):
            if k < 10:
                assert shown_number(store.get_image(100 + k)[0]) == 100 + k
            else:
                with pytest.raises(FrameDecodeError, match="10 frames"):
                    store.get_image(100 + k)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\x00\xff\xfe\x80" * 40,
        b"- 1\n- 2\n",
        b"just text",
        b"a: 1\n",
        b"__store: 3\n",
        b"__store: {version: 3, class: DirectoryImgStore, format: npy, imgshape: [4, 4], imgdtype: uint8}\n",
        b"__store: {version: 2, class: Nonsense, format: npy, imgshape: [4, 4], imgdtype: uint8}\n",
        b"__store: {version: 2, class: DirectoryImgStore, format: nonsense, imgshape: [4, 4], imgdtype: uint8}\n",
        b"__store: {version: 2, class: DirectoryImgStore, format: 7, imgshape: [4, 4], imgdtype: uint8}\n",
        b"__store: {version: 2, class: DirectoryImgStore, format: npy, imgshape: 4, imgdtype: uint8}\n",
        b"__store: {version: 2, class: DirectoryImgStore, format: npy, imgshape: [4, 4], imgdtype: [1]}\n",
        b"__store: {version: 2, class: DirectoryImgStore, format: npy, imgshape: [4, 4], imgdtype: object}\n",
        b"__store: {version: 2, class: DirectoryImgStore, format: npy, imgshape: [4, 4], encoding: zzz}\n",
        b"__store: {version: 2, class: VideoImgStore, format: x, imgshape: [4, 4], extension: ../x}\n",
        b"__store: !!python/object/apply:os.system ['touch BOOM']\n",
        b"a: !nonsense 1\n__store: {version: 2}\n",
        b"__store: {version: 2, class: DirectoryImgStore, format: npy, imgshape: [4, 4], created_utc: never}\n",
        b"[" * 5000,
        b"a: &a [*a]\n{",
    ],
)
def test_bad_metadata_is_an_error_that_names_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: bytes
) -> None:
    monkeypatch.chdir(tmp_path)
    root = tmp_path / "s"
    root.mkdir()
    (root / "metadata.yaml").write_bytes(text)
    with pytest.raises(ValueError) as caught:
        imgstore.new_for_filename(root)
    assert isinstance(caught.value, ImgStoreError)
    assert str(root) in str(caught.value) or isinstance(caught.value, FormatError) or b"zzz" in text
    assert not (tmp_path / "BOOM").exists()


def test_no_store(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for path in (tmp_path, tmp_path / "nothing", tmp_path / "file", tmp_path / "nothing" / "metadata.yaml"):
        with pytest.raises(NotAStoreError, match=str(path.parent)):
            imgstore.new_for_filename(path)
    for wrong in ({}, {"path": tmp_path, "basedir": tmp_path}, {"basedir": tmp_path / "metadata.yaml"}, {"path": 3}):
        with pytest.raises(ValueError):
            imgstore.new_for_filename(**wrong)
    with pytest.raises(MetadataError):
        imgstore.VideoImgStore(write_store(tmp_path / "s", "npy", 1))
    with pytest.raises(TypeError):
        imgstore.new_for_filename(tmp_path / "s", nonsense=1)


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="permissions are another thing on this system")
def test_directory_without_permission() -> None:
    program = (
        "import os, sys, tempfile, numpy as np, imgstore\n"
        "from imgstore.errors import ImgStoreError, StoreWriteError\n"
        "from scenes import write_store\n"
        "path, closed = write_store(sys.argv[1] + '/s', 'npy', 5), sys.argv[1] + '/closed'\n"
        "list(imgstore.new_for_filename(path))\n"
        "os.mkdir(closed)\n"
        "for directory in (sys.argv[1], closed, path): os.chmod(directory, 0o555)\n"
        "if os.geteuid() == 0: os.setgid(65534), os.setuid(65534)\n"
        "s = imgstore.new_for_filename(path)\n"
        "assert len(list(s)) == 5, 'reading works where nothing can be written'\n"
        "for target in (closed, closed + '/new'):\n"
        "    try: imgstore.new_for_format('npy', target, imgshape=(4, 4))\n"
        "    except StoreWriteError as error: assert target in str(error) and isinstance(error, OSError), error\n"
        "    else: raise SystemExit('written without permission')\n"
        "try: s.cache_index()\n"
        "except ImgStoreError as error: print('ok')\n"
    )
    with tempfile.TemporaryDirectory() as directory:
        done = subprocess.run(
            [sys.executable, "-c", program, directory],
            capture_output=True,
            text=True,
            env=WITH_HELPERS,
        )
        for name in ("s", "closed", ""):
            os.chmod(os.path.join(directory, name), 0o755)
    assert done.stdout == "ok\n", done.stderr


# -- several at once -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fmt", CHEAP)
def test_threads_share_a_store(tmp_path: Path, fmt: str) -> None:
    path = write_store(tmp_path / "s", fmt, 45)
    errors: list[Any] = []
    with imgstore.new_for_filename(path) as store:

        def work(seed: int) -> None:
            for number in np.random.default_rng(seed).integers(100, 145, 40):
                img, (got, _) = store.get_image(number)
                if not got == number == shown_number(img):
                    errors.append((number, got))

        threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
        [t.start() for t in threads]
        [t.join() for t in threads]
    assert not errors


def test_no_thread_is_left_behind(tmp_path: Path) -> None:
    path = write_store(tmp_path / "s", "avc1/mp4", 45)

    others = set(threading.enumerate())  # of stores that wait to be read again, for one: see `imgstore.mapping`

    def ours(kind: str = "") -> int:
        return sum(t.name.startswith(f"imgstore{kind}") for t in set(threading.enumerate()) - others)

    with imgstore.new_for_filename(path) as store:
        for _ in range(12):
            store.get_next_image()
        assert ours("-read-ahead") >= 1  # more where groups of pictures are decoded at the same time
        assert shown_number(store.get_image(103)[0]) == 103
        assert ours("-read-ahead") == 0, "off when reading jumps about"
        for _ in range(12):
            store.get_next_image()
    assert set(threading.enumerate()) <= others
    store = imgstore.new_for_filename(path)
    for _ in range(12):
        store.get_next_image()
    del store
    deadline = monotonic() + 30
    while ours() and monotonic() < deadline:
        sleep(0.01)
    assert ours() == 0, "none is left after garbage collection"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.parametrize("fmt", CHEAP)
def test_a_store_goes_through_a_fork(tmp_path: Path, fmt: str) -> None:
    path = write_store(tmp_path / "s", fmt, 45)
    program = (
        "import os, sys, imgstore\n"
        "sys.path.insert(0, sys.argv[2])\n"
        "from scenes import shown_number\n"
        "s = imgstore.new_for_filename(sys.argv[1])\n"
        "def batch():\n"
        "    images, (numbers, _) = s.get_images(frame_indices=range(0, 45, 4))\n"
        "    return [shown_number(i) for i in images] == numbers.tolist() == list(range(100, 145, 4))\n"
        "good = batch()\n"
        "for _ in range(9): s.get_next_image()\n"
        "child = os.fork()\n"
        "good = good and batch()\n"
        "s.get_image(108)\n"
        "good = good and all(shown_number(i) == n for i, (n, _) in (s.get_next_image() for _ in range(25)))\n"
        "good = good and s.frame_number == 133 and shown_number(s.get_image(101)[0]) == 101\n"
        "s.close()\n"
        "if child == 0: os._exit(0 if good else 1)\n"
        "sys.exit(0 if good and os.waitpid(child, 0)[1] == 0 else 1)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, path, str(HELPERS)], timeout=60)
    assert done.returncode == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.parametrize(
    "fmt", long_but({"npy", "avc1/mp4"}, [f for f in FORMATS if f in ("npy", "avc1/mp4", "h264/mkv", "mjpeg/avi", "divx/avi")])
)
@pytest.mark.parametrize("writer", long_but({"store"}, ["store", "recorder"]))
@pytest.mark.parametrize("end", ["collect", "close", "exit"])
def test_a_forked_child_does_nothing_to_a_recording(tmp_path: Path, fmt: str, writer: str, end: str) -> None:
    """An encoder's threads stay in the parent, and there is one file: the child neither waits for it nor writes to it."""
    path, program = str(tmp_path / "s"), str(HELPERS / "forked_recording.py")
    done = subprocess.run([sys.executable, program, path, fmt, writer, end], timeout=120, env=WITH_HELPERS)
    assert done.returncode == 0
    with imgstore.new_for_filename(path) as store:
        assert [shown_number(img) for img, _ in store] == list(range(45))


@pytest.mark.parametrize("fmt", CHEAP)
def test_a_pickled_reader_opens_at_the_same_place_in_another_process(tmp_path: Path, fmt: str) -> None:
    path = write_store(tmp_path / "s", fmt, 25)
    with imgstore.new_for_filename(path, seek=False) as store:
        store.get_image(112)
        pickled = pickle.dumps(store)
    program = (
        "import pickle, sys\n"
        "store = pickle.loads(sys.stdin.buffer.read())\n"
        "print(store.frame_number, store.get_next_image()[1][0], store.mode)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], input=pickled, capture_output=True)
    assert done.stdout.split() == [b"112", b"113", b"r"], done.stderr
    with imgstore.new_for_format("npy", tmp_path / "w", imgshape=SHAPE) as writer, pytest.raises(StoreClosedError):
        pickle.dumps(writer)


# -- a store that is being written -----------------------------------------------------------------------------------


@pytest.mark.parametrize("fmt", long_but({"npy", "mjpeg/avi", "h264/mkv", "avc1/mp4"}, KILLED))
def test_a_killed_recording_opens_with_what_was_recorded(tmp_path: Path, fmt: str) -> None:
    if fmt not in FORMATS:
        pytest.skip(f"needs the format {fmt}")
    program = (
        "import os, signal, sys, imgstore\n"
        "sys.path.insert(0, sys.argv[3])\n"
        "from scenes import coded_frame\n"
        "s = imgstore.new_for_format(sys.argv[2], sys.argv[1], imgshape=(48, 64), chunksize=20)\n"
        "for k in range(47):\n"
        "    s.add_image(coded_frame(k), k, k / 100)\n"
        "    s.add_extra_data(k=k)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    root = tmp_path / "s"
    subprocess.run([sys.executable, "-c", program, str(root), fmt, str(HELPERS)])
    with imgstore.new_for_filename(root) as store:
        for img, (number, time) in store:
            assert shown_number(img) == number and time == number / 100
        missing = set(range(47)).difference(store.frame_numbers.tolist())
        # A chunk that was not in place yet may lack the frame that its file still held back: it was a moment old.
        assert missing <= {19, 39, 46}
        assert store.get_extra_data()["k"].tolist() == list(range(47))
    assert (root / ".lock").exists(), "reading never changes a store"


@pytest.mark.parametrize("fmt", ["npy", "mjpeg/avi", "h264/mkv", "avc1/mp4"])
def test_live_reading(tmp_path: Path, fmt: str) -> None:
    with imgstore.new_for_format(fmt, tmp_path / "s", imgshape=SHAPE, chunksize=20) as writer:
        for k in range(15):
            writer.add_image(coded_frame(k), k, float(k))
        reader = imgstore.new_for_filename(tmp_path / "s")
        seen = [shown_number(i) for i, _ in reader]
        assert seen == list(range(len(seen))) and len(seen) >= 12
        for k in range(15, 50):
            writer.add_image(coded_frame(k), k, float(k))
        assert reader.refresh() >= 47
        while reader.frame_number < reader.frame_max:
            img, (number, _) = reader.get_next_image()
            assert shown_number(img) == number == seen[-1] + 1
            seen.append(number)
        assert len(seen) >= 47
    assert reader.refresh() == 50
    reader.close()


@pytest.mark.parametrize("fmt", ["npy", "avc1/mp4"])
def test_following_a_recording(tmp_path: Path, fmt: str) -> None:
    program = (
        "import sys, time, imgstore\n"
        "sys.path.insert(0, sys.argv[3])\n"
        "from scenes import coded_frame\n"
        "with imgstore.new_for_format(sys.argv[2], sys.argv[1], imgshape=(48, 64), chunksize=20) as s:\n"
        "    for k in range(70):\n"
        "        s.add_image(coded_frame(k), k, k / 100)\n"
        "        if k == 5: print('begun', flush=True)\n"
        "        time.sleep(0.01)\n"
    )
    root = tmp_path / "s"
    with subprocess.Popen(
        [sys.executable, "-c", program, str(root), fmt, str(HELPERS)], stdout=subprocess.PIPE
    ) as writer:
        assert writer.stdout is not None and writer.stdout.readline() == b"begun\n"
        with imgstore.new_for_filename(root) as store:
            before = store.frame_count
            followed = [(shown_number(i), n) for i, (n, _) in store.iter_images(follow=True, poll_interval=0.01)]
    assert 0 < before < 70
    assert followed == [(k, k) for k in range(70)]
    with imgstore.new_for_filename(root) as store:
        assert [n for _, (n, _) in store.iter_images(60, follow=True)] == list(range(60, 70)), "nobody writes any more"


def test_numbers_of_several_types_are_each_taken_as_they_are(tmp_path: Path) -> None:
    """NumPy would make floats of them, and of two neighbours one."""
    large = 2**53
    path = write_store(tmp_path / "s", "npy", 4, first=large)
    with imgstore.new_for_filename(path) as store:
        wanted = [np.uint64(large + 1), np.int64(large + 2), large + 3]
        assert store.get_images(wanted)[1][0].tolist() == [large + 1, large + 2, large + 3]
        assert store.get_images(np.array([large + 1], np.uint64))[1][0].tolist() == [large + 1]
        found = store.get_images(frame_indices=[np.uint64(1), np.int64(-1), 2.0])[1][0]
        assert found.tolist() == [large + 1, large + 3, large + 2]
        for nothing in (math.inf, math.nan, 1.5):
            with pytest.raises(imgstore.errors.ArgumentError, match="whole number"):
                store[nothing]

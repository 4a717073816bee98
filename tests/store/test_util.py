"""Names that 0.x had in ``util`` and ``constants``, what is behind them, colour, and time codes."""

from __future__ import annotations

import io
import subprocess
import sys
import zoneinfo
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from imgstore import apps, constants, stores, util
from imgstore.errors import ArgumentError
from imgstore.pixels.color import ensure_color, ensure_grayscale
from imgstore.timecodes import generate_timecodes

DTYPES = ["uint8", "uint16", "float32", "float64", "int8", "int16", "int32", "int64", "bool", ">u2", "float16"]


class FakeStore:
    """What the functions of Motif ask of a store."""

    def __init__(self, metadata: dict[str, Any] | None = None, chunks: tuple[list[float], ...] = ()) -> None:
        self.user_metadata = metadata or {}
        self.chunks = list(range(len(chunks)))
        self.created = (None, zoneinfo.ZoneInfo("Asia/Tokyo"))
        self.frame_times = np.concatenate([np.empty(0), *map(np.asarray, chunks)])
        self._times = chunks

    def _get_chunk_metadata(self, chunk: int) -> dict[str, list[float]]:
        return {"frame_time": self._times[chunk]}


# constants


def test_constants_are_those_of_0x() -> None:
    assert constants.STORE_MD_FILENAME == "metadata.yaml"
    assert constants.STORE_LOCK_FILENAME == ".lock"
    assert constants.STORE_MD_KEY == "__store"
    assert constants.STORE_INDEX_FILENAME == ".index.sqlite"
    assert constants.FRAME_MD == ("frame_number", "frame_time")
    assert constants.EXTRA_DATA_FILE_EXTENSIONS == (".extra.json", ".extra_data.json", ".extra_data.h5")
    for name in ("STORE_MD_FILENAME", "STORE_LOCK_FILENAME", "STORE_MD_KEY", "STORE_INDEX_FILENAME"):
        assert getattr(stores, name) == getattr(constants, name)


@pytest.mark.parametrize("module", [util, constants])
def test_doors_have_what_they_promise(module: Any) -> None:
    assert all(hasattr(module, name) for name in module.__all__)


def test_util_and_align_import_without_the_heavy_packages() -> None:
    code = (
        "import sys, imgstore.util, imgstore.constants, imgstore.align, imgstore.timecodes;"
        "print([m for m in ('cv2', 'pandas', 'h5py', 'av') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# FourCC


@pytest.mark.parametrize("code", ["MJPG", "avc1", "H264", "    ", "\0\x7fa~"])
def test_fourcc_is_opencvs(code: str) -> None:
    assert util.FourCC(*code) == cv2.VideoWriter_fourcc(*code)


def test_fourcc_of_anything_but_four_characters_is_an_error() -> None:
    for bad in (("é", "a", "b", "c"), (1, 2, 3, 4), ("ab", "c", "d", "e"), ("", "a", "b", "c")):
        with pytest.raises(ArgumentError, match="four-character"):
            util.FourCC(*bad)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        util.FourCC("M", "J", "P")  # type: ignore[call-arg]


# colour


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(5, 6), (5, 6, 1), (0, 0), (1, 1)])
def test_gray_in_colour_is_the_same_in_each_channel(shape: tuple[int, ...], dtype: str) -> None:
    img = np.random.default_rng(0).integers(0, 120, shape).astype(dtype)
    for ensure_copy in (False, True):
        color = ensure_color(img, ensure_copy)
        assert color.shape == (*shape[:2], 3)
        assert color.dtype == img.dtype
        for channel in range(3):
            np.testing.assert_array_equal(color[:, :, channel], img.reshape(shape[:2]))
        assert not np.shares_memory(color, img)


@pytest.mark.parametrize("dtype", DTYPES)
def test_colour_stays_as_it_is(dtype: str) -> None:
    img = np.random.default_rng(0).integers(0, 120, (5, 6, 3)).astype(dtype)
    assert ensure_color(img) is img
    copy = ensure_color(img, ensure_copy=True)
    np.testing.assert_array_equal(copy, img)
    assert not np.shares_memory(copy, img)


@pytest.mark.parametrize("shape", [(5, 6, 4), (5, 6, 2), (5, 6, 0), (5,), (2, 5, 6, 3)])
def test_what_is_no_image_is_refused_by_ensure_color(shape: tuple[int, ...]) -> None:
    with pytest.raises(ArgumentError, match=r"shape \("):
        ensure_color(np.zeros(shape, np.uint8))


@pytest.mark.parametrize("shape", [(5, 6), (5, 6, 1), (5, 6, 2), (5, 6, 4), (5,), (2, 5, 6, 3), (0, 0)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_what_is_not_in_colour_is_gray_already(shape: tuple[int, ...], dtype: str) -> None:
    img = np.zeros(shape, dtype)
    assert ensure_grayscale(img) is img
    copy = ensure_grayscale(img, ensure_copy=True)
    assert copy is not img
    assert copy.shape == shape
    assert copy.dtype == img.dtype


@given(npst.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3))), st.sampled_from(["", ">"]))
def test_gray_of_colour_is_its_luma(img: np.ndarray, order: str) -> None:
    luma = img @ np.array([0.114, 0.587, 0.299])
    assert np.abs(ensure_grayscale(img) - luma).max() <= 0.51
    wide = ensure_grayscale((img.astype("u2") * 257).astype(order + "u2"))
    assert wide.dtype == np.uint16
    assert np.abs(wide / 257 - luma).max() <= 0.02
    fine = ensure_grayscale(img.astype(order + "f4"))
    assert fine.dtype == np.float32
    np.testing.assert_allclose(fine, luma, rtol=1e-5, atol=1e-4)


def test_colour_of_a_dtype_without_conversion_is_refused() -> None:
    for dtype in ("float64", "int32", "bool"):
        with pytest.raises(ArgumentError, match=dtype):
            ensure_grayscale(np.zeros((4, 4, 3), dtype))


def test_views_are_read_as_they_are() -> None:
    img = np.random.default_rng(0).integers(0, 255, (8, 10, 3), np.uint8)
    view = img[::2, ::-3]
    np.testing.assert_array_equal(ensure_grayscale(view), ensure_grayscale(view.copy()))
    np.testing.assert_array_equal(ensure_color(view[:, :, 1]), ensure_color(view[:, :, 1].copy()))


# Motif


ALL_RATES = {
    "hwframerate": 10,
    "motifptpframerate": 20,
    "acquisitionframerate": 30,
    "acquisitionframerateenable": True,
}


@pytest.mark.parametrize(
    ("metadata", "rate", "hardware_rate"),
    [
        (ALL_RATES, 10.0, 10.0),
        ({"hwframerate": "10"}, 10.0, 10.0),
        ({"hwframerate": 10.5}, 10.5, 10.5),
        ({"hwframerate": 0, "motifptpframerate": 20}, 0.0, 0.0),
        ({"hwframerate": None, "motifptpframerate": 20}, 20.0, 20.0),
        ({k: v for k, v in ALL_RATES.items() if k != "hwframerate"}, 20.0, 20.0),
        ({"acquisitionframerate": 30, "acquisitionframerateenable": True}, 30.0, None),
        ({"acquisitionframerate": 0, "acquisitionframerateenable": True}, None, None),
        ({"acquisitionframerate": 30, "acquisitionframerateenable": False}, None, None),
        ({"acquisitionframerate": 30, "acquisitionframerateenable": 1}, None, None),
        ({"acquisitionframerate": 30, "acquisitionframerateenable": "True"}, None, None),
        ({"acquisitionframerate": 30}, None, None),
        ({"acquisitionframerateenable": True}, None, None),
        ({}, None, None),
    ],
)
def test_frame_rate_noted(metadata: dict[str, Any], rate: float | None, hardware_rate: float | None) -> None:
    store = FakeStore(metadata, ([0.0, 0.5, 1.0],))
    fps = util.motif_get_parse_true_fps
    assert fps(store) == (25.0 if rate is None else rate)
    assert fps(store, 7.0) == (7.0 if rate is None else rate)
    assert fps(store, default=None) == (2.0 if rate is None else rate)
    for keyword in ("hardware_only", "hwardware_only"):  # 0.4.0 has it misspelt
        assert fps(store, **{keyword: True}) == (25.0 if hardware_rate is None else hardware_rate)
    assert fps(store, 7.0, True) == (7.0 if hardware_rate is None else hardware_rate)


@pytest.mark.parametrize("key", ["hwframerate", "motifptpframerate", "acquisitionframerate"])
def test_frame_rate_that_is_no_number_is_an_error_that_names_it(key: str) -> None:
    with pytest.raises(ArgumentError, match=f"{key}.*'x'"):
        util.motif_get_parse_true_fps(FakeStore({key: "x", "acquisitionframerateenable": True}))


@pytest.mark.parametrize(
    ("chunks", "rate"),
    [
        (([1.0, 2.0],), 1.0),
        (([1.0, 1.5, 2.5],), 1 / 0.75),
        (([0.0, 0.1, 0.2, 5.0], [5.1, 6.1, 7.1]), 10.0),
        (([3.0], [4.0, 4.25]), 4.0),
        (([2.0, 1.0],), -1.0),
        (([1.0, 1.0],), np.inf),
        (([1.0],), np.nan),
        ((), np.nan),
    ],
)
def test_frame_rate_measured_in_the_first_chunk(chunks: tuple[list[float], ...], rate: float) -> None:
    measured = util.motif_get_parse_true_fps(FakeStore({}, chunks), default=None)
    assert measured == pytest.approx(rate, rel=1e-12, nan_ok=True)


@pytest.mark.parametrize("name", ["Europe/Vienna", "CET", "UTC"])
def test_time_zone_of_the_metadata(name: str) -> None:
    assert util.motif_get_recording_timezone(FakeStore({"timezone": name})) == zoneinfo.ZoneInfo(name)


@pytest.mark.parametrize(
    "metadata", [{}] + [{"timezone": t} for t in ("x", None, "", 5, "../etc", "Europe", "/", "\0")]
)
def test_time_zone_of_the_store_where_the_metadata_has_none(metadata: dict[str, Any]) -> None:
    assert util.motif_get_recording_timezone(FakeStore(metadata)) == zoneinfo.ZoneInfo("Asia/Tokyo")


# time codes


@pytest.mark.parametrize(
    ("times", "lines"),
    [
        ([10.0, 10.04, 10.0801234567, 11.5], ["0.000", "40.000", "80.123", "1500.000"]),
        ([1700000000.0, 1700000000.041, 1700000003.1234567], ["0.000", "41.000", "3123.457"]),
        ([5.0, 4.0, 6.0], ["0.000", "-1000.000", "1000.000"]),
        ([0, 1e-7, 1e5, 1e9], ["0.000", "0.000", "100000000.000", "1000000000000.000"]),
        ([5.0], ["0.000"]),
        ([], []),
    ],
)
def test_timecodes_are_milliseconds_from_the_first_frame(times: list[float], lines: list[str]) -> None:
    file = io.StringIO()
    since_first = generate_timecodes(FakeStore({}, (times,)), file)
    assert file.getvalue() == "".join(line + "\n" for line in ["# timecode format v2", *lines])
    np.testing.assert_array_equal(since_first, np.array(times) - (times or [0])[0])
    assert apps.generate_timecodes is generate_timecodes


def test_timecodes_of_many_frames_are_whole() -> None:
    times = np.arange(200_001) / 8
    file = io.StringIO()
    generate_timecodes(FakeStore({}, (times,)), file)  # type: ignore[arg-type]
    lines = file.getvalue().splitlines()
    assert lines[1:] == [f"{125 * i}.000" for i in range(200_001)]

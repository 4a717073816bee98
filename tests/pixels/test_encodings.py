"""Codes of raw encodings, and decoding: against OpenCV and against mosaics of known colour."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgstore.errors import ArgumentError
from imgstore.pixels.encodings import ImageCodecProcessor, check_encoding, decode_to_bgr, encoding_codes

# What 0.4.0 has with OpenCV 5, but for the ..._full that the interface leaves out.
CODES_OF_0X = {
    "cv_bayerbg": "BayerBG2BGR",
    "cv_bayergb": "BayerGB2BGR",
    "cv_bayergr": "BayerGR2BGR",
    "cv_bayerrg": "BayerRG2BGR",
    "cv_bgr555": "BGR5552BGR",
    "cv_bgr565": "BGR5652BGR",
    "cv_bgra": "BGRA2BGR",
    "cv_gray": "GRAY2BGR",
    "cv_hls": "HLS2BGR",
    "cv_hsv": "HSV2BGR",
    "cv_lab": "LAB2BGR",
    "cv_luv": "LUV2BGR",
    "cv_rgb": "RGB2BGR",
    "cv_rgba": "RGBA2BGR",
    "cv_xyz": "XYZ2BGR",
    "cv_ycrcb": "YCrCb2BGR",
    "cv_yuv": "YUV2BGR",
    "cv_yuv_i420": "YUV2BGR_I420",
    "cv_yuv_iyuv": "YUV2BGR_IYUV",
    "cv_yuv_nv12": "YUV2BGR_NV12",
    "cv_yuv_nv21": "YUV2BGR_NV21",
    "cv_yuv_uynv": "YUV2BGR_UYNV",
    "cv_yuv_uyvy": "YUV2BGR_UYVY",
    "cv_yuv_y422": "YUV2BGR_Y422",
    "cv_yuv_yunv": "YUV2BGR_YUNV",
    "cv_yuv_yuy2": "YUV2BGR_YUY2",
    "cv_yuv_yuyv": "YUV2BGR_YUYV",
    "cv_yuv_yv12": "YUV2BGR_YV12",
    "cv_yuv_yvyu": "YUV2BGR_YVYU",
    "cv_yuv420p": "YUV420p2BGR",
    "cv_yuv420sp": "YUV420sp2BGR",
}
# The colours of the top left 2 x 2 pixels, row by row, by OpenCV's two letters: they name the second and third pixel of
# the second row.
PATTERNS = {"bg": "RGGB", "gb": "GRBG", "rg": "BGGR", "gr": "GBRG"}
BGR = (40, 90, 200)


def conversion(name: str) -> int:
    return int(getattr(cv2, "COLOR_" + name))


def mosaic(pattern: str, dtype: str = "uint8", size: int = 12) -> np.ndarray:
    """An image of one colour as a sensor with this pattern of filters sees it."""
    value = dict(zip("BGR", BGR, strict=True))
    cell = np.array([value[c] for c in pattern], dtype).reshape(2, 2)
    return np.tile(cell, (size // 2, size // 2))


@pytest.mark.parametrize("code", CODES_OF_0X)
def test_code_stands_for_the_conversion_it_is_named_after(code: str) -> None:
    assert encoding_codes()[code] == conversion(CODES_OF_0X[code])


def test_every_code_belongs_to_a_conversion_to_bgr_and_no_algorithm_has_one() -> None:
    codes = encoding_codes()
    bayer_aliases = {f"cv_bayer{p.lower()}" for p in PATTERNS.values()}
    assert set(codes) >= set(CODES_OF_0X)
    for code in set(codes) - set(CODES_OF_0X):
        assert code in bayer_aliases or getattr(cv2, "__version__", "") > "5.0", code
    assert not [c for c in codes if c.endswith(("_vng", "_ea", "_full"))]
    assert "cv_bgr" not in codes


@pytest.mark.parametrize("letters", PATTERNS)
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_bayer_of_one_colour_decodes_to_that_colour(letters: str, dtype: str) -> None:
    pattern = PATTERNS[letters]
    decoded = decode_to_bgr(mosaic(pattern, dtype), f"cv_bayer{letters}")
    assert decoded.dtype == dtype
    assert decoded.shape == (12, 12, 3)
    np.testing.assert_array_equal(decoded, np.broadcast_to(np.array(BGR, dtype), (12, 12, 3)))
    if f"cv_bayer{pattern.lower()}" in encoding_codes():  # OpenCV before 4.5.5 has no four-letter names
        alias = decode_to_bgr(mosaic(pattern, dtype), f"cv_bayer{pattern.lower()}")
        np.testing.assert_array_equal(alias, decoded)


IMAGES = [
    ((12, 12), "uint8"),
    ((12, 12), "uint16"),
    ((12, 12), "float32"),
    ((12, 12, 2), "uint8"),
    ((12, 12, 3), "uint8"),
    ((12, 12, 3), "uint16"),
    ((12, 12, 3), "float32"),
    ((12, 12, 4), "uint8"),
]


@pytest.mark.parametrize("code", sorted(encoding_codes()))
def test_every_code_decodes_as_opencv_does_or_is_refused(code: str) -> None:
    rng = np.random.default_rng(1)
    decoded = 0
    for shape, dtype in IMAGES:
        img = rng.integers(0, 255, shape).astype(dtype)
        try:
            want = cv2.cvtColor(img, encoding_codes()[code])
        except cv2.error:
            with pytest.raises(ArgumentError, match=code):
                decode_to_bgr(img, code)
            continue
        got = decode_to_bgr(img, code)
        np.testing.assert_array_equal(got, want)
        assert got.dtype == img.dtype
        assert got.shape[-1] == 3
        decoded += 1
    assert decoded


@given(
    st.sampled_from(sorted(PATTERNS)),
    st.integers(1, 20).map(lambda n: 2 * n),
    st.integers(1, 20).map(lambda n: 2 * n),
    st.sampled_from(["uint8", "uint16"]),
    st.integers(0, 2**32 - 1),
)
def test_bayer_keeps_what_the_sensor_measured(letters: str, h: int, w: int, dtype: str, seed: int) -> None:
    """Demosaicing interpolates only what a pixel lacks: away from the border its own colour stays."""
    img = np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, (h, w), dtype, endpoint=True)
    decoded = decode_to_bgr(img, f"cv_bayer{letters}")
    channel = np.array(["BGR".index(c) for c in PATTERNS[letters]]).reshape(2, 2)
    own = np.take_along_axis(decoded, np.tile(channel, (h // 2, w // 2))[:, :, None], axis=2)[:, :, 0]
    np.testing.assert_array_equal(own[1:-1, 1:-1], img[1:-1, 1:-1])


def test_planar_yuv_loses_the_rows_of_its_chroma_planes() -> None:
    assert decode_to_bgr(np.full((12, 16), 128, np.uint8), "cv_yuv_nv12").shape == (8, 16, 3)


@pytest.mark.parametrize(
    "code", ["foo", "", "cv_", "bayerbg", "CV_BAYERBG", "cv_bgr", "cv_bayerbg_vng", "cv_hsv_full", None, 5, []]
)
def test_unknown_code_is_an_error_that_lists_the_known(code: object) -> None:
    with pytest.raises(ArgumentError, match="cv_bayerbg, .*cv_yuv_nv12, ") as caught:
        check_encoding(code)  # type: ignore[arg-type]
    assert repr(code) in str(caught.value)
    assert not ImageCodecProcessor().check_code(code)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError):
        decode_to_bgr(np.zeros((4, 4), np.uint8), code)  # type: ignore[arg-type]


@pytest.mark.parametrize("img", [np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4)), np.zeros((0, 0), np.uint8), None])
def test_image_that_cannot_be_in_the_encoding_is_an_error(img: object) -> None:
    with pytest.raises(ArgumentError, match="cv_bayerbg"):
        decode_to_bgr(img, "cv_bayerbg")  # type: ignore[arg-type]


def test_processor_without_code_returns_the_image_itself() -> None:
    processor = ImageCodecProcessor()
    img = np.zeros((4, 4), np.uint8)
    assert processor.encoding == ""
    assert processor.autoconvert(img) is img
    with pytest.raises(ArgumentError, match="none is set"):
        processor.convert_to_bgr(img)
    assert repr(processor) == "<ImageCodecProcessor(None)>"


def test_processor_uses_the_code_set_the_code_given_or_the_conversion_given() -> None:
    processor = ImageCodecProcessor()
    processor.set_default_code("cv_bayerbg")
    img = np.random.default_rng(0).integers(0, 255, (12, 12), np.uint8)
    assert processor.encoding == "cv_bayerbg"
    np.testing.assert_array_equal(processor.autoconvert(img), cv2.cvtColor(img, cv2.COLOR_BayerBG2BGR))
    np.testing.assert_array_equal(processor.convert_to_bgr(img), cv2.cvtColor(img, cv2.COLOR_BayerBG2BGR))
    np.testing.assert_array_equal(processor.convert_to_bgr(img, "cv_bayerrg"), cv2.cvtColor(img, cv2.COLOR_BayerRG2BGR))
    np.testing.assert_array_equal(
        processor.convert_to_bgr(img, "cv_bayerrg", cv2.COLOR_BayerBG2BGR_VNG),
        cv2.cvtColor(img, cv2.COLOR_BayerBG2BGR_VNG),
    )
    for none in ("", "foo"):
        with pytest.raises(ArgumentError):
            processor.convert_to_bgr(img, none)
    with pytest.raises(ArgumentError):
        processor.set_default_code("foo")
    assert processor.encoding == "cv_bayerbg"  # a refused code changes nothing
    processor.set_default_code(None)
    assert processor.autoconvert(img) is img


def test_conversions_have_one_code_each_as_0x_chose_and_bayer_by_two_letters() -> None:
    processor = ImageCodecProcessor()
    chosen = {
        "BayerBG2BGR": "cv_bayerbg",
        "BayerGB2BGR": "cv_bayergb",
        "BayerRG2BGR": "cv_bayerrg",
        "BayerGR2BGR": "cv_bayergr",
        "YUV2BGR_I420": "cv_yuv_iyuv",
        "YUV2BGR_NV21": "cv_yuv420sp",
        "YUV2BGR_UYVY": "cv_yuv_y422",
        "YUV2BGR_YUY2": "cv_yuv_yuyv",
        "YUV2BGR_YV12": "cv_yuv420p",
        "RGB2BGR": "cv_rgb",
    }
    for name, code in chosen.items():
        assert processor.cv2_enum_to_code(conversion(name)) == code
        assert processor.cv2_enum_to_code(np.int64(conversion(name))) == code  # type: ignore[arg-type]
        assert ImageCodecProcessor.from_cv2_enum(conversion(name)).encoding == code
    for code, number in encoding_codes().items():
        assert encoding_codes()[processor.cv2_enum_to_code(number)] == number, code


@pytest.mark.parametrize("enum", [None, "", "46", -1, 10**6, [], cv2.COLOR_BayerBG2BGR_VNG, cv2.COLOR_BGR2GRAY])
def test_other_conversions_have_no_code(enum: object) -> None:
    with pytest.raises(ArgumentError):
        ImageCodecProcessor.from_cv2_enum(enum)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["BayerBG", "BayerRG", "BayerGB", "BayerGR"])
def test_pylon_names_a_pattern_by_its_first_row(name: str) -> None:
    first = name.removeprefix("Bayer")
    pattern = next(p for p in PATTERNS.values() if p.startswith(first))
    for spelling in (name, f"Bayer_{first}"):
        decoded = ImageCodecProcessor.from_pylon_format(spelling).autoconvert(mosaic(pattern))
        np.testing.assert_array_equal(decoded, np.broadcast_to(np.array(BGR, np.uint8), (12, 12, 3)))


def test_pylon_formats_that_are_none_or_unknown() -> None:
    for none in (None, "", "None"):
        assert ImageCodecProcessor.from_pylon_format(none).encoding == ""
    for unknown in ("bayerbg", "Mono8", "cv_bayerbg", b"BayerBG"):
        with pytest.raises(ArgumentError, match="pylon"):
            ImageCodecProcessor.from_pylon_format(unknown)  # type: ignore[arg-type]

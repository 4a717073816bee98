"""Pixel values agree with swscale at full accuracy, for every pixel format, matrix and range."""

from __future__ import annotations

import gc
import os
import signal
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange, VideoReformatter
from hypothesis import given
from hypothesis import strategies as st
from video_samples import HEIGHT, WIDTH, encode

from imgstore.codec import FrameSpec
from imgstore.errors import FrameDecodeError
from imgstore_codecs.video.pixels.convert import (
    SWS_ACCURATE_RND,
    SWS_BICUBIC,
    SWS_BITEXACT,
    SWS_FULL_CHR_H_INT,
    PictureConverter,
)
from imgstore_codecs.video.pixels.row_helpers import RowHelpers
from imgstore_codecs.video.reading.video_reader import VideoReader
from imgstore_codecs.video.writing.priority import usual_priority

ACCURATE = SWS_BICUBIC | SWS_FULL_CHR_H_INT | SWS_ACCURATE_RND | SWS_BITEXACT

# AVColorSpace: unspecified, BT.709, FCC, BT.470BG (BT.601), SMPTE 170M (BT.601), SMPTE 240M, BT.2020
MATRICES = {"unspecified": 2, "709": 1, "fcc": 4, "601-625": 5, "601-525": 6, "240m": 7, "2020": 9}
RANGES = {"unspecified": 0, "limited": 1, "full": 2}
YUV = ["yuv420p", "yuv422p", "yuv444p", "nv12", "yuv420p10le", "yuv422p12le", "yuv444p10le"]


def make_picture(name: str, matrix: int, color_range: int, height: int = 96, width: int = 160) -> av.VideoFrame:
    """Noise of colours within the gamut: what swscale clips on the way is not compared."""
    picture = av.VideoFrame(width, height, name)
    picture.colorspace, picture.color_range = matrix, color_range
    rng = np.random.default_rng(4)
    for index, plane in enumerate(picture.planes):
        bits = max(c.bits for c in picture.format.components)
        dtype, scale = (np.uint8, 1) if bits == 8 else (np.dtype("<u2"), 1 << (bits - 8))
        samples = np.frombuffer(plane, dtype).reshape(plane.height, -1)
        low, high = (90, 160) if index == 0 else (108, 149)
        samples[:] = (rng.integers(low, high, samples.shape) * scale).astype(dtype)
    return picture


def by_swscale(picture: av.VideoFrame, name: str) -> np.ndarray:
    return (
        VideoReformatter()
        .reformat(picture, format=name, interpolation=int(ACCURATE), dst_color_range=ColorRange.JPEG, threads=1)
        .to_ndarray()
    )


@pytest.mark.parametrize("color_range", RANGES)
@pytest.mark.parametrize("matrix", MATRICES)
@pytest.mark.parametrize("name", YUV)
def test_color(name: str, matrix: str, color_range: str) -> None:
    picture = make_picture(name, MATRICES[matrix], RANGES[color_range])
    expected = by_swscale(picture, "bgr24")
    got = PictureConverter(FrameSpec(expected.shape, np.dtype(np.uint8)))(picture)
    assert np.abs(got.astype(int) - expected).max() <= 2
    assert got.std() > 15


@pytest.mark.parametrize("color_range", RANGES)
@pytest.mark.parametrize("name", ["yuv420p", "yuv422p", "nv12"])
@given(st.integers(2, 40), st.integers(2, 100))
def test_color_of_every_size(name: str, color_range: str, height: int, width: int) -> None:
    """swscale has its own ways with the first rows and columns, with few of them, and with odd numbers."""
    picture = make_picture(name, 1, RANGES[color_range], height, width)
    expected = by_swscale(picture, "bgr24")
    got = PictureConverter(FrameSpec(expected.shape, np.dtype(np.uint8)))(picture)
    assert np.abs(got.astype(int) - expected).max() <= 2


@pytest.mark.parametrize("color_range", ["limited", "full"])
@pytest.mark.parametrize("name", ["yuv420p", "yuv422p", "nv12"])
@given(
    st.integers(6, 40), st.integers(6, 80), st.sampled_from(list(MATRICES)), st.booleans(), st.integers(0, 2**32 - 1)
)
def test_colors_at_their_extremes(
    name: str, color_range: str, height: int, width: int, matrix: str, steps: bool, seed: int
) -> None:
    """Interpolated between them, chroma goes beyond its highest level, and swscale lets it on one side alone.

    Luma is not high: bright and saturated beyond all measure, swscale's own numbers turn over.
    """
    picture = av.VideoFrame(2 * width, 2 * height, name)
    picture.colorspace, picture.color_range = MATRICES[matrix], RANGES[color_range]
    rng = np.random.default_rng(seed)
    for index, plane in enumerate(picture.planes):
        samples = np.frombuffer(plane, np.uint8).reshape(plane.height, -1)
        low, high = (0, 255) if color_range == "full" else (16, 240)
        levels = np.arange(low, high + 1) if index else np.arange(low, 121)
        samples[:] = rng.choice(levels[[0, -1]] if steps else levels, samples.shape)
    expected = by_swscale(picture, "bgr24")
    got = PictureConverter(FrameSpec(expected.shape, np.dtype(np.uint8)))(picture)
    assert np.abs(got.astype(int) - expected).max() <= 2


def test_luma_below_black_still_counts() -> None:
    """Encoders leave it where it is dark and coloured; OpenCV's conversion takes it for black, and is up to 19 off."""
    picture = make_picture("yuv420p", 2, 1)
    for plane in picture.planes:
        samples = np.frombuffer(plane, np.uint8).reshape(plane.height, -1)
        samples[:] = 5 if plane.height == 96 else 170
    expected = by_swscale(picture, "bgr24").astype(int)
    got = PictureConverter(FrameSpec(expected.shape, np.dtype(np.uint8)))(picture).astype(int)
    assert np.abs(got - expected).max() <= 1
    assert 50 < got[..., 2].min() < 60


@pytest.mark.parametrize("color_range", RANGES)
@pytest.mark.parametrize("name", [*YUV, "gray", "gray10le", "yuvj420p", "yuvj444p"])
def test_gray(name: str, color_range: str) -> None:
    picture = make_picture(name, 2, RANGES[color_range])
    expected = by_swscale(picture, "gray").astype(int)
    got = PictureConverter(FrameSpec(expected.shape, np.dtype(np.uint8)))(picture).astype(int)
    assert np.abs(got - expected).max() <= 2
    assert got.std() > 15


@pytest.mark.parametrize("color_range", RANGES)
@pytest.mark.parametrize("name", ["gray10le", "gray12le", "yuv420p10le", "yuv422p12le", "gray16le"])
def test_gray_of_sixteen_bits(name: str, color_range: str) -> None:
    picture = make_picture(name, 2, RANGES[color_range])
    got = PictureConverter(FrameSpec((96, 160), np.dtype(np.uint16)))(picture).astype(float)
    bits = max(c.bits for c in picture.format.components)
    luma = np.frombuffer(picture.planes[0], "<u2").reshape(96, -1)[:, :160] / (1 << (bits - 8))
    if color_range != "full" and name.startswith("yuv"):
        expected = (luma - 16) / 219 * 65535
    else:
        expected = luma * (1 << (bits - 8)) / ((1 << bits) - 1) * 65535
    assert np.abs(got - expected).max() <= 0.5 + 1e-6


def test_levels_of_full_range_stay_apart() -> None:
    picture = av.VideoFrame(256, 16, "yuv420p")
    picture.color_range = 2
    np.frombuffer(picture.planes[0], np.uint8).reshape(16, -1)[:, :256] = np.arange(256)
    got = PictureConverter(FrameSpec((16, 256), np.dtype(np.uint8)))(picture)
    np.testing.assert_array_equal(got, np.tile(np.arange(256), (16, 1)))


@pytest.mark.parametrize("name", ["bgr24", "bgr0", "bgra", "gbrp", "rgb24"])
def test_rgb_is_kept_exactly(name: str) -> None:
    img = np.random.default_rng(1).integers(0, 256, (30, 43, 3)).astype(np.uint8)
    picture = av.VideoFrame.from_ndarray(img, format="bgr24")
    if name != "bgr24":
        picture = picture.reformat(format=name)
    got = PictureConverter(FrameSpec(img.shape, np.dtype(np.uint8)))(picture)
    np.testing.assert_array_equal(got, img)


def test_rgb_of_sixteen_bits_is_kept_exactly() -> None:
    picture = av.VideoFrame(43, 30, "gbrp16le")
    img = np.random.default_rng(1).integers(0, 65536, (30, 43, 3)).astype(np.uint16)
    for plane, channel in zip(picture.planes, (1, 0, 2), strict=True):
        np.frombuffer(plane, np.uint16).reshape(30, -1)[:, :43] = img[..., channel]
    got = PictureConverter(FrameSpec(img.shape, np.dtype(np.uint16)))(picture)
    np.testing.assert_array_equal(got, img)


def test_a_gray_stream_gives_color_with_three_equal_channels() -> None:
    picture = make_picture("gray", 2, 0)
    got = PictureConverter(FrameSpec((96, 160, 3), np.dtype(np.uint8)))(picture)
    luma = np.frombuffer(picture.planes[0], np.uint8).reshape(96, -1)[:, :160]
    for channel in range(3):
        np.testing.assert_array_equal(got[..., channel], luma)


@pytest.mark.parametrize("name", ["yuv420p", "yuv444p", "gray", "bgr0"])
@pytest.mark.parametrize("color", [False, True])
def test_a_given_array_is_filled(name: str, color: bool) -> None:
    picture = make_picture(name, 2, 0) if name != "bgr0" else av.VideoFrame(160, 96, "bgr0")
    shape = (96, 160, 3) if color else (96, 160)
    convert = PictureConverter(FrameSpec(shape, np.dtype(np.uint8)))
    out = np.full((3, *shape), 77, np.uint8)
    convert(picture, out[1])
    np.testing.assert_array_equal(out[1], convert(picture))
    assert (out[0] == 77).all() and (out[2] == 77).all()


def test_odd_sizes() -> None:
    for name in ("yuv420p", "yuv444p", "gray"):
        picture = av.VideoFrame(45, 31, name)
        for plane in picture.planes:
            np.frombuffer(plane, np.uint8)[:] = 128
        got = PictureConverter(FrameSpec((31, 45, 3), np.dtype(np.uint8)))(picture)
        assert got.shape == (31, 45, 3) and np.ptp(got) <= 1


def test_another_size_is_an_error() -> None:
    with pytest.raises(FrameDecodeError, match="160 x 96"):
        PictureConverter(FrameSpec((96, 162), np.dtype(np.uint8)))(make_picture("yuv420p", 2, 0))


@pytest.mark.parametrize("matrix", [1, 5, 6, 7, 9])
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv444p", "yuv422p10le"])
def test_decoded_video(tmp_path: Path, matrix: int, full: bool, pix_fmt: str) -> None:
    """The stream's own tags decide, as the decoder hands them on."""
    path = tmp_path / "video.mp4"
    encode(path, range(3), pix_fmt=pix_fmt, matrix=matrix, full=full, color=True, options={"crf": "5"})
    reader = VideoReader(str(path), FrameSpec((HEIGHT, WIDTH, 3), np.dtype(np.uint8)), {})
    with av.open(str(path)) as container:
        for position, picture in enumerate(container.decode(video=0)):
            assert picture.color_range == (2 if full else 1)
            assert picture.colorspace == matrix
            difference = reader.read(position).astype(int) - by_swscale(picture, "bgr24")
            assert np.abs(difference).max() <= 2
    reader.close()


def write_waves(path: Path, codec: str, pix_fmt: str, options: dict[str, str]) -> None:
    """Write a video with colours that differ from column to column and from row to row."""
    picture = av.VideoFrame(160, 96, pix_fmt)
    for index, plane in enumerate(picture.planes):
        samples = np.frombuffer(plane, np.uint8).reshape(plane.height, -1)
        y, x = np.indices(samples.shape)
        samples[:] = 128 + (40 * np.sin(x / 5 + y / 7 + index) if index else 0)
    with av.open(str(path), "w") as out, usual_priority():
        stream = out.add_stream(codec, rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 160, 96, pix_fmt
        stream.options = options
        for k in range(3):
            picture.pts = k
            out.mux(stream.encode(picture))
        out.mux(stream.encode(None))


def check_as_swscale(path: Path) -> None:
    reader = VideoReader(str(path), FrameSpec((96, 160, 3), np.dtype(np.uint8)), {})
    with av.open(str(path)) as container:
        expected = by_swscale(next(container.decode(video=0)), "bgr24")
    assert np.abs(reader.read(0).astype(int) - expected).max() <= 2
    assert expected[..., 0].std() > 15
    reader.close()


QUIET = {"x265-params": "log-level=none"}
BEST = {"qmin": "2", "qmax": "2"}


@pytest.mark.parametrize(
    ("codec", "pix_fmt", "extension", "options"),
    [
        ("libx264", "yuv420p", "mp4", {}),
        ("libx264", "yuv422p", "mkv", {}),
        ("libx264", "yuvj420p", "mkv", {}),
        ("libx265", "yuv420p", "mp4", QUIET),
        ("libx265", "yuv422p", "mp4", QUIET),
        ("libsvtav1", "yuv420p", "mp4", {}),
        ("mpeg4", "yuv420p", "avi", BEST),
        ("mpeg2video", "yuv420p", "mkv", BEST),
        ("mpeg2video", "yuv422p", "mkv", BEST),
        ("mpeg1video", "yuv420p", "mkv", BEST),
        ("mjpeg", "yuvj420p", "avi", BEST),
        ("mjpeg", "yuvj422p", "avi", BEST),
        ("ffv1", "yuv420p", "mkv", {}),
        ("libvpx-vp9", "yuv420p", "mkv", {}),
    ],
)
def test_where_each_decoder_has_its_chroma(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, codec: str, pix_fmt: str, extension: str, options: dict[str, str]
) -> None:
    path = tmp_path / f"video.{extension}"
    write_waves(path, codec, pix_fmt, options)
    large = []
    by_swscale = PictureConverter._by_swscale

    def note(self: PictureConverter, picture: av.VideoFrame, name: str, out: np.ndarray) -> None:
        if picture.width == 160:
            large.append(picture)
        by_swscale(self, picture, name, out)

    monkeypatch.setattr(PictureConverter, "_by_swscale", note)
    check_as_swscale(path)
    assert not large  # what is common goes the fast way


@pytest.mark.parametrize("place", range(6))
@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_where_a_video_says_that_its_chroma_is(tmp_path: Path, codec: str, place: int) -> None:
    """At the left, the middle, a corner and so on (ITU-T H.264, E.2.1)."""
    path = tmp_path / "video.mp4"
    parameters = f"chromaloc={place}:log-level=none" if codec == "libx265" else f"chromaloc={place}"
    write_waves(path, codec, "yuv420p", {f"{codec[3:]}-params": parameters})
    check_as_swscale(path)


@pytest.mark.parametrize("height", [14, 16, 32])
def test_finding_out_changes_no_picture(height: int) -> None:
    picture = make_picture("yuv420p", 1, 1, height, 64)
    before = [bytes(plane) for plane in picture.planes]
    PictureConverter(FrameSpec((height, 64, 3), np.dtype(np.uint8)))(picture)
    assert [bytes(plane) for plane in picture.planes] == before


@pytest.mark.parametrize("name", ["yuv420p", "yuv422p", "nv12"])
@pytest.mark.parametrize("height", [1000, 1001])
def test_large_pictures_are_the_same_in_parts(name: str, height: int) -> None:
    picture = av.VideoFrame(1500, height, name)
    rng = np.random.default_rng(3)
    for plane in picture.planes:
        np.frombuffer(plane, np.uint8)[:] = rng.integers(0, 256, plane.buffer_size)
    spec = FrameSpec((height, 1500, 3), np.dtype(np.uint8))
    convert, helpers = PictureConverter(spec), RowHelpers(spec)
    helpers._count = 2  # on any machine
    for _ in range(2):
        np.testing.assert_array_equal(convert(picture, helpers=helpers), convert(picture))
    helpers.close()


@pytest.mark.parametrize(
    ("name", "dtype"), [("gbrp", "u1"), ("gbrap", "u1"), ("gbrp16le", "<u2"), ("gbrap16le", "<u2")]
)
def test_planes_of_rgb_are_interleaved_as_they_are(name: str, dtype: str) -> None:
    """With a fourth plane as well, of whose last rows swscale makes nothing."""
    picture = av.VideoFrame(160, 96, name)
    rng = np.random.default_rng(3)
    planes = []
    for plane in picture.planes:
        samples = np.frombuffer(memoryview(plane), dtype).reshape(96, -1)
        samples[:] = rng.integers(0, 1 << 8 * samples.itemsize, samples.shape)
        planes.append(samples[:, :160])
    img = PictureConverter(FrameSpec((96, 160, 3), np.dtype(dtype).newbyteorder("=")))(picture)
    np.testing.assert_array_equal(img, np.dstack([planes[1], planes[0], planes[2]]))


def test_a_matrix_that_swscale_does_not_know_is_an_error_of_each_frame(tmp_path: Path) -> None:
    path = tmp_path / "ycgco.mp4"
    encode(path, range(5), options={"x264-params": "colormatrix=YCgCo"})
    reader = VideoReader(str(path), FrameSpec((HEIGHT, WIDTH, 3), np.dtype(np.uint8)), {})
    for read in (
        lambda: reader.read(2),
        lambda: reader.read_many([2, 3], list(np.empty((2, HEIGHT, WIDTH, 3), np.uint8))),
    ):
        with pytest.raises(FrameDecodeError, match="frame 2"):
            read()
    reader.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork.*:DeprecationWarning")
@pytest.mark.parametrize(
    ("pix_fmt", "shape", "dtype"),
    [
        ("yuv420p", (96, 160, 3), "u1"),
        ("yuv444p", (96, 160, 3), "u1"),
        ("yuv420p10le", (96, 160, 3), "u1"),
        ("yuv420p10le", (96, 160, 3), "u2"),
        ("yuv420p10le", (96, 160), "u2"),
    ],
)
def test_a_forked_child_converts(tmp_path: Path, pix_fmt: str, shape: tuple[int, ...], dtype: str) -> None:
    """The threads of swscale stay in the parent, and whoever frees or uses what waits for them there would hang."""
    path = tmp_path / "video.mp4"
    write_waves(path, "libx264", pix_fmt, {})
    reader = VideoReader(str(path), FrameSpec(shape, np.dtype(dtype)), {"threads": 2})
    frames = [reader.read(position) for position in range(2)]
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(30)
        right = all((reader.read(position) == frames[position]).all() for position in (1, 0))
        reader.close()
        del reader
        gc.collect()
        os._exit(0 if right else 1)
    assert os.waitpid(child, 0)[1] == 0
    np.testing.assert_array_equal(reader.read(1), frames[1])
    reader.close()

"""What is written comes back, in our reader and in OpenCV; every option does what it says or is refused."""

from __future__ import annotations

import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from video_samples import HEIGHT, WIDTH, number_of, picture

from imgstore.codec import Format, FrameSpec
from imgstore.errors import ArgumentError, FormatError
from imgstore_codecs.video.codec import PyAVCodec
from imgstore_codecs.video.writing.growing import ticks

CODEC = PyAVCodec()
FORMATS = {fmt.name: fmt for fmt in CODEC.formats}
USABLE = [fmt for fmt in CODEC.formats if CODEC.missing(fmt) is None]
GRAY = FrameSpec((HEIGHT, WIDTH), np.dtype(np.uint8))
COLOR = FrameSpec((HEIGHT, WIDTH, 3), np.dtype(np.uint8))


def write(path: Path, fmt: Format | str, images: list[np.ndarray], **options: Any) -> Path:
    """Write frames into a file named for the format."""
    fmt = FORMATS[fmt] if isinstance(fmt, str) else fmt
    path = path / f"chunk{fmt.extension}"
    spec = FrameSpec(images[0].shape, images[0].dtype)
    CODEC.check_options(fmt, spec, options)
    writer = CODEC.open_writer(str(path), fmt, spec, options)
    for img in images:
        writer.add(img)
    writer.close()
    return path


def read(path: Path, fmt: Format | str, like: np.ndarray) -> list[np.ndarray]:
    fmt = FORMATS[fmt] if isinstance(fmt, str) else fmt
    reader = CODEC.open_reader(str(path), fmt, FrameSpec(like.shape, like.dtype), {})
    images = [reader.read(p) for p in range(reader.frame_count)]
    reader.close()
    return images


def pictures(count: int, color: bool = False) -> list[np.ndarray]:
    return [picture(k * 11, color) for k in range(count)]


def error(a: list[np.ndarray], b: list[np.ndarray]) -> float:
    assert len(a) == len(b)
    return float(np.mean([np.abs(x.astype(int) - y).mean() for x, y in zip(a, b, strict=True)]))


@pytest.mark.parametrize("color", [False, True], ids=["gray", "color"])
@pytest.mark.parametrize("fmt", USABLE, ids=lambda f: f.name)
def test_round_trip(tmp_path: Path, fmt: Format, color: bool) -> None:
    images = pictures(40, color)
    got = read(write(tmp_path, fmt, images), fmt, images[0])
    assert [number_of(img) for img in got] == [k * 11 for k in range(40)]
    assert error(got, images) < (4 if color else 3)
    # neither darker nor brighter, in any channel
    assert np.abs((np.array(got).astype(float) - images).mean(axis=(0, 1, 2))).max() < 1


@pytest.mark.parametrize("fmt", USABLE, ids=lambda f: f.name)
def test_colours_stay_in_their_place(tmp_path: Path, fmt: Format) -> None:
    """Half a column aside, they would be 1.9 levels off, and those that are quantised most coarsely at that quality 2.1."""
    x = np.arange(256)
    row = np.stack([128 + 60 * np.sin(x / 6), np.full(256, 120), 128 + 60 * np.cos(x / 7)], axis=-1)
    images = [np.tile(row.astype(np.uint8), (96, 1, 1))]
    options = {} if CODEC.lossless(fmt, {}) else {"quality": 100 if fmt.name in ("divx/avi", "mp4v/mp4") else 95}
    assert error(read(write(tmp_path, fmt, images, **options), fmt, images[0]), images) < 1.2


@pytest.mark.parametrize(
    "shape",
    [
        (48, 64), (31, 45), (48, 64, 3), (31, 45, 3), (1, 1), (2, 2, 3), (1, 2000), (2, 2000), (16, 2100, 3), (2100, 16),
        (63, 300), (300, 63), (63, 353), (288, 2), (289, 3, 3),
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_lossless(tmp_path: Path, dtype: str, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(1)
    images = [rng.integers(0, np.iinfo(dtype).max + 1, shape).astype(dtype) for _ in range(12)]
    got = read(write(tmp_path, "ffv1/mkv", images), "ffv1/mkv", images[0])
    np.testing.assert_array_equal(got, images)
    assert CODEC.lossless(FORMATS["ffv1/mkv"], {})
    assert not CODEC.lossless(FORMATS["avc1/mp4"], {})


@pytest.mark.parametrize("name", ["avc1/mp4", "h264/mkv"])
def test_gray_keeps_every_level_at_crf_0(tmp_path: Path, name: str) -> None:
    ramp = np.tile(np.arange(256, dtype=np.uint8), (64, 1))
    images = [np.roll(ramp, k, axis=1) for k in range(30)]
    path = write(tmp_path, name, images, crf=0)
    np.testing.assert_array_equal(read(path, name, images[0]), images)
    capture = cv2.VideoCapture(str(path))
    for img in images:
        ok, frame = capture.read()
        assert ok
        np.testing.assert_array_equal(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY), img)
    assert not capture.read()[0]


@pytest.mark.parametrize("color", [False, True], ids=["gray", "color"])
@pytest.mark.parametrize("name", ["avc1/mp4", "h264/mkv", "mjpeg/avi", "ffv1/mkv"])
def test_opencv_reads_the_same(tmp_path: Path, name: str, color: bool) -> None:
    images = pictures(20, color)
    path = write(tmp_path, name, images)
    capture = cv2.VideoCapture(str(path))
    got = []
    while True:
        ok, frame = capture.read()
        if not ok:
            break
        got.append(frame if color else cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY))
    assert error(got, images) < 3
    assert np.abs((np.array(got).astype(float) - images).mean(axis=(0, 1, 2))).max() < 2


def stream_of(path: Path) -> tuple[Any, list[Any]]:
    container = av.open(str(path))
    stream = container.streams.video[0]
    return stream, [p for p in container.demux(stream) if p.size]


@pytest.mark.parametrize("name", ["avc1/mp4", "hevc/mp4", "av1/mp4"])
def test_a_closed_mp4_is_an_ordinary_one(tmp_path: Path, name: str) -> None:
    stream, packets = stream_of(write(tmp_path, name, pictures(60)))
    assert stream.frames == len(stream.index_entries) == len(packets) == 60
    assert stream.start_time == 0
    assert stream.average_rate == 25
    assert [p.pts * p.time_base for p in packets] == [Fraction(k, 25) for k in range(60)]
    # nothing is shown later than it is decoded
    assert all(p.pts == p.dts for p in packets)


@pytest.mark.parametrize("fmt", USABLE, ids=lambda f: f.name)
def test_what_is_accepted_is_in_the_file(tmp_path: Path, fmt: Format) -> None:
    """Another process can read it before the file is closed."""
    path = tmp_path / f"chunk{fmt.extension}"
    writer = CODEC.open_writer(str(path), fmt, GRAY, {})
    shown = 0
    for k in range(31):
        writer.add(picture(k))
        writer.flush()
        if k in (0, 1, 7, 30):
            got = read(path, fmt, picture(0))
            assert [number_of(img) for img in got] == list(range(k + 1))
            shown += 1
    assert shown == 4
    writer.close()


@pytest.mark.parametrize("fmt", USABLE, ids=lambda f: f.name)
def test_frames_may_change_after_they_are_added(tmp_path: Path, fmt: Format) -> None:
    path = tmp_path / f"chunk{fmt.extension}"
    writer = CODEC.open_writer(str(path), fmt, GRAY, {"threads": 4})
    img = picture(0)
    for k in range(30):
        img[:] = picture(k)
        writer.add(img)
        img[:] = 0
    writer.close()
    assert [number_of(i) for i in read(path, fmt, img)] == list(range(30))


@pytest.mark.parametrize("fmt", USABLE, ids=lambda f: f.name)
def test_closing(tmp_path: Path, fmt: Format) -> None:
    path = tmp_path / f"chunk{fmt.extension}"
    writer = CODEC.open_writer(str(path), fmt, GRAY, {})
    writer.add(picture(3))
    writer.close()
    writer.close()
    writer.abandon()
    with pytest.raises(ValueError, match="closed"):
        writer.add(picture(4))
    assert [number_of(img) for img in read(path, fmt, picture(0))] == [3]


@pytest.mark.parametrize("fmt", USABLE, ids=lambda f: f.name)
def test_giving_up(tmp_path: Path, fmt: Format) -> None:
    """What was accepted stays readable."""
    path = tmp_path / f"chunk{fmt.extension}"
    writer = CODEC.open_writer(str(path), fmt, GRAY, {})
    for k in range(5):
        writer.add(picture(k))
    writer.abandon()
    assert [number_of(img) for img in read(path, fmt, picture(0))] == list(range(5))


@pytest.mark.parametrize("fmt", USABLE, ids=lambda f: f.name)
def test_a_directory_that_is_not_there(tmp_path: Path, fmt: Format) -> None:
    with pytest.raises(OSError):
        writer = CODEC.open_writer(str(tmp_path / "none" / f"chunk{fmt.extension}"), fmt, GRAY, {})
        writer.add(picture(0))
        writer.close()


# ---------------------------------------------------------------------- options


@pytest.mark.parametrize("fps", [0.001, 1 / 7, 29.97, 1000.5, 3333.333, 1e6])
@pytest.mark.parametrize("name", ["avc1/mp4", "h264/mkv", "mjpeg/avi"])
def test_every_frame_is_shown_whatever_the_rate(tmp_path: Path, name: str, fps: float) -> None:
    """The edit list of an MP4 counts in milliseconds, and what it does not reach is no part of the film."""
    images = pictures(7)
    got = read(write(tmp_path, name, images, fps=fps), name, images[0])
    assert [number_of(img) for img in got] == [number_of(img) for img in images]


@pytest.mark.parametrize("name", ["avc1/mp4", "h264/mkv", "hevc/mp4", "av1/mp4", "ffv1/mkv"])
def test_gop_size(tmp_path: Path, name: str) -> None:
    # one picture all the time: x264 adds key frames where the scene changes
    _, packets = stream_of(write(tmp_path, name, pictures(1) * 40, gop_size=8))
    assert [k for k, p in enumerate(packets) if p.is_keyframe] == [0, 8, 16, 24, 32]


@pytest.mark.parametrize("name", ["mjpeg/avi", "avc1/mp4", "h264/mkv", "hevc/mp4", "av1/mp4"])
def test_quality(tmp_path: Path, name: str) -> None:
    """Higher is better and bigger."""
    images = pictures(12)
    sizes, errors = [], []
    for quality in (10, 50, 90):
        path = write(tmp_path, name, images, quality=quality)
        sizes.append(path.stat().st_size)
        errors.append(error(read(path, name, images[0]), images))
    assert sizes[0] < sizes[1] < sizes[2]
    assert errors[0] > errors[1] > errors[2]


@pytest.mark.parametrize("name", ["avc1/mp4", "h264/mkv", "hevc/mp4", "av1/mp4"])
def test_crf(tmp_path: Path, name: str) -> None:
    images = pictures(12)
    fine, coarse = (write(tmp_path, name, images, crf=crf).stat().st_size for crf in (15, 40))
    assert coarse < fine


def test_quality_says_the_same_as_crf(tmp_path: Path) -> None:
    images = pictures(12)
    one = write(tmp_path, "avc1/mp4", images, crf=25.5).read_bytes()
    assert write(tmp_path, "avc1/mp4", images, quality=50).read_bytes() == one


def test_preset(tmp_path: Path) -> None:
    images = pictures(12)
    one = write(tmp_path, "avc1/mp4", images, preset="ultrafast").stat().st_size
    assert write(tmp_path, "avc1/mp4", images, preset="slow").stat().st_size < one


@pytest.mark.parametrize(
    ("name", "pix_fmt"),
    [("avc1/mp4", "yuv444p"), ("avc1/mp4", "gray"), ("h264/mkv", "yuv420p10le"), ("hevc/mp4", "yuv422p10le"),
     ("mjpeg/avi", "yuvj444p"), ("ffv1/mkv", "yuv444p"), ("av1/mp4", "yuv420p10le")],
)  # fmt: skip
@pytest.mark.parametrize("color", [False, True], ids=["gray", "color"])
def test_pix_fmt(tmp_path: Path, name: str, pix_fmt: str, color: bool) -> None:
    images = pictures(10, color)
    path = write(tmp_path, name, images, pix_fmt=pix_fmt)
    stream, _ = stream_of(path)
    if pix_fmt != "gray":  # which H.264's decoder gives with empty chroma
        assert stream.codec_context.pix_fmt.replace("yuvj", "yuv") == pix_fmt.replace("yuvj", "yuv")
    got = read(path, name, images[0])
    if color and pix_fmt == "gray":
        assert [number_of(img) for img in got] == [k * 11 for k in range(10)]
    else:
        assert error(got, images) < (4 if color else 3)


def test_fps(tmp_path: Path) -> None:
    for fps, expected in ((100, 100), (29.97, Fraction(2997, 100)), (Fraction(30000, 1001), Fraction(30000, 1001))):
        stream, _ = stream_of(write(tmp_path, "avc1/mp4", pictures(10), fps=fps))
        assert abs(stream.average_rate - expected) < Fraction(1, 1000)


def test_encoder_options(tmp_path: Path) -> None:
    raw = {"x264-params": "bframes=2:b-adapt=0", "bf": "2"}
    path = write(tmp_path, "avc1/mp4", pictures(30), encoder_options=raw)
    _, packets = stream_of(path)
    assert any(p.pts != p.dts for p in packets)
    assert [number_of(img) for img in read(path, "avc1/mp4", picture(0))] == [k * 11 for k in range(30)]


def test_every_option_has_a_line_of_help() -> None:
    for fmt in CODEC.formats:
        options = CODEC.write_options(fmt)
        assert {"quality", "gop_size", "pix_fmt", "threads", "fps", "encoder_options"} - {"quality"} <= set(options)
        assert ("quality" in options) != fmt.lossless
        assert all(line and "\n" not in line for line in options.values())


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("avc1/mp4", {"crf": 99}, "0 to 51"),
        ("avc1/mp4", {"crf": "good"}, "0 to 51"),
        ("avc1/mp4", {"crf": True}, "0 to 51"),
        ("avc1/mp4", {"crf": float("nan")}, "0 to 51"),
        ("avc1/mp4", {"quality": 101}, "0 to 100"),
        ("avc1/mp4", {"crf": 20, "quality": 50}, "one of them"),
        ("avc1/mp4", {"preset": "quick"}, "ultrafast"),
        ("avc1/mp4", {"gop_size": 0}, "from 1"),
        ("avc1/mp4", {"gop_size": 2.5}, "whole"),
        ("avc1/mp4", {"threads": -1}, "from 0"),
        ("avc1/mp4", {"fps": 0}, "fps"),
        ("avc1/mp4", {"fps": "fast"}, "fps"),
        ("avc1/mp4", {"fps": Fraction(-1, 2)}, "above 0"),
        ("avc1/mp4", {"pix_fmt": "bgr0"}, "yuv420p"),
        ("avc1/mp4", {"pix_fmt": "nonsense"}, "yuv420p"),
        ("avc1/mp4", {"encoder_options": {"nonsense": 1}}, "nonsense"),
        ("avc1/mp4", {"encoder_options": {"x264-params": "nonsense=1"}}, "nonsense"),
        ("avc1/mp4", {"encoder_options": {"tune": "nonsense"}}, "nonsense"),
        ("avc1/mp4", {"encoder_options": "crf=3"}, "dict"),
        ("hevc/mp4", {"encoder_options": {"x265-params": "nonsense=1"}}, "nonsense"),
        ("av1/mp4", {"preset": 10}, "one of 9, 8"),
        ("av1/mp4", {"gop_size": 65}, "from 1 to 64"),
        ("av1/mp4", {"crf": 0}, "from 1 to 63"),
        ("mjpeg/avi", {"crf": 3}, "quality"),
        ("mjpeg/avi", {"preset": "fast"}, "none"),
        ("ffv1/mkv", {"quality": 50}, "lossless"),
    ],
)
def test_what_cannot_be_used_is_refused(name: str, options: dict[str, Any], says: str) -> None:
    with pytest.raises(ArgumentError, match=says):
        CODEC.check_options(FORMATS[name], GRAY, options)


@pytest.mark.parametrize("shape", [(24, 66), (66, 24), (16, 1280), (1280, 16, 3)])
def test_narrow_frames_that_av1_would_wait_for(shape: tuple[int, ...]) -> None:
    with pytest.raises(FormatError, match=f"{shape[0]} x {shape[1]}.*26"):
        CODEC.check_options(FORMATS["av1/mp4"], FrameSpec(shape, np.dtype(np.uint8)), {})


@pytest.mark.parametrize("shape", [(26, 66), (66, 26), (26, 640), (16, 64), (64, 24), (16, 16), (28, 1280)])
def test_narrow_frames_that_av1_takes(tmp_path: Path, shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(1)
    assert write(tmp_path, "av1/mp4", [rng.integers(0, 256, shape).astype(np.uint8) for _ in range(30)]).exists()


def test_av1_is_best_at_quality_100(tmp_path: Path) -> None:
    images = [picture(k) for k in range(3)]
    best, good = (write(tmp_path, "av1/mp4", images, quality=q).stat().st_size for q in (100, 90))
    assert best > good


def test_a_pixel_format_with_too_few_bits_is_refused() -> None:
    with pytest.raises(ArgumentError, match="8 bits"):
        CODEC.check_options(FORMATS["ffv1/mkv"], FrameSpec((8, 8), np.dtype(np.uint16)), {"pix_fmt": "gray"})


@pytest.mark.parametrize("name", ["avc1/mp4", "mjpeg/avi", "ffv1/mkv"])
def test_frames_that_a_format_does_not_hold(name: str) -> None:
    with pytest.raises(FormatError, match="float32"):
        CODEC.check_options(FORMATS[name], FrameSpec((8, 8), np.dtype(np.float32)), {})
    if name != "ffv1/mkv":
        with pytest.raises(FormatError, match="uint16"):
            CODEC.check_options(FORMATS[name], FrameSpec((8, 8), np.dtype(np.uint16)), {})


def test_what_is_missing_is_said() -> None:
    for fmt in CODEC.formats:
        missing = CODEC.missing(fmt)
        if fmt.name.startswith(("h264-nvenc", "hevc-nvenc")):
            assert missing is None or "NVIDIA" in missing
        else:
            assert missing is None


RECORD = """
import os, sys
{first}
import numpy as np
import imgstore

with imgstore.new_for_format(sys.argv[2], sys.argv[1], imgshape=(64, 96)) as store:
    store.add_image(np.zeros((64, 96), np.uint8), 0, 0.0)
    {then}
"""


def record(directory: Path, name: str, first: str = "", then: str = "") -> subprocess.CompletedProcess[str]:
    """Write a store in a process of its own: encoders keep settings for the process that is their first user's."""
    command = [sys.executable, "-c", RECORD.format(first=first, then=then), str(directory / "store"), name]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)


@pytest.mark.skipif(sys.platform != "linux", reason="SVT-AV1 asks for real-time priority on Linux, as root")
def test_no_thread_becomes_a_real_time_one(tmp_path: Path) -> None:
    """It would take the cores from the camera's threads, and a machine with as many of these as cores hangs."""
    done = record(
        tmp_path,
        "av1/mp4",
        first="os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))  # whatever runs the tests",
        then="""threads = [0, *map(int, os.listdir("/proc/self/task"))]
    print(len(threads) > 5, all(os.sched_getscheduler(thread) == os.SCHED_OTHER for thread in threads))""",
    )
    assert done.stdout.split() == ["True", "True"]


ENCODER = """
import os, sys
import numpy as np
from imgstore.codec import FrameSpec
from imgstore_codecs.video.codec import PyAVCodec

os.sched_setscheduler(0, int(sys.argv[3]), os.sched_param(0))
codec = PyAVCodec()
(fmt,) = (fmt for fmt in codec.formats if fmt.name == sys.argv[2])
before = set(os.listdir("/proc/self/task"))
writer = codec.open_writer(sys.argv[1], fmt, FrameSpec((480, 640), np.dtype(np.uint8)), {"threads": 2})
writer.add(np.zeros((480, 640), np.uint8))
begun = set(os.listdir("/proc/self/task")) - before
print(os.sched_getscheduler(0), len(begun) > 0, *{os.sched_getscheduler(int(thread)) for thread in begun})
writer.close()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="batch jobs are Linux's")
@pytest.mark.parametrize("name", ["avc1/mp4", "h264/mkv"])
@pytest.mark.parametrize("policy", ["SCHED_OTHER", "SCHED_BATCH"])
def test_threads_of_x264_are_batch_jobs_and_the_program_stays_what_it_was(
    tmp_path: Path, name: str, policy: str
) -> None:
    number = getattr(os, policy)
    command = [sys.executable, "-c", ENCODER, str(tmp_path / "video"), name, str(number)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.split() == [str(number), "True", str(os.SCHED_BATCH)]


@given(
    st.one_of(st.none(), st.integers(-(2**40), 2**40)),
    st.fractions(min_value=Fraction(1, 10**6), max_value=1000, max_denominator=10**6),
    st.integers(1, 10**6),
)
def test_times_are_the_nearest_ticks(value: int | None, time_base: Fraction, per_second: int) -> None:
    assert abs(ticks(value, time_base, per_second) - (value or 0) * time_base * per_second) <= Fraction(1, 2)


@pytest.mark.parametrize("name", ["avc1/mp4", "hevc/mp4", "av1/mp4"])
def test_nothing_is_printed(tmp_path: Path, name: str) -> None:
    done = record(tmp_path, name)
    assert done.stdout == "" and done.stderr == ""

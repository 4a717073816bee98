"""OpenCV as second video backend, against videos that PyAV wrote and readers of PyAV."""

from __future__ import annotations

import random
import struct
import sys
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from imgstore.codec import ChunkReader, Format, FrameSpec
from imgstore.errors import ArgumentError, ChunkError, FormatError, FrameDecodeError, StoreWriteError
from imgstore_codecs.opencv_video import OpenCVVideoCodec
from imgstore_codecs.video.writing.priority import usual_priority

CODEC = OpenCVVideoCodec()
FORMATS = {fmt.name: fmt for fmt in CODEC.formats}
HEIGHT, WIDTH = 48, 64
GRAY = FrameSpec((HEIGHT, WIDTH), np.dtype("uint8"))
COLOR = FrameSpec((HEIGHT, WIDTH, 3), np.dtype("uint8"))


def picture(number: int, color: bool = False) -> np.ndarray:
    """A 4 x 4 grid of cells that shows the bits of a number, in colour in channel 0."""
    bits = (number >> np.arange(16).reshape(4, 4)) & 1
    gray = np.kron(bits * 200 + 20, np.ones((HEIGHT // 4, WIDTH // 4))).astype(np.uint8)
    return np.dstack([gray, 255 - gray, np.full_like(gray, 90)]) if color else gray


def number_in(img: np.ndarray) -> int:
    cells = (img if img.ndim == 2 else img[:, :, 0])[6::12, 8::16]
    return int(((cells.reshape(16) > 120).astype(int) << np.arange(16)).sum())


def write_with_pyav(
    path: Path,
    numbers: Sequence[int],
    encoder: str = "libx264",
    pix_fmt: str = "yuv420p",
    times: Sequence[int] | None = None,
    **options: str,
) -> Path:
    try:
        av.codec.Codec(encoder, "w")
    except ValueError:
        pytest.skip(f"this build of PyAV has no encoder {encoder}")
    with av.open(str(path), "w") as container:
        quality = {"crf": "10"} if encoder == "libx264" else {}
        stream = container.add_stream(encoder, rate=25, options={**quality, **options})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, pix_fmt
        stream.codec_context.time_base = Fraction(1, 1000 if times else 25)
        for k, number in enumerate(numbers):
            frame = av.VideoFrame.from_ndarray(picture(number, color=True), format="bgr24").reformat(format=pix_fmt)
            frame.pts = times[k] if times else k
            frame.time_base = stream.codec_context.time_base
            with usual_priority():  # the first one opens the encoder
                packets = stream.encode(frame)
            container.mux(packets)
        container.mux(stream.encode(None))
    return path


def open_reader(path: Path, spec: FrameSpec = COLOR, fmt: Format = FORMATS["avc1/mp4"]) -> ChunkReader:
    return CODEC.open_reader(str(path), fmt, spec, {})


# --- formats


def test_writing_what_cannot_be_written_says_so_and_is_silent(capfd: pytest.CaptureFixture[str]) -> None:
    codec = OpenCVVideoCodec()
    missing = {fmt.name: codec.missing(fmt) for fmt in codec.formats}
    assert missing["mjpeg/avi"] is None
    assert all("'pyav'" in text for text in missing.values() if text is not None)
    assert missing["hevc/mp4"] is not None and missing["ffv1/mkv"] is not None
    assert all(codec.missing_for_reading(fmt) is None for fmt in codec.formats)
    assert capfd.readouterr() == ("", "")


def test_standard_error_works_after_a_trial(capfd: pytest.CaptureFixture[str]) -> None:
    OpenCVVideoCodec().missing(FORMATS["avc1/mp4"])
    print("still here", file=sys.stderr)
    assert capfd.readouterr().err == "still here\n"


def test_missing_opencv_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    for method in (CODEC.missing, CODEC.missing_for_reading):
        assert "pip install opencv-python" in (method(FORMATS["mjpeg/avi"]) or "")


def test_every_format_of_the_default_backend_is_there() -> None:
    from imgstore_codecs.video.codec import imgstore_codecs

    assert {fmt.name: fmt.extension for codec in imgstore_codecs() for fmt in codec.formats} == {
        fmt.name: fmt.extension for fmt in CODEC.formats
    }


# --- writing


@pytest.mark.parametrize("spec", [GRAY, COLOR], ids=["gray", "color"])
@pytest.mark.parametrize("name", ["mjpeg/avi", "avc1/mp4", "h264/mkv"])
def test_written_video_is_read_here_and_by_pyav(name: str, spec: FrameSpec, tmp_path: Path) -> None:
    fmt = FORMATS[name]
    if name != "mjpeg/avi" and CODEC.missing(fmt) is not None:
        pytest.skip("this build of OpenCV has no H.264 encoder")
    path = tmp_path / f"000000{fmt.extension}"
    writer = CODEC.open_writer(str(path), fmt, spec, {})
    img = np.empty(spec.shape, np.uint8)
    for number in range(300, 330):
        img[...] = picture(number, spec.color)
        writer.add(img)
        img[...] = 0  # the caller's to change
    writer.flush()
    writer.close()

    reader = open_reader(path, spec, fmt)
    assert reader.frame_count == 30
    for k in (0, 29, 3, 3, 4, 2):
        got = reader.read(k)
        assert got.shape == spec.shape and got.dtype == np.uint8
        assert np.abs(got.astype(int) - picture(300 + k, spec.color)).mean() < 6
    reader.close()
    with av.open(str(path)) as container:
        assert container.streams.video[0].average_rate == 25
        assert [number_in(f.to_ndarray(format="bgr24")) for f in container.decode(video=0)] == list(range(300, 330))


def test_fps_is_written(tmp_path: Path) -> None:
    path = tmp_path / "a.avi"
    assert "fps" in CODEC.write_options(FORMATS["mjpeg/avi"])
    writer = CODEC.open_writer(str(path), FORMATS["mjpeg/avi"], GRAY, {"fps": np.float64(100)})
    for number in range(5):
        writer.add(picture(number))
    writer.close()
    with av.open(str(path)) as container:
        assert container.streams.video[0].average_rate == 100


@pytest.mark.parametrize("fps", [0, -1, float("nan"), float("inf"), "25", True, None])
def test_fps_that_cannot_be_is_refused(fps: Any) -> None:
    with pytest.raises(ArgumentError, match="fps"):
        CODEC.check_options(FORMATS["mjpeg/avi"], GRAY, {"fps": fps})


@pytest.mark.parametrize("spec", [FrameSpec((HEIGHT, WIDTH), np.dtype("uint16")), FrameSpec((4, 4, 4), np.dtype("u1"))])
def test_frames_that_opencv_cannot_hold_are_refused(spec: FrameSpec, tmp_path: Path) -> None:
    fmt = FORMATS["mjpeg/avi"]
    with pytest.raises(FormatError, match="8 bits"):
        CODEC.check_options(fmt, spec, {})
    with pytest.raises(FormatError, match="8 bits"):
        CODEC.open_writer(str(tmp_path / "a.avi"), fmt, spec, {})
    with pytest.raises(FormatError, match="8 bits"):
        CODEC.open_reader(str(tmp_path / "a.avi"), fmt, spec, {})


def test_a_directory_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StoreWriteError, match="nowhere"):
        CODEC.open_writer(str(tmp_path / "nowhere" / "a.avi"), FORMATS["mjpeg/avi"], GRAY, {})


@pytest.mark.skipif(sys.platform != "linux", reason="limits the size of files")
def test_a_disk_that_fills_up_is_noticed_on_close(tmp_path: Path) -> None:
    import resource

    path = tmp_path / "a.avi"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    writer = CODEC.open_writer(str(path), FORMATS["mjpeg/avi"], COLOR, {})
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        rng = np.random.default_rng(0)
        for _ in range(200):
            writer.add(rng.integers(0, 256, COLOR.shape, np.uint8))
        with pytest.raises(StoreWriteError, match="of 200 frames"):
            writer.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_an_abandoned_video_is_released(tmp_path: Path) -> None:
    path = tmp_path / "a.avi"
    writer = CODEC.open_writer(str(path), FORMATS["mjpeg/avi"], GRAY, {})
    writer.add(picture(1))
    writer.abandon()
    path.unlink()


# --- reading

VIDEOS: dict[str, dict[str, Any]] = {
    "a.mp4": {},
    "intra.mp4": {"g": "1"},
    "long_groups.mkv": {"g": "250", "bf": "3"},
    "pyramid_open.mp4": {"g": "12", "bf": "7", "x264-params": "b-pyramid=normal:open-gop=1:b-adapt=0"},
    "intra_refresh.mkv": {"x264-params": "intra-refresh=1:keyint=20"},
    "hevc.mp4": {"encoder": "libx265", "crf": "10", "x265-params": "log-level=error"},
    "mpeg4.avi": {"encoder": "mpeg4", "qmin": "2", "qmax": "3"},
    "mjpeg.avi": {"encoder": "mjpeg", "pix_fmt": "yuvj420p", "qmin": "2", "qmax": "3"},
    "full_chroma.mkv": {"pix_fmt": "yuv444p"},
    "ffv1.mkv": {"encoder": "ffv1", "pix_fmt": "bgr0"},
    "av1.mp4": {"encoder": "libsvtav1", "crf": "20", "preset": "12", "svtav1-params": "lp=1"},
}


@pytest.mark.parametrize("name", VIDEOS)
def test_frames_are_those_asked_for(name: str, tmp_path: Path) -> None:
    numbers = list(range(4000, 4060))
    path = write_with_pyav(tmp_path / name, numbers, **VIDEOS[name])
    try:
        reader = open_reader(path)
    except ChunkError as error:
        # OpenCV of the package index has no AV1 decoder: then that must be what the error says
        assert name == "av1.mp4" and "lacks the decoder" in str(error)
        return
    rng = random.Random(name)
    positions = [*range(60), *range(59, 40, -1), *(rng.randrange(60) for _ in range(20))]
    assert [number_in(reader.read(k)) for k in positions] == [numbers[k] for k in positions]
    assert reader.frame_count == 60
    reader.close()


def test_irregular_times_do_not_matter(tmp_path: Path) -> None:
    rng = random.Random(3)
    times = np.cumsum([rng.choice([5, 40, 41, 300]) for _ in range(50)]).tolist()
    path = write_with_pyav(tmp_path / "a.mp4", range(50), times=times)
    reader = open_reader(path)
    assert [number_in(reader.read(k)) for k in (*range(50), 7, 49)] == [*range(50), 7, 49]
    assert reader.frame_count == 50


def test_gray_is_given_where_gray_was_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "a.avi"
    writer = CODEC.open_writer(str(path), FORMATS["mjpeg/avi"], GRAY, {})
    for number in range(9):
        writer.add(picture(number))
    writer.close()
    gray, color = open_reader(path, GRAY).read(5), open_reader(path, COLOR).read(5)
    assert gray.shape == (HEIGHT, WIDTH)
    assert np.abs(gray.astype(int) - color.mean(axis=2)).max() <= 2


def test_a_frame_belongs_to_the_caller(tmp_path: Path) -> None:
    path = write_with_pyav(tmp_path / "a.mp4", range(30))
    for spec in (GRAY, COLOR):
        reader = open_reader(path, spec)
        frames = [reader.read(k) for k in (*range(30), 29, 29)]
        copies = [frame.copy() for frame in frames]
        frames[29][...] = 7
        assert all(np.array_equal(a, b) for a, b in zip(frames[:29], copies, strict=False))
        assert np.array_equal(frames[30], copies[29]) and np.array_equal(reader.read(29), copies[29])


def test_past_the_end_is_index_error_and_reading_goes_on(tmp_path: Path) -> None:
    reader = open_reader(write_with_pyav(tmp_path / "a.mp4", range(10)))
    for position in (10, 11, 10**9, -1):
        with pytest.raises(IndexError):
            reader.read(position)
    assert [number_in(reader.read(k)) for k in (9, 0, 9)] == [9, 0, 9]
    assert reader.frame_count == 10


def test_read_many_fills_in_any_order(tmp_path: Path) -> None:
    reader = open_reader(write_with_pyav(tmp_path / "a.mp4", range(20)))
    out = np.empty((5, *COLOR.shape), np.uint8)
    reader.read_many([7, 3, 3, 19, 0], out)
    assert [number_in(img) for img in out] == [7, 3, 3, 19, 0]


def test_rotation_of_the_display_is_ignored(tmp_path: Path) -> None:
    path = write_with_pyav(tmp_path / "a.mp4", range(5))
    content = bytearray(path.read_bytes())
    matrix = content.index(b"tkhd") + 44  # ISO 14496-12, 8.3.2
    content[matrix : matrix + 36] = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, WIDTH << 16, 0, 1 << 30)
    path.write_bytes(content)
    assert cv2.VideoCapture(str(path)).read()[1].shape == (WIDTH, HEIGHT, 3)  # OpenCV by itself obeys it
    assert number_in(open_reader(path).read(4)) == 4


# --- what is damaged


def test_a_video_of_another_size_is_refused(tmp_path: Path) -> None:
    path = write_with_pyav(tmp_path / "a.mp4", range(3))
    with pytest.raises(ChunkError, match="48 x 64, not 64 x 48"):
        open_reader(path, FrameSpec((WIDTH, HEIGHT), np.dtype("uint8")))


@pytest.mark.parametrize("content", [None, b"", bytes(1000), b"text, not a video\n" * 99])
def test_no_video_is_an_error(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "000000.mp4"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ChunkError, match="missing" if content is None else "does not begin as"):
        open_reader(path)


def test_a_directory_of_images_is_not_taken_for_a_video(tmp_path: Path) -> None:
    # OpenCV reads 000000.png as the first of a sequence when it is left to choose how
    for n in range(3):
        cv2.imwrite(str(tmp_path / f"{n:06d}.avi.png"), picture(n))
    (tmp_path / "000000.avi").write_bytes(b"")
    with pytest.raises(ChunkError):
        open_reader(tmp_path / "000000.avi")


def packets_of(path: Path) -> list[tuple[int, int]]:
    with av.open(str(path)) as container:
        return [(p.pos, p.size) for p in container.demux(video=0) if p.size]


def numbers_or_none(path: Path, positions: Sequence[int]) -> list[int | None]:
    """What each position gives; None where it raises."""
    found: list[int | None] = []
    try:
        reader = open_reader(path)
    except ChunkError:
        return [None] * len(positions)
    for position in positions:
        try:
            found.append(number_in(reader.read(position)))
        except (IndexError, FrameDecodeError):
            found.append(None)
    return found


@pytest.mark.parametrize("kind", ["mjpeg.avi", "intra.mp4"])
@pytest.mark.parametrize("lost", [(0,), (12,), (12, 13), (29,), (5, 20)])
def test_frames_that_opencv_passes_over_shift_nothing(kind: str, lost: tuple[int, ...], tmp_path: Path) -> None:
    path = write_with_pyav(tmp_path / kind, range(30), **VIDEOS[kind])
    content = bytearray(path.read_bytes())
    packets = packets_of(path)
    for k in lost:
        position, size = packets[k]
        content[position : position + size] = bytes(size)
    path.write_bytes(content)
    for positions in (range(30), [17, 3, 29, 0, 13]):
        found = numbers_or_none(path, list(positions))
        # a neighbour is never given; what the decoder makes of the lost ones themselves is not for this test
        assert all(f in (None, k) for f, k in zip(found, positions, strict=True) if k not in lost)


def test_a_truncated_video_gives_its_frames_and_no_others(tmp_path: Path) -> None:
    path = write_with_pyav(tmp_path / "a.avi", range(30), **VIDEOS["mjpeg.avi"])
    content = path.read_bytes()
    position, _ = packets_of(path)[20]
    path.write_bytes(content[:position])
    found = numbers_or_none(path, range(30))
    assert found[:19] == list(range(19))
    assert all(f in (None, k) for k, f in enumerate(found))


def test_motif_recording(samples: Path) -> None:
    total = 0
    for chunk in (0, 1):
        path = samples / "motif-mp4" / f"{chunk:06d}.mp4"
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            shape = (stream.height, stream.width)
        reader = open_reader(path, FrameSpec(shape, np.dtype("uint8")))
        for k in range(reader.frame_count):
            img = reader.read(k)
            bar = shape[1] / 16
            bits = [int(img[shape[0] // 2, int((b + 0.5) * bar)] > 127) for b in range(16)]
            assert int("".join(map(str, bits)), 2) == total
            total += 1
    assert total == 179

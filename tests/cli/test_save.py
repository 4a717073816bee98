"""``imgstore save``: every frame of a source, with its own time, whatever happens on the way."""

from __future__ import annotations

import os
import shutil
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest
from commands import ELSEWHERE, typed
from rounds import long_but

import imgstore

BARS = 12
HEIGHT, WIDTH = 48, 96
Frame = npt.NDArray[Any]


def coded(number: int, height: int = HEIGHT, width: int = WIDTH) -> Frame:
    """Return a grayscale frame that shows its number as bright and dark bars, the first one bright, the last dark."""
    bits = [1, *((number >> k) & 1 for k in range(BARS - 2)), 0]
    row = np.repeat(np.where(bits, 220, 30), -(-width // BARS))[:width]
    return np.broadcast_to(row, (height, width)).astype(np.uint8)


def shown(img: Frame) -> int:
    """Read the number off a frame, gray or colour, of any depth."""
    gray = np.asarray(img, np.float64).reshape(*img.shape[:2], -1).mean(axis=(0, 2))
    bars = [part[len(part) // 4 : -len(part) // 4].mean() for part in np.array_split(gray, BARS)]
    return sum(int(bar > (bars[0] + bars[-1]) / 2) << k for k, bar in enumerate(bars[1:-1]))


def write_video(
    path: Path,
    times: Sequence[Fraction],
    *,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    options: dict[str, str] | None = None,
    metadata: dict[str, str] | None = None,
    frames: Sequence[av.VideoFrame] | None = None,
    size: tuple[int, int] = (HEIGHT, WIDTH),
    fmt: str | None = None,
) -> list[float]:
    """Write a video whose frame k shows k, at the given times; return the times that it holds, read by PyAV alone."""
    with av.open(str(path), "w", format=fmt) as container:
        container.metadata.update(metadata or {})
        stream = container.add_stream(codec, rate=30, options=options or {})
        stream.height, stream.width = size
        stream.pix_fmt = pix_fmt
        stream.codec_context.time_base = Fraction(1, 30000)
        for k, moment in enumerate(times):
            frame = frames[k] if frames else av.VideoFrame.from_ndarray(coded(k, *size), format="gray")
            frame = frame.reformat(format=pix_fmt)
            frame.pts, frame.time_base = round(moment * 30000), Fraction(1, 30000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with av.open(str(path)) as container:
        return [float(frame.time) for frame in container.decode(video=0)]


def at_rate(count: int, rate: int = 30) -> list[Fraction]:
    return [Fraction(k, rate) for k in range(count)]


def save(*arguments: object) -> subprocess.CompletedProcess[str]:
    return typed("save", *arguments)


def check_store(path: Path, times: Sequence[float]) -> None:
    """Fail unless frame k of the store shows k and has number k and its time."""
    with imgstore.new_for_filename(path) as store:
        assert store.frame_numbers.tolist() == list(range(len(times)))
        assert store.frame_times.tolist() == list(times)
        for k, time_ in enumerate(times):
            img, (number, frame_time) = store.get_next_image()
            assert (shown(img), number, frame_time) == (k, k, time_)


@pytest.mark.parametrize(
    "name, keywords",
    [
        ("b-frames.mp4", {"options": {"bf": "3", "b-pyramid": "normal", "g": "25"}}),
        ("b-frames.mkv", {"options": {"bf": "3", "b-pyramid": "normal", "g": "25"}}),
        ("open-gop.mp4", {"options": {"x264-params": "open-gop=1:bframes=2:keyint=10"}}),
        ("transport.ts", {"options": {"bf": "2"}}),
        ("motion.avi", {"codec": "mjpeg", "pix_fmt": "yuvj420p"}),
        ("hevc.mkv", {"codec": "libx265", "options": {"x265-params": "log-level=error"}}),
        ("mpeg4.mp4", {"codec": "mpeg4"}),
    ],
)
def test_every_frame_with_its_time(tmp_path: Path, name: str, keywords: dict[str, Any]) -> None:
    """All frames, the first one too, numbered from 0, with the times of the file."""
    times = write_video(tmp_path / name, at_rate(53), **keywords)
    assert len(times) == 53
    result = save("--source", tmp_path / name, "--format", "npy", tmp_path / "store")
    assert result.returncode == 0, result.stderr
    check_store(tmp_path / "store", times)


@pytest.mark.parametrize("fmt", ["mjpeg/avi", "png", "avc1/mp4"])
def test_formats(tmp_path: Path, fmt: str) -> None:
    times = write_video(tmp_path / "clip.mp4", at_rate(20))
    result = save("--source", tmp_path / "clip.mp4", "--format", fmt, tmp_path / "store")
    assert result.returncode == 0, result.stderr
    check_store(tmp_path / "store", times)
    with imgstore.new_for_filename(tmp_path / "store") as store:
        assert store.format == fmt
        assert store.user_metadata["source"] == "clip.mp4"
        assert store.fps == pytest.approx(30, rel=0.01)


def test_default_format(tmp_path: Path) -> None:
    """Without --format it is Motion JPEG, as in 0.x."""
    write_video(tmp_path / "clip.mp4", at_rate(3))
    assert save("--source", tmp_path / "clip.mp4", tmp_path / "store").returncode == 0
    with imgstore.new_for_filename(tmp_path / "store") as store:
        assert store.format == "mjpeg/avi"


def test_variable_frame_rate(tmp_path: Path) -> None:
    random = np.random.default_rng(5)
    moments = [Fraction(int(ticks), 1000) for ticks in np.cumsum(random.integers(1, 400, 40))]
    times = write_video(tmp_path / "clip.mkv", moments, options={"bf": "2"})
    assert len(set(np.diff(times).round(4))) > 10
    assert save("--source", tmp_path / "clip.mkv", "--format", "npy", tmp_path / "store").returncode == 0
    check_store(tmp_path / "store", times)


class TestCreationTime:
    def test_counts_from_it(self, tmp_path: Path) -> None:
        times = write_video(
            tmp_path / "clip.mp4", at_rate(5), metadata={"creation_time": "2021-03-04T05:06:07.000000Z"}
        )
        assert save("--source", tmp_path / "clip.mp4", "--format", "npy", tmp_path / "store").returncode == 0
        check_store(tmp_path / "store", [1614834367.0 + t for t in times])

    @pytest.mark.parametrize("noted", ["1970-01-01T00:00:00.000000Z", "1904-01-01T00:00:00.000000Z", "yesterday"])
    def test_zero_of_the_clock_is_none(self, tmp_path: Path, noted: str) -> None:
        times = write_video(tmp_path / "clip.mkv", at_rate(5), metadata={"creation_time": noted})
        assert save("--source", tmp_path / "clip.mkv", "--format", "npy", tmp_path / "store").returncode == 0
        check_store(tmp_path / "store", times)


class TestPixels:
    """What has no loss in the video has none in the store."""

    def test_gray(self, tmp_path: Path) -> None:
        frames = [np.random.default_rng(k).integers(0, 256, (HEIGHT, WIDTH), np.uint8) for k in range(4)]
        video = [av.VideoFrame.from_ndarray(img, format="gray") for img in frames]
        write_video(tmp_path / "clip.mkv", at_rate(4), codec="ffv1", pix_fmt="gray", frames=video)
        assert save("--source", tmp_path / "clip.mkv", "--format", "png", tmp_path / "store").returncode == 0
        with imgstore.new_for_filename(tmp_path / "store") as store:
            assert store.image_shape == (HEIGHT, WIDTH)
            for img in frames:
                np.testing.assert_array_equal(store.get_next_image()[0], img)

    def test_16_bits(self, tmp_path: Path) -> None:
        frames = [np.random.default_rng(k).integers(0, 65536, (HEIGHT, WIDTH), np.uint16) for k in range(4)]
        video = [av.VideoFrame.from_ndarray(img, format="gray16le") for img in frames]
        write_video(tmp_path / "clip.mkv", at_rate(4), codec="ffv1", pix_fmt="gray16le", frames=video)
        assert save("--source", tmp_path / "clip.mkv", "--format", "tif", tmp_path / "store").returncode == 0
        with imgstore.new_for_filename(tmp_path / "store") as store:
            for img in frames:
                read, _ = store.get_next_image()
                assert read.dtype == np.uint16
                np.testing.assert_array_equal(read, img)
        result = save("--source", tmp_path / "clip.mkv", "--format", "avc1/mp4", tmp_path / "8-bits")
        assert result.returncode == 0
        assert "imgstore: warning: " in result.stderr and "8 bits" in result.stderr

    def test_colour(self, tmp_path: Path) -> None:
        frames = [np.random.default_rng(k).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8) for k in range(4)]
        video = [av.VideoFrame.from_ndarray(img, format="bgr24") for img in frames]
        write_video(tmp_path / "clip.mkv", at_rate(4), codec="ffv1", pix_fmt="bgr0", frames=video)
        assert save("--source", tmp_path / "clip.mkv", "--format", "png", tmp_path / "store").returncode == 0
        assert save("--source", tmp_path / "clip.mkv", "--format", "png", "--gray", tmp_path / "gray").returncode == 0
        stores = [imgstore.new_for_filename(tmp_path / name) for name in ("store", "gray")]
        with stores[0] as store, stores[1] as gray, imgstore.open(tmp_path / "clip.mkv", color="gray") as video:
            assert gray.image_shape == (HEIGHT, WIDTH)
            for img in frames:
                np.testing.assert_array_equal(store.get_next_image()[0], img)
                saved = gray.get_next_image()[0]
                np.testing.assert_array_equal(saved, video.get_next_image()[0])
                np.testing.assert_allclose(saved, imgstore.ensure_grayscale(img), atol=1)

    def test_deep_colour(self, tmp_path: Path) -> None:
        """10 bits are kept where the format holds 16, and are rounded to 8 where it does not."""
        write_video(tmp_path / "clip.mkv", at_rate(4), codec="libx265", pix_fmt="yuv444p10le",
                    options={"x265-params": "log-level=error"})  # fmt: skip
        for fmt, dtype in (("png", np.uint16), ("jpg", np.uint8)):
            path = tmp_path / fmt
            assert save("--source", tmp_path / "clip.mkv", "--format", fmt, path).returncode == 0
            with imgstore.new_for_filename(path) as store:
                img, _ = store.get_image(3)
                assert img.dtype == dtype and img.shape == (HEIGHT, WIDTH, 3)
                assert shown(img) == 3

    @pytest.mark.parametrize("matrix, colorspace", [("bt709", 1), ("smpte170m", 6)])
    def test_colour_matrix(self, tmp_path: Path, matrix: str, colorspace: int) -> None:
        """The video's own matrix is used: a saturated colour would be off by 20 levels with the other one."""
        yuv = {"bt709": (63, 102, 240), "smpte170m": (81, 90, 240)}[matrix]  # pure red, limited range
        planes = np.concatenate([np.full(HEIGHT * WIDTH, yuv[0], np.uint8)] +
                                [np.full(HEIGHT * WIDTH, c, np.uint8) for c in yuv[1:]])  # fmt: skip
        frame = av.VideoFrame.from_ndarray(planes.reshape(3, HEIGHT, WIDTH), format="yuv444p")
        frame.colorspace = colorspace
        options = {"crf": "0", "colorspace": matrix, "x264-params": f"colormatrix={matrix}"}
        write_video(tmp_path / "clip.mkv", at_rate(1), pix_fmt="yuv444p", frames=[frame], options=options)
        assert save("--source", tmp_path / "clip.mkv", "--format", "npy", tmp_path / "store").returncode == 0
        with imgstore.new_for_filename(tmp_path / "store") as store:
            blue, green, red = store.get_next_image()[0].reshape(-1, 3).mean(axis=0)
        assert (blue, green) == pytest.approx((0, 0), abs=3) and red == pytest.approx(255, abs=3)

    def test_turned_as_a_player_turns_it(self, tmp_path: Path) -> None:
        """A telephone held upright writes a lying video and how to turn it."""
        path = tmp_path / "clip.mp4"
        write_video(path, at_rate(3), size=(48, 96))
        content = bytearray(path.read_bytes())
        place = content.index(b"tkhd") + 4 + 40  # the matrix, of ISO/IEC 14496-12, 8.3.2
        assert struct.unpack(">i", content[place : place + 4]) == (0x10000,)
        # a quarter turn clockwise: a b u, c d v, x y w
        content[place : place + 36] = struct.pack(">9i", 0, 0x10000, 0, -0x10000, 0, 0, 48 << 16, 0, 0x40000000)
        path.write_bytes(content)
        assert save("--source", path, "--format", "npy", tmp_path / "store").returncode == 0
        with imgstore.new_for_filename(tmp_path / "store") as store:
            img, _ = store.get_image(2)
            assert img.shape == (96, 48, 3)
            assert shown(np.rot90(img)) == 2  # turned back, counter-clockwise

    def test_odd_size(self, tmp_path: Path) -> None:
        """Nothing is cut without a word."""
        times = write_video(tmp_path / "clip.mkv", at_rate(4), codec="ffv1", pix_fmt="gray", size=(47, 95))
        result = save("--source", tmp_path / "clip.mkv", "--format", "png", tmp_path / "png")
        assert result.returncode == 0 and result.stderr == ""
        check_store(tmp_path / "png", times)
        result = save("--source", tmp_path / "clip.mkv", "--format", "avc1/mp4", tmp_path / "mp4")
        assert result.returncode == 0 and "imgstore: warning: " in result.stderr
        with imgstore.new_for_filename(tmp_path / "mp4") as store:
            assert store.image_shape == (46, 94) and store.frame_count == 4


class TestDamage:
    def test_a_video_that_ends_early(self, tmp_path: Path) -> None:
        """What can be decoded is saved, each frame as itself."""
        path = tmp_path / "clip.mkv"
        times = write_video(path, at_rate(60), options={"bf": "2", "g": "10"})
        path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
        result = save("--source", path, "--format", "npy", tmp_path / "store")
        assert result.returncode == 3, result.stderr
        assert "the file ends early" in result.stderr  # of the last frames nobody knows which they are
        with imgstore.new_for_filename(tmp_path / "store") as store:
            assert 10 < store.frame_count < 60
            for k in range(store.frame_count - 1):  # the last one may be torn
                img, (number, moment) = store.get_next_image()
                assert (shown(img), number, moment) == (k, k, times[k])

    @pytest.mark.parametrize("codec, pix_fmt", [("libx264", "yuv420p"), ("mjpeg", "yuvj420p")])
    def test_a_damaged_packet(self, tmp_path: Path, codec: str, pix_fmt: str) -> None:
        """The frames of broken packets are left out, and the status says so; the others keep their numbers and times."""
        path = tmp_path / "clip.mkv"
        times = write_video(path, at_rate(20), codec=codec, pix_fmt=pix_fmt, options={"g": "1"})
        content = bytearray(path.read_bytes())
        with av.open(str(path)) as container:
            broken = bytes([packet for packet in container.demux(video=0) if packet.size][7])
        begin = content.index(broken)
        content[begin : begin + len(broken)] = bytes(len(broken))
        path.write_bytes(content)
        result = save("--source", path, "--format", "npy", tmp_path / "store")
        assert result.returncode == 3, result.stderr
        assert "imgstore: warning: " in result.stderr and "left out: frame 7 (number 7): " in result.stderr
        assert result.stdout.startswith("saved 19 frames of ") and "1 frame left out" in result.stdout
        with imgstore.new_for_filename(tmp_path / "store") as store:
            assert store.frame_count == 19
            left = [k for k in range(20) if k != 7]
            for k in left:
                img, frame = store.get_next_image()
                assert (shown(img), *frame) == (k, k, times[k])

    @pytest.mark.parametrize("content", [b"", b"no video at all\n" * 50])
    def test_no_video(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "clip.mp4").write_bytes(content)
        result = save("--source", tmp_path / "clip.mp4", tmp_path / "store")
        assert result.returncode in (1, 2)
        assert "clip.mp4" in result.stderr and "Traceback" not in result.stderr
        assert not (tmp_path / "store").exists()

    def test_no_frames(self, tmp_path: Path) -> None:
        path = tmp_path / "clip.mp4"
        write_video(path, at_rate(3))
        content = bytearray(path.read_bytes())
        begin = content.index(b"mdat") + 4
        end = content.index(b"moov") - 4 if content.index(b"moov") > begin else len(content)
        content[begin:end] = bytes(end - begin)
        path.write_bytes(content)
        result = save("--source", path, tmp_path / "store")
        assert result.returncode == 1
        assert "no frame that can be decoded" in result.stderr and "Traceback" not in result.stderr
        assert not (tmp_path / "store").exists()

    def test_no_such_file(self, tmp_path: Path) -> None:
        result = save("--source", tmp_path / "absent.mp4", tmp_path / "store")
        assert result.returncode == 2 and "could not open source" in result.stderr

    def test_no_such_webcam(self, tmp_path: Path) -> None:
        result = save("--source", "97", tmp_path / "store")
        assert result.returncode == 2 and "could not open source: 97" in result.stderr
        assert not (tmp_path / "store").exists()


class TestDestination:
    def test_a_store_is_not_overwritten_unless_asked(self, tmp_path: Path) -> None:
        times = write_video(tmp_path / "clip.mp4", at_rate(4))
        arguments = ["--source", tmp_path / "clip.mp4", "--format", "npy", tmp_path / "store"]
        with imgstore.new_for_format("npy", tmp_path / "store", imgshape=(4, 4)) as store:
            store.add_image(np.zeros((4, 4), np.uint8), 77, 0.0)
        result = save(*arguments)
        assert result.returncode == 1 and str(tmp_path / "store") in result.stderr
        with imgstore.new_for_filename(tmp_path / "store") as store:
            assert store.frame_numbers.tolist() == [77]
        assert save("--overwrite", *arguments).returncode == 0
        check_store(tmp_path / "store", times)

    def test_unknown_format(self, tmp_path: Path) -> None:
        write_video(tmp_path / "clip.mp4", at_rate(2))
        result = save("--source", tmp_path / "clip.mp4", "--format", "betamax", tmp_path / "store")
        assert result.returncode == 2
        assert "betamax" in result.stderr and "avc1/mp4" in result.stderr

    def test_options_of_the_codec(self, tmp_path: Path) -> None:
        noise = [np.random.default_rng(k).integers(0, 256, (HEIGHT, WIDTH), np.uint8) for k in range(12)]
        frames = [av.VideoFrame.from_ndarray(img, format="gray") for img in noise]
        write_video(tmp_path / "clip.mkv", at_rate(12), codec="ffv1", pix_fmt="gray", frames=frames)
        arguments = ["--source", tmp_path / "clip.mkv", "--format", "jpg"]
        assert save(*arguments, "--chunksize", 5, "-o", "quality=10", tmp_path / "small").returncode == 0
        assert save(*arguments, "-o", "quality=100", tmp_path / "large").returncode == 0
        with imgstore.new_for_filename(tmp_path / "small") as store:
            assert store.chunks == [0, 1, 2]
        small, large = (sum(f.stat().st_size for f in (tmp_path / n).rglob("*.jpg")) for n in ("small", "large"))
        assert small < large / 2
        assert save(*arguments, "-o", "quality", tmp_path / "x").returncode == 2
        result = save(*arguments, "-o", "sharpness=3", tmp_path / "x")
        assert result.returncode == 1 and "sharpness" in result.stderr


class TestStoreAsSource:
    def test_numbers_times_metadata_and_extra_data_are_kept(self, tmp_path: Path) -> None:
        with imgstore.new_for_format(
            "npy", tmp_path / "a", imgshape=(6, 8), chunksize=3, metadata={"animal": "zebra finch"}
        ) as store:
            for k in range(7):
                store.add_image(np.full((6, 8), k, np.uint8), 10 - 3 * k, 1.7e9 + k / 7)
                if k in (2, 5):
                    store.add_extra_data(temperature=20.5 + k)
        result = save("--source", tmp_path / "a", "--format", "png", tmp_path / "b")
        assert result.returncode == 0, result.stderr
        with imgstore.new_for_filename(tmp_path / "a") as a, imgstore.new_for_filename(tmp_path / "b") as b:
            assert b.frame_numbers.tolist() == a.frame_numbers.tolist()
            assert b.frame_times.tolist() == a.frame_times.tolist()
            assert b.user_metadata == {"animal": "zebra finch"}
            for _ in range(7):
                np.testing.assert_array_equal(b.get_next_image()[0], a.get_next_image()[0])
            columns = ["frame_index", "frame_number", "frame_time", "temperature"]
            assert b.get_extra_data()[columns].equals(a.get_extra_data()[columns])

    def test_records_are_copied_as_they_were_added(self, tmp_path: Path) -> None:
        """Types, None, NaN, large integers, what was added before the first frame; and the rate."""
        ns = 1700000000123456789
        added = {None: [{"note": "before"}, {"note": "also before"}], 1: [{"ns": ns}], 2: [{"cue": None, "trial": 7}],
                 4: [{"force": float("nan"), "licks": [1, 2]}, {"ns": ns + 1, "yes": True}]}  # fmt: skip
        with imgstore.new_for_format("npy", tmp_path / "a", imgshape=(6, 8), chunksize=2, fps=12.5) as store:
            for record in added[None]:
                store.add_extra_data(**record)
            for k in range(6):
                store.add_image(np.full((6, 8), k, np.uint8), 100 + k, k / 25)
                for record in added.get(k, []):
                    store.add_extra_data(**record)
        assert save("--source", tmp_path / "a", "--format", "png", tmp_path / "b").returncode == 0
        with imgstore.new_for_filename(tmp_path / "a") as a, imgstore.new_for_filename(tmp_path / "b") as b:
            assert repr(b.get_extra_records()) == repr(a.get_extra_records())
            assert len(b.get_extra_records()) == 6
            assert b.fps == 12.5

    def test_records_follow_their_frames_where_chunks_are_gone(self, tmp_path: Path) -> None:
        with imgstore.new_for_format("npy", tmp_path / "a", imgshape=(6, 8), chunksize=5) as store:
            for k in range(15):
                store.add_image(np.full((6, 8), k, np.uint8), k, k / 25)
                store.add_extra_data(k=k)
        shutil.rmtree(tmp_path / "a" / "000001")
        assert save("--source", tmp_path / "a", "--format", "npy", tmp_path / "b").returncode == 0
        with imgstore.new_for_filename(tmp_path / "b") as store:
            assert [(r["k"], r["frame_number"]) for r in store.get_extra_records()] == [
                (k, k) for k in (*range(5), *range(10, 15))
            ]

    def test_what_cannot_be_read_is_said_and_in_the_status(self, tmp_path: Path) -> None:
        with imgstore.new_for_format("npy", tmp_path / "a", imgshape=(6, 8), chunksize=10) as store:
            for k in range(40):
                store.add_image(np.full((6, 8), k, np.uint8), 1000 + 2 * k, k / 25)
                store.add_extra_data(k=k)
        for k in (*range(0, 2), *range(17, 33), 39):
            (tmp_path / "a" / f"{k // 10:06d}" / f"{k % 10:06d}.npy").write_bytes(b"?")
        result = save("--source", tmp_path / "a", "--format", "npy", tmp_path / "b")
        assert result.returncode == 3
        assert result.stdout.startswith("saved 21 frames of ") and "19 frames left out" in result.stdout
        told = [line for line in result.stderr.splitlines() if "left out: " in line]
        assert len(told) == 3, "frames in a row are one line"
        assert "left out: frames 0 to 1 (numbers 1000 to 1002)" in told[0]
        assert "left out: frames 17 to 32 (numbers 1034 to 1064)" in told[1]
        assert "left out: frame 39 (number 1078)" in told[2]
        with imgstore.new_for_filename(tmp_path / "b") as store:
            assert store.frame_numbers.tolist() == [1000 + 2 * k for k in (*range(2, 17), *range(33, 39))]
            records = store.get_extra_records()
            assert [record["k"] for record in records] == list(range(40)), "records are not lost with their frames"
            assert [r["frame_number"] for r in records if 17 <= r["k"] < 33] == [1032] * 16

    def test_one_frame(self, tmp_path: Path) -> None:
        with imgstore.new_for_format("npy", tmp_path / "a", imgshape=(6, 8)) as store:
            store.add_image(np.zeros((6, 8), np.uint8), 1, 1.0)
        assert save("--source", tmp_path / "a", tmp_path / "b").stdout.startswith("saved 1 frame of ")

    @pytest.mark.parametrize("more", [(), ("--overwrite",)])
    def test_a_folder_of_somebody_s_is_no_place_for_a_store(self, tmp_path: Path, more: tuple[str, ...]) -> None:
        with imgstore.new_for_format("npy", tmp_path / "a", imgshape=(6, 8)) as store:
            store.add_image(np.zeros((6, 8), np.uint8), 1, 1.0)
        (tmp_path / "thesis").mkdir()
        assert save("--source", tmp_path / "a", *more, tmp_path / "thesis").returncode == 0, "it is empty"
        (tmp_path / "photos").mkdir()
        (tmp_path / "photos" / "cat.jpg").write_bytes(b"meow")
        result = save("--source", tmp_path / "a", *more, tmp_path / "photos")
        assert result.returncode == 1 and "holds files that are no store" in result.stderr
        assert [p.name for p in (tmp_path / "photos").iterdir()] == ["cat.jpg"]

    def test_onto_itself(self, tmp_path: Path) -> None:
        imgstore.new_for_format("npy", tmp_path / "a", imgshape=(6, 8)).close()
        result = save("--source", tmp_path / "a", "--overwrite", tmp_path / "a")
        assert result.returncode == 2
        assert imgstore.is_imgstore(tmp_path / "a")

    def test_every_sample(self, samples: Path, tmp_path: Path) -> None:
        """A real recording: every frame shows its own number."""
        result = save("--source", samples / "motif-mp4", "--format", "npy", tmp_path / "store")
        assert result.returncode == 0, result.stderr
        with imgstore.new_for_filename(samples / "motif-mp4") as a, imgstore.new_for_filename(tmp_path / "store") as b:
            assert b.frame_count == a.frame_count == 179
            for _ in range(179):
                (one, what), (other, same) = a.get_next_image(), b.get_next_image()
                assert what == same
                np.testing.assert_array_equal(one, other)


@pytest.fixture(scope="module")
def long_video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A thousand frames."""
    path = tmp_path_factory.mktemp("long") / "clip.mkv"
    write_video(path, at_rate(1000), codec="mpeg4", size=(480, 640))
    return path


@pytest.mark.skipif(sys.platform == "win32", reason="signals as on POSIX")
class TestInterrupted:
    @pytest.mark.parametrize("signum", long_but({signal.SIGINT}, [signal.SIGINT, signal.SIGTERM]))
    @pytest.mark.parametrize("fmt", long_but({"avc1/mp4"}, ["png", "avc1/mp4", "mjpeg/avi"]))
    def test_ctrl_c_leaves_what_can_be_completed(
        self, tmp_path: Path, long_video: Path, fmt: str, signum: signal.Signals
    ) -> None:
        """Nothing is there under the store's name until it is whole, and its name alone is enough to complete it."""
        path = tmp_path / "store"
        command = [sys.executable, "-m", "imgstore", "save", long_video, path, "--format", fmt, "--chunksize", "200"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ELSEWHERE)
        try:
            deadline = time.monotonic() + 60
            while not _something_written(path):
                assert process.poll() is None and time.monotonic() < deadline
                time.sleep(0.005)
            process.send_signal(signum)
            output, errors = process.communicate(timeout=60)
        finally:
            process.kill()
        assert process.returncode == 128 + signum, errors
        assert output == "" and errors.count("\n") == 1 and f"'imgstore save --resume {path}' goes on" in errors
        assert not (path / ".lock").exists() and not imgstore.is_imgstore(path)
        done = save("--resume", path)
        assert done.returncode == 0, done.stderr
        assert done.stdout == f"saved 1000 frames of {long_video} to {path}\n"
        with imgstore.new_for_filename(path) as store:
            assert store.frame_count == 1000
            for k in range(0, 1000, 37):
                img, (number, _) = store.get_image(k)
                assert (shown(img), number) == (k, k)
        # nothing is left that belongs to a store which is still being written
        kinds = {p.suffix for p in path.rglob("*") if p.is_file() and not p.name.startswith(".")}
        assert kinds <= {".yaml", ".npz", ".png", ".mp4", ".avi"} and not (path / ".unfinished").exists()


def _something_written(path: Path) -> bool:
    files = [f for f in path.rglob("*.*") if f.suffix in (".png", ".mp4", ".avi")]
    return sum(f.stat().st_size for f in files) > 4096


class TestProgress:
    def test_silent_in_a_pipe(self, tmp_path: Path) -> None:
        write_video(tmp_path / "clip.mp4", at_rate(10))
        result = save("--source", tmp_path / "clip.mp4", "--format", "npy", tmp_path / "store")
        assert result.stderr == ""
        assert result.stdout == f"saved 10 frames of {tmp_path / 'clip.mp4'} to {tmp_path / 'store'}\n"

    @pytest.mark.skipif(sys.platform == "win32", reason="a terminal as on POSIX")
    def test_on_a_terminal(self, tmp_path: Path) -> None:
        """How far it has come and how long it will take."""
        import pty

        write_video(tmp_path / "clip.mp4", at_rate(50))
        ours, theirs = pty.openpty()
        command = [sys.executable, "-m", "imgstore", "save", "--source", str(tmp_path / "clip.mp4")]
        environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
        process = subprocess.Popen(
            [*command, str(tmp_path / "store")], stderr=theirs, stdout=theirs, env=environment, cwd=ELSEWHERE
        )
        os.close(theirs)
        shown_text = b""
        try:
            while True:
                try:
                    part = os.read(ours, 4096)
                except OSError:  # Linux: the other side has been closed
                    break
                if not part:
                    break
                shown_text += part
            assert process.wait(timeout=60) == 0
        finally:
            process.kill()
            os.close(ours)
        assert b"50/50" in shown_text and b"left" in shown_text

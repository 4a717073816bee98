"""A file that lost frames, as the heads of its packets are damaged, shows none of the others in their place."""

from __future__ import annotations

import random
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from rounds import long_but
from video_samples import HEIGHT, WIDTH, encode, number_of

import imgstore
from imgstore.errors import FrameDecodeError, ImgStoreError
from imgstore.repair import repair_store

FRAMES = 60
B_FRAMES = {"x264-params": "bframes=3:b-adapt=0"}
KINDS = {
    "h264.mkv": ("libx264", {"options": {"x264-params": "bframes=0"}}),
    "h264-b-frames.mkv": ("libx264", {"options": B_FRAMES}),
    "ffv1.mkv": ("ffv1", {"pix_fmt": "gray", "gop": 1}),
    "mjpeg.mkv": ("mjpeg", {"pix_fmt": "yuvj420p", "options": {"qmin": "2", "qmax": "4"}}),
    "vp9.mkv": ("libvpx-vp9", {"options": {"lag-in-frames": "0", "crf": "20", "b": "0", "cpu-used": "8"}}),
    "h264.avi": ("libx264", {"options": {"x264-params": "bframes=0"}}),
    "mpeg4.avi": ("mpeg4", {"options": {"qscale": "3", "flags": "+qscale"}}),
    "mjpeg.avi": ("mjpeg", {"pix_fmt": "yuvj420p", "options": {"qmin": "2", "qmax": "4"}}),
    "h264-b-frames.mp4": ("libx264", {"options": B_FRAMES}),
}


def insert(tmp_path: Path, name: str, **how: object) -> Path:
    """Make a store of one foreign video; return its file."""
    codec, usual = KINDS[name]
    video = tmp_path / name
    encode(video, range(FRAMES), codec, **{**usual, **how})  # type: ignore[arg-type]
    fmt = {".mkv": "h264/mkv", ".avi": "mjpeg/avi", ".mp4": "avc1/mp4"}[video.suffix]
    with imgstore.new_for_format(fmt, tmp_path / "s", imgshape=(HEIGHT, WIDTH), chunksize=FRAMES) as store:
        store.insert_chunk(video, np.arange(FRAMES), np.arange(FRAMES) / 25)
    return tmp_path / "s" / f"000000{video.suffix}"


def damage(file: Path, how: str, victim: int = 25) -> None:
    with av.open(str(file)) as container:
        places = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    data = bytearray(file.read_bytes())
    begin, size = places[victim]
    if how == "one byte":
        data[begin] ^= 255
    elif how == "zeros":
        data[begin - 8 : begin + size] = bytes(8 + size)
    elif how == "noise":
        data[begin - 8 : begin + size] = np.random.default_rng(1).bytes(8 + size)
    else:
        end = sum(places[victim + 1])
        data[begin - 8 : end] = bytes(end - begin + 8)
    file.write_bytes(data)


def read(tmp_path: Path, order: list[int]) -> set[int]:
    """Read frames one by one; return those that came, each of which must be the right one."""
    came = set()
    with imgstore.new_for_filename(tmp_path / "s", checksums=False) as store:
        for position in order:
            try:
                img = store.get_image(None, frame_index=position)[0]
            except FrameDecodeError:
                continue
            assert number_of(img) == position
            came.add(position)
    return came


@pytest.mark.parametrize("how", long_but({"two packets"}, ["one byte", "zeros", "noise", "two packets"]))
@pytest.mark.parametrize("name", KINDS)
def test_nothing_shifts(tmp_path: Path, name: str, how: str) -> None:
    file = insert(tmp_path, name)
    damage(file, how)
    in_order = read(tmp_path, list(range(FRAMES)))
    assert set(range(20)) <= in_order
    assert len(in_order) > 0.55 * FRAMES
    assert read(tmp_path, random.Random(1).sample(range(FRAMES), FRAMES)) == in_order


def test_where_times_cannot_tell_frames_are_errors(tmp_path: Path) -> None:
    """Frames that are not equally far apart: nobody knows how many are missing."""
    times = np.cumsum(np.random.default_rng(3).integers(20, 90, FRAMES)).tolist()
    file = insert(tmp_path, "mjpeg.mkv", pts=times, time_base=Fraction(1, 1000))
    damage(file, "zeros")
    came = read(tmp_path, list(range(FRAMES)))
    assert came == set(range(25))
    with (
        imgstore.new_for_filename(tmp_path / "s", checksums=False) as store,
        pytest.raises(FrameDecodeError, match="frame 40.*missing in the file"),
    ):
        store.get_image(40)


@pytest.mark.parametrize("name", ["h264.mkv", "h264-b-frames.mp4", "mjpeg.avi"])
def test_fewer_frames_than_the_index_lists(tmp_path: Path, name: str) -> None:
    """What is missing at the end, or at the end of what was written, leaves all others where they are."""
    file = insert(tmp_path, name)
    shorter = tmp_path / f"shorter{file.suffix}"
    codec, usual = KINDS[name]
    encode(shorter, range(FRAMES - 7), codec, **usual)  # type: ignore[arg-type]
    file.write_bytes(shorter.read_bytes())
    assert read(tmp_path, list(range(FRAMES))) == set(range(FRAMES - 7))


@pytest.mark.parametrize("fmt", ["avc1/mp4", "hevc/mp4", "h264/mkv", "mjpeg/avi", "ffv1/mkv"])
@pytest.mark.parametrize("share", [0.9, 0.5])
def test_a_copy_that_was_not_completed(tmp_path: Path, fmt: str, share: float) -> None:
    """What is there of a chunk that was complete is read, whatever the format."""
    with imgstore.new_for_format(fmt, tmp_path / "s", imgshape=(48, 64), chunksize=FRAMES) as store:
        for k in range(FRAMES):
            store.add_image(np.full((48, 64), 4 * k, np.uint8), k, k / 25)
    (file,) = [p for p in (tmp_path / "s").iterdir() if p.suffix in (".mp4", ".mkv", ".avi")]
    file.write_bytes(file.read_bytes()[: int(share * file.stat().st_size)])
    came = []
    with imgstore.new_for_filename(tmp_path / "s") as store:
        for k in range(FRAMES):
            try:
                img = store.get_image(k)[0]
            except ImgStoreError:
                continue
            assert abs(float(img.mean()) - 4 * k) < 3
            came.append(k)
    assert came == list(range(len(came)))
    assert len(came) > 0.3 * share * FRAMES


@pytest.mark.parametrize("name", ["h264-b-frames.mkv", "mpeg4.avi"])
@pytest.mark.parametrize("share", [0.9, 0.5])
def test_a_copy_of_a_foreign_video_that_was_not_completed_is_repaired(tmp_path: Path, name: str, share: float) -> None:
    """Matroska has no times of decoding, and FFmpeg's muxers want them."""
    file = insert(tmp_path, name)
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * share)])
    readable = read(tmp_path, list(range(FRAMES)))
    repair_store(str(tmp_path / "s"))
    with imgstore.new_for_filename(tmp_path / "s") as store:
        kept = len(store)
        assert [number_of(store.get_image(None, frame_index=k)[0]) for k in range(kept)] == list(range(kept))
    assert len(readable) - 8 <= kept < FRAMES


def test_uneven_times_without_a_hole_leave_all_frames_where_they_are(tmp_path: Path) -> None:
    """As many steps are left out as frames are missing, but one interval fits none: it was the end that was lost."""
    count = FRAMES - 2
    times = [40 * k + (80 if k > 30 else 0) + (19 if k > 45 else 0) for k in range(count)]
    file = insert(tmp_path, "mjpeg.mkv")
    shorter = tmp_path / "shorter.mkv"
    codec, usual = KINDS["mjpeg.mkv"]
    encode(shorter, range(count), codec, pts=times, time_base=Fraction(1, 1000), **usual)  # type: ignore[arg-type]
    file.write_bytes(shorter.read_bytes())
    assert read(tmp_path, list(range(FRAMES))) == set(range(count))

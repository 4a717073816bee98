"""Files that were put together out of others: what a decoder met before must not matter, nor what the first packets are like."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.video.frame import PictureType
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from mp4_boxes import Part, part_of, with_sets_in_packets, write_mp4
from rounds import long_but
from video_samples import HEIGHT, WIDTH, X265, encode, number_of

from imgstore.codec import FrameSpec
from imgstore.errors import FrameDecodeError
from imgstore_codecs.video.codec import PyAVCodec
from imgstore_codecs.video.reading.video_reader import VideoReader

GRAY = FrameSpec((HEIGHT, WIDTH), np.dtype(np.uint8))

SETTINGS = {
    "one reference": "bframes=0:ref=1:weightp=0:scenecut=0",
    "many references": "bframes=0:ref=4:scenecut=0",
    "B-frames": "bframes=3:b-adapt=0:b-pyramid=none:ref=1:weightp=0:scenecut=0",
    "B-pyramid": "bframes=5:b-adapt=0:b-pyramid=normal:scenecut=0:qp=30",
    "other entropy coding": "bframes=2:b-adapt=0:cabac=0:scenecut=0",
    "intra refresh": "bframes=0:intra-refresh=1:scenecut=0",
}
LENGTH = 24


@pytest.fixture(scope="session")
def part(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Encode each part once: ``part(settings, which)`` shows the numbers from ``which * LENGTH`` on."""
    directory = tmp_path_factory.mktemp("parts")

    @cache
    def get(name: str, which: int, gop: int = 8) -> Part:
        path = directory / f"{len(list(directory.iterdir()))}.mp4"
        numbers = range(which * LENGTH, (which + 1) * LENGTH)
        codec = "libx265" if name == "hevc" else "libx264"
        options = X265 if name == "hevc" else {"x264-params": SETTINGS[name]}
        encode(path, numbers, codec, options=options, gop=gop, mux={"video_track_timescale": "12800"})
        return part_of(path)

    return get


def open_video(path: Path, **options: Any) -> VideoReader:
    reader = PyAVCodec().open_reader(str(path), PyAVCodec.formats[0], GRAY, options)
    assert isinstance(reader, VideoReader)
    return reader


def plainly(path: Path) -> list[np.ndarray]:
    """Decode a file from start to end as any player does."""
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]


def ways(count: int, seed: int) -> Iterator[list[int]]:
    rng = random.Random(seed)
    yield [rng.randrange(count) for _ in range(12)]
    yield list(range(count))
    yield sorted(rng.sample(range(count), min(count, 9)), reverse=True)


def check(path: Path, seed: int = 0, **options: Any) -> None:
    """Fail unless each frame is the one that a player shows, in whatever order frames are read."""
    plain = plainly(path)
    for positions in ways(len(plain), seed):
        reader = open_video(path, **options)
        assert reader.frame_count == len(plain)
        for position in positions:
            assert np.array_equal(reader.read(position), plain[position]), (position, number_of(plain[position]))
        batch = np.empty((len(positions), HEIGHT, WIDTH), np.uint8)
        reader.read_many(positions, list(batch))
        for position, frame in zip(positions, batch, strict=True):
            assert np.array_equal(frame, plain[position]), position
        reader.close()


@pytest.mark.parametrize("threads", long_but({3}, [1, 3]))
@pytest.mark.parametrize("names", [
    ("B-frames", "many references"),
    ("many references", "one reference", "B-frames"),
    ("B-pyramid", "other entropy coding"),
    ("B-frames", "many references", "B-frames"),
], ids=" then ".join)  # fmt: skip
def test_several_descriptions(tmp_path: Path, part: Any, names: tuple[str, ...], threads: int) -> None:
    write_mp4(tmp_path / "joined.mp4", [part(name, k) for k, name in enumerate(names)], (HEIGHT, WIDTH))
    check(tmp_path / "joined.mp4", threads=threads)


@pytest.mark.parametrize("each", [False, True], ids=["once", "at each key frame"])
@pytest.mark.parametrize("names", [
    ("one reference", "many references"),
    ("many references", "other entropy coding", "many references"),
], ids=" then ".join)  # fmt: skip
def test_sets_that_come_with_packets(tmp_path: Path, part: Any, names: tuple[str, ...], each: bool) -> None:
    """Also where a decoder goes back to what came before them."""
    parts = [part(name, k) for k, name in enumerate(names)]
    description = parts[0].description
    joined = [parts[0], *(with_sets_in_packets(other, description, each) for other in parts[1:])]
    write_mp4(tmp_path / "joined.mp4", joined, (HEIGHT, WIDTH))
    check(tmp_path / "joined.mp4")
    plain = plainly(tmp_path / "joined.mp4")
    reader = open_video(tmp_path / "joined.mp4")
    last = len(plain) - 1
    for position in (last, 9, LENGTH + 9, 1, last, 17, LENGTH, LENGTH - 1):
        assert np.array_equal(reader.read(position), plain[position]), position
    reader.close()


@pytest.mark.long
@settings(max_examples=25, derandomize=True, suppress_health_check=list(HealthCheck))  # players differ at rare cuts
@given(
    names=st.lists(st.sampled_from([*SETTINGS, "hevc"]), min_size=1, max_size=3),
    gop=st.sampled_from([5, 8, 30]),
    how=st.sampled_from(["descriptions", "once", "each"]),
    edit=st.none() | st.tuples(st.integers(0, LENGTH - 1), st.integers(1, 2 * LENGTH)),
    shown=st.booleans(),
    threads=st.integers(1, 3),
    seed=st.integers(0, 1000),
)
def test_made_up_files(
    tmp_path_factory: pytest.TempPathFactory,
    part: Any,
    names: list[str],
    gop: int,
    how: str,
    edit: tuple[int, int] | None,
    shown: bool,
    threads: int,
    seed: int,
) -> None:
    """Every frame that comes is the one that a player shows there, and none is refused that a player shows."""
    if "hevc" in names and (how != "descriptions" or len(set(names)) > 1):
        names = [name for name in names if name != "hevc"] or ["hevc"]
    # behind a cut a stream without whole key frames is shown before it is refreshed, by each player in its own way
    assume(edit is None or "intra refresh" not in names)
    parts = [part(name, k, gop) for k, name in enumerate(names)]
    if how != "descriptions" and "hevc" not in names:
        first = parts[0].description
        parts = [parts[0], *(with_sets_in_packets(other, first, how == "each") for other in parts[1:])]
    path = tmp_path_factory.mktemp("made-up") / "video.mp4"
    count = len(names) * LENGTH
    edits = None if edit is None or not shown else [(edit[0], min(edit[1], count - edit[0]))]
    write_mp4(path, parts, (HEIGHT, WIDTH), edits=edits, shown=shown)
    try:
        plain = plainly(path)
    except av.error.InvalidDataError:  # some cuts leave a player nothing to begin with
        plain = []
    assume(plain)
    for positions in ways(len(plain), seed):
        reader = open_video(path, threads=threads)
        for position in positions:
            try:
                frame = reader.read(position)
            except FrameDecodeError:
                # where one part ends and another begins, a decoder may drop what it has held back
                assert reader.frame_count > len(plain)
                continue
            if reader.frame_count == len(plain):
                assert np.array_equal(frame, plain[position]), (position, number_of(plain[position]))
            else:
                assert any(np.array_equal(frame, other) for other in plain)
        reader.close()
    path.unlink()


# -- the order of frames where a file has times of decoding alone --------------------------------------------------

LATE, COUNT = 72, 90


@pytest.fixture(scope="session")
def late_b_frames(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """An AVI whose first B-frame comes late: ``late_b_frames(codec)``."""
    directory = tmp_path_factory.mktemp("late")

    @cache
    def get(codec: str) -> Path:
        path = directory / f"{codec}.avi"
        options = {
            "libx264": {"x264-params": "bframes=3:b-adapt=0:b-pyramid=none:scenecut=0"},
            "mpeg4": {"bf": "2", "qscale": "3", "flags": "+qscale", "sc_threshold": "1000000000"},
            "mpeg2video": {"bf": "2", "qscale": "3", "flags": "+qscale", "sc_threshold": "1000000000"},
        }[codec]
        if codec == "libx264":
            kinds = [PictureType.P if k < LATE else PictureType.NONE for k in range(COUNT)]
            encode(path, range(COUNT), codec, options=options, gop=250, kinds=kinds)
        else:  # it takes no kinds of pictures: what has B-frames is put behind what has none
            encode(path, range(COUNT), codec, options=options, gop=12, tweak=without_early_b_frames)
        return path

    return get


def without_early_b_frames(packets: list[av.Packet]) -> list[av.Packet]:
    """Leave out the B-frames before a key frame, and close the gaps."""
    first = next(k for k, packet in enumerate(packets) if packet.is_keyframe and packet.pts >= LATE - 12)
    kept = []
    for k, packet in enumerate(packets):
        data = bytes(packet)
        at = data.rfind(b"\0\0\1\xb6")
        is_b = data[at + 4] >> 6 == 2 if at >= 0 else data[data.find(b"\0\0\1\0") + 5] >> 3 & 7 == 3
        if k >= first or not is_b:
            kept.append(packet)
    for k, packet in enumerate(kept):
        packet.pts = packet.dts = k
    return kept


def copied(path: Path, target: Path) -> Path:
    """Copy as ``ffmpeg -c copy`` does: times of decoding are taken for those of showing."""
    with av.open(str(path)) as source, av.open(str(target), "w") as out:
        copy = out.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.pts, packet.stream = packet.dts, copy
                out.mux(packet)
    return target


@pytest.mark.parametrize("extension", long_but({"avi", "mp4"}, ["avi", "mp4", "mkv", "mov"]))
@pytest.mark.parametrize("codec", ["libx264", "mpeg4", "mpeg2video"])
def test_b_frames_that_come_late(tmp_path: Path, late_b_frames: Any, codec: str, extension: str) -> None:
    path = late_b_frames(codec)
    if extension != "avi":
        path = copied(path, tmp_path / f"late.{extension}")
    plain = [number_of(frame) for frame in plainly(path)]
    assert plain == sorted(plain) and len(plain) > 20
    reader = open_video(path)
    assert [number_of(reader.read(k)) for k in range(reader.frame_count)] == plain
    for k in random.Random(0).sample(range(len(plain)), 12):
        assert number_of(reader.read(k)) == plain[k]
    reader.close()


@pytest.mark.parametrize("extension", ["avi", "mp4", "mkv"])
@pytest.mark.parametrize("codec, options", [
    ("libx264", {"x264-params": "bframes=0:scenecut=0"}),
    ("libx264", {"x264-params": "bframes=3:b-adapt=1:scenecut=0"}),
    ("mpeg4", {"qscale": "3", "flags": "+qscale"}),
    ("mpeg2video", {"qscale": "3", "flags": "+qscale"}),
])  # fmt: skip
def test_without_b_frames_nothing_is_decoded_to_know_the_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, codec: str, options: dict[str, str], extension: str
) -> None:
    path = tmp_path / f"clip.{extension}"
    kinds = [PictureType.P] * 40 if codec == "libx264" else None
    encode(path, range(40), codec, options=options, kinds=kinds)
    monkeypatch.setattr("imgstore_codecs.video.reading.frame_order._decode_plainly", None)
    reader = open_video(path)
    assert [number_of(reader.read(k)) for k in (0, 39, 7)] == [0, 39, 7]
    reader.close()


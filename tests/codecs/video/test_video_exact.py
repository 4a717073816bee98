"""The frame that is asked for is the frame that comes, from any video, in whatever order it is read."""

from __future__ import annotations

import gc
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rounds import long_but
from video_samples import B_FRAMES, HEIGHT, SAMPLES, WIDTH, Sample, encode, number_of, patch_edit_list, picture

from imgstore.codec import FrameSpec
from imgstore.errors import ChunkError, FrameDecodeError, ImgStoreError
from imgstore_codecs.video.codec import PyAVCodec
from imgstore_codecs.video.reading.stretch import Stretch
from imgstore_codecs.video.reading.video_reader import VideoReader

GRAY = FrameSpec((HEIGHT, WIDTH), np.dtype(np.uint8))
COLOR = FrameSpec((HEIGHT, WIDTH, 3), np.dtype(np.uint8))


def open_video(path: Path, spec: FrameSpec = GRAY, **options: Any) -> VideoReader:
    codec = PyAVCodec()
    fmt = next(f for f in codec.formats if f.extension == path.suffix)
    reader = codec.open_reader(str(path), fmt, spec, options)
    assert isinstance(reader, VideoReader)
    return reader


def plain_numbers(path: Path) -> list[int]:
    """Decode a file from start to end as any player does."""
    with av.open(str(path)) as container:
        return [number_of(frame.to_ndarray(format="gray")) for frame in container.decode(video=0)]


SPECS = {"gray": GRAY, "color": COLOR}
OPTIONS: dict[str, dict[str, Any]] = {"by default": {}, "no cache": {"cache_size": 0}, "no seeking": {"seek": False}}
# what another one of their kind is tried for in `make test`
SELDOM = {
    "h264-b-pyramid-250.mp4", "h264-intra-refresh.mkv", "h264-start-without-idr.mkv", "h264-edit-list-3.mp4",
    "h264-edit-list-end.mp4", "h264-start-offset.mkv", "h264-variable-rate.mkv", "h264-odd-time-base.mp4",
    "h264-slower-than-one.mp4", "h264-2000-fps-no-b.mkv", "h264-fragment-each.mp4", "h264-no-edit-list.mp4",
    "h264-with-sound.mkv", "h264-out-of-avi.mkv", "h264-444-10-bit.mkv", "h264-color-601.mp4",
    "h264-color-2020-full.mp4", "hevc-closed-gop.mp4", "hevc-intra-refresh.mp4", "hevc-fragmented.mp4",
    "hevc-12-bit-444.mp4", "av1-10-bit.mp4", "mpeg4-b-frames.mkv", "mpeg4-no-b.avi",
    "h264-one-slice-open-gop.mkv", "h264-open-gop.mp4", "h264-faststart.mp4", "h264-full-range.mp4", "h264-422.mp4",
    "h264-color-709.mp4", "h264-ntsc.mp4", "h264-with-sound.mp4", "h264-gray.mp4", "h264-no-b.avi",
    "hevc-temporal-layers.mp4", "mpeg4-b-frames.mp4", "ffv1-color-16-bit.mkv", "vp8-alt-ref.mkv",
}  # fmt: skip
OFTEN = [sample for sample in SAMPLES if sample.name not in SELDOM][::4]
each_sample = pytest.mark.parametrize("sample", long_but(OFTEN, SAMPLES), ids=str)
# What way is gone does not depend on the colour
EVERY_ORDER = [
    *((sample, spec, "by default") for sample in SAMPLES for spec in ("gray", "color")),
    *((sample, "gray", how) for how in ("no cache", "no seeking") for sample in SAMPLES[::2]),
]


def walks(count: int, thorough: bool) -> Iterator[tuple[str, list[int]]]:
    """Ways through the frames of a video."""
    rng = random.Random(count)
    yield "in order", list(range(count))
    if thorough:
        yield "backwards", list(range(count))[::-1]
        yield "at random", [rng.randrange(count) for _ in range(70)]
        runs: list[int] = []
        for _ in range(10):
            start = rng.randrange(count)
            runs += range(start, min(count, start + rng.randrange(1, 7)))
            runs += range(start, max(-1, start - rng.randrange(1, 5)), -1)
        yield "in runs", runs
    else:
        yield "in steps back", list(range(count))[::-13]


@pytest.mark.long
@each_sample
def test_samples_are_what_they_claim(videos: Any, sample: Sample) -> None:
    path, numbers = videos(sample)
    assert plain_numbers(path) == numbers


@pytest.mark.parametrize(
    "sample, spec, how", long_but([(sample, "gray", "by default") for sample in OFTEN], EVERY_ORDER), ids=str
)
def test_every_frame_in_any_order(videos: Any, sample: Sample, spec: str, how: str) -> None:
    path, numbers = videos(sample)
    for name, positions in walks(len(numbers), thorough=OPTIONS[how].get("seek", True)):
        reader = open_video(path, SPECS[spec], **OPTIONS[how])
        assert reader.frame_count == len(numbers)
        shown = [number_of(reader.read(p)) for p in positions]
        assert shown == [numbers[p] for p in positions], name
        reader.close()


@pytest.mark.parametrize("options", long_but([{}], [{}, {"seek": False, "cache_size": 0}]), ids=["", "in order"])
@each_sample
def test_batches(videos: Any, sample: Sample, options: dict[str, Any]) -> None:
    path, numbers = videos(sample)
    count = len(numbers)
    rng = random.Random(1)
    reader = open_video(path, **options)
    for positions in (
        [rng.randrange(count) for _ in range(count)],
        list(range(count)),
        list(range(0, count, 7))[::-1],
        [count - 1, 0, count - 1],
        [count // 2],
        [],
    ):
        out = np.zeros((len(positions), HEIGHT, WIDTH), np.uint8)
        reader.read_many(positions, out)
        assert [number_of(img) for img in out] == [numbers[p] for p in positions]
        if positions:  # one by one goes on being right after a batch
            assert number_of(reader.read(positions[0])) == numbers[positions[0]]
    reader.close()


@pytest.mark.parametrize("sample", long_but(OFTEN[::3], SAMPLES), ids=str)
def test_batches_that_follow_each_other(videos: Any, sample: Sample) -> None:
    """As training takes frames: some from here on, then some from elsewhere, and on where the first ones ended."""
    path, numbers = videos(sample)
    count = len(numbers)
    reader = open_video(path, threads=1, cache_size=0)
    rng = random.Random(3)
    for _ in range(4):
        at = rng.randrange(count)
        while at < count:
            positions = range(at, min(count, at + rng.choice((1, 2, 5, 8))))
            at = positions.stop
            out = np.zeros((len(positions), HEIGHT, WIDTH), np.uint8)
            reader.read_many(positions, out)
            assert [number_of(img) for img in out] == [numbers[p] for p in positions]
            if rng.random() < 0.1:
                break
    reader.close()


@pytest.mark.parametrize("options", [{"x264-params": "bframes=0"}, B_FRAMES], ids=["", "b frames"])
def test_batches_that_follow_each_other_decode_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, str]
) -> None:
    path = tmp_path / "long.mp4"
    encode(path, range(200), gop=50, options=options)
    fed = []
    feed = Stretch.feed
    monkeypatch.setattr(Stretch, "feed", lambda stretch, wanted: (fed.append(stretch.next), feed(stretch, wanted))[1])
    reader = open_video(path, threads=1, cache_size=0)
    for at in range(50, 146, 8):
        out = np.zeros((8, HEIGHT, WIDTH), np.uint8)
        reader.read_many(range(at, at + 8), out)
        assert [number_of(img) for img in out] == list(range(at, at + 8))
    assert 96 <= len(fed) <= 96 + 12
    reader.close()


@pytest.mark.parametrize("cache_size", [0, 1 << 28])
@pytest.mark.parametrize("options", [{"x264-params": "bframes=0"}, B_FRAMES], ids=["", "b frames"])
def test_reading_in_order_decodes_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, str], cache_size: int
) -> None:
    """However many pictures a decoder gives at once."""
    path = tmp_path / "long.mp4"
    encode(path, range(200), gop=50, options=options)
    fed = []
    feed = Stretch.feed
    monkeypatch.setattr(Stretch, "feed", lambda stretch, wanted: (fed.append(stretch.next), feed(stretch, wanted))[1])
    reader = open_video(path, threads=1, cache_size=cache_size)
    for position in range(50, 146):
        assert number_of(reader.read(position)) == position
    assert 96 <= len(fed) <= 96 + 12
    reader.close()


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("codec", long_but({"libx264"}, ["libx264", "libx265", "mpeg4"]))
def test_far_into_a_file_no_more_is_decoded_than_near_its_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, codec: str, threads: int
) -> None:
    """However a decoder is used first: one by one, in a run, for a share of a batch."""
    path, gop = tmp_path / "long.mp4", 10
    options = {"x265-params": "log-level=none:wpp=0"} if codec == "libx265" else {"bf": "0"}
    encode(path, range(500), codec, gop=gop, options=options)
    fed = 0
    feed = Stretch.feed

    def count(stretch: Stretch, wanted: bool) -> list[tuple[int, av.VideoFrame]]:
        nonlocal fed
        fed += 1
        return feed(stretch, wanted)

    monkeypatch.setattr(Stretch, "feed", count)
    reader = open_video(path, threads=threads, cache_size=0)
    for position in (391, 305, 372, 318, 359, 333):
        fed = 0
        assert number_of(reader.read(position)) == position
        assert fed <= gop + 6  # more where a decoder has to be fed on to give a picture
    reader.close()
    reader, fed = open_video(path, threads=threads), 0
    assert [number_of(reader.read(position)) for position in range(301, 360)] == list(range(301, 360))
    assert fed < 60 + 6 * gop  # decoders of groups go as far ahead as there is room for them
    reader.close()
    reader, fed = open_video(path, threads=threads), 0
    positions = random.Random(2).sample(range(200, 400), 60)
    out = np.zeros((60, HEIGHT, WIDTH), np.uint8)
    reader.read_many(positions, out)
    assert [number_of(img) for img in out] == positions
    assert fed < 200 + 2 * gop
    reader.close()


@pytest.mark.parametrize("threads", [1, 2])
def test_little_is_kept_of_what_was_met_on_the_way(tmp_path: Path, threads: int) -> None:
    path = tmp_path / "long.mp4"
    encode(path, range(300), gop=100, options={"bf": "0"})
    reader = open_video(path, threads=threads)
    before = reader.nbytes
    for position in (95, 290, 180, 82):
        assert number_of(reader.read(position)) == position
    assert reader.nbytes - before < 4 * 6 * 2 * HEIGHT * WIDTH
    reader.idle()
    assert reader.nbytes < 100 * 300 < before  # which of its packets is which frame
    for position in (83, 81, 80, 299, 298, 297, 120, 121, 122, 123, 5, 250):  # it goes on being right
        assert number_of(reader.read(position)) == position
        reader.idle()
    reader.close()
    reader = open_video(path, threads=threads)
    for position in range(300):
        reader.read(position)
    reader.idle()
    assert reader.nbytes < 100 * 300  # nor is anything of a chunk that was read to its end
    reader.close()


@pytest.mark.parametrize("name", ["latin.mkv", "latin.mp4", "latin.avi"])
def test_a_title_in_another_encoding_hides_no_video(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    with av.open(str(path), "w") as container:
        container.metadata["title"] = "souris, TITLE"
        stream = container.add_stream("mpeg4", rate=25)
        stream.height, stream.width = HEIGHT, WIDTH
        for number in range(5):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(number), format="gray").reformat(format="yuv420p")))
        container.mux(stream.encode(None))
    content = path.read_bytes()
    assert b"TITLE" in content
    path.write_bytes(content.replace(b"TITLE", "\xe9t\xe9 \xe0".encode("latin-1")))
    reader = open_video(path)
    assert [number_of(reader.read(position)) for position in range(5)] == list(range(5))
    reader.close()


@each_sample
def test_pictures_are_those_of_a_plain_decode(videos: Any, sample: Sample) -> None:
    """Skipping what is not referenced and beginning at seek points changes no pixel."""
    path, numbers = videos(sample)
    plain = open_video(path, seek=False)
    expected = [plain.read(p) for p in range(len(numbers))]
    plain.close()
    jumping = open_video(path, cache_size=0)
    rng = random.Random(5)
    for position in [rng.randrange(len(numbers)) for _ in range(30)]:
        np.testing.assert_array_equal(jumping.read(position), expected[position])
    out = np.empty((len(numbers) // 2, HEIGHT, WIDTH), np.uint8)
    some = rng.sample(range(len(numbers)), len(out))
    jumping.read_many(some, out)
    for img, position in zip(out, some, strict=True):
        np.testing.assert_array_equal(img, expected[position])
    jumping.close()


def test_frames_belong_to_the_caller(videos: Any) -> None:
    path, numbers = videos(SAMPLES[0])
    reader = open_video(path)
    first = reader.read(5)
    before = first.copy()
    first[:] = 0
    np.testing.assert_array_equal(reader.read(5), before)
    assert reader.read(5).flags.c_contiguous and reader.read(5).flags.writeable
    reader.close()


def test_positions_outside_are_index_errors(videos: Any) -> None:
    path, numbers = videos(SAMPLES[0])
    reader = open_video(path)
    for position in (-1, len(numbers), 10**9):
        with pytest.raises(IndexError, match=path.name):
            reader.read(position)
        with pytest.raises(IndexError, match=path.name):
            reader.read_many([0, position], np.empty((2, HEIGHT, WIDTH), np.uint8))
    assert number_of(reader.read(3)) == numbers[3]
    reader.close()


def test_an_mp4_is_not_read_through_to_be_opened(videos: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The index of an ordinary mp4 says where each frame is."""
    import imgstore_codecs.video.reading.frame_order as module

    def fail(*args: Any) -> None:
        raise AssertionError("the whole file is read")

    path, numbers = videos(next(s for s in SAMPLES if s.name == "h264-b-pyramid.mp4"))
    monkeypatch.setattr(module, "table_by_demuxing", fail)
    reader = open_video(path)
    assert number_of(reader.read(33)) == numbers[33]
    reader.close()


def test_real_recording(samples: Path) -> None:
    """A Motif recording: sixteen bars across the width, most significant first, show each frame's number."""
    seen = []
    for path in sorted((samples / "motif-mp4").glob("*.mp4")):
        with av.open(str(path)) as container:
            context = container.streams.video[0].codec_context
            spec = FrameSpec((context.height, context.width), np.dtype(np.uint8))
        reader = open_video(path, spec)

        def number(img: np.ndarray) -> int:
            bars = img.mean(axis=0).reshape(16, -1).mean(axis=1) > 127
            return int("".join("01"[int(b)] for b in bars), 2)

        numbers = [number(reader.read(p)) for p in range(reader.frame_count)]
        backwards = [number(reader.read(p)) for p in reversed(range(reader.frame_count))]
        assert backwards == numbers[::-1]
        seen += numbers
        reader.close()
    assert seen == list(range(179))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_reads_on(videos: Any) -> None:
    """FFmpeg's threads and the file's position belong to the parent; neither process disturbs the other or hangs."""
    path, numbers = videos(next(s for s in SAMPLES if s.name == "h264-sliced.mp4"))
    reader = open_video(path, threads=2)
    for position in (3, 4, 5, 6):
        assert number_of(reader.read(position)) == numbers[position]
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(30)
        fine = [number_of(reader.read(p)) for p in (7, 8, 40, 2)] == [numbers[p] for p in (7, 8, 40, 2)]
        reader.close()
        os._exit(0 if fine else 1)
    assert [number_of(reader.read(p)) for p in (7, 8, 9, 30)] == [numbers[p] for p in (7, 8, 9, 30)]
    assert os.waitpid(child, 0)[1] == 0
    reader.close()


_CHILD_COLLECTS = """
import gc, os, sys
from imgstore.codec import FrameSpec
from imgstore_codecs.video.codec import PyAVCodec
gc.disable()
codec = PyAVCodec()
fmt = next(f for f in codec.formats if f.name == "ffv1/mkv")
reader = codec.open_reader(sys.argv[1], fmt, FrameSpec((int(sys.argv[2]), int(sys.argv[3])), "uint8"), {"threads": 2})
reader.read(3)
assert len(os.listdir("/proc/self/task")) > 1 or sys.platform != "linux"
del reader  # not closed: PyAV's objects refer to each other, and wait to be collected
child = os.fork()
if not child:
    gc.collect()
    os._exit(0)
sys.exit(os.waitpid(child, 0)[1])
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_collects_no_decoder(videos: Any) -> None:
    """To free one is to wait for its threads, which are the parent's."""
    path, _ = videos(next(s for s in SAMPLES if s.name == "ffv1.mkv"))
    done = subprocess.run([sys.executable, "-c", _CHILD_COLLECTS, path, str(HEIGHT), str(WIDTH)], timeout=60)
    assert done.returncode == 0


def test_no_thread_is_left(videos: Any) -> None:
    path, numbers = videos(SAMPLES[1])
    before = set(threading.enumerate())
    for end in ("close", "collect"):
        reader = open_video(path)
        assert [number_of(reader.read(p)) for p in range(30)] == numbers[:30]
        reader.read_many(range(120), np.empty((120, HEIGHT, WIDTH), np.uint8))
        if end == "close":
            reader.close()
        del reader
        gc.collect()
        deadline = time.monotonic() + 10
        while not set(threading.enumerate()) <= before and time.monotonic() < deadline:
            time.sleep(0.01)
        assert set(threading.enumerate()) <= before


# ---------------------------------------------------------------------- any settings, any order

ENCODINGS = st.one_of(
    st.builds(
        lambda **how: ("libx264", how),
        bframes=st.integers(0, 6),
        ref=st.integers(1, 6),
        pyramid=st.sampled_from(["none", "strict", "normal"]),
        opengop=st.booleans(),
        refresh=st.booleans(),
        slices=st.integers(1, 4),
        scenecut=st.sampled_from([0, 40]),
        gop=st.integers(1, 40),
        muxer=st.sampled_from(["mp4", "mkv", "avi", "frag"]),
    ),
    st.builds(
        lambda **how: ("mpeg4", how),
        bframes=st.integers(0, 3),
        gop=st.integers(1, 30),
        muxer=st.sampled_from(["mp4", "mkv", "avi"]),
    ),
    st.builds(
        lambda **how: ("libx265", how),
        bframes=st.integers(0, 4),
        opengop=st.booleans(),
        layers=st.integers(1, 3),
        gop=st.integers(2, 30),
        muxer=st.sampled_from(["mp4", "mkv", "frag"]),
    ),
)


def encode_as(path: Path, codec: str, how: dict[str, Any], count: int, pts: list[int] | None, offset: int) -> Path:
    """Write a video with drawn settings."""
    options: dict[str, str] = {}
    if codec == "libx264":
        refresh = how["refresh"] and not how["opengop"]
        options = {
            "preset": "ultrafast",
            "x264-params": f"bframes={0 if refresh else how['bframes']}:b-adapt=0:ref={how['ref']}"
            f":b-pyramid={how['pyramid']}:open-gop={int(how['opengop'])}:intra-refresh={int(refresh)}"
            f":slices={how['slices']}:scenecut={how['scenecut']}",
        }
    elif codec == "libx265":
        options = {
            "preset": "ultrafast",
            "x265-params": f"log-level=none:bframes={how['bframes']}:open-gop={int(how['opengop'])}"
            f":temporal-layers={how['layers']}",
        }
    else:
        options = {"bf": str(how["bframes"]), "qscale": "3", "flags": "+qscale"}
    muxer = how["muxer"]
    path = path.with_suffix(".mp4" if muxer == "frag" else f".{muxer}")
    encode(
        path,
        range(offset, offset + count),
        codec,
        options=options,
        gop=how["gop"],
        pts=pts,
        time_base=None if pts is None else Fraction(1, 60),
        mux={"movflags": "frag_keyframe+empty_moov"} if muxer == "frag" else {},
    )
    return path


@pytest.mark.long
@settings(max_examples=25, suppress_health_check=list(HealthCheck))
@given(
    encoding=ENCODINGS,
    count=st.integers(1, 45),
    steps=st.none() | st.lists(st.integers(1, 6), min_size=45, max_size=45),
    offset=st.integers(0, 60000),
    walk=st.lists(st.tuples(st.sampled_from(["jump", "next", "back", "batch"]), st.integers(0, 10**6)), max_size=25),
    cache=st.sampled_from([0, 200_000, 64 << 20]),
    seek=st.sampled_from([True, True, True, False]),
)
def test_any_settings_and_any_order(
    tmp_path_factory: pytest.TempPathFactory,
    encoding: tuple[str, dict[str, Any]],
    count: int,
    steps: list[int] | None,
    offset: int,
    walk: list[tuple[str, int]],
    cache: int,
    seek: bool,
) -> None:
    codec, how = encoding
    pts = None
    if steps is not None and how["muxer"] != "avi":
        pts = np.cumsum(steps[:count]).tolist()
    path = encode_as(tmp_path_factory.mktemp("any") / "video", codec, how, count, pts, offset)
    reader = open_video(path, cache_size=cache, seek=seek)
    assert reader.frame_count == count
    at = 0
    for move, value in walk:
        if move == "batch":
            positions = [(value >> k) % count for k in range(value % 5)]
            out = np.empty((len(positions), HEIGHT, WIDTH), np.uint8)
            reader.read_many(positions, out)
            assert [number_of(img) - offset for img in out] == positions
            continue
        at = {"jump": value, "next": at + 1, "back": at - 1}[move] % count
        assert number_of(reader.read(at)) == offset + at
    assert [number_of(reader.read(p)) - offset for p in range(count)] == list(range(count))
    reader.close()
    path.unlink()


# ---------------------------------------------------------------------- damage


def good_or_error(reader: VideoReader, position: int, number: int) -> bool:
    """Whether a frame comes; if it does it must be the right one."""
    try:
        img = reader.read(position)
    except ImgStoreError:
        return False
    assert number_of(img) == number, position
    return True


def packet_places(path: Path) -> list[tuple[int, int, int, bool]]:
    """Offset, size, position in the order of presentation and key-frame flag of each packet."""
    with av.open(str(path)) as container:
        packets = [p for p in container.demux(video=0) if p.dts is not None or p.size]
        order = {pts: k for k, pts in enumerate(sorted(p.pts for p in packets))}
        return [(p.pos, p.size, order[p.pts], p.is_keyframe) for p in packets]


DAMAGED = {
    "h264-b-pyramid.mp4": 12,
    "h264-no-b.mp4": 12,
    "h264-open-gop.mp4": 12,
    "h264-sliced.mp4": 12,
    "h264-one-slice.mp4": 12,
    "h264-one-slice-open-gop.mkv": 12,
    "mpeg4-b-frames.mp4": 12,
    "mjpeg.mp4": 1,
    "mjpeg.avi": 1,
}


@pytest.mark.parametrize("how", long_but({"noise"}, ["zeros", "noise", "cut"]))
@pytest.mark.parametrize(
    "name", long_but({"h264-b-pyramid.mp4", "h264-one-slice.mp4", "mpeg4-b-frames.mp4", "mjpeg.avi"}, DAMAGED)
)
def test_a_broken_packet_in_the_middle(videos: Any, tmp_path: Path, name: str, how: str) -> None:
    """What does not build on it is returned, nothing shifts, and nothing false is returned."""
    whole, numbers = videos(next(s for s in SAMPLES if s.name == name))
    gop = DAMAGED[name]
    rng = np.random.default_rng(2)
    for victim in (0, 25, 26, 27, 36, 41):
        places = packet_places(whole)
        pos, size, shown, _ = places[victim]
        data = bytearray(whole.read_bytes())
        # the packet's head stays, so that the damage is inside
        begin = pos + min(8, size // 2)
        length = pos + size - begin
        if how == "zeros":
            data[begin : begin + length] = bytes(length)
        elif how == "noise":
            data[begin : begin + length] = rng.bytes(length)
        else:
            half = length // 2
            data[begin + half : begin + length] = bytes(length - half)
        path = tmp_path / whole.name
        path.write_bytes(data)
        for order in (range(len(numbers)), random.Random(victim).sample(range(len(numbers)), len(numbers))):
            reader = open_video(path)
            assert reader.frame_count == len(numbers)
            good = {p: good_or_error(reader, p, numbers[p]) for p in order}
            reader.close()
            lost = [p for p, fine in good.items() if not fine]
            assert all(shown - gop - 8 <= p <= shown + 2 * gop + 8 for p in lost), (victim, shown, sorted(lost))


@pytest.mark.parametrize("name", ["mjpeg.avi", "ffv1.mkv", "mjpeg.mp4", "mjpeg-444.mkv", "h264-no-b.mp4"])
@pytest.mark.parametrize("length", [60, 500, 3000])
def test_in_order_nothing_is_lost_that_a_jump_finds(videos: Any, tmp_path: Path, name: str, length: int) -> None:
    """Where what a container has between its packets is damaged, a demuxer may not find the next one."""
    whole, numbers = videos(next(s for s in SAMPLES if s.name == name))
    path = tmp_path / whole.name
    for victim in (20, 38):
        data = bytearray(whole.read_bytes())
        begin = packet_places(whole)[victim][0] - 8
        data[begin : begin + length] = bytes(length)
        path.write_bytes(data)
        good = []
        for order in (range(len(numbers)), random.Random(victim).sample(range(len(numbers)), len(numbers))):
            reader = open_video(path)
            if reader.frame_count < len(numbers):  # its packets had to be looked for
                break
            good.append({p for p in order if good_or_error(reader, p, numbers[p])})
            reader.close()
        assert not good or (good[0] == good[1] and len(good[0]) > len(numbers) // 2)


@pytest.mark.parametrize(
    "name",
    long_but(
        {"h264-one-slice.mp4", "h264-sliced.mp4"},
        ["h264-one-slice.mp4", "h264-one-slice-open-gop.mkv", "h264-sliced.mp4", "h264-b-pyramid.mp4"],
    ),
)
def test_threads_hide_no_damage_within_a_slice(videos: Any, tmp_path: Path, name: str) -> None:
    """With slice threads FFmpeg would keep quiet about it, and give torn pictures and all that builds on them."""
    whole, numbers = videos(next(s for s in SAMPLES if s.name == name))
    path = tmp_path / whole.name
    found = 0
    for victim in range(3, len(numbers), 7):
        pos, size, _, _ = packet_places(whole)[victim]
        data = bytearray(whole.read_bytes())
        data[pos + size // 2 : pos + size // 2 + 32] = np.random.default_rng(victim).bytes(32)
        path.write_bytes(data)
        lost = []
        for threads in (1, 2):
            reader = open_video(path, threads=threads)
            lost.append({p for p in range(len(numbers)) if not comes(reader, p)})
            reader.close()
        assert lost[0] <= lost[1]
        found += bool(lost[0])
    assert found > 3


def comes(reader: VideoReader, position: int) -> bool:
    try:
        reader.read(position)
    except FrameDecodeError:
        return False
    return True


def test_a_frame_that_cannot_be_decoded_is_named(videos: Any, tmp_path: Path) -> None:
    whole, numbers = videos(next(s for s in SAMPLES if s.name == "mjpeg.mp4"))
    pos, size, shown, _ = packet_places(whole)[20]
    data = bytearray(whole.read_bytes())
    data[pos : pos + size] = bytes(size)
    path = tmp_path / "broken.mp4"
    path.write_bytes(data)
    reader = open_video(path)
    for _ in range(2):
        with pytest.raises(FrameDecodeError, match=r"broken\.mp4.* 20 "):
            reader.read(20)
    with pytest.raises(FrameDecodeError, match=r"broken\.mp4.* 20 "):
        reader.read_many([19, 20, 21], np.empty((3, HEIGHT, WIDTH), np.uint8))
    assert [number_of(reader.read(p)) for p in (19, 21)] == [numbers[19], numbers[21]]
    reader.close()


@pytest.mark.parametrize(
    "name",
    ["h264-faststart.mp4", "h264-fragmented.mp4", "h264-b-frames.avi", "h264-open-gop.mkv", "mjpeg.avi", "ffv1.mkv"],
)
def test_a_file_that_ends_early(videos: Any, tmp_path: Path, name: str) -> None:
    whole, numbers = videos(next(s for s in SAMPLES if s.name == name))
    data = whole.read_bytes()
    path = tmp_path / whole.name
    for share in (0.95, 0.6, 0.3):
        path.write_bytes(data[: int(len(data) * share)])
        reader = open_video(path)
        good = [good_or_error(reader, p, numbers[p]) for p in range(reader.frame_count)]
        assert sum(good) > len(numbers) * (share - 0.35)
        # read again at random, nothing false either
        for p in random.Random(3).sample(range(reader.frame_count), reader.frame_count):
            assert good_or_error(reader, p, numbers[p]) == good[p]
        reader.close()


def test_a_video_that_changes_size_midway(tmp_path: Path) -> None:
    first, second, both = (tmp_path / n for n in ("a.avi", "b.avi", "both.avi"))
    encode(first, range(20), "mjpeg", pix_fmt="yuvj420p", gop=1)
    encode(second, range(20, 40), "mjpeg", pix_fmt="yuvj420p", gop=1, size=(HEIGHT + 32, WIDTH))
    with av.open(str(both), "w") as out:
        copy = None
        for start, path in ((0, first), (20, second)):
            with av.open(str(path)) as source:
                stream = source.streams.video[0]
                copy = copy or out.add_stream_from_template(stream)
                for packet in source.demux(stream):
                    if packet.size:
                        packet.pts = packet.dts = packet.dts + start
                        packet.stream = copy
                        out.mux(packet)
    reader = open_video(both)
    assert reader.frame_count == 40
    for position in [*range(40), 5, 35, 7]:
        if position < 20:
            assert number_of(reader.read(position)) == position
        else:
            with pytest.raises(FrameDecodeError, match=f"both.avi: the file's frame {position} .*160"):
                reader.read(position)
    out = np.zeros((3, HEIGHT, WIDTH), np.uint8)
    with pytest.raises(FrameDecodeError, match="both.avi: the file's frame 25 .*160"):
        reader.read_many([3, 25, 19], out)
    assert [number_of(out[k]) for k in (0, 2)] == [3, 19]
    reader.close()


def test_frames_of_another_size_are_errors(videos: Any) -> None:
    path, _ = videos(SAMPLES[0])
    reader = open_video(path, FrameSpec((HEIGHT, WIDTH + 2), np.dtype(np.uint8)))
    with pytest.raises(FrameDecodeError, match=f"{WIDTH} x {HEIGHT}"):
        reader.read(0)
    reader.close()


def test_sixteen_bits_are_not_made_up(videos: Any) -> None:
    path, _ = videos(SAMPLES[0])
    reader = open_video(path, FrameSpec((HEIGHT, WIDTH), np.dtype(np.uint16)))
    with pytest.raises(FrameDecodeError, match="8 bits"):
        reader.read(0)
    reader.close()


@pytest.mark.parametrize(
    "content", [b"", b"\0" * 5000, b"no video at all " * 100, None], ids=["empty", "zeros", "text", "png"]
)
def test_what_is_no_video_is_an_error(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "chunk.mp4"
    if content is None:
        import cv2

        content = cv2.imencode(".png", np.zeros((HEIGHT, WIDTH), np.uint8))[1].tobytes()[:60]
    path.write_bytes(content)
    with pytest.raises(ChunkError, match=r"chunk\.mp4"):
        open_video(path)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ChunkError, match=r"none\.mp4"):
        open_video(tmp_path / "none.mp4")


def test_sound_alone_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("aac", rate=48000)
        for k in range(20):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
            frame.sample_rate, frame.pts = 48000, k * 1024
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    with pytest.raises(ChunkError, match=r"sound\.mp4.*no video"):
        open_video(path)


def test_random_bytes_anywhere(videos: Any, tmp_path: Path) -> None:
    """Mutations of a lossless file with checksums: right, or an error, never anything else."""
    whole, numbers = videos(next(s for s in SAMPLES if s.name == "ffv1.mkv"))
    data = whole.read_bytes()
    rng = np.random.default_rng(11)
    path = tmp_path / "mutated.mkv"
    for _ in range(40):
        mutated = bytearray(data)
        for at in rng.integers(0, len(data), rng.integers(1, 4)):
            mutated[at] = rng.integers(256)
        path.write_bytes(mutated)
        try:
            reader = open_video(path)
        except ChunkError:
            continue
        if reader.frame_count == len(numbers):
            for p in rng.permutation(len(numbers))[:20]:
                good_or_error(reader, int(p), numbers[p])
        reader.close()


def test_an_edit_list_changes_nothing_of_the_pictures(tmp_path: Path) -> None:
    """Frames cut away at the start are still decoded, for those that refer to them."""
    path = tmp_path / "cut.mp4"
    encode(path, range(50), options={"x264-params": "bframes=3:keyint=250"}, mux={"video_track_timescale": "12800"})
    patch_edit_list(path, 20 * 512)
    reader = open_video(path)
    assert reader.frame_count == 30
    assert [number_of(reader.read(p)) for p in (29, 0, 15, 1)] == [49, 20, 35, 21]
    reader.close()

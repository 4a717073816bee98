"""Decoded in the background, several at a time, while reading goes on in order: the same frames, and nothing left behind."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import threading
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rounds import long_but
from video_samples import HEIGHT, WIDTH, encode, number_of, patch_edit_list, picture

from imgstore.codec import FrameSpec
from imgstore.errors import FrameDecodeError
from imgstore_codecs.video.reading.in_order import InOrderDecoder
from imgstore_codecs.video.reading.stretch import Stretch
from imgstore_codecs.video.reading.video_reader import VideoReader

GRAY = FrameSpec((HEIGHT, WIDTH), np.dtype(np.uint8))
COUNT, GOP = 120, 12

X264 = {"preset": "ultrafast", "x264-params": "bframes=2:b-adapt=0:scenecut=0"}
ONE_SLICE = {"preset": "ultrafast", "x264-params": "bframes=2:b-adapt=0:scenecut=0:slices=1:sliced-threads=0"}
VIDEOS: dict[str, tuple[str, dict[str, Any]]] = {
    "h264.mp4": ("libx264", {"options": X264}),
    "h264.mkv": ("libx264", {"options": X264}),
    "h264.avi": ("libx264", {"options": {"preset": "ultrafast", "bf": "0"}}),
    "h264-one-slice.mp4": ("libx264", {"options": ONE_SLICE}),
    "hevc.mp4": ("libx265", {"options": {"x265-params": "log-level=none:open-gop=0:bframes=3"}}),
    "av1.mp4": ("libsvtav1", {"options": {"preset": "10", "crf": "20", "svtav1-params": "irefresh-type=2"}}),
    "mjpeg.avi": ("mjpeg", {"pix_fmt": "yuvj420p"}),
    "ffv1.mkv": ("ffv1", {"pix_fmt": "gray"}),
}
# pictures are decoded several at a time, or one after the other while the one before is converted
NO_GROUPS: dict[str, tuple[str, dict[str, Any]]] = {
    "one group, one slice.mp4": ("libx264", {"options": ONE_SLICE, "gop": COUNT}),
    "long groups, one slice.mkv": ("libx264", {"options": ONE_SLICE, "gop": COUNT // 2}),
    "open groups, one slice.mkv": (
        "libx264",
        {"options": {**ONE_SLICE, "x264-params": ONE_SLICE["x264-params"] + ":open-gop=1"}},
    ),
    "open groups, hevc.mp4": ("libx265", {"options": {"x265-params": "log-level=none:open-gop=1:bframes=3"}}),
    "one group.mp4": ("libx264", {"options": X264, "gop": COUNT}),
    "open groups.mkv": ("libx264", {"options": {**X264, "x264-params": X264["x264-params"] + ":open-gop=1"}}),
    "intra refresh.mp4": ("libx264", {"options": {"x264-params": "intra-refresh=1"}}),
    "mpeg4.mkv": ("mpeg4", {"options": {"bf": "2"}}),
}


@pytest.fixture(scope="session")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Make each video once; ``videos(name)`` gives its path."""
    directory = tmp_path_factory.mktemp("groups")

    def get(name: str) -> Path:
        path = directory / name
        if not path.exists():
            codec, how = {**VIDEOS, **NO_GROUPS}[name]
            encode(path, range(COUNT), codec, **{"gop": GOP, **how})
        return path

    return get


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Note of each picture that was asked of the decoders of groups whether it came."""
    came: list[bool] = []
    take = InOrderDecoder.take

    def noted(decoders: InOrderDecoder) -> Any:
        picture = take(decoders)
        came.append(picture is not None)
        return picture

    monkeypatch.setattr(InOrderDecoder, "take", noted)
    return came


def open_video(path: Path, threads: int = 3, cache_size: int = 256 << 20, **options: Any) -> VideoReader:
    return VideoReader(str(path), GRAY, {"threads": threads, "cache_size": cache_size, **options})


def room_for(count: int, path: Path) -> int:
    """Return the size of a cache in which so many pictures may wait."""
    with av.open(str(path)) as container:
        return 4 * count * sum(plane.buffer_size for plane in next(container.decode(video=0)).planes)


def least_room(threads: int) -> int:
    """How many pictures so many decoders need at least."""
    return GOP * (threads - 1) // 2 + 3 * threads


def threads_of_groups() -> int:
    return sum(thread.name == "imgstore-read-ahead" for thread in threading.enumerate())


@pytest.mark.parametrize("threads", long_but({3}, [2, 3, 4]))
@pytest.mark.parametrize("name", VIDEOS)
def test_in_order_all_come_from_groups(videos: Any, taken: list[bool], name: str, threads: int) -> None:
    reader = open_video(videos(name), threads)
    assert [number_of(reader.read(k)) for k in range(COUNT)] == list(range(COUNT))
    assert all(taken)
    assert len(taken) >= COUNT - 2 * GOP
    assert not threads_of_groups(), "they end with the file"
    reader.close()


@pytest.mark.parametrize("seek", long_but({True}, [True, False]))
@pytest.mark.parametrize("name", NO_GROUPS)
def test_where_groups_are_long_or_refer_to_others(videos: Any, taken: list[bool], name: str, seek: bool) -> None:
    reader = open_video(videos(name), cache_size=room_for(9, videos(name)), seek=seek)
    assert [number_of(reader.read(k)) for k in range(COUNT)] == list(range(COUNT))
    assert sum(taken) >= COUNT - 3 * GOP or name == "intra refresh.mp4"
    assert taken.count(False) <= 1
    assert not threads_of_groups()
    reader.close()


@pytest.mark.parametrize("name", [name for name in NO_GROUPS if name.startswith("open groups")])
def test_groups_that_refer_to_others_are_known_before(videos: Any, taken: list[bool], name: str) -> None:
    """Nothing is begun that has to be given up, also where there is room."""
    reader = open_video(videos(name))
    assert [number_of(reader.read(k)) for k in range(COUNT)] == list(range(COUNT))
    assert all(taken)
    reader.close()


@pytest.mark.parametrize("skip", [3, 17])
def test_where_the_start_is_cut_away(videos: Any, tmp_path: Path, taken: list[bool], skip: int) -> None:
    """It is decoded, and no reason to give up what comes from the background."""
    path = tmp_path / "cut.mp4"
    path.write_bytes(videos("one group, one slice.mp4").read_bytes())
    patch_edit_list(path, skip * 512)
    reader = open_video(path, cache_size=room_for(9, path))
    assert [number_of(reader.read(k)) for k in range(COUNT - skip)] == list(range(skip, COUNT))
    assert all(taken) and (len(taken) > COUNT // 2 or skip == 17), "the start of the only group is too far away with 17"
    reader.close()


@pytest.mark.parametrize("checked", [True, False])
def test_threads_that_share_pictures_do_so(videos: Any, taken: list[bool], checked: bool) -> None:
    """Of H.264 in slices the decoder has several where there are checksums."""
    options: dict[str, Any] = {}
    path = videos("one group.mp4")
    if checked:
        with contextlib.closing(open_video(path)) as reader:
            options["checksums"] = np.array(reader.frame_checksums(), np.uint64)
    reader = open_video(path, **options)
    assert [number_of(reader.read(k)) for k in range(COUNT)] == list(range(COUNT))
    assert any(taken) != checked
    reader.close()


@pytest.mark.parametrize("options", [{"threads": 1}, {"cache_size": 0}], ids=str)
def test_not_where_it_is_not_wanted(videos: Any, taken: list[bool], options: dict[str, Any]) -> None:
    """One thread, or no memory for it."""
    reader = open_video(videos("h264.mp4"), **options)
    assert [number_of(reader.read(k)) for k in range(COUNT)] == list(range(COUNT))
    assert not taken
    reader.close()


def frame_or_error(reader: VideoReader, position: int) -> int | str:
    try:
        return number_of(reader.read(position))
    except FrameDecodeError as error:
        return str(error)


@pytest.mark.parametrize(
    "name",
    long_but(
        {"h264.mp4", "mjpeg.avi", "one group, one slice.mp4"},
        ["h264.mp4", "h264.mkv", "h264-one-slice.mp4", "hevc.mp4", "mjpeg.avi", "ffv1.mkv", "one group, one slice.mp4"],
    ),
)
def test_damage_makes_no_difference(videos: Any, tmp_path: Path, taken: list[bool], name: str) -> None:
    """Frames and errors are those of one decoder, wherever the damage is in a group."""
    with av.open(str(videos(name))) as container:
        packets = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    options: dict[str, Any] = {}
    if name == "hevc.mp4":  # of its damage FFmpeg does not tell
        with contextlib.closing(open_video(videos(name))) as reader:
            options["checksums"] = np.array(reader.frame_checksums(), np.uint64)
    gave_up = 0
    for victim in (4 * GOP, 4 * GOP + 1, 5 * GOP + 6, 6 * GOP - 1, COUNT - 1):
        data = bytearray(videos(name).read_bytes())
        pos, size = packets[victim]
        data[pos + size // 2 : pos + size] = bytes(size - size // 2)
        path = tmp_path / name
        path.write_bytes(data)
        got = []
        for threads in (1, 3):
            reader = open_video(path, threads, **options)
            got.append([frame_or_error(reader, k) for k in range(COUNT)])
            reader.close()
        assert got[0] == got[1]
        assert all(number in (k, -1) for k, number in enumerate(got[1]) if isinstance(number, int)), "nothing shifts"
        if False in taken:
            gave_up += 1
        taken.clear()
    assert gave_up >= 3


def encode_with(context: Any, numbers: range, quantizer: int) -> list[av.Packet]:
    """Encode H.264 whose parameter sets, one of which has the quantizer, are in its configuration alone."""
    context.height, context.width, context.pix_fmt = HEIGHT, WIDTH, "yuv420p"
    context.gop_size, context.thread_count = GOP, 1
    context.flags |= av.codec.context.Flags.global_header
    context.options = {"preset": "ultrafast", "x264-params": f"qp={quantizer}:bframes=0:scenecut=0"}
    packets = []
    for number in numbers:
        frame = av.VideoFrame.from_ndarray(picture(number), format="gray").reformat(format="yuv420p")
        frame.pts, frame.time_base = number, Fraction(1, 25)
        packets += context.encode(frame)
    return packets + context.encode(None)


@pytest.mark.parametrize("repeated", [False, True], ids=["once", "at each key frame"])
@pytest.mark.parametrize("extension", ["mp4", "mkv"])
def test_parameters_that_change_midway(tmp_path: Path, taken: list[bool], extension: str, repeated: bool) -> None:
    """A parameter set is met by one decoder and holds for the groups of the others too.

    Here it says from which quantizer on all differences are counted: with the wrong one the pictures are wrong, and no
    decoder complains.
    """
    half = COUNT // 2
    path = tmp_path / f"changes.{extension}"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25)
        second = av.CodecContext.create("libx264", "w")
        second.framerate, second.time_base = Fraction(25), Fraction(1, 25)
        packets = encode_with(stream.codec_context, range(half), 20)
        others = encode_with(second, range(half, COUNT), 38)
        assert second.extradata and second.extradata != stream.codec_context.extradata
        for context, half_of_them in ((stream.codec_context, packets), (second, others)):
            for packet in half_of_them:
                own = packet.is_keyframe and (repeated or packet is others[0])
                copy = av.Packet((context.extradata or b"") + bytes(packet) if own else bytes(packet))
                copy.pts, copy.dts, copy.time_base = packet.pts, packet.dts, packet.time_base
                copy.is_keyframe, copy.stream = packet.is_keyframe, stream
                out.mux(copy)
    with av.open(str(path)) as container:
        plain = [picture.to_ndarray(format="gray") for picture in container.decode(video=0)]
    assert len(plain) == COUNT
    wanted = []
    for threads in (1, 3):
        reader = open_video(path, threads)
        wanted.append([reader.read(k) for k in range(COUNT)])
        reader.close()
    for frame, one, several in zip(plain, *wanted, strict=True):
        assert np.array_equal(frame, one) and np.array_equal(frame, several)
    if extension == "mp4":
        # as far as they were the same, groups were decoded at the same time
        assert taken.count(False) == 1
        assert taken.count(True) >= half - 2 * GOP
    reader = open_video(path)
    for k in np.random.default_rng(1).permutation(COUNT).tolist():
        assert np.array_equal(reader.read(k), plain[k])
    reader.close()


@pytest.mark.long
@settings(max_examples=20, suppress_health_check=list(HealthCheck))
@given(
    name=st.sampled_from([*VIDEOS, *NO_GROUPS]),
    threads=st.integers(2, 4),
    cache=st.sampled_from([0, 2 << 20, 6 << 20, 256 << 20]),
    walk=st.lists(st.tuples(st.integers(0, COUNT - 1), st.integers(1, 60)), min_size=1, max_size=5),
    batch=st.booleans(),
)
def test_runs_from_anywhere(
    videos: Any, name: str, threads: int, cache: int, walk: list[tuple[int, int]], batch: bool
) -> None:
    reader = open_video(videos(name), threads, cache_size=cache)
    for start, length in walk:
        run = range(start, min(COUNT, start + length))
        assert [number_of(reader.read(k)) for k in run] == list(run)
        if batch:
            out = np.empty((2, HEIGHT, WIDTH), np.uint8)
            reader.read_many([run[-1], start], out)
            assert [number_of(img) for img in out] == [run[-1], start]
    reader.close()
    assert not threads_of_groups()


def test_stepping_back_and_jumping(videos: Any, taken: list[bool]) -> None:
    """Who steps back by one goes on as before; who jumps leaves nothing running."""
    reader = open_video(videos("h264.mp4"), cache_size=room_for(least_room(3), videos("h264.mp4")))
    for position in [*range(50), 49, 48, *range(49, 80)]:
        assert number_of(reader.read(position)) == position
    assert threads_of_groups() == 3
    assert len(taken) == 80 - 7  # it is seen by then that reading goes on in order
    assert number_of(reader.read(3)) == 3
    assert not threads_of_groups()
    reader.close()


@pytest.mark.parametrize("name", ["one group.mp4", "h264.mp4"])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=10)
@given(st.lists(st.tuples(st.integers(0, COUNT - 1), st.integers(1, COUNT)), min_size=1, max_size=4))
def test_a_bounded_number_of_pictures_is_kept(videos: Any, name: str, runs: list[tuple[int, int]]) -> None:
    """Also where what was read far ahead before is not come to for long, as with a strip of pictures beside a player."""
    reader = open_video(videos(name), 2)
    for start, length in [(COUNT - 1, 1), *runs, (0, COUNT)]:
        for position in range(start, min(start + length, COUNT)):
            assert number_of(reader.read(position)) == position
            assert len(reader._pictures) <= 24 + 16 + 10  # what is kept after jumps, what comes at once, and what B-frames hold
    reader.close()


@pytest.mark.parametrize(("threads", "more"), [(2, 0), (3, 0), (2, 5)])
def test_a_bounded_number_of_pictures_waits(
    videos: Any, monkeypatch: pytest.MonkeyPatch, threads: int, more: int
) -> None:
    """As many as are needed for all decoders to be busy, and more of each where there is room, however slow the consumer; fewer
    decoders where they do not fit."""
    fed = 0
    feed = Stretch.feed

    def count(stretch: Stretch, wanted: bool) -> Any:
        nonlocal fed
        fed += 1
        return feed(stretch, wanted)

    monkeypatch.setattr(Stretch, "feed", count)
    path, needed = videos("h264.avi"), least_room(threads) + more * threads
    reader = open_video(path, threads, cache_size=room_for(needed, path))
    for position in range(5 * GOP):
        before = -1
        while fed != before:  # until it stands still
            before = fed
            time.sleep(0.002)
        assert number_of(reader.read(position)) == position
    assert threads_of_groups() == threads
    time.sleep(0.1)
    # some more are in the midst of being decoded, and the first ones were decoded before it was seen that reading goes on
    assert fed <= 5 * GOP + needed + 2 * threads + 7
    assert fed >= 5 * GOP + GOP * (threads - 1) // 2 + more * threads
    assert reader.nbytes >= (fed - 5 * GOP - 2 * threads) * HEIGHT * WIDTH * 3 // 2
    reader.close()
    reader = open_video(path, threads, cache_size=room_for(GOP // 2, path))
    for position in range(3 * GOP):
        assert number_of(reader.read(position)) == position
    assert threads_of_groups() == 1
    reader.close()


@pytest.mark.parametrize(("height", "width", "longest"), long_but([(1024, 1280, 56)], [(1024, 1280, 56), (480, 640, 278)]))
def test_what_the_page_on_video_says_of_long_groups(
    tmp_path: Path, taken: list[bool], height: int, width: int, longest: int
) -> None:
    """How long groups may be for two decoders, where nothing is said of memory."""
    for gop in (longest, longest + 1):
        path = tmp_path / f"{gop}.mp4"
        encode(path, range(3 * gop + 1), gop=gop, size=(height, width), options={"preset": "ultrafast", "bf": "0"})
        spec = FrameSpec((height, width), np.dtype(np.uint8))
        reader = VideoReader(str(path), spec, {"threads": 2})
        most = 0
        for position in range(3 * gop + 1):
            reader.read(position)
            most = max(most, threads_of_groups())
        reader.close()
        assert most == (2 if gop == longest else 1)


@pytest.mark.parametrize("how", ["close", "idle", "collect"])
def test_nothing_is_left_behind(videos: Any, how: str) -> None:
    before = set(threading.enumerate())
    reader = open_video(videos("h264.mp4"), cache_size=room_for(least_room(3), videos("h264.mp4")))
    for position in range(40):
        reader.read(position)
    assert threads_of_groups() == 3
    if how == "collect":
        del reader
        gc.collect()
        deadline = time.monotonic() + 10
        while threads_of_groups() and time.monotonic() < deadline:
            time.sleep(0.01)
    else:
        getattr(reader, how)()
    assert not threads_of_groups()
    if how == "idle":
        assert [number_of(reader.read(k)) for k in range(40, COUNT)] == list(range(40, COUNT))
        reader.close()
    assert set(threading.enumerate()) <= before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_reads_on(videos: Any) -> None:
    reader = open_video(videos("h264.mp4"), cache_size=room_for(least_room(3), videos("h264.mp4")))
    for position in range(40):
        reader.read(position)
    rest = list(range(40, COUNT))
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(30)
        fine = [number_of(reader.read(k)) for k in rest] == rest
        reader.close()
        os._exit(0 if fine else 1)
    assert [number_of(reader.read(k)) for k in rest] == rest
    assert os.waitpid(child, 0)[1] == 0
    reader.close()

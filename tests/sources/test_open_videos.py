"""Videos that are in no store: the frames that FFmpeg decodes from the start, by any way, with their times."""

from __future__ import annotations

import os
import pickle
import random
import shutil
import struct
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from video_samples import B_FRAMES, SAMPLES, Sample, encode, number_of

import imgstore
from imgstore.errors import ArgumentError, ChunkError, FrameDecodeError, StaleIndexError

# Samples whose packets have times of decoding alone, in which FFmpeg gives them to the wrong pictures
TIMES_OF_DECODING = {
    "h264-b-frames.avi", "h264-out-of-avi.mkv", "h264-out-of-avi.mp4", "mpeg4-packed-b-frames.avi",
}  # fmt: skip


def by_players(path: Path) -> tuple[list[int], list[Fraction]]:
    """Return what FFmpeg decodes from the start, and the times that it gives."""
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
        assert all(frame.pts is not None for frame in frames)
        times = [(frame.pts - frames[0].pts) * frame.time_base for frame in frames]
        return [number_of(frame.to_ndarray(format="gray")) for frame in frames], times


@pytest.mark.parametrize(
    "sample", [pytest.param(s, id=str(s), marks=[] if k % 10 == 0 else pytest.mark.long) for k, s in enumerate(SAMPLES)]
)
def test_every_video(videos: Any, sample: Sample) -> None:
    """The second time by what was kept of the first, which reads the file in another way."""
    path, numbers = videos(sample)
    expected, times = by_players(path)
    rng = random.Random(sample.name)
    for _ in ("first", "kept"):
        with imgstore.open(path) as store:
            assert [number_of(img) for img, _ in store] == numbers == expected
            where = rng.sample(range(len(numbers)), min(6, len(numbers)))
            assert [number_of(store.get_image(frame_index=k)[0]) for k in where] == [numbers[k] for k in where]
            where = rng.choices(range(len(numbers)), k=12)
            images, (found, moments) = store.get_images(frame_indices=where)
            assert [number_of(img) for img in images] == [numbers[k] for k in where]
            assert found.tolist() == where
            if sample.name not in TIMES_OF_DECODING:
                assert store.frame_times.tolist() == [float(t) for t in times]  # to the last digit
            else:
                np.testing.assert_allclose(store.frame_times, np.arange(len(numbers)) / 25, atol=1e-9)
            np.testing.assert_array_equal(moments, store.frame_times[where])


X265 = {"x265-params": "log-level=none"}
CONTAINERS: list[tuple[str, str, dict[str, Any]]] = [
    ("h264.ts", "libx264", {"options": B_FRAMES}),
    ("mpeg2.mpg", "mpeg2video", {"options": {"bf": "2"}}),
    ("raw.h264", "libx264", {"options": B_FRAMES}),
    ("vp8.ivf", "libvpx", {}),
    ("apng.apng", "apng", {"pix_fmt": "gray"}),
    ("h264.m2ts", "libx264", {"options": B_FRAMES}),
    ("h264.flv", "libx264", {"options": B_FRAMES}),
    ("h264.mov", "libx264", {"options": B_FRAMES}),
    ("vp9.webm", "libvpx-vp9", {"options": {"cpu-used": "8", "crf": "20", "b": "0"}}),
    ("raw.hevc", "libx265", {"options": X265}),
    ("hevc.ts", "libx265", {"options": X265}),
    ("wmv2.wmv", "wmv2", {}),
    ("ffv1.nut", "ffv1", {"pix_fmt": "gray"}),
    ("mpeg2.mxf", "mpeg2video", {}),
    ("mpeg4.3gp", "mpeg4", {}),
    ("raw.mjpeg", "mjpeg", {"pix_fmt": "yuvj420p"}),
    ("raw.y4m", "wrapped_avframe", {}),
    ("dv.dv", "dvvideo", {"size": (576, 720)}),
]


@pytest.mark.parametrize(
    "name, codec, how",
    [pytest.param(*c, id=c[0], marks=[] if k < 3 else pytest.mark.long) for k, c in enumerate(CONTAINERS)],
)
def test_other_containers(tmp_path: Path, name: str, codec: str, how: dict[str, Any]) -> None:
    path = tmp_path / name
    encode(path, range(100, 130), codec, **how)
    with av.open(str(path)) as container:
        expected = [(number_of(f.to_ndarray(format="gray")), f.pts, f.time_base) for f in container.decode(video=0)]
    numbers = [number for number, _, _ in expected]
    times = [k / 25 for k in range(30)]  # raw streams have none
    if expected[0][1] is not None:
        times = [float((pts - expected[0][1]) * unit) for _, pts, unit in expected]
    for _ in ("first", "kept"):
        with imgstore.open(path, cache=tmp_path / "cache") as store:
            where = random.Random(name).sample(range(len(numbers)), 9)
            assert [number_of(store.get_image(frame_index=k)[0]) for k in where] == [numbers[k] for k in where]
            assert [number_of(img) for img, _ in store] == numbers
            np.testing.assert_allclose(store.frame_times, times, atol=1e-12)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    encode(path, range(100, 130), options=B_FRAMES, color=True)
    return path


def with_creation(path: Path, target: Path, moment: str) -> Path:
    with av.open(str(path)) as source, av.open(str(target), "w") as out:
        out.metadata["creation_time"] = moment
        copy = out.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = copy
                out.mux(packet)
    return target


def test_the_whole_interface(clip: Path, tmp_path: Path) -> None:
    with imgstore.open(str(clip)) as store:
        assert isinstance(store, imgstore.VideoImgStore) and len(store) == store.frame_count == 30
        assert store.shape == (30, 128, 192, 3) and store.dtype == np.uint8 and store.format == "h264/mp4"
        assert store.filename == store.full_path == str(clip) and store.chunks == [0] and store.fps == 25
        assert store.frame_numbers.tolist() == list(range(30))
        assert store.get_image(7)[1] == (7, 7 / 25) and number_of(store.get_next_image()[0]) == 108
        assert number_of(store.get_nearest_image(0.99)[0]) == 125
        assert [number_of(img) for img in store[3:9:2]] == [103, 105, 107] and number_of(store[-1]) == 129
        np.testing.assert_array_equal(np.asarray(store.as_array()[4:6]), store.get_images(frame_indices=[4, 5])[0])
        assert store.frames_table()["frame_time"].tolist() == store.frame_times.tolist()
        assert [file.path for file in store.chunk_files] == [str(clip)]
        assert not store.has_extra_data and store.get_extra_data() is None and store.get_extra_records() == []
        assert store.find_extra_data_files() == [] and store.user_metadata == {} and store.refresh() == 30
        assert len(store.uuid or "") == 32 and "30 in 1 chunks" in repr(store) and str(clip) in store._repr_html_()
        for method in (store.save_index, store.cache_index, store.reindex):
            with pytest.raises(ArgumentError, match="no store"):
                method()
        store.save_index(tmp_path / "index.sqlite")
    capture = imgstore.VideoCapture(clip)
    assert capture.isOpened() and capture.get(7) == 30 and capture.get(5) == 25
    assert number_of(capture.read()[1]) == 100 and capture.set(1, 20) and number_of(capture.read()[1]) == 120
    capture.release()
    assert sorted(os.listdir(clip.parent)) == ["clip.mp4"]  # nothing is written beside it


def test_pickled(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    times = tmp_path / "times.csv"
    times.write_text("time\n" + "\n".join(str(k * 2.5) for k in range(30)))
    monkeypatch.chdir(tmp_path)
    with imgstore.open(os.path.relpath(clip), color="rgb", times="times.csv") as store:
        img, metadata = store.get_image(7)
        data, array = pickle.dumps(store), pickle.dumps(store.as_array())
    monkeypatch.chdir(os.sep)
    assert len(data) < 10_000 and len(array) < 10_000
    with pickle.loads(data) as again:
        assert again.frame_number == 7 and metadata == (7, 17.5)
        assert again.get_next_image()[1] == (8, 20.0)
        np.testing.assert_array_equal(again.get_image(7)[0], img)
    np.testing.assert_array_equal(pickle.loads(array)[7], img)


def test_colour_and_depth(clip: Path, tmp_path: Path) -> None:
    stores = {color: imgstore.open(clip, color=color) for color in (None, "bgr", "rgb", "gray")}
    frames = {color: store.get_image(5)[0] for color, store in stores.items()}
    assert frames["bgr"].shape == (128, 192, 3) and frames["gray"].shape == stores["gray"].image_shape == (128, 192)
    np.testing.assert_array_equal(frames[None], frames["bgr"])
    np.testing.assert_array_equal(frames["rgb"], frames["bgr"][..., ::-1])
    np.testing.assert_array_equal(stores["rgb"].get_images([5, 3])[0][0], frames["rgb"])
    assert np.abs(frames["gray"].astype(int) - imgstore.ensure_grayscale(frames["bgr"])).max() <= 3
    for store in stores.values():
        store.close()
    deep = tmp_path / "deep.mkv"
    encode(deep, range(3), "ffv1", pix_fmt="gray16le", gop=1)
    with imgstore.open(deep) as store, imgstore.open(deep, dtype="uint8", color="bgr") as eight:
        assert store.image_dtype == np.uint16 and store.lossless and store.get_image(1)[0].ndim == 2
        assert eight.image_dtype == np.uint8 and eight.image_shape == (128, 192, 3)
        np.testing.assert_allclose(eight.get_image(1)[0][..., 0], store.get_image(1)[0] / 257, atol=1)
    with imgstore.open(clip, dtype=np.uint16) as store:
        assert store.get_image(5)[0].dtype == store.dtype == np.uint16
        np.testing.assert_array_equal(store.get_image(5)[0], frames["bgr"].astype(np.uint16) * 257)


def test_turned_as_a_player_does_it(clip: Path, tmp_path: Path) -> None:
    data = bytearray(clip.read_bytes())
    at = data.index(b"tkhd") + 44  # ISO/IEC 14496-12, 8.3.2: a quarter to the right
    data[at : at + 36] = struct.pack(">9i", 0, 1 << 16, 0, -1 << 16, 0, 0, 128 << 16, 0, 1 << 30)
    (tmp_path / "turned.mp4").write_bytes(data)
    with imgstore.open(clip) as plain, imgstore.open(tmp_path / "turned.mp4") as store:
        assert store.image_shape == (192, 128, 3)
        np.testing.assert_array_equal(store.get_image(4)[0], np.rot90(plain.get_image(4)[0], -1))
        np.testing.assert_array_equal(store[[9, 2]], np.rot90(plain[[9, 2]], -1, (1, 2)))
        with imgstore.open(tmp_path / "turned.mp4", orient=False) as as_stored:
            np.testing.assert_array_equal(as_stored[4], plain[4])


def test_times(clip: Path, tmp_path: Path) -> None:
    made = with_creation(clip, tmp_path / "made.mp4", "2021-03-04T05:06:07Z")
    for how, first in (({}, 0.0), ({"start_time": 1e9}, 1e9), ({"start_time": "creation"}, 1614834367.0)):
        with imgstore.open(made, **how) as store:
            assert store.frame_times.tolist() == [first + k / 25 for k in range(30)]
    with imgstore.open(made) as store:
        assert store.created[0].timestamp() == 1614834367.0
    with pytest.raises(ArgumentError, match=r"clip\.mp4: does not say when"):
        imgstore.open(clip, start_time="creation")
    with imgstore.open(clip, fps=10) as store:
        assert store.fps == 10 and store.frame_times.tolist() == [k / 10 for k in range(30)]
    with imgstore.open(clip, times=np.arange(30) ** 2) as store:
        assert store.get_image(5)[1] == (5, 25.0)
    late = tmp_path / "late.mkv"
    encode(late, range(5), pts=[1000 + k for k in range(5)], time_base=Fraction(1, 25))
    with imgstore.open(late) as store, imgstore.open(late, start_time="file") as own:
        assert store.frame_times.tolist() == [k / 25 for k in range(5)]
        assert own.frame_times.tolist() == [40 + k / 25 for k in range(5)]
    for options, message in (
        ({"times": [1, 2]}, "30 frames, and 2 times"),
        ({"times": [np.nan] * 30}, "position 0"),
        ({"fps": 0}, "fps must be"),
        ({"fps": 5, "times": [1] * 30}, "neither fps"),
        ({"start_time": "yesterday"}, "start_time must be"),
        ({"column": "x"}, "give times"),
        ({"numbers": "names"}, "for images"),
        ({"stream": True}, "stream must be"),
        ({"color": "green"}, "color must be"),
        ({"dtype": "float32"}, "dtype must be"),
    ):
        with pytest.raises(ArgumentError, match=message):
            imgstore.open(clip, **options)


def test_several_videos_follow_each_other(clip: Path, tmp_path: Path) -> None:
    for k in (2, 10, 1):
        encode(tmp_path / f"part {k}.mkv", range(k * 100, k * 100 + 4), rate=20)
    expected = [100, 101, 102, 103, 200, 201, 202, 203, 1000, 1001, 1002, 1003]
    with imgstore.open(tmp_path / "*.mkv") as store:
        assert [number_of(img) for img, _ in store] == expected and store.chunks == [0, 1, 2]
        np.testing.assert_allclose(store.frame_times, np.arange(12) / 20, atol=1e-9)
        assert store.frame_numbers.tolist() == list(range(12))
        assert [number_of(img) for img in store.get_images(frame_indices=[11, 0, 5])[0]] == [1003, 100, 201]
    with imgstore.open([tmp_path / "part 10.mkv", str(tmp_path / "part 1.mkv")]) as store:
        assert [number_of(img) for img, _ in store] == expected[8:] + expected[:4]
        assert [number_of(img) for img in pickle.loads(pickle.dumps(store))[:]] == expected[8:] + expected[:4]
    made = [with_creation(clip, tmp_path / f"{k}.mp4", f"2021-03-04T05:0{k}:00Z") for k in (3, 1)]
    with imgstore.open(made, start_time="creation") as store:
        assert store.frame_times[0] - store.frame_times[30] == 120.0
    with pytest.raises(ArgumentError, match=r"part 1\.mkv|clip\.mp4"):
        imgstore.open([clip, small(tmp_path)])


def small(directory: Path) -> Path:
    encode(directory / "part 1.mkv", range(3), size=(64, 64))
    return directory / "part 1.mkv"


def test_a_stream_is_chosen(tmp_path: Path) -> None:
    path = tmp_path / "two.mkv"
    for name, first in (("a", 100), ("b", 200)):
        encode(tmp_path / f"{name}.mp4", range(first, first + 6))
    with av.open(str(path), "w") as out:
        for name in "ab":
            with av.open(str(tmp_path / f"{name}.mp4")) as source:
                out.add_stream_from_template(source.streams.video[0])
        packets = []
        for k, name in enumerate("ab"):
            with av.open(str(tmp_path / f"{name}.mp4")) as source:
                for packet in source.demux(video=0):
                    if packet.size:
                        packets.append((float(packet.dts * packet.time_base), k, packet))
        for _, k, packet in sorted(packets, key=lambda found: found[:2]):
            packet.stream = out.streams[k]
            out.mux(packet)
    for _ in range(2):
        for stream, first in ((0, 100), (1, 200)):
            with imgstore.open(path, stream=stream) as store:
                assert [number_of(img) for img, _ in store] == list(range(first, first + 6))
                assert number_of(store.get_image(frame_index=3)[0]) == first + 3
    with pytest.raises(ChunkError, match="no video stream 7"):
        imgstore.open(path, stream=7)


def test_a_gif(tmp_path: Path) -> None:
    path = tmp_path / "moving.gif"
    encode(path, range(6), "gif", pix_fmt="rgb8", options={"gifflags": "0"}, rate=10)
    expected = by_players(path)
    with imgstore.open(path) as store:
        assert [number_of(img) for img, _ in store] == expected[0] == list(range(6))
        assert number_of(store.get_image(4)[0]) == 4 and store.frame_times.tolist() == [float(t) for t in expected[1]]


def test_damage_is_an_error_for_its_frame(tmp_path: Path) -> None:
    path = tmp_path / "clip.mkv"
    encode(path, range(20), "ffv1", pix_fmt="gray", gop=1)
    data = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        packet = [bytes(p) for p in container.demux(video=0) if p.size][7]
    at = data.index(packet)
    data[at + 200 : at + 300] = bytes(100)
    path.write_bytes(data)
    with imgstore.open(path) as store:
        assert [number_of(img) for img, _ in store.iter_images(on_error="skip")] == [k for k in range(20) if k != 7]
        with pytest.raises(FrameDecodeError, match=r"clip\.mkv"):
            store.get_image(7)
        assert store.get_image(8)[1] == (8, 8 / 25)


def test_a_file_that_changes_is_noticed(clip: Path, tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    other = tmp_path / "other.mp4"
    encode(other, range(500, 520), color=True)
    shutil.copy(clip, path)
    with imgstore.open(path) as store:
        assert number_of(store.get_image(0)[0]) == 100
        os.replace(other, path)
        for _ in range(2):
            with pytest.raises(StaleIndexError, match=r"clip\.mp4.*open it again"):
                store.get_image(3)
        with pytest.raises(StaleIndexError, match="open it again"):
            store.get_images([3, 4])
        with imgstore.open(path) as again:
            assert [number_of(img) for img in again[:2]] == [500, 501]
        path.unlink()
        with pytest.raises(StaleIndexError, match="not here any more"):
            store.get_image(3)


def test_forked(clip: Path) -> None:
    if not hasattr(os, "fork"):
        pytest.skip("needs fork")
    with imgstore.open(clip) as store:
        store.get_image(5)
        child = os.fork()
        if not child:
            os._exit(0 if number_of(store.get_next_image()[0]) == 106 else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert number_of(store.get_next_image()[0]) == 106

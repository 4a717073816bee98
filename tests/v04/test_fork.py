"""Programs written for the fork imgstore-shaliulab, on stores that it wrote (0.4.9): each name that they use.

`fork-divx-avi` has 25 frames in three chunks, each showing its number; its times are milliseconds. `fork-two-cameras` has 12
frames at 2 a second, and within it `lateral` with frames of another size at 10 a second, of which 20 to 35 were lost.
"""

from __future__ import annotations

import pickle
import sqlite3
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import imgstore
from imgstore.errors import (
    ArgumentError,
    FrameIndexError,
    ImgStoreWarning,
    MetadataError,
    NotAStoreError,
    UnknownOptionError,
)
from imgstore.v04 import newer


@pytest.fixture(autouse=True)
def told() -> Iterator[list[str]]:
    """Collect the warnings of one test, in which nothing has been told yet."""
    newer._told.clear()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        messages: list[str] = []
        yield messages
        messages += [str(w.message) for w in caught if issubclass(w.category, ImgStoreWarning)]


@pytest.fixture
def single(samples: Path) -> Path:
    return samples / "fork-divx-avi"


@pytest.fixture
def two(samples: Path) -> Path:
    return samples / "fork-two-cameras"


def coded(number: int) -> np.ndarray:
    img = np.zeros((48, 64), np.uint8)
    for bit in range(16):
        if number >> bit & 1:
            img[bit // 4 * 12 :, bit % 4 * 16 :][:12, :16] = 255
    return img


def code(img: np.ndarray) -> int:
    gray = img if img.ndim == 2 else img[..., 0]
    return sum(1 << bit for bit in range(16) if gray[bit // 4 * 12 + 6, bit % 4 * 16 + 8] > 127)


def shown(read: Any) -> tuple[int, int, float]:
    img, (number, time) = read
    return code(img), number, time


# ---- one store


def test_every_frame_and_the_rate(single: Path) -> None:
    with imgstore.new_for_filename(single / "metadata.yaml") as store:
        assert store.fps == 25
        assert store.format == "divx/avi"
        assert [shown(frame) for frame in store] == [(n, n, n * 40.0) for n in range(25)]
        assert all(code(store.get_image(n)[0]) == n for n in (17, 3, 24, 10, 9))


@pytest.mark.parametrize(
    ("sides", "time", "number"),
    [
        ({}, 310, 8), ({}, 300, 7), ({}, 301, 8),
        ({"past": True, "future": True}, 301, 8),
        ({"past": True, "future": False}, 310, 7), ({"past": True}, 310, 7), ({"future": False}, 310, 7),
        ({"past": True}, 320, 8),
        ({"past": False, "future": True}, 330, 9), ({"future": True}, 330, 9), ({"future": True}, 320, 8),
    ],
)  # fmt: skip
def test_nearest_on_either_side(single: Path, sides: dict[str, bool], time: float, number: int) -> None:
    """As the fork answers; but where one side alone is asked for it is that one, and there it is the nearest of both."""
    with imgstore.new_for_filename(single) as store:
        assert shown(store.get_nearest_image(time, **sides)) == (number, number, number * 40.0)
        assert store.get_next_image()[1][0] == number + 1
        assert store._index.find_chunk_nearest("frame_time", time, **sides) == (number // 10, number % 10)
        assert store._index.find_chunk_nearest("frame_number", time / 40, **sides) == (number // 10, number % 10)


def test_nearest_on_a_side_where_there_is_none(single: Path) -> None:
    with imgstore.new_for_filename(single) as store:
        assert store._index.find_chunk_nearest("frame_time", -1, past=True) == (-1, -1)
        assert store._index.find_chunk_nearest("frame_time", 961, future=True) == (-1, -1)
        assert store._index.find_chunk_nearest("index", 30, past=True) == (2, 4)
        with pytest.raises(ValueError, match="none on that side"):
            store.get_nearest_image(961, future=True)
        with pytest.raises(ArgumentError, match="cannot both be False"):
            store.get_nearest_image(961, past=False, future=False)


def test_nearest_on_a_side_in_any_order() -> None:
    rng = np.random.default_rng(5)
    for ordered in (True, False):
        times = rng.integers(0, 40, 60) / 4
        numbers = rng.integers(0, 40, 60)
        if ordered:
            times.sort()
            numbers.sort()
        index = imgstore.index.ImgStoreIndex.new_from_chunks([]).extended([(3, numbers, times)])
        for values, what in ((times, "frame_time"), (numbers, "frame_number")):
            for wanted in [*range(-1, 42), 5.25, 7.1]:
                for past in (True, False):
                    side = [v for v in values.tolist() if (v <= wanted if past else v >= wanted)]
                    want = values.tolist().index(max(side) if past else min(side)) if side else -1
                    assert index.find_nearest(what, wanted, past=past, future=not past) == want


def test_get_chunk_goes_to_its_first_frame(single: Path, told: list[str]) -> None:
    with imgstore.new_for_filename(single) as store:
        assert shown(store.get_chunk(2)) == (20, 20, 800.0)
        assert shown(store.get_next_image()) == (21, 21, 840.0)
        assert shown(store.get_chunk(0)) == (0, 0, 0.0)
        with pytest.raises(ArgumentError, match="chunk 3"):
            store.get_chunk(3)


def test_extra_data_of_some_chunks(single: Path) -> None:
    with imgstore.new_for_filename(single) as store:
        assert store.get_extra_data()["temperature"].tolist() == [20, 25, 30, 35, 40]
        assert store.get_extra_data(chunks=[1])["temperature"].tolist() == [30, 35]
        assert store.get_extra_data(ignore_corrupt_chunks=True, chunks=range(2))["frame_number"].tolist() == [
            0,
            5,
            10,
            15,
        ]
        assert store.get_extra_data(chunks=[]) is None


def test_some_chunks_alone(single: Path) -> None:
    with imgstore.new_for_filename(single, chunk_numbers=[2, 1]) as store:
        assert (store.chunks, store.frame_count, store.frame_min) == ([1, 2], 15, 10)
        assert [shown(frame)[:2] for frame in store] == [(n, n) for n in range(10, 25)]
    with pytest.raises(ArgumentError, match="no chunk 7"):
        imgstore.new_for_filename(single, chunk_numbers=[7])


def test_what_programs_ask_of_the_index(single: Path) -> None:
    with imgstore.new_for_filename(single) as store:
        index = store._index
        assert index.find_all("frame_number", 24) == (2, 4, 24, 960.0)
        assert index.find_all("frame_time", 40.0) == (0, 1, 1, 40.0)
        assert index.find_all("frame_number", 99, exact_only=False) == (2, 4, 24, 960.0)
        assert index.find_all("frame_time", 310, False, past=True) == (0, 7, 7, 280.0)
        with pytest.raises(IndexError, match="frame_number 99") as raised:
            index.find_all("frame_number", 99)
        assert isinstance(raised.value, FrameIndexError)
        assert index.get_start_of_chunks() == [(0, 0), (1, 10), (2, 20)]
        assert index.get_timestamps([0, 2])[8:12] == [(320.0,), (360.0,), (800.0,), (840.0,)]
        assert index.get_chunk_metadata(1)["frame_number"] == list(range(10, 20))
        assert [index._summary(w) for w in ("frame_time_min", "frame_time_max", "frame_min", "frame_max")] == [
            0,
            960,
            0,
            24,
        ]
        with pytest.raises(ArgumentError, match="no summary of 'x'"):
            index._summary("x")


def tables(db: sqlite3.Connection) -> dict[str, list[Any]]:
    names = ("frames", "index_information", "summary")
    return {name: db.execute(f"SELECT * FROM {name}").fetchall() for name in names} | {
        "chunks": db.execute("SELECT chunk FROM chunks").fetchall(),
        "schema": sorted(db.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'").fetchall()),
    }


def test_its_database(single: Path) -> None:
    """The tables that it wrote are those of ours, asked through the index, with the same rows."""
    theirs = sqlite3.connect(f"{(single / 'index.db').as_uri()}?mode=ro", uri=True)
    with imgstore.new_for_filename(single) as store:
        ours = store._index._conn
        assert ours is store._index._conn
        assert tables(ours) == tables(theirs)
        cursor = ours.cursor()
        cursor.execute("SELECT frame_number, frame_time FROM frames WHERE chunk = ? AND frame_idx = ?", (1, 3))
        assert cursor.fetchone() == (13, 520.0)
        again = pickle.loads(pickle.dumps(store._index))
        assert again.find_all("frame_number", 3) == (0, 3, 3, 120.0)
    theirs.close()


# ---- writing


@pytest.mark.parametrize("fmt", ["divx/avi", "mp4v/mp4", "mjpeg/avi"])
def test_writing_in_its_words(tmp_path: Path, fmt: str, told: list[str]) -> None:
    keywords = {"framerate": 50, "isColor": False, "first_chunk": 3}
    with imgstore.new_for_format(fmt, tmp_path / "a", imgshape=(48, 64), chunksize=4, **keywords) as store:
        for n in range(10):
            store.add_image(coded(n), n, n * 20.0)
    with imgstore.new_for_filename(tmp_path / "a") as store:
        assert store.chunks == [3, 4, 5]
        assert store.fps == 50
        assert store._metadata["framerate"] == 50
        assert [shown(frame) for frame in store] == [(n, n, n * 20.0) for n in range(10)]
        with sqlite3.connect(tmp_path / "a" / "index.db") as db:
            assert tables(db) == tables(store._index._conn)
        db.close()
    with imgstore.new_for_filename(tmp_path / "a", mode="a") as store:
        store.add_image(coded(10), 10, 200.0)
    with sqlite3.connect(tmp_path / "a" / "index.db") as db:
        assert db.execute("SELECT count(*) FROM frames").fetchone() == (11,)
    db.close()


@pytest.mark.parametrize("fmt", ["divx/avi", "mp4v/mp4"])
def test_its_formats_are_whole_and_repaired(tmp_path: Path, fmt: str) -> None:
    from imgstore.verify import check_store

    with imgstore.new_for_format(fmt, tmp_path / "a", imgshape=(48, 64, 3), chunksize=30) as store:
        for n in range(50):
            store.add_image(np.repeat(coded(n)[..., None], 3, axis=2), n, n / 25)
    assert check_store(tmp_path / "a", deep=True).faults == []
    with imgstore.new_for_filename(tmp_path / "a") as store:
        assert [code(store.get_image(n)[0]) for n in (49, 3, 28, 29, 30)] == [49, 3, 28, 29, 30]
        assert store.image_shape == (48, 64, 3)
        assert not store.lossless


def test_nvenc_by_its_name(tmp_path: Path, samples: Path) -> None:
    """Written where FFmpeg can; read in any case."""
    import shutil

    import yaml

    from imgstore.plugins import codec_for_format

    assert codec_for_format("h264_nvenc/mp4", reading=True).format.name == "h264-nvenc/mp4"
    shutil.copytree(samples / "video-avc1-mp4", tmp_path / "a")
    content = yaml.safe_load((tmp_path / "a" / "metadata.yaml").read_text())
    content["__store"]["format"] = "h264_nvenc/mp4"
    (tmp_path / "a" / "metadata.yaml").write_text(yaml.safe_dump(content))
    with (
        imgstore.new_for_filename(tmp_path / "a") as store,
        imgstore.new_for_filename(samples / "video-avc1-mp4") as same,
    ):
        assert np.array_equal(store.get_image(frame_index=5)[0], same.get_image(frame_index=5)[0])


def test_keywords_that_cannot_be_used(tmp_path: Path, single: Path) -> None:
    for keywords, message in [({"framerate": 0}, "framerate"), ({"first_chunk": -1}, "first_chunk"), ({"x": 1}, "'x'")]:
        with pytest.raises(ArgumentError, match=message):
            imgstore.new_for_format("npy", tmp_path / "a", imgshape=(4, 4), **keywords)
    with pytest.raises(UnknownOptionError):
        imgstore.new_for_filename(single, chunk_number=[1])
    with imgstore.new_for_format("npy", tmp_path / "b", imgshape=(4, 4), framerate=5) as store:
        store.add_image(np.zeros((4, 4), np.uint8), 0, 0)
    path = tmp_path / "b" / "metadata.yaml"
    path.write_text(path.read_text().replace("framerate: 5", "framerate: fast"))
    with pytest.raises(MetadataError, match="framerate"):
        imgstore.new_for_filename(tmp_path / "b")


# ---- its modules


def test_capture_from_a_chunk_on(single: Path) -> None:
    from imgstore.interface import VideoCapture

    cap = VideoCapture(str(single / "metadata.yaml"), 1)
    assert cap.isOpened()
    assert {name: cap.get(name) for name in (
        "TOTAL_NUMBER_OF_FRAMES", "NUMBER_OF_FRAMES", "NUMBER_OF_FRAMES_IN_CHUNK", "STARTING_FRAME_OF_CHUNK",
        "ENDING_FRAME_OF_CHUNK",
    )} == {
        "TOTAL_NUMBER_OF_FRAMES": 25, "NUMBER_OF_FRAMES": 20, "NUMBER_OF_FRAMES_IN_CHUNK": 10, "STARTING_FRAME_OF_CHUNK": 10,
        "ENDING_FRAME_OF_CHUNK": 19,
    }  # fmt: skip
    assert [cap.get(prop) for prop in (0, 1, 3, 4, 5, 7, 99)] == [400, 10, 64, 48, 25, 10, 0]
    frames = [img for ok, img in iter(cap.read, (False, None))]
    assert [code(img) for img in frames] == list(range(10, 25))
    assert frames[0].shape == (48, 64)
    for position in (15, 3, 24):
        assert cap.set(1, position)
        assert cap.get(1) == position
        assert code(cap.read()[1]) == position
    assert cap.set(0, 330)
    assert cap.grab()
    assert code(cap.read()[1]) == 9
    assert not cap.set(1, 25)
    assert not cap.set(1, -1)
    cap.release()
    assert not cap.isOpened()
    assert cap.read() == (False, None)


def test_capture_of_whole_stores_and_videos(single: Path, tmp_path: Path) -> None:
    from imgstore.interface import VideoCapture

    cap = VideoCapture(single)
    assert [cap.get(name) for name in ("STARTING_FRAME_OF_CHUNK", "NUMBER_OF_FRAMES")] == [0, 10]
    assert len(list(iter(cap.read, (False, None)))) == 25
    video = VideoCapture(str(single / "000001.avi"), 1)
    assert video.get("TOTAL_NUMBER_OF_FRAMES") == 10
    assert code(video.read()[1]) == 10
    video.release()
    cap.release()
    with pytest.raises(NotAStoreError):
        VideoCapture(tmp_path / "nowhere.avi")
    with pytest.raises(ArgumentError, match="chunk 9"):
        VideoCapture(single, 9)


def test_store_with_extra_cameras(two: Path) -> None:
    from imgstore.multistores import MultiStore

    with MultiStore.new_for_filename(two / "metadata.yaml") as multi:
        assert list(multi.stores) == ["master", "lateral"]
        img, (number, time) = multi.get_image(4)
        assert (img.shape, number, time) == ((48, 128), 4, 2000.0)
        assert code(img[:, :64]) == 4
        with imgstore.new_for_filename(two / "lateral") as lateral:
            # the last one that was not later: of 19, as the next 16 were lost
            seen = lateral.get_image(19)[0]
            images, _ = multi.get_images(4)
            assert np.array_equal(images[1], seen)
            images, _ = multi.get_images(6)  # at 3000 ms nothing was seen for more than a second
            assert not images[1].any()
            multi.select_store("lateral")
            images, metadata = multi.get_images(7)
            assert metadata == (7, 730.0)
            assert (code(images[0]), images[1].shape) == (1, (64, 80))
            assert multi.get_next_image()[1] == (8, 830.0)
            assert multi.get_nearest_image(1234)[1] == (12, 1230.0)
            assert multi.get_nearest_image(1234, future=True)[1] == (13, 1330.0)
            assert multi.get_chunk(1)[1] == (41, 4130.0)
            assert (multi.fps, multi.frame_count) == (10, 44)  # what is not of both is of the one that is selected
            ok, img = multi.read()
            assert ok and img.shape == (48, 128)
            multi.get_image(frame_index=43)
            assert multi.read() == (False, None)
            with pytest.raises(EOFError):
                multi.get_next_image()
            with pytest.raises(ValueError, match="index 44"):
                multi.get_image(frame_index=44)
            with pytest.raises(ArgumentError, match="no store 'top', there are master, lateral"):
                multi.select_store("top")
        multi.select_store("master")
        assert multi.get_next_image()[1][0] == 7  # where it was


def test_its_cameras_are_a_group(two: Path) -> None:
    with imgstore.open_group(two, align="time", direction="backward", tolerance=1000) as group:
        assert group.names == ("fork-two-cameras", "lateral")
        assert [code(step.images[0]) for step in group] == list(range(12))
        lateral = [None, 4, 9, 14, 19, 19, None, None, 39, 44, 49, 54]
        assert [step.frame_numbers[1] for step in group] == lateral


def test_where_its_programs_import_from(single: Path) -> None:
    from imgstore.interface import load_config as also
    from imgstore.stores.multi import VideoImgStore, load_extra_cameras, new_for_filename
    from imgstore.stores.utils.formats import get_formats
    from imgstore.stores.utils.mixins.extract import _extract_store_metadata
    from imgstore.util import load_config

    assert _extract_store_metadata(str(single / "metadata.yaml"))["framerate"] == 25
    assert load_config()["codecs"]["npy"] is True
    assert also is load_config
    assert {"mjpeg/avi", "divx/avi", "mp4v/mp4"} <= get_formats(video=True).keys()
    assert get_formats(directory=True)["png"] is True
    assert get_formats(raw=True, cache=False)["npy"] is True
    assert get_formats() == {}
    assert load_extra_cameras(single) == {}
    assert VideoImgStore.new_for_filename(single).get_image(3)[1] == (3, 120.0)
    assert isinstance(new_for_filename(single), VideoImgStore)


def test_newer_names_are_told_once(single: Path, tmp_path: Path) -> None:
    from imgstore.interface import VideoCapture

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(3):
            VideoCapture(single).release()
            with imgstore.new_for_filename(single) as store:
                store.get_chunk(1)
                store._index._conn.execute("SELECT 1")
            imgstore.new_for_format("npy", tmp_path / "a", imgshape=(4, 4), framerate=5, overwrite=True).close()
    messages = [str(w.message) for w in caught if issubclass(w.category, ImgStoreWarning)]
    assert len(messages) == 4
    assert all("imgstore-shaliulab" in message for message in messages)
    assert [w.filename for w in caught if issubclass(w.category, ImgStoreWarning)][:3] == [__file__] * 3

"""Threads that convert rows of large pictures: when there are any, and when they end."""

from __future__ import annotations

import gc
import os
import signal
import threading
import time
from collections.abc import Iterator

import av
import numpy as np
import pytest

from imgstore.codec import FrameSpec
from imgstore_codecs.video.pixels import row_helpers
from imgstore_codecs.video.pixels.row_helpers import RowHelpers
from imgstore_codecs.video.reading.video_reader import VideoReader

LARGE = FrameSpec((1024, 1280, 3), np.dtype(np.uint8))


@pytest.fixture(autouse=True)
def _cores(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(row_helpers.os, "cpu_count", lambda: 8)  # on any machine
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


def threads() -> int:
    return sum(thread.name == "imgstore-video" for thread in threading.enumerate())


@pytest.mark.parametrize(
    ("shape", "dtype", "count"),
    [
        ((1024, 1280, 3), "u1", 1),
        ((1200, 1920, 3), "u1", 3),
        ((3000, 4000, 3), "u1", 3),
        ((480, 640, 3), "u1", 0),
        ((1024, 1280), "u1", 0),
        ((1024, 1280, 3), "u2", 0),
    ],
)
def test_how_many_there_are(shape: tuple[int, ...], dtype: str, count: int) -> None:
    helpers = RowHelpers(FrameSpec(shape, np.dtype(dtype)))
    assert threads() == 0
    for _ in range(2):
        assert len(helpers.wake()) == count
        assert threads() == count
    helpers.close()
    assert threads() == 0


def test_one_core_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_helpers.os, "cpu_count", lambda: 1)
    assert len(RowHelpers(LARGE).wake()) == 0


def test_others_begin_after_closing() -> None:
    helpers = RowHelpers(LARGE)
    helpers.close()
    for _ in range(2):
        helpers.wake()
        assert threads() == 1
        helpers.close()
        helpers.close()
        assert threads() == 0


def test_they_end_when_nobody_can_ask_them_any_more() -> None:
    helpers = RowHelpers(LARGE)
    helpers.wake()
    del helpers
    gc.collect()
    deadline = time.monotonic() + 60
    while threads():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture(scope="module")
def large_video(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, list[np.ndarray]]:
    """A video whose pictures have two slices, and its frames, by a reader that has no helpers."""
    path = str(tmp_path_factory.mktemp("large") / "video.mp4")
    rng = np.random.default_rng(1)
    with av.open(path, "w") as out:
        stream = out.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 1280, 1024, "yuv420p"
        stream.options = {"preset": "ultrafast", "x264-params": "slices=2"}
        for k in range(30):
            small = rng.integers(0, 256, (16, 20, 3), dtype=np.uint8)
            img = np.full((1024, 1280, 3), 8 * k, np.uint8)
            img[k * 30 :][:64, : 64 * 20] = np.kron(small[:1], np.ones((64, 64, 1), np.uint8))[:64]
            out.mux(stream.encode(av.VideoFrame.from_ndarray(img, format="bgr24")))
        out.mux(stream.encode(None))
    reader = VideoReader(path, LARGE, {"threads": 1})
    frames = [reader.read(position) for position in range(30)]
    assert threads() == 0
    reader.close()
    return path, frames


def test_frames_are_the_same_with_helpers(large_video: tuple[str, list[np.ndarray]]) -> None:
    path, frames = large_video
    reader = VideoReader(path, LARGE, {"threads": 2})
    used = 0
    for position in [*range(30), 3, 28, 11, 19, 5]:
        np.testing.assert_array_equal(reader.read(position), frames[position])
        used = max(used, threads())
    assert used >= 1
    reader.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork.*:DeprecationWarning")
def test_a_forked_child_has_its_own(large_video: tuple[str, list[np.ndarray]]) -> None:
    path, frames = large_video
    reader = VideoReader(path, LARGE, {"threads": 2})
    for position in (3, 28, 11, 19):
        reader.read(position)
    assert threads() >= 1
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(30)
        right = all((reader.read(position) == frames[position]).all() for position in (4, 27, 12, 18))
        os._exit(0 if right and threads() >= 1 else 1)
    assert os.waitpid(child, 0)[1] == 0
    np.testing.assert_array_equal(reader.read(7), frames[7])
    reader.close()

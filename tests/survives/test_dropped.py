"""A store that nobody closes is gone when nobody refers to it any more, whatever happened before."""

from __future__ import annotations

import gc
import subprocess
import sys
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from rounds import long_but
from scenes import write_store

import imgstore

FRAMES = 60


@pytest.fixture
def damaged(tmp_path: Path) -> str:
    """Two chunks of video, a packet in the first of which is damaged."""
    path = write_store(tmp_path / "s", "mjpeg/avi", FRAMES, chunksize=FRAMES // 2)
    file = Path(path) / "000000.avi"
    data = bytearray(file.read_bytes())
    begin = len(data) // 2
    data[begin : begin + 200] = bytes(200)
    file.write_bytes(data)
    return path


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def one_by_one(store: imgstore.ImgStore) -> None:
    errors = 0
    for position in range(FRAMES):
        try:
            store.get_image(None, frame_index=position)
        except imgstore.errors.FrameDecodeError:
            errors += 1
    assert errors


def half(store: imgstore.ImgStore) -> None:
    with pytest.raises(imgstore.errors.FrameDecodeError):
        store.get_images(frame_indices=range(FRAMES // 2))


def everything(store: imgstore.ImgStore) -> None:
    with pytest.raises(imgstore.errors.FrameDecodeError):
        store.get_images(frame_indices=range(FRAMES))


def not_there(store: imgstore.ImgStore) -> None:
    with pytest.raises(ValueError):
        store.get_image(10**6)


@pytest.mark.parametrize("use", [one_by_one, half, everything, not_there])
def test_errors_keep_no_store(damaged: str, no_collector: None, use: Callable[[imgstore.ImgStore], None]) -> None:
    """An error that refers to itself would keep files, decoders and threads until the collector comes."""
    store = imgstore.new_for_filename(damaged)
    use(store)
    gone = weakref.ref(store)
    del store
    deadline = time.monotonic() + 10  # a thread that has given its answer may have it in hand for some milliseconds more
    while gone() is not None and time.monotonic() < deadline:
        time.sleep(0.001)
    assert gone() is None


PROGRAM = """
import gc, sys, imgstore
store = imgstore.new_for_filename(sys.argv[1])
for position in range(20):
    store.get_image(None, frame_index=position)
circle = [store if sys.argv[2] == "store" else store._index]
circle.append(circle)
del store
if sys.argv[3] == "collected":
    del circle
    gc.collect()
print("fine")
"""


@pytest.mark.parametrize("how", ["collected", "at the end of the process"])
@pytest.mark.parametrize("what", long_but({"store"}, ["store", "index"]))
@pytest.mark.parametrize("fmt", long_but({"avc1/mp4"}, ["npy", "avc1/mp4"]))
def test_circles_of_references(tmp_path: Path, fmt: str, what: str, how: str) -> None:
    """The mapped index is let go by the collector, in whatever order it takes things apart."""
    path = write_store(tmp_path / "s", fmt, FRAMES, chunksize=FRAMES // 2)
    run = subprocess.run([sys.executable, "-c", PROGRAM, path, what, how], capture_output=True, text=True, timeout=120)
    assert (run.returncode, run.stdout, run.stderr) == (0, "fine\n", "")


ENDINGS = {
    "a capture that nobody releases": "c = imgstore.VideoCapture(path)\nfor _ in range(60): c.read()",
    "an object that closes a store": """
class Tracker:
    def __init__(self):
        self.store = imgstore.new_for_filename(path)
    def __del__(self):
        self.store.close()
tracker = Tracker()
for _ in range(60): tracker.store.get_next_image()
""",
    "a generator": """
def frames():
    with imgstore.new_for_filename(path) as store:
        yield from store
iterator = frames()
for _ in range(60): next(iterator)
""",
}


@pytest.mark.parametrize("cores", long_but([4], [2, 4]))  # it depends on that how many threads there are
@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("fmt", long_but({"avc1/mp4"}, ["avc1/mp4", "mjpeg/avi"]))
def test_a_process_ends_while_something_reads_ahead(tmp_path: Path, fmt: str, ending: str, cores: int) -> None:
    """Threads stand still by then, and whoever waits for one waits for ever."""
    path = write_store(tmp_path / "s", fmt, 300, chunksize=300)
    program = f"import os\nos.cpu_count = lambda: {cores}\nimport imgstore\npath = {str(path)!r}\n{ENDINGS[ending]}"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (run.returncode, run.stderr) == (0, "")


READS_ON = """
import atexit, sys, imgstore
class Tracker:
    def __init__(self):
        self.store = imgstore.new_for_filename(sys.argv[1])
    def read_on(self):
        assert self.store.get_next_image()[1][0] == FIRST + 60
        assert len(self.store.get_images(frame_indices=range(50, 150))[0]) == 100
        assert self.store.get_image(None, frame_index=250)[1][0] == FIRST + 250
        for k in range(251, 290):
            assert self.store.get_next_image()[1][0] == FIRST + k
tracker = Tracker()
if sys.argv[2] == "at exit":
    atexit.register(lambda: (tracker.read_on(), print("read on")))
else:
    def read_on(self):
        try:
            self.read_on()
        except imgstore.errors.ImgStoreError:
            pass  # Python has taken itself apart by then
        print("read on")
    Tracker.__del__ = read_on
FIRST = tracker.store.get_next_image()[1][0]
tracker.store.get_images(frame_indices=range(300))
tracker.store.get_image(None, frame_index=0)
for _ in range(59): tracker.store.get_next_image()
"""


@pytest.mark.parametrize("when", ["at exit", "when it is dropped"])
@pytest.mark.parametrize("fmt", ["avc1/mp4", "mjpeg/avi"])
def test_who_reads_on_while_the_process_ends_waits_for_no_thread(tmp_path: Path, fmt: str, when: str) -> None:
    path = write_store(tmp_path / "s", fmt, 300, chunksize=100)
    run = subprocess.run([sys.executable, "-c", READS_ON, path, when], capture_output=True, text=True, timeout=60)
    assert (run.returncode, run.stdout, run.stderr) == (0, "read on\n", "")


def test_threads_have_ended_when_the_interpreter_shuts_down(tmp_path: Path) -> None:
    """Python would end them in the midst of FFmpeg's code, and the process with SIGABRT, once in some hundred times."""
    path = write_store(tmp_path / "s", "avc1/mp4", 30, chunksize=30, imgshape=(800, 1280, 3))
    program = """
import atexit, sys, threading
atexit.register(lambda: print([thread.name for thread in threading.enumerate()]))  # the first one is called last
import imgstore
store = imgstore.new_for_filename(sys.argv[1])
store.get_images(frame_indices=range(30))
for position in range(20): store.get_image(None, frame_index=position)
print(len(threading.enumerate()) > 1)
"""
    run = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True, timeout=60)
    assert (run.returncode, run.stdout, run.stderr) == (0, "True\n['MainThread']\n", "")


def test_a_closed_store_can_be_shown(tmp_path: Path) -> None:
    store = imgstore.new_for_filename(write_store(tmp_path / "s", "npy", 5))
    shape = store.image_shape
    store.close()
    assert store.image_shape == shape
    assert "closed" in repr(store)

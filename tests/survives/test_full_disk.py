"""The disk is full: the error says so and names the store, nothing that was accepted is lost, recording can go on."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rounds import long_but
from scenes import HELPERS, coded_frame, shown_number
from small_disk import small_disk

import imgstore
import imgstore.index.store_index
import imgstore.writing.put_in_place
from imgstore.repair import repair_store
from imgstore.verify import verify_store

FORMATS = [name for name in imgstore.get_supported_formats() if not name.endswith("+color")]
VIDEO = [name for name in FORMATS if "/" in name]
SOME = {"npy", "mjpeg/avi", "avc1/mp4"}  # of each way to write: files, a growing file, one with an index at its end
SHAPE = (96, 128)
CHUNKSIZE = 15
DISK = 3 << 20  # bytes
ROOM = 400 << 10  # left on it at first

_noise = np.random.default_rng(1).integers(0, 40, (8, *SHAPE), dtype=np.uint8)


def frame(k: int) -> np.ndarray[Any, Any]:
    """A coded frame that does not become tiny by compression."""
    return np.maximum(coded_frame(1000 + k, SHAPE), _noise[k % len(_noise)])


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3 MB, nearly filled by the file ``ballast``."""
    with small_disk(tmp_path / "disk", DISK) as place:
        with (place / "ballast").open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, DISK - ROOM)
        yield place


def fill_disk(disk: Path) -> Path:
    """Take all space that is left, with a file."""
    other = disk / "other"
    with other.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(512))
    return other


class Recording:
    """Writes to a store, and knows what it has accepted."""

    def __init__(self, path: Path, fmt: str):
        self.path, self.fmt = path, fmt
        self.store = imgstore.new_for_format(fmt, path, imgshape=SHAPE, chunksize=CHUNKSIZE)
        self.frames: list[int] = []
        self.records: list[int] = []
        self._next = 0

    def add(self) -> None:
        """Add a frame that has not been tried yet, and sometimes a record of extra data."""
        k, self._next = self._next, self._next + 1
        self.store.add_image(frame(k), 1000 + k, k / 8)
        self.frames.append(k)
        if k % 4 == 0:
            self.store.add_extra_data(value=k)
            self.records.append(k)

    def fill(self) -> imgstore.errors.StoreWriteError:
        """Record until that fails; return the error."""
        for _ in range(20_000):
            try:
                self.add()
            except imgstore.errors.StoreWriteError as error:
                return error
        raise AssertionError("the disk does not get full")

    def tear(self) -> None:
        """Record until the disk is full amid a chunk, and make space on it."""
        (self.path.parent / "ballast").unlink()
        while len(self.frames) < CHUNKSIZE + 5:
            self.add()
        other = fill_disk(self.path.parent)
        self.fill()
        assert CHUNKSIZE + 5 <= len(self.frames) < 2 * CHUNKSIZE
        other.unlink()

    def check(self) -> None:
        """See that everything that was accepted is there, and nothing else."""
        check(self.path, self.frames, self.records)


def check(path: Path, frames: list[int], records: list[int]) -> None:
    """See that a store holds these frames and records, and nothing else."""
    with imgstore.new_for_filename(path) as reader:
        assert reader.frame_numbers.tolist() == [1000 + k for k in frames]
        for k, (img, (number, seconds)) in zip(frames, reader, strict=True):
            assert (number, seconds, shown_number(img)) == (1000 + k, k / 8, 1000 + k)
        table = reader.get_extra_data()
    assert ([] if table is None else table["value"].tolist()) == records


def assert_says_so(error: imgstore.errors.StoreWriteError, path: Path) -> None:
    assert isinstance(error, OSError) and error.errno == errno.ENOSPC
    assert "No space left" in str(error) and str(path) in str(error)


@pytest.mark.parametrize("fmt", long_but(SOME, FORMATS))
def test_recording_goes_on_when_there_is_space_again(fmt: str, disk: Path) -> None:
    recording = Recording(disk / "s", fmt)
    assert_says_so(recording.fill(), recording.path)
    recording.check()
    for _ in range(3):  # it stays full, and says so every time
        with pytest.raises(imgstore.errors.StoreWriteError) as caught:
            for _ in range(50):
                recording.add()
        assert_says_so(caught.value, recording.path)
        recording.check()
    (disk / "ballast").unlink()
    for _ in range(2 * CHUNKSIZE + 2):
        recording.add()
    recording.check()
    recording.store.close()
    recording.check()
    assert_whole(recording.path)


@pytest.mark.parametrize("fmt", long_but(SOME, FORMATS))
def test_closing_on_a_full_disk(fmt: str, disk: Path) -> None:
    recording = Recording(disk / "s", fmt)
    recording.fill()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", imgstore.errors.ImgStoreWarning)
        recording.store.close()
    assert not (recording.path / ".lock").exists()
    recording.check()
    (disk / "ballast").unlink()
    repair_store(recording.path)
    recording.check()
    assert_whole(recording.path)


@pytest.mark.parametrize("fmt", long_but(SOME, VIDEO))
def test_reading_while_a_torn_chunk_is_mended(fmt: str, disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its video is replaced by a whole one before its index is there, and its journal is of the torn one."""
    recording = Recording(disk / "s", fmt)
    recording.tear()
    replaced, go_on = threading.Event(), threading.Event()
    write_chunk_index = imgstore.writing.put_in_place.write_chunk_index

    def held_up(*args: Any) -> None:
        replaced.set()
        go_on.wait(60)
        write_chunk_index(*args)

    with monkeypatch.context() as patch:
        patch.setattr("imgstore.writing.put_in_place.write_chunk_index", held_up)
        closing = threading.Thread(target=recording.store.close)
        closing.start()
        try:
            assert replaced.wait(60)
            recording.check()
        finally:
            go_on.set()
            closing.join()
    recording.check()


@pytest.mark.filterwarnings("ignore::imgstore.errors.ImgStoreWarning")  # of a cached index newer than the listing
@pytest.mark.parametrize("fmt", long_but(SOME, VIDEO))
def test_a_torn_chunk_is_mended_while_it_is_read(fmt: str, disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recording = Recording(disk / "s", fmt)
    recording.tear()
    read_journal, mended = imgstore.index.store_index.read_journal, False

    def read_and_mend(root: str, chunk: int) -> Any:
        nonlocal mended
        noted = read_journal(root, chunk)
        if len(noted) and not mended:
            mended = True
            recording.store.close()
        return noted

    with monkeypatch.context() as patch:
        patch.setattr("imgstore.index.store_index.read_journal", read_and_mend)
        recording.check()
    assert mended


_KILLED = """
import json, os, sys
from pathlib import Path
sys.path[:0] = sys.argv[3:]
import imgstore.writing.put_in_place
from test_full_disk import Recording

recording = Recording(Path(sys.argv[1], "s"), sys.argv[2])
recording.tear()
print(json.dumps([recording.frames, recording.records]), flush=True)
imgstore.writing.put_in_place.write_chunk_index = lambda *args: os._exit(9)
recording.store.close()
"""


@pytest.mark.parametrize("fmt", long_but(SOME, VIDEO))
def test_killed_while_a_torn_chunk_is_mended(fmt: str, disk: Path) -> None:
    command = [sys.executable, "-c", _KILLED, str(disk), fmt, str(HELPERS), str(Path(__file__).parent)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 9, done.stderr
    path, accepted = disk / "s", json.loads(done.stdout)
    check(path, *accepted)
    actions = repair_store(path)
    useless = [Path(action.path).name for action in actions if action.kind in ("set aside", "left")]
    assert useless == [".imgstore-index.tmp"]
    check(path, *accepted)
    assert_whole(path)


@pytest.mark.parametrize("fmt", long_but(SOME, FORMATS))
def test_repair_on_a_full_disk(fmt: str, disk: Path) -> None:
    """It says so, and sets nothing aside for it; when there is space, it goes on."""
    script = _KILLED.replace("imgstore.writing.put_in_place.write_chunk_index", "recording.store.close")
    command = [sys.executable, "-c", script, str(disk), fmt, str(HELPERS), str(Path(__file__).parent)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 9, done.stderr
    path, accepted = disk / "s", json.loads(done.stdout)
    other = fill_disk(disk)
    with pytest.raises(imgstore.errors.StoreWriteError) as caught:
        repair_store(path)
    assert_says_so(caught.value, path)
    check(path, *accepted)
    other.unlink()
    useless = [Path(action.path).name for action in repair_store(path) if action.kind in ("set aside", "left")]
    assert set(useless) <= {".imgstore-index.tmp"}
    check(path, *accepted)
    assert_whole(path)


def assert_whole(path: Path) -> None:
    """Nothing is left over that 0.x or `verify` would stumble over."""
    names = {p.name for p in path.iterdir()}
    assert {name for name in names if name.startswith(".")} <= {".imgstore-index"}
    assert verify_store(path, deep=True) == []

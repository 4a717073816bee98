"""The disk is full: the error says so and names the store, nothing that was accepted is lost, recording can go on."""

from __future__ import annotations

import errno
import os
import subprocess
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scenes import coded_frame, shown_number

import imgstore
from imgstore.repair import repair_store
from imgstore.verify import verify_store

FORMATS = [name for name in imgstore.get_supported_formats() if not name.endswith("+color")]
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
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        pytest.skip("needs root to mount a small file system")
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(place)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"needs the right to mount a small file system ({done.stderr.strip()})")
    try:
        with (place / "ballast").open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, DISK - ROOM)
        yield place
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


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

    def check(self) -> None:
        """See that everything that was accepted is there, and nothing else."""
        with imgstore.new_for_filename(self.path) as reader:
            assert reader.frame_numbers.tolist() == [1000 + k for k in self.frames]
            for k, (img, (number, time)) in zip(self.frames, reader, strict=True):
                assert (number, time, shown_number(img)) == (1000 + k, k / 8, 1000 + k)
            table = reader.get_extra_data()
        assert ([] if table is None else table["value"].tolist()) == self.records


def assert_says_so(error: imgstore.errors.StoreWriteError, path: Path) -> None:
    assert isinstance(error, OSError) and error.errno == errno.ENOSPC
    assert "No space left" in str(error) and str(path) in str(error)


@pytest.mark.parametrize("fmt", FORMATS)
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
    assert_whole(recording)


@pytest.mark.parametrize("fmt", FORMATS)
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
    assert_whole(recording)


def assert_whole(recording: Recording) -> None:
    """Nothing is left over that 0.x or `verify` would stumble over."""
    names = {p.name for p in recording.path.iterdir()}
    assert {name for name in names if name.startswith(".")} <= {".imgstore-index"}
    assert verify_store(recording.path, deep=True) == []

"""Frames that are files: when they are brought to the disk."""

from __future__ import annotations

import os
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from scenes import SHAPE, coded_frame

import imgstore
import imgstore.writing.chunk_files as module
from imgstore.writing.chunk_files import DirectoryChunk

FRAMES = 20


@pytest.fixture
def taken() -> float:
    """Seconds that it takes to bring a file to the disk, by a clock that stands still meanwhile."""
    return 0.01


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch, taken: float) -> list[str]:
    """Names of what is brought to the disk, in order."""
    names: list[str] = []

    def sync_file(path: str) -> None:
        names.append(os.path.basename(path))

    monkeypatch.setattr(module, "sync_file", sync_file)
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: taken * len(names)))
    monkeypatch.setattr(module, "sync_directory", lambda path: names.append(os.path.basename(path)))
    return names


def make_chunk(path: Path) -> DirectoryChunk:
    chunk = DirectoryChunk(str(path / "000000"), ".bin")
    for k in range(FRAMES):
        chunk.add([bytes([k])])
    return chunk


def test_frames_are_synced_and_then_their_directory(tmp_path: Path, synced: list[str]) -> None:
    make_chunk(tmp_path).sync_within(60)
    assert synced == [*(f"{k:06d}.bin" for k in range(FRAMES)), "000000"]


def test_a_disk_that_is_too_slow_is_left_alone_soon(tmp_path: Path, synced: list[str]) -> None:
    make_chunk(tmp_path).sync_within(0.05)
    assert synced == ["000000.bin"]


def test_a_slow_beginning_is_no_reason_to_stop(
    tmp_path: Path, synced: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = iter([0.0, *(0.9 + 0.01 * k for k in range(FRAMES))])
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=ticks.__next__))
    make_chunk(tmp_path).sync_within(10)
    assert len(synced) == FRAMES + 1


@pytest.mark.parametrize(("pause", "taken"), [(0.0, 10.0), (0.03, 0.01)], ids=["faster than the disk", "slower"])
def test_chunks_of_a_recording(tmp_path: Path, synced: list[str], pause: float, taken: float) -> None:
    """At the pace of a camera whatever is complete is on the disk, the last chunk too; else nobody waits for it."""
    with imgstore.new_for_format("npy", tmp_path / "s", imgshape=SHAPE, chunksize=FRAMES) as store:
        for k in range(2 * FRAMES):
            store.add_image(coded_frame(k), k, k / 100)
            time.sleep(pause)
    complete = [f"{k:06d}.npy" for k in range(FRAMES)]
    if pause:
        assert synced == [*complete, "000000", *complete, "000001"]
    else:
        assert len(synced) < FRAMES

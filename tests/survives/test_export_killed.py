"""Exports that are killed, interrupted, or find the disk full: nothing half-done has its name."""

from __future__ import annotations

import errno
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pandas as pd
import pytest
from rounds import long_but
from scenes import HELPERS, INTERRUPTIBLE, WITH_HELPERS, coded_frame
from small_disk import small_disk

import imgstore
from imgstore.errors import StoreLockedError, StoreWriteError
from imgstore.exporting.outputs import temporary_name

PROGRAM = HELPERS / "exporting_until_killed.py"
COUNT = 150
SHAPE = (240, 320)
KINDS = [("mp4", "encode"), ("mkv", "copy"), ("gif", "encode"), ("png", "encode")]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("killed") / "s"
    noise = np.random.default_rng(2).integers(0, 60, SHAPE, dtype=np.uint8)
    with imgstore.new_for_format("avc1/mp4", path, imgshape=SHAPE, chunksize=100, fps=50) as store:
        for k in range(COUNT):
            store.add_image(np.maximum(coded_frame(k, SHAPE), np.roll(noise, k, 0)), k, k / 50)
    return str(path)


def is_whole(out: Path, count: int = COUNT) -> bool:
    """Whether what is there is what belongs there."""
    if out.is_dir():
        return len(list(out.iterdir())) == count
    with av.open(str(out)) as container:
        return sum(1 for packet in container.demux(video=0) if packet.size) == count


@pytest.mark.parametrize("fmt, how", long_but([("mkv", "copy")], KINDS))
@pytest.mark.parametrize("kills", [2, pytest.param(4, marks=pytest.mark.long)])
@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL")
def test_a_kill_leaves_no_half_under_the_name(fmt: str, how: str, kills: int, store: str, tmp_path: Path) -> None:
    out = tmp_path / ("frames" if fmt == "png" else f"clip.{fmt}")
    names = {out.name, f"{out.name}.frames.csv"}
    moments = random.Random(kills)
    for _ in range(kills):
        command = [sys.executable, str(PROGRAM), store, str(out), fmt, how]
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=WITH_HELPERS) as process:
            assert process.stdout is not None and process.stdout.readline()
            time.sleep(moments.uniform(0, 0.15 if how == "copy" else 1.0))
            process.kill()
        there = {path.name for path in tmp_path.iterdir()}
        assert there <= names | {temporary_name(tmp_path / name).name for name in names}
        if out.exists():
            assert is_whole(out)
        if f"{out.name}.frames.csv" in there:
            assert len(pd.read_csv(f"{out}.frames.csv")) == COUNT
    imgstore.export(store, out, format=fmt, copy=how == "copy", overwrite=True)  # type: ignore[arg-type]
    assert {path.name for path in tmp_path.iterdir()} == names and is_whole(out)


@pytest.mark.long
@pytest.mark.skipif(os.name == "nt", reason="signals are not sent to others there")
def test_ctrl_c_leaves_nothing(store: str, tmp_path: Path) -> None:
    out = tmp_path / "clip.mp4"
    command = [sys.executable, "-m", "imgstore", "export", store, str(out), "--scale", "8"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=tmp_path, **INTERRUPTIBLE) as process:
        while not temporary_name(out).exists() or not temporary_name(out).stat().st_size:
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130 and b"Traceback" not in said
    assert not list(tmp_path.iterdir())


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", 1 << 20) as place:
        yield place


@pytest.mark.parametrize("fmt, how", long_but([("mkv", "copy")], KINDS))
def test_a_full_disk_is_told_and_nothing_is_left(fmt: str, how: str, store: str, disk: Path) -> None:
    for room in (200 << 10, 4 << 10):
        with (disk / "ballast").open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, (1 << 20) - room)
        with pytest.raises(StoreWriteError) as caught:
            imgstore.export(store, disk / f"clip.{fmt}", format=fmt, copy=how == "copy")  # type: ignore[arg-type]
        assert caught.value.errno == errno.ENOSPC and f"clip.{fmt}" in str(caught.value)
        assert [path.name for path in disk.iterdir()] == ["ballast"]


@pytest.mark.long
@pytest.mark.skipif(os.name == "nt", reason="there the system itself keeps others away")
def test_two_at_a_time_are_not_mixed(store: str, tmp_path: Path) -> None:
    out = tmp_path / "clip.mp4"
    command = [sys.executable, str(PROGRAM), store, str(out), "mp4", "encode"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=WITH_HELPERS) as process:
        while not temporary_name(out).exists():
            assert process.poll() is None
            time.sleep(0.01)
        with pytest.raises(StoreLockedError, match="another process"):
            imgstore.export(store, out)
        process.wait(timeout=120)
    assert is_whole(out)

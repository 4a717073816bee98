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
from imgstore.exporting.outputs import replaced_name, temporary_name

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
        assert there <= names | {hidden(tmp_path / name).name for name in names for hidden in (temporary_name, replaced_name)}
        if out.exists():
            assert is_whole(out)
        if f"{out.name}.frames.csv" in there:
            assert len(pd.read_csv(f"{out}.frames.csv")) == COUNT
    imgstore.export(store, out, format=fmt, copy=how == "copy", overwrite=True)  # type: ignore[arg-type]
    assert {path.name for path in tmp_path.iterdir()} == names and is_whole(out)


_DIES_WHILE_IT_REMOVES = """
import os, shutil, sys
import imgstore
def remove(path, *rest, **keywords):
    if os.path.basename(path) == sys.argv[3]:
        os.unlink(os.path.join(path, os.listdir(path)[0]))
        os._exit(9)
    return real(path, *rest, **keywords)
real, shutil.rmtree = shutil.rmtree, remove
imgstore.export(sys.argv[1], sys.argv[2], format="png", overwrite=True, step=40)
"""


def test_a_folder_is_replaced_as_a_whole(store: str, tmp_path: Path) -> None:
    """Also where the process dies while it removes the old one; what it leaves is taken away by the next."""
    out = tmp_path / "frames"
    imgstore.export(store, out, format="png", step=50)
    assert is_whole(out, 3)
    for name in (out.name, replaced_name(out).name):
        command = [sys.executable, "-c", _DIES_WHILE_IT_REMOVES, store, str(out), name]
        died = subprocess.run(command, timeout=60, check=False).returncode
        assert (died == 9) == (name != out.name) and is_whole(out, 4)
    assert {path.name for path in tmp_path.iterdir()} > {out.name, replaced_name(out).name}
    imgstore.export(store, out, format="png", overwrite=True, step=30)
    assert {path.name for path in tmp_path.iterdir()} == {out.name, f"{out.name}.frames.csv"} and is_whole(out, 5)


@pytest.mark.skipif(os.name == "nt", reason="links ask for rights there")
def test_a_link_to_a_folder_is_replaced(store: str, tmp_path: Path) -> None:
    """As one to a file is, and what it leads to stays."""
    out, mine = tmp_path / "frames", tmp_path / "mine"
    imgstore.export(store, mine, format="png", step=50)
    out.symlink_to(mine)
    imgstore.export(store, out, format="png", overwrite=True, step=40)
    assert not out.is_symlink() and is_whole(out, 4) and is_whole(mine, 3)
    assert not replaced_name(out).is_symlink()


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

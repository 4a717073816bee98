"""Workers that are processes: they and their master are killed, disks are full, and in the end the store is there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import mapped
import psutil
import pytest
from commands import typed
from mapped import batches_begun, contents, write_source
from scenes import WITH_HELPERS

import imgstore
from imgstore.errors import ArgumentError, UnfinishedStoreError
from imgstore.mapping import map_store, processes
from imgstore.verify import verify_store

COUNT = 57
CHUNKS = 6
PATIENCE = 60.0


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_source(tmp_path_factory.mktemp("source") / "s", "npy", COUNT)


@pytest.fixture(scope="module")
def one(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a single process makes of it."""
    path = tmp_path_factory.mktemp("one") / "d"
    assert typed("save", "--source", source, "--format", "avc1/mp4", "--chunksize", 10, path).returncode == 0
    return path


@pytest.fixture
def marks(tmp_path: Path) -> Path:
    path = tmp_path / "marks"
    path.mkdir()
    return path


def whole_chunks(dest: Path) -> list[str]:
    return sorted(path.name for path in (dest / ".unfinished").glob("??????"))


def wait_until(holds: Callable[[], object]) -> None:
    began = time.monotonic()
    while not holds():
        assert time.monotonic() - began < PATIENCE, "waited for too long"
        time.sleep(0.02)


@pytest.mark.long
def test_a_worker_that_dies_is_replaced(tmp_path: Path, source: Path, one: Path, marks: Path) -> None:
    """What it was at is done again, what was whole is not."""
    function = partial(mapped.kills_its_worker_once, marks)
    keywords = {"format": "avc1/mp4", "chunksize": 10, "batch_size": 10}
    map_store(function, source, tmp_path / "d", workers=processes(2), **keywords)
    assert contents(tmp_path / "d") == contents(one)
    begun = batches_begun(marks)
    assert (marks / "killed").exists() and begun.count(f"{mapped.EPOCH + 1:.3f}") == 2
    assert len(begun) <= 1 + CHUNKS + 2, "both workers may have been at a chunk, and the first frames were looked at"


@pytest.mark.long
def test_a_chunk_that_kills_its_workers(tmp_path: Path, source: Path) -> None:
    """It is named in the end; the others are done."""
    with pytest.raises(UnfinishedStoreError, match="5 of 6 chunks .* chunk 3, frames 30 to 39 .*: the worker died") as failed:
        keywords = {"format": "npy", "chunksize": 10, "batch_size": 10}
        map_store(mapped.kills_its_worker, source, tmp_path / "d", workers=processes(2), **keywords)
    assert [chunk for chunk, _ in failed.value.failures] == [3]
    map_store(None, source, tmp_path / "d", format="npy", chunksize=10, workers=processes(1), overwrite=True)
    assert verify_store(tmp_path / "d", deep=True) == []


def test_the_master_is_killed(tmp_path: Path, source: Path, one: Path, marks: Path) -> None:
    """Its workers end with it; called again, it goes on with the chunks that are missing."""
    dest = tmp_path / "d"
    command = [sys.executable, mapped.__file__, source, dest, "avc1/mp4", "2", marks]
    master = subprocess.Popen(command, env=WITH_HELPERS)
    wait_until(lambda: len(whole_chunks(dest)) >= 2)
    workers = psutil.Process(master.pid).children(recursive=True)
    assert len(workers) >= 2
    master.kill()
    master.wait()
    _, alive = psutil.wait_procs(workers, timeout=PATIENCE)
    assert alive == []
    kept = whole_chunks(dest)
    assert 2 <= len(kept) < CHUNKS and not imgstore.is_imgstore(dest)
    subprocess.run(command, env=WITH_HELPERS, check=True)
    assert contents(dest) == contents(one)
    begun = batches_begun(marks)
    assert [begun.count(f"{mapped.EPOCH + int(chunk) / 3:.3f}") for chunk in kept] == [2 if c == "000000" else 1 for c in kept]
    assert verify_store(dest, deep=True) == [] and not (dest / ".unfinished").exists()


def test_interrupted_by_ctrl_c(tmp_path: Path, source: Path, one: Path) -> None:
    """`imgstore save` ends the chunks that have been begun; the same command makes the rest."""
    dest = tmp_path / "d"
    arguments = ["save", "--source", source, "--format", "avc1/mp4", "--chunksize", "10", "--jobs", "2", dest]
    command = [sys.executable, "-m", "imgstore", *map(str, arguments)]
    saving = subprocess.Popen(command, env=WITH_HELPERS, stderr=subprocess.PIPE, text=True, start_new_session=True)
    wait_until(lambda: whole_chunks(dest) or saving.poll() is not None)
    os.killpg(saving.pid, signal.SIGINT)
    _, told = saving.communicate()
    if saving.returncode:  # it may have been faster
        assert saving.returncode == 130 and "chunks are whole" in told and "it was stopped" in told
        assert "Traceback" not in told
        refused = typed("save", "--source", source, dest)
        assert refused.returncode == 1 and "another store is being made there" in refused.stderr
        result = typed(*arguments)
        assert (result.returncode, result.stdout) == (0, f"saved {COUNT} frames of {source} to {dest}\n"), result.stderr
    assert contents(dest) == contents(one)


def test_functions_that_cannot_be_sent(tmp_path: Path, source: Path) -> None:
    with pytest.raises(ArgumentError, match="cannot be sent to other processes .* at the top of a module"):
        map_store(lambda frames: None, source, tmp_path / "d", format="npy", workers=processes(1))
    assert not (tmp_path / "d").exists()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with room for about half of the store."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        pytest.skip("needs root to mount a small file system")
    place = tmp_path / "disk"
    place.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", place], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"needs the right to mount a small file system ({done.stderr.strip()})")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


def test_a_disk_that_is_full(small_disk: Path, source: Path) -> None:
    """Chunks that had room stay, the others are named, and made when there is room."""
    dest = small_disk / "d"
    with pytest.raises(UnfinishedStoreError, match="No space left on device") as failed:
        map_store(None, source, dest, format="npy", chunksize=10, workers=processes(2))
    kept = whole_chunks(dest)
    assert kept and len(kept) + len(failed.value.failures) == CHUNKS
    assert sorted(path.name for path in (dest / ".unfinished").iterdir()) == [*kept, "metadata.yaml", "plan.json"]
    subprocess.run(["mount", "-o", "remount,size=10m", small_disk], check=True)
    map_store(None, source, dest, format="npy", chunksize=10, workers=processes(2))
    with imgstore.open(source) as given, imgstore.open(dest) as made:
        assert (made[:] == given[:]).all()
    assert verify_store(dest, deep=True) == []

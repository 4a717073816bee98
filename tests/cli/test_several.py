"""Commands on several stores and on folders of them: each is told of, and one that is broken ends no other."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from commands import ELSEWHERE, typed
from scenes import INTERRUPTIBLE, write_store


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three stores: whole, with a frame that is another, and one whose index is torn; and something that is none."""
    for name in ("a", "b", "c"):
        write_store(tmp_path / "all" / name, "png", 12)
    frames = tmp_path / "all" / "b" / "000000"
    (frames / "000003.png").write_bytes((frames / "000004.png").read_bytes())
    index = tmp_path / "all" / "c" / "000001" / "index.npz"
    index.write_bytes(index.read_bytes()[:100])
    (tmp_path / "all" / "notes").mkdir()
    return tmp_path / "all"


@pytest.mark.parametrize("jobs", [1, pytest.param(2, marks=pytest.mark.long)])
def test_verify(folder: Path, jobs: int) -> None:
    done = typed("verify", folder, folder / "none", "--jobs", jobs, "--json")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 1
    assert [(Path(row["path"]).name, row["ok"]) for row in rows] == [("a", True), ("b", False), ("c", False), ("none", False)]
    assert "is no store" in rows[3]["error"] and "none" in done.stderr
    done = typed("verify", folder / "a", folder / "b", "--jobs", jobs)
    assert done.returncode == 1 and "000003.png" in done.stdout and "1 of 2 stores without a fault" in done.stdout
    assert typed("verify", folder / "a", folder / "none").returncode == 2
    assert typed("verify", folder / "a", folder / "a").returncode == 0


def test_a_store_that_was_only_begun_is_told_of(folder: Path) -> None:
    (folder / "d" / ".unfinished").mkdir(parents=True)
    (folder / "d" / ".unfinished" / "metadata.yaml").write_bytes((folder / "a" / "metadata.yaml").read_bytes())
    done = typed("info", folder / "d")
    assert done.returncode == 2 and "imgstore save --resume" in done.stderr
    done = typed("info", folder)
    assert done.returncode == 2 and f"{folder / 'd'}" in done.stderr and "imgstore save --resume" in done.stderr


def test_metadata_that_are_lost_can_be_made(folder: Path) -> None:
    (folder / "a" / "metadata.yaml").unlink()
    done = typed("verify", folder / "a")
    assert done.returncode == 2 and "imgstore repair --make-metadata" in done.stderr
    assert typed("repair", "--make-metadata", folder / "a").returncode == 0


@pytest.mark.parametrize("jobs", [1, pytest.param(2, marks=pytest.mark.long)])
def test_repair(folder: Path, jobs: int) -> None:
    planned = typed("repair", folder, "--dry-run", "--jobs", jobs)
    assert planned.returncode == 1 and "would be whole" in planned.stdout
    done = typed("repair", folder, "--jobs", jobs, "--json")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 1 and [row["ok"] for row in rows[:2]] == [True, False]
    assert rows[2]["ok"] == (typed("verify", folder / "c").returncode == 0)
    assert typed("repair", folder / "a", folder / "c", "--set-aside", folder / "x").returncode == 2
    done = typed("repair", folder / "b", "--accept-frames")
    assert done.returncode == 0 and typed("verify", folder / "b").returncode == 0


@pytest.mark.long
@pytest.mark.skipif(os.name == "nt", reason="signals are not sent to others there")
def test_ctrl_c_ends_all_processes(tmp_path: Path) -> None:
    first = write_store(tmp_path / "all" / "0", "ffv1/mkv", 60, imgshape=(480, 640))
    for k in range(1, 16):  # it is not done before it is interrupted
        shutil.copytree(first, tmp_path / "all" / str(k))
    command = [sys.executable, "-m", "imgstore", "verify", "--deep", "--jobs", "2", str(tmp_path / "all")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ELSEWHERE, **INTERRUPTIBLE) as process:
        parent = psutil.Process(process.pid)
        while len(children := parent.children(recursive=True)) < 3:  # two that work, and one that cleans up after them
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130 and b"Traceback" not in said
    assert psutil.wait_procs(children, timeout=30)[1] == []

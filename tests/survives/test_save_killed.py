"""``imgstore save`` that is killed, or finds the disk full: nothing half-done is a store, and ``--resume`` completes it."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import typed
from mapped import contents, write_source
from rounds import long_but
from scenes import HELPERS, WITH_HELPERS
from small_disk import small_disk

import imgstore
from imgstore.errors import NotAStoreError
from imgstore.repair import repair_store
from imgstore.verify import Fault, check_store

PROGRAM = HELPERS / "saving_until_killed.py"
COUNT = 90
WAYS: dict[str, tuple[str, ...]] = {
    "encoded": ("--format", "mjpeg/avi", "--chunksize", "8"),
    "images": ("--format", "png", "--chunksize", "8", "--scale", "2"),
    "copied": ("--copy",),
    "two jobs": ("--format", "avc1/mp4", "--chunksize", "20", "--jobs", "2"),
}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_source(tmp_path_factory.mktemp("source") / "s", "mjpeg/avi", COUNT, chunksize=10, shape=(120, 160))


@pytest.mark.parametrize("way", long_but(["encoded"], WAYS))
@pytest.mark.parametrize("kills", [1, pytest.param(5, marks=pytest.mark.long)])
@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL")
def test_kills(tmp_path: Path, source: Path, way: str, kills: int) -> None:
    """A store that is there stays until the new one is whole, and that is what it is without a kill."""
    arguments, path = (*WAYS[way], "--overwrite"), tmp_path / "s"
    assert typed("save", source, tmp_path / "unkilled", *arguments).returncode == 0
    expected = contents(tmp_path / "unkilled")
    with imgstore.new_for_format("npy", path, imgshape=(4, 4)) as store:
        store.add_image(np.full((4, 4), 9, np.uint8), 77, 0.0)
    moments = random.Random(kills)
    for _ in range(kills):
        command = [sys.executable, str(PROGRAM), str(source), str(path), *arguments, "--resume"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=WITH_HELPERS) as process:
            assert process.stdout is not None and process.stdout.readline()
            time.sleep(moments.uniform(0, 2 if way == "two jobs" else 0.6))
            process.kill()
        if not (path / "metadata.yaml").exists():  # it is in the midst of taking the other's place
            with pytest.raises(NotAStoreError, match="--resume, completes it"):
                imgstore.open(path)
            continue
        with imgstore.open(path) as store:
            if store.frame_count == 1:
                assert (store.frame_numbers.tolist(), store[0].tolist()) == ([77], [[9] * 4] * 4)
            else:
                assert store.frame_count == COUNT
        if contents(path) == expected:
            assert faults(path) == []
    begun = mapping_note(path)
    if begun:
        done = typed("save", "--resume", path)
        assert done.returncode == 0, done.stderr
    elif imgstore.open(path).frame_count == 1:
        assert typed("save", source, path, *arguments).returncode == 0
    assert contents(path) == expected
    assert faults(path) == []
    repair_store(path)
    assert not check_store(path).faults and not (path / ".unfinished").exists()


def faults(path: Path) -> list[Fault]:
    """What is wrong with a store, but for what is left by a process that was killed when all was done but to tidy up."""
    return [fault for fault in check_store(path).faults if fault.kind != "lock" and not fault.path.endswith(".unfinished")]


OF_GROUPS: dict[str, tuple[str, ...]] = {
    "in step": ("--format", "mjpeg/avi", "--chunksize", "8"),
    "side by side": ("--side-by-side", "--format", "mjpeg/avi", "--chunksize", "8", "--missing", "hold"),
    "in step, many files": ("--format", "png", "--chunksize", "2", "--missing", "drop"),
    "in step, two jobs": ("--format", "mjpeg/avi", "--chunksize", "20", "--jobs", "2", "--missing", "black"),
}


@pytest.fixture(scope="module")
def cameras(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("cameras")
    wide = write_source(folder / "wide", "mjpeg/avi", COUNT, chunksize=10, shape=(120, 160))
    return [wide, write_source(folder / "narrow", "mjpeg/avi", COUNT - 20, chunksize=10, shape=(80, 48, 3))]


@pytest.mark.parametrize("way", long_but(["in step"], OF_GROUPS))
@pytest.mark.parametrize("kills", [1, pytest.param(3, marks=pytest.mark.long)])
@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL")
def test_kills_of_a_group(tmp_path: Path, cameras: list[Path], way: str, kills: int) -> None:
    """Each store that is there stays until all new ones are whole, and they are what they are without a kill."""
    arguments, dest = ("--group", *OF_GROUPS[way], "--overwrite"), tmp_path / "d"
    assert typed("save", *cameras, tmp_path / "unkilled", *arguments).returncode == 0
    names = [""] if "--side-by-side" in arguments else ["wide", "narrow"]
    expected = [contents(tmp_path / "unkilled" / name) for name in names]
    for name in names:
        with imgstore.new_for_format("npy", dest / name, imgshape=(4, 4)) as store:
            store.add_image(np.full((4, 4), 9, np.uint8), 77, 0.0)
    old, moments = [contents(dest / name) for name in names], random.Random(kills)
    for _ in range(kills):
        command = [sys.executable, str(PROGRAM), *map(str, cameras), str(dest), *arguments, "--resume"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=WITH_HELPERS) as process:
            assert process.stdout is not None and process.stdout.readline()
            time.sleep(moments.uniform(0, 2.5 if "--jobs" in arguments else 0.8))
            process.kill()
        found = [contents(dest / name) if imgstore.is_imgstore(dest / name) else None for name in names]
        for there, before, new in zip(found, old, expected, strict=True):
            assert there in (None, before, new)
        if any(there != before for there, before in zip(found, old, strict=True)):  # the chunks of all are there
            assert all(there == new or (dest / name / ".unfinished").exists()
                       for name, there, new in zip(names, found, expected, strict=True))  # fmt: skip
    if any((dest / name / ".unfinished" / "plan.json").exists() for name in names):
        done = typed("save", "--resume", dest)
        assert done.returncode == 0, done.stderr
    elif contents(dest / names[0]) == old[0]:
        assert typed("save", *cameras, dest, *arguments).returncode == 0
    for name, new in zip(names, expected, strict=True):
        assert contents(dest / name) == new
        assert faults(dest / name) == []
        assert not (dest / name / ".unfinished" / "plan.json").exists()


def mapping_note(path: Path) -> Any:
    from imgstore.mapping import read_note

    return read_note(path)


@pytest.mark.parametrize("way", long_but(["encoded"], ["encoded", "images", "copied"]))
@pytest.mark.parametrize("room", long_but([100], [0, 4, 20, 60, 100, 150]))
def test_a_full_disk(tmp_path: Path, source: Path, way: str, room: int) -> None:
    size = 1 << 20
    arguments = WAYS[way]
    assert typed("save", source, tmp_path / "unhindered", *arguments).returncode == 0
    with small_disk(tmp_path / "disk", size) as disk:
        with (disk / "ballast").open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, size - (room << 10))
        done = typed("save", source, disk / "s", *arguments)
        assert done.returncode == 1, done
        assert "No space left" in done.stderr and done.stderr.count("\n") == 1, done.stderr
        assert "[Errno" not in done.stderr, done.stderr
        assert not imgstore.is_imgstore(disk / "s")
        (disk / "ballast").unlink()
        done = typed("save", source, disk / "s", *arguments, "--resume")
        assert done.returncode == 0, done.stderr
        assert contents(disk / "s") == contents(tmp_path / "unhindered")


def test_overwriting_that_fails_leaves_the_old_store(tmp_path: Path, source: Path) -> None:
    (tmp_path / "mine.py").write_text("def f(img, number, time):\n    assert number < 150\n    return img\n")
    old = write_source(tmp_path / "s", "npy", 5)
    before = contents(old)
    words = "save", source, old, "--format", "png", "--chunksize", 10, "--with", f"{tmp_path}/mine.py:f"
    refused = typed(*words)
    assert refused.returncode == 1 and "give --overwrite to replace it" in refused.stderr
    failed = typed(*words, "--overwrite")
    assert failed.returncode == 1 and "frame number 150: AssertionError" in failed.stderr
    assert contents(old) == before
    (tmp_path / "mine.py").write_text("def f(img, number, time):\n    return img\n")
    assert typed(*words, "--overwrite").returncode == 0
    with imgstore.open(old) as store, imgstore.open(source) as wanted:
        assert store.format == "png" and store.origin == [wanted.uuid]
        np.testing.assert_array_equal(store[:], wanted[:])


def test_there_is_nothing_to_resume(tmp_path: Path, source: Path) -> None:
    absent = typed("save", "--resume", tmp_path / "nowhere")
    assert absent.returncode == 1 and "nothing was begun there" in absent.stderr
    whole = typed("save", "--resume", source)
    assert whole.returncode == 0 and f"is whole already: {COUNT} frames" in whole.stdout


def test_another_store_is_begun_there(tmp_path: Path, source: Path) -> None:
    (tmp_path / "mine.py").write_text("def f(img, number, time):\n    assert number < 150\n    return img\n")
    words = "save", source, tmp_path / "s", "--format", "npy", "--chunksize", 10
    assert typed(*words, "--with", f"{tmp_path}/mine.py:f").returncode == 1
    other = typed(*words)
    assert other.returncode == 1 and "of another" in other.stderr and "give --overwrite to begin anew" in other.stderr
    assert typed(*words, "--overwrite").returncode == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ["save", "{source}", "{dest}", "--with", "{evil}:f"],
        ["save", "{source}", "{dest}", "--copy", "--files", "move"],
        ["save", "{source}", "{dest}", "--cluster", "tcp://127.0.0.1:9"],
        ["save", "{source}", "{other}", "--overwrite"],
        ["save", "0", "{dest}"],
        ["save", "--resume", "{dest}"],
        ["save", "--no-such-option"],
        [],
        "no list",
    ],
)
def test_a_folder_that_means_harm_is_not_obeyed(tmp_path: Path, source: Path, arguments: Any) -> None:
    """What is in `.unfinished` may be somebody else's: it runs nothing, removes nothing, and nothing is written elsewhere."""
    dest, other, evil = tmp_path / "d", tmp_path / "other", tmp_path / "d" / "evil.py"
    (dest / ".unfinished").mkdir(parents=True)
    shutil.copytree(source, other)
    evil.write_text(f"open({str(tmp_path / 'has-run')!r}, 'w')\ndef f(img): return img\n")
    names = {"source": source, "dest": dest, "other": other, "evil": evil}
    told = [word.format(**names) for word in arguments[1:]] if isinstance(arguments, list) else arguments
    plan = {"note": {"arguments": told, "folder": str(tmp_path)}}
    (dest / ".unfinished" / "plan.json").write_text(json.dumps(plan))
    before = contents(other)
    done = typed("save", "--resume", dest)
    assert done.returncode == 1 and "give the same command once more" in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "has-run").exists() and contents(other) == before
    assert imgstore.is_imgstore(source) and not imgstore.is_imgstore(dest)

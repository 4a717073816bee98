"""Recording over a store, killed at each step: what is there is the old store, or the new one, or none, and never half of one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import typed
from overwriting_until_killed import COUNT, FIRST, overwrite
from rounds import long_but
from scenes import HELPERS, SHAPE, WITH_HELPERS, coded_frame, shown_number

import imgstore
from imgstore.errors import ImgStoreError, NotAStoreError, StoreExistsError
from imgstore.mapping import here, map_store
from imgstore.verify import check_store

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
OLD = 9  # frames, in three chunks
MARKER = "metadata.yaml.replaced"
PAIRS = [("npy", "mjpeg/avi"), ("mjpeg/avi", "npy"), ("png", "png"), ("avc1/mp4", "avc1/mp4")]
Overwriting = Callable[[Path, str, int], bool]


@pytest.fixture(scope="module")
def overwriting() -> Iterator[Overwriting]:
    """Record over a store and be killed before a step; return whether it ended before that."""
    command = [sys.executable, str(HELPERS / "overwriting_until_killed.py")]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=WITH_HELPERS, text=True
    ) as process:
        assert process.stdin is not None and process.stdout is not None

        def overwriting(path: Path, fmt: str, step: int) -> bool:
            assert process.stdin is not None and process.stdout is not None
            process.stdin.write(json.dumps([str(path), fmt, step]) + "\n")
            process.stdin.flush()
            return bool(json.loads(process.stdout.readline()))

        yield overwriting
        process.stdin.close()


def write_old(path: Path, fmt: str) -> Path:
    """Write a store with all that may be beside its frames, and a file of somebody's."""
    with imgstore.new_for_format(fmt, path, imgshape=SHAPE, chunksize=3) as store:
        for k in range(OLD):
            store.add_image(coded_frame(100 + k), 100 + k, 1000 + k / 4)
            store.add_extra_data(value=k)
    with imgstore.new_for_filename(path) as store:
        store.save_index()
    rows = {"frame_number": [103], "frame_time": [1000.75], "frame_index": [3], "x": [1]}
    (path / "000001.extra_data.json").write_text(json.dumps(rows))
    (path / "notes.txt").write_text("mine")
    return path


def frames(path: Path) -> list[tuple[int, int, float]]:
    with imgstore.new_for_filename(path) as store:
        return [(shown_number(img), number, seconds) for img, (number, seconds) in store]


OLD_FRAMES = [(100 + k, 100 + k, 1000 + k / 4) for k in range(OLD)]
NEW_FRAMES = [(FIRST + k, FIRST + k, 2000 + k / 4) for k in range(COUNT)]


def names(path: Path) -> list[str]:
    return sorted(str(p.relative_to(path)) for p in path.rglob("*"))


@pytest.mark.parametrize(
    ("before", "fmt", "every"),
    [(*PAIRS[0], 8), *long_but((), [(*PAIRS[0], 1), *((*pair, 2) for pair in PAIRS[1:])])],
)
def test_each_step(tmp_path: Path, overwriting: Overwriting, before: str, fmt: str, every: int) -> None:
    old = write_old(tmp_path / "old", before)
    overwrite(str(shutil.copytree(old, tmp_path / "unkilled")), fmt)
    expected = names(tmp_path / "unkilled")
    assert set(names(old)) - {"metadata.yaml", "notes.txt"} > {".imgstore-index", ".index.sqlite", "000001.extra_data.json"}
    seen: set[str] = set()
    for step in range(1, 1000, every):
        path = tmp_path / str(step)
        shutil.copytree(old, path)
        if overwriting(path, fmt, step):
            assert frames(path) == NEW_FRAMES and names(path) == expected
            break
        if (path / "metadata.yaml").exists():
            found = frames(path)
            kind = "old" if found == OLD_FRAMES else "new"
            assert kind == "old" or found == NEW_FRAMES[: len(found)], step
            if kind == "old":
                assert len(imgstore.new_for_filename(path).get_extra_records()) > 0
        else:
            kind = "marked" if (path / MARKER).exists() else "none"
            assert_no_store(path, kind == "marked")
        seen.add(kind)
        if kind == "marked":
            keep_what_is_left(path, tmp_path / f"{step}-kept")
        if kind == "none":
            assert names(path) in ([".lock", "notes.txt"], [".lock", ".metadata.yaml.tmp", "notes.txt"])
        else:
            there = names(path)
            with pytest.raises(StoreExistsError, match="overwrite=True"):
                imgstore.new_for_format(fmt, path, imgshape=SHAPE)
            assert names(path) == there
        if step % 2 and not overwriting(path, fmt, 4):  # killed once more
            assert kind != "marked" or not imgstore.is_imgstore(path)
        overwrite(str(path), fmt)
        assert frames(path) == NEW_FRAMES and names(path) == expected, step
        assert check_store(path).faults == [], step
        for each in tmp_path.glob(f"{step}*"):
            shutil.rmtree(each)
    else:
        pytest.fail("it never ended")
    assert seen >= {"old", "marked", "new"}
    assert every > 1 or "none" in seen


def assert_no_store(path: Path, marked: bool) -> None:
    """See that whoever opens it is told so, and what to do."""
    told = f"overwrite it once more, or, to keep what is left, rename {MARKER} to metadata.yaml" if marked else "no store"
    assert not imgstore.is_imgstore(path)
    with pytest.raises(NotAStoreError, match=told):
        imgstore.new_for_filename(path)
    with pytest.raises(NotAStoreError, match=told):
        imgstore.new_for_filename(path, mode="a")
    with pytest.raises(ImgStoreError, match=told if marked else "no image"):
        imgstore.open(path)


def keep_what_is_left(path: Path, kept: Path) -> None:
    """Do what the error says."""
    shutil.copytree(path, kept)
    (kept / ".lock").unlink()
    (kept / MARKER).rename(kept / "metadata.yaml")
    assert typed("repair", kept).returncode in (0, 1)  # frames whose files are gone are left
    with imgstore.new_for_filename(kept) as store:
        for k in range(store.frame_count):
            try:
                img, (number, seconds) = store.get_image(None, frame_index=k)
            except ImgStoreError:
                continue
            assert (shown_number(img), number, seconds) in OLD_FRAMES


@pytest.fixture
def half(tmp_path: Path) -> Path:
    """Return a store of which a chunk has been removed, as the writer that was to replace it was killed."""
    path = write_old(tmp_path / "half", "mjpeg/avi")
    (path / "metadata.yaml").rename(path / MARKER)
    for name in ("000000.avi", "000000.npz"):
        (path / name).unlink()
    return path


@pytest.mark.parametrize("command", ["info", "verify", "repair", "view", "export", "repair --make-metadata", "save"])
def test_commands_say_in_one_line_what_it_is(tmp_path: Path, half: Path, command: str) -> None:
    before = names(half)
    done = typed(*command.split(), half, *([tmp_path / "out"] if command in ("export", "save") else []))
    assert done.returncode == 2 and done.stdout == "" and done.stderr.count("\n") == 1, done
    assert f"one is being replaced there, or was when that was interrupted: overwrite it once more, or, to keep what is left," \
           f" rename {MARKER} to metadata.yaml and repair that" in done.stderr  # fmt: skip
    assert "--make-metadata" not in done.stderr
    assert names(half) == before and not (tmp_path / "out").exists()


def test_among_others_it_is_not_left_out(tmp_path: Path, half: Path) -> None:
    write_old(tmp_path / "whole", "npy")
    done = typed("verify", tmp_path)
    assert done.returncode == 2 and str(half) in done.stderr and "overwrite it once more" in done.stderr


def test_saving_over_it(tmp_path: Path, half: Path) -> None:
    source = write_old(tmp_path / "source", "png")
    refused = typed("save", source, half, "--format", "npy")
    assert refused.returncode == 1 and "give --overwrite to replace that too" in refused.stderr, refused
    with pytest.raises(StoreExistsError, match="overwrite=True"):
        map_store(None, source, half, format="npy", workers=here())
    resumed = typed("save", "--resume", half)
    assert resumed.returncode == 1 and "give the same command once more" in resumed.stderr
    assert typed("save", source, half, "--format", "npy", "--overwrite").returncode == 0
    assert frames(half) == OLD_FRAMES and check_store(half).faults == []
    assert not [name for name in names(half) if name.endswith((".avi", ".replaced"))]


def test_a_marker_beside_metadata_is_nothing(half: Path) -> None:
    """Somebody has put metadata there again: what there is is a store."""
    shutil.copy(half / MARKER, half / "metadata.yaml")
    assert frames(half) == OLD_FRAMES[3:]
    with pytest.raises(StoreExistsError, match="there is a store already"):
        imgstore.new_for_format("npy", half, imgshape=SHAPE)
    overwrite(str(half), "npy")
    assert frames(half) == NEW_FRAMES and not (half / MARKER).exists()


# -- beside a store that is being made of others -------------------------------------------------------------------------


def begin(dest: Path, source: Path) -> None:
    """Have all chunks but one made."""

    def fails(images: Any, metadata: Any) -> Any:
        if metadata.frame_numbers[0] == 106:
            raise RuntimeError("not now")
        return images

    with pytest.raises(ImgStoreError, match="2 of 3 chunks"):
        map_store(fails, source, dest, format="npy", chunksize=3, workers=here(), overwrite=True)


@pytest.mark.parametrize("state", ["begun", "old store", "half removed"])
def test_no_recording_where_a_store_is_being_made(tmp_path: Path, half: Path, state: str) -> None:
    """It would be removed when that is completed."""
    path = {"begun": tmp_path / "new", "old store": write_old(tmp_path / "s", "npy"), "half removed": half}[state]
    begin(path, write_old(tmp_path / "source", "png"))
    before = names(path)
    for options in ({}, {"overwrite": True}):
        with pytest.raises(StoreExistsError, match="imgstore save --resume .* completes; remove .*unfinished to give it up"):
            imgstore.new_for_format("npy", path, imgshape=SHAPE, **options)  # type: ignore[arg-type]
    assert names(path) == before
    shutil.rmtree(path / ".unfinished")
    overwrite(str(path), "npy")
    assert frames(path) == NEW_FRAMES


@pytest.mark.parametrize("state", ["begun", "chunks in place", "half removed"])
def test_no_metadata_are_made_of_a_part(tmp_path: Path, half: Path, state: str) -> None:
    path = half if state == "half removed" else tmp_path / "new"
    begin(path, write_old(tmp_path / "source", "png"))
    if state == "chunks in place":
        (path / ".unfinished" / "000000" / "000000").rename(path / "000000")
    before = names(path)
    for more in ([], ["--dry-run"]):
        done = typed("repair", "--make-metadata", path, *more)
        assert done.returncode == 2 and done.stderr.count("\n") == 1, done
        assert "imgstore save --resume, completes it; to have one of the chunks that are in place" in done.stderr
        assert f"remove {path / '.unfinished'} first" in done.stderr
    plain = typed("repair", path)
    assert plain.returncode == 2 and "--make-metadata" not in plain.stderr
    assert names(path) == before
    shutil.rmtree(path / ".unfinished")
    done = typed("repair", "--make-metadata", path)
    if state == "chunks in place":
        assert done.returncode == 0 and frames(path) == OLD_FRAMES[:3]
    else:
        told = f"rename {MARKER}" if state == "half removed" else "no chunks to make one from"
        assert done.returncode == 2 and told in done.stderr


def test_chunks_of_another_that_are_in_place_are_not_taken_for_new_ones(tmp_path: Path) -> None:
    """One store was killed while its chunks were moved; another, with fewer, is made there in its place."""
    path, source = tmp_path / "new", write_old(tmp_path / "source", "png")
    begin(path, source)
    for name in ("000000", "000001"):
        (path / ".unfinished" / name / name).rename(path / name)
    with pytest.raises(StoreExistsError, match="metadata.yaml is missing; 'imgstore save --resume .*completes it"):
        map_store(None, source, path, format="npy", chunksize=20, workers=here(), overwrite=True)
    assert not imgstore.is_imgstore(path) and (path / ".unfinished" / "plan.json").exists()


def test_an_old_file_that_cannot_be_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_old(tmp_path / "s", "npy")
    unlink = os.unlink

    def refuse(name: Any, *args: Any, **kwargs: Any) -> None:
        if Path(os.fsdecode(name)).name == "000001.extra_data.json":
            raise PermissionError(13, "Permission denied", str(name))
        unlink(name, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", refuse)
        with pytest.raises(ImgStoreError, match=r"cannot be removed.*000001\.extra_data\.json"):
            overwrite(str(path), "npy")
    assert (path / MARKER).exists() and not (path / ".lock").exists() and not imgstore.is_imgstore(path)
    overwrite(str(path), "npy")
    assert frames(path) == NEW_FRAMES
    with imgstore.new_for_filename(path) as store:
        assert np.array_equal(store[0], coded_frame(FIRST))


def test_what_a_kill_left_of_a_work_directory_is_in_nobodys_way(tmp_path: Path) -> None:
    """Its plan goes first: without that there is nothing to complete."""
    path = write_old(tmp_path / "s", "npy")
    (path / ".unfinished" / "000003").mkdir(parents=True)
    overwrite(str(path), "npy")
    assert frames(path) == NEW_FRAMES

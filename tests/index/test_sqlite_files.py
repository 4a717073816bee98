"""SQLite indexes in a store, of 0.x and of the fork: other programs go by them, so they say what the chunks say, or are gone."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from scenes import SHAPE, coded_frame

import imgstore
from imgstore.index import ImgStoreIndex
from imgstore.repair import repair_store
from imgstore.verify import verify_store

NAMES = (".index.sqlite", "index.db")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Make a store with both indexes, of 25 frames in three chunks; no word of it says that it was the fork's."""
    path = tmp_path / "s"
    add(path, range(25))
    with imgstore.new_for_filename(path) as store:
        for name in NAMES:
            store.save_index(path / name)
    assert listed(path) == [list(range(25))] * 2
    return path


def add(path: Path, numbers: range, **keywords: bool) -> None:
    if path.exists() and not keywords:
        store = imgstore.new_for_filename(path, mode="a")
    else:
        store = imgstore.new_for_format("npy", path, imgshape=SHAPE, chunksize=10, **keywords)
    with store:
        for number in numbers:
            store.add_image(coded_frame(number), number, float(number))


def listed(path: Path) -> list[list[int]]:
    """Return the frame numbers by each index that is there."""
    indexes = [ImgStoreIndex.new_from_file(path / name) for name in NAMES if (path / name).exists()]
    return [index.get_all_metadata()["frame_number"] for index in indexes]


def make_own_database(path: Path) -> bytes:
    """Put in place of ``index.db`` a file of the user's, which has nothing to do with it."""
    (path / "index.db").unlink()
    with closing(sqlite3.connect(path / "index.db")) as db, db:
        db.execute("CREATE TABLE animals (name TEXT)")
    return (path / "index.db").read_bytes()


def test_a_store_in_its_place_has_none(path: Path) -> None:
    add(path, range(500, 510), overwrite=True)
    assert listed(path) == []
    assert not {*NAMES} & {p.name for p in path.iterdir()}


def test_emptied(path: Path) -> None:
    with imgstore.new_for_filename(path, mode="a") as store:
        store.empty()
    assert listed(path) == []


def test_they_list_what_was_added(path: Path) -> None:
    add(path, range(25, 40))
    assert listed(path) == [list(range(40))] * 2
    assert verify_store(path) == []


def test_reindexed(path: Path) -> None:
    add(path, range(500, 510), overwrite=True)
    add(path, range(3))
    with imgstore.new_for_filename(path) as store:
        for name in NAMES:
            store.save_index(path / name)
        store.reindex()
    assert listed(path) == [[*range(-10, 3)]] * 2
    assert verify_store(path) == []


@pytest.mark.parametrize("name", NAMES)
def test_one_that_is_stale_is_told_of_and_made_anew(path: Path, name: str) -> None:
    before = (path / name).read_bytes()
    add(path, range(25, 30))
    (path / name).write_bytes(before)
    assert [(fault.kind, Path(fault.path).name) for fault in verify_store(path)] == [("sqlite index", name)]
    assert [(action.kind, Path(action.path).name) for action in repair_store(path)] == [("sqlite index", name)]
    assert listed(path) == [list(range(30))] * 2
    assert verify_store(path) == []


def test_the_fork_s_own_counts_frames(samples: Path, tmp_path: Path) -> None:
    """In the place of their numbers, which is no fault; numbers of a chunk that has lost them are not taken from there."""
    path = shutil.copytree(samples / "fork-two-cameras" / "lateral", tmp_path / "lateral")
    with imgstore.new_for_filename(path) as store:
        assert store.frame_numbers[-1] == 59
    before = (path / "index.db").read_bytes()
    assert listed(path) == [list(range(44))]
    assert verify_store(path) == []
    assert repair_store(path) == [] and (path / "index.db").read_bytes() == before
    (path / "000001.npz").unlink()
    assert [action.kind for action in repair_store(path) if action.chunk == 1] == ["left"]


def test_a_user_s_own_database_is_left(path: Path) -> None:
    mine = make_own_database(path)
    add(path, range(25, 40))
    with imgstore.new_for_filename(path) as store:
        store.reindex()
    shutil.rmtree(path / "000001")
    repair_store(path)
    assert verify_store(path) == []
    add(path, range(500, 510), overwrite=True)
    assert (path / "index.db").read_bytes() == mine

"""The user's metadata: what a store gives out cannot be changed without anyone hearing of it, and there is a way to change it."""

from __future__ import annotations

import copy
import datetime
import json
import os
import pickle
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from scenes import SHAPE, coded_frame, write_store

import imgstore
from imgstore.disk.update_metadata import accepted_checksums
from imgstore.errors import ArgumentError, ImgStoreError, ReadOnlyError, StoreLockedError
from imgstore.repair import repair_store
from imgstore.verify import check_store

NESTED = {
    "animal": "fly 12", "weights": [1.5, [2, 3]], "rig": {"cameras": ["a", "b"], "lens": {"mm": 35}}, "empty": {}, "none": None,
    "day": datetime.date(2024, 1, 31), "tags": {"x", "y"}, 7: "number", "raw": b"\0\1",
}  # fmt: skip


@pytest.mark.parametrize("mode", ["r", "a", "w"])
def test_it_cannot_be_changed_in_silence(tmp_path: Path, mode: str) -> None:
    path = write_store(tmp_path / "s", "npy", 3, metadata=NESTED)
    options = {"format": "npy", "imgshape": SHAPE, "metadata": NESTED, "overwrite": True} if mode == "w" else {}
    with imgstore.new_for_filename(path, mode=mode, **options) as store:
        found = store.user_metadata
        changes = [
            "found['animal'] = 3", "del found['animal']", "found.update(a=1)", "found.pop('animal')", "found.clear()",
            "found.popitem()", "found.setdefault('new', 1)", "found |= {'a': 1}", "found['rig']['lens']['mm'] = 50",
            "found['weights'].append(3)", "found['weights'][1].extend([3])", "found['weights'][0] = 2",
            "found['weights'] += [1]", "found['rig']['cameras'].sort()", "del found['weights'][0]",
            "found['weights'] *= 2", "found['rig']['cameras'].insert(0, 'c')", "store.user_metadata['x'] = 1",
        ]  # fmt: skip
        for change in changes:
            with pytest.raises(ReadOnlyError, match="update_metadata"):
                exec(change, {"found": found, "store": store})
        with pytest.raises(AttributeError):
            found["tags"].add("z")
        assert store.user_metadata == NESTED
    assert imgstore.new_for_filename(path).user_metadata == NESTED


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters(codec="latin-1")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=3), inner, max_size=3),
    max_leaves=10,
)


@settings(deadline=None, max_examples=60)
@given(st.dictionaries(st.text("abcd", min_size=1, max_size=4), plain, max_size=4))
def test_it_is_an_ordinary_dict_to_others(values: dict[str, Any]) -> None:
    from imgstore.store.read_only import read_only

    found = read_only(values)
    assert isinstance(found, dict) and found == values and values == found and dict(found) == {**found} == values
    assert json.dumps(found) == json.dumps(values) and repr(found) == repr(values)
    for dumper in (yaml.SafeDumper, yaml.Dumper, getattr(yaml, "CSafeDumper", yaml.SafeDumper)):
        assert yaml.dump(found, Dumper=dumper) == yaml.dump(values, Dumper=dumper)
    for mine in (found.copy(), copy.copy(found), copy.deepcopy(found), pickle.loads(pickle.dumps(found)), found | {}):
        assert mine == values and type(mine) is dict
        mine["new"] = 1
    for value in found.copy().values():
        if isinstance(value, list):
            value.append(1)
        elif isinstance(value, dict):
            value["new"] = 1
    assert found == values and list(found.items()) == list(values.items())


def test_it_goes_into_another_store(tmp_path: Path) -> None:
    with imgstore.new_for_filename(write_store(tmp_path / "s", "npy", 1, metadata=NESTED)) as store:
        write_store(tmp_path / "t", "npy", 1, metadata=store.user_metadata)
        assert imgstore.new_for_filename(tmp_path / "t").user_metadata == NESTED == store.user_metadata
        assert yaml.safe_dump(store.user_metadata["tags"]) == yaml.safe_dump(NESTED["tags"])
        assert type(copy.deepcopy(store.user_metadata)["tags"]) is set


@pytest.mark.parametrize("fmt", ["npy", "mjpeg/avi"])
def test_updating(tmp_path: Path, fmt: str) -> None:
    path = write_store(tmp_path / "s", fmt, 25, metadata=NESTED)
    before = {p: p.read_bytes() for p in Path(path).rglob("*") if p.is_file() and p.name != "metadata.yaml"}
    imgstore.update_metadata(path, {"animal": np.int64(13), "new": [1, 2], "gone": 1})
    imgstore.update_metadata(os.path.join(path, "metadata.yaml"), {}, remove=["gone", 7])
    expected = {**NESTED, "animal": 13, "new": [1, 2]}
    del expected[7]
    with imgstore.new_for_filename(path) as store:
        assert store.user_metadata == expected
        assert [number for _, (number, _) in store] == list(range(100, 125))
    assert {p: p.read_bytes() for p in Path(path).rglob("*") if p.is_file() and p.name != "metadata.yaml"} == before
    assert not (tmp_path / "s" / ".lock").exists()
    assert check_store(path, deep=True).faults == [] and repair_store(path) == []
    with imgstore.new_for_filename(path, mode="a") as store:
        store.add_image(coded_frame(125), 125, 1012.5)
    imgstore.update_metadata(path, {"animal": 14})
    assert check_store(path).faults == []
    # what is no update is damage, as before
    metadata = tmp_path / "s" / "metadata.yaml"
    metadata.write_bytes(metadata.read_bytes().replace(b"animal: 14", b"animal: 15"))
    assert [fault.kind for fault in check_store(path).faults] == ["metadata"]
    assert len(repair_store(path, accept_metadata=True)) > 0
    assert check_store(path).faults == []


def test_updating_to_the_same_writes_nothing(tmp_path: Path) -> None:
    path = write_store(tmp_path / "s", "npy", 1, metadata={"a": 1})
    before = (tmp_path / "s" / "metadata.yaml").read_bytes()
    imgstore.update_metadata(path, {"a": 1})
    assert (tmp_path / "s" / "metadata.yaml").read_bytes() == before
    imgstore.update_metadata(path, {"a": True})
    assert imgstore.new_for_filename(path).user_metadata["a"] is True


def test_many_updates_do_not_add_up(tmp_path: Path) -> None:
    path = write_store(tmp_path / "s", "npy", 25)
    for k in range(150):
        imgstore.update_metadata(path, {"k": k})
    assert len(accepted_checksums(path)) < 70 and check_store(path).faults == []


def test_updates_that_are_refused_change_nothing(tmp_path: Path) -> None:
    path = write_store(tmp_path / "s", "npy", 3, metadata={"a": 1})
    before = (tmp_path / "s" / "metadata.yaml").read_bytes()
    for values, remove in (
        ({"__store": {}}, ()),
        ({"a": object()}, ()),
        ({}, ["b"]),
        ({"b": 1}, ["b"]),
        ({}, ["__store"]),
    ):
        with pytest.raises(ArgumentError):
            imgstore.update_metadata(path, values, remove=remove)
    with pytest.raises(ArgumentError):
        imgstore.update_metadata(path, [("a", 1)])  # type: ignore[arg-type]
    with imgstore.new_for_filename(path, mode="a"), pytest.raises(StoreLockedError):
        imgstore.update_metadata(path, {"a": 2})
    with pytest.raises(ImgStoreError):
        imgstore.update_metadata(tmp_path / "nothing", {"a": 2})
    assert (tmp_path / "s" / "metadata.yaml").read_bytes() == before and not (tmp_path / "nothing").exists()


@pytest.mark.skipif(os.name == "nt", reason="needs the permissions of POSIX")
def test_permissions_stay(tmp_path: Path) -> None:
    path = write_store(tmp_path / "s", "npy", 1)
    metadata = tmp_path / "s" / "metadata.yaml"
    metadata.chmod(0o664)
    imgstore.update_metadata(path, {"a": 1})
    assert metadata.stat().st_mode & 0o777 == 0o664


KILLED = """
import itertools, sys, imgstore
for k in itertools.count():
    imgstore.update_metadata(sys.argv[1], {"k": k, "long": "x" * 10000})
    print(k, flush=True)
"""


def test_killed_between_it_is_the_old_or_the_new(tmp_path: Path) -> None:
    path = write_store(tmp_path / "s", "npy", 3, metadata={"k": -1})
    for round in range(3):
        process = subprocess.Popen([sys.executable, "-c", KILLED, path], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        told = process.stdout.readline()
        time.sleep(0.003 * round)
        process.kill()
        told = ([told, *process.stdout.readlines()])[-1]
        process.wait()
        process.stdout.close()
        with imgstore.new_for_filename(path) as store:
            assert store.user_metadata["k"] - int(told) in (0, 1)
        imgstore.update_metadata(path, {}, break_lock=True)
    assert [fault.kind for fault in check_store(path).faults] in ([], ["stray"])

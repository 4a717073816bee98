"""The index of a chunk says what its store is, as that of 0.x did, for programs that read single chunks."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from scenes import SHAPE, coded_frame

import imgstore
from imgstore.disk.store_arrays import STORE_NAMES, store_arrays
from imgstore.repair import repair_store
from imgstore.verify import verify_store


def indexes(path: Path) -> list[Path]:
    return sorted(path.rglob("*.npz"))


def say_what_the_store_is(path: Path) -> None:
    values = yaml.safe_load((path / "metadata.yaml").read_text())["__store"]
    for index in indexes(path):
        with zipfile.ZipFile(index) as archive:
            assert archive.testzip() is None
        with np.load(index, allow_pickle=False) as arrays:
            said = {name: arrays[name].tolist() for name in arrays.files if name in STORE_NAMES}
        assert said == {name: values[name] or "" for name in STORE_NAMES if name in values}


@pytest.mark.parametrize("fmt", ["npy", "mjpeg/avi"])
def test_written_repaired_and_renumbered(tmp_path: Path, fmt: str) -> None:
    path = tmp_path / "s"
    with imgstore.new_for_format(fmt, path, imgshape=SHAPE, chunksize=4) as store:
        for number in range(-2, 7):
            store.add_image(coded_frame(number & 0xFF), 100 + number if number < 0 else number, number)
    assert len(indexes(path)) == 3
    say_what_the_store_is(path)
    with imgstore.new_for_filename(path) as store:
        store.reindex()
    say_what_the_store_is(path)
    indexes(path)[1].unlink()
    repair_store(path, estimate_times=True)
    say_what_the_store_is(path)
    assert not [fault for fault in verify_store(path) if fault.kind == "index"]


def test_a_store_without_frames(tmp_path: Path) -> None:
    with imgstore.new_for_format("npy", tmp_path / "s", imgshape=SHAPE) as store:
        store.add_extra_data(a=1)
    assert indexes(tmp_path / "s")
    say_what_the_store_is(tmp_path / "s")


@given(
    st.dictionaries(
        st.sampled_from([*STORE_NAMES, "else"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.dates() | st.binary(),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=2),
        ),
    )
)
def test_nothing_needs_a_pickle(values: dict[str, Any]) -> None:
    for name, array in store_arrays(values).items():
        assert not array.dtype.hasobject and name in values

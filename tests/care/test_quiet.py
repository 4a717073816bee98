"""Stores are checked side by side, and the filters of warnings are afterwards what they were."""

from __future__ import annotations

import threading
import warnings
from pathlib import Path

import numpy as np
import pytest

import imgstore
from imgstore.errors import ImgStoreWarning
from imgstore.verify import check_store


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    """A store of which reading warns."""
    path = tmp_path / "store"
    with imgstore.new_for_format("npy", path, imgshape=(8, 8), chunksize=2) as store:
        for k in range(6):
            store.add_image(np.zeros((8, 8), np.uint8), k, k / 10)
    (path / "000001" / "index.npz").write_bytes(b"no index")
    with pytest.warns(ImgStoreWarning), imgstore.open(path):
        pass
    return path


def test_of_two_at_a_time_none_leaves_its_filters_behind(damaged: Path) -> None:
    """The first to begin is the first to end."""
    second_begins, second_is_inside, first_ended, found = threading.Event(), threading.Event(), threading.Event(), []

    def first(done: int, total: int) -> None:
        second_begins.set()
        assert second_is_inside.wait(60)

    def second(done: int, total: int) -> None:
        second_is_inside.set()
        assert first_ended.wait(60)

    def check_second() -> None:
        assert second_begins.wait(60)
        found.append(check_store(damaged, progress=second))

    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        before = list(warnings.filters)
        thread = threading.Thread(target=check_second)
        thread.start()
        found.append(check_store(damaged, progress=first))
        first_ended.set()
        thread.join()
        assert list(warnings.filters) == before
        assert warned == []
        with imgstore.open(damaged):
            pass
        assert {w.category for w in warned} == {ImgStoreWarning}
    assert len(found) == 2 and all(report.faults for report in found)

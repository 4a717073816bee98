"""Names that are not UTF-8, bytes for names, and what can be no name at all."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import pytest
from scenes import coded_frame, shown_number, write_store

import imgstore
from imgstore.errors import ArgumentError, StoreWriteError
from imgstore.repair import repair_store
from imgstore.verify import check_store


@pytest.fixture
def latin(tmp_path: Path) -> str:
    name = os.fsdecode(b"versuch_m\xfc")
    try:
        (tmp_path / name).mkdir()
    except (OSError, UnicodeError):
        pytest.skip("needs a file system that takes any bytes for a name")
    return str(tmp_path / name)


@pytest.mark.parametrize("fmt", ["npy", "png", "mjpeg/avi", "avc1/mp4", "ffv1/mkv"])
def test_a_name_in_another_encoding(latin: str, fmt: str) -> None:
    path = write_store(latin + "/s" + os.fsdecode(b"\xfc"), fmt, 12)
    with imgstore.new_for_filename(path, mode="a") as store:
        store.add_image(coded_frame(112), 112, 2000.0)
        store.add_extra_data(a=1)
    imgstore.update_metadata(path, {"a": 1})
    with imgstore.new_for_filename(os.fsencode(path)) as store:  # type: ignore[arg-type]
        assert [shown_number(img) for img, _ in store] == list(range(100, 113)) and path.endswith(store.filename[-9:])
        assert len(store.get_images(frame_indices=[2, 11])[0]) == 2 and len(store.get_extra_data()) == 1
        assert repr(store) and store._repr_html_() and store.user_metadata == {"a": 1}
        store.cache_index()
        pickle.loads(pickle.dumps(store)).close()
        with pytest.raises(StoreWriteError, match="UTF-8"):  # its chunks' paths are text in there
            store.save_index()
    with pytest.raises(StoreWriteError):
        (again := imgstore.new_for_filename(path)).close(save_index=True)
    with pytest.raises(imgstore.errors.StoreClosedError):
        again.get_next_image()
    assert check_store(path, deep=True).faults == [] and repair_store(path) == []
    assert imgstore.is_imgstore(path) and imgstore.extract_only_frame(path, 3).shape == (48, 64)


@pytest.mark.parametrize("name", ["a\0b", "\ud800", 3, 2.5, ["a"]])
def test_what_is_no_name(tmp_path: Path, name: Any) -> None:
    path = str(tmp_path / name) if isinstance(name, str) else name
    for refused in (
        lambda: imgstore.new_for_filename(path),
        lambda: imgstore.new_for_filename(basedir=path),
        lambda: imgstore.new_for_format("npy", path, imgshape=(4, 4)),
        lambda: imgstore.update_metadata(path, {}),
        lambda: imgstore.extract_only_frame(path, 0),
        lambda: check_store(path),
    ):
        with pytest.raises(ArgumentError, match="path"):
            refused()
    assert not imgstore.is_imgstore(path) and list(tmp_path.iterdir()) == []

"""The cameras of one recording, wherever recorders put them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import imgstore
from imgstore.errors import ArgumentError, MetadataError, NotAStoreError
from imgstore.group import camera_names, find_cameras


def record(path: Path, **metadata: Any) -> Path:
    with imgstore.new_for_format("npy", path, imgshape=(4, 6), metadata=metadata) as store:
        for n in range(3):
            store.add_image(np.full((4, 6), n, np.uint8), n, 1.7e9 + n)
    return path


def names(paths: list[str]) -> list[str]:
    return [Path(path).name for path in paths]


def test_siblings_that_motif_names(tmp_path: Path) -> None:
    one = record(tmp_path / "fish_20240301_120000.21990443")
    record(tmp_path / "fish_20240301_120000.21990449")
    record(tmp_path / "fish_20240301_130000.21990443")
    assert names(find_cameras(one)) == ["fish_20240301_120000.21990443", "fish_20240301_120000.21990449"]
    assert find_cameras(one / "metadata.yaml") == find_cameras(one)
    with imgstore.open_group(one, align="time") as group:
        assert group.names == ("21990443", "21990449")
        assert len(group) == 3
        assert [store.mode for store in group.stores] == ["r", "r"]
    with pytest.raises(ArgumentError, match=r"2 recordings: .*120000\.21990449; .*130000"):
        find_cameras(tmp_path)


@pytest.mark.parametrize("key", ["sync_uuid", "recording_uuid", "multicam_sync_uuid"])
def test_stores_that_share_a_uuid(tmp_path: Path, key: str) -> None:
    one = record(tmp_path / "a", **{key: "7f", "camera_serial": "900"})
    record(tmp_path / "b", **{key: "7f", "camera_serial": "800"})
    record(tmp_path / "c", **{key: "80"})
    record(tmp_path / "d")
    assert names(find_cameras(one)) == ["a", "b"]
    with imgstore.open_group(one) as group:
        assert group.names == ("900", "800")
    assert names(find_cameras(tmp_path / "d")) == ["d"]


def test_extra_cameras_within_a_store(tmp_path: Path) -> None:
    main = record(tmp_path / "main")
    for name in ("lateral", "top", "another"):
        record(main / name)
    content = yaml.safe_load((main / "metadata.yaml").read_text())
    content["__store"]["extra_cameras"] = ["top", "lateral"]
    (main / "metadata.yaml").write_text(yaml.safe_dump(content))
    assert names(find_cameras(main)) == ["main", "top", "lateral"]
    content["__store"]["extra_cameras"] = ["../main"]  # nothing outside is opened
    (main / "metadata.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(NotAStoreError, match="extra camera"):
        find_cameras(main)


def test_folder_of_stores(tmp_path: Path) -> None:
    for name in ("right", "left"):
        record(tmp_path / "cameras" / name)
    (tmp_path / "cameras" / "notes").mkdir()
    assert names(find_cameras(tmp_path / "cameras")) == ["left", "right"]
    for wrong in (tmp_path, tmp_path / "nowhere", tmp_path / "cameras" / "notes"):
        with pytest.raises(NotAStoreError):
            imgstore.open_group(wrong)


def test_camera_whose_metadata_are_broken_is_not_left_out(tmp_path: Path) -> None:
    one = record(tmp_path / "fish_20240301_120000.1")
    (record(tmp_path / "fish_20240301_120000.2") / "metadata.yaml").write_text("{")
    with pytest.raises(MetadataError, match=r"120000\.2"):
        imgstore.open_group(one)


class Named:
    def __init__(self, filename: str, **metadata: Any) -> None:
        self.filename, self.user_metadata = filename, metadata


def test_names_tell_stores_apart() -> None:
    assert camera_names([Named("/a/x"), Named("/a/y")]) == ("x", "y")
    assert camera_names([Named("/a/x", serial="7"), Named("/b/x", serial="8")]) == ("7", "8")
    assert camera_names([Named("/a/x", serial="7"), Named("/b/y", serial="7")]) == ("x", "y")
    assert camera_names([Named("/r/a/x"), Named("/r/b/x")]) == ("a-x", "b-x")
    assert camera_names([Named("/a/x"), Named("/a/x")]) == ("x-0", "x-1")

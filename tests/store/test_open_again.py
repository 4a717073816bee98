"""A store that is opened once more, where its groups of pictures begin, and the colour of its frames."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scenes import shown_number, write_store
from video_samples import B_FRAMES, encode

import imgstore
from imgstore import StoreGroup
from imgstore.errors import ArgumentError, StoreClosedError
from imgstore.index import ImgStoreIndex


@pytest.mark.parametrize("fmt", ["avc1/mp4", "npy"])
def test_reads_at_a_place_of_its_own(tmp_path: Path, fmt: str) -> None:
    with imgstore.new_for_filename(write_store(tmp_path / "s", fmt, 30)) as store:
        store.get_image(frame_index=12)
        with store.open_again(threads=1, cache_size=0) as other:
            assert [shown_number(other.get_next_image()[0]) for _ in range(3)] == [100, 101, 102]
        assert shown_number(store.get_next_image()[0]) == 113
    with pytest.raises(StoreClosedError):
        store.open_again()


def test_is_opened_as_it_was(tmp_path: Path) -> None:
    path = write_store(tmp_path / "s", "npy", 3, imgshape=(8, 8, 3))
    with imgstore.open(path, color="rgb") as store, store.open_again() as same, store.open_again(color="gray") as gray:
        assert (store.color, same.color, gray.color) == ("rgb", "rgb", "gray")
        assert np.array_equal(same[1], store[1]) and gray.image_shape == (8, 8)
    with imgstore.open(path) as store:
        assert store.color == "bgr"


def test_plain_files_and_their_times(tmp_path: Path) -> None:
    encode(tmp_path / "a.mp4", range(20), gop=5)
    with imgstore.open(tmp_path / "a.mp4", fps=10, start_time=100) as video, video.open_again(threads=1) as again:
        assert again.frame_times.tolist() == video.frame_times.tolist() == [100 + k / 10 for k in range(20)]


def test_not_with_an_index_that_was_given(tmp_path: Path) -> None:
    write_store(tmp_path / "s", "npy", 30)
    index = ImgStoreIndex.new_from_chunks([(1, str(tmp_path / "s" / "000001" / "index"))])
    with imgstore.new_for_filename(tmp_path / "s", index=index) as store, pytest.raises(ArgumentError, match="index"):
        store.open_again()


def test_groups(tmp_path: Path) -> None:
    paths = [write_store(tmp_path / name, "npy", count) for name, count in (("left", 20), ("right", 15))]
    with StoreGroup(paths, names=["l", "r"]) as group:
        with group.open_again(threads=1) as other:
            assert len(other) == 20 and other.names == ("l", "r") and other.stores[0] is not group.stores[0]
            step = other[7]
        assert [shown_number(img) for img in step.images] == [107, 107] and step.time == group[7].time
        assert group[17].present == (True, False)


@pytest.mark.parametrize(
    "fmt, options, wanted",
    [
        ("avc1/mp4", {"gop_size": 4}, [0, 4, 8, 10, 14, 18, 20, 24]),
        ("mjpeg/avi", {}, list(range(25))),
        ("ffv1/mkv", {}, list(range(25))),
        ("npy", {}, list(range(25))),
    ],
)
def test_key_frames(tmp_path: Path, fmt: str, options: dict[str, Any], wanted: list[int]) -> None:
    with imgstore.new_for_filename(write_store(tmp_path / "s", fmt, 25, **options)) as store:
        place = store.get_next_image()[1][0]
        assert store.get_key_frames().tolist() == wanted
        assert store.get_next_image()[1][0] == place + 1


def test_key_frames_of_frames_that_are_shown_out_of_order(tmp_path: Path) -> None:
    encode(tmp_path / "b.mp4", range(50), gop=20, options=B_FRAMES)
    with imgstore.open(tmp_path / "b.mp4") as video:
        assert video.get_key_frames().tolist() == [0, 20, 40]


def test_key_frames_where_there_are_none(tmp_path: Path) -> None:
    imgstore.new_for_format("npy", tmp_path / "empty", imgshape=(4, 4)).close()
    with imgstore.new_for_filename(tmp_path / "empty") as store:
        assert store.get_key_frames().tolist() == []
    path = Path(write_store(tmp_path / "s", "avc1/mp4", 25, gop_size=5))
    (path / "000001.mp4").write_bytes(b"no video")
    with imgstore.new_for_filename(path) as store:  # of a chunk that cannot be opened the first
        assert store.get_key_frames().tolist() == [0, 5, 10, 20]


def test_key_frames_through_a_codec_that_knows_none(tmp_path: Path) -> None:
    path = write_store(tmp_path / "s", "mjpeg/avi", 15)
    with imgstore.new_for_filename(path, backend="opencv") as store:
        assert store.get_key_frames().tolist() == [0, 10]

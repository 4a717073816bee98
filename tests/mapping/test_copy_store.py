"""Videos and chunks that are taken over without encoding: the same bytes, exact times, everything beside them."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import typed
from mapped import contents, write_source
from video_samples import encode, number_of

import imgstore
from imgstore import mapping
from imgstore.errors import ArgumentError
from imgstore.verify import check_store

IRREGULAR = np.cumsum(np.random.default_rng(1).integers(1, 9, 30)).tolist()


@pytest.fixture
def videos(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / "videos" / name for name in ("a.mkv", "b.mkv")]
    paths[0].parent.mkdir()
    encode(paths[0], range(30), pts=IRREGULAR)
    encode(paths[1], range(50, 70), gop=250)
    return paths


def checked(path: Path) -> list[int]:
    """Return the numbers that frames show, in the order in which they stand, and by themselves; the store is whole."""
    assert check_store(path).faults == []
    with imgstore.open(path) as store:
        shown = [number_of(img) for img, _ in store]
        for k in (len(shown) - 1, 7):
            assert number_of(store[k]) == shown[k]
    return shown


@pytest.mark.parametrize("files, told", [
    ("copy", "their files copied"), ("hardlink", "hard-linked"), ("link", "symbolic links"), ("move", "their files moved"),
])  # fmt: skip
def test_videos(tmp_path: Path, videos: list[Path], files: str, told: str) -> None:
    if files in ("link", "hardlink") and sys.platform == "win32":
        pytest.skip("Windows asks for rights to link")
    before = [path.read_bytes() for path in videos]
    with imgstore.open(videos[0], start_time="file") as video:
        times = video.frame_times
    done = typed("save", *videos, tmp_path / "s", "--copy", "--files", files)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("saved 50 frames of 2 sources to ") and told in done.stdout
    assert checked(tmp_path / "s") == [*range(30), *range(50, 70)]
    with imgstore.open(tmp_path / "s") as store:
        assert store.format == "h264/mkv" and store.frame_numbers.tolist() == list(range(50))
        assert store.frame_times[:30].tolist() == times.tolist()
        assert store.user_metadata == {"source": ["a.mkv", "b.mkv"]} and store.origin == []
        chunks = [Path(file.path) for file in store.chunk_files]
    assert [chunk.read_bytes() for chunk in chunks] == before
    assert [path.exists() for path in videos] == [files != "move"] * 2
    assert [chunk.is_symlink() for chunk in chunks] == [files == "link"] * 2
    if files in ("hardlink", "copy"):
        assert [chunk.samefile(path) for chunk, path in zip(chunks, videos, strict=True)] == [files == "hardlink"] * 2


@pytest.mark.parametrize("fmt", ["mjpeg/avi", "avc1/mp4", "png", "npy"])
def test_stores_with_everything(tmp_path: Path, fmt: str) -> None:
    """Encoded anew it holds the same, but for the frames that are not exact."""
    source = write_source(tmp_path / "a", fmt, 57)
    done = typed("save", source, tmp_path / "b", "--copy")
    assert (done.returncode, done.stderr) == (0, "")
    assert check_store(tmp_path / "b").faults == []
    one, other = contents(source), contents(tmp_path / "b")
    with imgstore.open(source) as store:
        assert other["store"].pop("origin") == [store.uuid]
    assert one == other


def test_stores_join_videos(tmp_path: Path, videos: list[Path]) -> None:
    write_source(tmp_path / "a", "h264/mkv", 20, shape=(80, 128, 3))
    with imgstore.open(videos[0]) as video:
        shape = video.image_shape
    if shape != (80, 128, 3):
        shutil.rmtree(tmp_path / "a")
        write_source(tmp_path / "a", "h264/mkv", 20, shape=shape)
    done = typed("save", tmp_path / "a", videos[0], tmp_path / "s", "--copy")
    assert done.returncode == 0, done.stderr
    assert check_store(tmp_path / "s").faults == []
    with imgstore.open(tmp_path / "a") as a, imgstore.open(tmp_path / "s") as store:
        assert store.frame_count == 50
        assert store.frame_numbers[:20].tolist() == a.frame_numbers.tolist()
        assert [number_of(img) for img in store[20:]] == list(range(30))


@pytest.mark.parametrize("what, message", [
    ("images", "images are no chunk"),
    ("size", "has another imgshape"),
    ("format", "has another format"),
    ("codec", "no store holds"),
])  # fmt: skip
def test_what_does_not_go(tmp_path: Path, videos: list[Path], what: str, message: str) -> None:
    more: list[Any] = []
    if what == "images":
        write_source(tmp_path / "a", "png", 5)
        videos = [tmp_path / "a" / "000000"]
    elif what == "size":
        encode(tmp_path / "c.mkv", range(5), size=(160, 256))
        more = [tmp_path / "c.mkv"]
    elif what == "format":
        encode(tmp_path / "c.mp4", range(5))
        more = [tmp_path / "c.mp4"]
    else:
        encode(tmp_path / "c.ts", range(5), "mpeg2video")
        videos = [tmp_path / "c.ts"]
    done = typed("save", *videos, *more, tmp_path / "s", "--copy")
    assert done.returncode in (1, 2) and message in done.stderr
    assert not (tmp_path / "s").exists()


def test_a_part_of_a_video_does_not_go(tmp_path: Path, videos: list[Path]) -> None:
    with imgstore.open(videos[0]) as video, pytest.raises(ArgumentError, match="only whole sources"):
        mapping.copy_store(mapping.Selection.of(video)[2:9], tmp_path / "s", workers=mapping.here())


def test_a_move_that_is_interrupted_loses_nothing(tmp_path: Path, videos: list[Path]) -> None:
    """A video is removed when the store is whole, and not before."""
    chosen = []
    for path in videos:
        with imgstore.open(path) as video:
            chosen.append(mapping.Selection.of(video))
    how: dict[str, Any] = {"workers": mapping.here(), "files": "move"}
    first = mapping.Selection.joined(chosen)
    (tmp_path / "s").mkdir()
    calls = iter([False, True])
    with pytest.raises(imgstore.errors.UnfinishedStoreError, match="1 of 2 chunks"):
        mapping.copy_store(first, tmp_path / "s", stop=lambda: next(calls, True), **how)
    assert all(path.exists() for path in videos)
    assert mapping.copy_store(first, tmp_path / "s", **how).frame_count == 50
    assert not any(path.exists() for path in videos)
    assert checked(tmp_path / "s") == [*range(30), *range(50, 70)]
    assert not os.path.exists(tmp_path / "s" / ".unfinished")

"""Videos that were made elsewhere become chunks: what they must be, and that nothing has changed where they are not."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scenes import SHAPE, coded_frame, shown_number

import imgstore
from imgstore.errors import ArgumentError, ChunkError, ImgStoreWarning, StoreWriteError
from imgstore.verify import verify_store

COUNT = 5


def video(path: Path, shape: tuple[int, ...] = SHAPE, first: int = 0) -> Path:
    """Make an MJPEG video whose frames show their numbers."""
    av = pytest.importorskip("av", reason="needs PyAV")
    with av.open(str(path), "w", format="avi") as out:
        stream = out.add_stream("mjpeg", rate=25)
        stream.height, stream.width = shape[:2]
        stream.pix_fmt = "yuvj420p"
        for number in range(first, first + COUNT):
            frame = av.VideoFrame.from_ndarray(coded_frame(number, shape), "gray").reformat(format="yuvj420p")
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def new_store(path: Path, shape: tuple[int, ...] = SHAPE) -> Any:
    return imgstore.new_for_format("mjpeg/avi", path, imgshape=shape)


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir() if path.name != ".imgstore-index.tmp")


def look_at(path: Path, numbers: list[int]) -> None:
    with imgstore.new_for_filename(path) as store:
        assert store.frame_numbers.tolist() == numbers
        assert [shown_number(img) for img, _ in store] == numbers
    assert verify_store(path, deep=True) == []


@pytest.mark.parametrize("fault", ["size", "count", "damage", "numbers", "extension", "missing"])
def test_what_cannot_be_a_chunk_changes_nothing(tmp_path: Path, fault: str) -> None:
    path = video(tmp_path / ("v.mp4" if fault == "extension" else "v.avi"), (96, 64) if fault == "size" else SHAPE)
    if fault == "damage":
        path.write_bytes(b"RIFF" + bytes(5000))
    if fault == "missing":
        path.unlink()
    before = path.read_bytes() if path.exists() else None
    count = COUNT + (fault == "count")
    store = new_store(tmp_path / "s")
    store.add_image(coded_frame(100), 100, 100.0)
    there = names(tmp_path / "s")
    with pytest.raises((ArgumentError, ChunkError), match="v\\."):
        store.insert_chunk(path, range(count), range(count - (fault == "numbers")))
    assert (path.read_bytes() if path.exists() else None) == before
    assert names(tmp_path / "s") == there
    store.add_image(coded_frame(101), 101, 101.0)
    store.close()
    look_at(tmp_path / "s", [100, 101])


@pytest.mark.parametrize("moved", [True, False])
@pytest.mark.parametrize("other_disk", [True, False])
def test_what_fails_on_the_way_is_undone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moved: bool, other_disk: bool
) -> None:
    path = video(tmp_path / "v.avi")
    before = path.read_bytes()
    store = new_store(tmp_path / "s")
    store.add_extra_data(before=True)
    there = names(tmp_path / "s")
    rename = os.rename

    def to_another_disk(source: Any, target: Any) -> None:
        if other_disk and Path(source) == path:
            raise OSError(errno.EXDEV, "Invalid cross-device link", source)
        rename(source, target)

    def no_space(*args: Any) -> None:
        raise StoreWriteError(errno.ENOSPC, "No space left on device", "000000.npz")

    monkeypatch.setattr(os, "rename", to_another_disk)
    with monkeypatch.context() as patch:
        patch.setattr("imgstore.writing.finished_video.write_chunk_index", no_space)
        with pytest.raises(StoreWriteError, match="No space"):
            store.insert_chunk(path, range(COUNT), range(COUNT), move=moved)
    assert path.read_bytes() == before
    assert names(tmp_path / "s") == there
    store.insert_chunk(path, range(COUNT), range(COUNT), move=moved)
    assert path.exists() == (not moved)
    store.add_image(coded_frame(COUNT), COUNT, COUNT)
    store.close()
    look_at(tmp_path / "s", list(range(COUNT + 1)))
    with imgstore.new_for_filename(tmp_path / "s") as reader:
        assert reader.get_extra_data()["before"].tolist() == [True]


@pytest.mark.parametrize("relative", [True, False])
def test_a_link_stays_and_so_does_its_video(tmp_path: Path, relative: bool) -> None:
    (tmp_path / "raw").mkdir()
    path, link = video(tmp_path / "raw" / "v.avi"), tmp_path / "v.avi"
    link.symlink_to(Path("raw", "v.avi") if relative else path)
    with new_store(tmp_path / "s") as store:
        with pytest.warns(ImgStoreWarning, match="is a link"):
            store.insert_chunk(link, range(COUNT), range(COUNT))
        store.insert_chunk(link, range(COUNT), range(COUNT), move=False)
    assert link.is_symlink() and path.exists()
    assert not (tmp_path / "s" / "000000.avi").is_symlink()
    path.unlink()
    look_at(tmp_path / "s", [*range(COUNT), *range(COUNT)])


def test_names_in_upper_case_and_files_that_are_read_only(tmp_path: Path) -> None:
    path = video(tmp_path / "V.AVI")
    path.chmod(0o444)
    with new_store(tmp_path / "s") as store:
        store.insert_chunk(path, range(COUNT), range(COUNT))
    assert not path.exists() and (tmp_path / "s" / "000000.avi").exists()
    look_at(tmp_path / "s", list(range(COUNT)))


def test_a_chunk_of_the_store_can_only_be_copied(tmp_path: Path) -> None:
    with new_store(tmp_path / "s") as store:
        store.insert_chunk(video(tmp_path / "v.avi"), range(COUNT), range(COUNT))
        own = tmp_path / "s" / "000000.avi"
        with pytest.raises(ArgumentError, match="already"):
            store.insert_chunk(own, range(COUNT), range(COUNT))
        store.insert_chunk(own, range(COUNT), np.arange(COUNT), move=False)
    look_at(tmp_path / "s", [*range(COUNT), *range(COUNT)])


def test_a_file_in_the_way_is_left_alone(tmp_path: Path) -> None:
    path = video(tmp_path / "v.avi")
    store = new_store(tmp_path / "s")
    (tmp_path / "s" / "000000.avi").write_bytes(b"another's")
    with pytest.raises(StoreWriteError, match="000000.avi"):
        store.insert_chunk(path, range(COUNT), range(COUNT))
    assert path.exists() and (tmp_path / "s" / "000000.avi").read_bytes() == b"another's"
    (tmp_path / "s" / "000000.avi").unlink()
    store.close()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes in the file system")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    store = imgstore.new_for_format("avc1/mp4", tmp_path / "store", imgshape=SHAPE)
    with store, pytest.raises(ArgumentError, match="not a file"):
        store.insert_chunk(tmp_path / "pipe.mp4", [0], [0.0])


def test_odd_sizes_that_a_file_holds_are_kept(tmp_path: Path) -> None:
    """Encoders want even sizes, decoders do not: nothing of a finished video is cut."""
    odd = (97, 161)
    with pytest.warns(ImgStoreWarning, match="even sizes"):
        store = new_store(tmp_path / "s", odd)
    store.insert_chunk(video(tmp_path / "v.avi", odd), range(COUNT), range(COUNT))
    with pytest.raises(ArgumentError, match="97 x 161"):
        store.add_image(coded_frame(9, odd), 9, 9.0)
    with pytest.raises(ChunkError):
        store.insert_chunk(video(tmp_path / "even.avi", (96, 160)), range(COUNT), range(COUNT))
    store.close()
    with imgstore.new_for_filename(tmp_path / "s", mode="a") as store:
        with pytest.raises(ArgumentError, match="97 x 161"):
            store.add_image(coded_frame(9, odd), 9, 9.0)
        store.insert_chunk(video(tmp_path / "w.avi", odd, COUNT), range(COUNT, 2 * COUNT), range(COUNT, 2 * COUNT))
    look_at(tmp_path / "s", list(range(2 * COUNT)))
    with imgstore.new_for_filename(tmp_path / "s") as store:
        assert store.image_shape == odd and store[3].shape == odd


def test_an_odd_video_comes_too_late_for_frames_that_were_cut(tmp_path: Path) -> None:
    odd = (97, 161)
    with pytest.warns(ImgStoreWarning, match="even sizes"):
        store = new_store(tmp_path / "s", odd)
    store.add_image(coded_frame(7, odd), 7, 7.0)
    with pytest.raises(ChunkError, match="161 x 97"):
        store.insert_chunk(video(tmp_path / "v.avi", odd), range(COUNT), range(COUNT))
    store.close()
    look_at(tmp_path / "s", [7])
    assert (tmp_path / "v.avi").exists()


def test_the_size_stays_where_an_odd_video_cannot_be_put_in_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = (97, 161)
    with pytest.warns(ImgStoreWarning, match="even sizes"):
        store = new_store(tmp_path / "s", odd)

    def full(*args: Any, **kw: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(StoreWriteError):
        patch.setattr("imgstore.writing.finished_video.write_chunk_index", full)
        store.insert_chunk(video(tmp_path / "v.avi", odd), range(COUNT), range(COUNT))
    store.add_image(coded_frame(7, odd), 7, 7.0)
    store.close()
    look_at(tmp_path / "s", [7])

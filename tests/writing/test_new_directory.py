"""Whatever keeps a store from being made, nothing of it is left."""

from __future__ import annotations

import errno
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from scenes import SHAPE, coded_frame

import imgstore
from imgstore.errors import ImgStoreError, ImgStoreWarning, StoreExistsError, StoreWriteError
from imgstore.writing.growing_cache import GrowingCache


def everything_below(directory: Path) -> list[str]:
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*"))


def full_disk(*args: Any, **kwargs: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def no_more_threads(*args: Any, **kwargs: Any) -> None:
    raise RuntimeError("can't start new thread")


def interrupted(*args: Any, **kwargs: Any) -> None:
    raise KeyboardInterrupt


FAULTS: dict[str, tuple[str, Callable[..., None], type[BaseException]]] = {
    "metadata": ("imgstore.disk.atomic.os.replace", full_disk, StoreWriteError),
    "lock": ("imgstore.disk.lock.os.write", full_disk, StoreWriteError),
    "threads": ("imgstore.writing.writer.Repeater", no_more_threads, RuntimeError),
    "Ctrl-C": ("imgstore.writing.writer.GrowingCache", interrupted, KeyboardInterrupt),
}


@pytest.mark.parametrize("there", ["", "a", "a/b/s"])
@pytest.mark.parametrize("fault", FAULTS)
def test_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str, there: str) -> None:
    (tmp_path / there).mkdir(parents=True, exist_ok=True)
    before = everything_below(tmp_path)
    name, raising, expected = FAULTS[fault]
    with monkeypatch.context() as patch:
        patch.setattr(name, raising)
        with pytest.raises(expected):
            imgstore.new_for_format("mjpeg/avi", tmp_path / "a" / "b" / "s", imgshape=SHAPE)
    assert everything_below(tmp_path) == before
    with imgstore.new_for_format("mjpeg/avi", tmp_path / "a" / "b" / "s", imgshape=SHAPE) as store:
        store.add_image(coded_frame(1), 1, 1.0)
    assert len(imgstore.new_for_filename(tmp_path / "a" / "b" / "s")) == 1


@pytest.mark.parametrize("options", [{"metadata": {"when": object()}}, {"fps": "fast"}, {"format": "no such"}])
def test_what_is_not_accepted_leaves_nothing(tmp_path: Path, options: dict[str, Any]) -> None:
    with pytest.raises((ImgStoreError, TypeError)):
        imgstore.new_for_format(options.pop("format", "npy"), tmp_path / "a" / "s", imgshape=SHAPE, **options)
    assert not list(tmp_path.iterdir())


def test_a_warning_that_is_an_error_leaves_nothing_and_keeps_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with imgstore.new_for_format("mjpeg/avi", path, imgshape=SHAPE) as store:
        store.add_image(coded_frame(1), 1, 1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ImgStoreWarning)
        for target, options in ((tmp_path / "t", {}), (path, {"overwrite": True})):
            with pytest.raises(ImgStoreWarning, match="even sizes"):
                imgstore.new_for_format("mjpeg/avi", target, imgshape=(49, 65), **options)
    assert not (tmp_path / "t").exists()
    assert len(imgstore.new_for_filename(path)) == 1


def test_a_store_that_is_there_stays(tmp_path: Path) -> None:
    with imgstore.new_for_format("npy", tmp_path / "s", imgshape=SHAPE) as store:
        store.add_image(coded_frame(1), 1, 1.0)
    before = everything_below(tmp_path)
    with pytest.raises(StoreExistsError):
        imgstore.new_for_format("npy", tmp_path / "s", imgshape=SHAPE)
    (tmp_path / "s" / "metadata.yaml").rename(tmp_path / "metadata")
    with pytest.raises(StoreExistsError, match="metadata.yaml is missing"):
        imgstore.new_for_format("npy", tmp_path / "s", imgshape=SHAPE)
    (tmp_path / "metadata").rename(tmp_path / "s" / "metadata.yaml")
    assert everything_below(tmp_path) == before


def test_a_cache_that_cannot_be_made_keeps_no_store_from_being_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imgstore.writing.growing_cache.IndexBuilder", full_disk)
    cache = GrowingCache(str(tmp_path), None)
    cache.abort()
    with imgstore.new_for_format("npy", tmp_path / "s", imgshape=SHAPE) as store:
        store.add_image(coded_frame(1), 1, 1.0)
    assert not (tmp_path / "s" / ".imgstore-index").exists()

"""The store under an open reader is recorded anew, replaced, emptied or thinned out: never a frame under another's number."""

from __future__ import annotations

import os
import shutil
import sys
import threading
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scenes import coded_frame, shown_number, write_store

import imgstore
from imgstore.errors import ImgStoreError, ImgStoreWarning, StaleIndexError


def _overwrite(path: Path, fmt: str) -> None:
    write_store(path, fmt, 30, first=500, overwrite=True)


def _copy(path: Path, fmt: str) -> None:
    other = write_store(path.parent / "other", fmt, 30, first=500)
    shutil.rmtree(path)
    shutil.copytree(other, path)


def _copy_over(path: Path, fmt: str) -> None:
    """Into the same files, as `cp -r` does."""
    shutil.copytree(write_store(path.parent / "other", fmt, 30, first=500), path, dirs_exist_ok=True)


def _rename(path: Path, fmt: str) -> None:
    other = write_store(path.parent / "other", fmt, 30, first=500)
    path.rename(path.parent / "old")
    os.rename(other, path)


@pytest.mark.parametrize("checksums", [True, False])
@pytest.mark.parametrize("replace", [_overwrite, _copy, _copy_over, _rename])
@pytest.mark.parametrize("fmt", ["npy", "ffv1/mkv"])
def test_another_recording_takes_the_place(tmp_path: Path, fmt: str, replace: Any, checksums: bool) -> None:
    path = Path(write_store(tmp_path / "s", fmt, 30))
    with imgstore.new_for_filename(path, checksums=checksums) as store:
        store.get_image(105)
        replace(path, fmt)
        for refreshed in (False, True):
            errors = []
            for k in range(30):
                try:
                    img, (number, _) = store.get_image(100 + k)
                except ImgStoreError as error:
                    errors.append(error)
                else:
                    assert shown_number(img) == number == 100 + k
            assert any("open it again" in str(error) for error in errors)
            if not refreshed:
                with pytest.warns(ImgStoreWarning, match="open it again"):
                    assert store.refresh() == 30
        with pytest.raises(StaleIndexError, match="open it again"):
            list(store.iter_images(follow=True))
    with imgstore.new_for_filename(path) as store:
        assert [number for _, (number, _) in store] == list(range(500, 530))


@pytest.mark.parametrize("fmt", ["npy", "ffv1/mkv"])
def test_the_writer_empties_the_store(tmp_path: Path, fmt: str) -> None:
    path = tmp_path / "s"
    with imgstore.new_for_format(fmt, path, imgshape=(48, 64), chunksize=10) as writer:
        for k in range(25):
            writer.add_image(coded_frame(k, (48, 64)), k, k / 4)
        with warnings.catch_warnings(), imgstore.new_for_filename(path) as reader:
            warnings.simplefilter("ignore", ImgStoreWarning)
            reader.get_image(7)
            writer.empty()
            for k in range(300, 325):
                writer.add_image(coded_frame(k, (48, 64)), k - 295, k / 4)
            reader.refresh()
            for number in range(30):
                try:
                    img, _ = reader.get_image(number)
                except ImgStoreError:
                    continue
                assert shown_number(img) == number + 295
            reader.get_image(None, frame_index=0)
            writer.empty()
            reader.refresh()
            assert len(reader) == 0


@pytest.mark.parametrize("gone, following", [(0, 16), (1, 20), (2, 16)])
def test_reading_goes_on_behind_the_same_frame(tmp_path: Path, gone: int, following: int) -> None:
    path = Path(write_store(tmp_path / "s", "npy", 40, first=0))
    with imgstore.new_for_filename(path) as store:
        store.get_image(15)
        shutil.rmtree(path / f"{gone:06d}")
        assert store.refresh() == 30
        assert store.get_next_framenumber() == following
        img, (number, _) = store.get_next_image()
        assert shown_number(img) == number == following


@pytest.mark.parametrize("how", ["a damaged index", "a chunk that goes"])
def test_the_index_is_made_anew_while_threads_read(tmp_path: Path, how: str) -> None:
    """What was found in one index is not read in another."""
    path = Path(write_store(tmp_path / "s", "npy", 200, first=0, imgshape=(16, 16)))
    stop, wrong, done = threading.Event(), [], []
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    with warnings.catch_warnings(), imgstore.new_for_filename(path) as store:
        warnings.simplefilter("ignore", ImgStoreWarning)

        def read(seed: int) -> None:
            rng = np.random.default_rng(seed)
            while not stop.is_set():
                k = int(rng.integers(100, 190))
                what = rng.integers(3)
                if what == 0:
                    number = store.get_image(k)[1][0]
                elif what == 1:
                    number = store.get_nearest_image(1000 + k / 2)[1][0]
                else:
                    number = store.get_images([k])[1][0][0]
                done.append(k)
                if number != k:
                    wrong.append((int(what), k, int(number)))

        threads = [threading.Thread(target=read, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        try:
            for chunk in range(9):
                count = len(done)
                while len(done) < count + 20 and any(thread.is_alive() for thread in threads):
                    stop.wait(0.001)
                if how == "a damaged index":
                    (path / f"{chunk:06d}" / "index.npz").write_bytes(b"damaged")
                    with pytest.raises(ImgStoreError):
                        store.get_image(chunk * 10 + 5)
                else:
                    shutil.rmtree(path / f"{chunk:06d}")
                    store.refresh()
        finally:
            stop.set()
            for thread in threads:
                thread.join()
            sys.setswitchinterval(interval)
    assert wrong == []
    assert len(done) >= 180

"""The codec through imgstore, as its users meet it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import imgstore
from imgstore.errors import ImgStoreError


def frames(shape: tuple[int, ...], count: int = 12) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, *shape), dtype=np.uint8)


def test_it_is_listed() -> None:
    assert "webp" in imgstore.get_supported_formats()


@pytest.mark.parametrize("shape", [(48, 64), (48, 64, 3), (1, 1), (7, 5, 3)])
def test_frames_come_back_exactly(tmp_path: Path, shape: tuple[int, ...]) -> None:
    written = frames(shape)
    with imgstore.new_for_format("webp", basedir=str(tmp_path / "store"), imgshape=shape, chunksize=5) as store:
        assert store.lossless
        for number, img in enumerate(written):
            store.add_image(img, number * 2, number / 10)
    with imgstore.new_for_filename(str(tmp_path / "store")) as store:
        assert store.frame_count == len(written)
        for number in (3, 0, 11, 4, 5):
            img, (frame_number, frame_time) = store.get_image(number * 2)
            assert (frame_number, frame_time) == (number * 2, number / 10)
            assert np.array_equal(img, written[number])


def test_a_quality_is_lossy_and_smaller(tmp_path: Path) -> None:
    sizes = []
    for quality in (None, 30):
        base = tmp_path / str(quality)
        with imgstore.new_for_format("webp", basedir=str(base), imgshape=(48, 64), quality=quality) as store:
            assert store.lossless == (quality is None)
            for number, img in enumerate(frames((48, 64))):
                store.add_image(img, number, 0.0)
        sizes.append(sum(path.stat().st_size for path in base.rglob("*.webp")))
    assert sizes[1] < sizes[0]


@pytest.mark.parametrize("quality", [0, 101, "good", 50.5])
def test_bad_quality_is_refused(tmp_path: Path, quality: object) -> None:
    with pytest.raises(ValueError, match="1 to 100"):
        imgstore.new_for_format("webp", basedir=str(tmp_path / "s"), imgshape=(8, 8), quality=quality)


def test_too_large_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="16383"):
        imgstore.new_for_format("webp", basedir=str(tmp_path / "s"), imgshape=(8, 16384))


def test_a_damaged_file_is_an_error(tmp_path: Path) -> None:
    with imgstore.new_for_format("webp", basedir=str(tmp_path / "s"), imgshape=(8, 8)) as store:
        store.add_image(np.zeros((8, 8), np.uint8), 0, 0.0)
    (file,) = (tmp_path / "s").rglob("*.webp")
    file.write_bytes(file.read_bytes()[:20])
    with (
        imgstore.new_for_filename(str(tmp_path / "s")) as store,
        pytest.raises(ImgStoreError, match="0"),
    ):
        store.get_image(0)

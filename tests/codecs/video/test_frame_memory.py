"""Memory of frames that nobody refers to any more is used again, and no other."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

import imgstore
from imgstore.codec import FrameSpec
from imgstore_codecs.video.pixels.frame_memory import FrameMemory


def address(array: np.ndarray) -> int:
    return array.__array_interface__["data"][0]


@pytest.mark.parametrize(("shape", "dtype"), [((6, 8), "uint8"), ((6, 8, 3), "uint16"), ((1024, 1280, 3), "uint8")])
def test_arrays_are_of_their_kind(shape: tuple[int, ...], dtype: str) -> None:
    array = FrameMemory(FrameSpec(shape, np.dtype(dtype))).new()
    assert address(array) % 64 == 0
    assert array.shape == shape
    assert array.dtype == np.dtype(dtype)
    assert array.flags.c_contiguous
    assert array.flags.writeable
    assert array.flags.aligned
    with pytest.raises(ValueError, match="own"):  # as CHANGELOG.md says
        array.resize((2, 3))


def test_memory_is_used_again_when_the_last_view_is_gone() -> None:
    memory = FrameMemory(FrameSpec((64, 64), np.dtype("uint8")))
    array = memory.new()
    first = address(array)
    view = array[3:5].T[1:]
    buffer = memoryview(view)
    for name in ("array", "view"):
        assert address(memory.new()) != first, name
        if name == "array":
            del array
        else:
            del view
    assert address(memory.new()) != first
    del buffer
    assert first in [address(array) for array in [memory.new() for _ in range(2)]]


def test_what_is_cleared_is_not_used_again() -> None:
    memory = FrameMemory(FrameSpec((64, 64), np.dtype("uint8")))
    kept, dropped = memory.new(), memory.new()
    del dropped
    memory.clear()
    del kept
    assert not memory._spare


@pytest.mark.parametrize("color", [False, True])
def test_frames_that_are_kept_stay_as_they_are(tmp_path: Path, color: bool) -> None:
    """Whole ones and views, of frames read in order and at random, for longer than others."""
    shape = (48, 64, 3) if color else (48, 64)
    with imgstore.new_for_format("ffv1/mkv", str(tmp_path / "s"), imgshape=shape, imgdtype=np.uint8, chunksize=40) as s:
        for k in range(200):
            s.add_image(np.full(shape, k, np.uint8), k, float(k))
    rng = random.Random(1)
    kept: list[tuple[int, np.ndarray]] = []
    with imgstore.new_for_filename(str(tmp_path / "s")) as store:
        for k in range(600):
            img, (number, _) = store.get_image(rng.randrange(200)) if k % 150 > 100 else next_or_first(store)
            if rng.random() < 0.3:
                kept.append((number, rng.choice((img, img[5:9], img[..., 1:].T, img.ravel()))))
            del img
            if len(kept) > 20:
                kept.pop(rng.randrange(len(kept)))
            assert all((array == number).all() for number, array in kept)
    assert all((array == number).all() for number, array in kept)


def next_or_first(store: imgstore.ImgStore) -> tuple[np.ndarray, tuple[int, float]]:
    try:
        return store.get_next_image()
    except EOFError:
        return store.get_image(0)

"""Frames of another type, byte order or kind than the store's: taken with the values that they have, or not at all."""

from __future__ import annotations

import os
import warnings
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps
from scenes import SHAPE, write_store

import imgstore
from imgstore.errors import ArgumentError, ImgStoreWarning
from imgstore.writing.given_frames import in_type

TYPES = ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f2", "f4", "f8", "c8", "c16", "?"]


def parts(value: Any) -> list[Any]:
    """What a sample is, exactly."""
    if isinstance(value, (complex, np.complexfloating)):
        return [*parts(value.real), *parts(value.imag)]
    value = value.item() if isinstance(value, np.generic) else value
    return [Fraction(value) if np.isfinite(value) else str(value), 0]


def holds(dtype: np.dtype[Any], value: Any) -> bool:
    """Whether a type has a value, by Python's arithmetic."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            as_it_is = dtype.type(value.real if dtype.kind not in "c" and isinstance(value, complex) else value)
        except (OverflowError, ValueError):
            return False
    return [p for p in parts(as_it_is) if p] == [p for p in parts(value) if p]


@settings(deadline=None, max_examples=300)
@given(
    st.sampled_from(TYPES).flatmap(lambda name: nps.arrays(np.dtype(name), 3)),
    st.sampled_from(TYPES).map(np.dtype),
    st.sampled_from("<>"),
)
@example(np.array([-1]), np.dtype("u8"), "<")
@example(np.array([2**63 - 1]), np.dtype("f8"), "<")
@example(np.array([2**64 - 1], "u8"), np.dtype("f4"), "<")
@example(np.array([2**53 + 1]), np.dtype("f8"), "<")
@example(np.array([2.0**63]), np.dtype("i8"), "<")
@example(np.array([np.nan, np.inf, -np.inf]), np.dtype("f2"), ">")
@example(np.array([np.nan]), np.dtype("u1"), "<")
@example(np.array([65536], "u4"), np.dtype("f2"), "<")
@example(np.array([-(2**63)]), np.dtype("f2"), "<")
@example(np.array([complex(2**24 + 1, np.nan)]), np.dtype("c8"), "<")
@example(np.array([], "f8"), np.dtype("u1"), "<")
def test_another_type_has_the_same_values_or_is_none(values: np.ndarray, dtype: np.dtype[Any], order: str) -> None:
    values = values.astype(values.dtype.newbyteorder(order))
    taken = in_type(values, dtype)
    if all(holds(dtype, value) for value in values.tolist()):
        assert taken is not None and taken.dtype == dtype and taken.dtype.isnative
        assert [[p for p in parts(v) if p] for v in taken.tolist()] == [
            [p for p in parts(v) if p] for v in values.tolist()
        ]
    else:
        assert taken is None


@pytest.mark.parametrize("record", [False, True], ids=["store", "recorder"])
def test_values_that_fit_are_taken_and_said_once(tmp_path: Path, record: bool) -> None:
    frames = [np.zeros(SHAPE), np.eye(48, 64, dtype=bool), np.full(SHAPE, 255), np.full(SHAPE, 7, ">u2")]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        store = imgstore.new_for_format("npy", tmp_path / "s", imgshape=SHAPE)
        with imgstore.Recorder(store) if record else store as target:
            for k, frame in enumerate(frames):
                target.add_image(frame, k, k)
            for wrong in (np.full(SHAPE, 0.5), np.full(SHAPE, -1), np.full(SHAPE, 256), np.full(SHAPE, np.nan)):
                with pytest.raises(ArgumentError, match="does not hold all of its values"):
                    target.add_image(wrong, 9, 9)
    (told,) = [w for w in caught if issubclass(w.category, ImgStoreWarning)]
    assert "float64" in str(told.message) and "uint8" in str(told.message)
    with imgstore.new_for_filename(tmp_path / "s") as store:
        assert all(
            np.array_equal(img, frame) and img.dtype == np.uint8 for (img, _), frame in zip(store, frames, strict=True)
        )


@pytest.mark.parametrize("fmt", ["npy", "tif", "png", "ffv1/mkv"])
def test_either_byte_order(tmp_path: Path, fmt: str) -> None:
    img = np.arange(48 * 64).reshape(SHAPE).astype(">u2")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # the type is the same
        with imgstore.new_for_format(fmt, tmp_path / "s", imgshape=SHAPE, imgdtype=img.dtype) as store:
            store.add_image(img, 0, 0.0)
            store.add_image(img.astype("<u2"), 1, 1.0)
    with imgstore.new_for_filename(tmp_path / "s") as store:
        assert all(np.array_equal(frame, img) for frame, _ in store) and store.image_dtype == np.uint16


def test_masks_are_not_dropped(tmp_path: Path) -> None:
    with imgstore.new_for_format("npy", tmp_path / "s", imgshape=SHAPE) as store:
        img = np.ma.masked_array(np.full(SHAPE, 3, np.uint8), mask=False)
        store.add_image(img, 0, 0.0)  # nothing is masked
        img[4, 5] = np.ma.masked
        for masked in (img, img.astype(float)):
            with pytest.raises(ArgumentError, match="mask"):
                store.add_image(masked, 1, 1.0)
    assert imgstore.new_for_filename(tmp_path / "s")[:].tolist() == np.full((1, *SHAPE), 3).tolist()


@pytest.mark.parametrize("fmt", ["npy", "png", "mjpeg/avi"])
def test_one_channel(tmp_path: Path, fmt: str) -> None:
    """As 0.x has it: the shape is what was asked for, and image files and videos give frames without the channel."""
    img = np.full((*SHAPE, 1), 77, np.uint8)
    with imgstore.new_for_format(fmt, tmp_path / "s", imgshape=img.shape, chunksize=2) as store:
        assert store.image_shape == store._imgshape == img.shape
        for k in range(3):
            store.add_image(img, k, k)
    with imgstore.new_for_filename(tmp_path / "s", mode="a") as store:
        store.add_image(img, 3, 3)
    shape = img.shape if fmt == "npy" else SHAPE
    with imgstore.new_for_filename(tmp_path / "s") as store:
        assert store.image_shape == store._imgshape == img.shape and store._metadata["imgshape"] == [48, 64, 1]
        assert all(frame.shape == shape and abs(int(frame.mean()) - 77) < 2 for frame, _ in store)
        assert store[1:].shape == (3, *shape)
        out = np.empty((2, *shape), np.uint8)
        assert store.get_images([0, 3], out=out)[0] is out
    assert imgstore.verify.check_store(tmp_path / "s").faults == []


def test_names_of_the_chunk_in_hand(tmp_path: Path) -> None:
    """Recorders put files of their own beside a chunk, and name them by its number."""
    path = str(tmp_path / "s")
    with imgstore.new_for_format("mjpeg/avi", path, imgshape=SHAPE, chunksize=3) as store:
        found = [store._chunk_n]
        for k in range(7):
            store.add_image(np.zeros(SHAPE, np.uint8), k, k)
            found.append(store._chunk_n)
            assert (
                store._capfn == os.path.join(path, f"{store._chunk_n:06d}.avi") and store._chunk_current_frame_idx == -1
            )
    assert found == [0, 0, 0, 1, 1, 1, 2, 2] and store._capfn is None  # as 0.4.0 answers
    with imgstore.new_for_filename(path) as store:
        places = [(store._chunk_n, store._chunk_current_frame_idx)]
        for number in (0, 1, 5, 3, 6):
            store.get_image(number)
            places.append((store._chunk_n, store._chunk_current_frame_idx))
            assert store._capfn == os.path.join(path, f"{store._chunk_n:06d}.avi")
    assert places == [(0, -1), (0, 0), (0, 1), (1, 2), (1, 0), (2, 0)] and store._capfn is None
    with imgstore.new_for_filename(write_store(tmp_path / "t", "npy", 1)) as store:
        assert store._chunk_n == 0 and not hasattr(store, "_capfn")

"""Stores side by side: what `StoreAligner` yields for every policy, as recorded from 0.4.0 and from its definition."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import imgstore
from imgstore.align import StoreAligner
from imgstore.errors import ArgumentError

DROP, HOLD, BLACK = "drop", "zoh", "black"
NAN = float("nan")


class FakeStore:
    """A store in memory: each frame shows its position plus an offset, its time is that position plus another."""

    def __init__(
        self,
        numbers: list[int],
        offset: int = 0,
        start: float = 100.0,
        shape: tuple[int, ...] = (2, 3),
        dtype: str = "uint8",
    ) -> None:
        self.frame_numbers = np.array(numbers, np.int64)
        self.image_shape = shape
        self.offset, self.start, self.dtype = offset, start, dtype

    def __len__(self) -> int:
        return len(self.frame_numbers)

    def get_image(
        self, frame_number: int | None = None, exact_only: bool = True, frame_index: int | None = None
    ) -> Any:
        assert frame_number is None or type(frame_number) is int
        i = frame_index if frame_index is not None else self.frame_numbers.tolist().index(frame_number)
        img = np.full(self.image_shape, i + 1 + self.offset, self.dtype)
        return img, (int(self.frame_numbers[i]), self.start + i)


def values(images: list[np.ndarray]) -> list[int]:
    assert all((img == img.flat[0]).all() for img in images)
    return [int(img.flat[0]) for img in images]


def run(policy: str, *stores: Any) -> list[tuple[int, list[int], list[float]]]:
    aligner = StoreAligner(*stores)
    numbers = aligner.extract_common_frames(policy)
    every = sorted({n for store in stores for n in store.frame_numbers.tolist()})
    assert numbers.tolist() == every
    assert numbers.dtype == np.int64
    with_times = [(int(n), values(images), times) for n, images, times in aligner.iter_imgs(return_times=True)]
    without = [(int(n), values(images)) for n, images in aligner.iter_imgs()]
    assert without == [(n, images) for n, images, _ in with_times]  # and twice the same
    return with_times


def same(got: list[Any], want: list[Any]) -> None:
    assert [(n, images) for n, images, _ in got] == [(n, images) for n, images, _ in want]
    np.testing.assert_array_equal([t for *_, t in got], [t for *_, t in want])


def test_policies_are_named_as_in_0x() -> None:
    assert StoreAligner.MISSING_POLICY_DROP == DROP
    assert StoreAligner.MISSING_POLICY_HOLD == HOLD
    assert StoreAligner.MISSING_POLICY_BLACK == BLACK


def gaps() -> tuple[FakeStore, FakeStore]:
    return FakeStore([1, 2, 3, 5, 6, 9]), FakeStore([2, 3, 4, 5, 7, 9, 10], 100, 200.0)


def test_drop_yields_only_what_all_stores_have() -> None:
    same(
        run(DROP, *gaps()),
        [
            (2, [2, 101], [101.0, 200.0]),
            (3, [3, 102], [102.0, 201.0]),
            (5, [4, 104], [103.0, 203.0]),
            (9, [6, 106], [105.0, 205.0]),
        ],
    )


def test_hold_repeats_the_last_image_but_not_its_time_and_begins_black() -> None:
    same(
        run(HOLD, *gaps()),
        [
            (1, [1, 0], [100.0, NAN]),
            (2, [2, 101], [101.0, 200.0]),
            (3, [3, 102], [102.0, 201.0]),
            (4, [3, 103], [NAN, 202.0]),
            (5, [4, 104], [103.0, 203.0]),
            (6, [5, 104], [104.0, NAN]),
            (7, [5, 105], [NAN, 204.0]),
            (9, [6, 106], [105.0, 205.0]),
            (10, [6, 107], [NAN, 206.0]),
        ],
    )


def test_black_stands_for_each_missing_image() -> None:
    same(
        run(BLACK, *gaps()),
        [
            (1, [1, 0], [100.0, NAN]),
            (2, [2, 101], [101.0, 200.0]),
            (3, [3, 102], [102.0, 201.0]),
            (4, [0, 103], [NAN, 202.0]),
            (5, [4, 104], [103.0, 203.0]),
            (6, [5, 0], [104.0, NAN]),
            (7, [0, 105], [NAN, 204.0]),
            (9, [6, 106], [105.0, 205.0]),
            (10, [0, 107], [NAN, 206.0]),
        ],
    )


def test_numbers_are_yielded_ascending_and_the_first_of_several_counts() -> None:
    for policy in (DROP, HOLD, BLACK):
        same(
            run(policy, FakeStore([5, 6, 0, 0]), FakeStore([0, 5, 5, 6], 100, 200.0)),
            [(0, [3, 101], [102.0, 200.0]), (5, [1, 102], [100.0, 201.0]), (6, [2, 104], [101.0, 203.0])],
        )


@st.composite
def recordings(draw: Any) -> list[list[int]]:
    numbers = st.integers(-6, 12) | st.sampled_from([2**40, -(2**40)])
    return draw(st.lists(st.lists(numbers, max_size=12), min_size=1, max_size=4))


@given(recordings())
def test_policies_as_defined(recordings: list[list[int]]) -> None:
    stores = [FakeStore(numbers, 50 * i, 1000.0 * i) for i, numbers in enumerate(recordings)]
    firsts = [{n: numbers.index(n) for n in numbers} for numbers in recordings]
    every = sorted(set().union(*recordings))
    common = [n for n in every if all(n in first for first in firsts)]
    for policy in (DROP, HOLD, BLACK):
        held = [0] * len(stores)
        want = []
        for n in common if policy == DROP else every:
            images, times = [], []
            for i, first in enumerate(firsts):
                if n in first:
                    held[i] = first[n] + 1 + 50 * i
                images.append(held[i] if n in first or policy == HOLD else 0)
                times.append(1000.0 * i + first[n] if n in first else NAN)
            want.append((n, images, times))
        same(run(policy, *stores), want)


@pytest.mark.parametrize(("shape", "dtype"), [((4, 4), "uint16"), ((4, 4, 3), "uint8"), ((4, 4), "float32")])
def test_black_is_as_the_images_of_the_store(shape: tuple[int, ...], dtype: str) -> None:
    aligner = StoreAligner(FakeStore([1, 2, 3], shape=shape), FakeStore([3], shape=shape, dtype=dtype))
    for policy in (HOLD, BLACK):
        aligner.extract_common_frames(policy)
        for _, (_, img) in aligner.iter_imgs():
            assert img.shape == shape
            assert img.dtype == dtype


def test_empty_store_is_black_throughout() -> None:
    same(run(HOLD, FakeStore([1, 2]), FakeStore([])), [(1, [1, 0], [100.0, NAN]), (2, [2, 0], [101.0, NAN])])
    assert run(DROP, FakeStore([1, 2]), FakeStore([])) == []


def test_held_image_is_not_copied() -> None:
    aligner = StoreAligner(FakeStore([1, 2, 3]), FakeStore([1, 3]))
    aligner.extract_common_frames(HOLD)
    first, second, third = (images[1] for _, images in aligner.iter_imgs())
    assert first is second
    assert third is not first


def test_another_policy_takes_effect() -> None:
    aligner = StoreAligner(FakeStore([1, 2]), FakeStore([2, 3]))
    aligner.extract_common_frames(DROP)
    assert [n for n, _ in aligner.iter_imgs()] == [2]
    aligner.extract_common_frames(BLACK)
    assert [n for n, _ in aligner.iter_imgs()] == [1, 2, 3]


def test_returned_numbers_are_the_callers_to_change() -> None:
    aligner = StoreAligner(FakeStore([1, 2]))
    aligner.extract_common_frames(DROP)[:] = 7
    assert [n for n, _ in aligner.iter_imgs()] == [1, 2]


def test_errors() -> None:
    with pytest.raises(ArgumentError, match="no stores"):
        StoreAligner()
    with pytest.raises(ArgumentError, match=r"\(2, 3\), \(2, 3, 3\)"):
        StoreAligner(FakeStore([1]), FakeStore([1], shape=(2, 3, 3)))
    aligner = StoreAligner(FakeStore([1]))
    with pytest.raises(ArgumentError, match="extract_common_frames"):
        aligner.iter_imgs()
    for policy in ("foo", None, []):
        with pytest.raises(ArgumentError, match="unknown policy"):
            aligner.extract_common_frames(policy)  # type: ignore[arg-type]


def test_real_stores_of_several_chunks(tmp_path: Path) -> None:
    recorded = {"a": [3, 4, 5, 7, 8, 9], "b": [4, 5, 6, 7, 9, 10, 11]}
    for name, numbers in recorded.items():
        with imgstore.new_for_format("npy", tmp_path / name, imgshape=(4, 6), imgdtype="uint16", chunksize=2) as store:
            for n in numbers:
                store.add_image(np.full((4, 6), n * 100, np.uint16), n, n / 4)
    with imgstore.new_for_filename(tmp_path / "a") as a, imgstore.new_for_filename(tmp_path / "b") as b:
        aligner = StoreAligner(a, b)
        a.get_next_image()
        aligner.extract_common_frames(StoreAligner.MISSING_POLICY_DROP)
        assert a.get_next_image()[1][0] == 4  # finding out reads nothing
        assert [(n, values(images), times) for n, images, times in aligner.iter_imgs(return_times=True)] == [
            (n, [n * 100] * 2, [n / 4] * 2) for n in (4, 5, 7, 9)
        ]
        aligner.extract_common_frames(StoreAligner.MISSING_POLICY_BLACK)
        assert [values(images) for _, images in aligner.iter_imgs()] == [
            [n * 100 if n in numbers else 0 for numbers in recorded.values()] for n in range(3, 12)
        ]

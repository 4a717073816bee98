"""A store as an array: what numpy does with the frames in memory, it does without having them there."""

from __future__ import annotations

import pickle
import threading
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from scenes import write_store

import imgstore
import imgstore.array
from imgstore.codec import FrameSpec
from imgstore.errors import ArgumentError, FrameIndexError

COUNT = 23


@pytest.fixture(scope="module", params=["npy", "png", "avc1/mp4"])
def gray(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    path = tmp_path_factory.mktemp("array") / "s"
    write_store(path, request.param, COUNT, chunksize=7)
    with imgstore.new_for_filename(path) as store:
        yield store, store.get_images(frame_indices=range(COUNT))[0]


@pytest.fixture(scope="module")
def color(tmp_path_factory: pytest.TempPathFactory) -> Any:
    path = tmp_path_factory.mktemp("array") / "s"
    frames = np.random.default_rng(1).integers(0, 255, (COUNT, 6, 8, 3), np.uint8)
    with imgstore.new_for_format("png", path, imgshape=(6, 8, 3), chunksize=7) as store:
        for k, img in enumerate(frames):
            store.add_image(img, k, k / 10)
    with imgstore.new_for_filename(path) as store:
        yield store, frames


def check(store: imgstore.ImgStore, frames: np.ndarray[Any, Any], key: Any) -> None:
    wanted = frames[key]
    got = store.as_array()[key]
    assert got.dtype == wanted.dtype and np.array_equal(got, wanted)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_basic_indexing_is_numpys(gray: Any, data: st.DataObject) -> None:
    store, frames = gray
    key = data.draw(npst.basic_indices(frames.shape, allow_newaxis=False, allow_ellipsis=True))
    check(store, frames, key)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_lists_and_masks_choose_frames(gray: Any, data: st.DataObject) -> None:
    store, frames = gray
    first = data.draw(
        st.one_of(
            st.lists(st.integers(-COUNT, COUNT - 1), max_size=9),
            st.lists(st.booleans(), min_size=COUNT, max_size=COUNT).map(np.array),
            st.lists(st.integers(0, COUNT - 1), max_size=5).map(lambda p: np.array(p, np.uint16)),
        )
    )
    wanted = np.array(first, int) if isinstance(first, list) else first  # for numpy an empty list is one of floats
    rows = data.draw(st.slices(frames.shape[1]))
    assert np.array_equal(store.as_array()[first], frames[wanted])
    assert np.array_equal(store.as_array()[first, rows], frames[wanted, rows])


def test_color_both_ways(color: Any) -> None:
    store, frames = color
    for key in (slice(None), 3, (slice(2, 9), slice(1, 4), 2), (..., 0), (-1, ..., 1), ([1, 1, 5], 2)):
        check(store, frames, key)
        assert np.array_equal(store.as_array(color="rgb")[key], frames[..., ::-1][key])


def test_store_itself_has_axes(color: Any) -> None:
    """A tuple means axes, a list or an array positions."""
    store, frames = color
    assert (store.shape, store.ndim, store.dtype) == (frames.shape, 4, np.uint8)
    assert np.array_equal(store[0:5, ::2, ::2], frames[0:5, ::2, ::2])
    assert np.array_equal(store[..., 0], frames[..., 0])
    assert np.array_equal(store[5, 1, 2], frames[5, 1, 2])
    assert np.array_equal(store[[5, 1, 2]], frames[[5, 1, 2]])


def test_parts_are_taken_block_by_block(gray: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    store, frames = gray
    monkeypatch.setattr(imgstore.array, "_BLOCK_BYTES", 3 * frames[0].nbytes)
    array = store.as_array()
    assert array.chunks == (3, *frames.shape[1:])
    assert np.array_equal(array[1:20:2, 5], frames[1:20:2, 5])


def test_what_an_array_says_of_itself(gray: Any) -> None:
    store, frames = gray
    array = store.as_array()
    assert (array.shape, array.ndim, array.size, array.nbytes) == (frames.shape, 3, frames.size, frames.nbytes)
    assert np.array_equal(np.asarray(array), frames) and np.asarray(array, float).dtype == float
    assert np.array_equal(np.asarray(array[3:9, ::2, 5]), frames[3:9, ::2, 5])
    assert [img.sum() for img in array] == [img.sum() for img in frames]


@pytest.mark.parametrize(
    "key, error",
    [
        (COUNT, FrameIndexError),
        ((-COUNT - 1, 0), FrameIndexError),
        ((0, 0, 0, 0), FrameIndexError),
        ((..., 0, ...), FrameIndexError),
        ([True, False], FrameIndexError),
        (None, ArgumentError),
        ("a", ArgumentError),
        (1.5, ArgumentError),
        ([[1]], ArgumentError),
        ((0, [1, 2]), ArgumentError),
        ((0, 99), IndexError),
    ],
)
def test_bad_keys(gray: Any, key: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        gray[0].as_array()[key]


def test_pickled_arrays_are_small_and_stay_as_long_as_they_were(tmp_path: Path) -> None:
    write_store(tmp_path / "s", "npy", 5)
    with imgstore.new_for_filename(tmp_path / "s") as store:
        array = store.as_array()
        pickled = pickle.dumps(array)
    assert len(pickled) < 10_000
    with imgstore.new_for_filename(tmp_path / "s", mode="a") as store:
        store.add_image(np.zeros((48, 64), np.uint8), 99, 99.0)
    again = pickle.loads(pickled)
    assert again.shape[0] == 5 and np.array_equal(again[-1], np.asarray(again)[4])
    with pytest.raises(FrameIndexError):
        again[5]


def test_threads_share_one(gray: Any) -> None:
    store, frames = gray
    array, wrong = store.as_array(), []

    def work(seed: int) -> None:
        rng = np.random.default_rng(seed)
        for _ in range(15):
            a, b = sorted(rng.integers(0, COUNT, 2))
            if not np.array_equal(array[a:b, 3:9], frames[a:b, 3:9]):
                wrong.append((a, b))

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_more_than_fits_into_memory_is_an_error_of_ours(gray: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = FrameSpec((1 << 40, 1 << 20), np.dtype(np.uint8))
    monkeypatch.setattr(gray[0]._readable._frames, "spec", spec)
    with pytest.raises(ArgumentError, match="no memory"):
        gray[0].get_images(frame_indices=[0])


@pytest.mark.parametrize("fmt, most", [("avc1/mp4", 25), ("h264/mkv", 25), ("mjpeg/avi", 1), ("ffv1/mkv", 1)])
def test_key_frames_are_those_of_the_files(tmp_path: Path, fmt: str, most: int) -> None:
    write_store(tmp_path / "s", fmt, 130, chunksize=60)
    with imgstore.new_for_filename(tmp_path / "s") as store:
        flagged = []
        for file in store.chunk_files:
            with av.open(file.path) as container:
                frames = enumerate(container.decode(video=0))
                flagged += [file.position + k for k, frame in frames if frame.key_frame]
        assert store.get_key_frames().tolist() == flagged
        assert {0, 60, 120} <= set(flagged) and max(np.diff(flagged)) <= most


def test_all_frames_that_are_files_are_key_frames(tmp_path: Path) -> None:
    with imgstore.new_for_filename(write_store(tmp_path / "s", "npy", 12)) as store:
        assert store.get_key_frames().tolist() == list(range(12))

"""Frames that are damaged, on the way through a store: an error, or left out with a word for those in a row."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scenes import SHAPE, coded_frame, shown_number, write_store

import imgstore
from imgstore.align import StoreAligner
from imgstore.errors import ArgumentError, ChunkError, FrameDecodeError, ImgStoreWarning, StoreClosedError

COUNT = 30


def hurt(path: str, positions: Sequence[int], chunksize: int = 10) -> str:
    """Damage the files of some frames."""
    for position in positions:
        file = Path(path) / f"{position // chunksize:06d}" / f"{position % chunksize:06d}.npy"
        content = bytearray(file.read_bytes())
        content[-1] ^= 1
        file.write_bytes(content)
    return path


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_store(tmp_path_factory.mktemp("on_error") / "s", "npy", COUNT)


def told(caught: Sequence[Any]) -> list[str]:
    return [str(w.message) for w in caught if issubclass(w.category, ImgStoreWarning)]


@settings(deadline=None, max_examples=25)
@given(
    st.sets(st.integers(0, COUNT - 1), max_size=12),
    st.sampled_from([(None, None, None), (None, None, -1), (3, 25, 2), (0, 0, 1)]),
    st.sampled_from(["skip", "warn"]),
)
def test_what_is_whole_is_returned(tmp_path_factory: Any, damaged: set[int], where: Any, on_error: Any) -> None:
    path = hurt(write_store(tmp_path_factory.mktemp("any") / "s", "npy", COUNT), sorted(damaged))
    wanted = list(range(COUNT)[slice(*where)])
    expected = [100 + k for k in wanted if k not in damaged]
    runs = "".join("x" if k in damaged else "." for k in wanted).replace("x.", "x ").split(".")
    runs = [run for part in runs for run in part.split() if "x" in run]
    with imgstore.new_for_filename(path) as store:
        for read in (
            lambda: [(img, number) for img, (number, _) in store.iter_images(*where, on_error=on_error)],
            lambda: (lambda b: list(zip(b[0], b[1][0].tolist(), strict=True)))(
                store.get_images(frame_indices=wanted, on_error=on_error)
            ),
            lambda: (lambda b: list(zip(b[0], b[1][0].tolist(), strict=True)))(
                store.get_images(
                    [100 + k for k in wanted], on_error=on_error, out=np.empty((len(wanted), *SHAPE), np.uint8)
                )
            ),
        ):
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                found = read()
            assert [number for _, number in found] == [shown_number(img) for img, _ in found] == expected
            assert len(told(caught)) == (len(runs) if on_error == "warn" else 0)


def test_ranges_are_in_the_numbers_of_the_store(tmp_path: Path) -> None:
    path = hurt(write_store(tmp_path / "s", "npy", COUNT), [*range(8, 14), 20])
    with imgstore.new_for_filename(path) as store, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert len(list(store.iter_images(on_error="warn"))) == COUNT - 7
    first, second = told(caught)
    assert "6 frames, numbers 108 to 113," in first and "000008.npy" in first and path in first
    assert "frame 120 cannot be read" in second
    assert {w.filename for w in caught} == {__file__}


def test_without_being_asked_it_is_an_error(tmp_path: Path) -> None:
    path = hurt(write_store(tmp_path / "s", "npy", COUNT), [5])
    with imgstore.new_for_filename(path) as store:
        seen = []
        with pytest.raises(FrameDecodeError):
            for _, (number, _) in store:
                seen.append(number)
        assert seen == list(range(100, 105)) and store.get_next_image()[1][0] == 106
        with pytest.raises(FrameDecodeError):
            store.get_images(frame_indices=range(10))
        for ask in (store.iter_images, lambda on_error: store.get_images([101], on_error=on_error)):
            with pytest.raises(ArgumentError, match="on_error"):
                ask(on_error="ignore")


def test_a_missing_video_and_a_torn_one(tmp_path: Path) -> None:
    path = write_store(tmp_path / "s", "mjpeg/avi", COUNT)
    (tmp_path / "s" / "000001.avi").unlink()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with imgstore.new_for_filename(path) as store:
            assert [n for _, (n, _) in store.iter_images(on_error="warn")] == [*range(100, 110), *range(120, 130)]
    caught.clear()
    video = tmp_path / "s" / "000002.avi"
    video.write_bytes(b"no video")
    with imgstore.new_for_filename(path) as store, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        numbers = [n for _, (n, _) in store.iter_images(on_error="warn")]
        batch, (found, _) = store.get_images(frame_indices=slice(None), on_error="warn")
        assert numbers == found.tolist() == list(range(100, 110)) and len(batch) == 10
    assert len(told(caught)) == 2 and all("10 frames, numbers 120 to 129" in message for message in told(caught))


@pytest.mark.parametrize("policy", [StoreAligner.MISSING_POLICY_DROP, StoreAligner.MISSING_POLICY_HOLD])
def test_aligned_stores(tmp_path: Path, policy: str) -> None:
    left = hurt(write_store(tmp_path / "l", "npy", COUNT), [4, 5])
    right = tmp_path / "r"
    with imgstore.new_for_format("npy", right, imgshape=SHAPE, chunksize=10) as store:
        for k in (100, 101, 102, 103, 104, 107, 108):
            store.add_image(coded_frame(k), k, float(k))
    hurt(str(right), [5])  # number 107
    with imgstore.new_for_filename(left) as a, imgstore.new_for_filename(right) as b:
        aligner = StoreAligner(a, b)
        aligner.extract_common_frames(policy)
        with pytest.raises(ChunkError):
            list(aligner.iter_imgs())
        with pytest.warns(ImgStoreWarning) as caught:
            found = [(int(n), [shown_number(i) for i in images]) for n, images in aligner.iter_imgs(on_error="warn")]
    if policy == StoreAligner.MISSING_POLICY_DROP:
        assert found == [(n, [n, n]) for n in (100, 101, 102, 103, 108)]
        assert len(caught) == 1 and "2 frames, numbers 104 to 107," in str(caught[0].message)
    else:
        whole = [(n, [n, n]) for n in range(100, 104)]
        assert found == [*whole, (106, [106, 104]), (108, [108, 108]), *((n, [n, 108]) for n in range(109, 130))]


def test_a_capture_says_that_this_is_not_the_end(tmp_path: Path) -> None:
    capture = imgstore.VideoCapture(hurt(write_store(tmp_path / "s", "npy", COUNT), [3]))
    assert [capture.read()[0] for _ in range(3)] == [True] * 3
    with pytest.warns(ImgStoreWarning, match="position 3"):
        assert capture.read() == (False, None)
    assert capture.read()[0]
    capture.release()


def test_closed_on_the_way(whole: str) -> None:
    store = imgstore.new_for_filename(whole)
    for on_error in ("raise", "skip", "warn"):
        iterator = store.iter_images(on_error=on_error)  # type: ignore[arg-type]
        next(iterator)
    store.close()
    with pytest.raises(StoreClosedError):
        next(iterator)
    with pytest.raises(StoreClosedError):
        store.iter_images()

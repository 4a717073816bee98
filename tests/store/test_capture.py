"""Tracking code that was written for OpenCV takes a store unchanged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scenes import SHAPE, shown_number, write_store

import imgstore


@pytest.fixture(scope="module", params=[("avc1/mp4", SHAPE), ("png", (*SHAPE, 3))])
def path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    fmt, shape = request.param
    return write_store(tmp_path_factory.mktemp("capture") / "store", fmt, 25, imgshape=shape)


def _track(capture: Any) -> list[int]:
    """A program as people write it."""
    import cv2

    assert capture.isOpened()
    assert int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) == 25
    assert (capture.get(cv2.CAP_PROP_FRAME_WIDTH), capture.get(cv2.CAP_PROP_FRAME_HEIGHT)) == (64, 48)
    seen = []
    while True:
        ok, frame = capture.read()
        if not ok:
            break
        gray = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
        seen.append(shown_number(gray if gray.max() > 127 else frame))
    return seen


def test_in_order(path: str) -> None:
    capture = imgstore.VideoCapture(path)
    assert _track(capture) == list(range(100, 125))
    assert capture.read() == (False, None) and not capture.grab()
    capture.release()
    assert not capture.isOpened() and capture.read() == (False, None)


def test_positions(path: str) -> None:
    import cv2

    capture = imgstore.VideoCapture(path)
    assert capture.get(cv2.CAP_PROP_FPS) == 2
    for position in (20, 3, 24, 0):
        assert capture.set(cv2.CAP_PROP_POS_FRAMES, position)
        assert capture.get(cv2.CAP_PROP_POS_FRAMES) == position
        assert shown_number(capture.read()[1]) == 100 + position
        assert capture.get(cv2.CAP_PROP_POS_FRAMES) == position + 1
        assert capture.get(cv2.CAP_PROP_POS_MSEC) == pytest.approx(position * 500)
    assert capture.set(cv2.CAP_PROP_POS_MSEC, 3100) and shown_number(capture.read()[1]) == 106
    assert capture.set(cv2.CAP_PROP_POS_AVI_RATIO, 0.2) and shown_number(capture.read()[1]) == 105
    assert capture.set(cv2.CAP_PROP_POS_FRAMES, 10)
    assert capture.grab() and capture.grab()
    out = np.empty((*SHAPE, 3), np.uint8)
    ok, img = capture.retrieve(out)
    assert ok and img is out and shown_number(img) == 111
    assert shown_number(capture.retrieve()[1]) == 111, "retrieving again gives the same frame"
    assert not capture.set(cv2.CAP_PROP_GAIN, 3) and capture.get(cv2.CAP_PROP_GAIN) == 0
    assert capture.set(cv2.CAP_PROP_POS_FRAMES, 1000) and capture.read() == (False, None)


def test_times(path: str) -> None:
    import cv2

    capture = imgstore.VideoCapture(path, cv2.CAP_FFMPEG, ())
    assert capture.set(cv2.CAP_PROP_POS_FRAMES, 20) and capture.get(cv2.CAP_PROP_POS_MSEC) == pytest.approx(10000)
    assert capture.set(cv2.CAP_PROP_POS_MSEC, 12100) and shown_number(capture.read()[1]) == 124
    assert capture.set(cv2.CAP_PROP_POS_MSEC, 12400) and capture.read() == (False, None)
    assert capture.set(cv2.CAP_PROP_POS_MSEC, -5) and shown_number(capture.read()[1]) == 100


def test_one_channel_is_made_bgr(tmp_path: Path) -> None:
    with imgstore.new_for_format("npy", tmp_path / "s", imgshape=(*SHAPE, 1), chunksize=2) as store:
        store.add_image(np.full((*SHAPE, 1), 9, np.uint8), 0, 0.0)
    ok, img = imgstore.VideoCapture(tmp_path / "s").read()
    assert ok and img is not None and img.shape == (*SHAPE, 3) and (img == 9).all()


def test_wrong_arguments_leave_nothing_behind() -> None:
    with pytest.raises(TypeError):
        imgstore.VideoCapture(nonsense=1)  # type: ignore[call-arg]


def test_no_store(tmp_path: Path) -> None:
    capture = imgstore.VideoCapture(tmp_path / "nothing")
    assert not capture.isOpened() and capture.get(7) == 0 and not capture.set(1, 3)
    assert not imgstore.VideoCapture().isOpened()

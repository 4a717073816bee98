"""Where `imgstore save` takes frames from that come as time goes on: a webcam, or a server; and what no such source is."""

from __future__ import annotations

import contextlib
import itertools
import math
import os
import time
from collections.abc import Generator, Iterator
from typing import Any

from imgstore.cli._address_source import open_address
from imgstore.cli._source import Source, SourceFrame
from imgstore.errors import ArgumentError, ChunkError, ImgStoreError

__all__ = ["is_live", "not_there_told", "open_live"]


def open_live(name: str, *, deep: bool) -> Source:
    """Open what a name stands for that `is_live`.

    Parameters
    ----------
    name : str
        The number of a webcam, or an address (``rtsp://...``).
    deep : bool
        Whether frames of more than 8 bits from an address are wanted as such; otherwise colour is converted to 8 bits.

    Raises
    ------
    ArgumentError
        There is nothing of the kind.
    """
    return _webcam(int(name)) if name.isdecimal() else open_address(name, deep)


def is_live(name: str) -> bool:
    """Whether a name stands for a webcam or an address, and not for files."""
    return not os.path.lexists(name) and (name.isdecimal() or "://" in name)


@contextlib.contextmanager
def not_there_told(name: str) -> Iterator[None]:
    """Say of a source that cannot be opened that it is that; one that is there says by itself what is wrong with it.

    Raises
    ------
    ArgumentError
        There is nothing of the kind.
    """
    try:
        yield
    except ChunkError:
        raise
    except ImgStoreError as error:
        raise ArgumentError(f"could not open source: {error}") from error


@contextlib.contextmanager
def _silent_opencv() -> Iterator[None]:
    import cv2

    # OpenCV 4 has these at the top, OpenCV 5 in a module
    log: Any = cv2 if hasattr(cv2, "setLogLevel") else cv2.utils.logging
    level = log.getLogLevel()
    log.setLogLevel(0)
    try:
        yield
    finally:
        log.setLogLevel(level)


def _webcam(number: int) -> Source:
    import cv2

    # of a camera that is not there OpenCV tells at length, from every backend: one line of ours will do
    with _silent_opencv():
        camera = cv2.VideoCapture(number)
    if not camera.isOpened():
        camera.release()
        raise ArgumentError(f"could not open source: {number}: there is no such webcam (nor a file of that name)")
    rate = camera.get(cv2.CAP_PROP_FPS)
    return Source(
        _webcam_frames(camera),
        fps=rate if math.isfinite(rate) and rate > 0 else None,
        endless=True,
        metadata={"source": f"webcam {number}"},
    )


def _webcam_frames(camera: Any) -> Generator[SourceFrame, None, None]:
    try:
        for number in itertools.count():
            if not camera.grab():
                return
            moment = time.time()
            decoded, img = camera.retrieve()
            if not decoded:
                return
            yield SourceFrame(img, number, moment)
    finally:
        camera.release()

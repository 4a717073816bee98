"""Where `imgstore save` takes frames from: a video, images, a camera, another store."""

from __future__ import annotations

import contextlib
import itertools
import math
import os
import re
import time
from collections.abc import Generator, Iterator
from typing import Any

import imgstore
from imgstore.cli._image_source import count_pages, is_numbered, open_numbered, open_stack
from imgstore.cli._source import Source, SourceFrame
from imgstore.cli._store_source import open_store
from imgstore.cli._video_source import open_stream, open_video, source_of_video
from imgstore.errors import ArgumentError

__all__ = ["open_source"]

# Seconds that a server may take to answer
_PATIENCE = 10.0


def open_source(name: str, *, deep: bool) -> Source:
    """Open what a name stands for.

    Parameters
    ----------
    name : str
        The number of a webcam (unless there is a file of that name), the path of a video, an image, a stack of images or a
        store, the name of numbered images (``img_%04d.png``), or an address (``rtsp://...``).
    deep : bool
        Whether frames of more than 8 bits are wanted as such; otherwise colour is converted to 8 bits.

    Raises
    ------
    ArgumentError
        There is nothing of the kind, or it holds no video.
    """
    if imgstore.is_imgstore(name):
        return open_store(name)
    if os.path.exists(name):
        return open_stack(name, deep) if count_pages(name) > 1 else open_video(name, deep)
    if name.isdecimal():
        return _webcam(int(name))
    if "://" in name:
        return _address(name, deep)
    if is_numbered(name):
        return open_numbered(name, deep)
    raise ArgumentError(f"could not open source: {name}: there is no such file")


def _address(name: str, deep: bool) -> Source:
    """Open what a server has: a camera, whose frames get the time at which they come, or a video."""
    transport = {"rtsp_transport": "tcp"} if name.lower().startswith("rtsp") else {}
    container, stream = open_stream(name, name, container_options=transport, timeout=_PATIENCE)
    source = source_of_video(name, container, stream, deep, live=container.duration is None)
    source.metadata["source"] = re.sub(r"//[^/@]*@", "//", name)  # without a password
    return source


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
            yield SourceFrame(img, number, moment, [])
    finally:
        camera.release()

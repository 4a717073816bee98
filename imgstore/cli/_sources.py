"""Where `imgstore save` takes frames from: a video file, a webcam, another store (`imgstore.cli._store_source`)."""

from __future__ import annotations

import contextlib
import datetime
import itertools
import math
import os
import time
import warnings
from collections.abc import Generator, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

import imgstore
from imgstore.cli._source import LeftOut, Source, SourceFrame
from imgstore.cli._store_source import open_store
from imgstore.errors import ArgumentError, ImgStoreWarning

__all__ = ["open_source"]

_YEAR = 365 * 86400


def open_source(name: str, *, deep: bool) -> Source:
    """Open what a name stands for.

    Parameters
    ----------
    name : str
        The number of a webcam (unless there is a file of that name), the path of a video, or of a store.
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
        return _video(name, deep)
    if name.isdecimal():
        return _webcam(int(name))
    raise ArgumentError(f"could not open source: {name}: there is no such file")


# -- video ---------------------------------------------------------------------------------------------------------


def _video(path: str, deep: bool) -> Source:
    import av

    try:
        container = av.open(path)
    except (av.FFmpegError, OSError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ArgumentError(f"could not open source: {path}: {reason}") from error
    if not container.streams.video:
        container.close()
        raise ArgumentError(f"could not open source: {path}: it holds no video")
    stream = container.streams.video[0]
    stream.thread_type = "AUTO"
    rate = float(stream.average_rate or stream.guessed_rate or 0)
    count = stream.frames
    if not count and rate and container.duration:
        count = round(container.duration / 1_000_000 * rate)
    left_out = LeftOut()
    return Source(
        _video_frames(path, container, stream, rate, _creation_time(container, stream), deep, left_out),
        count=count or None,
        fps=rate or None,
        metadata={"source": os.path.basename(path)},
        left_out=left_out,
    )


def _creation_time(container: Any, stream: Any) -> float:
    """Return when a video says that it was made, in seconds since the epoch; 0 where it does not say.

    Many programs write 1904 or 1970, the zeros of their clocks, where they do not know.
    """
    text = container.metadata.get("creation_time") or stream.metadata.get("creation_time")
    try:
        moment = datetime.datetime.fromisoformat(str(text).replace("Z", "+00:00"))
    except ValueError:
        return 0.0
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.timezone.utc)
    seconds = moment.timestamp()
    return seconds if seconds > _YEAR else 0.0


def _video_frames(
    path: str, container: Any, stream: Any, rate: float, offset: float, deep: bool, left_out: LeftOut
) -> Generator[SourceFrame, None, None]:
    with container:
        previous = None
        convert = _Converter(deep)
        for number, frame in enumerate(_decode(path, container, stream, left_out)):
            moment = frame.time
            if moment is None:  # raw streams have no times: the nominal rate is all that is known
                moment = 0.0 if previous is None else previous + (1 / rate if rate else 0.0)
            previous = moment
            yield SourceFrame(convert(frame), number, offset + float(moment), [])


def _decode(path: str, container: Any, stream: Any, left_out: LeftOut) -> Iterator[Any]:
    """Give every frame that can be decoded; what cannot is told of, and no reason to lose the rest."""
    import av

    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except av.FFmpegError as error:
            warnings.warn(f"{path}: ends early: {error.strerror}", ImgStoreWarning, stacklevel=2)
            left_out.ends_early = True
            packet = None
        if packet is None:
            break
        try:
            frames = packet.decode()
        except av.FFmpegError:
            left_out.uncounted += 1
            continue
        for frame in frames:
            if frame.is_corrupt:
                left_out.uncounted += 1
            else:
                yield frame


class _Converter:
    """From decoded frames to arrays: grayscale where the video is, else BGR, turned as a player turns them."""

    # swscale at full accuracy: SWS_BILINEAR | SWS_FULL_CHR_H_INT | SWS_FULL_CHR_H_INP | SWS_ACCURATE_RND of swscale.h,
    # which PyAV before 18 takes as a number and has no names for
    _HOW = 0x2 | 0x2000 | 0x4000 | 0x40000

    def __init__(self, deep: bool):
        from av.video.reformatter import VideoReformatter

        self._deep = deep
        self._reformatter = VideoReformatter()

    def __call__(self, frame: Any) -> npt.NDArray[Any]:
        rotation = frame.rotation  # before it is converted: that does not keep it
        bits = max(component.bits for component in frame.format.components)
        if len(frame.format.components) == 1 and not frame.format.has_palette:
            wanted = "gray" if bits <= 8 else "gray16le"
        else:
            wanted = "bgr48le" if bits > 8 and self._deep else "bgr24"
        if frame.format.name != wanted:
            frame = self._reformatter.reformat(frame, format=wanted, interpolation=self._HOW)
        img = frame.to_ndarray()
        img = img.astype(img.dtype.newbyteorder("="), copy=False)
        turns = round(rotation / 90) % 4
        return np.ascontiguousarray(np.rot90(img, turns)) if turns else img


# -- webcam --------------------------------------------------------------------------------------------------------


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

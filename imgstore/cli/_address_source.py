"""Where `imgstore save` takes frames from that a server sends: in which order, when, and how they are turned."""

from __future__ import annotations

import heapq
import itertools
import math
import re
import time
import warnings
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from imgstore.cli._source import Source, SourceFrame
from imgstore.errors import ArgumentError, ImgStoreWarning
from imgstore.mapping import LeftOut
from imgstore.pixels.shown import turned
from imgstore.video_facts import creation_time, in_any_encoding, tell_of_damage, turn_of

__all__ = ["open_address"]

# Seconds that a server may take to answer
_PATIENCE = 10.0

# How far from its place in the order of decoding a frame may be shown, in any codec
_MOST_REORDERED = 16


def open_address(name: str, deep: bool) -> Source:
    """Open what a server has: a camera, whose frames get the time at which they come, or a video.

    Raises
    ------
    ArgumentError
        It has nothing of the kind.
    """
    import av
    from av.stream import Disposition

    transport = {"rtsp_transport": "tcp"} if name.lower().startswith("rtsp") else {}
    try:
        container: Any = av.open(name, container_options=transport, timeout=_PATIENCE, **in_any_encoding())
    except (av.FFmpegError, OSError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ArgumentError(f"could not open source: {name}: {reason}") from error
    stream: Any = container.streams.best("video")
    if stream is None or stream.disposition & Disposition.attached_pic:
        container.close()
        raise ArgumentError(f"could not open source: {name}: it holds no video")
    if stream.codec_context is None:
        container.close()
        raise ArgumentError(f"could not open source: {name}: its video is of a codec that FFmpeg does not know")
    tell_of_damage(stream.codec_context)
    live = container.duration is None
    rate = float(stream.average_rate or stream.guessed_rate or 0)
    count = stream.frames
    if not count and rate and container.duration:
        count = round(container.duration / 1_000_000 * rate)
    left_out = LeftOut()
    timed = _shown_frames(name, container, stream, left_out, live)
    return Source(
        _video_frames(container, timed, rate, 0.0 if live else creation_time(container, stream) or 0.0, deep),
        count=None if live else count or None,
        fps=rate or None,
        endless=live,
        metadata={"source": re.sub(r"//[^/@]*@", "//", name)},  # without a password
        left_out=left_out,
    )


def _video_frames(
    container: Any, timed: Iterable[tuple[Any, float | None]], rate: float, offset: float, deep: bool
) -> Generator[SourceFrame, None, None]:
    with container:
        previous = None
        convert = _Converter(deep)
        for number, (frame, moment) in enumerate(timed):
            if moment is None:  # raw streams have no times: the nominal rate is all that is known
                moment = 0.0 if previous is None else previous + (1 / rate if rate else 0.0)
            previous = moment
            yield SourceFrame(convert(frame), number, offset + moment)


def _shown_frames(
    path: str, container: Any, stream: Any, left_out: LeftOut, live: bool
) -> Iterator[tuple[Any, float | None]]:
    """Give every frame that can be decoded and its time; what cannot is noted, and no reason to lose the rest.

    Frames come in the order in which they are shown. Where the times of packets only ever rise, although the codec may show
    them in another order, they are those of decoding (AVI has no others, nor has what was copied out of it): the n-th frame
    shown then has the n-th of these times. Of a camera they have the time at which they come.
    """
    held: deque[Any] = deque()
    times: list[float] = []
    latest = -math.inf
    of_decoding = not live and bool(stream.codec_context.codec.reorder)
    for packet, frames in itertools.chain(_decoded(path, container, stream, left_out), [(None, [])]):
        if packet is not None and packet.pts is not None and packet.size:
            of_decoding = of_decoding and packet.pts > latest
            latest = packet.pts
        left_out.uncounted += frames is None
        for frame in frames or ():
            held.append(frame)
            moment = time.time() if live else frame.time
            if moment is not None:
                heapq.heappush(times, float(moment))
        while len(held) > (_MOST_REORDERED if of_decoding and packet is not None else 0):
            frame = held.popleft()
            moment = heapq.heappop(times) if times else None
            left_out.uncounted += frame.is_corrupt
            if not frame.is_corrupt:
                yield frame, moment


def _decoded(path: str, container: Any, stream: Any, left_out: LeftOut) -> Iterator[tuple[Any, list[Any] | None]]:
    """Give packets and the frames that come out of the decoder with them, None where it refuses one.

    The last packet is an empty one, with which the decoder gives what it has held back.
    """
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
            return
        try:
            yield packet, packet.decode()
        except av.FFmpegError as error:
            yield packet, None
            if not stream.codec_context.is_open:  # PyAV 19 makes a ValueError of every further try
                warnings.warn(f"{path}: cannot be decoded: {error.strerror}", ImgStoreWarning, stacklevel=2)
                left_out.ends_early = True
                return


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
        turn = turn_of(frame)  # before it is converted: that does not keep it
        bits = max(component.bits for component in frame.format.components)
        if len(frame.format.components) == 1 and not frame.format.has_palette:
            wanted = "gray" if bits <= 8 else "gray16le"
        else:
            wanted = "bgr48le" if bits > 8 and self._deep else "bgr24"
        if frame.format.name != wanted:
            frame = self._reformatter.reformat(frame, format=wanted, interpolation=self._HOW)
        img = frame.to_ndarray()
        img = img.astype(img.dtype.newbyteorder("="), copy=False)
        return turned(img, *turn) if turn else np.ascontiguousarray(img)

"""Packets of chunks joined into one video, bit for bit: nothing is decoded, and nothing encoded again."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from imgstore.errors import ArgumentError, ChunkError
from imgstore.exporting.entry_points import OWN_FILE_ALONE, address, begins_anew, has_lengths, parameter_sets
from imgstore.exporting.outputs import told
from imgstore.exporting.sound import Sound, Track
from imgstore.exporting.timing import Timing
from imgstore.exporting.video_file import MUXERS

if TYPE_CHECKING:
    from av.container import InputContainer

__all__ = ["Part", "copy_packets", "plan_copy"]

Ints = npt.NDArray[np.int64]

_INSTEAD = "leave --copy out, and the frames are encoded"


class Part(NamedTuple):
    """The packets of one chunk that are copied.

    Attributes
    ----------
    path : str
        The chunk's video file.
    first, stop : int
        Which packets, in the order of decoding.
    positions : numpy.ndarray
        Position in the store of the frame of each, int64.
    """

    path: str
    first: int
    stop: int
    positions: Ints


class _Packets(NamedTuple):
    """What is known of all packets of a chunk, in the order of decoding."""

    rank: Ints  # the place of each in the order of showing
    entries: list[int]  # from which of them decoding can begin
    description: tuple[Any, ...]  # what decoding depends on besides the packets


def plan_copy(store: Any, start: int, stop: int, kind: str) -> list[Part]:
    """Find the packets of frames, from where decoding can begin, to where nothing is needed any more.

    Parameters
    ----------
    store : imgstore.store.ImgStore
        Open for reading.
    start, stop : int
        Positions of the frames.
    kind : {'mp4', 'mkv'}
        What they are copied into.

    Raises
    ------
    ArgumentError
        They cannot be copied; it says why.
    ChunkError
        A chunk's file cannot be read.
    """
    parts: list[Part] = []
    before: tuple[str, tuple[Any, ...]] | None = None
    for file in store.chunk_files:
        first, end = max(start, file.position) - file.position, min(stop, file.position + file.frame_count) - file.position
        if first >= end:
            continue
        if os.path.isdir(file.path):
            raise ArgumentError(f"{store.filename}: frames of {store.format} are files by themselves: {_INSTEAD}")
        packets = _look_through(file.path, file.frame_count)
        if before is not None and before[1] != packets.description:
            raise ArgumentError(
                f"{file.path}: was encoded with other parameters than {before[0]}, and one video has one set of them:"
                f" export them one by one, or {_INSTEAD}"
            )
        before = file.path, packets.description
        parts.append(_cut(file, packets, first, end, joined=bool(parts)))
    _try_container(parts[0].path, kind)
    return parts


def _cut(file: Any, packets: _Packets, first: int, end: int, joined: bool) -> Part:
    """Choose packets that hold the frames `first` to before `end` of a chunk, and as few others as can be."""
    rank = packets.rank
    fits = [k for k in packets.entries if rank[k] <= first and rank[k:].min() == rank[k]]
    if not fits or (joined and fits[0] != 0):
        raise ArgumentError(f"{file.path}: does not begin with a frame that can be decoded by itself: {_INSTEAD}")
    begin = fits[-1] if first else fits[0]
    # so many packets that all that are shown before the last of them are among them
    latest = np.maximum.accumulate(rank[begin:])
    whole = latest - rank[begin] == np.arange(len(latest))
    ends = np.flatnonzero(whole & (latest >= end - 1))
    if not len(ends):
        raise ArgumentError(f"{file.path}: frames are not shown in an order that packets can be cut in: {_INSTEAD}")
    stop = begin + int(ends[0]) + 1
    return Part(file.path, begin, stop, file.position + rank[begin:stop])


@contextmanager
def _opened(path: str) -> Iterator[tuple[InputContainer, Any]]:
    """Open a chunk's file and give its only video stream."""
    import av

    how = {"metadata_errors": "surrogateescape"} if int(av.__version__.partition(".")[0]) < 19 else {}
    try:
        with av.open(address(path), container_options=OWN_FILE_ALONE, **how) as container:  # type: ignore[call-overload]
            streams = [s for s in container.streams.video if s.codec_context is not None]
            if len(streams) != 1 or len(container.streams) != 1:
                others = "sound or other streams" if len(streams) == 1 else f"{len(streams)} videos"
                raise ArgumentError(f"{path}: holds {others}, of which nothing is copied: {_INSTEAD}")
            yield container, streams[0]
    except av.FFmpegError as error:
        raise ChunkError(f"{path}: its packets cannot be copied: {error.strerror}") from error


def _look_through(path: str, frame_count: int) -> _Packets:
    with _opened(path) as (container, stream):
        context = stream.codec_context
        codec, extradata = context.codec.canonical_name, context.extradata
        if not has_lengths(codec, extradata):
            raise ArgumentError(f"{path}: holds {codec} in a form that is rewritten for other files: {_INSTEAD}")
        times: list[int] = []
        early = False  # whether any is decoded before it is shown, which MP4 says
        entries: list[int] = []
        for packet in container.demux(stream):
            if not packet.size:
                continue
            if packet.is_discard:
                raise ArgumentError(f"{path}: has packets that are not shown: {_INSTEAD}")
            data = memoryview(packet)
            moment = packet.pts if packet.pts is not None else packet.dts
            if moment is None:
                raise ArgumentError(f"{path}: a packet has no time, so that the order of frames is not known: {_INSTEAD}")
            if begins_anew(codec, extradata, data, packet.is_keyframe):
                entries.append(len(times))
            for found in parameter_sets(codec, extradata, data):
                if found.rstrip(b"\0") not in (extradata or b""):
                    raise ArgumentError(f"{path}: its parameters change along the way: {_INSTEAD}")
            times.append(moment)
            early = early or packet.dts != moment
        pts = np.array(times, np.int64)
        order = np.argsort(pts, kind="stable")
        if len(pts) != frame_count or len(np.unique(pts)) != len(pts):  # some hold a field each, or are not in the index
            times_of = f"{len(pts)} packets with {len(np.unique(pts))} different times"
            raise ArgumentError(f"{path}: holds {times_of} for {frame_count} frames: {_INSTEAD}")
        rank = np.empty(len(pts), np.int64)
        rank[order] = np.arange(len(pts))
        # AVI has no times of showing. Those that only ever rise, of a codec that may show frames in another order, may be
        # times of decoding.
        rising = len(pts) > 2 and bool((np.diff(pts) > 0).all()) and not (early and container.format.name.startswith("mov"))
        if context.has_b_frames and (rising or container.format.name == "avi"):
            raise ArgumentError(f"{path}: does not say in which order its frames are shown: {_INSTEAD}")
        description = (codec, extradata, context.width, context.height, context.pix_fmt, context.color_range)
        return _Packets(rank, entries, description)


def _try_container(path: str, kind: str) -> None:
    """See whether a container takes the stream, before anything is written."""
    import io

    import av

    with _opened(path) as (_, stream):
        try:
            with av.open(io.BytesIO(), "w", format=MUXERS[kind]) as target:
                target.add_stream_from_template(stream, opaque=True)
                target.start_encoding()
        except (av.FFmpegError, ValueError) as error:
            codec, other = stream.codec_context.name, "mkv" if kind == "mp4" else "mp4"
            raise ArgumentError(f"{path}: {kind} does not hold {codec}: export to {other}, or {_INSTEAD}") from error


def copy_packets(
    parts: list[Part], target: Path, kind: str, timing: Timing, sound: Sound | None, progress: Callable[[int], None]
) -> Fraction:
    """Write the packets of parts, in order, into a file.

    Parameters
    ----------
    parts : list of Part
        What `plan_copy` found.
    target : Path
        The file, which is there.
    kind : {'mp4', 'mkv'}
        What it is.
    timing : Timing
        Of the frames from the first that is copied to the last.
    sound : Sound or None
        What is heard with them.
    progress : callable
        Is told how many were copied.

    Returns
    -------
    Fraction
        The file's time base.
    """
    import av

    base = int(min(part.positions.min() for part in parts))
    ranks = np.concatenate([part.positions for part in parts]) - base
    # each is decoded before it is shown, and in order
    early = int((timing.pts - timing.pts[ranks]).max(initial=0))
    dts = (timing.pts - early).tolist()
    pts, durations = timing.pts[ranks].tolist(), timing.durations[ranks].tolist()
    done = 0
    with av.open(address(target), "w", format=MUXERS[kind], options={"avoid_negative_ts": "disabled"}) as out:
        copy: Any = None
        track: Track | None = None
        for part in parts:
            with _opened(part.path) as (container, stream):
                if copy is None:
                    copy = out.add_stream_from_template(stream, opaque=True)
                    copy.time_base = timing.time_base
                    track = None if sound is None else Track(out, sound)
                    out.start_encoding()
                place = 0
                for packet in container.demux(stream):
                    if not packet.size:
                        continue
                    if part.first <= place < part.stop:
                        packet.stream = copy
                        packet.time_base = timing.time_base
                        packet.pts, packet.dts, packet.duration = pts[done], dts[done], durations[done]
                        with told(target):
                            out.mux(packet)
                            if track is not None:
                                track.write_until(float(pts[done] * timing.time_base))
                        done += 1
                        progress(done)
                    place += 1
                    if place >= part.stop:
                        break
                if place < part.stop:
                    raise ChunkError(f"{part.path}: its packets are not the same when they are read again")
        if track is not None:
            track.write_until(inf)
        time_base = Fraction(copy.time_base)
    return time_base

"""What a video is that lies in no store: its frames, when each of them is shown, and how it is turned."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from imgstore.codec import Format, FrameSpec, Survey
from imgstore.errors import ChunkError
from imgstore.video_facts import creation_time, turn_of
from imgstore_codecs.video.bitstream.showing_order import may_reorder
from imgstore_codecs.video.open_video import BEST
from imgstore_codecs.video.pixels.convert import spec_of
from imgstore_codecs.video.reading.kept_table import kept_arrays
from imgstore_codecs.video.reading.packets import NO_TIME, PacketTable
from imgstore_codecs.video.reading.video_reader import VideoReader

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

__all__ = ["survey_video"]

_MOST_DAMAGED = 64  # frames at the start of a file that may be damaged
_NEAR = 0.02  # by how much the rate that a file notes may differ from that of its frames


def survey_video(path: str, options: Mapping[str, Any]) -> Survey:
    """Find the frames of a video file.

    Raises
    ------
    ChunkError
        It is no video, or none of its first frames can be decoded.
    """
    number = options.get("stream")
    how = {**options, "stream": BEST if number is None else number}
    reader = VideoReader(path, FrameSpec((2, 2), np.dtype(np.uint8)), how)
    keeps = False
    try:
        picture = _first_picture(path, reader)
        stretch, table = reader.stretch, reader.table
        assert stretch is not None
        container, stream = stretch.container, stretch.stream
        ticks = _ticks(table, may_reorder(stream.codec_context))
        tick = Fraction(stream.time_base or 1)
        survey = Survey(
            format=_format(container, stretch.codec),
            spec=spec_of(picture),
            frame_count=table.frame_count,
            ticks=ticks,
            tick=(tick.numerator, tick.denominator),
            fps=_rate(stream, ticks, tick),
            created=creation_time(container, stream),
            turn=turn_of(picture),
            converts=True,
            arrays=kept_arrays(stretch, table, reader.faults),
            reader=reader if options.get("keep_open") else None,
        )
        keeps = survey.reader is not None
        return survey
    finally:
        if not keeps:
            reader.close()


def _first_picture(path: str, reader: VideoReader) -> VideoFrame:
    """Return the first frame that can be decoded."""
    reason: object = "it holds none"
    for position in range(min(_MOST_DAMAGED, reader.frame_count)):
        try:
            return reader.picture(position)
        except ChunkError as error:
            reason = error
    raise ChunkError(f"{path}: cannot be opened as a video: there is no frame that can be decoded: {reason}")


def _format(container: InputContainer, codec: str) -> Format:
    name = container.format.name.split(",")
    short = "mp4" if "mp4" in name else "mkv" if "matroska" in name else name[0]
    codec = {"libdav1d": "av1", "libvpx": "vp8", "libvpx-vp9": "vp9"}.get(codec, codec)
    lossless = codec in ("ffv1", "rawvideo", "huffyuv", "ffvhuff", "utvideo")
    return Format(f"{codec}/{short}", f".{short}", lossless=lossless, dtypes=("uint8", "uint16"))


def _ticks(table: PacketTable, reorders: bool) -> npt.NDArray[np.int64] | None:
    """Return when each frame is shown.

    Where the times of packets only ever rise, although the codec may show them in another order, they are those of decoding
    (AVI has no others, nor has what was copied out of it): the n-th frame shown then has the n-th of these times.
    """
    assert table.order is not None
    there = table.order >= 0
    places = table.order[there]
    times = table.pts if not bool((table.pts[places] == NO_TIME).any()) else table.dts
    found = times[places]
    if not bool(there.all()) or not len(found) or bool((found == NO_TIME).any()):
        return None
    as_decoded = times[np.sort(places)]
    if reorders and bool((np.diff(as_decoded) > 0).all()):
        return as_decoded
    return found


def _rate(stream: VideoStream, ticks: npt.NDArray[np.int64] | None, tick: Fraction) -> float | None:
    """Return the rate that the file notes, unless its frames have another, as where it is that of fields."""
    noted = float(stream.average_rate or stream.guessed_rate or 0)
    if ticks is None or len(ticks) < 2 or ticks[-1] <= ticks[0]:
        return noted or None
    measured = (len(ticks) - 1) / float((int(ticks[-1]) - int(ticks[0])) * tick)
    return noted if abs(measured - noted) < _NEAR * noted else measured

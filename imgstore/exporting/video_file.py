"""Pictures into an ordinary video or a GIF, each at its own time."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from fractions import Fraction
from math import inf
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from imgstore.errors import ImgStoreWarning
from imgstore.exporting.entry_points import address
from imgstore.exporting.pictures import Image
from imgstore.exporting.sound import Sound, Track
from imgstore.exporting.timing import Timing

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["MUXERS", "VideoFile"]

MUXERS = {"mp4": "mp4", "mkv": "matroska", "gif": "gif"}
DEFAULT_CRF = 18

# swscale at full accuracy: SWS_BICUBIC | SWS_FULL_CHR_H_INP | SWS_ACCURATE_RND of swscale.h
_HOW = 0x4 | 0x4000 | 0x40000
_MPEG, _JPEG, _BT601 = 1, 2, 5  # ranges and matrix as FFmpeg numbers them (AVColorRange, SWS_CS_ITU601)
_SMPTE170M = 6  # the same matrix in the file (AVColorSpace)


class VideoFile:
    """An H.264 video that every player shows, or a GIF; a context manager.

    Parameters
    ----------
    path : Path
        The file, which is written over.
    kind : {'mp4', 'mkv', 'gif'}
        What it is.
    size : tuple of int
        Height and width of pictures.
    color : bool
        Whether they have three channels.
    timing : Timing
        When they are shown.
    crf : float or None
        Quality of H.264, 0 (best) to 51.
    sound : Sound or None
        What is heard.
    """

    def __init__(
        self, path: Path, kind: str, size: tuple[int, int], color: bool, timing: Timing, crf: float | None, sound: Sound | None
    ) -> None:
        import av

        height, width = size
        self._kind, self._timing = kind, timing
        self._odd = (height % 2, width % 2) if kind != "gif" else (0, 0)
        if any(self._odd):
            warnings.warn(
                f"pictures of {width} x {height}: H.264 has even sizes alone, the last row or column is there twice",
                ImgStoreWarning,
                stacklevel=5,
            )
        self._container = av.open(address(path), "w", format=MUXERS[kind])
        try:
            rate = Fraction(timing.rate).limit_denominator(100_000)
            stream: Any = self._container.add_stream("gif" if kind == "gif" else "libx264", rate=rate or 1)
            context = stream.codec_context
            context.width, context.height = width + self._odd[1], height + self._odd[0]
            context.time_base = stream.time_base = timing.time_base
            self._graph = None
            if kind == "gif":
                context.pix_fmt = "pal8" if color else "gray"
                if color:
                    self._graph = _palette_graph(width, height, timing.time_base)
            else:
                context.pix_fmt = "yuv420p"
                context.color_range, context.colorspace = _MPEG, _SMPTE170M
                context.options = {"crf": f"{DEFAULT_CRF if crf is None else crf:g}", "preset": "veryfast"}
            self._stream, self._context = stream, context
            self._track = None if sound is None else Track(self._container, sound)
        except BaseException:
            self._container.close()
            raise

    def __enter__(self) -> Self:
        return self

    @property
    def time_base(self) -> Fraction:
        """What the file counts in, in seconds, once it is begun."""
        return Fraction(self._stream.time_base)

    def add(self, img: Image, pts: int, duration: int) -> None:
        """Encode a picture; what comes out is written."""
        import av

        if any(self._odd):
            img = np.pad(img, [(0, self._odd[0]), (0, self._odd[1]), *[(0, 0)] * (img.ndim - 2)], mode="edge")
        frame: Any = av.VideoFrame.from_ndarray(np.ascontiguousarray(img), "bgr24" if img.ndim == 3 else "gray")
        frame.color_range = _JPEG
        if self._kind != "gif":
            frame = frame.reformat(
                format="yuv420p", dst_colorspace=_BT601, src_color_range=_JPEG, dst_color_range=_MPEG, interpolation=_HOW
            )
        frame.pts, frame.time_base, frame.duration = pts, self._timing.time_base, duration
        for ready in self._through_palette(frame):
            self._write(ready)

    def _through_palette(self, frame: Any) -> Iterator[Any]:
        """Give pictures with a palette each, of colour in a GIF; others as they are."""
        if self._graph is None:
            if frame is not None:
                yield frame
            return
        import av

        self._graph.push(frame)
        while True:
            try:
                yield self._graph.pull()
            except (av.BlockingIOError, av.EOFError):
                return

    def _write(self, frame: Any) -> None:
        for packet in self._context.encode(frame):
            packet.stream = self._stream
            if not packet.duration:
                packet.duration = self._duration_at(packet.pts)
            self._container.mux(packet)
            if self._track is not None:
                self._track.write_until(packet.pts * float(self._timing.time_base))

    def _duration_at(self, pts: int) -> int:
        k = int(np.searchsorted(self._timing.pts, pts))
        return int(self._timing.durations[min(k, len(self._timing.durations) - 1)])

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            with contextlib.suppress(Exception):  # there is one already
                self._container.close()
            return
        try:
            for frame in self._through_palette(None):
                self._write(frame)
            self._write(None)
            if self._track is not None:
                self._track.write_until(inf)
        finally:
            self._container.close()


def _palette_graph(width: int, height: int, time_base: Fraction) -> Any:
    """A filter that gives each picture 256 colours of its own."""
    import av

    graph: Any = av.filter.Graph()
    source = graph.add_buffer(width=width, height=height, format="bgr24", time_base=time_base)
    split, made, used = graph.add("split"), graph.add("palettegen", "stats_mode=single"), graph.add("paletteuse", "new=1")
    sink = graph.add("buffersink")
    source.link_to(split)
    split.link_to(used, 0, 0)
    split.link_to(made, 1, 0)
    made.link_to(used, 0, 1)
    used.link_to(sink)
    graph.configure()
    return graph

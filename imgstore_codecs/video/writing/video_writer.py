"""Writing the frames of a chunk into a video file."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from imgstore.codec import ChunkWriter, FrameSpec
from imgstore_codecs.video.forked import leave_to_parent
from imgstore_codecs.video.pixels._yuv import bgr_to_yuv
from imgstore_codecs.video.pixels.convert import SWS_ACCURATE_RND, SWS_BICUBIC, SWS_FULL_CHR_H_INP
from imgstore_codecs.video.stream_description import describe_file
from imgstore_codecs.video.writing.encoders import Settings, configure
from imgstore_codecs.video.writing.growing import FFmpegFile, Sink, header_of_one_frame, sample_maker
from imgstore_codecs.video.writing.mkv_file import MkvFile
from imgstore_codecs.video.writing.mp4_file import Mp4File
from imgstore_codecs.video.writing.priority import batch_priority, usual_priority

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

__all__ = ["VideoWriter"]

Frame = npt.NDArray[Any]

_GROWING: dict[str, type[Mp4File | MkvFile]] = {"mp4": Mp4File, "matroska": MkvFile}
# Red's and blue's weights in luma, ITU-R BT.601-7, 2.5.
_BT601 = (0.299, 0.114)
_EIGHT_BIT_LUMA = frozenset(["gray", "yuv420p", "yuv422p", "yuv444p", "yuvj420p", "yuvj422p", "yuvj444p", "nv12"])


class VideoWriter(ChunkWriter):
    """Encodes frames into a file.

    Parameters
    ----------
    path : str
        The file; one that is there is overwritten.
    spec : FrameSpec
        What the frames are.
    settings : Settings
        Of the encoder.
    look_at_file : callable
        Looks at the complete file, and returns what `kept_arrays` does.

    Raises
    ------
    OSError
        The file cannot be written.
    """

    def __init__(
        self, path: str, spec: FrameSpec, settings: Settings, look_at_file: Callable[[], Mapping[str, npt.NDArray[Any]]]
    ) -> None:
        import av

        leave_to_parent(self)
        self._path = path
        self._spec = spec
        self._settings = settings
        self._look_at_file = look_at_file
        self._time_base = 1 / settings.rate
        self._count = 0
        self._written = 0
        self._extent: tuple[int, bytes] | None = None
        self._packet: bytes | None = None
        self._description: bytes | None = None
        self._sink: Sink | None = None
        file: FFmpegFile | None = None
        buffer = io.BytesIO()
        if settings.encoder.muxer in _GROWING:
            container = av.open(buffer, "w", format=settings.encoder.muxer)  # for what it says of the stream
        else:
            self._sink = file = FFmpegFile(path, settings.encoder.muxer)
            container = file.container
        try:
            stream = container.add_stream(settings.encoder.name, rate=settings.rate)
            assert isinstance(stream, av.VideoStream)
            self._context = stream.codec_context
            configure(self._context, settings)
            self._picture = _blank(settings)
            self._fill = self._choose_fill()
            with batch_priority() if settings.encoder.batch_threads else usual_priority():
                container.start_encoding()
            if file is not None:
                file.stream = stream
                file.begin()
            else:
                describe = partial(header_of_one_frame, container, stream, buffer)
                kind = _GROWING[settings.encoder.muxer]
                self._sink = kind(path, settings.rate, describe, sample_maker(self._context))
        except BaseException:
            self.abandon()
            raise

    # ------------------------------------------------------------------ frames to pictures

    def _choose_fill(self) -> Any:
        name, spec = self._settings.pix_fmt, self._spec
        if spec.dtype == np.uint16:
            if name == "gray16le" and not spec.color:
                return self._fill_first_plane
            if name == "gbrp16le" and spec.color:
                return self._fill_gbr
            return self._fill_by_swscale
        if not spec.color and name in _EIGHT_BIT_LUMA and self._settings.full_range:
            return self._fill_first_plane
        if spec.color and name in ("yuv420p", "yuvj420p"):
            return self._fill_left_chroma if self._settings.encoder.left_chroma else self._fill_yuv420p
        if spec.color and name == "bgr0":
            return self._fill_bgr0
        return self._fill_by_swscale

    def _fill_first_plane(self, img: Frame) -> VideoFrame:
        self._plane(0, img.dtype)[:, : img.shape[1]] = img
        return self._picture

    def _fill_yuv420p(self, img: Frame) -> VideoFrame:
        height, width = img.shape[:2]
        luma = self._plane(0)[:, :width]
        cb, cr = (self._plane(index)[:, : width // 2] for index in (1, 2))
        bgr_to_yuv(np.ascontiguousarray(img), luma, cb, cr, *_BT601, limited=not self._settings.full_range)
        return self._picture

    def _fill_left_chroma(self, img: Frame) -> VideoFrame:
        """Put chroma into the columns of luma: half of what lies half a column to the right, half of what lies to the left."""
        height, width = img.shape[:2]
        self._fill_yuv420p(img)
        luma = np.empty((height, width), np.uint8)
        cb, cr = (np.empty((height // 2, width // 2), np.uint8) for _ in range(2))
        aside = np.concatenate([img[:, :1], img[:, :-1]], axis=1)
        bgr_to_yuv(aside, luma, cb, cr, *_BT601, limited=not self._settings.full_range)
        for index, left in ((1, cb), (2, cr)):
            plane = self._plane(index)[:, : width // 2]
            plane[...] = (plane.astype(np.uint16) + left + 1) >> 1
        return self._picture

    def _fill_bgr0(self, img: Frame) -> VideoFrame:
        import cv2

        height, width = img.shape[:2]
        cv2.cvtColor(img, cv2.COLOR_BGR2BGRA, dst=self._plane(0)[:, : width * 4].reshape(height, width, 4))
        return self._picture

    def _fill_gbr(self, img: Frame) -> VideoFrame:
        for plane, channel in ((0, 1), (1, 0), (2, 2)):
            self._plane(plane, img.dtype)[:, : img.shape[1]] = img[..., channel]
        return self._picture

    def _fill_by_swscale(self, img: Frame) -> VideoFrame:
        from av.video.frame import VideoFrame
        from av.video.reformatter import ColorRange

        wide = img.dtype == np.uint16
        source = ("bgr48le" if wide else "bgr24") if self._spec.color else ("gray16le" if wide else "gray")
        picture = VideoFrame.from_ndarray(img, format=source)
        picture.color_range = ColorRange.JPEG
        return picture.reformat(
            format=self._settings.pix_fmt,
            dst_colorspace=5,
            src_color_range=ColorRange.JPEG,
            dst_color_range=ColorRange.JPEG if self._settings.full_range else ColorRange.MPEG,
            interpolation=SWS_BICUBIC | SWS_FULL_CHR_H_INP | SWS_ACCURATE_RND,
        )

    def _plane(self, index: int, dtype: npt.DTypeLike = np.uint8) -> Frame:
        plane = self._picture.planes[index]
        return np.frombuffer(memoryview(plane), dtype).reshape(plane.height, -1)

    # ------------------------------------------------------------------ the file

    def add(self, img: Frame) -> None:
        sink = self._sink
        if sink is None:
            raise ValueError("the video file is closed")
        # an encoder with threads of its own may still hold the picture before
        self._picture.make_writable()
        picture = self._fill(img)
        picture.pts = self._count
        picture.time_base = self._time_base
        self._pass_on(sink, picture)
        self._count += 1

    def _pass_on(self, sink: Sink, picture: VideoFrame | None) -> None:
        """Encode a picture, or with None those that the encoder holds back, and put what comes out into the file."""
        self._extent = self._packet = None
        for packet in self._context.encode(picture):
            offset, data, sample = sink.add(packet)
            self._written += 1
            if self._extent is not None:
                data, offset, sample = self._extent[1] + data, self._extent[0], b""
            self._extent, self._packet = (offset, data), sample or None

    @property
    def extent(self) -> tuple[int, bytes] | None:
        return self._extent

    @property
    def packet(self) -> bytes | None:
        return self._packet

    @property
    def description(self) -> bytes | None:
        return self._description

    def kept_arrays(self) -> Mapping[str, npt.NDArray[Any]]:
        # the indexes of the others say where their packets are
        return self._look_at_file() if self._count and self._settings.encoder.muxer == "matroska" else {}

    @property
    def writes_through(self) -> bool:
        return self._written == self._count  # an encoder with B-frames holds some back

    def close(self) -> None:
        sink = self._sink
        if sink is None:
            return
        if self._count:
            self._pass_on(sink, None)
        sink.close()
        self._sink = None
        if self._count:
            self._description = describe_file(self._path)

    def abandon(self) -> None:
        sink, self._sink = self._sink, None
        if sink is not None:
            sink.abandon()


def _blank(settings: Settings) -> VideoFrame:
    """A black picture in the encoder's pixel format, to be filled over and over."""
    from av.video.frame import VideoFrame
    from av.video.reformatter import ColorRange

    picture = VideoFrame(settings.width, settings.height, settings.pix_fmt)
    for index, plane in enumerate(picture.planes):
        # chroma in the middle: no colour
        value = 128 if index and not settings.pix_fmt.startswith("gbr") else 0
        np.frombuffer(memoryview(plane), np.uint8)[:] = value
    picture.color_range = ColorRange.JPEG if settings.full_range else ColorRange.MPEG
    return picture

"""Decoded pictures to arrays: the luma plane for grayscale, the fastest conversion that is right for colour.

The reference is swscale at full accuracy. Where chroma has half the width and 8 bits, `_yuv` gives the same, but for odd and
tiny sizes; swscale itself converts all else, in six times the time.
"""

from __future__ import annotations

import ctypes
import os
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from imgstore.codec import FrameSpec
from imgstore.errors import FrameDecodeError
from imgstore_codecs.video.forked import leave_to_parent
from imgstore_codecs.video.pixels._yuv import limited_luma_to_gray, yuv_to_bgr
from imgstore_codecs.video.pixels.frame_memory import FrameMemory

if TYPE_CHECKING:
    from av.video.frame import VideoFrame
    from av.video.plane import VideoPlane

    from imgstore_codecs.video.pixels._yuv import Helper
    from imgstore_codecs.video.pixels.row_helpers import RowHelpers

__all__ = ["PictureConverter", "spec_of"]

Frame = npt.NDArray[Any]

# AVColorRange (libavutil/pixfmt.h)
_FULL = 2

# Weights of red and blue in luma by AVColorSpace (libavutil/pixfmt.h, which names the standards). What says nothing is
# BT.601, as swscale and OpenCV have it.
_BT601 = (0.299, 0.114)
_WEIGHTS = {
    1: (0.2126, 0.0722),  # BT.709
    2: _BT601,  # unspecified
    4: (0.30, 0.11),  # FCC
    5: _BT601,  # BT.470BG
    6: _BT601,  # SMPTE 170M
    7: (0.212, 0.087),  # SMPTE 240M
    9: (0.2627, 0.0593),  # BT.2020
}

_HALVED_CHROMA_8 = frozenset(("yuv420p", "yuv422p", "yuvj420p", "yuvj422p", "nv12"))

# swscale stretches chroma where a size is odd, and weighs all of it otherwise where there are fewer rows or columns
_SMALLEST = 14

_PLANAR_LUMA_8 = frozenset(
    (
        "gray", "yuv420p", "yuv422p", "yuv444p", "yuv440p", "yuv411p", "yuv410p", "yuvj420p",
        "yuvj422p", "yuvj444p", "yuvj440p", "yuvj411p", "yuva420p", "yuva422p", "yuva444p", "nv12",
        "nv21", "nv16", "nv24",
    )
)  # fmt: skip


# The same with more bits, in the low bits of 16
_PLANAR_LUMA_WIDE = re.compile(r"(?:gray|yuva?4\d\dp)(9|10|12|14|16)le")


@lru_cache(maxsize=16)
def _luma_table(bits: int, limited: bool, out_bits: int) -> Frame:
    """What each level of luma is as a level of gray; limited range has black at 16 and white at 235, in 8 bits."""
    levels = np.arange(1 << bits, dtype=np.float64)
    white = (1 << out_bits) - 1
    if limited:
        step = 1 << (bits - 8)
        levels = (levels - 16 * step) * (white / (219 * step))
    else:
        levels *= white / ((1 << bits) - 1)
    return np.rint(levels).clip(0, white).astype(np.uint8 if out_bits == 8 else np.uint16)


# swscale's flags (libswscale/swscale.h), which PyAV names from version 18 on
SWS_BICUBIC = 0x4
SWS_FULL_CHR_H_INT = 0x2000
SWS_FULL_CHR_H_INP = 0x4000
SWS_ACCURATE_RND = 0x40000
SWS_BITEXACT = 0x80000


class PictureConverter:
    """Turns the pictures of one decoder into frames of one kind.

    Parameters
    ----------
    spec : FrameSpec
        What the frames shall be.
    """

    def __init__(self, spec: FrameSpec) -> None:
        from av.video.reformatter import VideoReformatter

        self._spec = spec
        self._height, self._width = spec.shape[:2]
        self._own_chroma = all(size % 2 == 0 and size >= _SMALLEST for size in spec.shape[:2])
        self._centered: dict[tuple[str, int, int, bool], bool | None] = {}  # see `_is_centered`
        self._memory = FrameMemory(spec)
        self._swscale = VideoReformatter()
        self._accurate = SWS_BICUBIC | SWS_FULL_CHR_H_INT | SWS_ACCURATE_RND | SWS_BITEXACT
        self._threads = min(4, os.cpu_count() or 1)
        leave_to_parent(self)

    def __call__(self, picture: VideoFrame, out: Frame | None = None, helpers: RowHelpers | None = None) -> Frame:
        """Convert a picture.

        Parameters
        ----------
        picture : av.VideoFrame
            As decoded.
        out : numpy.ndarray, optional
            C-contiguous array of the spec's shape and dtype to fill, instead of a new one.
        helpers : RowHelpers, optional
            Where cores are idle.

        Raises
        ------
        FrameDecodeError
            The picture has another size, or fewer bits than the spec asks for.
        """
        if picture.width != self._width or picture.height != self._height:
            raise FrameDecodeError(
                f"the picture is {picture.width} x {picture.height} (width x height), "
                f"the store's frames are {self._width} x {self._height}"
            )
        awake = helpers.wake() if helpers is not None else ()
        if out is None:
            out = self._memory.new()
        if self._spec.dtype == np.uint16:
            self._wide(picture, out)
        elif self._spec.color:
            self._color(picture, out, awake)
        else:
            self._gray(picture, out)
        return out

    def rest(self) -> None:
        """Keep no memory for frames to come."""
        self._memory.clear()

    def _gray(self, picture: VideoFrame, out: Frame) -> None:
        name = picture.format.name
        limited = _is_limited(picture)
        wide = _PLANAR_LUMA_WIDE.fullmatch(name)
        if name in _PLANAR_LUMA_8:
            luma = _plane(picture.planes[0], np.uint8)
            if limited:
                limited_luma_to_gray(luma, out)
            else:
                out[:] = luma
        elif wide:
            bits = int(wide[1])
            luma = _plane(picture.planes[0], "<u2")
            if bits == 16 and not limited and out.dtype == np.uint16:
                out[:] = luma
            else:
                table = _luma_table(bits, limited, 8 * out.itemsize)
                np.take(table, luma, out=out, mode="clip")
        else:
            self._by_swscale(picture, "gray" if out.itemsize == 1 else "gray16le", out)

    def _color(self, picture: VideoFrame, out: Frame, helpers: Sequence[Helper]) -> None:
        name = picture.format.name
        centered = self._is_centered(picture) if name in _HALVED_CHROMA_8 and self._own_chroma else None
        if centered is not None:
            self._halved_chroma(picture, out, centered, helpers)
        elif name == "gray":
            import cv2

            cv2.cvtColor(_plane(picture.planes[0], np.uint8), cv2.COLOR_GRAY2BGR, dst=out)
        elif name in ("bgr24", "bgr0", "bgra"):
            out[:] = _plane(picture.planes[0], np.uint8, channels=3 if name == "bgr24" else 4)[..., :3]
        elif name in ("gbrp", "gbrap"):
            self._merge(picture, out)
        else:
            # planar RGB comes out of swscale four times as fast as packed, and the same
            self._by_swscale(picture, "gbrp", out)

    def _is_centered(self, picture: VideoFrame) -> bool | None:
        """Tell whether a sample of chroma is half way between two columns of luma, or where the first of them is.

        Decoders know it, by their standard or from the video, and PyAV does not tell. So a small picture of the same
        kind is converted by swscale and in both ways. None: neither way gives what swscale does.
        """
        key = picture.format.name, int(picture.colorspace), int(picture.color_range), picture.interlaced_frame
        if key not in self._centered:
            self._centered[key] = None
            if picture.colorspace in _WEIGHTS:
                trial = _noise_like(picture)
                expected, got = (np.empty((trial.height, trial.width, 3), np.uint8) for _ in range(2))
                self._by_swscale(trial, "bgr24", expected)  # so small that no OpenCV is needed to merge planes
                for centered in (True, False):
                    self._halved_chroma(trial, got, centered)
                    if np.abs(got.astype(int) - expected).max() <= 2:
                        self._centered[key] = centered
        return self._centered[key]

    def _halved_chroma(self, picture: VideoFrame, out: Frame, centered: bool, helpers: Sequence[Helper] = ()) -> None:
        planes = picture.planes
        luma = _plane(planes[0], np.uint8)
        if picture.format.name == "nv12":
            chroma = _plane(planes[1], np.uint8, channels=2)
            cb, cr = (np.ascontiguousarray(chroma[..., k]) for k in range(2))
        else:
            cb, cr = (_plane(plane, np.uint8) for plane in planes[1:3])
        weights = _WEIGHTS[picture.colorspace]
        yuv_to_bgr(luma, cb, cr, out, *weights, _is_limited(picture), centered, helpers)

    def _wide(self, picture: VideoFrame, out: Frame) -> None:
        bits = max(c.bits for c in picture.format.components)
        if bits <= 8:
            raise FrameDecodeError(
                f"the video has {bits} bits per sample ({picture.format.name}), the store's frames have 16"
            )
        if not self._spec.color:
            self._gray(picture, out)
        elif picture.format.name in ("gbrp16le", "gbrap16le"):
            self._merge(picture, out)
        else:
            self._by_swscale(picture, "gbrp16le", out)

    def _merge(self, picture: VideoFrame, out: Frame) -> None:
        """Interleave planar RGB as BGR."""
        import cv2

        green, blue, red = (_plane(plane, self._spec.dtype) for plane in picture.planes[:3])
        cv2.merge([blue, green, red], dst=out)

    def _by_swscale(self, picture: VideoFrame, name: str, out: Frame) -> None:
        """Convert at full accuracy, to full range."""
        import av
        from av.video.reformatter import ColorRange

        how = {"interpolation": self._accurate, "dst_color_range": ColorRange.JPEG, "threads": self._threads}
        try:
            converted = self._swscale.reformat(picture, format=name, **how)
        except (av.error.FFmpegError, ValueError) as error:
            raise FrameDecodeError(f"{picture.format.name} cannot be converted to {name}: {error}") from error
        if name.startswith("gbrp"):
            self._merge(converted, out)
        else:
            out[:] = _plane(converted.planes[0], out.dtype, channels=3 if name == "bgr24" else 1)


def spec_of(picture: VideoFrame) -> FrameSpec:
    """Return what a picture is by itself: grayscale where it has luma alone, 16 bits where it has more than 8."""
    depth = max(component.bits for component in picture.format.components)
    size = picture.height, picture.width
    gray = len(picture.format.components) == 1 and not picture.format.has_palette
    return FrameSpec(size if gray else (*size, 3), np.dtype(np.uint16 if depth > 8 else np.uint8))


def _plane(plane: VideoPlane, dtype: npt.DTypeLike, channels: int = 1) -> Frame:
    """Look at a plane, without the padding at the end of its lines."""
    kind = np.dtype(dtype)
    line = plane.line_size
    shape: tuple[int, ...] = (plane.height, plane.width)
    strides: tuple[int, ...] = (line, kind.itemsize * channels)
    if channels > 1:
        shape, strides = (*shape, channels), (*strides, kind.itemsize)
    if line < 0:  # the last line comes first in memory, and PyAV's view begins with the first
        before = (plane.height - 1) * -line
        view = memoryview((ctypes.c_char * (before - line)).from_address(plane.buffer_ptr - before))
    else:
        before, view = 0, memoryview(plane)
    rows: Frame = np.ndarray(shape, kind, view, before, strides)
    return rows


def _noise_like(picture: VideoFrame) -> VideoFrame:
    """Make a small picture of noise with all that a picture of 8 bits has beside its planes.

    Its colours are within the gamut, where it makes no difference when what is beyond it is cut off.
    """
    from av.video.reformatter import VideoReformatter

    height = 16 if picture.height != 16 else 32  # of its own size it would be itself
    # not by the picture's own method: it would keep swscale's threads, see `forked`
    small = VideoReformatter().reformat(picture, width=64, height=height, threads=1)
    rng = np.random.default_rng(0)
    for index, plane in enumerate(small.planes):
        levels = rng.integers(*((90, 160) if index == 0 else (108, 149)), plane.buffer_size)
        np.frombuffer(memoryview(plane), np.uint8)[:] = levels
    return small


def _is_limited(picture: VideoFrame) -> bool:
    """As swscale has it: what says nothing is limited, and gray formats have no range."""
    return picture.color_range != _FULL and picture.format.name[:4] not in ("yuvj", "gray")

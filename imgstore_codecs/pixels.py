"""Decoded pictures to arrays: the luma plane for grayscale, the fastest conversion that is right for colour.

The reference is swscale at full accuracy. OpenCV's conversion is several times faster but knows BT.601 with limited
range alone, so it serves for this (and for streams that say nothing, as OpenCV and swscale take them), nothing else.
"""

from __future__ import annotations

import os
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from imgstore.errors import FrameDecodeError

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

    from imgstore.codec import FrameSpec

__all__ = ["PictureConverter"]

Frame = npt.NDArray[Any]

# AVColorRange and AVColorSpace (libavutil/pixfmt.h)
_FULL = 2
_UNSPECIFIED = 2
_BT470BG, _SMPTE170M = 5, 6

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


# The same for 8 bits as a factor and a summand
_EXPAND = np.array([[255 / 219, -16 * 255 / 219]])


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
        self._swscale = VideoReformatter()
        self._accurate = SWS_BICUBIC | SWS_FULL_CHR_H_INT | SWS_ACCURATE_RND | SWS_BITEXACT
        self._threads = min(4, os.cpu_count() or 1)
        self._chroma: npt.NDArray[np.uint8] | None = None

    def __call__(self, picture: VideoFrame, out: Frame | None = None) -> Frame:
        """Convert a picture.

        Parameters
        ----------
        picture : av.VideoFrame
            As decoded.
        out : numpy.ndarray, optional
            C-contiguous array of the spec's shape and dtype to fill, instead of a new one.

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
        if out is None:
            out = np.empty(self._spec.shape, self._spec.dtype)
        if self._spec.dtype == np.uint16:
            self._wide(picture, out)
        elif self._spec.color:
            self._color(picture, out)
        else:
            self._gray(picture, out)
        return out

    def _gray(self, picture: VideoFrame, out: Frame) -> None:
        name = picture.format.name
        # as swscale has it: what says nothing is limited, and gray formats have no range
        limited = picture.color_range != _FULL and name[:4] not in ("yuvj", "gray")
        wide = _PLANAR_LUMA_WIDE.fullmatch(name)
        if name in _PLANAR_LUMA_8:
            luma = self._plane(picture, 0, np.uint8)
            if limited:
                import cv2

                cv2.transform(luma, _EXPAND, dst=out)  # as _luma_table(8, True, 8) has it, three times as fast
            else:
                out[:] = luma
        elif wide:
            bits = int(wide[1])
            luma = self._plane(picture, 0, np.dtype("<u2"))
            if bits == 16 and not limited and out.dtype == np.uint16:
                out[:] = luma
            else:
                table = _luma_table(bits, limited, 8 * out.itemsize)
                np.take(table, luma, out=out, mode="clip")
        else:
            self._by_swscale(picture, "gray" if out.itemsize == 1 else "gray16le", out)

    def _color(self, picture: VideoFrame, out: Frame) -> None:
        import cv2

        name = picture.format.name
        height, width = self._height, self._width
        limited_601 = picture.color_range != _FULL and picture.colorspace in (_UNSPECIFIED, _BT470BG, _SMPTE170M)
        if name == "yuv420p" and limited_601 and not (height | width) & 1:
            # two planes are what OpenCV takes without a copy of the luma
            if self._chroma is None:
                self._chroma = np.empty((height // 2, width // 2, 2), np.uint8)
            cv2.merge([self._plane(picture, 1, np.uint8), self._plane(picture, 2, np.uint8)], dst=self._chroma)
            cv2.cvtColorTwoPlane(self._plane(picture, 0, np.uint8), self._chroma, cv2.COLOR_YUV2BGR_NV12, dst=out)
        elif name == "nv12" and limited_601 and not (height | width) & 1:
            chroma = self._plane(picture, 1, np.uint8, channels=2)
            cv2.cvtColorTwoPlane(self._plane(picture, 0, np.uint8), chroma, cv2.COLOR_YUV2BGR_NV12, dst=out)
        elif name == "gray":
            cv2.cvtColor(self._plane(picture, 0, np.uint8), cv2.COLOR_GRAY2BGR, dst=out)
        elif name in ("bgr24", "bgr0", "bgra"):
            out[:] = self._plane(picture, 0, np.uint8, channels=3 if name == "bgr24" else 4)[..., :3]
        elif name == "gbrp":
            self._merge(picture, out)
        else:
            # planar RGB comes out of swscale four times as fast as packed, and the same
            self._by_swscale(picture, "gbrp", out)

    def _wide(self, picture: VideoFrame, out: Frame) -> None:
        bits = max(c.bits for c in picture.format.components)
        if bits <= 8:
            raise FrameDecodeError(
                f"the video has {bits} bits per sample ({picture.format.name}), the store's frames have 16"
            )
        if not self._spec.color:
            self._gray(picture, out)
        elif picture.format.name == "gbrp16le":
            self._merge(picture, out)
        else:
            self._by_swscale(picture, "gbrp16le", out)

    def _merge(self, picture: VideoFrame, out: Frame) -> None:
        """Interleave planar RGB as BGR."""
        import cv2

        green, blue, red = (self._plane(picture, k, self._spec.dtype) for k in range(3))
        cv2.merge([blue, green, red], dst=out)

    def _by_swscale(self, picture: VideoFrame, name: str, out: Frame) -> None:
        """Convert at full accuracy, to full range."""
        from av.video.reformatter import ColorRange

        converted = self._swscale.reformat(
            picture, format=name, interpolation=self._accurate, dst_color_range=ColorRange.JPEG, threads=self._threads
        )
        if self._spec.color:
            self._merge(converted, out)
        else:
            out[:] = self._plane(converted, 0, self._spec.dtype)

    def _plane(self, picture: VideoFrame, index: int, dtype: npt.DTypeLike, channels: int = 1) -> Frame:
        """Look at a plane, without the padding at the end of its lines."""
        plane = picture.planes[index]
        kind = np.dtype(dtype)
        step = plane.line_size // kind.itemsize
        rows: Frame = np.frombuffer(memoryview(plane), kind).reshape(plane.height, step)[:, : plane.width * channels]
        return rows if channels == 1 else rows.reshape(plane.height, plane.width, channels)

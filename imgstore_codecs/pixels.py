"""Decoded pictures to arrays: the luma plane for grayscale, the fastest conversion that is right for colour.

The reference is swscale at full accuracy. OpenCV's conversion is several times faster but knows BT.601 with limited
range alone, so it serves for this (and for streams that say nothing, as OpenCV and swscale take them), nothing else.
"""

from __future__ import annotations

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
_LIMITED, _FULL = 1, 2
_UNSPECIFIED = 2
_BT470BG, _SMPTE170M = 5, 6

_PLANAR_LUMA_8 = frozenset(
    (
        "gray", "yuv420p", "yuv422p", "yuv444p", "yuv440p", "yuv411p", "yuv410p", "yuvj420p",
        "yuvj422p", "yuvj444p", "yuvj440p", "yuvj411p", "yuva420p", "yuva422p", "yuva444p", "nv12",
        "nv21", "nv16", "nv24",
    )
)  # fmt: skip


@lru_cache(maxsize=1)
def _expansion() -> npt.NDArray[np.uint8]:
    """Limited to full range: 16 is black and 235 white."""
    levels: npt.NDArray[np.float64] = np.rint((np.arange(256) - 16) * (255 / 219))
    return levels.clip(0, 255).astype(np.uint8)


class PictureConverter:
    """Turns the pictures of one decoder into frames of one kind.

    Parameters
    ----------
    spec : FrameSpec
        What the frames shall be.
    """

    def __init__(self, spec: FrameSpec) -> None:
        from av.video.reformatter import Interpolation, VideoReformatter

        self._spec = spec
        self._height, self._width = spec.shape[:2]
        self._swscale = VideoReformatter()
        self._accurate = int(
            Interpolation.BICUBIC | Interpolation.FULL_CHR_H_INT | Interpolation.ACCURATE_RND | Interpolation.BITEXACT
        )
        self._staging: npt.NDArray[np.uint8] | None = None

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
        if name not in _PLANAR_LUMA_8:
            self._by_swscale(picture, "gray", out)
            return
        luma = self._plane(picture, 0, np.uint8)
        # what says nothing is limited, but for gray
        if picture.color_range == _FULL or name[:4] == "yuvj" or (name == "gray" and picture.color_range != _LIMITED):
            out[:] = luma
        else:
            import cv2

            cv2.LUT(luma, _expansion(), dst=out)

    def _color(self, picture: VideoFrame, out: Frame) -> None:
        import cv2

        name = picture.format.name
        height, width = self._height, self._width
        limited_601 = picture.color_range != _FULL and picture.colorspace in (_UNSPECIFIED, _BT470BG, _SMPTE170M)
        if name == "yuv420p" and limited_601 and not (height | width) & 1:
            cv2.cvtColor(self._i420(picture), cv2.COLOR_YUV2BGR_I420, dst=out)
        elif name == "nv12" and limited_601 and not (height | width) & 1:
            chroma = self._plane(picture, 1, np.uint8, channels=2)
            cv2.cvtColorTwoPlane(self._plane(picture, 0, np.uint8), chroma, cv2.COLOR_YUV2BGR_NV12, dst=out)
        elif name == "gray" and picture.color_range != _LIMITED:
            cv2.cvtColor(self._plane(picture, 0, np.uint8), cv2.COLOR_GRAY2BGR, dst=out)
        elif name in ("bgr24", "bgr0", "bgra"):
            out[:] = self._plane(picture, 0, np.uint8, channels=3 if name == "bgr24" else 4)[..., :3]
        elif name == "gbrp":
            green, blue, red = (self._plane(picture, k, np.uint8) for k in range(3))
            cv2.merge([blue, green, red], dst=out)
        else:
            self._by_swscale(picture, "bgr24", out)

    def _wide(self, picture: VideoFrame, out: Frame) -> None:
        name = picture.format.name
        bits = max(c.bits for c in picture.format.components)
        if bits <= 8:
            raise FrameDecodeError(f"the video has {bits} bits per sample ({name}), the store's frames 16")
        if name == "gray16le" and not self._spec.color:
            out[:] = self._plane(picture, 0, np.dtype("<u2"))
        elif name == "gbrp16le" and self._spec.color:
            for plane, channel in ((0, 1), (1, 0), (2, 2)):
                out[..., channel] = self._plane(picture, plane, np.dtype("<u2"))
        else:
            self._by_swscale(picture, "bgr48le" if self._spec.color else "gray16le", out)

    def _i420(self, picture: VideoFrame) -> npt.NDArray[np.uint8]:
        """The three planes one after the other, as OpenCV wants them."""
        height, width = self._height, self._width
        if self._staging is None:
            self._staging = np.empty((height * 3 // 2, width), np.uint8)
        staging = self._staging
        staging[:height] = self._plane(picture, 0, np.uint8)
        chroma = staging[height:].reshape(2, height // 2, width // 2)
        chroma[0] = self._plane(picture, 1, np.uint8)
        chroma[1] = self._plane(picture, 2, np.uint8)
        return staging

    def _by_swscale(self, picture: VideoFrame, name: str, out: Frame) -> None:
        from av.video.reformatter import ColorRange

        converted = self._swscale.reformat(
            picture, format=name, interpolation=self._accurate, dst_color_range=ColorRange.JPEG, threads=1
        )
        channels = 3 if self._spec.color else 1
        out[:] = self._plane(converted, 0, self._spec.dtype.newbyteorder("<"), channels)

    def _plane(self, picture: VideoFrame, index: int, dtype: npt.DTypeLike, channels: int = 1) -> Frame:
        """Look at a plane, without the padding at the end of its lines."""
        plane = picture.planes[index]
        kind = np.dtype(dtype)
        step = plane.line_size // kind.itemsize
        rows: Frame = np.frombuffer(memoryview(plane), kind).reshape(plane.height, step)[:, : plane.width * channels]
        return rows if channels == 1 else rows.reshape(plane.height, plane.width, channels)

"""``png``, ``tif``, ``bmp``, ``jpg``, ``ppm`` and ``pgm``: an image file per frame, through OpenCV.

Frames are grayscale or BGR. A file of the other kind is converted, as imgstore 0.x does: ``ppm`` files are always in
colour and ``pgm`` files always gray. Bit depths are kept, an orientation in EXIF and an alpha channel are ignored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from imgstore.codec import Buffer, Codec, Format, FrameCodec, FrameSpec
from imgstore.errors import ArgumentError, FormatError, FrameDecodeError
from imgstore.hookspecs import hookimpl
from imgstore_codecs.image_size import image_size

__all__ = ["OpenCVCodec"]

Frame = npt.NDArray[Any]

# TIFF 6.0, section 3, and its "Adobe Photoshop" supplement; libtiff without further libraries has these.
TIFF_COMPRESSIONS = {"none": 1, "lzw": 5, "deflate": 8, "packbits": 32773}

# OpenCV reads no larger images (CV_IO_MAX_IMAGE_WIDTH, _HEIGHT, _PIXELS), libjpeg has a limit of its own.
MAX_SIDE = 1 << 20
MAX_PIXELS = 1 << 30
MAX_SIDE_JPEG = 65_500

_WRITE_OPTIONS = {
    "png": {"compression": "0 (none) to 9 (slow); default: OpenCV's fast setting, which suits camera images"},
    "tif": {"compression": f"one of {', '.join(TIFF_COMPRESSIONS)}; default: lzw"},
    "jpg": {"quality": "1 (smallest) to 100 (best); default: 95"},
}


class OpenCVCodec(FrameCodec):
    """Image files by ``cv2.imencode`` and ``cv2.imdecode``."""

    name = "opencv"
    formats = (
        Format("png", ".png", lossless=True, dtypes=("uint8", "uint16"), decoded_variant=True),
        # TIFF holds int8 and int16 too, but 0.x would read those without a word as other values
        Format(
            "tif",
            ".tif",
            lossless=True,
            dtypes=("uint8", "uint16", "int32", "float32", "float64"),
            decoded_variant=True,
        ),
        Format("bmp", ".bmp", lossless=True, decoded_variant=True),
        Format("jpg", ".jpg", lossless=False, decoded_variant=True),
        Format("ppm", ".ppm", lossless=True, dtypes=("uint8", "uint16")),
        Format("pgm", ".pgm", lossless=True, dtypes=("uint8", "uint16"), holds_color=False),
    )

    def missing(self, fmt: Format) -> str | None:
        """Say when OpenCV is not there."""
        try:
            import cv2  # noqa: F401
        except ImportError as error:
            return f"OpenCV cannot be imported ({error}): pip install opencv-python"
        return None

    def write_options(self, fmt: Format) -> Mapping[str, str]:
        """Name the options of one format."""
        return _WRITE_OPTIONS.get(fmt.name, {})

    def check_options(self, fmt: Format, spec: FrameSpec, options: Mapping[str, Any]) -> None:
        """Check the options' values, and that the image is not too large for the format."""
        _parameters(fmt, options)
        side = MAX_SIDE_JPEG if fmt.name == "jpg" else MAX_SIDE
        height, width = spec.shape[:2]
        if max(height, width) > side or height * width > MAX_PIXELS:
            raise FormatError(
                f"format {fmt.name!r} holds images of at most {side} pixels a side and {MAX_PIXELS} in all, "
                f"not {height} x {width}"
            )

    def frame_spec(self, path: str, fmt: Format) -> FrameSpec:
        """Tell by the header for the size, and by decoding for the rest."""
        spec = self.plain_spec(path, fmt, orient=False)
        size = image_size(fmt.extension, np.fromfile(path, np.uint8))
        return FrameSpec((*size, *spec.shape[2:]), spec.dtype)

    def plain_spec(self, path: str, fmt: Format, *, orient: bool) -> FrameSpec:
        """Tell by decoding."""
        img = self.plain_decoder(fmt, FrameSpec((), np.dtype(np.uint8)), orient=orient)(np.fromfile(path, np.uint8))
        return FrameSpec(img.shape, img.dtype)

    def plain_decoder(self, fmt: Format, spec: FrameSpec, *, orient: bool) -> Callable[[Frame], Frame]:
        """Give the function that decodes an image file, gray or in colour as the image is."""
        import cv2

        flags = cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH | (0 if orient else cv2.IMREAD_IGNORE_ORIENTATION)

        def decode(data: Frame) -> Frame:
            image_size(fmt.extension, data)  # or an error, before OpenCV sees it
            return _decoded(data, flags, fmt)

        return decode

    def encoder(self, fmt: Format, spec: FrameSpec, options: Mapping[str, Any]) -> Callable[[Frame], Sequence[Buffer]]:
        """Give the function that makes an image file of a frame."""
        import cv2

        parameters = _parameters(fmt, options)
        conversion = None
        if fmt.name == "ppm" and not spec.color:
            conversion = cv2.COLOR_GRAY2BGR
        elif fmt.name == "pgm" and spec.color:
            conversion = cv2.COLOR_BGR2GRAY

        def encode(img: Frame) -> Sequence[Buffer]:
            if conversion is not None:
                img = cv2.cvtColor(img, conversion)
            done, data = cv2.imencode(fmt.extension, img, parameters)
            if not done:
                raise FormatError(f"OpenCV cannot write a {img.dtype} image of {img.shape} as {fmt.name}")
            return (data,)

        return encode

    def decoder(self, fmt: Format, spec: FrameSpec) -> Callable[[Frame], Frame]:
        """Give the function that decodes an image file."""
        import cv2

        kind = cv2.IMREAD_COLOR if spec.color else cv2.IMREAD_GRAYSCALE
        flags = kind | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION
        expected = spec.shape[:2]

        def decode(data: Frame) -> Frame:
            size = image_size(fmt.extension, data)
            if size != expected:
                raise FrameDecodeError(
                    f"the image in the file is {size[0]} x {size[1]}, not {expected[0]} x {expected[1]}"
                )
            return _decoded(data, flags, fmt)

        return decode


def _decoded(data: Frame, flags: int, fmt: Format) -> Frame:
    import cv2

    try:
        img = cv2.imdecode(data, flags)
    except cv2.error as error:
        raise FrameDecodeError(f"OpenCV cannot decode the {fmt.name} file ({error})") from error
    if img is None:
        raise FrameDecodeError(f"OpenCV cannot decode the {fmt.name} file: it is damaged")
    return img


def _parameters(fmt: Format, options: Mapping[str, Any]) -> list[int]:
    """Turn options into ``imencode``'s list of pairs."""
    import cv2

    if fmt.name == "png":
        level = options.get("compression")
        return [] if level is None else [cv2.IMWRITE_PNG_COMPRESSION, _whole("compression", level, 0, 9)]
    if fmt.name == "tif":
        compression = options.get("compression", "lzw")
        if not isinstance(compression, str) or compression not in TIFF_COMPRESSIONS:
            raise ArgumentError(
                f"compression of tif is one of {', '.join(map(repr, TIFF_COMPRESSIONS))}, not {compression!r}"
            )
        # never left to OpenCV, whose default for float32 in colour was SGI LogLuv, which loses
        return [cv2.IMWRITE_TIFF_COMPRESSION, TIFF_COMPRESSIONS[compression]]
    if fmt.name == "jpg":
        return [cv2.IMWRITE_JPEG_QUALITY, _whole("quality", options.get("quality", 95), 1, 100)]
    return []


def _whole(name: str, value: Any, low: int, high: int) -> int:
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)) or not low <= value <= high:
        raise ArgumentError(f"{name} is a whole number from {low} to {high}, not {value!r}")
    return int(value)


@hookimpl
def imgstore_codecs() -> Sequence[Codec]:
    """Give imgstore this codec."""
    return [OpenCVCodec()]

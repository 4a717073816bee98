"""WebP for imgstore, a file per frame: the format ``webp``.

The entry point in pyproject.toml names this module; imgstore imports it when it first looks for codecs, so
OpenCV is imported only in the functions that use it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from imgstore.codec import Buffer, Codec, Format, FrameCodec, FrameSpec
from imgstore.errors import ArgumentError, FormatError
from imgstore.hookspecs import hookimpl

__all__ = ["WebPCodec"]

MAX_SIDE = 16383  # of the WebP container, see https://developers.google.com/speed/webp/docs/riff_container
LOSSLESS = 101  # OpenCV's cv2.IMWRITE_WEBP_QUALITY: anything above 100 is lossless

Frame = npt.NDArray[Any]


class WebPCodec(FrameCodec):
    """Images through OpenCV's WebP encoder and decoder."""

    name = "webp"
    formats = (Format("webp", ".webp", lossless=True, dtypes=("uint8",)),)

    def missing(self, fmt: Format) -> str | None:
        try:
            import cv2
        except ImportError as error:
            return f"OpenCV cannot be imported ({error}): pip install opencv-python"
        if not cv2.haveImageWriter("frame.webp"):
            return "this build of OpenCV has no WebP: pip install opencv-python"
        return None

    def write_options(self, fmt: Format) -> Mapping[str, str]:
        return {"quality": "1 (smallest) to 100 (best) for lossy compression; default: lossless"}

    def check_options(self, fmt: Format, spec: FrameSpec, options: Mapping[str, Any]) -> None:
        quality = options.get("quality")
        if quality is not None and not (isinstance(quality, (int, np.integer)) and 1 <= quality <= 100):
            raise ArgumentError(
                f"quality of webp is a whole number from 1 to 100, or None for lossless; not {quality!r}"
            )
        if max(spec.shape[:2]) > MAX_SIDE:
            raise FormatError(f"webp holds images of at most {MAX_SIDE} x {MAX_SIDE}, these are {spec.shape[:2]}")

    def lossless(self, fmt: Format, options: Mapping[str, Any]) -> bool:
        return options.get("quality") is None

    def encoder(self, fmt: Format, spec: FrameSpec, options: Mapping[str, Any]) -> Callable[[Frame], Sequence[Buffer]]:
        import cv2

        quality = options.get("quality")
        parameters = [cv2.IMWRITE_WEBP_QUALITY, LOSSLESS if quality is None else int(quality)]

        def encode(img: Frame) -> Sequence[Buffer]:
            done, data = cv2.imencode(".webp", img, parameters)
            if not done:
                raise ValueError("OpenCV could not encode the frame as WebP")
            return [data]

        return encode

    def decoder(self, fmt: Format, spec: FrameSpec) -> Callable[[Frame], Frame]:
        import cv2

        def decode(data: Frame) -> Frame:
            img = cv2.imdecode(data, cv2.IMREAD_COLOR)
            if img is None:
                raise ValueError("not a WebP image, or a damaged one")
            # WebP knows colour alone, so the three channels of a grayscale image are the same
            return img if spec.color else np.ascontiguousarray(img[:, :, 0])

        return decode


@hookimpl
def imgstore_codecs() -> Sequence[Codec]:
    """Give imgstore the codec; this is all that a package of codecs has to do."""
    return [WebPCodec()]

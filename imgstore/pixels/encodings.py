"""Raw sensor encodings (Bayer, YUV, ...): their codes, and decoding to BGR.

A store whose metadata names an encoding holds frames as the camera sent them. Every encoding that OpenCV
converts to BGR has a code, made from the name of OpenCV's conversion: ``cv_`` and what stands before
``2BGR``, in lower case without underscores, then ``_`` and the variant behind it, if any:
``COLOR_BayerBG2BGR`` is ``cv_bayerbg``, ``COLOR_YUV2BGR_NV12`` is ``cv_yuv_nv12``. Variants that name another
algorithm or range for the same encoding (``VNG`` and ``EA`` of Bayer, ``FULL`` of HSV) have no code.

References
----------
OpenCV, "Color Space Conversions", https://docs.opencv.org/4.x/d8/d01/group__imgproc__color__conversions.html
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from imgstore.errors import ArgumentError

__all__ = ["ImageCodecProcessor", "check_encoding", "decode_to_bgr", "encoding_codes"]

_CONVERSION = re.compile(r"COLOR_(?P<encoding>\w+?)2BGR(?:_(?P<variant>\w+))?\Z", re.ASCII)
_NOT_ENCODINGS = frozenset({"VNG", "EA", "FULL"})
_FOUR_LETTER_BAYER = re.compile(r"cv_bayer[rgb]{4}\Z")
# Pylon names a pattern by the first two pixels of its first row, OpenCV by the second and third of its second
# row: the same letters with red and blue swapped.
_PYLON_BAYER = {
    "BayerBG": "cv_bayerrg",
    "BayerRG": "cv_bayerbg",
    "BayerGB": "cv_bayergr",
    "BayerGR": "cv_bayergb",
}


@functools.cache
def encoding_codes() -> Mapping[str, int]:
    """Return every code and the number of OpenCV's conversion to BGR.

    Returns
    -------
    mapping of str to int
        In the order of OpenCV's names. Several codes may stand for one conversion, such as ``cv_bayerbg`` and
        ``cv_bayerrggb``.
    """
    import cv2

    codes: dict[str, int] = {}
    for name in sorted(dir(cv2)):
        match = _CONVERSION.match(name)
        if match is None or match["variant"] in _NOT_ENCODINGS:
            continue
        code = "cv_" + match["encoding"].replace("_", "").lower()
        if match["variant"]:
            code += "_" + match["variant"].lower()
        codes[code] = int(getattr(cv2, name))
    return codes


@functools.cache
def _preferred_codes() -> dict[int, str]:
    """Return the one code that a conversion is called by, where it has several."""
    preferred: dict[int, str] = {}
    for code, conversion in encoding_codes().items():
        # the last of OpenCV's names, as 0.x chose, except that Bayer patterns go by their two-letter names
        if _FOUR_LETTER_BAYER.match(code) is None or conversion not in preferred:
            preferred[conversion] = code
    return preferred


def check_encoding(code: str) -> None:
    """Refuse a code that no frame can be decoded by.

    Parameters
    ----------
    code : str
        Such as ``cv_bayerbg``.

    Raises
    ------
    ArgumentError
        There is no such code; the message lists those that there are.
    """
    _conversion(code)


def _conversion(code: object) -> int:
    try:
        return encoding_codes()[code]  # type: ignore[index]
    except (KeyError, TypeError):
        raise ArgumentError(
            f"unknown image encoding {code!r}; there are: {', '.join(sorted(encoding_codes()))}"
        ) from None


def decode_to_bgr(img: npt.NDArray[Any], code: str) -> npt.NDArray[Any]:
    """Decode a raw frame to BGR.

    Parameters
    ----------
    img : ndarray, shape (h, w) or (h, w, channels)
        The frame as the sensor gave it, of a dtype that OpenCV converts from this encoding (uint8 always;
        uint16 for Bayer; uint16 and float32 for some others).
    code : str
        What `img` is encoded as.

    Returns
    -------
    ndarray, shape (h', w, 3)
        Of the same dtype. h' is the height of the picture, which for planar YUV is two thirds of that of
        `img`.

    Raises
    ------
    ArgumentError
        The code is unknown, or an image of this shape and dtype cannot be in this encoding.
    """
    return _convert(img, _conversion(code), repr(code))


def _convert(img: npt.NDArray[Any], conversion: int, name: str) -> npt.NDArray[Any]:
    import cv2

    try:
        return np.asarray(cv2.cvtColor(img, conversion))
    except (cv2.error, TypeError, ValueError) as error:
        what = f"an image of shape {img.shape} and dtype {img.dtype}" if isinstance(img, np.ndarray) else repr(img)
        raise ArgumentError(f"{what} cannot be decoded from the encoding {name} to BGR: {error}") from error


class ImageCodecProcessor:
    """Decodes images, by a code that is set once or given with each.

    Attributes
    ----------
    encoding : str
        The code that is set, empty where there is none.
    """

    def __init__(self) -> None:
        self._code: str | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__}({self._code})>"

    @classmethod
    def from_cv2_enum(cls, e: int) -> ImageCodecProcessor:
        """Make a processor for what an OpenCV conversion such as ``cv2.COLOR_BayerBG2BGR`` starts from.

        Raises
        ------
        ArgumentError
            `e` is no conversion that has a code.
        """
        processor = cls()
        processor.set_default_code(processor.cv2_enum_to_code(e))
        return processor

    @classmethod
    def from_pylon_format(cls, s: str | None) -> ImageCodecProcessor:
        """Make a processor for a pixel format by its name in Basler's Pylon.

        Parameters
        ----------
        s : str or None
            ``BayerBG``, ``BayerRG``, ``BayerGB``, ``BayerGR``, with or without an underscore inside; None,
            ``''`` and ``'None'`` mean that frames are not encoded.

        Raises
        ------
        ArgumentError
            It is none of these.
        """
        processor = cls()
        if s and s != "None":
            code = _PYLON_BAYER.get(s.replace("_", "")) if isinstance(s, str) else None
            if code is None:
                raise ArgumentError(f"unknown pylon format: {s!r}; known are {', '.join(_PYLON_BAYER)}")
            processor.set_default_code(code)
        return processor

    @property
    def encoding(self) -> str:
        return self._code or ""

    def check_code(self, code: str | None) -> bool:
        """Whether there is such a code."""
        try:
            return code in encoding_codes()
        except TypeError:
            return False

    def set_default_code(self, code: str | None) -> None:
        """Set the code that is used where none is given; None or ``''`` for none.

        Raises
        ------
        ArgumentError
            There is no such code.
        """
        if code:
            check_encoding(code)
        self._code = code or None

    def cv2_enum_to_code(self, enum: int) -> str:
        """Return the code for the encoding that an OpenCV conversion starts from.

        Raises
        ------
        ArgumentError
            `enum` is no conversion that has a code.
        """
        try:
            return _preferred_codes()[enum]
        except (KeyError, TypeError):
            raise ArgumentError(f"{enum!r} is no OpenCV conversion of an encoding to BGR") from None

    def autoconvert(self, img: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Decode `img` by the code that is set; `img` itself where none is."""
        return img if self._code is None else decode_to_bgr(img, self._code)

    def convert_to_bgr(
        self, img: npt.NDArray[Any], code: str | None = None, method_enum: int | None = None
    ) -> npt.NDArray[Any]:
        """Decode `img`.

        Parameters
        ----------
        img : ndarray
            See `decode_to_bgr`.
        code : str, optional
            What it is encoded as; by default the code that is set.
        method_enum : int, optional
            OpenCV's conversion to use in place of that of the code, to choose another algorithm
            (``..._VNG``).

        Raises
        ------
        ArgumentError
            No such code, none set, or `img` cannot be in this encoding.
        """
        if method_enum is not None:
            return _convert(img, method_enum, f"of OpenCV's conversion {method_enum!r}")
        if code is None:
            code = self._code
        if code is None:
            raise ArgumentError("no encoding to decode from: none is given and none is set")
        return decode_to_bgr(img, code)

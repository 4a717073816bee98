"""From a stored frame to a picture on a screen: 8 bits, a size that can be seen, and a status bar under it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from imgstore.errors import FormatError

__all__ = ["Image", "Levels", "enlarged", "status_bar", "to_bgr", "to_picture", "with_status_bar"]

Image = npt.NDArray[np.uint8]

_MIN_WIDTH = 560  # of a picture: narrower ones are enlarged, so that the status bar can be read
_BAR_BACKGROUND = (32, 32, 32)
_BAR_TEXT = (230, 230, 230)


class Levels:
    """The lowest and the highest sample seen so far, between which samples of more than 8 bits are spread for display.

    They only ever grow apart, so that a recording does not flicker as it would if each frame were spread by itself.
    """

    def __init__(self) -> None:
        self._low = np.inf
        self._high = -np.inf

    def to_8_bits(self, img: npt.NDArray[Any]) -> Image:
        """Return a frame of any numeric type as uint8; NaN and infinity are black and white."""
        if img.dtype == np.uint8:
            return img
        samples = img.astype(np.float64)
        finite = samples[np.isfinite(samples)]
        if finite.size:
            self._low = min(self._low, float(finite.min()))
            self._high = max(self._high, float(finite.max()))
        span = self._high - self._low
        scaled = (samples - self._low) * (255 / span if 0 < span < np.inf else 1.0)
        levels: Image = np.nan_to_num(scaled, nan=0.0, posinf=255.0, neginf=0.0).clip(0, 255).round().astype(np.uint8)
        return levels


def to_bgr(img: npt.NDArray[Any], levels: Levels) -> Image:
    """Turn a frame into a BGR picture of its size.

    Parameters
    ----------
    img : numpy.ndarray
        ``(h, w)``, ``(h, w, 1)`` or ``(h, w, 3)`` BGR, any numeric type.
    levels : Levels
        Shared by the frames of one recording.

    Returns
    -------
    numpy.ndarray
        ``(h, w, 3)`` uint8.

    Raises
    ------
    FormatError
        The frame's shape is no picture's.
    """
    if img.ndim == 3 and img.shape[2] == 1:
        img = img[:, :, 0]
    if not (img.ndim == 2 or (img.ndim == 3 and img.shape[2] == 3)):
        raise FormatError(f"frames of shape {img.shape} are no pictures: (h, w) and (h, w, 3) are")
    import cv2

    picture = levels.to_8_bits(img)
    if picture.ndim == 2:
        picture = cv2.cvtColor(np.ascontiguousarray(picture), cv2.COLOR_GRAY2BGR)  # type: ignore[assignment]
    return picture


def enlarged(width: int) -> int:
    """Return how many times as large a picture is shown so that it can be seen, and a status bar under it be read."""
    return -(-_MIN_WIDTH // width)


def to_picture(img: npt.NDArray[Any], levels: Levels) -> Image:
    """Turn a frame into a BGR picture that is wide enough to be seen; see `to_bgr`.

    Returns
    -------
    numpy.ndarray
        ``(h, w, 3)`` uint8, a whole number of times as large as the frame.
    """
    picture = to_bgr(img, levels)
    zoom = enlarged(picture.shape[1])
    return picture if zoom == 1 else picture.repeat(zoom, axis=0).repeat(zoom, axis=1)


def with_status_bar(picture: Image, left: str, right: str) -> Image:
    """Return the picture with a bar under it that covers nothing of it; see `status_bar`."""
    width = picture.shape[1]
    return np.concatenate([picture, status_bar((max(26, round(width * 0.032)), width), left, right)])


def status_bar(size: tuple[int, int], left: str, right: str) -> Image:
    """Return a dark bar with light writing, small enough that all of it is there.

    Parameters
    ----------
    size : tuple of int
        Height and width.
    left, right : str
        What the bar says at its ends; OpenCV draws ASCII alone.
    """
    import cv2

    height, width = size
    bar = np.empty((height, width, 3), np.uint8)
    bar[:] = _BAR_BACKGROUND
    font, margin = cv2.FONT_HERSHEY_SIMPLEX, round(height * 0.35)
    scale, thickness = height / 26 * 0.45, max(1, round(height / 26))
    room = width - 3 * margin
    needed = sum(cv2.getTextSize(text, font, scale, thickness)[0][0] for text in (left, right))
    scale *= min(1.0, room / max(1, needed))
    (right_width, text_height), _ = cv2.getTextSize(right, font, scale, thickness)
    base = (height + text_height) // 2
    for text, x in ((left, margin), (right, width - margin - right_width)):
        cv2.putText(bar, text, (x, base), font, scale, _BAR_TEXT, thickness, cv2.LINE_AA)
    return bar

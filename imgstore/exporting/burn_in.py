"""Numbers, times and words drawn into pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from imgstore.errors import ArgumentError
from imgstore.exporting.pictures import Image
from imgstore.local_time import local_time

__all__ = ["Labels", "parse_burn_in"]

# The height of letters, of the picture's, and at least so many pixels
_HEIGHT = 1 / 28
_LEAST_HEIGHT = 7
_HERSHEY_HEIGHT = 21  # pixels of OpenCV's font at scale 1


def parse_burn_in(value: str | Sequence[str] | None) -> tuple[str, ...]:
    """Split what is to be drawn: ``number``, ``time``, and other words as they are, separated by commas.

    Raises
    ------
    ArgumentError
        There is nothing to draw, or what OpenCV cannot draw.
    """
    if value is None:
        return ()
    parts = tuple(part.strip() for part in (value.split(",") if isinstance(value, str) else value))
    if not any(parts):
        raise ArgumentError("burn-in: nothing is to be drawn: give number, time or a text, separated by commas")
    for part in parts:
        if not part.isascii() or not part.isprintable():
            raise ArgumentError(f"burn-in {part!r}: only letters of ASCII can be drawn")
    return tuple(part for part in parts if part)


class Labels:
    """What is drawn into the upper left corner of each picture."""

    def __init__(self, store: Any, wanted: Sequence[str]) -> None:
        told: dict[str, Callable[[int, float], str]] = {
            "number": lambda number, time: str(number),
            "time": lambda number, time: local_time(store, time),
        }
        self._parts = [told.get(part, lambda number, time, text=part: text) for part in wanted]

    def __bool__(self) -> bool:
        return bool(self._parts)

    def draw(self, img: Image, number: int, time: float) -> Image:
        """Return the picture with its label, white on black: nothing that it shows can hide that."""
        import cv2

        text = "  ".join(part(number, time) for part in self._parts)
        height, width = img.shape[:2]
        letters = max(_LEAST_HEIGHT, round(height * _HEIGHT))
        font, scale, margin = cv2.FONT_HERSHEY_SIMPLEX, letters / _HERSHEY_HEIGHT, max(2, letters // 3)
        thickness = max(1, round(scale * 1.5))
        (needed, _), _ = cv2.getTextSize(text, font, scale, thickness)
        scale *= min(1.0, max(1, width - 2 * margin) / max(1, needed))
        (needed, above), below = cv2.getTextSize(text, font, scale, thickness)
        white = 1.0 if img.dtype.kind == "f" else float(np.iinfo(img.dtype).max)
        drawn: Image = np.ascontiguousarray(img).copy()
        drawn[: above + below + margin, : needed + 2 * margin] = 0
        color = (white,) * (drawn.shape[2] if drawn.ndim == 3 else 1)
        cv2.putText(drawn, text, (margin, above + margin // 2 + 1), font, scale, color, thickness, cv2.LINE_AA)
        return drawn

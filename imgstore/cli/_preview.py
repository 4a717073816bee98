"""A window that shows frames while they are saved."""

from __future__ import annotations

from typing import Any

from imgstore.cli._picture import Levels, to_picture, with_status_bar
from imgstore.mapping import Stopped

__all__ = ["Preview"]


class Preview:
    """A window; called with each frame and its number, it raises `Stopped` once q was pressed or it was closed."""

    def __init__(self, name: str):
        self._window, self._levels = f"imgstore save {name}", Levels()

    def __enter__(self) -> Preview:
        import cv2

        cv2.namedWindow(self._window, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL)
        return self

    def __exit__(self, *exc_info: object) -> None:
        import cv2

        cv2.destroyWindow(self._window)

    def __call__(self, img: Any, number: int) -> None:
        """Show a frame."""
        import cv2

        cv2.imshow(self._window, with_status_bar(to_picture(img, self._levels), f"saving frame {number}", "q stops"))
        if cv2.waitKey(1) & 0xFF in (ord("q"), 0x1B) or cv2.getWindowProperty(self._window, cv2.WND_PROP_VISIBLE) < 1:
            raise Stopped

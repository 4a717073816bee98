"""The window of OpenCV: a picture in it, keys, what the mouse does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from imgstore.cli._common import PlainError
from imgstore.cli._display import toolkit
from imgstore.cli._picture import Image

__all__ = ["Mouse", "Window"]

_SMALLEST = 40  # pixels: what a window system says of a window that is not there yet is no size


@dataclass(frozen=True)
class Mouse:
    """What the mouse did: ``press``, ``drag`` (with the left button), ``release`` or ``wheel`` (`turns` up); where, in pixels."""

    what: str
    x: int
    y: int
    turns: int = 0


class Window:
    """A window whose picture has as many pixels as it has itself.

    Parameters
    ----------
    name : str
        By which OpenCV knows it.
    size : tuple of int
        Height and width to begin with.

    Raises
    ------
    PlainError
        OpenCV cannot open one.
    """

    def __init__(self, name: str, size: tuple[int, int]):
        import cv2

        self._cv2, self._name, self.size = cv2, name, size
        self._mouse: list[Mouse] = []
        # Qt zooms a window by itself when the wheel turns
        self._own_wheel = not toolkit().startswith("QT")
        try:
            # WINDOW_GUI_NORMAL: without Qt's own buttons, menus and keys
            cv2.namedWindow(name, cv2.WINDOW_NORMAL | cv2.WINDOW_FREERATIO | cv2.WINDOW_GUI_NORMAL)
        except cv2.error as error:
            raise PlainError(f"OpenCV cannot open a window: {error.err or error}") from error
        cv2.resizeWindow(name, size[1], size[0])
        cv2.setMouseCallback(name, self._note)

    def show(self, picture: Image, title: str) -> None:
        """Show a picture."""
        self._cv2.setWindowTitle(self._name, title)
        self._cv2.imshow(self._name, np.ascontiguousarray(picture))

    def wait(self, milliseconds: int) -> int | None:
        """Wait for a key; return its code, -1 where there was none, None where the window has been closed."""
        code = int(self._cv2.waitKeyEx(milliseconds))
        try:
            if self._cv2.getWindowProperty(self._name, self._cv2.WND_PROP_VISIBLE) < 1:
                return None
            _, _, width, height = self._cv2.getWindowImageRect(self._name)
        except self._cv2.error:  # OpenCV 4 with GTK raises where the window is gone
            return None
        if min(width, height) >= _SMALLEST:
            self.size = height, width
        return code

    def mouse(self) -> list[Mouse]:
        """Return what the mouse has done since this was last asked."""
        done, self._mouse = self._mouse, []
        return done

    def _note(self, event: int, x: int, y: int, flags: int, _: Any) -> None:
        cv2 = self._cv2
        if event == cv2.EVENT_LBUTTONDOWN:
            self._mouse.append(Mouse("press", x, y))
        elif event == cv2.EVENT_LBUTTONUP:
            self._mouse.append(Mouse("release", x, y))
        elif event == cv2.EVENT_MOUSEMOVE and flags & cv2.EVENT_FLAG_LBUTTON:
            self._mouse.append(Mouse("drag", x, y))
        elif event == cv2.EVENT_MOUSEWHEEL and self._own_wheel:
            # the upper half, with its sign
            self._mouse.append(Mouse("wheel", x, y, 1 if 0 < flags & 0xFFFFFFFF < 0x80000000 else -1))

    def close(self) -> None:
        """Take the window away."""
        try:
            self._cv2.destroyWindow(self._name)
            self._cv2.waitKey(1)
        except self._cv2.error:
            return  # the user has closed it

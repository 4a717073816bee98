"""Whether a window can be opened here, found out before OpenCV tries: its Qt ends the whole process where it cannot."""

from __future__ import annotations

import ctypes
import ctypes.util
import os
import re
import sys
import time

__all__ = ["toolkit", "why_no_window"]

_ADVICE = "run it where there is a screen, or with X forwarding (ssh -X), or look at the store with 'imgstore info'"


def toolkit() -> str:
    """Return what OpenCV makes windows with, in capitals (``QT5``, ``GTK3``, ``WIN32UI``); ``NONE`` where it makes none."""
    import cv2

    gui = re.search(r"^\s*GUI:\s*(.*)$", cv2.getBuildInformation(), re.MULTILINE)
    return "UNKNOWN" if gui is None else gui.group(1).strip().upper() or "NONE"


def why_no_window() -> str | None:
    """Say why no window can be opened, and what to do; None where one can."""
    if toolkit() == "NONE":
        return "this OpenCV was built without windows: uninstall opencv-python-headless and install opencv-python"
    if sys.platform in ("win32", "darwin"):
        return None
    display = os.environ.get("DISPLAY")
    if display:
        return None if _x_answers() else f"the display {display!r} (DISPLAY) cannot be opened: {_ADVICE}"
    if os.environ.get("WAYLAND_DISPLAY") and _speaks_wayland():
        return None
    return f"there is no display to open a window on (DISPLAY is not set): {_ADVICE}"


def _x_answers() -> bool:
    """Whether the X server of DISPLAY lets us in."""
    name = ctypes.util.find_library("X11")
    if name is None:
        return True  # no way to ask beforehand
    try:
        x11 = ctypes.CDLL(name)
    except OSError:
        return True
    x11.XOpenDisplay.restype = ctypes.c_void_p
    x11.XOpenDisplay.argtypes = [ctypes.c_char_p]
    # An X server whose last client has gone starts anew and takes no connection meanwhile: so it is asked several
    # times, and this connection stays open as long as the process lives, lest its end be what makes the server do so.
    for wait in (0.0, 0.1, 0.2, 0.4):
        time.sleep(wait)
        if x11.XOpenDisplay(None):
            return True
    return False


def _speaks_wayland() -> bool:
    """Whether OpenCV can do without X: the wheels of opencv-python bring Qt with its X plugin alone."""
    import cv2

    bundled = os.path.join(os.path.dirname(cv2.__file__), "qt", "plugins", "platforms")
    return not os.path.isdir(bundled) or any("wayland" in name for name in os.listdir(bundled))

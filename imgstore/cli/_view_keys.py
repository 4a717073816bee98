"""What a key means in the window, whichever window system tells of it."""

from __future__ import annotations

__all__ = ["ACTIONS", "HELP_LINES", "action_of", "key_name"]

# What cv2.waitKeyEx gives: X11's key symbols (Linux), Windows' virtual keys, macOS' characters.
_NAMED = {
    "left": {0xFF51, 0x250000, 0xF702},
    "up": {0xFF52, 0x260000, 0xF700},
    "right": {0xFF53, 0x270000, 0xF703},
    "down": {0xFF54, 0x280000, 0xF701},
    "page up": {0xFF55, 0x210000, 0xF72C},
    "page down": {0xFF56, 0x220000, 0xF72D},
    "home": {0xFF50, 0x240000, 0xF729},
    "end": {0xFF57, 0x230000, 0xF72B},
    "enter": {0x0D, 0x0A, 0xFF0D, 0xFF8D},
    "backspace": {0x08, 0x7F, 0xFF08},
    "escape": {0x1B, 0xFF1B},
}
_SHIFT, _CONTROL = 0x10000, 0x40000  # GTK has modifiers in the upper bits, Qt tells none

ACTIONS = {
    "pause": (" ", "k"),
    "back": ("left", ","),
    "forward": ("right", "."),
    "second back": ("shift+left", "<"),
    "second forward": ("shift+right", ">"),
    "minute back": ("ctrl+left", "down"),
    "minute forward": ("ctrl+right", "up"),
    "play back": ("j",),
    "play on": ("l",),
    "slower": ("[",),
    "faster": ("]",),
    "gap before": ("page up",),
    "next gap": ("page down",),
    "first": ("home",),
    "last": ("end",),
    "go to": ("g",),
    "zoom in": ("+", "="),
    "zoom out": ("-",),
    "whole": ("0",),
    "save": ("s",),
    "help": ("?",),
    "quit": ("q", "escape"),
}
_ACTION_OF = {key: action for action, keys in ACTIONS.items() for key in keys}

HELP_LINES = (
    ("space, K", "pause, and go on"),
    ("left, right  or  , .", "one frame back, one forward"),
    ("< >  (or Shift + arrows)", "one second"),
    ("down, up  (or Ctrl + arrows)", "one minute"),
    ("J, L", "play backwards, forwards; again: faster"),
    ("[ ]", "slower, faster"),
    ("Page up, Page down", "gap before, next gap"),
    ("Home, End", "first and last frame"),
    ("G", "go to a number, #position or time"),
    ("+ - 0", "zoom in, out, whole frame; drag to move"),
    ("S", "save the frame as PNG"),
    ("Q, Esc", "quit"),
)


def key_name(code: int) -> str | None:
    """Name the key that `cv2.waitKeyEx` tells of: a character, or a name with its modifiers as far as they are told.

    Returns
    -------
    str or None
        ``a``, ``left``, ``shift+left``; None where it is no key that means anything.
    """
    low = code & 0xFFFF
    symbol = low or code  # Windows has its virtual keys in the upper bits, and nothing below
    for name, codes in _NAMED.items():
        if symbol in codes:
            shift = "shift+" if low and code & _SHIFT else ""
            return f"{'ctrl+' if low and code & _CONTROL else shift}{name}"
    return chr(low) if 0x20 <= low < 0x7F else None


def action_of(key: str) -> str | None:
    """Return what a key does, see `ACTIONS`; with a modifier that means nothing it does what it does alone."""
    return _ACTION_OF.get(key.lower()) or _ACTION_OF.get(key.rpartition("+")[2].lower())

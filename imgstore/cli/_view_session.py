"""What a person does in the window, and what is shown of it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from imgstore.cli._picture import Image, Levels, status_bar, to_bgr
from imgstore.cli._view_canvas import (
    LINE_HEIGHT,
    STATUS_HEIGHT,
    Zoom,
    cells_of,
    columns_of,
    draw_frames,
    draw_help,
    draw_time_line,
    first_size,
    fitted,
    step_at,
)
from imgstore.cli._view_keys import HELP_LINES, action_of, key_name
from imgstore.cli._view_player import Player
from imgstore.cli._view_stores import Seen, Stores, save_frames
from imgstore.cli._view_window import Mouse, Window
from imgstore.errors import ArgumentError

__all__ = ["Session", "watch"]

_logger = logging.getLogger("imgstore.view")

_REFRESH = 0.5  # seconds
_ZOOM_STEP = 1.25
_LETTERS = 60  # that can be typed


def watch(stores: Stores, player: Player, show_bars: bool) -> None:
    """Show stores in a window until it is closed, or the last frame has had its time."""
    bars = STATUS_HEIGHT + LINE_HEIGHT if show_bars else 0
    session = Session(stores, player, bars)
    session.read()
    window = Window(f"imgstore {stores.stores[0].filename}", first_size([s.image_shape for s in stores.stores], bars))
    try:
        window.show(session.picture(window.size), session.title())
        refresh_at = time.monotonic()
        player.restart_clock(refresh_at)
        while True:
            before = session.state(), window.size
            code = window.wait(player.wait_ms(time.monotonic()))
            if code is None:
                return
            for done in window.mouse():
                session.point(done, window.size)
            key = key_name(code) if code >= 0 else None
            if key is not None:
                if not session.press(key):
                    return
            elif not player.advance(time.monotonic()):
                return
            if player.follow and time.monotonic() > refresh_at:
                began = time.monotonic()
                session.refresh()
                now = time.monotonic()
                # of a very long recording this takes a while: most of the time is for whoever looks at it
                refresh_at = now + max(_REFRESH, 10 * (now - began))
            if (session.state(), window.size) != before:
                session.read()
                window.show(session.picture(window.size), session.title())
    finally:
        window.close()


class Session:
    """What is shown, and how: the frames that were read last stay, whatever else changes around them.

    Parameters
    ----------
    stores : Stores
        What is looked at.
    player : Player
        Which frame is due.
    bars : int
        Height of the bars under the frames, 0 where they are not shown.
    """

    def __init__(self, stores: Stores, player: Player, bars: int):
        self._stores, self._player, self._bars = stores, player, bars
        self._levels = [Levels() for _ in stores.stores]
        self._step = -1  # whose frames were read
        self._seen: list[Seen] = []
        self._pictures: list[Image | None] = []
        self._gaps: tuple[tuple[int, int], npt.NDArray[np.int64]] | None = None
        self._zoom = Zoom()
        self._typed: str | None = None  # after G
        self._message = ""
        self._help = False
        self._held: Mouse | None = None  # where the mouse button was pressed, or the picture was dragged to
        self._on_line = False  # it was pressed on the time line

    def state(self) -> tuple[object, ...]:
        """Return all that decides what is seen: while nothing of it changes, nothing has to be drawn."""
        player = self._player
        return (player.position, player.count, player.paused, player.speed, self._zoom, self._typed, self._message,
                self._help)  # fmt: skip

    # -- what is seen ----------------------------------------------------------------------------------------------

    def read(self) -> None:
        """Read the frames that are due, if they are others than those that were read."""
        if self._step == self._player.position:
            return
        self._seen = self._stores.read(self._player.position)
        self._pictures = [
            None if seen.img is None else to_bgr(seen.img, levels)
            for seen, levels in zip(self._seen, self._levels, strict=True)
        ]
        self._step = self._player.position
        _logger.info("%s", self.title())

    def refresh(self) -> None:
        """Bring in what has been recorded meanwhile."""
        if self._stores.refresh():
            self._player.grow(self._stores.count, time.monotonic())
            self._stores.gaps()  # made now, they are there when they are drawn
            if any(seen.number is None for seen in self._seen):
                self._step = -1  # what was not there may have come

    def title(self) -> str:
        """Return the window's title."""
        first = self._seen[0]
        which = f"frame {first.number}" if first.number is not None else first.problem
        place = f"({self._step + 1}/{self._player.count})" if self._player.count else ""
        return f"{first.name} - {which} {place} - imgstore{' paused' if self._player.paused else ''}"

    def status(self) -> tuple[str, str]:
        """Return what the status bar says at its left and right end: of the frames that were read, and no others."""
        first, player = self._seen[0], self._player
        left = [f"frame {first.number}"] if first.number is not None else []
        left += [f"({self._step + 1}/{player.count})"] if player.count else []
        left += [first.problem] if first.problem else []
        if self._typed is not None:
            left.append(f"go to: {self._typed}_")
        elif self._message:
            left.append(self._message)
        speed = f"{player.speed:g}x" if player.fps else "every frame" if player.speed > 0 else "every frame, backwards"
        return "  ".join(left), f"{first.when}  {'paused' if player.paused else speed}".strip()

    def picture(self, size: tuple[int, int]) -> Image:
        """Draw all of the window, of height and width `size`."""
        height, width = size
        canvas = draw_frames((max(1, height - self._bars), width), self._pictures, self._labels(), self._zoom)
        if self._help:
            draw_help(canvas, HELP_LINES)
        if not self._bars:
            return canvas
        line = draw_time_line(width, self._player.count, self._step, self._gap_columns(width))
        return np.concatenate([canvas, status_bar((STATUS_HEIGHT, width), *self.status()), line])

    def _gap_columns(self, width: int) -> npt.NDArray[np.int64]:
        """Return where gaps are on a time line of some width; kept, as there may be millions."""
        of = width, self._player.count
        if self._gaps is None or self._gaps[0] != of:
            self._gaps = of, columns_of(self._stores.gaps(), *of)
        return self._gaps[1]

    def _labels(self) -> list[str]:
        """Say at each frame what the status bar does not."""
        if len(self._seen) == 1:
            return [self._seen[0].problem]
        return [
            "  ".join(filter(None, [s.name, f"frame {s.number}" if s.number is not None else "", s.when, s.problem]))
            for s in self._seen
        ]

    # -- what is done ----------------------------------------------------------------------------------------------

    def press(self, key: str) -> bool:
        """Do what a key says, see `key_name`; return False for quitting."""
        self._message = ""
        if self._typed is not None:
            self._type(key)
            return True
        action = action_of(key)
        if key == "escape" and self._help:
            action = "help"
        if action is not None and action != "quit":
            self._actions()[action]()
        return action != "quit"

    def _actions(self) -> dict[str, Callable[[], object]]:
        player, here, now = self._player, self._player.position, time.monotonic()

        def go(position: int) -> None:
            player.go(position, now)

        def gap(way: int) -> None:
            found = self._stores.gap_from(here, way)
            if found is None:
                self._message = "no gap after this" if way > 0 else "no gap before this"
            else:
                go(found)

        return {
            "pause": lambda: player.toggle(now),
            "back": lambda: go(here - 1),
            "forward": lambda: go(here + 1),
            "second back": lambda: go(self._stores.away(here, -1)),
            "second forward": lambda: go(self._stores.away(here, 1)),
            "minute back": lambda: go(self._stores.away(here, -60)),
            "minute forward": lambda: go(self._stores.away(here, 60)),
            "play back": lambda: player.play(-1, now),
            "play on": lambda: player.play(1, now),
            "slower": lambda: player.change_speed(-1, now),
            "faster": lambda: player.change_speed(1, now),
            "gap before": lambda: gap(-1),
            "next gap": lambda: gap(1),
            "first": lambda: go(0),
            "last": lambda: go(player.count - 1),
            "go to": self._begin_to_type,
            "zoom in": lambda: self._set_zoom(self._zoom.by(_ZOOM_STEP)),
            "zoom out": lambda: self._set_zoom(self._zoom.by(1 / _ZOOM_STEP)),
            "whole": lambda: self._set_zoom(Zoom()),
            "save": self._save,
            "help": self._toggle_help,
        }

    def _set_zoom(self, zoom: Zoom) -> None:
        self._zoom = zoom

    def _toggle_help(self) -> None:
        self._help = not self._help

    def _begin_to_type(self) -> None:
        self._typed = ""
        if not self._player.paused:
            self._player.toggle(time.monotonic())

    def _type(self, key: str) -> None:
        typed = self._typed or ""
        if key == "backspace":
            self._typed = typed[:-1]
        elif len(key) == 1:
            self._typed = (typed + key)[:_LETTERS]
        elif key in ("enter", "escape"):
            self._typed = None
            if key == "enter" and typed.strip():
                try:
                    self._player.go(self._stores.find(typed, self._step), time.monotonic())
                except ArgumentError as error:
                    self._message = str(error)

    def _save(self) -> None:
        try:
            saved = save_frames(self._seen, self._levels, Path())
        except OSError as error:
            self._message = f"not saved: {error.strerror or error}"
        else:
            self._message = f"saved {', '.join(path.name for path in saved)}" if saved else "no frame to save"

    def point(self, mouse: Mouse, size: tuple[int, int]) -> None:
        """Do what the mouse says, in a window of height and width `size`."""
        height, width = size
        if mouse.what == "press":
            self._held, self._on_line = mouse, bool(self._bars) and mouse.y >= height - LINE_HEIGHT
        if self._on_line and mouse.what in ("press", "drag"):
            if self._player.count:
                self._player.go(step_at(mouse.x, width, self._player.count), time.monotonic())
        elif mouse.what == "drag" and self._held is not None:
            x, y = self._part(mouse, size)
            from_x, from_y = self._part(self._held, size)
            self._zoom, self._held = self._zoom.drag(x - from_x, y - from_y), mouse
        elif mouse.what == "wheel":
            self._zoom = self._zoom.by(_ZOOM_STEP**mouse.turns, self._part(mouse, size))
        if mouse.what == "release":
            self._held, self._on_line = None, False

    def _part(self, mouse: Mouse, size: tuple[int, int]) -> tuple[float, float]:
        """Return where the mouse is, in parts of the whole frame that is under it, 0.5 being the middle of its place."""
        cells = cells_of((max(1, size[0] - self._bars), size[1]), len(self._seen))
        for k, cell in enumerate(cells):
            top, left, height, width = cell
            if (top <= mouse.y < top + height and left <= mouse.x < left + width) or k == len(cells) - 1:
                rows, columns = fitted((height, width), self._stores.stores[k].image_shape)
                x, y = mouse.x - left - width / 2, mouse.y - top - height / 2
                return 0.5 + x / columns, 0.5 + y / rows
        raise AssertionError("there is a frame at least")

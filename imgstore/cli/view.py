"""``imgstore view``: a store in a window, or recordings in a browser."""

from __future__ import annotations

import logging
import math
import os
import shlex
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import numpy as np

import imgstore
from imgstore.cli._common import HELP, Command, PlainError
from imgstore.cli._display import why_no_window
from imgstore.cli._page import page_options, serve_page
from imgstore.cli._picture import Image, Levels, to_picture, with_status_bar
from imgstore.errors import ChunkError
from imgstore.local_time import local_time

__all__ = ["command"]

_logger = logging.getLogger("imgstore.view")

_DEFAULT_FPS = 25.0  # where neither the user nor the store knows
_STILL_MS = 30  # how often keys are looked for while nothing moves
_MAX_WINDOW = (1600, 900)

# What cv2.waitKeyEx gives: X11's key symbols (Linux), Windows' and macOS' virtual keys.
_KEYS = {
    "pause": {0x20},
    "back": {0xFF51, 0x250000, 0xF702, ord(",")},
    "forward": {0xFF53, 0x270000, 0xF703, ord(".")},
    "first": {0xFF50, 0x240000, 0xF729},
    "last": {0xFF57, 0x230000, 0xF72B},
    "quit": {0x1B, ord("q"), ord("Q")},
}


@click.command("view", cls=Command, short_help="Show a store in a window, or in a browser.", context_settings=HELP)
@click.argument("path", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--fps",
    type=click.FloatRange(min=0),
    help="Play at this many frames per second, 0 for as fast as possible; default the store's own.",
)
@click.option("--hide-statusbar", is_flag=True, help="Do not show the bar with number, position and time.")
@click.option("-v", "--verbose", is_flag=True, help="Tell each frame that is shown on stderr.")
@page_options
def command(
    path: tuple[Path, ...], fps: float | None, hide_statusbar: bool, verbose: bool, web: bool, **page: Any
) -> None:
    """Show the store at PATH in a window; it may be a video, images or a pattern ('frames/*.png') as well.

    \b
    space           pause, and go on
    left, right     one frame back, one forward (also , and .)
    Home, End       first and last frame
    q, Esc          quit (or close the window)

    Frames are shown in real time, and the window closes after the last one unless it is paused. Where the store has
    more frames in a second than this machine can show, some are left out while it plays; with --fps 0 and step by
    step, every one is shown.

    With --web the page of one recording, of several in step, or of folders full of them is served to browsers, and its
    address printed; Ctrl-C ends it.

    \b
    Examples:
      imgstore view recording
      imgstore view recording --fps 0
      imgstore view 'frames/*.png' --fps 5
      imgstore view --web recordings/
    """
    if web:
        serve_page(path, **page)
        return
    if len(path) != 1:
        raise click.UsageError("a window shows one store; --web shows several")
    if fps is not None and not math.isfinite(fps):
        raise click.BadParameter("must be a number of frames per second", param_hint="--fps")
    if verbose:
        logging.basicConfig(format="%(name)s: %(message)s")
        _logger.setLevel(logging.INFO)
    with imgstore.open(path[0]) as store:
        if not store.frame_count:
            raise PlainError(f"{store.filename}: the store is empty, there is nothing to show")
        problem = why_no_window()
        if problem is not None:
            instead = f"imgstore view --web {shlex.quote(str(path[0]))}"
            raise PlainError(f"{problem}; or in a browser, of another machine too: {instead}")
        if fps is None:
            fps = store.fps if math.isfinite(store.fps) else _DEFAULT_FPS
        _play(_Screen(store, show_bar=not hide_statusbar), _Player(store.frame_count, fps))


@dataclass
class _Player:
    """Which frame is due, by the clock and the keys."""

    count: int
    fps: float  # 0: each as soon as the one before has been shown
    position: int = 0
    paused: bool = False
    _since: float = field(default=0.0, init=False)  # when _from was due
    _from: int = field(default=0, init=False)

    def restart_clock(self, now: float) -> None:
        """Count time from now and from the present frame on."""
        self._since, self._from = now, self.position

    def advance(self, now: float) -> bool:
        """Go to the frame that should be seen at a moment; return False when the last one has had its time."""
        if self.paused:
            return True
        before = self.position
        due = self._from + int((now - self._since) * self.fps) if self.fps else before + 1
        self.position = min(self.count - 1, max(before, due))
        return due < self.count or self.position != before

    def wait_ms(self, now: float) -> int:
        """Return how long nothing will be due, in milliseconds, from 1."""
        if self.paused:
            return _STILL_MS
        if not self.fps:
            return 1
        next_due = self._since + (self.position + 1 - self._from) / self.fps
        return max(1, min(_STILL_MS, math.ceil((next_due - now) * 1000)))

    def press(self, action: str, now: float) -> None:
        """Do what a key says: space goes on from a pause, the others begin one."""
        if action == "pause":
            self.paused = not self.paused
        else:
            self.paused = True
            last = self.count - 1
            targets = {"back": self.position - 1, "forward": self.position + 1, "first": 0, "last": last}
            self.position = min(last, max(0, targets[action]))
        self.restart_clock(now)


class _Screen:
    """The window, and the frame in it."""

    def __init__(self, store: Any, show_bar: bool):
        import cv2

        self._cv2 = cv2
        self._store = store
        self._show_bar = show_bar
        self._levels = Levels()
        self._name = os.path.basename(store.filename)
        self._window = f"imgstore {store.filename}"
        picture, _ = self._picture(0)
        try:
            # WINDOW_GUI_NORMAL: without Qt's own buttons, menus and keys
            cv2.namedWindow(self._window, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL)
        except cv2.error as error:
            raise PlainError(f"OpenCV cannot open a window: {error.err or error}") from error
        height, width = picture.shape[:2]
        scale = min(1.0, _MAX_WINDOW[0] / width, _MAX_WINDOW[1] / height)
        cv2.resizeWindow(self._window, max(1, round(width * scale)), max(1, round(height * scale)))

    def _picture(self, position: int) -> tuple[Image, str]:
        """Return what is to be seen at a position, and what is said about it."""
        store = self._store
        try:
            img, (number, frame_time) = store.get_image(None, frame_index=position)
            fault = ""
        except ChunkError as error:  # one bad frame does not end the show
            number, frame_time = int(store.frame_numbers[position]), float(store.frame_times[position])
            img, fault = np.zeros(store.image_shape, np.uint8), "cannot be read"
            click.echo(f"imgstore: error: {error}", err=True)
        picture = to_picture(img, self._levels)
        if self._show_bar:
            left = f"frame {number}  ({position + 1}/{store.frame_count})  {fault}".rstrip()
            picture = with_status_bar(picture, left, local_time(store, frame_time))
        return picture, f"{self._name} - frame {number} ({position + 1}/{store.frame_count}) - imgstore"

    def show(self, position: int, paused: bool) -> None:
        """Show the frame at a position."""
        picture, title = self._picture(position)
        self._cv2.setWindowTitle(self._window, title + (" paused" if paused else ""))
        self._cv2.imshow(self._window, picture)
        _logger.info("%s%s", title, " paused" if paused else "")

    def key(self, wait_ms: int) -> str | None:
        """Wait for a key and return what it stands for; closing the window is quitting."""
        code = self._cv2.waitKeyEx(wait_ms)
        try:
            if self._cv2.getWindowProperty(self._window, self._cv2.WND_PROP_VISIBLE) < 1:
                return "quit"
        except self._cv2.error:  # OpenCV 4 with GTK raises where the window is gone
            return "quit"
        if code == -1:
            return None
        for action, codes in _KEYS.items():
            # a modifier such as Num Lock is in the upper bits
            if code in codes or code & 0xFFFF in codes:
                return action
        return None

    def close(self) -> None:
        """Take the window away."""
        try:
            self._cv2.destroyWindow(self._window)
            self._cv2.waitKey(1)
        except self._cv2.error:
            return  # the user has closed it


def _play(screen: _Screen, player: _Player) -> None:
    try:
        screen.show(player.position, player.paused)
        player.restart_clock(time.monotonic())
        while True:
            shown = player.position, player.paused
            action = screen.key(player.wait_ms(time.monotonic()))
            if action == "quit":
                return
            if action is not None:
                player.press(action, time.monotonic())
            elif not player.advance(time.monotonic()):
                return
            if (player.position, player.paused) != shown:
                screen.show(player.position, player.paused)
    finally:
        screen.close()

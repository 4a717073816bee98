"""``imgstore view``: a store in a window, or recordings in a browser."""

from __future__ import annotations

import contextlib
import logging
import math
import shlex
from pathlib import Path
from typing import Any

import click

import imgstore
from imgstore.cli._common import HELP, Command, PlainError, TypedPath
from imgstore.cli._display import why_no_window
from imgstore.cli._group import find_stores
from imgstore.cli._page import page_options, serve_page
from imgstore.cli._view_player import Player
from imgstore.cli._view_session import watch
from imgstore.cli._view_stores import Stores

__all__ = ["command"]

_DEFAULT_FPS = 25.0  # where neither the user nor the store knows


@click.command("view", cls=Command, short_help="Show a store in a window, or in a browser.", context_settings=HELP)
@click.argument("path", nargs=-1, required=True, type=TypedPath(path_type=Path))
@click.option(
    "--fps",
    type=click.FloatRange(min=0),
    help="Play at this many frames per second, 0 for as fast as possible; default the store's own.",
)
@click.option("--follow", is_flag=True, help="Show the newest frame of a recording that goes on, until you quit.")
@click.option("--hide-statusbar", is_flag=True, help="Show the frames alone, without status bar and time line.")
@click.option("-v", "--verbose", is_flag=True, help="Tell each frame that is shown on stderr.")
@page_options
def command(
    path: tuple[Path, ...],
    fps: float | None,
    follow: bool,
    hide_statusbar: bool,
    verbose: bool,
    web: bool,
    **page: Any,
) -> None:
    """Show the store at PATH in a window; it may be a video, images or a pattern ('frames/*.png') as well. Several, or a
    folder with those of one recording, are shown side by side in step.

    \b
    space, K            pause, and go on
    left, right, , .    one frame back, one forward
    < >                 one second (also Shift with left, right)
    down, up            one minute back, forward (also Ctrl with left, right)
    J, L                play backwards, forwards; again: faster
    [ ]                 slower, faster: 0.1 to 64 times
    Page up, down       the gap before, the next gap
    Home, End           first and last frame
    G                   go to: 250 (number), #12 (position), 12.5s, 14:03:20
    + - 0               zoom in, out, whole frame; drag to move it
    S                   save the frame as PNG, where you are
    ?                   show the keys
    q, Esc              quit (or close the window)

    The line at the bottom is the whole recording, with its gaps in red: click or drag there.

    Frames are shown in real time, and the window closes after the last one unless it is paused. Where the store has
    more frames in a second than this machine can show, some are left out while it plays; with --fps 0 and step by
    step, every one is shown.

    With --web the page of one recording, of several in step, or of folders full of them is served to browsers, and its
    address printed; Ctrl-C ends it.

    \b
    Examples:
      imgstore view recording
      imgstore view recording --fps 0
      imgstore view left right
      imgstore view recording --follow
      imgstore view 'frames/*.png' --fps 5
      imgstore view --web recordings/
    """
    if web:
        serve_page(path, **page)
        return
    if fps is not None and not math.isfinite(fps):
        raise click.BadParameter("must be a number of frames per second", param_hint="--fps")
    if verbose:
        logging.basicConfig(format="%(name)s: %(message)s")
        logging.getLogger("imgstore.view").setLevel(logging.INFO)
    with contextlib.ExitStack() as opened:
        stores = Stores([opened.enter_context(imgstore.open(each)) for each in find_stores(path)])
        first = stores.stores[0]
        if not stores.count and not follow:
            raise PlainError(f"{first.filename}: the store is empty, there is nothing to show")
        problem = why_no_window()
        if problem is not None:
            instead = f"imgstore view --web {shlex.join(map(str, path))}"
            raise PlainError(f"{problem}; or in a browser, of another machine too: {instead}")
        if fps is None:
            fps = first.fps if math.isfinite(first.fps) and first.fps > 0 else _DEFAULT_FPS
        player = Player(stores.count, fps, follow, position=max(0, stores.count - 1) if follow else 0)
        watch(stores, player, show_bars=not hide_statusbar)

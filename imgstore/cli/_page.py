"""The page in a browser, as ``imgstore view --web`` serves it."""

from __future__ import annotations

import os
import sys
import webbrowser
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from imgstore.cli._common import PlainError

__all__ = ["page_options", "serve_page"]

F = TypeVar("F", bound=Callable[..., Any])


def page_options(command: F) -> F:
    """Add what the page takes."""
    for option in (
        click.option("--no-browser", is_flag=True, help="With --web: only print the address."),
        click.option("--allow-host", "hosts", multiple=True, metavar="NAME", help="With --web: a proxy's name."),
        click.option(
            "--host", default="127.0.0.1", show_default=True, help="With --web: where to listen; others need the token."
        ),
        click.option(
            "--port", type=click.IntRange(0, 65535), default=0, help="With --web: default one that is free, from 8350."
        ),
        click.option("--web", is_flag=True, help="Show it as a page in a browser."),
    ):
        command = option(command)
    return command


def serve_page(paths: Sequence[Path], *, port: int, host: str, hosts: Sequence[str], no_browser: bool) -> None:
    """Serve the page until Ctrl-C."""
    from imgstore.web import make_server

    try:
        server = make_server(*paths, host=host, port=port, hosts=hosts)
    except ImportError as error:
        raise PlainError(str(error)) from error
    click.echo(server.url)
    click.echo("Whoever has this address sees the recordings. Ctrl-C ends it.", err=True)
    if not no_browser and _has_browser():
        webbrowser.open(server.url)
    server.run()


def _has_browser() -> bool:
    """Whether there is a screen; a browser in the terminal would take it from this command."""
    if sys.platform in ("win32", "darwin"):
        return "SSH_CONNECTION" not in os.environ
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))

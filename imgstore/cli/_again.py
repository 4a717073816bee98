"""Going on with a store that was interrupted, by its name alone: what was typed is kept beside what was done.

The folder may be somebody else's. So nothing is taken from it that runs a program, removes a file, or writes elsewhere.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

import imgstore
from imgstore.cli._common import PlainError, counted
from imgstore.cli._sources import is_live
from imgstore.mapping import is_unfinished, read_note

__all__ = ["begin_again", "this_call"]


def this_call(ctx: click.Context) -> dict[str, Any] | None:
    """Return what is kept: the arguments, and the folder in which they were given; None where they have to be typed again."""
    if _wants_trust(ctx.params):
        return None
    return {"arguments": list(ctx.meta.get("imgstore.arguments", ())), "folder": os.getcwd()}


def _wants_trust(asked: dict[str, Any]) -> bool:
    """Whether options are among those that nobody but the person at the keyboard may give."""
    elsewhere = asked["cluster"] is not None and not asked["cluster"].startswith("local")
    cameras = any(is_live(name) for name in (*asked["sources"], *asked["places"][:-1]))
    return bool(asked["function"] or elsewhere or cameras or asked["files"] == "move")


def begin_again(command: click.Command, dest: Path) -> int:
    """Give the command once more that has begun a store; return the exit status.

    Raises
    ------
    PlainError
        Nothing was begun there.
    """
    if not is_unfinished(dest):
        if not imgstore.is_imgstore(dest):
            raise PlainError(f"{dest}: nothing was begun there that could be completed: give the sources too")
        with imgstore.open(dest) as store:
            click.echo(f"{dest} is whole already: {counted(store.frame_count, 'frame')}, {store.format}")
        return 0
    again = PlainError(f"{dest}: what it was begun with is not taken from the folder: give the same command once more")
    note = read_note(dest)
    if note is None:
        raise PlainError(f"{dest}: what it was begun with is not noted there: give the same command once more")
    if not isinstance(note, dict) or not isinstance(note.get("arguments"), list):
        raise again
    arguments, where = [str(argument) for argument in note["arguments"]], os.path.abspath(dest)
    with _in_folder(str(note.get("folder"))):
        try:
            asked = command.make_context("imgstore save", list(arguments)).params
        except (click.ClickException, click.exceptions.Exit) as error:
            raise again from error
        place = asked["places"][-1] if len(asked["places"]) > 1 or asked["sources"] else ""
        if _wants_trust(asked) or not os.path.exists(place) or not os.path.samefile(place, where):
            raise again
        status = command.main(arguments, prog_name="imgstore save", standalone_mode=False)
    return int(status or 0)


@contextlib.contextmanager
def _in_folder(folder: str) -> Iterator[None]:
    before = os.getcwd()
    with contextlib.suppress(OSError):  # it has gone; what is named from anywhere is found all the same
        os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)

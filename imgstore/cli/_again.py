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
from imgstore import plugins
from imgstore.cli._common import PlainError, counted
from imgstore.cli._sources import is_live
from imgstore.mapping import is_unfinished, read_note

__all__ = ["begin_again", "tell_that_it_is_whole", "this_call", "whole_already"]


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
    begun = _begun_in(dest)
    if begun is None:
        if not imgstore.is_imgstore(dest):
            raise PlainError(f"{dest}: nothing was begun there that could be completed: give the sources too")
        tell_that_it_is_whole(dest)
        return 0
    again = PlainError(f"{dest}: what it was begun with is not taken from the folder: give the same command once more")
    note = read_note(begun)
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
        folder = os.path.dirname(where)
        if asked["group"] and os.path.exists(place) and os.path.samefile(place, folder):
            raise PlainError(f"{dest}: is one of several in step, which 'imgstore save --resume {folder}' completes")
        if _wants_trust(asked) or not os.path.exists(place) or not os.path.samefile(place, where):
            raise again
        status = command.main(arguments, prog_name="imgstore save", standalone_mode=False)
    return int(status or 0)


def whole_already(dest: Path, count: int, fmt: str | None) -> bool:
    """Whether there is nothing to go on with, as a store of so many frames is whole, of any format or of this one."""
    if is_unfinished(dest) or not imgstore.is_imgstore(dest):
        return False
    with imgstore.open(dest) as store:
        alike = fmt is None or store.format == plugins.codec_for_format(fmt).format.name
        return alike and store.frame_count == count


def tell_that_it_is_whole(dest: Path) -> None:
    """Say that there is nothing to go on with."""
    with imgstore.open(dest) as store:
        click.echo(f"{dest} is whole already: {counted(store.frame_count, 'frame')}, {store.format}")


def _begun_in(dest: Path) -> Path | None:
    """Return where a store was begun: in the folder, or in one within it for each camera of a group."""
    if is_unfinished(dest):
        return dest
    if imgstore.is_imgstore(dest) or not dest.is_dir():
        return None
    begun = [folder for folder in sorted(dest.iterdir()) if folder.is_dir() and is_unfinished(folder)]
    return max(begun, key=lambda folder: read_note(folder) is not None, default=None)


@contextlib.contextmanager
def _in_folder(folder: str) -> Iterator[None]:
    before = os.getcwd()
    with contextlib.suppress(OSError):  # it has gone; what is named from anywhere is found all the same
        os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)

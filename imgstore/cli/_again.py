"""Going on with a store that was interrupted, by its name alone: what was typed is kept beside what was done."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

import imgstore
from imgstore.cli._common import PlainError, counted
from imgstore.mapping import read_note

__all__ = ["begin_again", "this_call"]


def this_call(ctx: click.Context, dest: Path) -> dict[str, Any]:
    """Return what is kept: the arguments, and the folder in which they were given."""
    return {"arguments": list(ctx.meta.get("imgstore.arguments", ())), "folder": os.getcwd(), "dest": str(dest)}


def begin_again(command: click.Command, dest: Path) -> int:
    """Give the command once more that has begun a store; return the exit status.

    Raises
    ------
    PlainError
        Nothing was begun there.
    """
    note = read_note(dest)
    if not isinstance(note, dict) or not note.get("arguments"):
        if imgstore.is_imgstore(dest):
            with imgstore.open(dest) as store:
                click.echo(f"{dest} is whole already: {counted(store.frame_count, 'frame')}, {store.format}")
            return 0
        raise PlainError(f"{dest}: nothing was begun there that could be completed: give the sources too")
    arguments = [str(argument) for argument in note["arguments"]]
    where = os.path.abspath(dest)
    with _in_folder(str(note["folder"])):
        if os.path.exists(note["dest"]) and not os.path.samefile(note["dest"], where) or not os.path.exists(note["dest"]):
            raise PlainError(f"{dest}: was begun as {note['dest']} in {note['folder']}; give the sources too")
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

"""``imgstore timecodes``: the times of a store's frames, for muxers such as mkvmerge."""

from __future__ import annotations

from pathlib import Path
from typing import TextIO

import click

import imgstore
from imgstore.cli._common import HELP, Command, store_argument
from imgstore.timecodes import generate_timecodes

__all__ = ["command"]


@click.command(
    "timecodes",
    cls=Command,
    short_help="Print the times of a store's frames for muxers.",
    context_settings=HELP,
)
@store_argument()
@click.option("-o", "--output", type=click.File("w", encoding="ascii"), default="-", help="File; default stdout.")
def command(path: Path, output: TextIO) -> None:
    """Print the time of each frame of the store at PATH in milliseconds from the first (timecode format v2)."""
    with imgstore.new_for_filename(path) as store:
        generate_timecodes(store, output)

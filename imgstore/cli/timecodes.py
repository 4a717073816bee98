"""``imgstore timecodes``: the times of a store's frames, for muxers such as mkvmerge."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

import click

import imgstore
from imgstore.cli._common import HELP, Command, TypedPath
from imgstore.cli._group import file_name, find_stores
from imgstore.exporting import writing
from imgstore.group import camera_names
from imgstore.timecodes import generate_timecodes

__all__ = ["command"]


@click.command(
    "timecodes",
    cls=Command,
    short_help="Print the times of a store's frames for muxers.",
    context_settings=HELP,
)
@click.argument("path", nargs=-1, required=True, type=TypedPath())
@click.option("-o", "--output", type=TypedPath(path_type=Path), help="File; of several stores a folder. Default stdout.")
@click.option("--overwrite", is_flag=True, help="Replace files that are there.")
def command(path: tuple[str, ...], output: Path | None, overwrite: bool) -> None:
    """Print the time of each frame of the store at PATH in milliseconds from the first (timecode format v2).

    PATH may be a video, a folder of images or a pattern ('frames/*.png') as well. As a table, with frame numbers, times are
    beside what 'imgstore export' writes, as CSV; in Python, in store.frames_table().

    Of several stores, or of a folder with those of one recording, a file each is written, and all count from the first frame
    of any: as tracks of one video they are in step.

    Where frames go into a store again, 'imgstore save --times' takes such a file.

    \b
    Examples:
      imgstore timecodes recording --output times.txt
      imgstore timecodes recordings/ --output times/
    """
    with contextlib.ExitStack() as opened:
        stores = [opened.enter_context(imgstore.open(each)) for each in find_stores(path)]
        if output == Path("-"):
            output = None
        if len(stores) == 1 and output is None:
            generate_timecodes(stores[0], sys.stdout)
            return
        if output is None:
            raise click.UsageError("several stores have a file each: name a folder with --output")
        targets = [output] if len(stores) == 1 else [output / f"{file_name(name)}.txt" for name in camera_names(stores)]
        start = min((store.frame_times[0] for store in stores if len(store)), default=0.0)
        with writing(overwrite) as outputs:
            outputs.check(targets)
            for store, target in zip(stores, targets, strict=True):
                with outputs.add(target).open("w", encoding="ascii") as file:
                    generate_timecodes(store, file, start=start)
    for target in targets:
        click.echo(f"wrote {target}")

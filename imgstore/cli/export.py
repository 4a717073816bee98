"""``imgstore export``: a store, or a part of it, becomes a video, a GIF or images."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

import imgstore
from imgstore.cli._common import HELP, Command, TypedPath, counted, print_json
from imgstore.cli._progress import show_progress

if TYPE_CHECKING:
    from imgstore.exporting import Exported

__all__ = ["command"]

_SOME_LEFT_OUT = 3  # exit status


@click.command("export", cls=Command, short_help="Make a video, a GIF or images of a store.", context_settings=HELP)
@click.argument("store", type=TypedPath())
@click.argument("out", type=TypedPath())
@click.option("--format", "fmt", type=click.Choice(["mp4", "mkv", "gif", "png", "jpg", "tif"]),
              help="Default what OUT ends in; png, jpg and tif make a folder of images.")  # fmt: skip
@click.option("--start", metavar="PLACE", help="The first frame: 250 (a position, from 0), n250 (a frame number), 10.5s or "
              "1:30 (from the first frame), 2024-05-01T14:30:00. Negative ones count from the end.")  # fmt: skip
@click.option("--end", metavar="PLACE", help="The frame behind the last one, in the same forms.")
@click.option("--step", type=click.IntRange(min=1), default=1, help="Every so many frames.")
@click.option("--copy", is_flag=True, help="Copy packets bit for bit; begins at the key frame before, and says so.")
@click.option("--exact", is_flag=True, help="Encode exactly these frames (the default).")
@click.option("--crf", type=click.FloatRange(0, 51), help="Quality of H.264, 0 (best) to 51; default 18.")
@click.option("--speed", type=float, default=1.0, help="How many times faster it is shown.")
@click.option("--fps", type=float, help="Frames per second, in place of the times of the frames.")
@click.option("--crop", metavar="LEFT,TOP,WIDTH,HEIGHT", help="The part that is exported, in pixels.")
@click.option("--scale", metavar="FACTOR", help="A factor such as 0.5, or WIDTHxHEIGHT in pixels.")
@click.option("--levels", metavar="LOW,HIGH", help="The samples that become black and white.")
@click.option("--burn-in", metavar="number,time,TEXT", help="Draw numbers, local times and words into the pictures.")
@click.option("--sidecar", type=click.Choice(["csv", "parquet", "none"]), default="csv", show_default=True,
              help="The table OUT.frames: position, number, time and pts of each frame.")  # fmt: skip
@click.option("--extra-data", type=click.Choice(["csv", "parquet"]), help="Write OUT.extra too: what was recorded beside these "
              "frames, and the last record before them.")  # fmt: skip
@click.option("--sound", metavar="COLUMN", help="The column of Motif's extra data that is heard; LEFT,RIGHT for two.")
@click.option("--overwrite", is_flag=True, help="Replace what is there.")
@click.option("--dry-run", is_flag=True, help="Write nothing, and say what would be.")
@click.option("--json", "as_json", is_flag=True, help="Say it as JSON.")
@click.pass_context
def command(
    ctx: click.Context, /, store: str, out: str, fmt: Any, exact: bool, sidecar: Any, as_json: bool, **asked: Any
) -> None:
    """Write the frames of STORE to OUT: a video (.mp4, .mkv), a GIF (.gif), or a folder of images (--format png).

    Each frame is shown at its own time. A table beside it, OUT.frames.csv, says which frame is which. STORE may be a video,
    images or a pattern as well.

    Frames from --start to before --end are exported. They are encoded again, as H.264, unless --copy is given. Frames that
    cannot be read are left out and told of; the exit status is then 3. Nothing is there as OUT before it is whole.

    \b
    Examples:
      imgstore export recording clip.mp4
      imgstore export recording clip.mp4 --start 10s --end 20s --burn-in number
      imgstore export recording clip.mkv --start n5000 --end n6000 --copy
      imgstore export recording clip.gif --step 5 --scale 0.25
      imgstore export recording frames --format png --levels 0,4095
    """
    if exact and asked["copy"]:
        raise click.UsageError("--copy and --exact: give one of them")
    with show_progress(None, "exporting") as report:
        result = imgstore.export(
            store, out, format=fmt, sidecar=None if sidecar == "none" else sidecar, on_error="skip", progress=report, **asked
        )
    if as_json:
        print_json({**asdict(result), "dry_run": asked["dry_run"]})
    else:
        _tell(store, result, asked["dry_run"])
    if result.left_out:
        ctx.exit(_SOME_LEFT_OUT)


def _tell(store: str, result: Exported, dry_run: bool) -> None:
    for position, number, why in result.left_out:
        click.echo(f"imgstore: warning: left out: the frame at position {position} (number {number}): {why}", err=True)
    done = ("would copy" if result.copied else "would export") if dry_run else "copied" if result.copied else "exported"
    span = f"positions {result.start} to {result.end - 1}" if result.end - result.start > 1 else f"position {result.start}"
    every = f", step {result.step}" if result.step > 1 else ""
    length = "" if result.duration is None else f", {result.duration:.3f} s"
    left_out = f", {counted(len(result.left_out), 'frame')} left out" if result.left_out else ""
    click.echo(
        f"{done} {counted(result.frame_count, 'frame')} ({span}{every}) of {store} to {result.path}: {result.format}, "
        f"{result.width} x {result.height}{length}{left_out}"
    )
    for table in result.tables:
        click.echo(f"{'would write' if dry_run else 'wrote'} {table}")
    for note in result.notes:
        click.echo(f"note: {note}")

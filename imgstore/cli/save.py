"""``imgstore save``: a video, a webcam's pictures or another store becomes a store."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click

import imgstore
from imgstore import plugins
from imgstore.cli._common import HELP, Command, PlainError, counted
from imgstore.cli._display import why_no_window
from imgstore.cli._group import group_options, save_group
from imgstore.cli._picture import Levels, to_picture, with_status_bar
from imgstore.cli._progress import note_signals, see_that_nothing_is_in_the_way, show_progress
from imgstore.cli._source import Source, SourceFrame
from imgstore.cli._sources import is_live, open_source
from imgstore.cli._workers import save_with_workers, worker_options
from imgstore.errors import ArgumentError, ImgStoreError, ImgStoreWarning

__all__ = ["command"]

_SOME_LEFT_OUT = 3  # exit status


class _FormatName(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """A format's name; which there are is asked only when one is given or the help is shown."""

    name = "format"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            plugins.codec_for_format(value)
        except ImgStoreError as error:
            self.fail(str(error), param, ctx)
        return str(value)


@click.command(
    "save",
    cls=Command,
    short_help="Save a video, a webcam or a store as a new store.",
    context_settings=HELP,
)
@click.argument("dest", type=click.Path(path_type=Path))
@click.option(
    "--source",
    "sources",
    multiple=True,
    default=("0",),
    metavar="PATH",
    show_default=True,
    help="A video, images (a folder, img_%04d.png, a .tif), a store, the number of a webcam, an address (rtsp://...).",
)
@click.option(
    "--format",
    "fmt",
    type=_FormatName(),
    default="mjpeg/avi",
    show_default=True,
    help="Of the store; see 'imgstore codecs'.",
)
@click.option("--gray", is_flag=True, help="Store grayscale frames.")
@click.option("--chunksize", type=click.IntRange(min=1), help="Frames per chunk.")
@click.option("-o", "--option", "options", multiple=True, metavar="NAME=VALUE", help="An option of the format's codec.")
@click.option("--overwrite", is_flag=True, help="Replace a store that is there.")
@worker_options
@group_options
@click.option("--preview", is_flag=True, help="Show the frames while they are saved; q stops.")
@click.pass_context
def command(
    ctx: click.Context,
    /,
    dest: Path,
    sources: tuple[str, ...],
    fmt: str,
    gray: bool,
    chunksize: int | None,
    options: tuple[str, ...],
    overwrite: bool,
    preview: bool,
    jobs: int | None,
    cluster: str | None,
    group: bool,
    **of_group: Any,
) -> None:
    """Save every frame of a source as a new store at DEST.

    Frames of a video are numbered from 0, those that cannot be read included, and have the times of the video in seconds,
    counted from the creation time that the file notes, or by the video's own clock where it notes none. Images are taken
    25 to a second. Frames of a camera have the time at which they were taken.
    Frames of a store keep their numbers, times and extra data, and the store its metadata.

    Frames that cannot be read are left out and told of. The exit status is then 3: the rest is saved.

    With --group the sources are stores, or a folder with the stores of one recording, and are saved in step: as stores in
    DEST that are named after their cameras, or side by side as one. Frames are numbered by steps then.

    With --jobs or --cluster several workers make a chunk each of a source that is a store or files. The store is there when
    all chunks are; the same command completes it, whatever came between.

    Ctrl-C ends the store where it is, whole and readable; with several workers, to be completed later.
    """
    keywords = {"overwrite": overwrite, **_parse_options(options)}
    if chunksize is not None:
        keywords["chunksize"] = chunksize
    with_workers = jobs is not None or cluster is not None
    if with_workers and (group or preview or (jobs is not None and cluster is not None)):
        raise click.UsageError("--jobs or --cluster goes with neither of --group and --preview, nor with the other")
    if group:
        ctx.exit(save_group(sources, dest, fmt, gray, keywords, **of_group))
    if len(sources) > 1 or of_group["side_by_side"]:
        raise click.UsageError("several sources are saved in step: add --group")
    (source,) = sources
    if preview:
        problem = why_no_window()
        if problem is not None:
            raise PlainError(problem)
    if dest.exists() and Path(source).exists() and dest.samefile(source):
        raise click.UsageError(f"{source} cannot be saved onto itself")
    see_that_nothing_is_in_the_way(dest, but_begun=with_workers)
    if with_workers:
        if is_live(source):
            raise click.UsageError(f"{source} cannot be shared out: --jobs and --cluster are for stores and files")
        ctx.exit(save_with_workers(source, dest, fmt, gray, keywords, jobs=jobs, cluster=cluster))
    try:
        opened = open_source(source, deep="uint16" in (_dtypes(fmt) or ("uint16",)))
    except ArgumentError as error:
        raise click.UsageError(str(error)) from error
    with contextlib.closing(opened.frames):
        frames = _with_preview(opened.frames, dest.name) if preview else opened.frames
        count, signum = _save(opened, frames, dest, fmt, gray, keywords)
    for line in opened.left_out.lines():
        warnings.warn(f"{source}: {line}", ImgStoreWarning, stacklevel=1)
    early = signum is not None and not opened.endless
    left_out = f", {counted(opened.left_out.count, 'frame')} left out" if opened.left_out.count else ""
    stopped = ", stopped before the end" if early else ""
    click.echo(f"saved {counted(count, 'frame')} of {source} to {dest}{left_out}{stopped}")
    if signum is not None and early:
        ctx.exit(128 + signum)  # as a shell reports a program that a signal ended
    if opened.left_out:
        ctx.exit(_SOME_LEFT_OUT)


def _dtypes(fmt: str) -> tuple[str, ...] | None:
    return plugins.codec_for_format(fmt).format.dtypes


def _parse_options(options: Iterable[str]) -> dict[str, Any]:
    """Turn NAME=VALUE into keywords; values are YAML, so that 23 is a number and true is a truth."""
    import yaml

    keywords = {}
    for option in options:
        name, equals, value = option.partition("=")
        try:
            keywords[name] = yaml.safe_load(value)
        except yaml.YAMLError:
            equals = ""
        if not equals or not name.isidentifier():
            raise click.BadParameter(f"{option!r} is not NAME=VALUE", param_hint="--option")
    return keywords


def _save(
    source: Source, frames: Iterator[SourceFrame], dest: Path, fmt: str, gray: bool, keywords: dict[str, Any]
) -> tuple[int, int | None]:
    """Write all frames; return how many, and the number of the signal that ended it, if one did."""
    count = 0
    with note_signals() as received, show_progress(source.count) as report, contextlib.ExitStack() as stack:
        store = None
        for img, number, moment, records, earlier_records in frames:
            if gray:
                img = imgstore.ensure_grayscale(img)
            if store is None:  # not before there is a frame: a source without any leaves no store
                store = stack.enter_context(
                    imgstore.new_for_format(
                        fmt,
                        dest,
                        imgshape=img.shape,
                        imgdtype=img.dtype,
                        fps=source.fps,
                        metadata=source.metadata,
                        **keywords,
                    )
                )
            for record in earlier_records:
                store.add_extra_data(**record)
            store.add_image(img, number, moment)
            for record in records:
                store.add_extra_data(**record)
            count += 1
            report(count)
            if received:
                return count, received[0]
    if not count:
        raise PlainError(f"the source has no frame that can be decoded, {dest} was not made")
    return count, None


def _with_preview(frames: Iterator[SourceFrame], name: str) -> Iterator[SourceFrame]:
    """Show frames as they pass; ends when q is pressed or the window is closed."""
    import cv2

    window, levels = f"imgstore save {name}", Levels()
    cv2.namedWindow(window, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL)
    try:
        for frame in frames:
            yield frame
            picture = to_picture(frame.img, levels)
            cv2.imshow(window, with_status_bar(picture, f"saving frame {frame.number}", "q stops"))
            if cv2.waitKey(1) & 0xFF in (ord("q"), 0x1B) or cv2.getWindowProperty(window, cv2.WND_PROP_VISIBLE) < 1:
                return
    finally:
        cv2.destroyWindow(window)

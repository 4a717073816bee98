"""``imgstore save``: videos, images, stores, or a camera's pictures become a store."""

from __future__ import annotations

import contextlib
import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

import imgstore
from imgstore import plugins
from imgstore.cli._again import begin_again, tell_that_it_is_whole, this_call, whole_already
from imgstore.cli._changes import changes
from imgstore.cli._common import HELP, Command, PlainError, TypedPath
from imgstore.cli._display import why_no_window
from imgstore.cli._group import group_options, open_in_step, save_group
from imgstore.cli._inputs import metadata_of, open_inputs
from imgstore.cli._progress import see_that_nothing_is_in_the_way
from imgstore.cli._recording import record
from imgstore.cli._sources import is_live
from imgstore.cli._values import metadata_file, named_values
from imgstore.cli._workers import save_in_chunks, worker_options
from imgstore.codec import ChunkCodec
from imgstore.errors import ArgumentError, ImgStoreError
from imgstore.exporting import Pictures, parse_crop, parse_scale
from imgstore.mapping import Selection

__all__ = ["command"]

_DEFAULT_FORMAT = "mjpeg/avi"
_MOST_AT_ONCE = 2000  # frames of a video that are lost when it is interrupted
_LEAST_AT_ONCE = 250  # of one that several processes share out


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
    short_help="Make a store of videos, images, stores, or a camera.",
    context_settings=HELP,
)
@click.argument("places", metavar="SOURCE... DEST", nargs=-1, type=TypedPath())
@click.option("--source", "sources", multiple=True, metavar="SOURCE", type=TypedPath(), help="A source, as before DEST; as often "
              "as wanted.")  # fmt: skip
@click.option("--order", type=click.Choice(["name", "time", "given"]), help="Which source comes first: by natural order of "
              "names, by when they were taken, or as they are given. Default as given; what a shell has put into the order of "
              "the alphabet (clip10 before clip2) is taken in natural order.")  # fmt: skip
@click.option("--format", "fmt", type=_FormatName(), help=f"Of the store; see 'imgstore codecs'. Default {_DEFAULT_FORMAT}.")
@click.option("-o", "--option", "options", multiple=True, metavar="NAME=VALUE", help="An option of the format's codec.")
@click.option("--chunksize", type=click.IntRange(min=1), help="Frames per chunk; default 2000 of videos, fewer with "
              "--jobs, 200 of images.")  # fmt: skip
@click.option("--gray", "color", flag_value="gray", help="Store grayscale frames.")
@click.option("--color", "color", flag_value="bgr", help="Store colour frames, of gray ones too.")
@click.option("--start", metavar="PLACE", help="The first frame: 250 (a position, from 0), n250 (a frame number), 10.5s or "
              "1:30 (from the first frame), 2024-05-01T14:30:00. Negative ones count from the end.")  # fmt: skip
@click.option("--end", metavar="PLACE", help="The frame behind the last one, in the same forms.")
@click.option("--step", type=click.IntRange(min=1), default=1, help="Every so many frames.")
@click.option("--crop", metavar="LEFT,TOP,WIDTH,HEIGHT", help="The part of the frames that is stored, in pixels.")
@click.option("--scale", metavar="FACTOR", help="A factor such as 0.5, or WIDTHxHEIGHT in pixels.")
@click.option("--with", "function", metavar="MODULE:FUNCTION", help="Pass each frame through a function, before it is cropped "
              "and scaled: function(img) or function(img, number, time) returns an array. MODULE may be a file.")  # fmt: skip
@click.option("--fps", type=click.FloatRange(min=0, min_open=True), help="Frames per second: of files, in place of their own "
              "times; of stores and cameras, what is noted.")  # fmt: skip
@click.option("--times", type=TypedPath(path_type=Path, exists=True, dir_okay=False), metavar="FILE",
              help="The times of all frames of the sources in seconds: CSV, npy or JSON; or time codes.")  # fmt: skip
@click.option("--column", metavar="NAME", help="With --times: which column of the file.")
@click.option("--metadata", multiple=True, metavar="KEY=VALUE", help="To be noted in the store; values are YAML.")
@click.option("--metadata-file", type=TypedPath(path_type=Path, exists=True, dir_okay=False), metavar="FILE",
              help="The same, out of a YAML or JSON file.")  # fmt: skip
@click.option("--copy", "copied", is_flag=True, help="Take videos, and chunks of stores, as they are: nothing is encoded.")
@click.option("--files", type=click.Choice(["copy", "hardlink", "link", "move"]), help="With --copy: what becomes of the files. "
              "Default copy.")  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace a store that is there, once the new one is whole.")
@click.option("--resume", is_flag=True, help="Go on with what was interrupted; DEST alone is enough.")
@worker_options
@group_options
@click.option("--preview", is_flag=True, help="Show the frames while they are saved; q stops.")
@click.pass_context
def command(
    ctx: click.Context,
    /,
    places: tuple[str, ...],
    sources: tuple[str, ...],
    resume: bool,
    copied: bool,
    files: str | None,
    group: bool,
    **asked: Any,
) -> None:
    """Make a store at DEST of the frames of the sources, one behind the other.

    A source is a video, a folder of videos or of images, a pattern in quotes, a store; or, by itself, the number of a webcam or
    an address (rtsp://...). A store is copied with numbers, times, extra data and metadata. Frames of videos are numbered from 0
    and have the times of the file, from when it says that it was made. Images are taken 25 to a second.

    DEST becomes a store when all is whole. What Ctrl-C, a full disk or a crash interrupts, --resume completes. A camera's store
    is whole at any moment, and Ctrl-C ends it.

    Frames that cannot be read are left out and told of; the exit status is then 3.

    \b
    Examples:
      imgstore save video.mp4 recording
      imgstore save session/*.mp4 recording --format h264/mkv -o crf=20
      imgstore save frames/ recording --format png --fps 50
      imgstore save recording smaller --scale 0.5 --start 10s --end 20s
      imgstore save a.mp4 b.mp4 recording --copy --files hardlink
      imgstore save 0 recording --end 60s
      imgstore save --resume recording
    """
    if resume and len(places) == 1 and not sources:
        ctx.exit(begin_again(command, Path(places[0])))
    names, dest = _sources_and_dest(places, sources)
    fmt = asked["fmt"] or _DEFAULT_FORMAT
    if files is not None and not copied:
        raise click.UsageError("--files goes with --copy")
    if (asked["jobs"] is not None) + (asked["cluster"] is not None) + asked["preview"] > 1:
        raise click.UsageError("--jobs, --cluster and --preview: one goes with neither of the others")
    if asked["preview"] and (problem := why_no_window()) is not None:
        raise PlainError(problem)
    keywords: dict[str, Any] = {"overwrite": asked["overwrite"], **_codec_options(asked["options"])}
    if asked["chunksize"] is not None:
        keywords["chunksize"] = asked["chunksize"]
    if group:
        _refuse(ctx, "--group", "sources", "fmt", "color", "chunksize", "options", "overwrite", "metadata", "metadata_file",
                "start", "end", "step", "crop", "scale", "function", "fps", "preview", "resume", "jobs", "cluster", "group",
                *_OF_GROUP)  # fmt: skip
    elif (of_group := next((param for param in _given(ctx) if param.name in _OF_GROUP), None)) is not None:
        raise click.UsageError(f"{of_group.opts[0]} is for several stores in step: add --group")
    user = {**(metadata_file(asked["metadata_file"]) if asked["metadata_file"] else {}),
            **named_values(asked["metadata"], "--metadata")}  # fmt: skip
    live = [name for name in names if is_live(name) and not group]
    if live:
        if len(names) > 1:
            raise click.UsageError(f"{live[0]} goes on as long as it likes, and is saved by itself: name one source")
        _refuse(ctx, f"{live[0]}, which is no file", "sources", "fmt", "color", "chunksize", "options", "overwrite", "metadata",
                "metadata_file", "end", "step", "crop", "scale", "function", "fps", "preview")  # fmt: skip
    try:
        function_name = asked["function"]
        pictures = Pictures(parse_crop(asked["crop"]), parse_scale(asked["scale"]))
        function = changes(function_name, pictures)
    except ArgumentError as error:
        raise click.UsageError(str(error)) from error
    if live:
        see_that_nothing_is_in_the_way(dest)
        if asked["fps"] is not None:
            keywords["fps"] = asked["fps"]
        dtypes = plugins.codec_for_format(fmt).format.dtypes
        deep = dtypes is None or "uint16" in dtypes
        ctx.exit(
            record(live[0], dest, fmt, keywords, deep=deep, changes=function, metadata=user,
                   **{name: asked[name] for name in ("color", "end", "step", "preview")})  # fmt: skip
        )
    keywords["note"] = this_call(ctx)
    if asked["fps"] is not None:
        keywords["fps"] = asked["fps"] / asked["step"]
    chosen = {name: asked[name] for name in ("color", "fps", "start", "end", "step")}
    of_workers = {name: asked[name] for name in ("jobs", "cluster", "preview")}
    if group:
        with open_in_step(names, **chosen, **{name: asked[name] for name in _OF_GROUP}) as (stores, in_step):
            for source in in_step if function_name is None else ():
                _size(pictures, source.filename, source.image_shape)
            if asked["chunksize"] is None:
                count = max(source.frame_count for source in in_step)
                keywords["chunksize"] = _chunksize(fmt, count, asked["jobs"] or 1)
            ctx.exit(save_group(stores, in_step, dest, fmt, function, keywords, metadata=user, resume=resume,
                                missing=asked["missing"], **of_workers))  # fmt: skip
    see_that_nothing_is_in_the_way(dest)
    if copied:
        _refuse(ctx, "--copy", "sources", "order", "copied", "files", "fps", "times", "column", "metadata", "metadata_file",
                "overwrite", "resume", "jobs", "cluster")  # fmt: skip
    with contextlib.ExitStack() as stack:
        try:
            more = {name: asked[name] for name in ("order", "times", "column")}
            selection = stack.enter_context(open_inputs(names, **chosen, **more))
        except ArgumentError as error:
            raise click.UsageError(str(error)) from error
        if resume and whole_already(dest, selection.frame_count, None if copied else fmt):
            tell_that_it_is_whole(dest)
            return
        if not copied and function_name is None:  # nobody knows what a function makes of frames
            _check_frames(selection, pictures)
        keywords["metadata"] = {**metadata_of(selection, names), **user}
        if asked["chunksize"] is None and not copied:
            keywords["chunksize"] = _chunksize(fmt, selection.frame_count, asked["jobs"] or 1)
        named = names[0] if len(names) == 1 else f"{len(names)} sources"
        ctx.exit(
            save_in_chunks(selection, named, dest, fmt, function, keywords, files=files or "copy" if copied else None,
                           **of_workers)  # fmt: skip
        )


_OF_GROUP = ("side_by_side", "align", "missing", "tolerance")


def _sources_and_dest(places: Sequence[str], sources: Sequence[str]) -> tuple[list[str], Path]:
    """Tell what is saved from where it goes, and say what was meant where one of them is missing."""
    if not places:
        raise click.UsageError("say what to save, and where to: imgstore save SOURCE... DEST")
    *others, last = places
    names = [*sources, *others]
    if not names:
        if os.path.isfile(last) or is_live(last) or imgstore.is_imgstore(last) or glob.has_magic(last):
            raise click.UsageError(f"say where to save {last}: imgstore save {last} DEST")
        raise click.UsageError(f"say what to save: imgstore save SOURCE {last}; of the webcam 0, imgstore save 0 {last}")
    dest = Path(last)
    if dest.is_file():
        raise click.UsageError(f"{last}: is a file, and what comes last is the folder of the new store")
    if "://" in last and not dest.exists():
        raise click.UsageError(f"{last}: is an address, and what comes last is the folder of the new store")
    for name in names:
        if dest.exists() and os.path.exists(name) and dest.samefile(name):
            raise click.UsageError(f"{name} cannot be saved onto itself")
    return names, dest


def _given(ctx: click.Context) -> Iterator[click.Parameter]:
    """Give the options that somebody has given."""
    given = click.core.ParameterSource
    for param in ctx.command.params:
        if ctx.get_parameter_source(param.name or "") not in (given.DEFAULT, given.DEFAULT_MAP):
            yield param


def _refuse(ctx: click.Context, what: str, *allowed: str) -> None:
    """Refuse options that do not go with something, so that none is taken and forgotten."""
    for param in _given(ctx):
        if param.name not in ("places", *allowed):
            raise click.UsageError(f"{param.opts[0]} does not go with {what}")


def _codec_options(options: Sequence[str]) -> dict[str, Any]:
    found = named_values(options, "--option")
    for name in found:
        if not name.isidentifier():
            raise click.BadParameter(f"{name!r} is no name of an option", param_hint="--option")
    return found


def _check_frames(selection: Selection, pictures: Pictures) -> None:
    """See that frames go into one store, before anything is written."""
    sizes: dict[tuple[Any, ...], str] = {}
    for part in selection.parts:
        size = (*_size(pictures, part.filename, part.shape), *part.shape[2:], str(part.dtype))
        sizes.setdefault(size, part.filename)
    if len(sizes) > 1:
        (one, first), (other, second) = list(sizes.items())[:2]
        raise click.UsageError(
            f"{second}: its frames are {_told(other)}, and those of {first} {_told(one)}: --scale WIDTHxHEIGHT, --gray or --color"
            " makes them alike"
        )


def _size(pictures: Pictures, filename: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the size that frames of a source will have."""
    try:
        return pictures.size(shape)
    except ArgumentError as error:
        raise click.UsageError(f"{filename}: {error}") from error


def _chunksize(fmt: str, count: int, jobs: int) -> int | None:
    """Return how many frames a chunk has where nobody says it: of videos no more than anyone minds to encode again."""
    if not isinstance(plugins.codec_for_format(fmt).codec, ChunkCodec):
        return None
    return min(_MOST_AT_ONCE, max(_LEAST_AT_ONCE, -(-count // (4 * jobs)))) if jobs > 1 else _MOST_AT_ONCE


def _told(size: tuple[Any, ...]) -> str:
    return f"{size[1]} x {size[0]} {'colour' if len(size) > 3 else 'gray'} ({size[-1]})"

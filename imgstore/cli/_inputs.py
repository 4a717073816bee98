"""What `imgstore save` makes a store of: the frames of what was named, one source behind the other."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import click

import imgstore
from imgstore.cli._common import warn
from imgstore.cli._sources import not_there_told
from imgstore.errors import ArgumentError
from imgstore.exporting import find_range
from imgstore.local_time import is_date
from imgstore.mapping import Selection, find_sources, in_natural_order

__all__ = ["metadata_of", "open_inputs"]

Color = Literal["bgr", "gray"]


@contextlib.contextmanager
def open_inputs(
    names: Sequence[str],
    *,
    order: str | None,
    color: Color | None,
    fps: float | None,
    times: Path | None,
    column: str | None,
    start: str | None,
    end: str | None,
    step: int,
) -> Iterator[Selection]:
    """Open what was named, and give the frames that are wanted of it.

    Parameters
    ----------
    names : sequence of str
        Stores, videos, folders, patterns.
    order : {'name', 'time', 'given'} or None
        Which comes first.
    color, fps, times, column, start, end, step
        As the command has them.

    Raises
    ------
    ArgumentError
        There is nothing of the kind, or no such frames.
    """
    found = []
    for name in names:
        with not_there_told(name):
            found += find_sources([name])
    if order == "name" or (order is None and _by_the_shell(names)):
        found = in_natural_order(found)
    selections = [_opened(name, color, fps) for name in found]
    if order == "time":
        taken = [_when(selection) for selection in selections]
        selections = [selections[k] for k in sorted(range(len(taken)), key=taken.__getitem__)]
    chosen = Selection.joined(selections)
    if not chosen.frame_count:
        raise ArgumentError(f"{', '.join(names)}: has no frames")
    _tell_of_shifts(chosen, chosen_order=order is not None)
    if times is not None:
        chosen = chosen.timed(os.path.abspath(times), int(column) if column is not None and column.isdecimal() else column)
    with chosen:
        if start is None and end is None and step == 1:
            yield chosen
            return
        first, stop = find_range(chosen, start, end)
        with chosen[first:stop:step] as part:
            yield part


def metadata_of(selection: Selection, names: Sequence[str]) -> dict[str, Any]:
    """Return the metadata of a store that is made of sources: what stores have noted, and what files were called."""
    metadata = selection.user_metadata
    files = [_file_name(part.filename) for part in selection.parts if not imgstore.is_imgstore(part.filename)]
    if files:
        named = [_file_name(name) for name in names]
        metadata["source"] = named[0] if len(named) == 1 and len(files) == 1 else files
    dropped = sorted({key for part in selection.parts for key in part.metadata} - metadata.keys())
    if dropped:
        warn(f"metadata that is not the same in all sources is left out: {', '.join(dropped)}")
    return metadata


def _file_name(path: str) -> str:
    return os.fsencode(os.path.basename(os.path.abspath(path))).decode("utf-8", "replace")  # as text, also where it is none


def _opened(name: str, color: Color | None, fps: float | None) -> Selection:
    with not_there_told(name), _open(name, color, fps) as store:
        return Selection.of(store)


def _open(name: str, color: Color | None, fps: float | None) -> imgstore.ImgStore:
    """Open a store, or files with their times from their creation on, or by their own clocks where they do not note it."""
    if imgstore.is_imgstore(name):
        return imgstore.open(name, color=color)
    starts: tuple[Literal["creation", "file"], ...] = ("creation", "file")
    for start in starts:
        try:
            return imgstore.open(name, color=color, fps=fps, start_time=start)
        except ArgumentError:
            continue
    return imgstore.open(name, color=color, fps=fps)


def _by_the_shell(names: Sequence[str]) -> bool:
    """Whether names are in the order in which a shell gives those that fit a pattern: ``clip10`` before ``clip2``."""
    natural = in_natural_order(names)
    if list(names) == natural or list(names) != sorted(names):
        return False
    click.echo(f"imgstore: taken in natural order, {natural[0]} first; --order given takes them as they are named", err=True)
    return True


def _when(selection: Selection) -> float:
    """Return when the first frame was taken, or the file was written where it does not say."""
    first = float(selection.frame_times[0]) if selection.frame_count else 0.0
    with contextlib.suppress(OSError):
        return first if is_date(first) else os.path.getmtime(selection.parts[0].filename)
    return first


def _tell_of_shifts(selection: Selection, chosen_order: bool) -> None:
    """Say of stores whose frames do not keep their numbers or times: files have none of their own.

    Raises
    ------
    ArgumentError
        Stores are of the same time, as those of several cameras are, and nobody said that one is to be behind the other.
    """
    for k, part in enumerate(selection.parts):
        if part.uuid is None or not (part.number_shift or part.time_shift):
            continue
        if part.time_shift and not chosen_order and is_date(selection.frame_times[selection.begin(k)] - part.time_shift):
            raise ArgumentError(
                f"{part.filename}: is not from after the frames before it: add --group to save the cameras of one recording in"
                " step, --order time to begin with the earliest, or --order given to have it behind them all the same"
            )
        told = [f"numbers go up by {part.number_shift}"] if part.number_shift else []
        told += [f"times by {part.time_shift:.3f} s"] if part.time_shift else []
        warn(f"{part.filename}: {' and '.join(told)}, behind the frames before")

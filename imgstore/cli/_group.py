"""Several stores in step, as commands have to do with them: found, described, saved."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click
import numpy as np

import imgstore
from imgstore.cli._again import whole_already
from imgstore.cli._common import PlainError, counted, warn
from imgstore.cli._progress import see_that_nothing_is_in_the_way
from imgstore.cli._workers import ONE_BY_ONE, SOME_LEFT_OUT, made_in_chunks
from imgstore.errors import ArgumentError, NotAStoreError
from imgstore.exporting import find_range
from imgstore.group import StoreGroup, find_cameras
from imgstore.mapping import InStep, Mapped, SideBySide, in_step, map_in_step, map_store
from imgstore.mapping import side_by_side as join

__all__ = ["describe_group", "file_name", "find_stores", "group_options", "open_in_step", "save_group"]

F = TypeVar("F", bound=Callable[..., Any])

def find_stores(paths: Sequence[str | Path]) -> list[str]:
    """Return paths as they are, and for a folder that is no store and holds some the stores of the recording in it."""
    found: list[str] = []
    for path in paths:
        try:
            found += [str(path)] if not Path(path).is_dir() or imgstore.is_imgstore(path) else find_cameras(path)
        except NotAStoreError:
            found.append(str(path))  # whoever opens it tells what is wrong
    return found


def describe_group(stores: Sequence[Any]) -> dict[str, Any]:
    """Tell how stores go together: by number, or by time where they have no numbers in common.

    Returns
    -------
    dict
        ``align``, ``steps``, ``complete`` (steps with a frame of each store), and ``stores``, a list of ``{name, frames,
        largest_error}``: for how many steps each has a frame, and how far from the step in seconds at most. Or ``align``
        None and ``why``.
    """
    why = ""
    for align in ("number", "time"):
        try:
            group = StoreGroup(stores, align=align)
        except ArgumentError as error:
            why = str(error)
            continue
        there, errors = group.table.positions >= 0, np.abs(group.table.errors)
        return {
            "align": align,
            "steps": len(group),
            "complete": int(there.all(axis=1).sum()),
            "stores": [
                {
                    "name": name,
                    "frames": int(there[:, c].sum()),
                    "largest_error": float(np.nanmax(errors[:, c])) if there[:, c].any() else None,
                }
                for c, name in enumerate(group.names)
            ],
        }
    return {"align": None, "why": why}


def group_options(command: F) -> F:
    """Add the options that a group takes."""
    for option in (
        click.option(
            "--tolerance", type=click.FloatRange(min=0), help="With --group: seconds that frames may be apart."
        ),
        click.option(
            "--missing",
            type=click.Choice(["mask", "drop", "hold", "black"]),
            default="mask",
            show_default=True,
            help="With --group, where a store has no frame: it is left out (side by side: black); the step is; the one before "
            "again; black.",
        ),
        click.option(
            "--align",
            type=click.Choice(["number", "time"]),
            default="number",
            show_default=True,
            help="With --group: what frames of a step have in common.",
        ),
        click.option("--side-by-side", is_flag=True, help="With --group: write one store, the pictures side by side."),
        click.option("--group", is_flag=True, help="Save several stores in step, those of one recording."),
    ):
        command = option(command)
    return command


@contextlib.contextmanager
def open_in_step(
    sources: Sequence[str],
    *,
    side_by_side: bool,
    align: Any,
    missing: Any,
    tolerance: float | None,
    color: Any,
    fps: float | None,
    start: str | None,
    end: str | None,
    step: int,
) -> Iterator[tuple[StoreGroup, Sequence[InStep | SideBySide]]]:
    """Open stores as a group, and give what new ones are made of: one for each camera, or one with all side by side.

    Parameters
    ----------
    sources : sequence of str
        Stores, or a folder with those of one recording.
    side_by_side, align, missing, tolerance, color, fps, start, end, step
        As the command has them. Places are in the first store, whose frames are the steps.

    Raises
    ------
    ArgumentError
        The stores do not go together.
    """
    with contextlib.ExitStack() as stack:
        stores = []
        for path in find_stores(sources):
            of_file = None if imgstore.is_imgstore(path) else fps  # in place of its own times
            stores.append(stack.enter_context(imgstore.open(path, color=color, fps=of_file)))
        with StoreGroup(stores, align=align, missing=missing, tolerance=tolerance) as group:
            wanted = None
            if start is not None or end is not None or step > 1:
                try:
                    wanted = range(*find_range(stores[0], start, end), step)
                except ArgumentError as error:
                    raise click.UsageError(str(error)) from error
            yield group, [join(group, wanted)] if side_by_side else in_step(group, wanted)


def save_group(
    group: StoreGroup,
    sources: Sequence[InStep | SideBySide],
    dest: Path,
    fmt: str,
    function: Callable[..., Any] | None,
    keywords: dict[str, Any],
    *,
    metadata: Mapping[str, Any],
    resume: bool,
    missing: str,
    **how: Any,
) -> int:
    """Write a group in step; return the exit status. `metadata` is the user's, `how` is of `made_in_chunks`."""
    one = isinstance(sources[0], SideBySide)
    targets = [dest] if one else [dest / file_name(name) for name in group.names]
    for target, source in zip(targets, sources, strict=True):
        see_that_nothing_is_in_the_way(target)
        for filename in source.filenames:  # what is read is not to be written over
            if target.exists() and target.samefile(filename):
                raise click.UsageError(f"{filename} cannot be saved onto itself")
    steps = len(np.unique(np.concatenate([source.frame_numbers for source in sources])))
    if not steps:
        raise PlainError(f"there is no step with frames of all stores, {dest} was not made")
    for target, source in zip(targets, sources, strict=True):
        if not source.frame_count:
            warn(f"{source.filename}: has no frame for any of these steps, {target} is not made")
    there = [(target, source) for target, source in zip(targets, sources, strict=True) if source.frame_count]
    if resume and all(whole_already(target, source.frame_count, fmt) for target, source in there):
        click.echo(f"{dest} is whole already: {counted(steps, 'step')} of {', '.join(group.names)}")
        return 0

    def make(**of_workers: Any) -> list[Mapped]:
        alike = {**ONE_BY_ONE, **keywords, **of_workers, "format": fmt}
        user = [{**source.user_metadata, **metadata} for _, source in there]
        if one:
            return [map_store(function, sources[0], dest, metadata=user[0], **alike)]
        to, of = zip(*there, strict=True)
        return map_in_step(function, of, to, metadata=user, complete=missing == "drop", **alike)

    count = sum(source.frame_count for _, source in there)
    made = made_in_chunks(make, count, dest, noted=bool(keywords["note"]), **how)
    lost = max(each.left_out.count for each in made) if missing == "drop" else 0  # steps, the same of all
    damaged = sum(each.left_out.count + each.left_out.replaced_count for each in made)
    left_out = f", {counted(lost, 'step') if lost else counted(damaged, 'frame')} left out" if damaged else ""
    what = "side by side" if one else "in step"
    click.echo(f"saved {counted(steps - lost, 'step')} of {', '.join(group.names)} {what} to {dest}{left_out}")
    return SOME_LEFT_OUT if damaged else 0


def file_name(name: str) -> str:
    """Return a name that no system takes for anything but a file's own: serials are what somebody has noted."""
    return re.sub(r"[^\w.-]", "_", name).lstrip(".") or "_"

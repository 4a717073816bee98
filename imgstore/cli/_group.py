"""Several stores in step, as commands have to do with them: found, described, saved."""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click
import numpy as np
import numpy.typing as npt

import imgstore
from imgstore.cli._common import PlainError, counted
from imgstore.cli._progress import note_signals, see_that_nothing_is_in_the_way, show_progress
from imgstore.errors import ArgumentError, NotAStoreError
from imgstore.group import StoreGroup, find_cameras

__all__ = ["describe_group", "file_name", "find_stores", "group_options", "save_group"]

F = TypeVar("F", bound=Callable[..., Any])
Image = npt.NDArray[Any]

_SOME_LEFT_OUT = 3  # exit status


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


def save_group(
    sources: Sequence[str],
    dest: Path,
    fmt: str,
    gray: bool,
    keywords: dict[str, Any],
    *,
    side_by_side: bool,
    align: Any,
    missing: Any,
    tolerance: float | None,
) -> int:
    """Write a group in step; return the exit status."""
    with StoreGroup(find_stores(sources), align=align, missing=missing, tolerance=tolerance) as group:
        # what is read is not to be written over
        targets = [dest] if side_by_side else [dest / file_name(name) for name in group.names]
        for target in targets:
            see_that_nothing_is_in_the_way(target)
            for store in group.stores:
                if target.exists() and target.samefile(store.filename):
                    raise click.UsageError(f"{store.filename} cannot be saved onto itself")
        for store in group.stores:
            if store.has_extra_data:
                click.echo(f"imgstore: warning: {store.filename}: its extra data is not copied", err=True)
        count, damaged, stopped = _write(group, targets, fmt, gray, keywords, side_by_side)
    left_out = f", {counted(damaged, 'frame')} left out" if damaged else ""
    early = ", stopped before the end" if stopped else ""
    what = "side by side" if side_by_side else "in step"
    click.echo(f"saved {counted(count, 'step')} of {', '.join(group.names)} {what} to {dest}{left_out}{early}")
    if stopped:
        return 128 + stopped  # as a shell reports a program that a signal ended
    return _SOME_LEFT_OUT if damaged else 0


def file_name(name: str) -> str:
    """Return a name that no system takes for anything but a file's own: serials are what somebody has noted."""
    return re.sub(r"[^\w.-]", "_", name).lstrip(".") or "_"


def _write(
    group: StoreGroup, targets: list[Path], fmt: str, gray: bool, keywords: dict[str, Any], joined: bool
) -> tuple[int, int, int]:
    """Write all steps; return how many, how many frames are damaged, and the signal that ended it, or 0."""
    rate = group.fps
    keywords = {**keywords, "fps": rate if math.isfinite(rate) else None}
    metadata = [{"cameras": list(group.names)}] if joined else [dict(store.user_metadata) for store in group.stores]
    written: list[Any] = [None] * len(targets)
    blank = [
        np.zeros(none.shape[1:], none.dtype)
        for none in (store.get_images(frame_indices=[])[0] for store in group.stores)
    ]
    count = damaged = 0
    with note_signals() as received, show_progress(len(group)) as report, contextlib.ExitStack() as stack:
        for step in group:
            images = [
                imgstore.ensure_grayscale(img) if gray and img is not None else img
                for img in ((_join(step.images, blank),) if joined else step.images)
            ]
            damaged += sum(
                position >= 0 and not there
                for position, there in zip(group.table.positions[step.index].tolist(), step.present, strict=True)
            )
            times = [step.time] if joined else step.frame_times
            for k, (img, time) in enumerate(zip(images, times, strict=True)):
                if img is None:
                    continue
                if written[k] is None:
                    written[k] = stack.enter_context(
                        imgstore.new_for_format(
                            fmt, targets[k], imgshape=img.shape, imgdtype=img.dtype, metadata=metadata[k], **keywords
                        )
                    )
                written[k].add_image(img, step.index, time if math.isfinite(time) else step.time)
            count += 1
            report(count)
            if received:
                return count, damaged, received[0]
    if not count:
        raise PlainError(f"there is no step with frames of all stores, {targets[0].parent} was not made")
    return count, damaged, 0


def _join(images: Sequence[Image | None], blank: Sequence[Image]) -> Image:
    """Put pictures side by side, what is not there and what is below those that are lower black."""
    parts = [black if image is None else image for image, black in zip(images, blank, strict=True)]
    if len({part.dtype for part in parts}) > 1:
        raise ArgumentError(
            f"pictures of {' and '.join(sorted({str(p.dtype) for p in parts}))} cannot be put side by side"
        )
    if len({part.ndim for part in parts}) > 1:
        parts = [imgstore.ensure_color(part) for part in parts]
    height = max(part.shape[0] for part in parts)
    return np.concatenate([np.pad(p, [(0, height - p.shape[0]), *[(0, 0)] * (p.ndim - 1)]) for p in parts], axis=1)

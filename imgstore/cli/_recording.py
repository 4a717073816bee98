"""``imgstore save`` of what goes on: a webcam, or what a server sends. Frames go into the store as they come."""

from __future__ import annotations

import contextlib
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

import imgstore
from imgstore.cli._changes import Changes
from imgstore.cli._common import PlainError, counted
from imgstore.cli._preview import Preview
from imgstore.cli._progress import note_signals, show_progress
from imgstore.cli._source import Source
from imgstore.cli._sources import open_live
from imgstore.errors import ArgumentError, ImgStoreWarning
from imgstore.mapping import Stopped

__all__ = ["record"]

_SOME_LEFT_OUT = 3  # exit status
_LENGTH = re.compile(r"(\d+)\Z|(\d+(?:\.\d*)?)\s*s\Z", re.ASCII)


def record(
    name: str,
    dest: Path,
    fmt: str,
    keywords: dict[str, Any],
    *,
    deep: bool,
    color: str | None,
    changes: Changes | None,
    metadata: dict[str, Any],
    end: str | None,
    step: int,
    preview: bool,
) -> int:
    """Save frames as they come, until there is an end; return the exit status."""
    most, longest = _length(end)
    try:
        source = open_live(name, deep=deep)
    except ArgumentError as error:
        raise click.UsageError(str(error)) from error
    keywords = {"fps": source.fps and source.fps / step, **keywords, "metadata": {**source.metadata, **metadata}}
    with contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.closing(source.frames))
        received = stack.enter_context(note_signals())
        report = stack.enter_context(show_progress(source.count))
        watch = stack.enter_context(Preview(dest.name)) if preview else None
        store, count, first, whole = None, 0, None, True
        for img, number, moment in _every(source, step):
            first = moment if first is None else first
            if (most is not None and number >= most) or (longest is not None and moment - first >= longest):
                break
            if color is not None:
                img = imgstore.ensure_grayscale(img) if color == "gray" else imgstore.ensure_color(img)
            if changes is not None:
                img = changes.one(img, number, moment)
            if store is None:  # not before there is a frame: a source without any leaves no store
                store = imgstore.new_for_format(fmt, dest, imgshape=img.shape, imgdtype=img.dtype, **keywords)
                stack.enter_context(store)
            store.add_image(img, number, moment)
            count += 1
            report(count)
            if received:
                whole = source.endless
                break
            if watch is not None:
                try:
                    watch(img, number)
                except Stopped:
                    break
        if not count:
            raise PlainError(f"the source has no frame that can be decoded, {dest} was not made")
    for line in source.left_out.lines():
        warnings.warn(f"{name}: {line}", ImgStoreWarning, stacklevel=1)
    left_out = f", {counted(source.left_out.count, 'frame')} left out" if source.left_out.count else ""
    click.echo(f"saved {counted(count, 'frame')} of {name} to {dest}{left_out}{'' if whole else ', stopped before the end'}")
    if received and not whole:
        return 128 + received[0]  # as a shell reports a program that a signal ended
    return _SOME_LEFT_OUT if source.left_out else 0


def _every(source: Source, step: int) -> Iterator[tuple[Any, int, float]]:
    for img, number, moment in source.frames:
        if not number % step:
            yield img, number, moment


def _length(end: str | None) -> tuple[int | None, float | None]:
    """Return at which frame, or after how many seconds, there is an end."""
    if end is None:
        return None, None
    found = _LENGTH.match(end.strip())
    if found is None:
        raise click.BadParameter(f"{end!r}: of what goes on, a number of frames (250) or of seconds (10s)", param_hint="--end")
    return (int(found[1]), None) if found[1] else (None, float(found[2]))

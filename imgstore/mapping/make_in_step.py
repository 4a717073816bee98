"""Stores that belong together, as those of cameras in step: none takes its place before the chunks of all are whole."""

from __future__ import annotations

import contextlib
import json
import os
import warnings
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from imgstore.disk.metadata import read_metadata, store_directory
from imgstore.errors import ArgumentError, ImgStoreWarning, MetadataError, NotAStoreError
from imgstore.mapping.job import Task
from imgstore.mapping.left_out import LeftOut
from imgstore.mapping.making import (
    Making,
    Mapped,
    Progress,
    begin,
    is_known,
    locked,
    make_chunks,
    put_together,
    to_make,
)
from imgstore.mapping.recipe import Recipe
from imgstore.mapping.run import Workers
from imgstore.mapping.stores_in_step import InStep
from imgstore.opening import open as open_any

__all__ = ["map_in_step"]

Path = str | os.PathLike[str]
Planned = tuple[Making, list[Task]]


def map_in_step(
    function: Callable[..., Any] | None,
    sources: Sequence[InStep],
    dests: Sequence[Path],
    *,
    workers: Workers,
    metadata: Sequence[Mapping[str, Any] | None] | None = None,
    complete: bool = False,
    break_lock: bool = False,
    progress: Progress | None = None,
    stop: Callable[[], object] | None = None,
    note: Any = None,
    **keywords: Any,
) -> list[Mapped]:
    """Make a store of each camera's frames in step, as `imgstore.mapping.map_store` makes one.

    The chunks of all stores are made first. Then the stores take their places, one right after the other, and what is there is
    replaced. What is interrupted, whenever that is, the same call completes.

    Parameters
    ----------
    function, workers, break_lock, stop, note, **keywords
        See `imgstore.mapping.map_store`.
    sources : sequence of InStep
        Of a group, see `imgstore.mapping.in_step`.
    dests : sequence of path-like
        Directory of each new store.
    metadata : sequence of (mapping or None), optional
        Of each new store; default that of its source.
    complete : bool
        A step of which a frame cannot be read is left out of all stores; all sources have the same steps.
    progress : callable, optional
        Told how many frames of all stores are done and how many there are.

    Returns
    -------
    list of Mapped
        How many frames each store has, and which were left out.

    Raises
    ------
    UnfinishedStoreError, ArgumentError, StoreExistsError, StoreLockedError, StoreWriteError, FormatError
        As of `imgstore.mapping.map_store`.

    Warns
    -----
    ImgStoreWarning
        Frames cannot be read, or the format does not hold all of them.
    """
    makings = [
        to_make(function, source, store_directory(dest, None), metadata=each, break_lock=break_lock, **keywords)
        for source, dest, each in zip(sources, dests, metadata or [None] * len(sources), strict=True)
    ]
    if not makings:
        raise ArgumentError("there are no frames in step")
    if len({making.root for making in makings}) < len(makings):
        raise ArgumentError(f"{', '.join(making.root for making in makings)}: each store needs a folder of its own")
    total, done = sum(source.frame_count for source in sources), 0

    def told(of_one: int, _: int) -> None:
        if progress is not None:
            progress(done + of_one, total)

    def never() -> bool:
        return False

    with contextlib.ExitStack() as stack:
        for making in makings:
            stack.enter_context(locked(making.root, break_lock))
        in_place = _in_place(makings)
        planned: list[Planned] = []
        before: list[Any] = []
        for making in makings:
            if making.root not in in_place:
                with workers(making.job) as submit:
                    tasks = begin(making, submit, stop or never, note, before)
                    make_chunks(making, tasks, submit, told, stop or never)
                planned.append((making, tasks))
                before.append(_identity(making, making.work.path))
            done += making.source.frame_count
        if complete:
            _leave_out_of_all(planned, workers, stop or never)
        made = {making.root: put_together(making, tasks) for making, tasks in planned}
        for making in makings:
            making.work.remove()
    for making in makings:
        for line in made[making.root].left_out.lines() if making.root in made else ():
            warnings.warn(f"{making.source.filename}: {line}", ImgStoreWarning, stacklevel=2)
    return [made.get(making.root) or Mapped(_frames_in(making.root), LeftOut()) for making in makings]


def _identity(making: Making, place: str) -> list[Any]:
    """Return by what a store is known again."""
    return [read_metadata(place).uuid, zlib.crc32(json.dumps(making.what, sort_keys=True).encode("utf-8"))]


def _in_place(makings: Sequence[Making]) -> set[str]:
    """Return the stores whose work directories have gone already: they go one after the other when all are in their places."""
    last = makings[-1]
    before = (last.work.read_plan() or {}).get("before") if is_known(last) else None
    found = set()
    for making, identity in zip(makings, before if isinstance(before, list) else (), strict=False):
        with contextlib.suppress(NotAStoreError, MetadataError):
            if not making.work.begun and _identity(making, making.root) == identity:
                found.add(making.root)
    return found


def _frames_in(root: str) -> int:
    with open_any(root) as store:
        return store.frame_count


def _leave_out_of_all(planned: Sequence[Planned], workers: Workers, stop: Callable[[], object]) -> None:
    """Have chunks made again that have a frame for a step of which another store has none that can be read."""
    gone: dict[int, str] = {}
    for making, tasks in planned:
        for task in tasks:
            for first, count, _, _, why in making.work.left_out(task.chunk).runs:
                for position in range(first, first + count):
                    gone.setdefault(position, why)
    if not gone:
        return
    for making, tasks in planned:
        lacking = [task for task in tasks if not _has_left_out(making, task, gone)]
        if lacking:
            for task in lacking:
                making.work.discard(task.chunk)
            assert isinstance(making.source, InStep)
            source = making.source.without(gone)
            again = replace(making, source=source, job=replace(making.job, source=Recipe.of(source)))
            with workers(again.job) as submit:
                make_chunks(again, tasks, submit, lambda done, total: None, stop)


def _has_left_out(making: Making, task: Task, gone: Mapping[int, str]) -> bool:
    left_out = set(making.work.left_out(task.chunk).positions)
    return not any(position in gone and position not in left_out for position in range(task.begin, task.end))

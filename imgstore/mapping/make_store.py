"""A store out of another, or out of a video: planned, shared out to workers, put together.

Whatever ends this, the same call goes on: a plan says what is being made, and chunks that are whole are not made again.
"""

from __future__ import annotations

import contextlib
import math
import os
import warnings
from collections.abc import Callable, Mapping
from typing import Any

from imgstore.disk.metadata import store_directory
from imgstore.errors import ArgumentError, ImgStoreWarning
from imgstore.mapping.copied import Files, describe_copy, make_copy_tasks
from imgstore.mapping.job import Job
from imgstore.mapping.making import (
    Making,
    Mapped,
    begin,
    begin_copy,
    described,
    locked,
    make_chunks,
    put_together,
    refuse_source,
    to_make,
)
from imgstore.mapping.recipe import Recipe
from imgstore.mapping.run import Workers
from imgstore.mapping.selection import Selection
from imgstore.mapping.source import Source
from imgstore.opening import open as open_any
from imgstore.store import ImgStore
from imgstore.writing.finished_video import remove_original

__all__ = ["copy_store", "map_store"]

Path = str | os.PathLike[str]


def map_store(
    function: Callable[..., Any] | None,
    source: ImgStore | Source | Path,
    dest: Path,
    *,
    format: str,
    workers: Workers,
    batch_size: int | None = None,
    chunksize: int | None = None,
    metadata: Mapping[str, Any] | None = None,
    encoding: str | None = None,
    fps: float | None = None,
    backend: str | None = None,
    overwrite: bool = False,
    break_lock: bool = False,
    progress: Callable[[int, int], object] | None = None,
    stop: Callable[[], object] | None = None,
    note: Any = None,
    **codec_options: Any,
) -> Mapped:
    """Make a store of what a function makes of the frames of another, one task for each chunk.

    Numbers, times and extra data are the source's. The destination becomes a store when all chunks are there. Until then they
    wait in its folder ``.unfinished``, and the same call goes on with those that are missing, whatever came between.

    Parameters
    ----------
    function : callable or None
        Takes some frames, ``(n, h, w)`` or ``(n, h, w, 3)``, and returns an array of as many, of any shape and dtype, or None
        for the frames as they are. One with a parameter `metadata` is told `frame_numbers` and `frame_times` with it. None
        for a function: another format, and nothing else.
    source : ImgStore, Selection or path-like
        Open for reading, or whatever `imgstore.open` takes; or a part of one, or several, or a group `side_by_side`. Workers
        open it for themselves.
    dest : path-like
        Directory of the new store.
    format : str
        Of the new store.
    workers : callable
        Who does the work: `imgstore.mapping.here`, `imgstore.mapping.processes`, or Dask's, see
        `imgstore.bridges.dask.map_store`.
    batch_size : int, optional
        Frames that the function is given at once. Batches begin with a chunk. Default 64, fewer of large ones.
    chunksize, metadata, encoding, fps, backend, overwrite, break_lock, **codec_options
        Of the new store, see `imgstore.new_for_format`. `metadata` and `fps` are the source's by default. A store that is
        there is replaced when all chunks of the new one are whole.
    progress : callable, optional
        Told how many frames are done and how many there are, when a chunk is whole.
    stop : callable, optional
        Asked now and then; once it says so, what has been begun is ended and no more is begun.
    note : optional
        Anything that JSON holds; `imgstore.mapping.read_note` returns it as long as the store is not whole.

    Returns
    -------
    Mapped
        How many frames there are, and which were left out.

    Raises
    ------
    UnfinishedStoreError
        Some chunks are not there, as the function raised, a disk is full, or workers died. They are named, and all others are
        done.
    ArgumentError
        A value cannot be used; the source has no frames; or another store is being made in the destination.
    StoreExistsError, StoreLockedError, StoreWriteError, FormatError
        As of `imgstore.new_for_format`.

    Warns
    -----
    ImgStoreWarning
        Frames cannot be read and were left out, or the format does not hold all of them.
    """
    root = store_directory(dest, None)
    with contextlib.ExitStack() as stack:
        making = to_make(
            function,
            _as_source(stack, source),
            root,
            format=format,
            batch_size=batch_size,
            chunksize=chunksize,
            metadata=metadata,
            encoding=encoding,
            fps=fps,
            backend=backend,
            overwrite=overwrite,
            break_lock=break_lock,
            **codec_options,
        )
        stack.enter_context(locked(root, break_lock))
        submit = stack.enter_context(workers(making.job))
        tasks = begin(making, submit, stop or _never, note)
        make_chunks(making, tasks, submit, progress or _untold, stop or _never)
        made = put_together(making, tasks)
        making.work.remove()
        for line in made.left_out.lines():
            warnings.warn(f"{making.source.filename}: {line}", ImgStoreWarning, stacklevel=2)
        return made


def copy_store(
    source: ImgStore | Selection | Path,
    dest: Path,
    *,
    workers: Workers,
    files: Files = "copy",
    metadata: Mapping[str, Any] | None = None,
    fps: float | None = None,
    overwrite: bool = False,
    break_lock: bool = False,
    progress: Callable[[int, int], object] | None = None,
    stop: Callable[[], object] | None = None,
    note: Any = None,
) -> Mapped:
    """Make a store of the chunks of others, or of videos, without encoding anything again.

    Each video, and each chunk of a store, becomes a chunk. Numbers, times and extra data are the source's, as with `map_store`,
    and the same call goes on with what was interrupted.

    Parameters
    ----------
    source : ImgStore, Selection or path-like
        Whole stores, or whole videos, of one format and size.
    dest, workers, metadata, fps, overwrite, break_lock, progress, stop, note
        See `map_store`.
    files : {'copy', 'hardlink', 'link', 'move'}
        What becomes of the files: they are copied; get a second name, on the same file system; are pointed to by symbolic links,
        so that the store is nothing without them; or are moved, which is for videos alone. A moved one is removed when the store
        is whole.

    Returns
    -------
    Mapped
        How many frames there are.

    Raises
    ------
    UnfinishedStoreError
        Some chunks are not there; all others are done.
    ArgumentError
        The sources do not go into one store, or not as they are.
    StoreExistsError, StoreLockedError, StoreWriteError
        As of `imgstore.new_for_format`.

    Warns
    -----
    ImgStoreWarning
        A video that was to be moved stays, as it cannot be removed, or is a symbolic link.
    """
    root = store_directory(dest, None)
    with contextlib.ExitStack() as stack:
        chosen = _selected(stack, source)
        refuse_source(chosen, root)
        if files == "move" and any(part.uuid is not None or not os.path.isfile(part.filename) for part in chosen.parts):
            raise ArgumentError(f"{chosen.filename}: videos are moved; a store is moved as a folder")
        user = dict(chosen.user_metadata if metadata is None else metadata)
        rate = fps if fps is not None else chosen.fps if math.isfinite(chosen.fps) else None
        new = describe_copy(chosen, root, user, rate)
        what = {**described(chosen), "files": files, "format": new.format, "metadata": user, "fps": rate}
        making = Making(root, chosen, Job(Recipe.of(chosen), None, False, 1, files), what)
        stack.enter_context(locked(root, break_lock))
        submit = stack.enter_context(workers(making.job))
        begin_copy(making, new, overwrite, note)
        tasks = make_copy_tasks(chosen)
        make_chunks(making, tasks, submit, progress or _untold, stop or _never)
        made = put_together(making, tasks)
        making.work.remove()
    if files == "move":
        for part in chosen.parts:
            remove_original(part.filename)
    return made


def _as_source(stack: contextlib.ExitStack, given: ImgStore | Source | Path) -> Source:
    return _selected(stack, given) if isinstance(given, (str, os.PathLike, ImgStore)) else given


def _selected(stack: contextlib.ExitStack, given: ImgStore | Selection | Path) -> Selection:
    if isinstance(given, Selection):
        return given
    store = given if isinstance(given, ImgStore) else stack.enter_context(open_any(given))
    return stack.enter_context(Selection.of(store))


def _untold(done: int, total: int) -> None:
    """Where nobody wants to know how far it is."""


def _never() -> bool:
    return False

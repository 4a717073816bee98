"""A store out of another, or out of a video: planned, shared out to workers, put together.

Whatever ends this, the same call goes on: a plan says what is being made, and chunks that are whole are not made again.
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from imgstore import plugins
from imgstore.care.faults import describe_frames
from imgstore.disk import lock
from imgstore.disk.layout import METADATA_FILENAME
from imgstore.disk.metadata import StoreMetadata, read_metadata, store_directory
from imgstore.errors import ArgumentError, ImgStoreWarning, UnfinishedStoreError
from imgstore.mapping.assemble import assemble, is_same_store
from imgstore.mapping.copied import Files, describe_copy, make_copy_tasks
from imgstore.mapping.job import Job, Output, Task, make_tasks, name_of, takes_metadata
from imgstore.mapping.left_out import LeftOut
from imgstore.mapping.recipe import Recipe
from imgstore.mapping.run import Submit, Workers, look_at_first, run_tasks
from imgstore.mapping.selection import Selection
from imgstore.mapping.tasks import Outcome
from imgstore.mapping.work_directory import WorkDirectory
from imgstore.opening import open as open_any
from imgstore.options import WriteOptions, check_codec_options
from imgstore.store import ImgStore
from imgstore.store.new_store import chunk_extensions, describe_new_store
from imgstore.writing.finished_video import remove_original
from imgstore.writing.new_directory import made_directory, refuse_to_overwrite

__all__ = ["Mapped", "copy_store", "map_store"]

_log = logging.getLogger(__name__)

_BATCH_BYTES = 32 << 20  # of the frames that a function is given at once
_MOST_AT_ONCE = 64  # frames
_TOLD = 5  # reasons that are in a message

Path = str | os.PathLike[str]


class Mapped(NamedTuple):
    """What came of `map_store`.

    Attributes
    ----------
    frame_count : int
        Frames in the new store.
    left_out : LeftOut
        Those of the source that could not be read, and so are not in it.
    """

    frame_count: int
    left_out: LeftOut


def map_store(
    function: Callable[..., Any] | None,
    source: ImgStore | Selection | Path,
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
        Open for reading, or whatever `imgstore.open` takes; or a part of one, or several. Workers open it for themselves.
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
    if batch_size is not None and (isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1):
        raise ArgumentError(f"batch_size must be a whole number from 1, not {batch_size!r}")
    options = WriteOptions(
        format=format,
        imgshape=None,
        imgdtype=np.uint8,
        chunksize=chunksize,
        metadata=metadata,
        encoding=encoding,
        fps=fps,
        sync=True,
        flush_interval=1.0,
        overwrite=overwrite,
        break_lock=break_lock,
        backend=backend,
        codec=codec_options,
    )
    entry = plugins.codec_for_format(format, backend)
    check_codec_options(entry.codec, entry.format, options)
    with contextlib.ExitStack() as stack:
        chosen = _chosen(stack, source, root)
        if metadata is None:
            options.metadata = chosen.user_metadata
        if fps is None and math.isfinite(chosen.fps):
            options.fps = chosen.fps
        with_metadata = function is not None and takes_metadata(function)
        job = Job(Recipe.of(chosen), function, with_metadata, batch_size or _frames_at_once(chosen))
        stack.enter_context(_locked(root, break_lock))
        submit = stack.enter_context(workers(job))
        made = _make(
            root, options, chosen, job, submit, progress or (lambda done, total: None), stop or (lambda: False), note
        )
        for line in made.left_out.lines():
            warnings.warn(f"{chosen.filename}: {line}", ImgStoreWarning, stacklevel=2)
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
        chosen = _chosen(stack, source, root)
        if files == "move" and any(part.uuid is not None or not os.path.isfile(part.filename) for part in chosen.parts):
            raise ArgumentError(f"{chosen.filename}: videos are moved; a store is moved as a folder")
        user = dict(chosen.user_metadata if metadata is None else metadata)
        rate = fps if fps is not None else chosen.fps if math.isfinite(chosen.fps) else None
        new = describe_copy(chosen, root, user, rate)
        stack.enter_context(_locked(root, break_lock))
        job = Job(Recipe.of(chosen), None, False, 1, files)
        submit = stack.enter_context(workers(job))
        what = {**_described(chosen), "files": files, "format": new.format, "metadata": user, "fps": rate}
        work = WorkDirectory(root)
        if _known(root, work, what, overwrite) is None:
            _begin(work, {**what, "note": note}, (), "", new, chosen)
        tasks = make_copy_tasks(chosen)
        made = _share_out(
            root, chosen, tasks, submit, None, progress or (lambda done, total: None), stop or (lambda: False)
        )
    if files == "move":
        for part in chosen.parts:
            remove_original(part.filename)
    return made


def _chosen(stack: contextlib.ExitStack, source: ImgStore | Selection | Path, root: str) -> Selection:
    if not isinstance(source, Selection):
        store = source if isinstance(source, ImgStore) else stack.enter_context(open_any(source))
        source = stack.enter_context(Selection.of(store))
    if not source.frame_count:
        raise ArgumentError(f"{source.filename}: has no frames")
    for part in source.parts:
        if _is_within(part.filename, root):
            raise ArgumentError(f"{root}: cannot be made of itself, or of what is in it")
    return source


def _is_within(path: str, root: str) -> bool:
    path, root = os.path.realpath(path), os.path.realpath(root)
    return path == root or path.startswith(os.path.join(root, ""))


@contextlib.contextmanager
def _locked(root: str, break_lock: bool) -> Iterator[None]:
    with made_directory(root):
        lock.acquire(root, break_lock=break_lock)
        try:
            yield
        finally:
            lock.release(root)


def _make(
    root: str,
    options: WriteOptions,
    source: Selection,
    job: Job,
    submit: Submit,
    progress: Callable[[int, int], object],
    stop: Callable[[], object],
    note: Any,
) -> Mapped:
    work, what = WorkDirectory(root), _describe(source, job, options)
    known = _known(root, work, what, options.overwrite)
    options.imgshape, options.imgdtype = known or look_at_first(submit, stop)
    if known is None:
        new = describe_new_store(root, options)
        for loss in new.conformer.losses:
            warnings.warn(f"{root}: {loss}", ImgStoreWarning, stacklevel=4)
        _begin(work, {**what, "note": note}, options.imgshape, str(options.imgdtype), new.metadata, source)
    tasks = make_tasks(source.frame_count, read_metadata(work.path).chunksize)
    return _share_out(root, source, tasks, submit, options, progress, stop)


def _begin(
    work: WorkDirectory,
    what: dict[str, Any],
    shape: Sequence[int],
    dtype: str,
    metadata: StoreMetadata,
    source: Selection,
) -> None:
    if source.origin:
        metadata.values["origin"] = source.origin
    work.begin({**what, "imgshape": list(shape), "imgdtype": dtype}, metadata)


def _share_out(
    root: str,
    source: Selection,
    tasks: list[Task],
    submit: Submit,
    options: WriteOptions | None,
    progress: Callable[[int, int], object],
    stop: Callable[[], object],
) -> Mapped:
    """Have all chunks made that are missing, and make a store of all."""
    work = WorkDirectory(root)
    work.clear()
    whole = work.whole()
    missing = [task for task in tasks if task.chunk not in whole]
    total, frames = source.frame_count, [task.end - task.begin for task in tasks if task.chunk in whole]

    def note(task: Task) -> None:
        frames.append(task.end - task.begin)
        progress(sum(frames), total)

    progress(sum(frames), total)
    failed = run_tasks(submit, Output(root, options), missing, note, stop)
    whole = work.whole()  # what workers have made elsewhere is seen here
    if len(whole) < len(tasks):
        raise _unfinished(root, source, tasks, failed, len(whole))
    return Mapped(*assemble(root, work, read_metadata(work.path), tasks, source))


def _frames_at_once(source: Selection) -> int:
    frame_bytes = int(np.prod(source.image_shape)) * source.image_dtype.itemsize
    return max(1, min(_MOST_AT_ONCE, _BATCH_BYTES // max(1, frame_bytes)))


def _described(source: Selection) -> dict[str, Any]:
    return {"source": json.loads(json.dumps(source.described(), default=str))}


def _describe(source: Selection, job: Job, options: WriteOptions) -> dict[str, Any]:
    """Say what is being made of what, in JSON, so that the same work is known again."""
    what = {
        **_described(source),
        "function": name_of(job.function),
        "batch_size": job.batch_size if job.function is not None else None,
        "format": options.format,
        "backend": options.backend,
        "chunksize": options.chunksize,
        "encoding": options.encoding,
        "fps": options.fps,
        "metadata": options.metadata,
        "options": options.codec,
    }
    return dict(json.loads(json.dumps(what, default=str)))


def _known(
    root: str, work: WorkDirectory, what: dict[str, Any], overwrite: bool
) -> tuple[tuple[int, ...], str] | None:
    """Return shape and dtype of the frames of a store that is being made; None where one may be begun.

    Raises
    ------
    ArgumentError
        Another one is being made there.
    StoreExistsError
        There is a store.
    """
    plan = work.read_plan()
    if plan is None:
        refuse_to_overwrite(root, chunk_extensions(), overwrite)
        return None
    shape, dtype = plan.pop("imgshape", None), plan.pop("imgdtype", None)
    plan.pop("note", None)
    # as text, in which a NaN is one
    other = sorted(n for n in what.keys() | plan.keys() if json.dumps(what.get(n)) != json.dumps(plan.get(n)))
    if other and not overwrite:
        raise ArgumentError(
            f"{root}: another store is being made there, of another {', '.join(other)}: give overwrite=True to begin anew,"
            f" or remove {work.path}"
        )
    metadata = read_metadata(work.path)
    # chunks of another one that has its chunks in place already, and no metadata yet, would be taken for some of this one
    if other or (os.path.lexists(os.path.join(root, METADATA_FILENAME)) and not is_same_store(root, metadata)):
        refuse_to_overwrite(root, chunk_extensions(), overwrite)
    return None if other else (tuple(shape or ()), str(dtype))


def _unfinished(
    root: str, source: Selection, tasks: list[Task], failed: list[tuple[Task, Outcome]], whole: int
) -> UnfinishedStoreError:
    """Say which chunks are not there, and why, those that failed for the same reason together."""
    numbers = source.frame_numbers
    told: dict[str, list[str]] = {}
    for task, outcome in sorted(failed):
        which = describe_frames(task.begin, task.end - task.begin, (numbers[task.begin], numbers[task.end - 1]))
        told.setdefault(outcome.error, []).append(f"chunk {task.chunk}, {which}")
        if outcome.trace:
            _log.info("chunk %d: %s", task.chunk, outcome.trace)
    reasons = [
        f"{chunks[0]}{f', and {len(chunks) - 1} more' if chunks[1:] else ''}: {why}" for why, chunks in told.items()
    ]
    if len(reasons) > _TOLD:
        reasons[_TOLD:] = [f"and {len(reasons) - _TOLD} other reasons"]
    return UnfinishedStoreError(
        f"{root}: {whole} of {len(tasks)} chunks are whole, and the same call goes on with the others;"
        f" {'; '.join(reasons) or 'it was stopped'}",
        [(task.chunk, outcome.error) for task, outcome in sorted(failed)],
    )

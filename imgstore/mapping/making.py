"""A store on its way: planned, its chunks made by workers, put together.

Whatever ends this, the same calls go on: a plan says what is being made, and chunks that are whole are not made again.
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from imgstore import plugins
from imgstore.care.faults import describe_frames
from imgstore.disk import lock
from imgstore.disk.layout import METADATA_FILENAME
from imgstore.disk.metadata import StoreMetadata, read_metadata
from imgstore.errors import ArgumentError, ImgStoreWarning, UnfinishedStoreError
from imgstore.mapping.assemble import assemble, is_same_store
from imgstore.mapping.job import Job, Output, Task, make_tasks, name_of, takes_metadata
from imgstore.mapping.left_out import LeftOut
from imgstore.mapping.recipe import Recipe
from imgstore.mapping.run import Submit, look_at_first, run_tasks
from imgstore.mapping.source import Source
from imgstore.mapping.tasks import Outcome
from imgstore.mapping.work_directory import WorkDirectory
from imgstore.options import WriteOptions, check_codec_options
from imgstore.store.new_store import chunk_extensions, describe_new_store
from imgstore.writing.new_directory import made_directory, refuse_to_overwrite

__all__ = ["Making", "Mapped", "Progress", "begin", "begin_copy", "described", "is_known", "locked", "make_chunks",
           "put_together", "refuse_source", "to_make"]  # fmt: skip

_log = logging.getLogger(__name__)

_BATCH_BYTES = 32 << 20  # of the frames that a function is given at once
_MOST_AT_ONCE = 64  # frames
_TOLD = 5  # reasons that are in a message
_OF_THE_PLAN = ("note", "before", "imgshape", "imgdtype")  # what it holds besides what is being made

Progress = Callable[[int, int], object]


class Mapped(NamedTuple):
    """A store that was made.

    Attributes
    ----------
    frame_count : int
        Frames in the new store.
    left_out : LeftOut
        Those of the source that could not be read, and so are not in it.
    """

    frame_count: int
    left_out: LeftOut


@dataclass(frozen=True)
class Making:
    """What is being made of what, and where.

    Attributes
    ----------
    root : str
        Directory of the store.
    source : Source
        What it is made of.
    job : Job
        What workers are sent.
    what : dict
        All that makes the same work known again, in JSON.
    options : WriteOptions or None
        What the store is to be; None where chunks are taken over, which says all.
    """

    root: str
    source: Source
    job: Job
    what: dict[str, Any]
    options: WriteOptions | None = None

    @property
    def work(self) -> WorkDirectory:
        """Where its chunks wait for each other."""
        return WorkDirectory(self.root)


def to_make(
    function: Callable[..., Any] | None,
    source: Source,
    root: str,
    *,
    format: str,
    batch_size: int | None = None,
    chunksize: int | None = None,
    metadata: Mapping[str, Any] | None = None,
    encoding: str | None = None,
    fps: float | None = None,
    backend: str | None = None,
    overwrite: bool = False,
    break_lock: bool = False,
    **codec_options: Any,
) -> Making:
    """Say what is to be made, see `imgstore.mapping.map_store`; nothing is written yet.

    Raises
    ------
    ArgumentError, FormatError
        A value cannot be used, or the source has no frames.
    """
    if batch_size is not None and (isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1):
        raise ArgumentError(f"batch_size must be a whole number from 1, not {batch_size!r}")
    options = WriteOptions(
        format=format,
        imgshape=None,
        imgdtype=np.uint8,
        chunksize=chunksize,
        metadata=source.user_metadata if metadata is None else metadata,
        encoding=encoding,
        fps=source.fps if fps is None and math.isfinite(source.fps) else fps,
        sync=True,
        flush_interval=1.0,
        overwrite=overwrite,
        break_lock=break_lock,
        backend=backend,
        codec=codec_options,
    )
    entry = plugins.codec_for_format(format, backend)
    check_codec_options(entry.codec, entry.format, options)
    refuse_source(source, root)
    with_metadata = function is not None and takes_metadata(function)
    job = Job(Recipe.of(source), function, with_metadata, batch_size or _frames_at_once(source))
    what = {
        **described(source),
        "function": name_of(function),
        "batch_size": job.batch_size if function is not None else None,
        "format": options.format,
        "backend": options.backend,
        "chunksize": options.chunksize,
        "encoding": options.encoding,
        "fps": options.fps,
        "metadata": options.metadata,
        "options": options.codec,
    }
    return Making(root, source, job, dict(json.loads(json.dumps(what, default=str))), options)


def refuse_source(source: Source, root: str) -> None:
    """Refuse what has no frames, and what would be made of itself.

    Raises
    ------
    ArgumentError
        It is one of these.
    """
    if not source.frame_count:
        raise ArgumentError(f"{source.filename}: has no frames")
    if any(_is_within(filename, root) for filename in source.filenames):
        raise ArgumentError(f"{root}: cannot be made of itself, or of what is in it")


def _is_within(path: str, root: str) -> bool:
    path, root = os.path.realpath(path), os.path.realpath(root)
    return path == root or path.startswith(os.path.join(root, ""))


def described(source: Source) -> dict[str, Any]:
    """Say what a store is made of, in JSON."""
    return {"source": json.loads(json.dumps(source.described(), default=str))}


def _frames_at_once(source: Source) -> int:
    frame_bytes = int(np.prod(source.image_shape)) * source.image_dtype.itemsize
    return max(1, min(_MOST_AT_ONCE, _BATCH_BYTES // max(1, frame_bytes)))


@contextlib.contextmanager
def locked(root: str, break_lock: bool) -> Iterator[None]:
    """Make the directory of a store, and lock it."""
    with made_directory(root):
        lock.acquire(root, break_lock=break_lock)
        try:
            yield
        finally:
            lock.release(root)


def begin(
    making: Making, submit: Submit, stop: Callable[[], object], note: Any, before: Sequence[Any] = ()
) -> list[Task]:
    """Write the plan of a store, unless the same is being made already.

    Parameters
    ----------
    making : Making
        The store.
    submit : callable
        Hands a call to a worker, which looks at the first frames.
    stop : callable
        Asked now and then whether there is to be an end.
    note : optional
        Anything that JSON holds.
    before : sequence
        What is noted of stores that take their places before this one, in JSON.

    Returns
    -------
    list of Task
        Its chunks.
    """
    root, options, source = making.root, making.options, making.source
    assert options is not None
    known = _known(making, options.overwrite)
    options.imgshape, options.imgdtype = known or look_at_first(submit, stop)
    if known is None:
        new = describe_new_store(root, options)
        for loss in new.conformer.losses:
            warnings.warn(f"{root}: {loss}", ImgStoreWarning, stacklevel=4)
        facts = {"imgshape": list(options.imgshape), "imgdtype": str(options.imgdtype)}
        _write_plan(making, new.metadata, {**facts, "note": note, "before": list(before)})
    return make_tasks(source.frame_count, read_metadata(making.work.path).chunksize)


def begin_copy(making: Making, new: StoreMetadata, overwrite: bool, note: Any) -> None:
    """Write the plan of a store whose chunks are taken over, unless the same is being made already."""
    if _known(making, overwrite) is None:
        _write_plan(making, new, {"imgshape": [], "imgdtype": "", "note": note})


def _write_plan(making: Making, metadata: StoreMetadata, besides: dict[str, Any]) -> None:
    if making.source.origin:
        metadata.values["origin"] = making.source.origin
    making.work.begin({**making.what, **besides}, metadata)


def is_known(making: Making) -> bool:
    """Whether the very store is being made already, as far as the plan says."""
    plan = making.work.read_plan()
    return plan is not None and not _others(making, plan)


def _others(making: Making, plan: dict[str, Any]) -> list[str]:
    """Return in what another store is being made than is meant."""
    what, there = making.what, {name: value for name, value in plan.items() if name not in _OF_THE_PLAN}
    # as text, in which a NaN is one
    return sorted(n for n in what.keys() | there.keys() if json.dumps(what.get(n)) != json.dumps(there.get(n)))


def _known(making: Making, overwrite: bool) -> tuple[tuple[int, ...], str] | None:
    """Return shape and dtype of the frames of a store that is being made; None where one may be begun.

    Raises
    ------
    ArgumentError
        Another one is being made there.
    StoreExistsError
        There is a store.
    """
    root, work = making.root, making.work
    plan = work.read_plan()
    if plan is None:
        refuse_to_overwrite(root, chunk_extensions(), overwrite)
        return None
    other = _others(making, plan)
    if other and not overwrite:
        raise ArgumentError(
            f"{root}: another store is being made there, of another {', '.join(other)}: give overwrite=True to begin anew,"
            f" or remove {work.path}"
        )
    metadata = read_metadata(work.path)
    # chunks of another one that has its chunks in place already, and no metadata yet, would be taken for some of this one
    if other or (os.path.lexists(os.path.join(root, METADATA_FILENAME)) and not is_same_store(root, metadata)):
        refuse_to_overwrite(root, chunk_extensions(), overwrite)
    return None if other else (tuple(plan.get("imgshape") or ()), str(plan.get("imgdtype")))


def make_chunks(
    making: Making, tasks: Sequence[Task], submit: Submit, progress: Progress, stop: Callable[[], object]
) -> None:
    """Have all chunks made that are missing.

    Raises
    ------
    UnfinishedStoreError
        Some are not there; all others are done.
    """
    work = making.work
    work.clear()
    whole = work.whole()
    missing = [task for task in tasks if task.chunk not in whole]
    total, frames = making.source.frame_count, [task.end - task.begin for task in tasks if task.chunk in whole]

    def note(task: Task) -> None:
        frames.append(task.end - task.begin)
        progress(sum(frames), total)

    progress(sum(frames), total)
    failed = run_tasks(submit, Output(making.root, making.options), missing, note, stop)
    whole = work.whole()  # what workers have made elsewhere is seen here
    if len(whole) < len(tasks):
        raise _unfinished(making, tasks, failed, len(whole))


def put_together(making: Making, tasks: Sequence[Task]) -> Mapped:
    """Make a store of chunks that are all there. Its work directory is to be removed then; until that this can be done again."""
    return Mapped(*assemble(making.root, making.work, read_metadata(making.work.path), tasks, making.source))


def _unfinished(
    making: Making, tasks: Sequence[Task], failed: list[tuple[Task, Outcome]], whole: int
) -> UnfinishedStoreError:
    """Say which chunks are not there, and why, those that failed for the same reason together."""
    numbers = making.source.frame_numbers
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
        f"{making.root}: {whole} of {len(tasks)} chunks are whole, and the same call goes on with the others;"
        f" {'; '.join(reasons) or 'it was stopped'}",
        [(task.chunk, outcome.error) for task, outcome in sorted(failed)],
    )

"""What a worker does: it looks at the first frames, and it makes one chunk."""

from __future__ import annotations

import errno
import os
import shutil
import traceback
import uuid
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from imgstore.codec import FrameSpec
from imgstore.disk.metadata import read_metadata
from imgstore.disk.store_arrays import store_arrays
from imgstore.errors import ArgumentError, ImgStoreError
from imgstore.mapping.copied import take_chunk
from imgstore.mapping.job import Job, Output, Task, mapped_frames
from imgstore.mapping.left_out import LeftOut
from imgstore.mapping.recipe import opened
from imgstore.mapping.work_directory import WorkDirectory
from imgstore.store.new_store import describe_new_store
from imgstore.writing.single_chunk import write_single_chunk

__all__ = ["Outcome", "Stopped", "look", "make_chunk"]

Frame = npt.NDArray[Any]
_PLACES = 8  # at which frames are looked at until some can be made


class Outcome(NamedTuple):
    """What became of a task. What went wrong comes as text: not every error can be pickled, and not every one unpickled.

    Attributes
    ----------
    value : object
        What was found; None where something went wrong, or nothing was to be found.
    error : str
        What went wrong, in a line; empty where nothing did.
    trace : str
        Where, of errors that are not imgstore's own.
    ends_all : bool
        It would go wrong with all others too: the disk is full, or somebody wants an end.
    """

    value: Any = None
    error: str = ""
    trace: str = ""
    ends_all: bool = False


class Stopped(Exception):
    """Raised by what watches the frames of a job, where it is not to go on."""


def look(job: Job) -> Outcome:
    """Find out shape and dtype of the frames that will be written: value ``(shape, dtype)``; None where there are none.

    Where the function fails at the first frames others are tried: they may have what it fails at, and the rest has not.
    """
    failed = None
    try:
        with opened(job.source) as source:
            count = source.frame_count
            places = [(k, min(k + job.batch_size, count)) for k in range(0, count, -(-count // _PLACES))]
            for begin, end in [*places, (0, count)]:
                try:
                    for img, _, _ in mapped_frames(source, job, begin, end, LeftOut()):
                        return Outcome((img.shape, img.dtype.str))
                except Exception as error:
                    failed = failed or _failed(error)
    except Exception as error:
        return _failed(error)
    return failed or Outcome()


def make_chunk(job: Job, output: Output, task: Task) -> Outcome:
    """Make one chunk, under a name of its own until it is whole.

    Somebody else may be at the same one, whose worker was given up too early: the first that is whole counts.
    """
    work = WorkDirectory(output.root)
    if work.has(task.chunk):
        return Outcome()
    place = f"{work.chunk(task.chunk)}.{uuid.uuid4().hex}.tmp"
    left_out = LeftOut()
    try:
        os.mkdir(place)
        shutil.copyfile(work.metadata, os.path.join(place, os.path.basename(work.metadata)))
        if job.files is not None or output.options is None:
            with opened(job.source) as source:
                take_chunk(source, task, place, job.files or "copy")
        else:
            entry, conformer, options, _ = describe_new_store(output.root, output.options)
            of_store = store_arrays(read_metadata(place).values)
            with opened(job.source) as source:
                frames = _watched(mapped_frames(source, job, task.begin, task.end, left_out), job, conformer.given)
                write_single_chunk(place, entry, conformer, options, task.chunk, frames, of_store)
        work.put_in_place(task.chunk, place, left_out)
    except Stopped:
        return Outcome(error="it was stopped", ends_all=True)
    except Exception as error:
        return _failed(error)
    finally:
        shutil.rmtree(place, ignore_errors=True)
    return Outcome()


def _watched(
    frames: Iterator[tuple[Frame, int, float]], job: Job, spec: FrameSpec
) -> Iterator[tuple[Frame, int, float]]:
    """Refuse frames that are not as the first of the source became: no warning of a worker would be seen."""
    for img, number, moment in frames:
        if job.watch is not None:
            job.watch(img, number)
        if img.shape != spec.shape or img.dtype.newbyteorder("=") != spec.dtype:
            raise ArgumentError(
                f"frame {number} has become {img.dtype} {img.shape}, the first one {np.dtype(spec.dtype)} {spec.shape}"
            )
        yield img, number, moment


def _failed(error: Exception) -> Outcome:
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    if full or isinstance(error, ImgStoreError):
        told = str(error)
        if isinstance(error, OSError) and error.filename and error.strerror:
            told = f"{error.filename}: {error.strerror}"
        return Outcome(error=told, ends_all=full)
    return Outcome(error=f"{type(error).__name__}: {error}", trace=traceback.format_exc())

"""What is to be done: to which frames, and which chunk a task makes of them."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from imgstore.errors import ArgumentError
from imgstore.mapping.left_out import LeftOut
from imgstore.mapping.recipe import Recipe
from imgstore.mapping.source import Source
from imgstore.mapping.source_frames import frames_between
from imgstore.options import WriteOptions

__all__ = ["BatchMetadata", "Job", "Output", "Task", "make_tasks", "mapped_frames", "name_of", "takes_metadata"]

Frame = npt.NDArray[Any]


class BatchMetadata(NamedTuple):
    """What a function is told of a batch of frames.

    Attributes
    ----------
    frame_numbers : numpy.ndarray
        int64 ``(n,)``.
    frame_times : numpy.ndarray
        Seconds, float64 ``(n,)``.
    """

    frame_numbers: npt.NDArray[np.int64]
    frame_times: npt.NDArray[np.float64]


@dataclass(frozen=True)
class Job:
    """What every task has in common; each worker is sent it once.

    Attributes
    ----------
    source : Recipe
        Opens the source that is read.
    function : callable or None
        What becomes of a batch of frames.
    with_metadata : bool
        Whether it takes `metadata`.
    batch_size : int
        Frames that it is given at once. Batches begin with their chunk, so that they are the same whoever does the work.
    files : str or None
        Chunks are taken over as they are, and this is what becomes of their files: see `imgstore.mapping.copy_store`.
    watch : callable or None
        Told each frame and its number before it is written, in this process alone. What it raises ends the chunk.
    """

    source: Recipe
    function: Callable[..., Any] | None
    with_metadata: bool
    batch_size: int
    files: str | None = None
    watch: Callable[[Frame, int], object] | None = None


@dataclass(frozen=True)
class Output:
    """The store that is made.

    Attributes
    ----------
    root : str
        Its directory.
    options : WriteOptions or None
        What it is to be; None where chunks are taken over, which says all.
    """

    root: str
    options: WriteOptions | None


class Task(NamedTuple):
    """One chunk: its number, and the positions of its frames in the source, as a slice counts them."""

    chunk: int
    begin: int
    end: int


def make_tasks(frame_count: int, chunksize: int) -> list[Task]:
    """Return what is to be done to make a store of the frames of another."""
    begins = range(0, frame_count, chunksize)
    return [Task(chunk, begin, min(begin + chunksize, frame_count)) for chunk, begin in enumerate(begins)]


def takes_metadata(function: Callable[..., Any]) -> bool:
    """Whether a function has a parameter `metadata`."""
    try:
        return "metadata" in inspect.signature(function).parameters
    except (TypeError, ValueError):  # numpy's and other compiled ones do not tell
        return False


def name_of(function: Callable[..., Any] | None) -> str | None:
    """Return what a function is called, by which one that has been mended is the same."""
    while (inner := getattr(function, "func", None)) is not None:  # functools.partial
        function = inner
    if function is None:
        return None
    return getattr(function, "__qualname__", None) or getattr(function, "__name__", type(function).__qualname__)


def mapped_frames(source: Source, job: Job, begin: int, end: int, left_out: LeftOut) -> Iterator[tuple[Frame, int, float]]:
    """Read frames of a source and give what becomes of them, with their numbers and times.

    Raises
    ------
    ArgumentError
        The function returned something else than as many frames as it was given.
    """
    if job.function is None:
        for _, img, number, moment in frames_between(source, begin, end, left_out):
            yield img, number, moment
        return
    for first in range(begin, end, job.batch_size):
        batch = frames_between(source, first, min(first + job.batch_size, end), left_out)
        for _, alike in itertools.groupby(batch, lambda each: (each[1].shape, each[1].dtype)):  # sources may differ
            _, images, numbers, times = zip(*alike, strict=True)
            made = _apply(job, _stacked(images), BatchMetadata(np.array(numbers, np.int64), np.array(times, np.float64)))
            yield from zip(images if made is None else made, numbers, times, strict=True)


def _stacked(images: Sequence[Frame]) -> Frame:
    return images[0][np.newaxis] if len(images) == 1 else np.stack(images)


def _apply(job: Job, frames: Frame, metadata: BatchMetadata) -> Frame | None:
    assert job.function is not None
    made = job.function(frames, metadata=metadata) if job.with_metadata else job.function(frames)
    if made is None:
        return None
    if not isinstance(made, np.ndarray) or made.ndim < 3 or len(made) != len(frames):
        what = f"an array of shape {made.shape}" if isinstance(made, np.ndarray) else f"{type(made).__name__}"
        raise ArgumentError(f"the function returned {what} for {len(frames)} frames, not an array of as many")
    return made

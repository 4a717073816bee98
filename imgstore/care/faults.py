"""What can be wrong with a store, and where: faults, and the report of all of them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy.typing as npt

__all__ = ["Fault", "Report", "describe_frames", "joined"]


@dataclass(frozen=True)
class Fault:
    """Something that is wrong with a store.

    Attributes
    ----------
    kind : str
        ``'metadata'``, ``'index'``, ``'missing'``, ``'count'``, ``'size'``, ``'checksum'``, ``'frame'`` (it cannot be
        decoded), ``'extra data'``, ``'cache'``, ``'sqlite index'``, ``'journal'``, ``'lock'``, ``'unfinished'``,
        ``'place'`` (a chunk that is not where it was written) or ``'stray'`` (a file that belongs to nothing).
    path : str
        The file or directory.
    chunk : int or None
        Number of the chunk.
    frame : int or None
        Position in the chunk, from 0; of the first, where several frames in a row have the same fault.
    message : str
        What is wrong, in one sentence without the path.
    last_frame : int or None
        Position in the chunk of the last of these frames; `frame`, where there is one.
    frame_index : int or None
        Position in the store of the first of these frames; None where the store does not count it.
    numbers : tuple of (int, int) or None
        Frame numbers of the first and the last; None where the store does not have them.
    """

    kind: str
    path: str
    chunk: int | None
    frame: int | None
    message: str
    last_frame: int | None = None
    frame_index: int | None = None
    numbers: tuple[int, int] | None = None

    @property
    def frame_count(self) -> int:
        """How many frames have it; 0 where it is not of frames."""
        if self.frame is None:
            return 0
        return 1 if self.last_frame is None else self.last_frame - self.frame + 1

    @property
    def where(self) -> str:
        """Which frames: ``frames 100 to 299 (numbers 1100 to 1299)``; empty where it is not of frames."""
        if self.frame is None:
            return ""
        if self.frame_index is None:
            return describe_frames(self.frame, self.frame_count, self.numbers, of=f" of chunk {self.chunk}")
        return describe_frames(self.frame_index, self.frame_count, self.numbers)

    def __str__(self) -> str:
        return f"{self.path}: {self.where}{': ' if self.where else ''}{self.message}"


def describe_frames(first: int, count: int, numbers: tuple[int, int] | None = None, *, of: str = "") -> str:
    """Name frames that follow each other, by their positions and, where they are given, their numbers.

    Parameters
    ----------
    first, count : int
        Position of the first, and how many there are.
    numbers : tuple of (int, int), optional
        Frame numbers of the first and the last.
    of : str
        What the positions are in, where that is not the store.

    Examples
    --------
    >>> describe_frames(100, 200, (1100, 1299))
    'frames 100 to 299 (numbers 1100 to 1299)'
    >>> describe_frames(7, 1, (12, 12))
    'frame 7 (number 12)'
    """
    which = f"frame {first}" if count == 1 else f"frames {first} to {first + count - 1}"
    which += of
    if numbers is None:
        return which
    return which + (f" (number {numbers[0]})" if count == 1 else f" (numbers {numbers[0]} to {numbers[1]})")


@dataclass(frozen=True)
class Report:
    """What was found.

    Attributes
    ----------
    path : str
        The store's directory.
    faults : list of Fault
        What is wrong.
    notes : list of Fault
        What is worth knowing, and wrong in no way.
    chunks, frames : int
        How many chunks were looked at, and how many frames their indexes list.
    compared : int
        Files compared with their checksums.
    decoded : int
        Frames decoded.
    """

    path: str
    faults: list[Fault]
    notes: list[Fault]
    chunks: int = 0
    frames: int = 0
    compared: int = 0
    decoded: int = 0


def joined(faults: Iterable[Fault], numbers: npt.NDArray[Any], before: int | None = None) -> list[Fault]:
    """Make one fault of those of the same kind that frames in a row have, and say which frames of the store they are.

    Parameters
    ----------
    faults : iterable of Fault
        Of one chunk.
    numbers : ndarray of int
        Of the frames of the chunk that the store counts.
    before : int, optional
        How many frames the store counts before the chunk, where that is known.
    """
    found: list[Fault] = []
    for fault in faults:
        if found and _goes_on(found[-1], fault):
            found[-1] = _with(found[-1], fault)
        else:
            found.append(fault)
    return [_located(fault, numbers, before) for fault in found]


def _last(fault: Fault) -> int | None:
    return fault.frame if fault.last_frame is None else fault.last_frame


def _goes_on(fault: Fault, other: Fault) -> bool:
    last = _last(fault)
    return last is not None and (fault.kind, last + 1) == (other.kind, other.frame)


def _with(fault: Fault, other: Fault) -> Fault:
    path = fault.path if fault.path == other.path or fault.last_frame is not None else os.path.dirname(fault.path)
    message, more = fault.message, " (the first; the others differ)"
    if other.message != message.removesuffix(more):
        message = message.removesuffix(more) + more
    return replace(fault, path=path, message=message, last_frame=_last(other))


def _located(fault: Fault, numbers: npt.NDArray[Any], before: int | None) -> Fault:
    first, last = fault.frame, _last(fault)
    if first is None or last is None:
        return fault
    if last >= len(numbers):
        return replace(fault, last_frame=last)
    index = None if before is None else before + first
    return replace(fault, last_frame=last, frame_index=index, numbers=(int(numbers[first]), int(numbers[last])))

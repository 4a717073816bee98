"""What `imgstore save` is given to save: frames, what is known about them, and which of them are missing."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy.typing as npt

from imgstore.verify import describe_frames

__all__ = ["LeftOut", "Source", "SourceFrame"]


class SourceFrame(NamedTuple):
    """A frame on its way into a store, with the extra data that was recorded beside it, or before any frame."""

    img: npt.NDArray[Any]
    number: int
    time: float
    records: list[dict[str, Any]]
    earlier_records: list[dict[str, Any]] = []  # noqa: RUF012 - nobody adds to it


@dataclass
class LeftOut:
    """Frames of a source that cannot be read.

    Attributes
    ----------
    uncounted : int
        How many of which nobody knows which they are.
    ends_early : bool
        Whether there is more behind the last one that was read, and nobody knows how much.
    """

    uncounted: int = 0
    ends_early: bool = False
    _runs: list[tuple[int, int, int, int, str]] = field(default_factory=list)

    def add(self, position: int, number: int, why: str) -> None:
        """Note a frame by its position in the source and its number."""
        if self._runs and sum(self._runs[-1][:2]) == position:
            first, count, first_number, _, reason = self._runs[-1]
            self._runs[-1] = first, count + 1, first_number, number, reason
        else:
            self._runs.append((position, 1, number, number, why))

    @property
    def count(self) -> int:
        """How many frames, as far as that is known."""
        return self.uncounted + sum(run[1] for run in self._runs)

    def __bool__(self) -> bool:
        return bool(self.count) or self.ends_early

    def lines(self) -> Iterator[str]:
        """Say which they are, and why: frames in a row together."""
        for first, count, first_number, last_number, why in self._runs:
            which = describe_frames(first, count, (first_number, last_number))
            yield f"left out: {which}: {why}{' (the first of them)' if count > 1 else ''}"
        if self.uncounted:
            yield f"damaged frames were left out: {self.uncounted}"


@dataclass
class Source:
    """Frames and what is known about them.

    Attributes
    ----------
    frames : generator of SourceFrame
        To be taken once; closing it releases the source.
    count : int or None
        About how many there will be.
    fps : float or None
        Nominal frames per second.
    endless : bool
        Whether it ends only when it is stopped.
    metadata : dict
        For the store's user metadata.
    left_out : LeftOut
        What could not be read, complete when all frames have been taken.
    """

    frames: Generator[SourceFrame, None, None]
    count: int | None = None
    fps: float | None = None
    endless: bool = False
    metadata: dict[str, Any] = field(default_factory=dict)
    left_out: LeftOut = field(default_factory=LeftOut)

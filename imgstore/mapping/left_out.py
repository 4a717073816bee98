"""Frames of a source that cannot be read, and so are in no copy of it: which they are, and why."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from imgstore.care.faults import describe_frames

__all__ = ["LeftOut"]


@dataclass
class LeftOut:
    """Frames of a source that cannot be read.

    Attributes
    ----------
    uncounted : int
        How many of which nobody knows which they are.
    ends_early : bool
        Whether there is more behind the last one that was read, and nobody knows how much.
    runs : list of tuple
        Those in a row together: position of the first, how many they are, numbers of the first and the last, and why the first
        cannot be read.
    """

    uncounted: int = 0
    ends_early: bool = False
    runs: list[tuple[int, int, int, int, str]] = field(default_factory=list)

    def add(self, position: int, number: int, why: str) -> None:
        """Note a frame by its position in the source and its number."""
        self.add_runs([(position, 1, number, number, why)])

    def add_runs(self, runs: Iterable[Sequence[Any]]) -> None:
        """Note frames in a row; those that go on where the last ones end are one run with them."""
        for first, count, first_number, last_number, why in runs:
            if self.runs and sum(self.runs[-1][:2]) == first:
                begin, before, begin_number, _, reason = self.runs[-1]
                self.runs[-1] = begin, before + count, begin_number, last_number, reason
            else:
                self.runs.append((first, count, first_number, last_number, why))

    @property
    def positions(self) -> list[int]:
        """Their positions in the source, ascending."""
        return [position for first, count, *_ in self.runs for position in range(first, first + count)]

    @property
    def count(self) -> int:
        """How many frames, as far as that is known."""
        return self.uncounted + sum(run[1] for run in self.runs)

    def __bool__(self) -> bool:
        return bool(self.count) or self.ends_early

    def lines(self) -> Iterator[str]:
        """Say which they are, and why: frames in a row together."""
        for first, count, first_number, last_number, why in self.runs:
            which = describe_frames(first, count, (first_number, last_number))
            yield f"left out: {which}: {why}{' (the first of them)' if count > 1 else ''}"
        if self.uncounted:
            yield f"damaged frames were left out: {self.uncounted}"

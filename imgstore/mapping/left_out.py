"""Frames of a source that cannot be read, and so are in no copy of it, or something else in their place: which, and why."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from imgstore.care.faults import describe_frames

__all__ = ["LeftOut"]

Run = tuple[int, int, int, int, str]


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
    replaced : list of tuple
        The same of those for which something stands: a group's frames that are held, or black.
    """

    uncounted: int = 0
    ends_early: bool = False
    runs: list[Run] = field(default_factory=list)
    replaced: list[Run] = field(default_factory=list)

    def add(self, position: int, number: int, why: str) -> None:
        """Note a frame by its position in the source and its number."""
        _add_runs(self.runs, [(position, 1, number, number, why)])

    def add_replaced(self, position: int, number: int, why: str) -> None:
        """Note a frame that something stands for."""
        _add_runs(self.replaced, [(position, 1, number, number, why)])

    def add_all(self, other: LeftOut) -> None:
        """Note frames behind those that were noted; where they go on at their end, they are one run with them."""
        _add_runs(self.runs, other.runs)
        _add_runs(self.replaced, other.replaced)

    @property
    def positions(self) -> list[int]:
        """Their positions in the source, ascending."""
        return [position for first, count, *_ in self.runs for position in range(first, first + count)]

    @property
    def count(self) -> int:
        """How many frames are not there, as far as that is known."""
        return self.uncounted + sum(run[1] for run in self.runs)

    @property
    def replaced_count(self) -> int:
        """How many frames something stands for."""
        return sum(run[1] for run in self.replaced)

    def __bool__(self) -> bool:
        return bool(self.count or self.replaced) or self.ends_early

    def lines(self) -> Iterator[str]:
        """Say which they are, and why: frames in a row together."""
        for what, runs in (("left out", self.runs), ("cannot be read, and something stands for it", self.replaced)):
            for first, count, first_number, last_number, why in runs:
                which = describe_frames(first, count, (first_number, last_number))
                yield f"{what}: {which}: {why}{' (the first of them)' if count > 1 else ''}"
        if self.uncounted:
            yield f"damaged frames were left out: {self.uncounted}"


def _add_runs(runs: list[Run], more: Iterable[Sequence[Any]]) -> None:
    for first, count, first_number, last_number, why in more:
        if runs and sum(runs[-1][:2]) == first:
            begin, before, begin_number, _, reason = runs[-1]
            runs[-1] = begin, before + count, begin_number, last_number, reason
        else:
            runs.append((first, count, first_number, last_number, why))

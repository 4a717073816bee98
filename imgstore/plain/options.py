"""What can be said of plain files when they are opened, checked."""

from __future__ import annotations

import datetime
import math
import os
from dataclasses import dataclass
from typing import Any

import numpy as np

from imgstore.errors import ArgumentError

__all__ = ["PlainOptions"]


@dataclass
class PlainOptions:
    """See `imgstore.open`.

    Raises
    ------
    ArgumentError
        A value cannot be used.
    """

    fps: Any = None
    times: Any = None
    column: Any = None
    start_time: Any = None
    numbers: Any = None
    orient: bool = True
    stream: int | None = None
    cache: Any = True

    def __post_init__(self) -> None:
        if isinstance(self.start_time, datetime.datetime):
            self.start_time = self.start_time.timestamp()
        if self.start_time not in (None, "creation", "file"):
            self.start_time = _number("start_time", self.start_time, "seconds, 'creation' or 'file'")
        if self.fps is not None:
            self.fps = _number("fps", self.fps, "a positive number")
            if self.fps <= 0:
                raise ArgumentError(f"fps must be a positive number, not {self.fps!r}")
        if self.times is not None and (self.fps is not None or self.start_time is not None):
            raise ArgumentError("times are given as they are: neither fps nor start_time goes with them")
        if self.column is not None and self.times is None:
            raise ArgumentError("column is of the file that times names: give times with it")
        if self.numbers not in (None, "names"):
            raise ArgumentError(f"numbers must be 'names' or left out, not {self.numbers!r}")
        if self.stream is not None and (
            isinstance(self.stream, bool) or not isinstance(self.stream, (int, np.integer)) or self.stream < 0
        ):
            raise ArgumentError(f"stream must be a whole number from 0, not {self.stream!r}")
        self.stream = None if self.stream is None else int(self.stream)
        if not isinstance(self.cache, (bool, str, os.PathLike)):
            raise ArgumentError(f"cache must be True, False or a directory, not {self.cache!r}")

    @property
    def given(self) -> list[str]:
        """The names of those that are not as they are by default."""
        default = PlainOptions()
        return [name for name in vars(self) if not _same(getattr(self, name), getattr(default, name))]

    @property
    def once_more(self) -> dict[str, Any]:
        """The keywords with which files are opened in another process."""
        return {name: getattr(self, name) for name in self.given}


def _same(a: Any, b: Any) -> bool:
    return a is b or (isinstance(a, (bool, int, float, str)) and isinstance(b, type(a)) and a == b)


def _number(name: str, value: Any, what: str) -> float:
    try:
        if not isinstance(value, (bool, str)) and math.isfinite(value):
            return float(value)
    except TypeError:
        pass
    raise ArgumentError(f"{name} must be {what}, not {value!r}")

"""From where to where a recording goes, while it goes on."""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["Span"]


@dataclass
class Span:
    """Running values over all frames of a store."""

    count: int = 0
    number_min: float = math.nan
    number_max: float = math.nan
    time_min: float = math.nan
    time_max: float = math.nan

    def add(self, number: int, time: float) -> None:
        """Take in a frame."""
        if not self.count:
            self.number_min = self.number_max = number
            self.time_min = self.time_max = time
        self.count += 1
        self.number_min = min(self.number_min, number)
        self.number_max = max(self.number_max, number)
        self.time_min = min(self.time_min, time)
        self.time_max = max(self.time_max, time)

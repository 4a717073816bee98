"""Which frame is due in the window, by the clock and by what was asked for."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

__all__ = ["SPEEDS", "Player"]

SPEEDS = (0.1, 0.2, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
_STILL_MS = 30  # how often keys are looked for while nothing moves


@dataclass
class Player:
    """Where playing is, and which way it goes."""

    count: int
    fps: float  # 0: each as soon as the one before has been shown
    follow: bool = False  # at the last frame it waits for more
    position: int = 0
    paused: bool = False
    speed: float = 1.0  # times real time; below 0 backwards
    _since: float = field(default=0.0, init=False)  # when _from was due
    _from: int = field(default=0, init=False)

    def restart_clock(self, now: float) -> None:
        """Count time from now and from the present frame on."""
        self._since, self._from = now, self.position

    def advance(self, now: float) -> bool:
        """Go to the frame that should be seen at a moment; return False when the last one has had its time."""
        if self.paused:
            return True
        before, way = self.position, 1 if self.speed > 0 else -1
        due = self._from + way * int((now - self._since) * self._rate) if self.fps else before + way
        self.position = self._inside(max(before, due) if way > 0 else min(before, due))
        if way < 0:
            self.paused = due < 0
            return True
        return self.follow or due < self.count or self.position != before

    def wait_ms(self, now: float) -> int:
        """Return how long nothing will be due, in milliseconds, from 1."""
        if self.paused:
            return _STILL_MS
        if not self.fps:
            return _STILL_MS if self.follow and self.position >= self.count - 1 else 1
        next_due = self._since + (abs(self.position - self._from) + 1) / self._rate
        return max(1, min(_STILL_MS, math.ceil((next_due - now) * 1000)))

    def toggle(self, now: float) -> None:
        """Pause, or go on."""
        self.paused = not self.paused
        self.restart_clock(now)

    def go(self, position: int, now: float) -> None:
        """Pause at a frame; at the last one, where more are waited for, go on with these."""
        self.position = self._inside(position)
        self.paused = not (self.follow and position >= self.count - 1)
        if not self.paused:
            self.speed = 1.0
        self.restart_clock(now)

    def play(self, way: int, now: float) -> None:
        """Play forwards (1) or backwards (-1); faster where that is what it does."""
        if not self.paused and self.speed * way > 0:
            self.change_speed(1, now)
        else:
            self.paused, self.speed = False, float(way)
            self.restart_clock(now)

    def change_speed(self, steps: int, now: float) -> None:
        """Go on faster (1) or slower (-1), the way it goes."""
        at = min(len(SPEEDS) - 1, max(0, SPEEDS.index(abs(self.speed)) + steps))
        self.speed = math.copysign(SPEEDS[at], self.speed)
        self.restart_clock(now)

    def grow(self, count: int, now: float) -> None:
        """Take note of how many frames there are now; whoever waits at the last one sees the newest."""
        waits = self.follow and not self.paused and self.speed > 0 and self.position >= self.count - 1
        self.count = count
        position = self._inside(count - 1 if waits else self.position)
        if position != self.position or waits:
            self.position = position
            self.restart_clock(now)

    @property
    def _rate(self) -> float:
        return self.fps * abs(self.speed)

    def _inside(self, position: int) -> int:
        return max(0, min(self.count - 1, position))

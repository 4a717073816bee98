"""Decoding ahead of a consumer that reads in order."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Any

__all__ = ["ReadAhead"]


class ReadAhead:
    """Calls ``read(position)`` for one position after the other in a thread, a bounded number of results ahead.

    What it reads with belongs to its thread until `stop` has returned. It refers to nothing but `read`, so whoever
    owns it can be collected, and stops it then.

    Parameters
    ----------
    read : callable
        Returns the frame at a position.
    start, stop : int
        First position, and the one after the last.
    depth : int
        How many results may wait.
    """

    def __init__(self, read: Callable[[int], Any], start: int, stop: int, depth: int):
        self.next_position = start
        self._condition = threading.Condition(threading.Lock())
        self._ready: deque[tuple[Any, BaseException | None]] = deque()
        self._depth = depth
        self._stopped = False
        self._thread = threading.Thread(
            target=self._run, args=(read, start, stop), name="imgstore-read-ahead", daemon=True
        )
        self._thread.start()

    def _run(self, read: Callable[[int], Any], start: int, stop: int) -> None:
        for position in range(start, stop):
            with self._condition:
                while len(self._ready) >= self._depth and not self._stopped:
                    self._condition.wait()
                if self._stopped:
                    return
            frame, error = None, None
            try:
                frame = read(position)
            except Exception as failure:  # handed to the consumer when it gets here
                error = failure
            with self._condition:
                self._ready.append((frame, error))
                self._condition.notify()
            del frame, error

    def get(self) -> Any:
        """Return the result for `next_position`, waiting for it.

        Raises
        ------
        Exception
            What ``read`` raised for this position.
        """
        with self._condition:
            while not self._ready:
                self._condition.wait()
            frame, error = self._ready.popleft()
            self._condition.notify()
        self.next_position += 1
        if error is not None:
            raise error
        return frame

    def stop(self) -> None:
        """End the thread; when this returns, it has left `read`."""
        self.request_stop()
        if self._thread is not threading.current_thread():
            self._thread.join()

    def request_stop(self) -> None:
        """Ask the thread to end, without waiting for it."""
        with self._condition:
            self._stopped = True
            self._ready.clear()
            self._condition.notify_all()

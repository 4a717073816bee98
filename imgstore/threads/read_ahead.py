"""Decoding ahead of a consumer that reads in order."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

from imgstore.threads.at_exit import begins

__all__ = ["ReadAhead", "StoppedError"]


class StoppedError(Exception):
    """Nothing is read ahead any more."""


class ReadAhead:
    """Calls ``read(position)`` for one position after the other in a thread, a bounded number of results ahead.

    What it reads with belongs to its thread from `start` until `stop` has returned. It refers to nothing but `read`, so
    whoever owns it can be collected, and stops it then. Ctrl-C may interrupt `get` and `stop`, and then nothing can be
    done but to call `stop` (again). That is why no `threading.Condition` is used, whose lock may stay taken then.

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
        self._ready: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()
        self._room: SimpleQueue[None] = SimpleQueue()  # an item for each result that there is room for
        for _ in range(depth):
            self._room.put(None)
        self._stopped = False
        self._reading = threading.Lock()  # taken while `read` is called
        self._thread = threading.Thread(
            target=self._run, args=(read, start, stop), name="imgstore-read-ahead", daemon=True
        )

    def start(self) -> None:
        """Begin to read."""
        if not begins(self._thread, self):
            self._ready.put((None, StoppedError()))

    def _run(self, read: Callable[[int], Any], start: int, stop: int) -> None:
        for position in range(start, stop):
            self._room.get()
            frame, error = None, None
            with self._reading:
                if self._stopped:
                    break
                try:
                    frame = read(position)
                except Exception as failure:  # handed to the consumer when it gets here
                    error = failure
            self._ready.put((frame, error))
            del frame, error
        if self._stopped:
            self._ready.put((None, StoppedError()))  # at exit somebody may be waiting

    def get(self, make_room: bool = True) -> Any:
        """Return the result for `next_position`, waiting for it.

        Parameters
        ----------
        make_room : bool
            For another one. If not, as many fewer may wait from now on.

        Raises
        ------
        StoppedError
            The interpreter shuts down: nothing can be done but to call `stop` and read without this.
        Exception
            What ``read`` raised for this position.
        """
        frame, error = self._ready.get()
        if make_room:
            self.make_room()
        self.next_position += 1
        try:
            if error is not None:
                raise error
        finally:
            del error  # by way of this frame it refers to itself, and would keep the store
        return frame

    def make_room(self) -> None:
        """Let one more result wait."""
        self._room.put(None)

    def stop(self) -> None:
        """End the thread; when this returns, it has left `read` for good."""
        self.request_stop()
        if self._thread is threading.current_thread():
            return
        with self._reading:
            pass  # a thread that has not begun yet finds that it is to stop
        if self._thread.is_alive():
            self._thread.join()

    def request_stop(self) -> None:
        """Ask the thread to end, without waiting for it."""
        self._stopped = True
        self.make_room()

    def wait(self, timeout: float) -> None:
        """Wait until the thread that was asked to stop has ended, so many seconds at the most."""
        if self._thread.ident is not None:
            self._thread.join(timeout)

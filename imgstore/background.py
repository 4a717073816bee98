"""Work that is done in order, behind the back of whoever asks for it."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

__all__ = ["InOrder"]


class InOrder:
    """Calls functions one after the other in a thread of its own.

    The thread exists while there is something to do, and is a daemon: at the end of the process whoever owns this
    calls `wait`.

    Parameters
    ----------
    name : str
        Of the thread.
    limit : int, optional
        How many calls may be waiting before `submit` waits itself.
    """

    def __init__(self, name: str, limit: int | None = None):
        self._name = name
        self._limit = limit
        self._waiting: deque[Callable[[], object]] = deque()
        self._running = False
        self._condition = threading.Condition()

    def submit(self, call: Callable[[], object]) -> None:
        """Have `call` called after all that was submitted before. It must see to its own errors."""
        with self._condition:
            while self._limit is not None and len(self._waiting) >= self._limit:
                self._condition.wait()
            self._waiting.append(call)
            if self._running:
                return
            self._running = True
        try:
            threading.Thread(target=self._run, name=self._name, daemon=True).start()
        except RuntimeError:  # no thread can be started while the interpreter shuts down
            self._run()

    def _run(self) -> None:
        while True:
            with self._condition:
                if not self._waiting:
                    self._running = False
                    self._condition.notify_all()
                    return
                call = self._waiting.popleft()
                self._condition.notify_all()
            call()
            del call

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until all is done; return whether it is, after `timeout` seconds at the latest."""
        with self._condition:
            return self._condition.wait_for(lambda: not self._running, timeout)

    @property
    def waiting(self) -> int:
        """How many calls have not begun."""
        return len(self._waiting)

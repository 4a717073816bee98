"""Work that another thread does: in order, behind the back of whoever asks for it, beside what that one does, or at intervals."""

from __future__ import annotations

import _thread
import threading
from collections import deque
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

__all__ = ["Beside", "InOrder", "Repeater", "let_go"]

T = TypeVar("T")


def let_go(lock: Any) -> None:
    """Let go of a lock that Ctrl-C has left taken: from Python 3.14 on it may come between taking it and what it is for.

    Parameters
    ----------
    lock : threading.RLock
        That this thread may have, but not on purpose.
    """
    try:
        while True:
            lock.release()
    except RuntimeError:  # it has not
        pass


class InOrder:
    """Calls functions one after the other in a thread of its own.

    The thread exists while there is something to do, and does not keep a process from ending: whoever owns this calls
    `wait` before. Ctrl-C may come at any point, and must neither be lost nor leave a lock taken: so the thread is none of
    `threading.Thread`, whose beginning and end are Python code in the thread that is interrupted, and the lock of the
    condition is entered itself, not by way of `threading.Condition`.

    Parameters
    ----------
    limit : int, optional
        How many calls may be waiting before `submit` waits itself.
    """

    def __init__(self, limit: int | None = None):
        self._limit = limit
        self._waiting: deque[Callable[[], object]] = deque()
        self._running = False
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._calling = threading.Lock()  # taken while a call is made

    def submit(self, call: Callable[[], object]) -> None:
        """Have `call` called after all that was submitted before. It must see to its own errors."""
        let_go(self._lock)
        with self._lock:
            while self._limit is not None and len(self._waiting) >= self._limit:
                self._changed.wait()
            self._waiting.append(call)
            if self._running:
                return
            self._running = True
            try:
                _thread.start_new_thread(self._run, ())
                return
            except BaseException as error:
                self._running = False  # nobody knows whether it begins: who comes next sees to what waits
                if not isinstance(error, RuntimeError):
                    raise
        self._run()  # no thread can be started while the interpreter shuts down

    def _run(self) -> None:
        while True:
            with self._calling:
                with self._lock:
                    if not self._waiting:
                        self._running = False
                        self._changed.notify_all()
                        return
                    call = self._waiting.popleft()
                    self._changed.notify_all()
                call()
                del call

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until all is done; return whether it is, after `timeout` seconds at the latest."""
        let_go(self._lock)
        with self._lock:
            done = self._changed.wait_for(lambda: not self._running, timeout)
        if timeout is None:
            self._run()  # what is left where Ctrl-C has interrupted the beginning of a thread
        return done

    @property
    def waiting(self) -> int:
        """How many calls have not begun."""
        return len(self._waiting)


class Beside:
    """Calls a function in another thread while its owner does something else.

    The thread ends with `stop`, and when this is garbage-collected.
    """

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None

    def start(self, call: Callable[[], T]) -> Callable[[], T]:
        """Begin to call a function; return one that gives its result, and that calls it itself where no core was free."""
        from concurrent.futures import ThreadPoolExecutor

        try:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(1, "imgstore-beside")
            future = self._pool.submit(call)
        except RuntimeError:  # no thread can be started while the interpreter shuts down
            return call
        return lambda: call() if future.cancel() else future.result()

    def stop(self) -> None:
        """Let go of the thread."""
        if self._pool is not None:
            self._pool.shutdown(wait=False)
            self._pool = None


class Repeater:
    """Calls a function at intervals in a thread, a daemon, until `stop`.

    Parameters
    ----------
    name : str
        Of the thread.
    call : callable
        It must see to its own errors.
    interval : float
        Seconds from the end of one call to the next.
    """

    def __init__(self, name: str, call: Callable[[], object], interval: float):
        self._stop: SimpleQueue[None] = SimpleQueue()  # no `Event`, whose lock Ctrl-C may leave taken
        self._thread = threading.Thread(target=self._run, args=(self._stop, call, interval), name=name, daemon=True)
        self._thread.start()

    @staticmethod
    def _run(stop: SimpleQueue[None], call: Callable[[], object], interval: float) -> None:
        while True:
            try:
                return stop.get(timeout=interval)
            except Empty:
                call()

    def stop(self) -> None:
        """Call no more; returns when the call that is being made has ended."""
        self._stop.put(None)
        self._thread.join()

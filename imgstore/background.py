"""Work that other threads do: in order, behind the back of whoever asks for it, or beside what that one does, or shared."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

__all__ = ["Beside", "Crew", "InOrder"]

T = TypeVar("T")


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
        self._calling = threading.Lock()  # taken while a call is made

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
        except BaseException:  # Ctrl-C, and nobody knows whether the thread begins: who comes next sees to what waits
            self._running = False
            raise

    def _run(self) -> None:
        while True:
            with self._calling:
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
            done = self._condition.wait_for(lambda: not self._running, timeout)
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


class Crew:
    """Calls functions side by side in threads.

    Ctrl-C may interrupt whoever waits for them: then `stop` has to be called before anything is touched that they use.
    (An executor can hang after that, and a `threading.Condition` stay taken.)

    Parameters
    ----------
    name : str
        Of the threads.
    calls : sequence of callable
        What is to be called, each once.
    threads : int
        How many threads there are at most.
    """

    def __init__(self, name: str, calls: Sequence[Callable[[], object]], threads: int):
        self._count = len(calls)
        self._waiting: SimpleQueue[tuple[int, Callable[[], object]]] = SimpleQueue()
        for call in enumerate(calls):
            self._waiting.put(call)
        self._outcomes: SimpleQueue[tuple[int, Exception | None]] = SimpleQueue()
        self._stopped = False
        self._working = [threading.Lock() for _ in range(min(threads, len(calls)))]  # each taken while a call runs
        self._threads = [
            threading.Thread(target=self._run, args=(working,), name=name, daemon=True) for working in self._working
        ]

    def start(self) -> None:
        """Begin to call them."""
        for thread in self._threads:
            thread.start()

    def _run(self, working: threading.Lock) -> None:
        while True:
            with working:
                if self._stopped:
                    return
                try:
                    k, call = self._waiting.get_nowait()
                except Empty:
                    return
                failure = None
                try:
                    call()
                except Exception as error:
                    failure = error
            self._outcomes.put((k, failure))
            del call, failure  # it refers to itself by way of this frame

    def finish(self) -> None:
        """Wait until all have returned; raise the first one's error, in the order in which they were given."""
        outcomes = dict(self._outcomes.get() for _ in range(self._count))
        failures = [failure for _, failure in sorted(outcomes.items()) if failure is not None]
        del outcomes
        try:
            if failures:
                raise failures[0]
        finally:
            failures.clear()  # by way of this frame each refers to itself, and would keep what is read

    def stop(self) -> None:
        """Call no more of them; when this returns, none is running."""
        self._stopped = True
        for working in self._working:
            with working:
                pass  # a thread that has not begun yet finds that it is to stop

"""Functions called at the same time, by threads that wait for such, and by whoever asks for it."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Sequence
from queue import SimpleQueue

from imgstore.threads.at_exit import begins

__all__ = ["SideBySide"]

_Outcomes = SimpleQueue[tuple[int, Exception | None]]
_Calls = SimpleQueue[tuple[int, Callable[[], object], _Outcomes] | None]


class SideBySide:
    """Keeps threads for short calls.

    Ctrl-C may interrupt all of this: then `close` has to be called before anything is touched that was in use. (That is
    why there are no futures here and no `threading.Condition`, whose locks may stay taken then.) The threads end with
    `close`, and when this is garbage-collected. They are kept until then because what one has freed that has ended is of
    little use to the next: a process would grow.

    Parameters
    ----------
    name : str
        Of the threads.

    Attributes
    ----------
    busy : bool
        Something is being called; or may be, as Ctrl-C came between.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._gang: _Gang | None = None
        self._finalizer: weakref.finalize[..., SideBySide] | None = None
        self.busy = False

    def run(self, functions: Sequence[Callable[[], object]]) -> None:
        """Call functions, the last one here and each other in a thread; return when all have returned.

        Raises
        ------
        Exception
            What the last one raised, else the first of the others that did.
        """
        *others, own = functions
        outcomes = self._begin(others, len(others))
        if outcomes is None:
            return _call_all(functions)
        try:
            own()
        finally:
            failed = self._finish(outcomes, len(others))
        _raise_first(failed)

    def run_elsewhere(self, functions: Sequence[Callable[[], object]], threads: int) -> None:
        """Call functions, all of them in at most so many threads; return when all have returned.

        Raises
        ------
        Exception
            What the first of them raised that did.
        """
        outcomes = self._begin(functions, min(threads, len(functions)))
        if outcomes is None:
            return _call_all(functions)
        _raise_first(self._finish(outcomes, len(functions)))

    def _begin(self, functions: Sequence[Callable[[], object]], threads: int) -> _Outcomes | None:
        """Have functions called; None where there is no thread for it."""
        if self.busy:
            self.close()
        self.busy = True
        if self._gang is None:
            self._gang = _Gang()
            self._finalizer = weakref.finalize(self, self._gang.request_stop)
            self._finalizer.atexit = False
        if not self._gang.grow(self._name, threads):
            self.busy = False
            return None
        outcomes: _Outcomes = SimpleQueue()
        for k, function in enumerate(functions):
            self._gang.calls.put((k, function, outcomes))
        return outcomes

    def _finish(self, outcomes: _Outcomes, count: int) -> dict[int, Exception]:
        failed = {k: failure for k, failure in (outcomes.get() for _ in range(count)) if failure is not None}
        self.busy = False
        return failed

    def close(self) -> None:
        """End the threads; when this returns none is calling anything, and what was not begun will not be."""
        self.busy = True
        if self._gang is not None:
            self._gang.stop()
            self._gang = None
        if self._finalizer is not None:
            self._finalizer.detach()
        self.busy = False


def _call_all(functions: Sequence[Callable[[], object]]) -> None:
    """Call functions one after the other, all of them whatever one raises, as threads do."""
    failed: dict[int, Exception] = {}
    for k, function in enumerate(functions):
        try:
            function()
        except Exception as failure:
            failed[k] = failure
    _raise_first(failed)


def _raise_first(failed: dict[int, Exception]) -> None:
    try:
        if failed:
            raise failed[min(failed)]
    finally:
        failed.clear()  # by way of this frame each refers to itself, and would keep what is read


class _Gang:
    """Threads that call what comes out of a queue."""

    def __init__(self) -> None:
        self.calls: _Calls = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._working: list[threading.Lock] = []  # each taken while a thread calls something
        self._stopped = False

    def grow(self, name: str, count: int) -> bool:
        """See that there are so many; return whether there are any that can be called upon."""
        while len(self._threads) < count:
            working = threading.Lock()
            thread = threading.Thread(target=self._run, args=(working,), name=name, daemon=True)
            self._working.append(working)
            self._threads.append(thread)
            if not begins(thread, self):
                self._working.pop()
                self._threads.pop()
                break
        return any(thread.is_alive() for thread in self._threads)

    def _run(self, working: threading.Lock) -> None:
        while (call := self.calls.get()) is not None:
            k, function, outcomes = call
            failure = None
            with working:
                if self._stopped:
                    return
                try:
                    function()
                except Exception as error:
                    failure = error
            del call, function  # what it refers to is not kept while nothing is to be done
            outcomes.put((k, failure))
            del outcomes, failure

    def request_stop(self) -> None:
        """Have the threads end when they have nothing to do."""
        for _ in self._threads:
            self.calls.put(None)

    def stop(self) -> None:
        """End the threads. (Where Ctrl-C interrupts `join`, Python 3.11 takes a thread for ended that goes on.)"""
        self._stopped = True
        self.request_stop()
        for working in self._working:
            with working:
                pass
        self.wait()

    def wait(self, timeout: float | None = None) -> None:
        """Wait until the threads that were asked to stop have ended, so many seconds for each at the most."""
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(timeout)

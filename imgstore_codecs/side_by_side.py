"""Functions called at the same time, by threads that wait for such and by whoever asks for it."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Sequence
from queue import SimpleQueue

__all__ = ["SideBySide"]

_Outcomes = SimpleQueue[tuple[int, Exception | None]]
_Calls = SimpleQueue[tuple[int, Callable[[], object], _Outcomes] | None]


class SideBySide:
    """Keeps threads for short calls.

    Ctrl-C may interrupt `run`: then `close` has to be called before anything is touched that was in use. (That is why
    there are no futures here and no `threading.Condition`, whose locks may stay taken then.) The threads end with
    `close`, and when this is garbage-collected.

    Parameters
    ----------
    name : str
        Of the threads.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._calls: _Calls = SimpleQueue()
        self._threads: list[threading.Thread] = []
        weakref.finalize(self, _dismiss, self._calls, self._threads).atexit = False

    def run(self, functions: Sequence[Callable[[], object]]) -> None:
        """Call functions, the last one here and each other in a thread; return when all have returned.

        Raises
        ------
        Exception
            What the last one raised, else the first of the others that did.
        """
        *others, own = functions
        while len(self._threads) < len(others):
            thread = threading.Thread(target=_work, args=(self._calls,), name=self._name, daemon=True)
            thread.start()
            self._threads.append(thread)
        outcomes: _Outcomes = SimpleQueue()
        for k, function in enumerate(others):
            self._calls.put((k, function, outcomes))
        try:
            own()
        finally:
            failed = {k: failure for k, failure in (outcomes.get() for _ in others) if failure is not None}
        try:
            if failed:
                raise failed[min(failed)]
        finally:
            failed.clear()  # by way of this frame each refers to itself, and would keep what is read

    def close(self) -> None:
        """End the threads; when this returns none is calling anything."""
        _dismiss(self._calls, self._threads)
        while self._threads:
            self._threads.pop().join()


def _dismiss(calls: _Calls, threads: list[threading.Thread]) -> None:
    for _ in threads:
        calls.put(None)


def _work(calls: _Calls) -> None:
    while (call := calls.get()) is not None:
        k, function, outcomes = call
        failure = None
        try:
            function()
        except Exception as error:
            failure = error
        del call, function  # what it refers to is not kept while nothing is to be done
        outcomes.put((k, failure))
        del outcomes, failure

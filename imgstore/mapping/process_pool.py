"""Workers that are processes of this machine."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler
from typing import Any

from imgstore.errors import ArgumentError
from imgstore.mapping.job import Job
from imgstore.mapping.run import Submit, Workers

__all__ = ["processes"]

_job: Job  # of this process, where it is a worker


def processes(count: int) -> Workers:
    """Return workers that are so many new processes.

    Parameters
    ----------
    count : int
        How many, at least 1. They are begun when there is work, with ``spawn``, so that nothing is inherited.
    """
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise ArgumentError(f"the number of processes must be a whole number from 1, not {count!r}")

    @contextlib.contextmanager
    def begin(job: Job) -> Iterator[Submit]:
        try:
            ForkingPickler.dumps(job)
        except Exception as error:
            raise ArgumentError(
                f"the function cannot be sent to other processes ({error}): define it at the top of a module"
            ) from error
        pool = _Pool(count, job)
        try:
            yield pool.submit
        finally:
            pool.end()

    return begin


class _Pool:
    """Processes, in whose place there are others once one has died: the standard library's pool gives up then."""

    def __init__(self, count: int, job: Job):
        self._count, self._job = count, job
        self._begin()

    def _begin(self) -> None:
        context = multiprocessing.get_context("spawn")
        workers_end, self._lifeline = context.Pipe(duplex=False)
        self._executor = ProcessPoolExecutor(self._count, context, _begin_worker, (self._job, workers_end))

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        with _without_interrupts():  # this may begin a process
            try:
                return self._executor.submit(_call, function, arguments)
            except BrokenExecutor:
                self.end()
                self._begin()
                return self._executor.submit(_call, function, arguments)

    def end(self) -> None:
        """End the processes, whatever they are at."""
        self._lifeline.close()
        self._executor.shutdown(wait=True, cancel_futures=True)


@contextlib.contextmanager
def _without_interrupts() -> Iterator[None]:
    """Keep Ctrl-C, which a terminal sends to all, from processes that are begun meanwhile. This one has it afterwards."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin_worker(job: Job, lifeline: Connection) -> None:
    """Make ready in a new process, which ends with the one that began it: that may be killed, and tell nobody."""
    global _job
    _job = job
    with contextlib.suppress(ValueError, OSError):
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for who sees to the work
    threading.Thread(target=_end_with, args=(lifeline,), name="imgstore-lifeline", daemon=True).start()


def _end_with(lifeline: Connection) -> None:
    with contextlib.suppress(EOFError, OSError):
        lifeline.poll(None)
    os._exit(1)


def _call(function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    return function(_job, *arguments)

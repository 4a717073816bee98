"""Tasks that are handed to workers, whoever they are, and what becomes of them."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import BrokenExecutor
from contextlib import AbstractContextManager
from typing import Any, Protocol

from imgstore.errors import ArgumentError, UnfinishedStoreError
from imgstore.mapping.job import Job, Output, Task
from imgstore.mapping.tasks import Outcome, look, make_chunk

__all__ = ["Submit", "Workers", "look_at_first", "run_tasks"]

_LOOK_UP = 0.2  # seconds after which it is asked whether to stop
_MOST_DEATHS = 3  # of workers in a row, without a chunk that was completed between
_DIED = Outcome(error="the worker died, and so did others that took its place")


class Submit(Protocol):
    """Hands a call of ``function(job, *arguments)`` to a worker that has the job."""

    def __call__(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Return a future, as `concurrent.futures` and `distributed` have them."""


Workers = Callable[[Job], AbstractContextManager[Submit]]  # sends the job to workers, and gives what hands them calls


def look_at_first(submit: Submit, stop: Callable[[], object]) -> tuple[tuple[int, ...], str]:
    """Have a worker find out shape and dtype of the frames that will be written.

    Raises
    ------
    ArgumentError
        There is none, the function fails wherever it is tried, or the workers cannot do anything.
    UnfinishedStoreError
        It was stopped.
    """
    for attempt in range(_MOST_DEATHS):
        future, done = submit(look), threading.Event()
        future.add_done_callback(lambda _, done=done: done.set())
        while not done.wait(_LOOK_UP):
            if stop():
                future.cancel()
                raise UnfinishedStoreError("stopped before anything was begun", [])
        try:
            outcome = future.result()
        except Exception as error:  # it cannot be sent what it needs, or has died
            if isinstance(error, BrokenExecutor) and attempt < _MOST_DEATHS - 1:
                continue
            raise ArgumentError(f"a worker failed with the first frames: {type(error).__name__}: {error}") from error
        break
    if outcome.error:
        raise ArgumentError(f"the first frames: {outcome.error}")
    if outcome.value is None:
        raise ArgumentError("the source has no frame that can be decoded")
    return outcome.value  # type: ignore[no-any-return]


def run_tasks(
    submit: Submit,
    output: Output,
    tasks: Iterable[Task],
    done: Callable[[Task], object],
    stop: Callable[[], object],
) -> list[tuple[Task, Outcome]]:
    """Have chunks made, side by side.

    A task that goes down with its worker is begun again, as long as others succeed meanwhile, and in the end by itself.

    Parameters
    ----------
    submit : callable
        Hands a call to a worker.
    output : Output
        The store that is made.
    tasks : iterable of Task
        Its chunks.
    done : callable
        Told of each that is whole.
    stop : callable
        Asked now and then; what has not been begun is not begun any more once it says so.

    Returns
    -------
    list of (Task, Outcome)
        What failed.
    """
    finished: queue.SimpleQueue[Any] = queue.SimpleQueue()
    waiting: dict[Any, Task] = {}

    failed: list[tuple[Task, Outcome]] = []
    gone: list[tuple[Task, Outcome]] = []  # with their workers
    suspects: list[Task] = []  # each is tried by itself, as one of them brings down all that are tried beside it
    deaths, one_by_one, stopping, pointless = 0, False, False, False

    def hand_out(some: Iterable[Task]) -> None:
        for task in some:
            if stop():
                return
            future = submit(make_chunk, output, task)
            waiting[future] = task
            future.add_done_callback(finished.put)
            if _ends_all(future):
                return

    hand_out(tasks)
    while waiting:
        try:
            future = finished.get(timeout=_LOOK_UP)
        except queue.Empty:
            future = None
        if (pointless or stop()) and not stopping:
            stopping = True
            for each in [each for each in waiting if each.cancel() is not False]:
                del waiting[each]
        if future not in waiting:
            continue
        task = waiting.pop(future)
        try:
            outcome = future.result()
        except BrokenExecutor:
            gone.append((task, _DIED))
        except Exception as error:  # Dask has given it up, or it could not be sent
            told = f"{type(error).__name__}: {error}".replace(getattr(future, "key", "") or "\0", "its task")
            failed.append((task, Outcome(error=told)))
        else:
            if outcome.error:
                failed.append((task, outcome))
                pointless = pointless or outcome.ends_all
            else:
                done(task)
                deaths = 0
        if waiting or stopping or not (gone or suspects):
            continue
        deaths += bool(gone)
        if not one_by_one and deaths < _MOST_DEATHS:
            again, gone = [task for task, _ in reversed(gone)], []  # those that brought them down are among the first
            hand_out(again)
            continue
        if one_by_one:
            failed += gone
        else:
            one_by_one, deaths, suspects = True, 0, [task for task, _ in gone]
        gone = []
        if suspects and deaths < _MOST_DEATHS:
            hand_out([suspects.pop()])
    return failed if stopping or stop() else [*failed, *gone, *((task, _DIED) for task in suspects)]


def _ends_all(future: Any) -> bool:
    """Whether something is done at once, as in this process, and what went wrong would go wrong with all others."""
    return bool(future.done() and future.exception() is None and future.result().ends_all)

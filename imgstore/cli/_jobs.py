"""The same work for several stores, in processes beside each other, told of in the order in which they were named."""

from __future__ import annotations

import multiprocessing
import signal
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from typing import Any, TypeVar

import click

from imgstore.cli._common import PlainError, one_line, told_error, warn
from imgstore.cli._progress import show_progress

__all__ = ["Outcome", "jobs_option", "run_each", "worst"]

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Outcome:
    """What came of one path: a value, or an error with the exit status that it stands for; and what was warned of."""

    value: Any = None
    error: str = ""
    status: int = 0
    warned: list[str] = field(default_factory=list)


def jobs_option() -> Callable[[F], F]:
    """Return the option --jobs."""
    return click.option(
        "--jobs", type=click.IntRange(1, 256), default=1, show_default=True, help="How many stores at a time."
    )


def run_each(work: Callable[[str], Any], paths: Sequence[str], jobs: int, doing: str) -> Iterator[tuple[str, Outcome]]:
    """Do some work for each path, and give what came of it in the order of the paths. An error ends only its own.

    Parameters
    ----------
    work : callable
        Takes a path; a function of a module, or a `functools.partial` of one, as other processes get it.
    paths : sequence of str
        One by one.
    jobs : int
        How many at a time.
    doing : str
        What the bar at a terminal says.
    """
    with show_progress(len(paths), doing) as report:
        for done, (path, outcome) in enumerate(zip(paths, _outcomes(work, paths, jobs), strict=True)):
            report(done + 1)
            for message in outcome.warned:
                warn(message)
            if outcome.error:
                click.echo(f"imgstore: error: {outcome.error}", err=True)
            yield path, outcome


def worst(statuses: Sequence[int]) -> int:
    """Return the exit status of all together: 1 where something is wrong with any, else 2 where a path is no store."""
    return min((status for status in statuses if status), default=0)


def _outcomes(work: Callable[[str], Any], paths: Sequence[str], jobs: int) -> Iterator[Outcome]:
    if jobs == 1:
        for path in paths:
            yield _outcome(work, path)
        return
    # begun afresh: what a fork inherits of FFmpeg and of threads is of no use
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(jobs, len(paths)), context, initializer=_leave_ctrl_c_to_parent) as pool:
        try:
            waiting = [pool.submit(_outcome, work, path) for path in paths]
            for path, future in zip(paths, waiting, strict=True):
                try:
                    yield future.result()
                except BrokenProcessPool:
                    yield Outcome(error=f"{one_line(path)}: the process that looked at it has died", status=1)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for child in multiprocessing.active_children():
                child.terminate()
            raise


def _leave_ctrl_c_to_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _outcome(work: Callable[[str], Any], path: str) -> Outcome:
    with warnings.catch_warnings(record=True) as noted:
        warnings.simplefilter("always")
        try:
            value, error = work(path), None
        except Exception as caught:
            told = told_error(caught, path)
            if told is None:
                raise
            value, error = None, told
    messages = list(dict.fromkeys(one_line(warning.message) for warning in noted))
    return Outcome(value, "", 0, messages) if error is None else _failed(error, messages)


def _failed(error: PlainError, messages: list[str]) -> Outcome:
    return Outcome(None, one_line(error.message), error.exit_code, messages)

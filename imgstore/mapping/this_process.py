"""No workers: this process does the work, one chunk after the other."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

import numpy.typing as npt

from imgstore.mapping.job import Job
from imgstore.mapping.run import Submit, Workers

__all__ = ["here"]


def here(watch: Callable[[npt.NDArray[Any], int], object] | None = None) -> Workers:
    """Return what does the work in this process and this thread, one chunk after the other.

    Parameters
    ----------
    watch : callable, optional
        Told each frame as it will be written, and its number. Where it raises `imgstore.mapping.Stopped` there is an end; what
        has been made until then stays.
    """

    @contextlib.contextmanager
    def begin(job: Job) -> Iterator[Submit]:
        watched = replace(job, watch=watch)

        def submit(function: Callable[..., Any], *arguments: Any) -> Future[Any]:
            future: Future[Any] = Future()
            future.set_result(function(watched, *arguments))
            return future

        yield submit

    return begin

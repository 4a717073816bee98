"""``imgstore save`` with several workers: processes of this machine, or of a Dask cluster."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import click
import numpy as np
import numpy.typing as npt

import imgstore
from imgstore.cli._common import PlainError, counted
from imgstore.cli._progress import note_signals, show_progress
from imgstore.cli._sources import not_there_told
from imgstore.cli._store_source import open_to_save
from imgstore.errors import ArgumentError, UnfinishedStoreError
from imgstore.mapping import Workers, map_store, processes

__all__ = ["save_with_workers", "worker_options"]

F = TypeVar("F", bound=Callable[..., Any])

_SOME_LEFT_OUT = 3  # exit status


def worker_options(command: F) -> F:
    """Add the options that choose workers."""
    for option in (
        click.option(
            "--cluster",
            metavar="ADDRESS|local[:N]",
            help="Have the workers of a Dask cluster do the work, a chunk each; can be completed by the same command.",
        ),
        click.option(
            "--jobs",
            type=click.IntRange(min=1),
            metavar="N",
            help="Have N processes do the work, a chunk each; can be completed by the same command.",
        ),
    ):
        command = option(command)
    return command


def save_with_workers(
    source: str,
    dest: Path,
    fmt: str,
    gray: bool,
    keywords: dict[str, Any],
    *,
    jobs: int | None,
    cluster: str | None,
) -> int:
    """Write a store with several workers; return the exit status."""
    with contextlib.ExitStack() as stack:
        try:
            with not_there_told(source):
                store, metadata = open_to_save(source)
        except ArgumentError as error:
            raise click.UsageError(str(error)) from error
        stack.enter_context(store)
        received = stack.enter_context(note_signals())
        workers = stack.enter_context(_on_cluster(cluster)) if cluster is not None else processes(jobs or 1)
        report = stack.enter_context(show_progress(store.frame_count))
        try:
            made = map_store(
                _gray if gray else None,
                store,
                dest,
                format=fmt,
                workers=workers,
                metadata=metadata,
                progress=lambda done, total: report(done),
                stop=lambda: received,
                **keywords,
            )
        except UnfinishedStoreError as error:
            if not received:
                raise
            click.echo(f"imgstore: {error}", err=True)
            return 128 + received[0]  # as a shell reports a program that a signal ended
    left_out = f", {counted(made.left_out.count, 'frame')} left out" if made.left_out else ""
    click.echo(f"saved {counted(made.frame_count, 'frame')} of {source} to {dest}{left_out}")
    return _SOME_LEFT_OUT if made.left_out else 0


@contextlib.contextmanager
def _on_cluster(where: str) -> Iterator[Workers]:
    try:
        from imgstore.bridges.dask import cluster_workers, connected
    except ImportError as error:
        raise PlainError(f"--cluster needs Dask, pip install 'imgstore[dask]': {error}") from error
    with contextlib.ExitStack() as stack:
        try:
            client = stack.enter_context(connected(where))
        except ArgumentError as error:
            raise PlainError(str(error)) from error
        for name in ("distributed", "distributed.client"):  # which have levels of their own by now
            logging.getLogger(name).setLevel(logging.CRITICAL)  # what matters is told in a line
        if not client.scheduler_info()["workers"]:
            click.echo(f"imgstore: {where} has no workers yet, waiting for some", err=True)
        yield cluster_workers(client)


def _gray(frames: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return np.stack([imgstore.ensure_grayscale(frame) for frame in frames])

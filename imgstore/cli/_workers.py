"""``imgstore save`` of stores and files, chunk by chunk: in this process, in several, or on a Dask cluster."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import click
import numpy.typing as npt

from imgstore.cli._common import PlainError, counted
from imgstore.cli._preview import Preview
from imgstore.cli._progress import note_signals, show_progress
from imgstore.errors import ArgumentError, UnfinishedStoreError
from imgstore.mapping import Mapped, Selection, Stopped, Workers, copy_store, here, map_store, processes

__all__ = ["ONE_BY_ONE", "SOME_LEFT_OUT", "made_in_chunks", "save_in_chunks", "worker_options"]

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")

ONE_BY_ONE: dict[str, Any] = {"batch_size": 1}  # so that a frame that the function fails at is no other's fault
SOME_LEFT_OUT = 3  # exit status
_STOPPED_HERE = 130  # by q, or in any way that is no signal
_TAKEN = {
    "copy": "their files copied",
    "hardlink": "their files hard-linked: they are the same files under two names",
    "link": "pointed to by symbolic links: the store is nothing without these files",
    "move": "their files moved",
}


def worker_options(command: F) -> F:
    """Add the options that choose workers."""
    for option in (
        click.option(
            "--cluster",
            metavar="ADDRESS|local[:N]",
            help="Have the workers of a Dask cluster do the work, a chunk each.",
        ),
        click.option("--jobs", type=click.IntRange(min=1), metavar="N", help="Have N processes do the work, a chunk each."),
    ):
        command = option(command)
    return command


def save_in_chunks(
    selection: Selection,
    named: str,
    dest: Path,
    fmt: str,
    function: Callable[..., Any] | None,
    keywords: dict[str, Any],
    *,
    files: str | None,
    **how: Any,
) -> int:
    """Write a store; return the exit status. `how` is of `made_in_chunks`."""

    def make(**of_workers: Any) -> Mapped:
        if files is not None:
            return copy_store(selection, dest, files=files, **keywords, **of_workers)  # type: ignore[arg-type]
        return map_store(function, selection, dest, format=fmt, **ONE_BY_ONE, **keywords, **of_workers)

    made = made_in_chunks(make, selection.frame_count, dest, noted=bool(keywords["note"]), **how)
    if not made.frame_count:
        raise PlainError(f"the source has no frame that can be decoded, {dest} was not made")
    left_out = f", {counted(made.left_out.count, 'frame')} left out" if made.left_out else ""
    taken = "" if files is None else f" without encoding, {_TAKEN[files]}"
    click.echo(f"saved {counted(made.frame_count, 'frame')} of {named} to {dest}{taken}{left_out}")
    return SOME_LEFT_OUT if made.left_out else 0


def made_in_chunks(
    make: Callable[..., T],
    count: int,
    dest: Path,
    *,
    noted: bool,
    jobs: int | None,
    cluster: str | None,
    preview: bool,
) -> T:
    """Have something made by workers, with progress, until a signal stops it.

    Parameters
    ----------
    make : callable
        Takes `workers`, `progress` and `stop`, as `imgstore.mapping.map_store` does.
    count : int
        Frames that there are.
    dest : Path
        Where it comes to be.
    noted : bool
        Whether ``--resume`` with `dest` alone goes on.
    jobs, cluster, preview
        As the command has them.

    Raises
    ------
    PlainError
        Some chunks are not there.
    click.exceptions.Exit
        It was stopped, and it has been said how to go on.
    """
    with contextlib.ExitStack() as stack:
        received = stack.enter_context(note_signals())
        report = stack.enter_context(show_progress(count))
        seen = _Seen(report, received, stack.enter_context(Preview(dest.name)) if preview else None)
        if cluster is not None:
            workers = stack.enter_context(_on_cluster(cluster))
        else:
            workers = processes(jobs) if jobs is not None else here(seen)
        try:
            return make(workers=workers, progress=seen.chunks, stop=lambda: received or seen.stopped)
        except UnfinishedStoreError as error:
            goes_on = f"and 'imgstore save --resume {dest}' goes on" if noted else "and the same command goes on"
            told = str(error).replace("and the same call goes on with the others", goes_on)
            if not received and not seen.stopped:
                raise PlainError(told) from error
            click.echo(f"imgstore: {told}", err=True)
            # as a shell reports a program that a signal ended
            raise click.exceptions.Exit(128 + received[0] if received else _STOPPED_HERE) from error
    raise AssertionError  # for type checkers, to whom a context may swallow what is raised


class _Seen:
    """What this process sees of the frames that it makes: how many they are, and whether there is to be an end."""

    def __init__(self, report: Callable[[int], None], received: list[int], preview: Preview | None):
        self._report, self._received, self._preview = report, received, preview
        self._count = 0
        self.stopped = False

    def chunks(self, done: int, total: int) -> None:
        """Note that so many frames are in whole chunks."""
        self._count = max(self._count, done)
        self._report(self._count)

    def __call__(self, img: npt.NDArray[Any], number: int) -> None:
        """Note a frame.

        Raises
        ------
        Stopped
            Somebody wants an end.
        """
        if self._received:
            raise Stopped
        self._count += 1
        self._report(self._count)
        if self._preview is not None:
            try:
                self._preview(img, number)
            except Stopped:
                self.stopped = True
                raise


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

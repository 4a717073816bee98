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

__all__ = ["save_in_chunks", "worker_options"]

F = TypeVar("F", bound=Callable[..., Any])

_SOME_LEFT_OUT = 3  # exit status
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
    jobs: int | None,
    cluster: str | None,
    preview: bool,
) -> int:
    """Write a store; return the exit status."""
    with contextlib.ExitStack() as stack:
        received = stack.enter_context(note_signals())
        report = stack.enter_context(show_progress(selection.frame_count))
        seen = _Seen(report, received, stack.enter_context(Preview(dest.name)) if preview else None)
        if cluster is not None:
            workers = stack.enter_context(_on_cluster(cluster))
        else:
            workers = processes(jobs) if jobs is not None else here(seen)
        keywords = {**keywords, "workers": workers, "progress": seen.chunks, "stop": lambda: received or seen.stopped}
        try:
            if files is not None:
                made: Mapped = copy_store(selection, dest, files=files, **keywords)  # type: ignore[arg-type]
            else:
                # frame by frame, so that one that the function fails at is no other's fault
                made = map_store(function, selection, dest, format=fmt, batch_size=1, **keywords)
        except UnfinishedStoreError as error:
            goes_on = f"and 'imgstore save --resume {dest}' goes on" if keywords["note"] else "and the same command goes on"
            told = str(error).replace("and the same call goes on with the others", goes_on)
            if not received and not seen.stopped:
                raise PlainError(told) from error
            click.echo(f"imgstore: {told}", err=True)
            return 128 + received[0] if received else _STOPPED_HERE  # as a shell reports a program that a signal ended
    if not made.frame_count:
        raise PlainError(f"the source has no frame that can be decoded, {dest} was not made")
    left_out = f", {counted(made.left_out.count, 'frame')} left out" if made.left_out else ""
    taken = "" if files is None else f" without encoding, {_TAKEN[files]}"
    click.echo(f"saved {counted(made.frame_count, 'frame')} of {named} to {dest}{taken}{left_out}")
    return _SOME_LEFT_OUT if made.left_out else 0


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

"""``imgstore verify``: is a store what was written?"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from imgstore.cli._common import HELP, Command, print_json, store_argument

if TYPE_CHECKING:
    from imgstore.verify import Report

__all__ = ["command"]


@click.command("verify", cls=Command, short_help="Check that a store is what was written.", context_settings=HELP)
@store_argument()
@click.option("--deep", is_flag=True, help="Decode every frame.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@click.pass_context
def command(context: click.Context, path: Path, deep: bool, as_json: bool) -> None:
    """Check the store at PATH: files, indexes, counts, sizes, checksums, extra data. Nothing is changed.

    Prints a line for each fault. The exit status is 0 where there is none, 1 where there are some, 2 where there is no
    store.
    """
    from imgstore.verify import check_store

    with _progress() as progress:
        report = check_store(path, deep=deep, progress=progress)
    if as_json:
        print_json(
            {
                "path": report.path,
                "ok": not report.faults,
                "deep": deep,
                "chunks": report.chunks,
                "frames": report.frames,
                "files_compared": report.compared,
                "frames_decoded": report.decoded,
                "faults": [asdict(fault) for fault in report.faults],
                "notes": [asdict(note) for note in report.notes],
            }
        )
    else:
        for fault in report.faults:
            click.echo(f"{fault.kind}: {' '.join(str(fault).split())}")
        for note in report.notes:
            click.echo(f"note: {' '.join(str(note).split())}")
        click.echo(_summary(report))
    context.exit(1 if report.faults else 0)


def _summary(report: Report) -> str:
    count = len(report.faults)
    verdict = "no fault" if not count else "1 fault" if count == 1 else f"{count:,} faults"
    return (
        f"{verdict}: {report.frames:,} frames in {report.chunks:,} chunks, {report.compared:,} files compared with"
        f" their checksums, {report.decoded:,} frames decoded: {report.path}"
    )


@contextlib.contextmanager
def _progress() -> Iterator[Callable[[int, int], object] | None]:
    """Show on a terminal how far the work is; in a pipe nothing."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("chunks"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("chunks")
        yield lambda done, total: bar.update(task, completed=done, total=total)

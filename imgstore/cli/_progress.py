"""What commands that write stores show while they do, and how they are stopped."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from imgstore.cli._common import PlainError
from imgstore.exporting import see_that_it_is_in_no_store
from imgstore.mapping import is_unfinished

__all__ = ["note_signals", "see_that_nothing_is_in_the_way", "show_progress"]


def see_that_nothing_is_in_the_way(dest: Path) -> None:
    """Refuse to scatter a store over a folder of somebody's: the library allows it, as 0.x did, for files put there first.

    What was begun there is not in the way: the library says how to go on.

    Parameters
    ----------
    dest : Path
        The folder.

    Raises
    ------
    PlainError
        There are files, and they are no store's.
    ArgumentError
        It is within a store.
    """
    see_that_it_is_in_no_store(dest)
    if dest.is_dir() and not (dest / "metadata.yaml").exists() and any(dest.iterdir()) and not is_unfinished(dest):
        raise PlainError(f"{dest}: holds files that are no store; name a folder that is empty or not there yet")


@contextlib.contextmanager
def note_signals() -> Iterator[list[int]]:
    """Take note of Ctrl-C and of a request to end, so that a frame is never left half written.

    A second one interrupts at once.
    """
    received: list[int] = []

    def note(signum: int, frame: object) -> None:
        if received:
            raise KeyboardInterrupt
        received.append(signum)

    if threading.current_thread() is not threading.main_thread():
        yield received  # signals go to the main thread alone
        return
    before = {signum: signal.signal(signum, note) for signum in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


@contextlib.contextmanager
def show_progress(total: int | None, doing: str = "saving") -> Iterator[Callable[..., None]]:
    """Show how far it has come and how long it will take, on stderr where that is a terminal.

    What is given is called with how much is done, and with how much there is where that was not known before.
    """
    if not sys.stderr.isatty():
        yield lambda done, total=None: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn, TimeRemainingColumn

    columns = (doing, BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn(), "left")
    # what goes to the same terminal is printed above the bar, and a pipe gets its own
    with Progress(*columns, console=Console(stderr=True), redirect_stdout=sys.stdout.isatty()) as progress:
        task = progress.add_task(doing, total=total)
        yield lambda done, total=None: progress.update(task, completed=done, total=total)

"""One writer at a time: the ``.lock`` file, and whom it names.

imgstore 0.x makes the same file, empty. A lock is never taken away on a guess: only one whose process is known to be gone
on this very machine since it was started counts as left behind.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
from dataclasses import asdict, dataclass

from imgstore.errors import StoreLockedError, StoreWriteError
from imgstore.layout import LOCK_FILENAME

__all__ = ["LockOwner", "acquire", "read_lock", "release"]


@dataclass(frozen=True)
class LockOwner:
    """Who has a store open for writing.

    Attributes
    ----------
    host : str
        Name of the machine.
    pid : int
        Process number there.
    started : str
        When the store was opened, ISO time with zone.
    boot : str
        Tells one run of a machine from the next; empty where the system does not say.
    """

    host: str
    pid: int
    started: str
    boot: str

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, since {self.started}"


def _boot() -> str:
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            return file.read().strip()
    except OSError:
        return ""


def acquire(root: str) -> None:
    """Mark a store as open for writing.

    Raises
    ------
    StoreLockedError
        It is marked already; the message names the writer.
    StoreWriteError
        The directory cannot be written to.
    """
    import socket

    path = os.path.join(root, LOCK_FILENAME)
    now = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
    owner = LockOwner(socket.gethostname(), os.getpid(), now, _boot())
    try:
        with open(path, "x", encoding="utf-8") as file:
            json.dump(asdict(owner), file)
    except FileExistsError:
        holder = read_lock(root)
        who = str(holder) if holder is not None else "a writer that left no name (imgstore 0.x?)"
        raise StoreLockedError(
            f"{path}: the store is open for writing by {who}. If that writer is gone for certain, remove this file"
        ) from None
    except OSError as error:
        raise StoreWriteError(error.errno, f"cannot write to the store: {error.strerror or error}", path) from error


def read_lock(root: str) -> LockOwner | None:
    """Return whom the lock of a store names; None where there is no lock or it names nobody."""
    try:
        with open(os.path.join(root, LOCK_FILENAME), encoding="utf-8") as file:
            return LockOwner(**json.load(file))
    except (OSError, ValueError, TypeError):
        return None


def release(root: str) -> None:
    """Take the mark away."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(os.path.join(root, LOCK_FILENAME))

"""One writer at a time: the ``.lock`` file, and whom it names.

imgstore 0.x makes the same file, empty. A lock is never taken away on a guess: only one whose process is known to be
gone on this very machine since it was started counts as left behind.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
from dataclasses import asdict, dataclass
from typing import Literal

from imgstore.disk.layout import LOCK_FILENAME
from imgstore.errors import StoreLockedError, StoreWriteError

__all__ = ["LockOwner", "acquire", "check_process", "is_held", "is_left_behind", "lock_state", "read_lock", "release"]

_MAX_SIZE = 65536  # bytes that a damaged lock may cost to read


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
    process_start : str
        Tells one process of a number from the next; empty where the system does not say.
    """

    host: str
    pid: int
    started: str
    boot: str
    process_start: str

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, since {self.started}"


def _boot() -> str:
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            return file.read().strip()
    except OSError:
        return ""


def acquire(root: str, *, break_lock: bool = False) -> None:
    """Mark a store as open for writing.

    A lock whose writer is certainly dead is taken over.

    Parameters
    ----------
    root : str
        The store's directory.
    break_lock : bool
        The person says that the writer that the lock names is gone.

    Raises
    ------
    StoreLockedError
        It is marked already; the message names the writer, and says what to do.
    StoreWriteError
        The directory cannot be written to.
    """
    path = os.path.join(root, LOCK_FILENAME)
    owner = json.dumps(asdict(_myself())).encode("utf-8")
    try:
        if os.path.lexists(path) and (break_lock or is_left_behind(root)):
            _set_aside(path)
        with open(path, "xb") as file:
            file.write(owner)
    except FileExistsError:
        holder = read_lock(root)
        who = str(holder) if holder is not None else "a writer that left no name (imgstore 0.x?)"
        raise StoreLockedError(
            f"{path}: the store is open for writing by {who}. If you know that this writer is gone,"
            " say so with break_lock=True"
        ) from None
    except OSError as error:
        raise StoreWriteError(error.errno, f"cannot write to the store: {error.strerror or error}", path) from error


def _set_aside(path: str) -> None:
    """Take a lock away; where two try at once, only one finds it."""
    aside = f"{path}.{os.getpid()}"
    with contextlib.suppress(FileNotFoundError):
        os.rename(path, aside)
        os.unlink(aside)


def _myself() -> LockOwner:
    import socket

    now = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
    return LockOwner(socket.gethostname(), os.getpid(), now, _boot(), _process_start(os.getpid()))


def is_left_behind(root: str) -> bool:
    """Whether the lock names a process of this very run of this machine that is gone; anything else is for a person."""
    holder, myself = read_lock(root), _myself()
    if holder is None or not holder.boot or (holder.host, holder.boot) != (myself.host, myself.boot):
        return False
    return _process_start(holder.pid) != holder.process_start


def lock_state(root: str) -> Literal["free", "held", "left behind", "unknown"]:
    """Tell what is known of a store's writer; ``'held'`` and ``'left behind'`` are certain, ``'unknown'`` is not."""
    if not os.path.lexists(os.path.join(root, LOCK_FILENAME)):
        return "free"
    holder, myself = read_lock(root), _myself()
    if holder is None or not holder.boot or (holder.host, holder.boot) != (myself.host, myself.boot):
        return "unknown"
    return "left behind" if is_left_behind(root) else "held"


def is_held(root: str) -> bool:
    """Whether a writer has the store open, or may have."""
    return os.path.lexists(os.path.join(root, LOCK_FILENAME)) and not is_left_behind(root)


def _process_start(pid: int) -> str:
    """Return when a process was started, in ticks since the machine was; empty when there is none, or nobody says."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in (b"Z", b"X") else fields[19].decode("ascii")  # a zombie writes no more


def read_lock(root: str) -> LockOwner | None:
    """Return whom the lock of a store names; None where there is no lock or it names nobody."""
    try:
        with open(os.path.join(root, LOCK_FILENAME), encoding="utf-8") as file:
            return LockOwner(**json.loads(file.read(_MAX_SIZE)))
    except (OSError, ValueError, TypeError):
        return None


def check_process(root: str, pid: int) -> None:
    """Refuse to go on writing in a process that was forked from the one that began.

    Encoders have threads, which stay in the parent, and both have the same files open.

    Raises
    ------
    StoreLockedError
        This process is not the one that began.
    """
    if os.getpid() != pid:
        raise StoreLockedError(
            f"{root}: the store is open for writing by process {pid}, from which this one was forked: only that one can write"
        )


def release(root: str) -> None:
    """Take the mark away."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(os.path.join(root, LOCK_FILENAME))

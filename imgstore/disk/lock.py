"""One writer at a time: the ``.lock`` file, which the operating system locks for its writer, and whom it names.

imgstore 0.x makes the same file, empty, and nobody locks it. A lock is never taken away on a guess: it is left behind
where the system has let go of it, and it names this very run of this machine. Where the file system has no locks, and
for other machines, a person is asked.

The file is made exclusively, or what is left behind is taken over in its place: whoever holds the system's lock of the
file that is under this name at that moment has the store.
"""

from __future__ import annotations

import contextlib
import datetime
import errno
import json
import os
import stat
import time
from dataclasses import asdict, dataclass, replace
from typing import Literal

from imgstore.disk.atomic import as_write_error
from imgstore.disk.layout import LOCK_FILENAME
from imgstore.disk.system_lock import try_lock
from imgstore.errors import StoreLockedError, StoreWriteError

__all__ = ["LockOwner", "acquire", "check_process", "is_held", "lock_state", "read_lock", "release"]

_MAX_SIZE = 65536  # bytes that a damaged lock may cost to read
_TRIES = 10  # a lock that is being made has no name for an instant
_PAUSE = 0.01  # seconds between them
_PATIENCE = {True: 10.0, False: 1.0}  # seconds, by whether one made the file: then others can but look at it
_FLAGS = (  # a link is not followed, a pipe is not waited for
    getattr(os, "O_BINARY", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
)

_held: dict[str, tuple[int, bytes]] = {}  # this process's locks: descriptor, and what was written, by absolute path


def _let_go_of_inherited() -> None:
    """Close in a forked child what is the parent's, whose lock would else outlive it."""
    for descriptor, _ in _held.values():
        with contextlib.suppress(OSError):
            os.close(descriptor)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go_of_inherited)


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
    system_lock : bool
        Whether the operating system keeps a lock on the file for as long as the writer has it open.
    """

    host: str
    pid: int
    started: str
    boot: str
    process_start: str
    system_lock: bool = False

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

    A lock whose writer is certainly dead is taken over. A process that is forked from this one does not have the lock.

    Parameters
    ----------
    root : str
        The store's directory.
    break_lock : bool
        The person says that the writer that the lock names is gone. This is of no effect where the operating system
        knows that it is not.

    Raises
    ------
    StoreLockedError
        It is marked already; the message names the writer, and says what to do.
    StoreWriteError
        The directory cannot be written to, or the lock in it.
    """
    path = os.path.join(root, LOCK_FILENAME)
    found = ""
    try:
        for _ in range(_TRIES):
            found = _try_to_acquire(path, break_lock)
            if found == "ours":
                return
            if found != "changing":
                break
            time.sleep(_PAUSE)
    except OSError as error:
        raise as_write_error(path, error) from error
    holder = read_lock(root)
    who = str(holder) if holder is not None else "a writer that left no name (imgstore 0.x?)"
    if found == "held":
        raise StoreLockedError(f"{path}: the store is open for writing by {who}, which is at work")
    raise StoreLockedError(
        f"{path}: the store is open for writing by {who}. If you know that this writer is gone, say so with"
        " break_lock=True"
    )


def _try_to_acquire(path: str, break_lock: bool) -> Literal["ours", "held", "unknown", "changing"]:
    myself = _myself()  # before there is a file: who is killed before its name is in it leaves one that nobody may take away
    made, descriptor = _open_or_make(path)
    with contextlib.ExitStack() as undo:
        undo.callback(os.close, descriptor)
        locked = _lock(descriptor, made)
        if locked is False:
            return "held"
        if not _is_at(path, descriptor):
            return "changing"  # its writer has let go of it meanwhile
        content = _content(descriptor)
        if not (made or break_lock or _is_left_behind(_parse(content), locked)):
            return "unknown" if content else "changing"  # without a name it is of 0.x, or being made this moment
        if made:
            undo.callback(_unlink, path, b"")
        name = json.dumps(asdict(replace(myself, system_lock=bool(locked)))).encode("utf-8")
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, name)
        os.ftruncate(descriptor, len(name))
        _held[os.path.abspath(path)] = descriptor, name
        undo.pop_all()
    return "ours"


def _open_or_make(path: str) -> tuple[bool, int]:
    """Return whether the file was made, and its descriptor."""
    try:
        return True, os.open(path, _FLAGS | os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
    except FileExistsError:
        with contextlib.suppress(FileNotFoundError):
            return False, _checked(os.open(path, _FLAGS | os.O_RDWR), path)
    return True, os.open(path, _FLAGS | os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)  # it went between the two


def _checked(descriptor: int, path: str) -> int:
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "this is no file", path)
    return descriptor


def _lock(descriptor: int, made: bool) -> bool | None:
    """As `try_lock`, but waiting for somebody who just looks at the lock: who that is has no name in it."""
    deadline = time.monotonic() + _PATIENCE[made]
    while (locked := try_lock(descriptor)) is False:
        holder = _parse(_content(descriptor))
        if time.monotonic() > deadline or (holder is not None and _is_alive(holder)):
            break
        time.sleep(_PAUSE)
    return locked


def _is_at(path: str, descriptor: int) -> bool:
    """Whether an open file is still the one of this name."""
    try:
        return os.path.samestat(os.stat(path, follow_symlinks=False), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _content(descriptor: int) -> bytes:
    os.lseek(descriptor, 0, os.SEEK_SET)
    return os.read(descriptor, _MAX_SIZE)


def _parse(content: bytes) -> LockOwner | None:
    try:
        owner = LockOwner(**json.loads(content))
    except (ValueError, TypeError, RecursionError):
        return None
    texts = owner.host, owner.started, owner.boot, owner.process_start
    return owner if isinstance(owner.pid, int) and all(isinstance(text, str) for text in texts) else None


def _myself() -> LockOwner:
    import socket

    now = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
    return LockOwner(socket.gethostname(), os.getpid(), now, _boot(), _process_start(os.getpid()))


def _is_of_this_run(holder: LockOwner) -> bool:
    import socket

    return (holder.host, holder.boot) == (socket.gethostname(), _boot())


def _is_left_behind(holder: LockOwner | None, locked: bool | None) -> bool:
    """Whether a lock, which one has just locked or tried to, names a process of this very run of this machine that is gone."""
    return bool(locked) and holder is not None and holder.system_lock and _is_of_this_run(holder)


def lock_state(root: str) -> Literal["free", "held", "left behind", "unknown"]:
    """Tell what is known of a store's writer; ``'held'`` and ``'left behind'`` are certain, ``'unknown'`` is not."""
    path = os.path.join(root, LOCK_FILENAME)
    try:
        descriptor = _checked(os.open(path, _FLAGS | os.O_RDONLY), path)
    except FileNotFoundError:
        return "free"
    except OSError:
        return "unknown"
    try:
        locked = try_lock(descriptor, shared=True)
        holder = _parse(_content(descriptor))
        if not _is_at(path, descriptor):
            return lock_state(root)
    except OSError:
        return "unknown"
    finally:
        os.close(descriptor)
    if locked is False:
        return "held"
    if _is_left_behind(holder, locked):
        return "left behind"
    return "held" if holder is not None and _is_alive(holder) else "unknown"


def is_held(root: str) -> bool:
    """Whether a writer has the store open, or may have."""
    return lock_state(root) in ("held", "unknown")


def _is_alive(holder: LockOwner) -> bool:
    return bool(holder.boot and holder.process_start) and (
        _is_of_this_run(holder) and _process_start(holder.pid) == holder.process_start
    )


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
    path = os.path.join(root, LOCK_FILENAME)
    try:
        descriptor = _checked(os.open(path, _FLAGS | os.O_RDONLY), path)
        try:
            return _parse(_content(descriptor))
        finally:
            os.close(descriptor)
    except OSError:
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
    """Take the mark away, if this process has made it.

    Raises
    ------
    StoreWriteError
        The file cannot be removed. It counts as left behind.
    """
    path = os.path.join(root, LOCK_FILENAME)
    descriptor, name = _held.pop(os.path.abspath(path), (None, b""))
    if descriptor is None:
        return
    try:
        with contextlib.ExitStack() as closing:
            closing.callback(os.close, descriptor)
            if not _is_at(path, descriptor) or _content(descriptor) != name:
                return  # somebody has taken it away, and what is there is another's
            if os.name == "nt":  # which removes no file that is open
                closing.close()
            _unlink(path, name)
    except OSError as error:
        reason = f"the store's lock cannot be removed: {error.strerror or error}"
        raise StoreWriteError(error.errno, reason, path) from error


def _unlink(path: str, name: bytes) -> None:
    """Remove a lock with a name in it; Windows refuses that while somebody looks at it, or has taken it over."""
    for k in range(_TRIES):
        try:
            os.unlink(path)
            return
        except FileNotFoundError:
            return
        except PermissionError:
            if os.name != "nt" or k + 1 == _TRIES:
                raise
        if os.path.exists(path) and read_lock(os.path.dirname(path)) != _parse(name):
            return
        time.sleep(_PAUSE)

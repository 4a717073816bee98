"""A lock on an open file that the operating system keeps: it goes when the file is closed, however its process ends.

It belongs to the open file, so that opening it once more in the same process is another's try. `flock` on Linux and
macOS; on Windows a byte far behind the file's end is locked, for what is locked there cannot be read by others.
"""

from __future__ import annotations

import os
import sys

__all__ = ["try_lock"]

if sys.platform == "win32":
    import msvcrt

    _FAR = 1 << 30  # bytes; files that are locked are small

    def _lock(descriptor: int, shared: bool) -> None:
        os.lseek(descriptor, _FAR, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(descriptor: int, shared: bool) -> None:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)


def try_lock(descriptor: int, *, shared: bool = False) -> bool | None:
    """Lock an open file without waiting.

    Parameters
    ----------
    descriptor : int
        Open for reading and writing, unless `shared`.
    shared : bool
        Others may lock it in this way too, except on Windows.

    Returns
    -------
    bool or None
        Whether it is locked now; None where the file system has no locks.
    """
    try:
        _lock(descriptor, shared)
    except (BlockingIOError, PermissionError):  # EWOULDBLOCK, and what Windows says
        return False
    except OSError:  # ENOLCK, ENOSYS, EOPNOTSUPP: some network file systems
        return None
    return True

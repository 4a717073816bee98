"""Which process writes in a directory. The lock of imgstore 0.x names nobody, so this is the only way to find out."""

from __future__ import annotations

import contextlib
import os

__all__ = ["who_writes_in"]


def who_writes_in(directory: str) -> int | None:
    """Return the number of another process that has a file in a directory open for writing.

    Linux tells (``/proc``), of the user's own processes; elsewhere nobody is found.
    """
    inside = os.path.join(os.path.realpath(directory), "")
    try:
        processes = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return None
    for process in processes:
        if process == os.getpid():
            continue
        descriptors = f"/proc/{process}/fd"
        with contextlib.suppress(OSError):
            for name in os.listdir(descriptors):
                with contextlib.suppress(OSError):
                    path = os.path.join(descriptors, name)
                    if os.lstat(path).st_mode & 0o200 and os.readlink(path).startswith(inside):
                        return process
    return None

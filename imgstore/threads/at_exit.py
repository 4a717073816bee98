"""Threads end before the interpreter does.

While that shuts down, Python before 3.14 ends a thread that asks for its lock, in the midst of whatever C or C++ code the
thread is in. A library that cannot be left so takes the process with it (SIGABRT), and who waits for the thread waits for
ever. So what has threads ends them at exit, and begins none after that: who asks does the work.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
import weakref
from typing import Protocol

__all__ = ["begins"]

# Seconds for all of them together: one that is stuck, in a read from a network, keeps no process from ending.
_PATIENCE = 10.0


class _HasThreads(Protocol):
    def request_stop(self) -> None:
        """Ask threads to end, without waiting for them."""

    def wait(self, timeout: float) -> None:
        """Wait for that, so many seconds at the most."""


_living: weakref.WeakSet[_HasThreads] = weakref.WeakSet()
_over = False


def begins(thread: threading.Thread, owner: _HasThreads) -> bool:
    """Start a thread, whose owner ends it when the interpreter is about to shut down.

    Returns
    -------
    bool
        False: none is to be had, most of all as the interpreter shuts down.
    """
    if _over:
        return False
    _living.add(owner)
    try:
        thread.start()
    except RuntimeError:  # Python 3.12 refuses before it calls what was registered for its exit
        return False
    return True


@atexit.register
def _end_all() -> None:
    global _over
    _over = True
    deadline = time.monotonic() + _PATIENCE
    living = list(_living)
    for each in living:
        each.request_stop()
    for each in living:
        each.wait(max(0.0, deadline - time.monotonic()))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_living.clear)  # these threads stayed in the parent

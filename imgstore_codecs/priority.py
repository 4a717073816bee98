"""Keeping the scheduling of threads as it is while an encoder is opened."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

__all__ = ["usual_priority"]


@contextmanager
def usual_priority() -> Iterator[None]:
    """Undo what SVT-AV1 does where root runs it, in a container for instance.

    It gives the thread that opens it, and all of its own, the highest real-time priority for good. They would take the
    cores from the camera's threads, and whoever waits for another thread in a loop would wait for ever.
    """
    if sys.platform != "linux":
        yield
        return
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    before = _threads()
    try:
        yield
    finally:
        for thread in (0, *(_threads() - before)):  # 0 is the calling one
            with suppress(OSError):  # it has ended meanwhile
                if os.sched_getscheduler(thread) == os.SCHED_FIFO:
                    os.sched_setscheduler(thread, policy, parameters)


def _threads() -> set[int]:
    try:
        return set(map(int, os.listdir("/proc/self/task")))
    except OSError:  # /proc is not there
        return set()

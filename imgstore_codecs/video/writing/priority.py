"""How the system schedules the threads of an encoder."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

__all__ = ["batch_priority", "usual_priority"]


@contextmanager
def batch_priority() -> Iterator[None]:
    """Let the threads that begin meanwhile, an encoder's, be batch jobs to Linux, at the priority that they would have.

    x264 wakes a thread for each part of a picture, several times per frame. Threads of the usual kind push aside the one
    that wakes them, which has the next one still to wake, and then share a core while another is idle. Batch jobs wait
    until it is done (sched(7), SCHED_BATCH), and leave the core to the camera's threads, too. Other encoders gain little
    by it, or lose.
    """
    if sys.platform != "linux" or os.sched_getscheduler(0) != os.SCHED_OTHER:  # what a program has chosen, it keeps
        with usual_priority():
            yield
        return
    try:
        with suppress(OSError):  # not allowed in some containers
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))  # which threads inherit
        with usual_priority():
            yield
    finally:
        with suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


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

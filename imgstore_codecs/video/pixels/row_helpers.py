"""Threads that convert the rows of large pictures, beside the one that reads."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from imgstore.threads.at_exit import begins
from imgstore_codecs.video.pixels._yuv import Helper

if TYPE_CHECKING:
    from imgstore.codec import FrameSpec

__all__ = ["RowHelpers"]

# So many pixels of colour are worth a thread: they take a fifth of a millisecond
_WORTH_A_THREAD = 500_000
_MOST_THREADS = 4


class RowHelpers:
    """Keeps helpers, and a thread for each.

    The threads begin when they are of use, and end with `close`, and when this is garbage-collected.

    Parameters
    ----------
    spec : FrameSpec
        What pictures are converted to: it depends on that how many helpers there are, if any.
    """

    def __init__(self, spec: FrameSpec) -> None:
        self._count = 0
        if spec.color and spec.dtype == np.uint8:
            height, width = spec.shape[:2]
            self._count = max(0, min(_MOST_THREADS, os.cpu_count() or 1, height * width // _WORTH_A_THREAD) - 1)
        self._helpers: list[Helper] = []
        self._threads: list[threading.Thread] = []
        self._finalizer = weakref.finalize(self, _dismiss, self._helpers)
        self._finalizer.atexit = False

    def wake(self) -> Sequence[Helper]:
        """Have all wait for a picture that is to come in some microseconds, and return them."""
        while len(self._threads) < self._count:
            helper = Helper()
            thread = threading.Thread(target=helper.serve, name="imgstore-video", daemon=True)
            self._helpers.append(helper)
            self._threads.append(thread)
            if not begins(thread, self):
                self._helpers.pop()
                self._threads.pop()
                break
        for helper in self._helpers:
            helper.wake()
        return self._helpers

    def close(self) -> None:
        """End the threads; where there is a picture to convert, others begin."""
        self.request_stop()
        self.wait()
        self._threads.clear()

    def request_stop(self) -> None:
        """Have the threads end."""
        _dismiss(self._helpers)

    def wait(self, timeout: float | None = None) -> None:
        """Wait until they have, so many seconds for each at the most."""
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(timeout)


def _dismiss(helpers: list[Helper]) -> None:
    while helpers:
        helpers.pop().dismiss()

"""Reading without its warnings, where what it would warn of is found and told in another way."""

from __future__ import annotations

import contextlib
import threading
import warnings
from collections.abc import Iterator

from imgstore.errors import ImgStoreWarning

__all__ = ["without_warnings"]

# Filters are the process's. `warnings.catch_warnings` brings back those that there were when it was entered, and of two
# threads the one that leaves last entered when the other one's held.
_lock = threading.Lock()
_inside = 0
_caught = contextlib.ExitStack()


@contextlib.contextmanager
def without_warnings() -> Iterator[None]:
    """Give no `ImgStoreWarning` within; several threads may be, and the last one to leave brings back what was before."""
    global _inside
    with _lock:
        if not _inside:
            _caught.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore", ImgStoreWarning)
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if not _inside:
                _caught.close()

"""Telling plugins of a recording behind its back, so that none of them can hold it up or keep another from hearing."""

from __future__ import annotations

import logging
import time
import weakref
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from imgstore import plugins
from imgstore.threads.background import InOrder

if TYPE_CHECKING:
    from imgstore.store import ImgStore

__all__ = ["PATIENCE", "Listeners"]

_log = logging.getLogger("imgstore.listeners")  # the name that docs/plugins.md gives

PATIENCE = 60.0  # seconds for which opening and closing wait for plugins that are at work


class Listeners:
    """Calls the hooks of one store that is written: each plugin's in order, in a thread of its own.

    Parameters
    ----------
    store : ImgStore
        The store, which is not kept alive by this. Once it is gone nothing is called any more.
    """

    def __init__(self, store: ImgStore):
        self._store = weakref.ref(store)
        self._queues: dict[str, InOrder] = {}

    def tell(self, hook_name: str, **arguments: Any) -> None:
        """Have a hook called, of each plugin that has it, and return at once."""
        for name in plugins.listeners(hook_name):
            queue = self._queues.setdefault(name, InOrder())
            queue.submit(partial(self._call, name, hook_name, arguments))

    def _call(self, name: str, hook_name: str, arguments: Mapping[str, Any]) -> None:
        store = self._store()
        if store is None:
            return
        try:
            plugins.notify(hook_name, only=name, store=store, **arguments)
        except BaseException as error:  # SystemExit and the like: this thread has others to call
            _log.error("imgstore plugin %r: %s raised %r", name, hook_name, error)

    def wait(self) -> None:
        """Give plugins time to finish; those that take too long are left behind, at work."""
        deadline = time.monotonic() + PATIENCE
        for name, queue in self._queues.items():
            if not queue.wait(max(0.0, deadline - time.monotonic())):
                _log.warning("imgstore plugin %r is still at work after %g s and is not waited for", name, PATIENCE)

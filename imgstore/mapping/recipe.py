"""How a store is opened again in whatever process, and the stores that a process keeps open for the next who asks."""

from __future__ import annotations

import contextlib
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

__all__ = ["Recipe", "opened"]

_MOST_IDLE = 4  # stores that wait in a process for the next who asks, each with some open chunks

_turn = threading.Lock()
_idle: list[tuple[str, Any]] = []  # token and store, the one that was used last at the end


@dataclass(frozen=True)
class Recipe:
    """How a store, or a group of stores, is opened again: small, where it is pickled, and good for any process.

    Attributes
    ----------
    token : str
        The same for recipes whose stores stand in for each other.
    again : callable
        Opens it.
    arguments : tuple
        Of `again`.
    """

    token: str
    again: Callable[..., Any]
    arguments: tuple[Any, ...]

    @classmethod
    def of(cls, store: Any, token: str | None = None) -> Recipe:
        """Return the recipe of a store that is open for reading."""
        again, arguments = store.__reduce__()[:2]
        return cls(token or uuid.uuid4().hex, again, arguments)


@contextlib.contextmanager
def opened(recipe: Recipe) -> Iterator[Any]:
    """Give a store that nobody else uses meanwhile: one that waits, or one more.

    Threads that read at the same time have a store each, so that none waits for another.
    """
    store = _take(recipe.token)
    if store is None:
        store = recipe.again(*recipe.arguments)
    try:
        yield store
    except BaseException:
        store.close()  # whatever is open may stand anywhere
        raise
    with _turn:
        _idle.append((recipe.token, store))
        surplus = [_idle.pop(0)[1] for _ in range(len(_idle) - _MOST_IDLE)]
    for old in surplus:
        old.close()


def _take(token: str) -> Any:
    with _turn:
        for k in range(len(_idle) - 1, -1, -1):
            if _idle[k][0] == token:
                return _idle.pop(k)[1]
    return None

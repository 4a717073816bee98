"""What stands in the place of a store's index once the store is closed."""

from __future__ import annotations

from typing import NoReturn

from imgstore.errors import StoreClosedError

__all__ = ["ClosedIndex"]


class ClosedIndex:
    """Whatever is asked of it is an error: another thread may close a store while one is about to read.

    Parameters
    ----------
    root : str
        The store's directory.
    """

    def __init__(self, root: str):
        self._root = root

    def __getattr__(self, name: str) -> NoReturn:
        raise StoreClosedError(f"{self._root}: the store is closed, it cannot be read from")

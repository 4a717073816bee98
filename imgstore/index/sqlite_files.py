"""Which SQLite indexes a store has: other programs go by them, whatever the chunks say, so each has to be true or gone."""

from __future__ import annotations

import os

from imgstore.disk.layout import FORK_INDEX_FILENAME, SQLITE_INDEX_FILENAME
from imgstore.errors import ChunkIndexError

__all__ = ["sqlite_indexes"]


def sqlite_indexes(root: str) -> list[str]:
    """Return the paths of those that are there: ``.index.sqlite`` of 0.x and ``index.db`` of imgstore-shaliulab.

    The second name may be that of anybody's file: it counts where it is a database with the tables of an index.
    """
    paths = []
    usual, of_fork = (os.path.join(root, name) for name in (SQLITE_INDEX_FILENAME, FORK_INDEX_FILENAME))
    if os.path.lexists(usual):
        paths.append(usual)
    if os.path.lexists(of_fork) and _is_index(of_fork):
        paths.append(of_fork)
    return paths


def _is_index(path: str) -> bool:
    from imgstore.index.sqlite import read_sqlite_paths  # SQLite costs 2 MB

    try:
        read_sqlite_paths(path)
    except ChunkIndexError:
        return False
    return True

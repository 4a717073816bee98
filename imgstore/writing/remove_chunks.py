"""Removing every chunk of a store that is emptied, or all of one whose place another takes."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Collection, Iterator

from imgstore.disk.atomic import sync_directory
from imgstore.disk.journal import remove_journal
from imgstore.disk.layout import (
    METADATA_FILENAME,
    REPLACED_FILENAME,
    chunk_name,
    list_store,
)
from imgstore.errors import ImgStoreError, StoreWriteError
from imgstore.index.cache import CACHE_FILENAME
from imgstore.index.sqlite_files import sqlite_indexes

__all__ = ["remove_chunks", "remove_store"]


def remove_store(root: str, extensions: Collection[str | None]) -> None:
    """Remove the store that is there, or go on with that; other files stay.

    Its metadata come first, under a name that tells what was there: what is half removed is no store. That name is the last to
    go, when nothing of the chunks can come back after a power cut.

    Parameters
    ----------
    root : str
        The store's directory, locked.
    extensions : collection of str or None
        That chunks of any store may have; None for directories.

    Raises
    ------
    StoreWriteError
        The operating system refused. Calling it again goes on.
    """
    path, replaced = os.path.join(root, METADATA_FILENAME), os.path.join(root, REPLACED_FILENAME)
    with _refusals_told(root):
        if os.path.lexists(path):
            os.replace(path, replaced)
            sync_directory(root)
        if os.path.lexists(replaced):
            remove_chunks(root, extensions)
            sync_directory(root)
            os.unlink(replaced)


def remove_chunks(root: str, extensions: Collection[str | None]) -> None:
    """Remove every chunk of a store, with what belongs to it, one after the other; other files stay.

    Parameters
    ----------
    root : str
        The store's directory, locked.
    extensions : collection of str or None
        That its chunks may have; None for directories.

    Raises
    ------
    StoreWriteError
        The operating system refused. What was not removed yet is still there.
    """
    with _refusals_told(root):
        for number in sorted(list_store(root, None).named):
            remove_journal(root, number)
            path = os.path.join(root, chunk_name(number))
            if None in extensions and os.path.isdir(path):
                shutil.rmtree(path)
            for ending in (*extensions, ".npz", ".yaml", ".extra.json", ".extra_data.json", ".extra_data.h5"):
                if ending is not None:
                    _remove(path + ending)
        for path in (os.path.join(root, CACHE_FILENAME), *sqlite_indexes(root)):
            _remove(path)


@contextlib.contextmanager
def _refusals_told(root: str) -> Iterator[None]:
    try:
        yield
    except ImgStoreError:
        raise
    except OSError as error:
        reason = f"the old store cannot be removed: {error.strerror or error}"
        raise StoreWriteError(error.errno, reason, error.filename or root) from error


def _remove(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)

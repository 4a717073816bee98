"""Removing every chunk of a store: it is emptied, or another takes its place."""

from __future__ import annotations

import contextlib
import os
import shutil

from imgstore.disk.journal import remove_journal
from imgstore.disk.layout import SQLITE_INDEX_FILENAME, chunk_name, list_store
from imgstore.errors import ImgStoreError, StoreWriteError
from imgstore.index.cache import CACHE_FILENAME

__all__ = ["remove_chunks"]


def remove_chunks(root: str, extension: str | None) -> None:
    """Remove every chunk of a store, with what belongs to it; other files stay.

    Raises
    ------
    StoreWriteError
        The operating system refused. What was not removed yet is still there.
    """
    try:
        for number in list_store(root, extension).named:
            remove_journal(root, number)
            path = os.path.join(root, chunk_name(number))
            if extension is None and os.path.isdir(path):
                shutil.rmtree(path)
            for ending in (extension, ".npz", ".yaml", ".extra.json", ".extra_data.json", ".extra_data.h5"):
                if ending is not None:
                    _remove(path + ending)
        for name in (CACHE_FILENAME, SQLITE_INDEX_FILENAME):
            _remove(os.path.join(root, name))
    except ImgStoreError:
        raise
    except OSError as error:
        reason = f"the old store cannot be removed: {error.strerror or error}"
        raise StoreWriteError(error.errno, reason, error.filename or root) from error


def _remove(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)

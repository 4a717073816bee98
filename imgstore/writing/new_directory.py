"""The directory of a new store: made and locked, and as it was before where the store does not come about."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence

from imgstore.disk import lock
from imgstore.disk.atomic import make_directory
from imgstore.disk.layout import METADATA_FILENAME, UNFINISHED_DIRECTORY, UNFINISHED_PLAN, holds_chunks, is_half_removed
from imgstore.errors import StoreExistsError, StoreWriteError
from imgstore.writing.remove_chunks import remove_store

__all__ = ["made_directory", "new_directory", "refuse_to_overwrite"]


@contextlib.contextmanager
def new_directory(root: str, extensions: Sequence[str | None], *, overwrite: bool, break_lock: bool) -> Iterator[None]:
    """Make the directory of a new store and lock it; where the block ends in an error, nothing of the store is left.

    Parameters
    ----------
    root : str
        The directory.
    extensions : sequence of str or None
        That chunks of any store may have; None for directories.
    overwrite : bool
        Whether a store that is there is removed, or what is left of one. That is the last thing that is before the block.
    break_lock : bool
        The person says that the writer that the lock names is gone.

    Raises
    ------
    StoreExistsError, StoreLockedError
        There is a store already, or one is being made of others, or somebody writes one.
    StoreWriteError
        The operating system refused.
    """
    with made_directory(root), contextlib.ExitStack() as undo:
        _refuse_beside_unfinished(root)
        refuse_to_overwrite(root, extensions, overwrite)
        lock.acquire(root, break_lock=break_lock)
        undo.callback(lock.release, root)
        refuse_to_overwrite(root, extensions, overwrite)  # somebody may have made one meanwhile
        remove_store(root, extensions)
        undo.callback(_remove_metadata, root)
        yield
        undo.pop_all()


@contextlib.contextmanager
def made_directory(root: str) -> Iterator[None]:
    """Make a directory, and those above it; where the block ends in an error, those that were made and are empty go again.

    Raises
    ------
    StoreWriteError
        The operating system refused.
    """
    with contextlib.ExitStack() as undo:
        for path in _missing(root):
            undo.callback(_remove_empty_directory, path)
        try:
            make_directory(root)
        except OSError as error:
            raise StoreWriteError(error.errno, f"the store cannot be made: {error.strerror or error}", root) from error
        yield
        undo.pop_all()


def _missing(root: str) -> list[str]:
    """Return the directories that are to be made, the uppermost first."""
    missing, path = [], os.path.abspath(root)
    while not os.path.lexists(path):
        missing.append(path)
        path = os.path.dirname(path)
    return missing[::-1]


def _remove_empty_directory(path: str) -> None:
    with contextlib.suppress(OSError):  # it may be another's by now
        os.rmdir(path)


def _remove_metadata(root: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(os.path.join(root, METADATA_FILENAME))


def _refuse_beside_unfinished(root: str) -> None:
    """Raise StoreExistsError where a store is being made of others: completed, it would take the place of a recording."""
    path = os.path.join(root, UNFINISHED_DIRECTORY)
    if os.path.exists(os.path.join(path, UNFINISHED_PLAN)):
        raise StoreExistsError(
            f"{root}: holds a store that was begun, which 'imgstore save --resume {root}' completes; remove {path} to give it up"
        )


def refuse_to_overwrite(root: str, extensions: Sequence[str | None], overwrite: bool) -> None:
    """Raise StoreExistsError where there is a store, or a part of one, that may not be removed."""
    exists = os.path.lexists(os.path.join(root, METADATA_FILENAME))
    if exists and not overwrite:
        raise StoreExistsError(f"{root}: there is a store already; remove it, or give overwrite=True to replace it")
    if is_half_removed(root):
        if not overwrite:  # what is left may be wanted: nobody has said of this call that it may go
            raise StoreExistsError(
                f"{root}: holds what is left of a store that was being replaced; give overwrite=True to replace that too"
            )
        return
    if not exists and holds_chunks(root, extensions):
        begun = os.path.isdir(os.path.join(root, UNFINISHED_DIRECTORY))
        way = f"'imgstore save --resume {root}' completes it" if begun else "write elsewhere"
        raise StoreExistsError(f"{root}: holds chunks of a store whose {METADATA_FILENAME} is missing; {way}")

"""Where repair puts what is of no use in a store: beside the store, never into nothing.

imgstore 0.x takes every sub-directory of a store for a chunk, so it is a directory next to it: ``mystore.set-aside``
for ``mystore``, with the same names inside.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator

from imgstore.disk.atomic import sync_directory
from imgstore.errors import StoreWriteError

__all__ = ["SetAside"]


class SetAside:
    """A directory for what is taken out of a store. It is made when there is something to put in.

    Parameters
    ----------
    root : str
        The store's directory.
    directory : str, optional
        The other one, on the same file system; default ``ROOT.set-aside``.
    """

    def __init__(self, root: str, directory: str | None = None):
        self._root = root
        self.directory = directory or f"{root}.set-aside"

    def move(self, path: str) -> None:
        """Take a file or a directory out of the store.

        Raises
        ------
        StoreWriteError
            The operating system refused; it is where it was.
        """
        self._place(path, os.rename)
        sync_directory(os.path.dirname(path))

    def keep(self, path: str) -> None:
        """Keep what a file holds now, before another one is put in its place.

        Raises
        ------
        StoreWriteError
            The operating system refused.
        """
        relative = os.path.relpath(path, self._root)
        if any(os.path.exists(there) and os.path.samefile(there, path) for there in self._kept(relative)):
            return  # by a repair that was interrupted
        try:
            self._place(path, os.link)
        except StoreWriteError:
            self._place(path, _copy)  # a file system without links

    def _kept(self, relative: str) -> Iterator[str]:
        """Give the paths under which something of this name has been set aside."""
        path, number = os.path.join(self.directory, relative), 0
        while os.path.lexists(path):
            yield path
            number += 1
            path = os.path.join(self.directory, f"{relative}.{number}")

    def _place(self, path: str, put: Callable[[str, str], object]) -> None:
        relative = os.path.relpath(path, self._root)
        taken = sum(1 for _ in self._kept(relative))
        target = os.path.join(self.directory, f"{relative}.{taken}" if taken else relative)
        try:
            os.makedirs(os.path.dirname(target), exist_ok=True)
            put(path, target)
        except OSError as error:
            what = error.strerror
            if error.errno == errno.EXDEV:
                what = "that is another file system; name a directory on the store's own"
            raise StoreWriteError(error.errno, f"cannot be set aside in {self.directory!r}: {what}", path) from error
        sync_directory(os.path.dirname(target))
        sync_directory(os.path.dirname(self.directory))


def _copy(path: str, target: str) -> None:
    import shutil

    shutil.copyfile(path, target)
    with open(target, "r+b") as file:
        os.fsync(file.fileno())

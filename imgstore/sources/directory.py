"""Files of this machine: those of a directory, or some that were named."""

from __future__ import annotations

import errno
import io
import os
import stat
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from imgstore.sources.source import Source, Stamp

__all__ = ["Directory", "Files"]

_PIECE = 1 << 20  # bytes that are read and, while the processor's cache has them, shown
_HUGE = 4 << 20  # numpy asks for large pages from here on, which take the system less time


# what is no file may be a pipe, of which opening it would wait for a writer
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


def _open(path: str) -> io.FileIO:
    """Open a file to read; `open` with an opener of ours would take a microsecond more, for every frame of a store."""
    descriptor = os.open(path, _FLAGS)
    try:
        return io.FileIO(descriptor)
    except BaseException:  # it is a directory
        os.close(descriptor)
        raise


class Directory(Source):
    """The files below a directory.

    Parameters
    ----------
    root : str
        The directory, absolute.
    """

    def __init__(self, root: str):
        self._before = os.path.join(root, "")

    def names(self) -> Sequence[str]:
        return os.listdir(self._before)

    def stamp(self, name: str) -> Stamp:
        facts = os.stat(self._before + name)
        return facts.st_ino, facts.st_size, facts.st_mtime_ns

    def read(
        self, name: str, start: int = 0, size: int | None = None, seen: Callable[[memoryview], object] | None = None
    ) -> npt.NDArray[np.uint8]:
        with _open(self._before + name) as file:
            facts = os.fstat(file.fileno())
            if not stat.S_ISREG(facts.st_mode):
                raise OSError(errno.EINVAL, "it is no regular file", self._before + name)
            there = facts.st_size - start
            size = max(0, there if size is None else min(size, there))
            if start:
                file.seek(start)
            data = np.empty(_HUGE, np.uint8)[:size] if _HUGE // 2 <= size < _HUGE else np.empty(size, np.uint8)
            done, view = 0, memoryview(data)  # type: ignore[arg-type]
            while done < size:
                count = file.readinto(view[done : done + _PIECE])
                if not count:
                    raise EOFError(f"the file was cut to {start + done} bytes while it was read")
                if seen is not None:
                    seen(view[done : done + count])
                done += count
        return data

    def local_path(self, name: str) -> str:
        return os.path.normpath(self._before + name)

    def shown(self, name: str) -> str:
        return self.local_path(name)


class Files(Directory):
    """Files of a directory that were chosen, in an order that was chosen; or files from anywhere, by their whole paths.

    Parameters
    ----------
    root : str
        The directory; empty where the names are whole paths.
    names : sequence of str
        The files.
    """

    def __init__(self, root: str, names: Sequence[str]):
        super().__init__(root)
        self._names = names

    def names(self) -> Sequence[str]:
        return self._names

"""Put a file in place whole, or not at all.

The steps are those that every database relies on: write under another name in the same directory, flush and
fsync the file, rename it over the old one, fsync the directory so that the rename itself survives a power
cut. A reader sees the old file or the new one, never half of one.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from imgstore.errors import ImgStoreError, StoreWriteError

__all__ = [
    "as_write_error",
    "atomic_file",
    "make_directory",
    "replace_file",
    "sync_directory",
    "sync_file",
    "temporary_name",
]

Buffer = bytes | bytearray | memoryview


def as_write_error(path: str, error: OSError) -> ImgStoreError:
    """Return what is to be raised where the operating system refused to write to a store; errors of ours stay."""
    if isinstance(error, ImgStoreError):
        return error
    return StoreWriteError(error.errno, f"cannot write to the store: {error.strerror or error}", path)


def temporary_name(path: str | os.PathLike[str]) -> Path:
    """Name under which `path` is written before it is renamed.

    Parameters
    ----------
    path : str or PathLike
        The name in the end.

    Returns
    -------
    pathlib.Path
        A hidden name in the same directory, ending in ``.tmp`` so that nothing that looks for chunks by their
        extension (imgstore 0.x does) takes it for one.
    """
    path = Path(path)
    return path.with_name(f".{path.name.lstrip('.')}.tmp")


def sync_file(path: str) -> None:
    """Wait until a file is on the disk."""
    # a video that was moved into a store may be read-only; Windows wants more
    descriptor = os.open(path, os.O_RDWR if sys.platform == "win32" else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_directory(path: str | os.PathLike[str]) -> None:
    """Make the names in a directory durable.

    Parameters
    ----------
    path : str or PathLike
        A directory. Systems that cannot open or sync one (Windows, some network file systems) are left alone:
        there is nothing more that could be done there.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return
    try:
        with contextlib.suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_directory(path: str) -> None:
    """Make a directory unless it is there, and those above it, and their names durable.

    Parameters
    ----------
    path : str
        The directory.

    Raises
    ------
    OSError
        The operating system refused.
    """
    if os.path.isdir(path):
        return
    above = os.path.dirname(os.path.abspath(path))
    if above != os.path.abspath(path):
        make_directory(above)
    os.makedirs(path, exist_ok=True)
    sync_directory(above)


@contextlib.contextmanager
def atomic_file(path: str | os.PathLike[str], *, sync: bool = True) -> Iterator[BinaryIO]:
    """Write a file that appears under its name only once the block has ended without an error.

    Parameters
    ----------
    path : str or PathLike
        The name in the end; what is there is replaced.
    sync : bool
        Wait until file and name are on the disk.

    Yields
    ------
    file
        Open for reading and writing in binary mode, so a header can be filled in last.

    Raises
    ------
    StoreWriteError
        The operating system refused (an `OSError`, with its ``errno``); what was at `path` is untouched and
        the temporary file is removed. Any other error of the block passes through, with the same effect.
    """
    path = Path(path)
    temporary = temporary_name(path)
    try:
        with open(temporary, "w+b") as file:
            yield file
            file.flush()
            if sync:
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError) and not isinstance(error, ImgStoreError):
            reason = f"cannot write: {error.strerror or error}"
            raise StoreWriteError(error.errno, reason, str(path)) from error
        raise
    if sync:
        sync_directory(path.parent)


def replace_file(
    path: str | os.PathLike[str],
    data: Buffer | Iterable[Buffer] | Callable[[BinaryIO], object],
    *,
    sync: bool = True,
) -> Path:
    """Replace a file, or make it, in one step.

    Parameters
    ----------
    path : str or PathLike
        The file.
    data : bytes, iterable of bytes, or callable
        What is to be in it, at once or in pieces, or a function that writes it to the open file that it is
        given.
    sync : bool
        Wait until it is on the disk.

    Returns
    -------
    pathlib.Path
        `path`.

    Raises
    ------
    StoreWriteError
        The operating system refused; what was at `path` is untouched.
    """
    with atomic_file(path, sync=sync) as file:
        if isinstance(data, (bytes, bytearray, memoryview)):
            file.write(data)
        elif callable(data):
            data(file)
        else:
            for piece in data:
                file.write(piece)
    return Path(path)

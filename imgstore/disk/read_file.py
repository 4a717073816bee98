"""Small files, read whole if they are files and small."""

from __future__ import annotations

import errno
import os
import stat

__all__ = ["read_file"]

# what is no file may be a pipe, of which opening it would wait for a writer
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


def read_file(path: str, limit: int) -> bytes:
    """Return what is in a file.

    Parameters
    ----------
    path : str
        The file.
    limit : int
        Size in bytes that none has that is what it should be.

    Raises
    ------
    OSError
        It cannot be read, or is a pipe or a device.
    ValueError
        It is larger than `limit`.
    """
    descriptor = os.open(path, _FLAGS)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            number = errno.EISDIR if stat.S_ISDIR(status.st_mode) else errno.EINVAL
            raise OSError(number, os.strerror(number) if number == errno.EISDIR else "it is no regular file", path)
        if status.st_size > limit:
            raise ValueError(f"{status.st_size} bytes are more than any has")
        data = os.read(descriptor, status.st_size)
        while 0 < len(data) < status.st_size:  # a read may be interrupted, and 2 GB is the most for one
            more = os.read(descriptor, status.st_size - len(data))
            if not more:
                break
            data += more
        return data
    finally:
        os.close(descriptor)

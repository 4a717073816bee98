"""What checking and mending both ask of a chunk's files: how large they are, what is in them, which belong to it."""

from __future__ import annotations

import os

from imgstore.care.parts import StoreParts

__all__ = ["LARGEST_TEXT", "frame_files", "index_files", "readable_size", "without_path"]

LARGEST_TEXT = 1 << 29  # what is read as a whole: a file that is larger is refused before it costs the memory


def frame_files(parts: StoreParts, chunk: int) -> dict[int, int]:
    """Return the sizes in bytes of a directory's frame files, by position.

    Raises
    ------
    OSError
        The directory cannot be listed.
    """
    extension = parts.entry.format.extension
    found = {}
    with os.scandir(parts.path(chunk)) as entries:
        for entry in entries:
            stem = entry.name.removesuffix(extension)
            if stem != entry.name and _is_position(stem) and entry.is_file():
                found[int(stem)] = entry.stat().st_size
    return found


def _is_position(stem: str) -> bool:
    return stem.isascii() and stem.isdigit() and stem == f"{int(stem[:19]):06d}"


def index_files(parts: StoreParts, chunk: int) -> list[str]:
    """Return the paths of a chunk's index that are there: usually one."""
    base = parts.base(chunk)
    return [base + ending for ending in (".npz", ".yaml") if os.path.lexists(base + ending)]


def readable_size(path: str) -> int | None:
    """Return the size of a file in bytes; None where there is none."""
    try:
        return os.stat(path).st_size
    except OSError:
        return None


def without_path(error: BaseException) -> str:
    """Return what an error says, without the path that a fault or an action has beside it."""
    text = str(error) if not isinstance(error, OSError) or error.strerror is None else str(error.strerror)
    head, separator, rest = text.partition(": ")
    if separator and (os.sep in head or "/" in head):
        return rest
    return text

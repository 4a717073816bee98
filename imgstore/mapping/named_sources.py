"""Which stores, videos and images a person means by some names, and in which order."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Sequence

from imgstore.disk.layout import METADATA_FILENAME
from imgstore.errors import NotAStoreError
from imgstore.mapping.work_directory import is_unfinished
from imgstore.sources.named import absolute_path, natural_order

__all__ = ["find_sources", "in_natural_order"]

# What videos end in, in folders in which there may be anything. One that is named may end in whatever it likes.
_VIDEOS = (
    ".3gp", ".asf", ".avi", ".flv", ".h264", ".h265", ".hevc", ".m2ts", ".m4v", ".mjpeg", ".mjpg", ".mkv", ".mov", ".mp4",
    ".mpeg", ".mpg", ".mts", ".ogv", ".ts", ".vob", ".webm", ".wmv",
)  # fmt: skip


def find_sources(names: Iterable[str]) -> list[str]:
    """Return what names stand for, each to be opened by itself.

    A folder of videos, and a pattern of videos or of stores, stand for these in natural order. Whatever else stays as it is:
    `imgstore.open` takes it, or says what is wrong with it.

    Raises
    ------
    NotAStoreError
        A folder holds stores, of which nobody said in what way they go together.
    """
    found: list[str] = []
    for name in names:
        found += _found(name) or [name]
    return found


def in_natural_order(names: Sequence[str]) -> list[str]:
    """Sort names as people do: ``clip2`` before ``clip10``."""
    return natural_order(names)


def _found(name: str) -> list[str]:
    path = absolute_path(name)
    if os.path.isdir(path) and not _is_store(path):
        with os.scandir(path) as entries:
            inside = [entry for entry in entries if not entry.name.startswith(".")]
        stores = [entry.path for entry in inside if entry.is_dir() and _is_store(entry.path)]
        if stores:
            raise NotAStoreError(
                f"{path}: holds {len(stores)} store{'s' if stores[1:] else ''}; name them one by one, or by a pattern in quotes,"
                " to have one behind the other; those of cameras of one recording are a group"
            )
        return _videos(entry.path for entry in inside)
    if not os.path.lexists(path) and glob.has_magic(path):
        matching = [match for match in glob.glob(path, recursive=True) if not os.path.basename(match).startswith(".")]
        return natural_order(match for match in matching if _is_store(match)) or _videos(matching)
    return []


def _videos(paths: Iterable[str]) -> list[str]:
    """Return the videos among files."""
    return natural_order(path for path in paths if os.path.splitext(path)[1].lower() in _VIDEOS and os.path.isfile(path))


def _is_store(path: str) -> bool:
    """Whether there is a store, or was to be one: `imgstore.open` tells then what is missing."""
    return is_unfinished(path) or os.path.isfile(os.path.join(path, METADATA_FILENAME))

"""Names on disk, and finding the chunks of a store. The format itself is described in ``docs/format.md``."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from imgstore.errors import NotAStoreError

__all__ = [
    "LOCK_FILENAME",
    "METADATA_FILENAME",
    "METADATA_KEY",
    "SQLITE_INDEX_FILENAME",
    "Listing",
    "chunk_base",
    "chunk_name",
    "chunk_path",
    "journal_path",
    "list_store",
]

METADATA_FILENAME = "metadata.yaml"
METADATA_KEY = "__store"
LOCK_FILENAME = ".lock"
SQLITE_INDEX_FILENAME = ".index.sqlite"

_INDEX_NAME = "index"  # of a chunk that is a directory; the index of a video file has the chunk's own name
_INDEX_EXTENSIONS = (".npz", ".yaml")
# At least six digits; a longer name with leading zeros would be a second name for the same number.
_CHUNK = re.compile(r"(\d{6}|[1-9]\d{6,})(\..+)?\Z", re.ASCII | re.DOTALL)
_JOURNAL = re.compile(r"\.(\d{6}|[1-9]\d{6,})\.journal\Z", re.ASCII)


def chunk_name(chunk: int) -> str:
    """Return the name of a chunk on disk, without extension."""
    return f"{chunk:06d}"


def chunk_path(root: str, chunk: int, extension: str | None) -> str:
    """Return the path of a chunk's video file, or of its directory where `extension` is None."""
    return os.path.join(root, chunk_name(chunk) + (extension or ""))


def chunk_base(root: str, chunk: int, extension: str | None) -> str:
    """Return the path, without extension, of what stands beside a chunk: its index and extra data."""
    path = os.path.join(root, chunk_name(chunk))
    return os.path.join(path, _INDEX_NAME) if extension is None else path


def journal_path(root: str, chunk: int, kind: str = "journal") -> str:
    """Return the path of a hidden file that exists while a chunk is being written."""
    return os.path.join(root, f".{chunk_name(chunk)}.{kind}")


@dataclass(frozen=True)
class Listing:
    """What one look at a store's directory shows.

    Attributes
    ----------
    chunks : list of int
        Numbers of the chunks that have their frames and, as far as the names tell, an index; ascending.
    without_index : list of int
        Video files that have no index: a recording that was interrupted, or still goes on.
    without_frames : list of int
        Indexes whose video file is gone.
    journals : frozenset of int
        Chunks that are being written, or were when their writer died.
    with_index : list of int
        Chunks that have an index, as far as the names tell, whether they have frames or not.
    named : frozenset of int
        Every chunk that any name tells of.
    """

    chunks: list[int] = field(default_factory=list)
    without_index: list[int] = field(default_factory=list)
    without_frames: list[int] = field(default_factory=list)
    journals: frozenset[int] = frozenset()
    with_index: list[int] = field(default_factory=list)
    named: frozenset[int] = frozenset()


def list_store(root: str, extension: str | None) -> Listing:
    """Find the chunks of a store with a single listing of its directory.

    Parameters
    ----------
    root : str
        The store's directory.
    extension : str or None
        Of its video files; None where chunks are directories.

    Raises
    ------
    NotAStoreError
        The directory cannot be listed.
    """
    names: dict[int, set[str]] = {}
    directories: set[int] = set()
    journals: set[int] = set()
    try:
        with os.scandir(root) as entries:
            for entry in entries:
                if match := _CHUNK.match(entry.name):
                    number = int(match[1])
                    if match[2] is not None:
                        names.setdefault(number, set()).add(match[2])
                    elif extension is None and entry.is_dir():
                        directories.add(number)
                elif match := _JOURNAL.match(entry.name):
                    journals.add(int(match[1]))
    except OSError as error:
        raise NotAStoreError(f"the store directory {root!r} cannot be listed: {error.strerror or error}") from error
    if extension is None:
        chunks, named = sorted(directories), frozenset(directories | names.keys() | journals)
        return Listing(chunks, journals=frozenset(journals), with_index=chunks, named=named)
    with_frames = {n for n, found in names.items() if extension in found}
    with_index = {n for n, found in names.items() if found.intersection(_INDEX_EXTENSIONS)}
    return Listing(
        sorted(with_frames & with_index),
        sorted(with_frames - with_index),
        sorted(with_index - with_frames),
        frozenset(journals),
        sorted(with_index),
        frozenset(names.keys() | journals),
    )


def holds_chunks(root: str, extensions: Iterable[str | None]) -> bool:
    """Whether the directory has anything that would be taken for a chunk of a store."""
    for extension in extensions:
        listing = list_store(root, extension)
        if listing.chunks or listing.without_index or listing.without_frames or listing.journals:
            return True
    return False

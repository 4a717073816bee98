"""Names on disk, and finding the chunks of a store. The format itself is described in ``docs/format.md``."""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import cached_property

from imgstore.errors import NotAStoreError

__all__ = [
    "LOCK_FILENAME",
    "METADATA_FILENAME",
    "METADATA_KEY",
    "REPLACED_FILENAME",
    "SQLITE_INDEX_FILENAME",
    "UNFINISHED_DIRECTORY",
    "UNFINISHED_PLAN",
    "Listing",
    "chunk_base",
    "chunk_bases",
    "chunk_name",
    "chunk_path",
    "has_index",
    "holds_chunks",
    "is_half_removed",
    "journal_path",
    "list_store",
]

METADATA_FILENAME = "metadata.yaml"
METADATA_KEY = "__store"
REPLACED_FILENAME = "metadata.yaml.replaced"  # what it is called while the store is removed, for another takes its place
UNFINISHED_DIRECTORY = ".unfinished"  # in which several workers make the chunks of a store that is not there yet
UNFINISHED_PLAN = "plan.json"  # in there; without it there is nothing to complete
LOCK_FILENAME = ".lock"
SQLITE_INDEX_FILENAME = ".index.sqlite"
FORK_INDEX_FILENAME = "index.db"  # the same, where imgstore-shaliulab has it

_INDEX_NAME = "index"  # of a chunk that is a directory; the index of a video file has the chunk's own name
_INDEX_EXTENSIONS = (".npz", ".yaml")
_JOURNAL_EXTENSION = ".journal"


def chunk_name(chunk: int) -> str:
    """Return the name of a chunk on disk, without extension."""
    return f"{chunk:06d}"


def chunk_path(root: str, chunk: int, extension: str | None) -> str:
    """Return the path of a chunk's video file, or of its directory where `extension` is None."""
    return os.path.join(root, chunk_name(chunk) + (extension or ""))


def chunk_base(root: str, chunk: int, extension: str | None) -> str:
    """Return the path, without extension, of what stands beside a chunk: its index and extra data."""
    return chunk_bases(root, [chunk], extension)[0][1]


def chunk_bases(root: str, chunks: Iterable[int], extension: str | None) -> list[tuple[int, str]]:
    """Return chunks with their `chunk_base`; fast, for a week has tens of thousands."""
    before = os.path.join(root, "")
    after = "" if extension is not None else os.sep + _INDEX_NAME
    return [(chunk, before + str(chunk).zfill(6) + after) for chunk in chunks]


def is_half_removed(root: str | os.PathLike[str]) -> bool:
    """Whether a store is being removed to make room for another, or was when that was interrupted: there is none."""
    return os.path.lexists(os.path.join(root, REPLACED_FILENAME)) and not os.path.lexists(
        os.path.join(root, METADATA_FILENAME)
    )


def has_index(root: str, extension: str | None, chunk: int) -> bool:
    """Whether a chunk has an index at this moment."""
    base = chunk_base(root, chunk, extension)
    return any(os.path.exists(base + ending) for ending in _INDEX_EXTENSIONS)


def journal_path(root: str, chunk: int, kind: str = "journal") -> str:
    """Return the path of a hidden file that exists while a chunk is being written."""
    return os.path.join(root, f".{chunk_name(chunk)}.{kind}")


class Listing:
    """What one look at the names in a store's directory shows.

    Parameters
    ----------
    names : list of str
        The names.
    extension : str or None
        Of the store's video files; None where chunks are directories.
    """

    def __init__(self, names: list[str], extension: str | None):
        # A week has tens of thousands of names, so that each is looked at once and as a member of a set from then on.
        stems: dict[str, list[str]] = {}
        for name in names:
            stem, dot, ending = name.partition(".")
            stems.setdefault(dot + ending, []).append(stem)
        self._stems = stems
        frames = set(stems.get(extension or "", ()))
        indexes = set().union(*(stems.get(e, ()) for e in _INDEX_EXTENSIONS)) if extension is not None else frames
        self._frames, self._indexes = frames, indexes

    @cached_property
    def chunks(self) -> list[int]:
        """Chunks that have their frames and, as far as the names tell, an index; ascending."""
        return _numbers(self._frames & self._indexes)

    @property
    def with_index(self) -> list[int]:
        """Chunks that have an index, as far as the names tell, whether they have frames or not; ascending."""
        return _numbers(self._indexes)

    @property
    def without_index(self) -> list[int]:
        """Video files that have no index: a recording that was interrupted, or still goes on; ascending."""
        return _numbers(self._frames - self._indexes)

    @property
    def without_frames(self) -> list[int]:
        """Indexes whose video file is gone; ascending."""
        return _numbers(self._indexes - self._frames)

    @cached_property
    def journals(self) -> frozenset[int]:
        """Chunks that are being written, or were when their writer died."""
        hidden = (ending[1:] for ending in self._stems if ending.endswith(_JOURNAL_EXTENSION))
        return frozenset(_numbers({ending.removesuffix(_JOURNAL_EXTENSION) for ending in hidden}))

    @property
    def named(self) -> frozenset[int]:
        """Every chunk that any name tells of."""
        return self.journals.union(_numbers(set().union(*self._stems.values())))


def _numbers(stems: set[str]) -> list[int]:
    """Return the numbers of the chunks among some names, ascending.

    A chunk's name is six digits, or more without a leading zero, which would be a second name for it.
    """
    together = "".join(stems)
    if not (together.isdigit() and together.isascii() and len(together) == 6 * len(stems)):
        stems = {
            stem
            for stem in stems
            if stem.isdigit() and stem.isascii() and (len(stem) == 6 or (len(stem) > 6 and stem[0] != "0"))
        }
    return sorted(map(int, stems))


def list_store(root: str, extension: str | None) -> Listing:
    """Look once at the directory of a store.

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
    try:
        return Listing(os.listdir(root), extension)
    except OSError as error:
        raise NotAStoreError(f"the store directory {root!r} cannot be listed: {error.strerror or error}") from error


def holds_chunks(root: str, extensions: Iterable[str | None]) -> bool:
    """Whether the directory has anything that would be taken for a chunk of a store."""
    listings = [list_store(root, extension) for extension in extensions]
    return any(
        listing.chunks or listing.without_index or listing.without_frames or listing.journals for listing in listings
    )

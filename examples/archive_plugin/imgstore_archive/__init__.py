"""Copies every chunk of a recording to an archive as soon as it is complete, while the recording goes on.

The entry point in pyproject.toml names `plugin`, which archives to the directory that ``IMGSTORE_ARCHIVE`` names.
imgstore calls a plugin in a thread of its own while it records, so copying keeps no camera waiting.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from imgstore.hookspecs import hookimpl
from imgstore_archive.copying import ArchiveError, archive_chunk, copy_verified, finished_chunks

if TYPE_CHECKING:
    from imgstore import ImgStore

__all__ = ["VARIABLE", "Archive", "ArchiveError", "archive_store", "plugin"]

VARIABLE = "IMGSTORE_ARCHIVE"
METADATA = "metadata.yaml"

_log = logging.getLogger(__name__)


@dataclass
class _Recording:
    """A store that is being written, and its chunks that are complete and not in the archive yet.

    The archive is touched by `copy_waiting` alone, so that one that is slow or out of reach holds up no opening.
    """

    source: Path
    uuid: str | None
    directory: Path
    target: Path | None = None  # the store's own directory in the archive, once that is known
    waiting: dict[int, list[Path]] = field(default_factory=dict)
    busy: threading.Lock = field(default_factory=threading.Lock)

    def copy_waiting(self) -> None:
        """Copy what waits; one chunk that cannot be copied keeps no other from it."""
        if self.target is None:
            self.target = prepare(self.source, self.uuid, self.directory)
            archived = finished_chunks(self.target)
            before = finished_chunks(self.source)  # of a store that is continued
            self.waiting = {n: paths for n, paths in before.items() if n not in archived} | self.waiting
        first = None
        for chunk in sorted(self.waiting):
            try:
                archive_chunk(self.waiting[chunk], self.target)
            except OSError as error:
                _log.warning("chunk %d is not in the archive: %s", chunk, error)
                first = first or error
            else:
                del self.waiting[chunk]
        if first is not None:
            raise first


class Archive:
    """The plugin.

    Parameters
    ----------
    directory : path-like, optional
        Where stores are archived, each in a directory of its own. Default: what the environment variable
        ``IMGSTORE_ARCHIVE`` names when a store is opened; where it names nothing, nothing is archived.
    """

    def __init__(self, directory: str | os.PathLike[str] | None = None):
        self._directory = directory
        self._recordings: WeakKeyDictionary[ImgStore, _Recording] = WeakKeyDictionary()

    @hookimpl
    def imgstore_store_opened(self, store: ImgStore) -> None:
        """Begin to follow a store that is written."""
        directory = self._directory or os.environ.get(VARIABLE)
        if store.mode == "r" or not directory:
            return
        self._recordings[store] = _Recording(Path(store.filename), store.uuid, Path(directory))

    @hookimpl
    def imgstore_chunk_closed(self, store: ImgStore, chunk: int, paths: Sequence[str]) -> None:
        """Copy a chunk that is complete, and those that could not be copied before."""
        recording = self._recordings.get(store)
        if recording is not None:
            with recording.busy:
                recording.waiting[chunk] = [Path(path) for path in paths]
                recording.copy_waiting()

    @hookimpl
    def imgstore_store_closed(self, store: ImgStore) -> None:
        """Try once more what could not be copied."""
        recording = self._recordings.pop(store, None)
        # imgstore waits for a while before it calls this; where a chunk is being copied even so, it takes its time
        if recording is not None and recording.busy.acquire(blocking=False):
            try:
                recording.copy_waiting()
            finally:
                recording.busy.release()


def prepare(source: Path, uuid: str | None, directory: Path) -> Path:
    """Make a store's directory in the archive, with its metadata.

    Parameters
    ----------
    source : Path
        The store's directory.
    uuid : str or None
        Its identifier, which goes into the name where another store has that already.
    directory : Path
        The archive.

    Returns
    -------
    Path
        The directory.
    """
    wanted = (source / METADATA).read_bytes()
    for name in (source.name, f"{source.name}-{uuid}"):
        target = directory / name
        target.mkdir(parents=True, exist_ok=True)
        if target.samefile(source):
            raise ArchiveError(f"{directory}: holds the store {source} itself, which cannot be its own archive")
        if not any(target.iterdir()):
            copy_verified(source / METADATA, target / METADATA)
        if (target / METADATA).exists() and (target / METADATA).read_bytes() == wanted:
            return target
    raise ArchiveError(f"{directory}: has other things under the names {source.name} and {target.name}")


def archive_store(path: str | os.PathLike[str], directory: str | os.PathLike[str]) -> Mapping[int, bool]:
    """Archive a store that is not being written, as far as that has not been done.

    Parameters
    ----------
    path : path-like
        The store.
    directory : path-like
        The archive.

    Returns
    -------
    dict
        Number of each chunk, and whether it was copied now.

    Raises
    ------
    ArchiveError, OSError
        As `imgstore_archive.copying.archive_chunk`.
    """
    import imgstore

    with imgstore.new_for_filename(path) as store:
        source, uuid = Path(store.filename), store.uuid
    target = prepare(source, uuid, Path(directory))
    return {chunk: archive_chunk(paths, target) for chunk, paths in finished_chunks(source).items()}


plugin = Archive()

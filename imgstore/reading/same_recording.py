"""Whether a store is still the recording that was opened, or another one has taken its place."""

from __future__ import annotations

import os

from imgstore.disk.layout import METADATA_FILENAME
from imgstore.disk.metadata import StoreMetadata, read_metadata
from imgstore.errors import ImgStoreError, StaleIndexError

__all__ = ["Recording", "metadata_stamp"]

_Stamp = tuple[int, int, int] | None


def metadata_stamp(root: str) -> _Stamp:
    """Return what changes when a store's metadata are written; None where there are none."""
    try:
        facts = os.stat(os.path.join(root, METADATA_FILENAME))
    except OSError:
        return None
    return facts.st_ino, facts.st_size, facts.st_mtime_ns


class Recording:
    """One recording, known by its uuid, or where it is too old to have one by all that its metadata say of the store.

    Parameters
    ----------
    root : str
        The store's directory.
    stamp : tuple or None
        Its `metadata_stamp`, taken before the metadata were read.
    metadata : StoreMetadata
        What they say.
    """

    def __init__(self, root: str, stamp: _Stamp, metadata: StoreMetadata):
        self._root = root
        self._stamp = stamp
        self._identity = _identity(metadata)

    def check(self) -> None:
        """See that it is still the one that lies there; one question to the file system as a rule.

        Raises
        ------
        StaleIndexError
            Another one does, or none.
        """
        stamp = metadata_stamp(self._root)
        if stamp is not None and stamp == self._stamp:
            return
        try:
            identity = _identity(read_metadata(self._root))
        except ImgStoreError as error:
            raise StaleIndexError(f"{self._root}: the store that was opened is not here any more ({error})") from error
        if identity != self._identity:
            raise StaleIndexError(
                f"{self._root}: the store was replaced by another recording since it was opened; open it again"
            )
        self._stamp = stamp


def _identity(metadata: StoreMetadata) -> object:
    return metadata.uuid or metadata.values

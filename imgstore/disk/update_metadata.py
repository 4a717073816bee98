"""Changing the user's metadata of a store that is there, and telling such a change from damage.

Each chunk notes the checksum of ``metadata.yaml``. A change would be damage to all of them, and to note it anew would
mean to write the index of every chunk, of which there are thousands, and not at one moment. So the file itself says, in
a comment on its last line, what its own checksum is and what that of its earlier versions was. It is replaced in one step.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from imgstore.disk import lock
from imgstore.disk.atomic import replace_file
from imgstore.disk.checksums import METADATA_NAME, checksum
from imgstore.disk.chunk_index import read_arrays
from imgstore.disk.layout import METADATA_FILENAME, METADATA_KEY, chunk_bases, list_store
from imgstore.disk.metadata import read_metadata, store_directory
from imgstore.disk.plain_yaml import MAX_SIZE, dump_plain_yaml
from imgstore.disk.user_metadata import plain_metadata, same_values
from imgstore.errors import ArgumentError, ChunkIndexError

__all__ = ["accepted_checksums", "replace_metadata", "update_metadata"]

_LAST_LINE = re.compile(rb"^# xxh3_64 ([0-9a-f]{16}), before ([0-9a-f]{16}(?: [0-9a-f]{16})*)\n\Z", re.MULTILINE)
_MANY = 64  # earlier versions, after which those are forgotten that no chunk has noted


def update_metadata(
    path: str | os.PathLike[str],
    values: Mapping[str, Any],
    *,
    remove: Iterable[str] = (),
    break_lock: bool = False,
) -> None:
    """Change the user's metadata of a store: what was given as ``metadata`` when it was made.

    The frames are not touched. Stores that are open for reading show what was there when they were opened.

    Parameters
    ----------
    path : path-like
        The store's directory or its ``metadata.yaml``.
    values : mapping
        Keys that are set, each to a value that YAML holds; other keys stay.
    remove : iterable of str, optional
        Keys that are taken away.
    break_lock : bool, optional
        The writer that a lock names is known to be gone.

    Raises
    ------
    NotAStoreError, MetadataError
        There is no store at the path, or its metadata does not describe one.
    ArgumentError
        A value cannot be kept exactly, a key is the store's own, or one to be removed is not there. Nothing is changed.
    StoreLockedError
        The store is being written.
    StoreWriteError
        The operating system refused. Nothing is changed.

    Examples
    --------
    >>> imgstore.update_metadata("recording", {"animal": "fly 13"})  # doctest: +SKIP
    """
    if not isinstance(values, Mapping):
        raise ArgumentError(f"metadata must be a mapping, not {type(values).__name__}")
    plain = plain_metadata(values)
    root = store_directory(path, None)
    read_metadata(root)  # or there is nothing to lock
    lock.acquire(root, break_lock=break_lock)
    try:
        _update(root, plain, [remove] if isinstance(remove, str) else list(remove))
    finally:
        lock.release(root)


def _update(root: str, plain: Mapping[str, Any], remove: Iterable[str]) -> None:
    path = os.path.join(root, METADATA_FILENAME)
    meta = read_metadata(root)
    user = {**meta.user, **plain}
    for key in remove:
        if key not in user or key in plain:
            raise ArgumentError(f"{path}: there is no {key!r} to remove")
        del user[key]
    user = plain_metadata(user)  # all together: what is there may be too much for more
    if not same_values(user, meta.user):
        replace_metadata(root, meta.values, user, meta.extension)


def replace_metadata(root: str, values: Mapping[str, Any], user: Mapping[str, Any], extension: str | None) -> None:
    """Put other metadata in the place of those that are there, so that chunks which noted the old ones are not damaged.

    Parameters
    ----------
    root : str
        The store's directory, locked.
    values, user : mapping
        The ``__store`` mapping, and all other keys.
    extension : str or None
        Of video files.

    Raises
    ------
    ArgumentError
        It would be too large. Nothing is changed.
    StoreWriteError
        The operating system refused. Nothing is changed.
    """
    path = os.path.join(root, METADATA_FILENAME)
    with open(path, "rb") as file:
        old, mode = file.read(), stat.S_IMODE(os.fstat(file.fileno()).st_mode)
    earlier = [checksum([old]), *_earlier(old)]
    if len(earlier) > _MANY:
        noted = _noted(root, extension)
        earlier = [value for value in earlier if value in noted]
    content = dump_plain_yaml({METADATA_KEY: dict(values), **user})
    if earlier:
        content += (
            f"# xxh3_64 {checksum([content]):016x}, before {' '.join(f'{value:016x}' for value in earlier)}\n".encode()
        )
    if len(content) > MAX_SIZE:
        raise ArgumentError(f"{path}: would be larger than {MAX_SIZE >> 20} MB")
    replace_file(path, content)
    with contextlib.suppress(OSError):  # others may write it where they could before
        os.chmod(path, mode)


def _earlier(content: bytes) -> list[int]:
    """Return the checksums of the versions before this one, none where it is not what was written."""
    found = _LAST_LINE.search(content)
    if found is None or int(found[1], 16) != checksum([content[: found.start()]]):
        return []
    return [int(value, 16) for value in found[2].split()]


def _noted(root: str, extension: str | None) -> set[int]:
    """Return the checksums that the chunks have noted."""
    noted: set[int] = set()
    for _, base in chunk_bases(root, list_store(root, extension).with_index, extension):
        with contextlib.suppress(ChunkIndexError):
            noted.update(read_arrays(base, [METADATA_NAME]).get(METADATA_NAME, np.empty(0)).ravel().tolist())
    return noted


def accepted_checksums(root: str) -> set[int]:
    """Return what chunks may have noted of ``metadata.yaml``: its checksum, and that of versions that were updated."""
    with open(os.path.join(root, METADATA_FILENAME), "rb") as file:
        content = file.read()
    return {checksum([content]), *_earlier(content)}

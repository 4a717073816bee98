"""Copies of files and chunks that are known to be right.

What a chunk's files have to be stands in its index, as ``_checksum_xxh3_64`` and ``_checksum_extra_data``: see
imgstore's page on the format. XXH3 is described at https://github.com/Cyan4973/xxHash.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import xxhash

__all__ = ["ArchiveError", "archive_chunk", "copy_verified", "finished_chunks"]

BLOCK = 1 << 20
CHUNK_NAME = re.compile(r"\d{6,}")
INDEX_ENDINGS = (".npz", ".yaml")  # very old stores have the latter
DIRECTORY_INDEX = "index"
EXTRA_DATA_ENDING = ".extra.json"


class ArchiveError(OSError):
    """A copy could not be made, or is not what it should be."""


def finished_chunks(root: Path) -> dict[int, list[Path]]:
    """Find the chunks of a store that are complete: those that have an index.

    Parameters
    ----------
    root : Path
        The store's directory.

    Returns
    -------
    dict
        Number of each chunk, in order, and all that belongs to it: its directory, or its files.
    """
    named: dict[str, list[Path]] = {}
    for path in sorted(root.iterdir()):
        name = path.name.partition(".")[0]
        if CHUNK_NAME.fullmatch(name):
            named.setdefault(name, []).append(path)
    return {int(name): named[name] for name in sorted(named, key=int) if find_index(named[name]) is not None}


def find_index(paths: Iterable[Path]) -> Path | None:
    """Return the index of a chunk, or None where it has none and so is not complete."""
    for path in paths:
        beside = [path / (DIRECTORY_INDEX + ending) for ending in INDEX_ENDINGS]
        for index in (path, *beside):
            if index.suffix in INDEX_ENDINGS and index.is_file():
                return index
    return None


def archive_chunk(paths: Sequence[Path], target: Path) -> bool:
    """Copy a chunk that is complete, its index last, so that it is in the archive whole or not at all.

    Parameters
    ----------
    paths : sequence of Path
        All that belongs to the chunk: its directory, or its files.
    target : Path
        The store's directory in the archive.

    Returns
    -------
    bool
        False where the chunk was there already.

    Raises
    ------
    ArchiveError
        The copy is not what the store noted, or the archive has another chunk of this number.
    OSError
        Something cannot be read or written.
    """
    files = {}
    for path in paths:
        inside = sorted(p for p in path.iterdir() if not p.name.startswith(".")) if path.is_dir() else [path]
        files.update({file: target / file.relative_to(path.parent) for file in inside})
    index = find_index(paths)
    if index is None:
        raise ArchiveError(f"{', '.join(map(str, paths))}: there is no index, so this is not a chunk that is complete")
    if files[index].exists():
        if files[index].read_bytes() != index.read_bytes():
            raise ArchiveError(f"{files[index]}: the archive has another chunk of this number, which is left as it is")
        return False
    noted = noted_checksums(index, files)
    for file in sorted(files, key=lambda file: file == index):
        files[file].parent.mkdir(exist_ok=True)
        copy_verified(file, files[file], noted.get(file))
    for directory in {copy.parent for copy in files.values()} | {target}:
        sync_directory(directory)
    return True


def noted_checksums(index: Path, files: Iterable[Path]) -> Mapping[Path, int]:
    """Return what a chunk's index says of its files; those of which it says nothing are left out."""
    if index.suffix != ".npz":
        return {}
    with np.load(index, allow_pickle=False) as arrays:
        frames = arrays["_checksum_xxh3_64"].tolist() if "_checksum_xxh3_64" in arrays.files else []
        extra = arrays["_checksum_extra_data"].tolist() if "_checksum_extra_data" in arrays.files else []
    noted = {}
    for file in files:
        if file.name.endswith(EXTRA_DATA_ENDING) and extra:
            noted[file] = extra[0]
        elif index.stem != DIRECTORY_INDEX and file.stem == index.stem and file != index and frames:
            noted[file] = frames[0]  # the one video
        elif index.stem == DIRECTORY_INDEX and file.stem.isdecimal() and int(file.stem) < len(frames):
            noted[file] = frames[int(file.stem)]
    return noted


def copy_verified(source: Path, target: Path, noted: int | None = None) -> None:
    """Copy a file, and give it its name when what has reached the disk is what was to be copied.

    Parameters
    ----------
    source, target : Path
        From where to where; a file that is there is replaced.
    noted : int, optional
        XXH3-64 that the content must have. Default: that of the content as it is read.

    Raises
    ------
    ArchiveError
        The source is not what was noted, or the copy is not what the source is. There is no copy then.
    """
    temporary = target.with_name(f".{target.name}.tmp")
    try:
        state = xxhash.xxh3_64()
        with open(source, "rb", buffering=0) as reading, open(temporary, "wb", buffering=0) as writing:
            while block := reading.read(BLOCK):
                state.update(block)
                view = memoryview(block)
                while view:
                    view = view[writing.write(view) :]
            os.fsync(writing.fileno())
        if noted is not None and state.intdigest() != noted:
            raise ArchiveError(f"{source}: is not what was recorded, its checksum is another; it has not been copied")
        if disk_checksum(temporary) != state.intdigest():
            raise ArchiveError(f"{target}: the copy of {source} came out wrong")
        shutil.copystat(source, temporary)
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def disk_checksum(path: Path) -> int:
    """Return the XXH3-64 of a file as the disk has it, where the system lets go of what it remembers of it."""
    state = xxhash.xxh3_64()
    with open(path, "rb", buffering=0) as file:
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        while block := file.read(BLOCK):
            state.update(block)
    return state.intdigest()


def sync_directory(path: Path) -> None:
    """Bring the names in a directory to the disk; Windows has no way to, nor the need."""
    if os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

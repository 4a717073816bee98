"""Finding the cameras of one recording, and what they are called."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Any

from imgstore.disk.layout import METADATA_FILENAME
from imgstore.disk.metadata import is_imgstore, read_metadata, store_directory
from imgstore.errors import ArgumentError, ImgStoreError, NotAStoreError
from imgstore.opening import open as open_frames

__all__ = ["camera_names", "extra_cameras", "find_cameras", "open_store"]

Path = str | os.PathLike[str]

# What recorders note as the serial of a camera, and as the identity of a recording by several
_SERIALS = ("camera_serial", "camera_serial_number", "serial", "serial_number")
_TOGETHER = re.compile(r"(sync|recording|session|multicam|group).*uuid")
# Motif's sibling directories: NAME_YYYYMMDD_HHMMSS.SERIAL
_MOTIF = re.compile(r"(?P<recording>.*\d{8}_\d{6})\.(?P<serial>[^.]+)")


def open_store(path: Path) -> Any:
    """Open a store of a group for reading, or what else `imgstore.open` takes for one."""
    return open_frames(path)


def find_cameras(directory: Path) -> list[str]:
    """Return the stores of one recording by several cameras, in the order of their names.

    Parameters
    ----------
    directory : path-like
        A folder with a store per camera; or the store of one of them: then those beside it that are of the same recording
        are found, by the uuid that they share or by the name that Motif gives them (``NAME_YYYYMMDD_HHMMSS.SERIAL``), or
        the cameras that it lists as ``extra_cameras``, in folders within it.

    Raises
    ------
    NotAStoreError
        There is no store in the directory.
    ArgumentError
        There are several recordings, which are listed.
    """
    root = store_directory(directory, None)
    if is_imgstore(root):
        return _of_the_same_recording(root)
    if not os.path.isdir(root):
        raise NotAStoreError(f"{root}: there is no such directory")
    stores = _stores_in(root)
    if not stores:
        raise NotAStoreError(f"{root}: no store is in this directory, and it is none itself")
    recordings: dict[str, list[str]] = {}
    for store in stores:
        recordings.setdefault(_recording_of(store) or "", []).append(store)
    if len(recordings) > 1:
        of_each = "; ".join(", ".join(map(os.path.basename, several)) for several in recordings.values())
        raise ArgumentError(
            f"{root}: the stores in it are of {len(recordings)} recordings: {of_each}."
            " Name a store of the one that is meant, or give the stores to StoreGroup"
        )
    return stores


def camera_names(stores: Sequence[Any]) -> tuple[str, ...]:
    """Name stores by their cameras' serials, or by their directories, so that they are told apart."""
    directories = [str(getattr(store, "filename", f"store {n}")) for n, store in enumerate(stores)]
    serials = [
        _serial(directory, getattr(store, "user_metadata", {}))
        for directory, store in zip(directories, stores, strict=True)
    ]
    names = [os.path.basename(directory) for directory in directories]
    for candidates in (serials, names, _below_what_they_share(directories)):
        if all(candidates) and len(set(candidates)) == len(stores):
            return tuple(map(str, candidates))
    return tuple(f"{name}-{n}" for n, name in enumerate(names))


def _below_what_they_share(directories: list[str]) -> list[str]:
    try:
        common = os.path.commonpath(directories)
    except ValueError:  # on different drives
        return []
    return [os.path.relpath(directory, common).replace(os.sep, "-") for directory in directories]


def _of_the_same_recording(root: str) -> list[str]:
    extra = extra_cameras(root)
    if extra:
        return [root, *extra.values()]
    recording = _recording_of(root)
    if recording is None:
        return [root]
    return [store for store in _stores_in(os.path.dirname(root)) if _recording_of(store) == recording]


def extra_cameras(root: str) -> dict[str, str]:
    """Return the stores that a store lists as ``extra_cameras``, by their names: folders within it.

    Raises
    ------
    NotAStoreError
        One is not there.
    """
    listed = read_metadata(root).values.get("extra_cameras")
    names = listed if isinstance(listed, (list, tuple)) else []
    folders = listed if isinstance(listed, dict) else {name: name for name in names}
    found = {}
    for name, folder in folders.items():
        folder = os.path.normpath(str(folder)).replace("\\", "/").removesuffix("/" + METADATA_FILENAME)
        store = os.path.join(root, os.path.basename(folder))  # nothing outside of it
        if not is_imgstore(store):
            raise NotAStoreError(f"{root}: names the extra camera {name!r}, but {store} is no store")
        found[str(name)] = store
    return found


def _recording_of(store: str) -> str | None:
    """Return what stores of one recording have in common: a uuid that they share, or the beginning of their name."""
    try:
        metadata = read_metadata(store).user
    except ImgStoreError:
        metadata = {}  # a name may do; whoever opens it hears of the fault
    for key in sorted(map(str, metadata)):
        if _TOGETHER.fullmatch(key) and isinstance(metadata.get(key), str) and metadata[key]:
            return f"{key} {metadata[key]}"
    name = _MOTIF.fullmatch(os.path.basename(store))
    return name["recording"] if name else None


def _serial(directory: str, metadata: Any) -> str | None:
    for key in _SERIALS:
        if metadata.get(key):
            return str(metadata[key])
    name = _MOTIF.fullmatch(os.path.basename(directory))
    return name["serial"] if name else None


def _stores_in(directory: str) -> list[str]:
    """Return the folders that have metadata, also broken ones: a camera must not be left out without a word."""
    with os.scandir(directory) as entries:
        return sorted(
            e.path for e in entries if e.is_dir() and os.path.lexists(os.path.join(e.path, METADATA_FILENAME))
        )

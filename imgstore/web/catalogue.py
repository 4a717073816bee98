"""What was named when the server was begun: which recordings there are, and those that are open.

Nothing else can be asked for: requests say opaque names, and paths are found here alone.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import imgstore
from imgstore.errors import ArgumentError
from imgstore.web.recording import Recording

__all__ = ["Catalogue"]

_METADATA = "metadata.yaml"
_MOST_OPEN = 12  # recordings
_MOST_CAMERAS = 16
_MOST_FOUND = 50_000
_DEPTH = 5  # folders below the one that was named


class Catalogue:
    """The recordings that may be looked at, by opaque names.

    Parameters
    ----------
    paths : sequence of path-like
        Recordings, whatever `imgstore.open` takes, which belong together if there are several; or folders, in which stores
        are looked for.

    Raises
    ------
    NotAStoreError
        There is no recording at a path.
    ArgumentError
        There are too many at once.
    """

    def __init__(self, paths: Sequence[str | os.PathLike[str]]):
        if not paths:
            raise ArgumentError("name a recording, or a folder of recordings")
        self._folders: list[str] = []
        self._named: list[str] = []
        for path in map(os.path.abspath, paths):
            # a folder without recordings may be one of images, which is a recording itself
            is_folder = os.path.isdir(path) and not os.path.lexists(os.path.join(path, _METADATA))
            (self._folders if is_folder and next(_recordings_in(path), None) else self._named).append(path)
        self._paths: dict[str, str] = {}
        self._open: OrderedDict[tuple[str, str], _Open] = OrderedDict()
        self._lock = threading.Lock()
        self.title = ", ".join(Path(path).name or path for path in [*self._named, *self._folders])
        if len(self._named) > _MOST_CAMERAS and not self._folders:
            raise ArgumentError(f"at most {_MOST_CAMERAS} recordings are shown side by side")
        listed = self.list()
        # what is shown at once, where there is nothing to choose from
        self.at_once = ".".join(each["name"] for each in listed) if not self._folders or len(listed) == 1 else None
        if self.at_once is not None:
            with self.use(self.at_once):
                pass  # what cannot be opened is told before anybody looks at it

    def list(self) -> list[dict[str, Any]]:
        """Return name, title and age of each recording, looked for anew: in folders more may have come."""
        found = [(path, os.path.basename(path)) for path in self._named]
        for folder in self._folders:
            found += [(path, os.path.relpath(path, folder)) for path in _recordings_in(folder)]
        rows = []
        names = {}
        for path, title in found[:_MOST_FOUND]:
            name = hashlib.sha256(os.fsencode(path)).hexdigest()[:12]
            names[name] = path
            made = 0.0
            with contextlib.suppress(OSError):  # whoever opens it hears what is wrong
                made = os.stat(os.path.join(path, _METADATA) if os.path.isdir(path) else path).st_mtime
            rows.append({"name": name, "title": _printable(title), "made": made})
        with self._lock:
            self._paths = names
        return rows

    def has(self, name: str) -> bool:
        """Tell whether there is a recording of that name, or several, their names joined by dots."""
        parts = name.split(".")
        with self._lock:
            return len(set(parts)) == len(parts) <= _MOST_CAMERAS and self._paths.keys() >= set(parts)

    @contextlib.contextmanager
    def use(self, name: str, align: str = "") -> Iterator[Recording]:
        """Open recordings, one or several in step, or take those that are open; they stay open for a while.

        Raises
        ------
        KeyError
            There is none of that name, see `has`.
        ImgStoreError
            It cannot be opened.
        """
        with self._lock:
            paths = [self._paths[part] for part in name.split(".")]
            entry = self._open.setdefault((name, align), _Open())
            self._open.move_to_end((name, align))
            entry.users += 1
            idle = [key for key, other in self._open.items() if not other.users]
            dropped = [self._open.pop(key) for key in idle[: max(0, len(self._open) - _MOST_OPEN)]]
        for other in dropped:
            other.close()
        try:
            with entry.lock:  # opened once, whoever comes first
                if entry.recording is None:
                    entry.recording = Recording(paths, align)
            yield entry.recording
        finally:
            with self._lock:
                entry.users -= 1

    def close(self) -> None:
        """Close what is open."""
        with self._lock:
            entries, self._open = list(self._open.values()), OrderedDict()
        for entry in entries:
            entry.close()


class _Open:
    def __init__(self) -> None:
        self.recording: Recording | None = None
        self.users = 0
        self.lock = threading.Lock()

    def close(self) -> None:
        if self.recording is not None:
            self.recording.close()


def _recordings_in(folder: str) -> Iterator[str]:
    """Find folders with metadata, in the order of their names; links lead nowhere, as they may lead out of the folder."""
    waiting = [(folder, 0)]
    while waiting:
        place, depth = waiting.pop()
        try:
            with os.scandir(place) as entries:
                inside = sorted(e.path for e in entries if e.is_dir(follow_symlinks=False) and not e.name.startswith("."))
        except OSError:
            continue  # not ours to read
        below = []
        for path in inside:
            if os.path.lexists(os.path.join(path, _METADATA)):
                if imgstore.is_imgstore(path) or _has_chunks(path):
                    yield path
            elif depth < _DEPTH:
                below.append((path, depth + 1))
        waiting += reversed(below)


def _has_chunks(path: str) -> bool:
    """Whether it was a store before its metadata was damaged: such a one is listed too, with what is wrong."""
    with contextlib.suppress(OSError), os.scandir(path) as entries:
        return any(entry.name.startswith("000000") for entry in entries)
    return False


def _printable(text: str) -> str:
    """Names may hold bytes that are no text."""
    return text.encode("utf-8", "replace").decode("utf-8")

"""The directory in a destination in which chunks are made and wait for each other: ``.unfinished``.

    metadata.yaml        what the store's will be
    plan.json            what is being made of what: by this, work that was interrupted is known again
    000012/              a chunk that is whole, as a store that has this one alone
    000012.TOKEN.tmp/    a chunk that is being made, or was when its worker died
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from typing import Any

from imgstore.disk.atomic import make_directory, replace_file, sync_directory
from imgstore.disk.layout import (
    LOCK_FILENAME,
    METADATA_FILENAME,
    UNFINISHED_DIRECTORY,
    UNFINISHED_PLAN,
    chunk_base,
    chunk_name,
    is_half_removed,
)
from imgstore.disk.metadata import StoreMetadata, write_metadata
from imgstore.disk.read_file import read_file
from imgstore.errors import ArgumentError
from imgstore.mapping.left_out import LeftOut

__all__ = ["WorkDirectory", "is_unfinished", "read_note"]

_MOST_BYTES = 1 << 26  # of a file that is read here
_LEFT_OUT = "left_out.json"


def is_unfinished(root: str | os.PathLike[str]) -> bool:
    """Whether a store is being made in a directory, or one removed to make room for it, or was when that was interrupted."""
    if WorkDirectory(os.fspath(root)).begun or is_half_removed(root):
        return True
    try:
        names = set(os.listdir(root))
    except OSError:
        return False
    return bool(names) and names <= {UNFINISHED_DIRECTORY, LOCK_FILENAME}  # interrupted before there was a plan


def read_note(root: str | os.PathLike[str]) -> Any:
    """Return what was noted of a store that is being made, by whoever began it; None where there is nothing."""
    return (WorkDirectory(os.fspath(root)).read_plan() or {}).get("note")


class WorkDirectory:
    """What is there of a store that is being made.

    Parameters
    ----------
    root : str
        The destination.

    Attributes
    ----------
    path : str
        The directory.
    metadata : str
        Path of what ``metadata.yaml`` will be.
    """

    def __init__(self, root: str):
        self._root = root
        self.path = os.path.join(root, UNFINISHED_DIRECTORY)
        self.metadata = os.path.join(self.path, METADATA_FILENAME)
        self._plan = os.path.join(self.path, UNFINISHED_PLAN)

    @property
    def begun(self) -> bool:
        """Whether there is a plan."""
        return os.path.exists(self._plan)

    def read_plan(self) -> dict[str, Any] | None:
        """Return what is being made of what; None where nothing is.

        Raises
        ------
        ArgumentError
            The file is damaged.
        """
        try:
            plan = json.loads(read_file(self._plan, _MOST_BYTES))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except ValueError as error:
            raise ArgumentError(f"{self._plan}: is damaged ({error}); remove {self.path} to begin anew") from error
        return plan if isinstance(plan, dict) else {}

    def begin(self, plan: dict[str, Any], metadata: StoreMetadata) -> None:
        """Note what is to be made; what was there of anything else goes."""
        self.remove()
        make_directory(self.path)
        write_metadata(self.path, metadata)
        replace_file(self._plan, json.dumps(plan, indent=1).encode("utf-8"))

    def clear(self) -> None:
        """Remove chunks whose workers died."""
        for name in os.listdir(self.path):
            if name.endswith(".tmp"):
                shutil.rmtree(os.path.join(self.path, name), ignore_errors=True)

    def remove(self) -> None:
        """Remove all of it, the plan first, so that nobody goes on with what is half there."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._plan)
        shutil.rmtree(self.path, ignore_errors=True)

    def chunk(self, number: int) -> str:
        """Return where a chunk waits that is whole."""
        return os.path.join(self.path, chunk_name(number))

    def has(self, number: int) -> bool:
        """Whether a chunk is whole."""
        return os.path.isdir(self.chunk(number))

    def whole(self) -> set[int]:
        """Return the chunks that are whole, by one listing, which network file systems answer as it is by now."""
        return {int(name) for name in os.listdir(self.path) if name.isdecimal()}

    def put_in_place(self, number: int, place: str, left_out: LeftOut) -> None:
        """Take the directory in which a chunk was made. Where there is one already, that one stays."""
        if left_out:
            noted = {"runs": left_out.runs, "replaced": left_out.replaced}
            replace_file(os.path.join(place, _LEFT_OUT), json.dumps(noted).encode("utf-8"))
        sync_directory(place)
        try:
            os.rename(place, self.chunk(number))
        except OSError:
            if not self.has(number):
                raise
        sync_directory(self.path)

    def discard(self, number: int) -> None:
        """Have a chunk made once more."""
        os.rename(self.chunk(number), f"{self.chunk(number)}.discarded.tmp")
        self.clear()

    def base(self, number: int, extension: str | None) -> str:
        """Return the path without extension of a chunk's index: here, or where it has come to be."""
        here = chunk_base(self.chunk(number), number, extension)
        return here if os.path.exists(here + ".npz") else chunk_base(self._root, number, extension)

    def left_out(self, number: int) -> LeftOut:
        """Return the frames that a chunk lacks."""
        found = LeftOut()
        with contextlib.suppress(FileNotFoundError):
            found.add_all(LeftOut(**json.loads(read_file(os.path.join(self.chunk(number), _LEFT_OUT), _MOST_BYTES))))
        return found

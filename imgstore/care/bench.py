"""Where repairs are done, or only talked about, and what has been done."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field

from imgstore.beside.records import records_path
from imgstore.care.chunk_files import index_files
from imgstore.care.parts import StoreParts
from imgstore.care.set_aside import SetAside

__all__ = ["Action", "Bench"]


@dataclass(frozen=True)
class Action:
    """Something that repair has done, or would do.

    Attributes
    ----------
    kind : str
        ``'index'``, ``'video'``, ``'extra data'``, ``'set aside'``, ``'journal'``, ``'lock'``, ``'cache'``,
        ``'sqlite index'``, ``'metadata'``, ``'accepted'`` (frames that were changed), or ``'left'``: this could not be
        repaired and is as it was.
    path : str
        The file or directory.
    chunk : int or None
        Number of the chunk.
    message : str
        What was done, in one sentence without the path.
    """

    kind: str
    path: str
    chunk: int | None
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


@dataclass
class Bench:
    """Where repairs are done, or only talked about.

    Attributes
    ----------
    parts : StoreParts
        The store.
    aside : SetAside
        Takes what is of no use.
    dry_run : bool
        Do nothing.
    actions : list of Action
        What was done, or would be.
    """

    parts: StoreParts
    aside: SetAside
    dry_run: bool
    actions: list[Action] = field(default_factory=list)

    def do(self, kind: str, path: str, chunk: int | None, message: str, *work: Callable[[], object]) -> None:
        """Do something, and say so."""
        if not self.dry_run:
            for step in work:
                step()
        self.actions.append(Action(kind, path, chunk, message))

    def leave(self, path: str, chunk: int | None, message: str) -> None:
        """Say what could not be repaired."""
        self.actions.append(Action("left", path, chunk, message))

    def set_aside(self, path: str, chunk: int | None, why: str) -> None:
        """Take a file or directory out of the store, where it is there."""
        if os.path.lexists(path):
            message = f"{why}; set aside in {self.aside.directory}"
            self.do("set aside", path, chunk, message, lambda: self.aside.move(path))

    def set_aside_chunk(self, chunk: int, why: str) -> None:
        """Take everything of a chunk out of the store, its journal excepted."""
        parts = self.parts
        beside = "belongs to a video that is set aside" if os.path.lexists(parts.path(chunk)) else "its video is gone"
        self.set_aside(parts.path(chunk), chunk, why)
        if parts.extension is not None:
            for path in (*index_files(parts, chunk), records_path(parts.base(chunk))):
                self.set_aside(path, chunk, beside)

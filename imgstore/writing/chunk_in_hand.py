"""A chunk from its first frame until its codec has let go of it."""

from __future__ import annotations

import logging
import time
import warnings
from dataclasses import dataclass, field
from typing import Any

from imgstore.disk.atomic import as_write_error
from imgstore.disk.journal import Journal
from imgstore.errors import ImgStoreWarning
from imgstore.writing.chunk_files import ChunkFiles

__all__ = ["ChunkInHand"]

_log = logging.getLogger(__name__)


@dataclass
class ChunkInHand:
    """A chunk that is being written, or waits to be put in place."""

    number: int
    files: ChunkFiles
    journal: Journal
    records: list[str] = field(default_factory=list)  # extra data
    begun: float = field(default_factory=time.monotonic)
    seconds: float = 0.0  # in which it was recorded, once it is complete
    numbers: list[int] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    whole: bool = True  # False once an error has left open whether the files took a frame
    closed: bool = False  # whether the codec has let go of the files
    readable: int | None = None  # frames that can be read, where that may be fewer than were added

    def add_frame(self, frame: Any, number: int, seconds: float) -> None:
        """Give a frame to the files and note it in the journal.

        Raises
        ------
        StoreWriteError
            The operating system refused. The chunk takes no more frames.
        """
        self.whole = False
        try:
            self.journal.add_frame(number, seconds, *self.files.add(frame))
        except OSError as error:
            self.files.forget_after(len(self.numbers))
            raise as_write_error(self.files.path, error) from error
        self.numbers.append(number)
        self.times.append(seconds)
        self.whole = True

    def close_files(self) -> None:
        """Have the codec finish its file; after an error, make a whole file of what is there."""
        if self.whole:
            try:
                self.files.close()
            except Exception as error:
                self.whole = False
                _log.warning("%s: cannot be finished: %s", self.files.path, error)
        if not self.whole:
            self.files.abandon()
            self.readable = self.files.mend(len(self.numbers), self.journal.forget_places)
            if self.readable < len(self.numbers):
                lost = len(self.numbers) - self.readable
                warnings.warn(
                    f"{self.files.path}: the last {lost} frames could not be saved", ImgStoreWarning, stacklevel=2
                )
        self.closed = True

"""What reading asks of the place that frames are in: where is a chunk, what is known of its frames, is it still the same."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy.typing as npt

from imgstore.index.frame_index import ImgStoreIndex
from imgstore.index.store_index import UnfinishedChunks
from imgstore.sources.source import Source, Stamp

__all__ = ["Chunks", "KeptIndex"]


class KeptIndex(Protocol):
    """The index of all frames, which is brought up to date.

    Attributes
    ----------
    index : ImgStoreIndex
        As of the last look.
    made : int
        How often it was made from nothing: frames that were there before may be others since then.
    """

    index: ImgStoreIndex
    made: int

    def refresh(self) -> None:
        """Bring in what has come since."""


class Chunks(ABC):
    """The chunks of a store, or files that are none but are read as if they were.

    Attributes
    ----------
    root : str
        What was opened, as messages name it.
    source : Source
        Where the bytes of the files come from.
    """

    root: str
    source: Source

    @abstractmethod
    def name(self, chunk: int) -> str:
        """Return the name in the source of a chunk's video, or of the directory of its frames."""

    @abstractmethod
    def frame_name(self, chunk: int, position: int) -> str:
        """Return the name in the source of the file of a frame, where frames are files; IndexError behind the last one."""

    def path(self, chunk: int) -> str:
        """Return what messages call a chunk."""
        return self.source.shown(self.name(chunk))

    @abstractmethod
    def stamp(self, chunk: int) -> Stamp:
        """Return what changes when the files of a chunk are replaced; empty where they are not there."""

    @abstractmethod
    def index_arrays(
        self, chunk: int, names: Sequence[str], index: ImgStoreIndex | None
    ) -> Mapping[str, npt.NDArray[Any]]:
        """Return what is noted of the frames of a chunk, once it agrees with an index, as far as there is one.

        Raises
        ------
        StaleIndexError
            It does not.
        """

    @abstractmethod
    def options(self, chunk: int) -> Mapping[str, Any]:
        """Return what the codec is told of a chunk, besides the options of reading."""

    @abstractmethod
    def open_index(self, unfinished: UnfinishedChunks, *, cached: bool = True) -> KeptIndex:
        """Make the index of all frames.

        Parameters
        ----------
        unfinished : UnfinishedChunks
            Tells how many frames of a chunk that is being written are whole.
        cached : bool
            Whether what was kept of an earlier time may be used.
        """

    @abstractmethod
    def check(self, chunk: int | None = None) -> None:
        """See that what was opened is still there.

        Parameters
        ----------
        chunk : int, optional
            The one that matters, where they can change one by one; default all.

        Raises
        ------
        StaleIndexError
            Something else is, or nothing.
        """

    def forget(self) -> None:  # noqa: B027 - there may be nothing
        """Forget what was read of chunks: they may be others from now on."""

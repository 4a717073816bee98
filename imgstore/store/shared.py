"""What all parts of `ImgStore` have in common: the directory, its metadata, and what reads or writes behind it."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from typing import Any, ClassVar, Literal

import numpy.typing as npt

from imgstore.codec import ChunkCodec, Codec, FrameSpec
from imgstore.disk import lock
from imgstore.disk.layout import METADATA_FILENAME
from imgstore.disk.metadata import StoreMetadata, read_metadata
from imgstore.errors import ArgumentError, MetadataError, StoreClosedError
from imgstore.options import ReadOptions
from imgstore.pixels.encodings import check_encoding
from imgstore.pixels.shown import Shown
from imgstore.plugins import RegisteredCodec
from imgstore.reading.chunks import Chunks
from imgstore.reading.reader import Reader
from imgstore.writing.listeners import Listeners
from imgstore.writing.writer import Writer

__all__ = ["Frame", "FrameAndMetadata", "Mode", "Path", "Shared"]

Frame = npt.NDArray[Any]
FrameAndMetadata = tuple[Frame, tuple[int, float]]
Path = str | os.PathLike[str]
Mode = Literal["r", "w", "a"]


class Shared:
    """The state of a store, which each part of `ImgStore` looks at. Part by part `ImgStore.__init__` fills it."""

    _codec_kind: ClassVar[type[Codec]] = Codec
    _mode: Mode
    _root: str
    _meta: StoreMetadata
    _entry: RegisteredCodec
    _reader: Reader | None  # of a store that is open for reading
    _writer: Writer | None  # of one that is or was open for writing
    _listeners: Listeners
    _options: ReadOptions  # of reading
    _chunks: Chunks  # of a store that is open for reading
    _shown: Shown  # how its frames are returned
    _spec: FrameSpec  # what stored frames look like when they are read
    _lossless: bool
    _plain: tuple[Callable[..., Any], tuple[Any, ...]] | None = (
        None  # of files that are no store: how to open them again
    )
    _given_shape: tuple[int, ...]  # of the frames that are written
    _pid: int
    _finalizer: weakref.finalize[Any, Any]  # closes the writer, once

    @property
    def _readable(self) -> Reader:
        reader = self._reader  # looked at once: another thread may close the store at any moment
        if reader is None:
            state = "is open for writing" if self._writer is not None else "is closed"
            raise StoreClosedError(f"{self._root}: the store {state}, it cannot be read from")
        return reader

    @property
    def _writable(self) -> Writer:
        if self._writer is None or not self._finalizer.alive:
            state = "is open for reading" if self._reader is not None else "is closed"
            raise StoreClosedError(f"{self._root}: the store {state}, it cannot be written to")
        lock.check_process(self._root, self._pid)
        return self._writer

    def _check_is_store(self) -> None:
        """Refuse to write beside files that are in no store."""
        if self._plain is not None:
            raise ArgumentError(f"{self._root}: is no store, and nothing is written beside other files")

    def _read_metadata(self) -> StoreMetadata:
        meta = read_metadata(self._root)
        path = os.path.join(self._root, METADATA_FILENAME)
        if self._codec_kind is not Codec and meta.is_video != issubclass(self._codec_kind, ChunkCodec):
            raise MetadataError(f"{path}: this is a {meta.values['class']}, which {type(self).__name__} does not open")
        if meta.encoding is not None:
            try:
                check_encoding(meta.encoding)
            except ArgumentError as error:
                raise MetadataError(f"{path}: {error}") from None
        return meta

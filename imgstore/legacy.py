"""Private names of imgstore 0.x that real pipelines reach for.

They were never promised, but scripts in labs and Motif's own tools use them, so they go on working. They are all here,
they look inward, and nothing inside looks at them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from imgstore.disk.layout import chunk_base, chunk_path
from imgstore.index.frame_index import ImgStoreIndex
from imgstore.store.shared import Shared

__all__ = ["LegacyNames"]


class LegacyNames(Shared):
    """Mixed into `imgstore.store.ImgStore`."""

    _iterated_over_chunks = False

    @property
    def _metadata(self) -> dict[str, Any]:
        """The ``__store`` mapping."""
        return self._meta.values

    @property
    def _format(self) -> str:
        return self._meta.format

    @property
    def _basedir(self) -> str:
        return self._root

    @property
    def _imgshape(self) -> tuple[int, ...]:
        """Shape of the frames as they are given, or as the metadata say."""
        return self._meta.imgshape if self._mode == "r" else self._given_shape

    @property
    def _ext(self) -> str:
        """Extension of video files; 0.x has it in video stores alone."""
        if self._meta.extension is None:
            raise AttributeError("_ext")
        return self._meta.extension

    @property
    def _index(self) -> ImgStoreIndex:
        return self._readable.index

    # -- the chunk in hand: recorders name what they put beside it by its number ---------------------------------

    @property
    def _chunk_n(self) -> int:
        """Number of the chunk to which the next frame goes, or from which the last one was read."""
        if self._writer is not None:
            return self._writer.chunk_number
        reader = self._readable
        if reader.position >= 0:
            return reader.index.locate(reader.position)[0]
        return next(iter(reader.index.chunks), 0)

    @property
    def _chunk_current_frame_idx(self) -> int:
        """Place in its chunk of the frame that was read last; -1 before, and when writing."""
        reader = self._reader
        return reader.index.locate(reader.position)[1] if reader is not None and reader.position >= 0 else -1

    @property
    def _capfn(self) -> str | None:
        """Path of the video file of `_chunk_n`, None once the store is closed; 0.x has it in video stores alone."""
        extension = self._ext
        open_for_writing = self._writer is not None and self._finalizer.alive
        return (
            chunk_path(self._root, self._chunk_n, extension) if open_for_writing or self._reader is not None else None
        )

    # -- all chunks ----------------------------------------------------------------------------------------------

    @property
    def _chunk_n_and_chunk_paths(self) -> list[tuple[int, str]] | None:
        """Pairs of chunk number and path without extension; None where the index was given, until they are iterated over."""
        self._readable  # noqa: B018 - an error where there is none
        if self._options.index is not None and not self._iterated_over_chunks:
            return None
        return list(self._iter_chunk_n_and_chunk_paths())

    def _iter_chunk_n_and_chunk_paths(self) -> Iterator[tuple[int, str]]:
        self._iterated_over_chunks = True
        return ((n, chunk_base(self._root, n, self._meta.extension)) for n in self._index.chunks)

    @property
    def _chunk_paths(self) -> list[str]:
        """Paths of the video files."""
        return [chunk_path(self._root, n, self._ext) for n in self._index.chunks]

    def _get_chunk_metadata(self, chunk_n: int) -> dict[str, list[Any]]:
        return self._index.get_chunk_metadata(chunk_n)

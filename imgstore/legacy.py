"""Private names of imgstore 0.x that real pipelines reach for.

They were never promised, but scripts in labs and Motif's own tools use them, so they go on working. They are all here,
they look inward, and nothing inside looks at them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from imgstore.disk.layout import chunk_base, chunk_path

if TYPE_CHECKING:
    from imgstore.index.frame_index import ImgStoreIndex

__all__ = ["LegacyNames"]


class LegacyNames:
    """Mixed into `imgstore.store.ImgStore`."""

    @property
    def _metadata(self) -> dict[str, Any]:
        """The ``__store`` mapping."""
        values: dict[str, Any] = self._meta.values  # type: ignore[attr-defined]
        return values

    @property
    def _format(self) -> str:
        return str(self._meta.format)  # type: ignore[attr-defined]

    @property
    def _basedir(self) -> str:
        return str(self._root)  # type: ignore[attr-defined]

    @property
    def _ext(self) -> str:
        """Extension of video files; 0.x has it in video stores alone."""
        extension = self._meta.extension  # type: ignore[attr-defined]
        if extension is None:
            raise AttributeError("_ext")
        return str(extension)

    @property
    def _index(self) -> ImgStoreIndex:
        index: ImgStoreIndex = self._readable.index  # type: ignore[attr-defined]
        return index

    @property
    def _chunk_n_and_chunk_paths(self) -> list[tuple[int, str]] | None:
        """Pairs of chunk number and path without extension; None where the index was given by the user."""
        return None if self._options.index is not None else list(self._iter_chunk_n_and_chunk_paths())  # type: ignore[attr-defined]

    @property
    def _chunk_paths(self) -> list[str]:
        """Paths of the video files."""
        return [chunk_path(self._basedir, n, self._ext) for n in self._index.chunks]

    def _iter_chunk_n_and_chunk_paths(self) -> Iterator[tuple[int, str]]:
        extension = self._meta.extension  # type: ignore[attr-defined]
        for n in self._index.chunks:
            yield n, chunk_base(self._basedir, n, extension)

    def _get_chunk_metadata(self, chunk_n: int) -> dict[str, list[Any]]:
        return self._index.get_chunk_metadata(chunk_n)

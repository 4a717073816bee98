"""What was recorded beside the frames, as a store gives it out: of finished chunks, and of those being written."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from typing import Any

from imgstore.disk.journal import read_records
from imgstore.disk.layout import chunk_bases, has_index, list_store
from imgstore.index.store_index import sort_out
from imgstore.store.shared import Shared

__all__ = ["ExtraData"]


class ExtraData(Shared):
    """The part of `ImgStore` that finds and reads extra data."""

    @property
    def has_extra_data(self) -> bool:
        """Whether data was recorded beside the video."""
        from imgstore.beside.extra_data import iter_extra_data_files

        bases, unfinished = self._extra_sources()
        return bool(unfinished) or next(iter_extra_data_files(self._root, bases), None) is not None

    def _extra_sources(
        self, chunks: Container[int] | None = None
    ) -> tuple[list[tuple[int, str]], list[tuple[int, list[dict[str, Any]]]]]:
        """Return the chunks whose extra data is complete, which it is when they have an index, and others' records."""
        if self._plain is not None:
            return [], []
        root, extension = self._root, self._meta.extension
        listing = list_store(root, extension)
        finished, begun, _ = sort_out(root, extension, listing)
        complete = {*finished, *listing.with_index}.difference(begun)
        if extension is None:
            complete = {n for n in complete if has_index(root, extension, n)}
        unfinished = []
        for n in begun:
            records = read_records(root, n)
            if has_index(root, extension, n):
                complete.add(n)  # since the names were read, and its records may have gone before they were
            elif records:
                unfinished.append((n, records))
        if chunks is not None:
            complete = {n for n in complete if n in chunks}
            unfinished = [(n, records) for n, records in unfinished if n in chunks]
        return chunk_bases(root, sorted(complete), extension), unfinished

    def find_extra_data_files(self, extensions: Sequence[str] | None = None) -> list[str]:
        """Return the paths of the files with extra data, in order of chunks.

        Parameters
        ----------
        extensions : sequence of str, optional
            What their names end in; default every kind.
        """
        from imgstore.beside.extra_data import EXTENSIONS, find_extra_data_files

        bases, _ = self._extra_sources()
        return find_extra_data_files(self._root, bases, EXTENSIONS if extensions is None else extensions)

    def get_extra_data(self, ignore_corrupt_chunks: bool = False, *, chunks: Iterable[int] | None = None) -> Any:
        """Return the data recorded beside the video.

        Parameters
        ----------
        ignore_corrupt_chunks : bool
            Leave out files that cannot be read, with a warning.
        chunks : iterable of int, optional
            Numbers of the chunks whose data is wanted; default all.

        Returns
        -------
        pandas.DataFrame or None
            One row per record with ``frame_number``, ``frame_time`` and ``frame_index``; None when there is none.

        Raises
        ------
        ExtraDataError
            A file cannot be read; it is named.
        """
        from imgstore.beside.extra_data import read_extra_data

        wanted = None if chunks is None else {int(n) for n in chunks}
        return read_extra_data(self._extra_data_in_order(wanted), ignore_corrupt_chunks)

    def get_extra_records(self, ignore_corrupt_chunks: bool = False) -> list[dict[str, Any]]:
        """Return the data recorded beside the video as the records that were added.

        In a table every record has every key, and integers may become floats. Here each has its own keys and values,
        as JSON holds them.

        Parameters
        ----------
        ignore_corrupt_chunks : bool
            Leave out files that cannot be read, with a warning.

        Returns
        -------
        list of dict
            In the order of the rows of `get_extra_data`; empty when there are none. ``frame_number``, ``frame_time``
            (NaN before the first frame) and ``frame_index`` (-1) say beside which frame each was recorded.

        Raises
        ------
        ExtraDataError
            A file cannot be read; it is named.
        """
        from imgstore.beside.extra_data import read_extra_records

        return read_extra_records(self._extra_data_in_order(), ignore_corrupt_chunks)

    def _extra_data_in_order(self, chunks: Container[int] | None = None) -> list[Any]:
        """Return the files with extra data, and the records of chunks that have none yet, in order of chunks."""
        from imgstore.beside.extra_data import find_extra_data_files

        sources: list[Any] = []
        bases, unfinished = self._extra_sources(chunks)
        for chunk, records in unfinished:  # finished ones may come before and behind
            before = [(n, base) for n, base in bases if n < chunk]
            bases = bases[len(before) :]
            sources += [*find_extra_data_files(self._root, before), records]
        return sources + find_extra_data_files(self._root, bases)

    def get_extra_data_samplerate(self) -> float:
        """Return the sample rate in Hz that Motif has noted for its extra data."""
        from imgstore.beside.extra_data import extra_data_samplerate

        return extra_data_samplerate(self.find_extra_data_files())

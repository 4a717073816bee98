"""What was recorded beside the frames, in columns that can be plotted; read in a thread, some chunks at a time."""

from __future__ import annotations

import bisect
import logging
import threading
from typing import Any

import numpy as np
import numpy.typing as npt

from imgstore.errors import ArgumentError, ImgStoreError
from imgstore.web.buckets import Events, Positions, Series

__all__ = ["Columns"]

_logger = logging.getLogger("imgstore.web")

_OF_THE_FRAME = ("frame_number", "frame_time", "frame_index")
_MOST_TEXT = 200  # characters of a value
_AT_ONCE = 16  # chunks
_EXACT = 2**53  # integers up to here are floats, too
_MORE = 1.3  # times as many rows
_SOON = 0.5  # seconds that a question waits for what is nearly read


class Columns:
    """The columns of a store's extra data, each value beside the frame that it belongs to.

    Numbers are plotted; of anything else, where it is noted is a tick. Millions of rows take a while to read: until then
    there is what has been read.
    """

    def __init__(self, store: Any):
        self._store = store
        self._lock = threading.Lock()
        self._columns: dict[str, npt.NDArray[np.float64]] = {}  # with room for more rows; NaN: nothing is noted
        self._events: set[str] = set()  # of these a value only says that there is one
        self._fractions: set[str] = set()  # of these not all are integers
        self._large: set[str] = set()  # and of these some are more than a float holds
        self._positions: Positions = np.empty(0, np.int64)
        self._rows = 0
        self._parts: list[tuple[list[int], int]] = []  # chunks that were read together, and their first row
        self._frames = -1  # how many the store had when the last of it was read
        self._series: dict[str, tuple[int, Series | Events]] = {}
        self._table: tuple[int, Any] | None = None  # the part that was last looked into
        self._read = 0.0
        self._stopped = False
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        """Read what has not been read yet, in a thread."""
        with self._lock:
            if self._frames == self._store.frame_count or (self._thread is not None and self._thread.is_alive()):
                return
            self._thread = threading.Thread(target=self._read_all, name="imgstore extra data", daemon=True)
            self._thread.start()
            thread = self._thread
        thread.join(_SOON)

    def close(self) -> None:
        """Stop reading."""
        self._stopped = True
        if self._thread is not None:
            self._thread.join()

    def _read_all(self) -> None:
        try:
            frames = self._store.frame_count
            if self._store.has_extra_data:
                self._read_chunks(list(self._store.chunks))
            self._frames = frames
        except ImgStoreError as error:
            _logger.warning("reading extra data: %s", error)
        self._read = 1.0

    def _read_chunks(self, chunks: list[int]) -> None:
        # of the last ones more may have come
        _, first = self._parts.pop() if self._parts else ([], 0)
        known = sum(len(part) for part, _ in self._parts)
        with self._lock:
            self._rows, self._table = first, None
        for k in range(known, len(chunks), _AT_ONCE):
            if self._stopped:
                return
            part = chunks[k : k + _AT_ONCE]
            positions, table = self._table_of(part)
            with self._lock:
                self._add(positions, table)
                self._parts.append((part, first))
                first = self._rows
                self._read = (k + len(part)) / len(chunks)

    def _table_of(self, chunks: list[int]) -> tuple[Positions, Any]:
        """Read the extra data of chunks: positions, ascending, and the table."""
        table = self._store.get_extra_data(ignore_corrupt_chunks=True, chunks=chunks)
        if table is None or not len(table):
            return np.empty(0, np.int64), None
        positions = np.nan_to_num(table["frame_index"].to_numpy(np.float64), nan=-1.0).astype(np.int64)
        if (np.diff(positions) < 0).any():
            order = np.argsort(positions, kind="stable")
            positions, table = positions[order], table.iloc[order]
        return positions, table

    def _add(self, positions: Positions, table: Any) -> None:
        first, self._rows = self._rows, self._rows + len(positions)
        if self._rows > len(self._positions):
            room = 2 * self._rows
            self._positions = _longer(self._positions, first, room, 0)
            self._columns = {name: _longer(values, first, room, np.nan) for name, values in self._columns.items()}
        self._positions[first : self._rows] = positions
        for values in self._columns.values():
            values[first : self._rows] = np.nan  # unless this table has the column
        for name in () if table is None else table.columns:
            if name in _OF_THE_FRAME:
                continue
            kept = self._columns.setdefault(name, np.full(len(self._positions), np.nan))
            values = table[name]
            if values.dtype.kind in "iuf":
                kept[first : self._rows] = values.to_numpy(dtype=np.float64)
                if values.dtype.kind == "f":
                    self._fractions.add(name)
                elif (values.abs() > _EXACT).any():
                    self._large.add(name)
            else:
                self._events.add(name)
                kept[first : self._rows] = np.where(values.notna().to_numpy(), 1.0, np.nan)

    def describe(self) -> dict[str, Any]:
        """Return name and kind (``number`` or ``event``) of each column, and what part has been read, 0 to 1."""
        with self._lock:
            columns = [
                {"name": str(name)[:_MOST_TEXT], "kind": "event" if name in self._events else "number"} for name in self._columns
            ]
            return {"columns": columns, "read": round(self._read, 3)}

    def series(self, column: int) -> Series | Events:
        """Return the values of a column that have been read, made ready to be looked at.

        Raises
        ------
        ArgumentError
            There is no such column.
        """
        with self._lock:
            names = list(self._columns)
            if not 0 <= column < len(names):
                raise ArgumentError(f"there is no column {column} of extra data")
            name = names[column]
            rows, series = self._series.get(name, (-1, None))
            # while more are read it is made again when there is worth in it: of millions it takes a while
            if series is None or (rows != self._rows and (self._read == 1.0 or self._rows > _MORE * rows)):
                positions, values = self._positions[: self._rows], self._columns[name][: self._rows]
                if name in self._events:
                    there = np.flatnonzero(~np.isnan(values))
                    series = Events(positions[there], np.ones(len(there)))
                else:
                    series = Series(positions, values)
                self._series[name] = self._rows, series
            return series

    def at(self, position: int) -> list[str | None]:
        """Return as text what was noted last at a frame or before it, column by column."""
        with self._lock:
            row = int(np.searchsorted(self._positions[: self._rows], position, side="right")) - 1
            if row < 0:
                return [None] * len(self._columns)
            values = {name: float(of[row]) for name, of in self._columns.items()}
            k = bisect.bisect_right([first for _, first in self._parts], row) - 1
            (chunks, first), known = self._parts[k], self._table
            said = {name for name in self._events | self._large if not np.isnan(values[name])}
        if said and (known is None or known[0] != k):  # what is no float is not kept
            known = k, self._table_of(chunks)[1]
            self._table = known
        texts: list[str | None] = []
        for name, value in values.items():
            if name in said and known is not None:
                texts.append(str(known[1][name].iloc[row - first])[:_MOST_TEXT])
            else:
                texts.append(None if np.isnan(value) else repr(value if name in self._fractions else int(value)))
        return texts


def _longer(values: npt.NDArray[Any], rows: int, room: int, filled: float) -> npt.NDArray[Any]:
    longer = np.full(room, filled, values.dtype)
    longer[:rows] = values[:rows]
    return longer

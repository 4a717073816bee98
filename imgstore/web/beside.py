"""What was recorded beside the frames, in columns that can be plotted."""

from __future__ import annotations

from typing import Any

import numpy as np

from imgstore.errors import ArgumentError
from imgstore.web.buckets import Events, Series

__all__ = ["Columns"]

_OF_THE_FRAME = ("frame_number", "frame_time", "frame_index")
_MOST_TEXT = 200  # characters of a value


class Columns:
    """The columns of a store's extra data, each value beside the frame that it belongs to.

    Numbers are plotted; of anything else, where it is noted is a tick.
    """

    def __init__(self, store: Any):
        table = store.get_extra_data(ignore_corrupt_chunks=True) if store.has_extra_data else None
        self._table = None
        self.names: list[str] = []
        self._series: dict[int, Series | Events] = {}
        if table is None or not len(table):
            return
        if "frame_index" in table:
            positions = table["frame_index"].to_numpy()
        elif "frame_number" in table:
            numbers = store.frame_numbers
            order = np.argsort(numbers, kind="stable")
            at = np.searchsorted(numbers[order], table["frame_number"].to_numpy())
            positions = order[np.minimum(at, len(order) - 1)] if len(order) else np.full(len(table), -1)
        else:
            return
        positions = np.nan_to_num(positions.astype(np.float64), nan=-1.0).astype(np.int64)
        if (np.diff(positions) < 0).any():
            order = np.argsort(positions, kind="stable")
            positions, table = positions[order], table.iloc[order]
        self._table, self._positions = table, positions
        self._columns = [name for name in table.columns if name not in _OF_THE_FRAME]
        self.names = [str(name)[:_MOST_TEXT] for name in self._columns]

    def describe(self) -> list[dict[str, Any]]:
        """Return name and kind (``number`` or ``event``) of each column."""
        return [{"name": name, "kind": "number" if self._is_number(c) else "event"} for c, name in enumerate(self.names)]

    def _is_number(self, column: int) -> bool:
        return bool(self._values(column).dtype.kind in "biuf")

    def _values(self, column: int) -> Any:
        if self._table is None or not 0 <= column < len(self.names):
            raise ArgumentError(f"there is no column {column} of extra data")
        return self._table[self._columns[column]]

    def series(self, column: int) -> Series | Events:
        """Return the values of a column, made ready to be looked at.

        Raises
        ------
        ArgumentError
            There is no such column.
        """
        if column not in self._series:
            values = self._values(column)
            if self._is_number(column):
                self._series[column] = Series(self._positions, values.to_numpy(dtype=np.float64))
            else:
                there = values.notna().to_numpy()
                self._series[column] = Events(self._positions[there], np.ones(int(there.sum())))
        return self._series[column]

    def at(self, position: int) -> list[str | None]:
        """Return as text what was noted last at a frame or before it, column by column."""
        if self._table is None:
            return []
        row = int(np.searchsorted(self._positions, position, side="right")) - 1
        if row < 0:
            return [None] * len(self.names)
        texts = [str(self._table[name].iloc[row])[:_MOST_TEXT] for name in self._columns]
        return [None if text in ("nan", "None", "NaT", "<NA>") else text for text in texts]  # how pandas says nothing

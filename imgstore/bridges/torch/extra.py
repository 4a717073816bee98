"""What was recorded beside the frames: for each frame the latest record."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from imgstore.errors import ArgumentError

__all__ = ["LatestRecords"]


class LatestRecords:
    """The extra data of a store by time.

    Parameters
    ----------
    store : ImgStore
        Open for reading.
    columns : sequence of str, optional
        Which; default all that hold numbers.

    Raises
    ------
    ArgumentError
        A column is not there, or holds neither numbers nor text.
    """

    def __init__(self, store: Any, columns: Sequence[str] | None):
        table = store.get_extra_data()
        self._times = np.empty(0)
        self._columns: Mapping[str, npt.NDArray[Any]] = {}
        if table is None:
            if columns:
                raise ArgumentError(f"{store.filename}: has no extra data, and so no {columns[0]!r}")
            return
        of_frames = ("frame_number", "frame_time", "frame_index")
        numeric = [str(c) for c in table.select_dtypes(["number", "bool"]) if c not in of_frames]
        wanted = numeric if columns is None else list(columns)
        # records from before the first frame have no time
        times = table["frame_time"].to_numpy(np.float64)
        times = np.where(np.isnan(times), -math.inf, times)
        order = np.argsort(times, kind="stable")
        self._times = times[order]
        found = {}
        for name in wanted:
            if name not in table:
                raise ArgumentError(f"{store.filename}: its extra data has no column {name!r}")
            values = table[name]
            if name in numeric or name in of_frames:
                found[name] = values.to_numpy(np.float64)[order]
            elif values.dropna().map(type).eq(str).all():
                found[name] = values.fillna("").to_numpy(object)[order]
            else:
                raise ArgumentError(f"{store.filename}: the column {name!r} of its extra data is neither numbers nor text")
        self._columns = found

    def at(self, time: float) -> dict[str, Any]:
        """Return the latest record at a frame's time or before it: floats, NaN where there is none; text, empty where none."""
        row = int(np.searchsorted(self._times, time, side="right")) - 1
        record: dict[str, Any] = {}
        for name, values in self._columns.items():
            nothing = "" if values.dtype == object else math.nan
            value = values[row] if row >= 0 else nothing
            record[name] = value if isinstance(value, str) else float(value)
        return record

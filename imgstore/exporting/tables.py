"""The tables beside what is exported: which frame is which, and what was recorded beside the frames."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from imgstore.errors import ArgumentError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["TableKind", "extra_data_of", "table_path", "write_table"]

TableKind = Literal["csv", "parquet"]


def table_path(path: Path, what: str, kind: TableKind) -> Path:
    """Return the name of a table beside an exported file: ``clip.mp4`` has ``clip.mp4.frames.csv``."""
    return path.with_name(f"{path.name}.{what}.{kind}")


def check_kind(kind: object, name: str) -> None:
    """Refuse what is no kind of table, and Parquet where nothing here writes it."""
    if kind not in (None, "csv", "parquet"):
        raise ArgumentError(f"{name} {kind!r}: csv or parquet is wanted")
    if kind == "parquet":
        try:
            import_module("pyarrow")
        except ImportError as error:
            raise ArgumentError(f"{name} parquet: needs pyarrow ({error}): pip install 'imgstore[parquet]'") from error


def write_table(table: pd.DataFrame, path: Path, kind: TableKind) -> None:
    """Write a table to a file that is there. Times keep all their digits."""
    plain = table.copy(deep=False)
    for name in plain.columns:
        if plain[name].dtype == object:
            plain[name] = _plain(plain[name], kind)
    if kind == "csv":
        plain.to_csv(path, index=False, lineterminator="\n")
    else:
        plain.to_parquet(path, index=False)


def _plain(column: pd.Series[Any], kind: TableKind) -> pd.Series[Any]:
    """Turn lists and mappings into JSON; in Parquet, whose columns have one type each, also values of several types."""
    kinds = {type(value) for value in column if value is not None and value == value}  # noqa: PLR0124 - NaN is not
    nested = {list, dict}
    if kinds <= {str} or (len(kinds) == 1 and not kinds & nested) or (kind == "csv" and not kinds & nested):
        return column
    return column.map(lambda value: None if value is None or value != value else json.dumps(value), na_action="ignore")


def extra_data_of(store: Any, start: int, stop: int) -> pd.DataFrame | None:
    """Return what was recorded beside frames, and before them the last that was: a setting holds until the next.

    Parameters
    ----------
    store : imgstore.store.ImgStore
        Open for reading.
    start, stop : int
        Positions of the frames.

    Returns
    -------
    pandas.DataFrame or None
        As `get_extra_data` has it, without earlier records but for the last one that has a value of each column.
        None where nothing was recorded.
    """
    files = [file.chunk for file in store.chunk_files if file.position < stop]
    table = store.get_extra_data(chunks=files)
    if table is None or not len(table):
        return None
    where = _positions(store, table)
    within = (where >= start) & (where < stop)
    earlier = np.flatnonzero(where < start)
    kept: set[int] = set()
    for name in table.columns.difference(["frame_number", "frame_time", "frame_index"]):
        there = np.flatnonzero(table[name].iloc[earlier].notna().to_numpy())
        kept.update(earlier[there[-1:]].tolist())
    rows = sorted({*kept, *np.flatnonzero(within).tolist()})
    found: pd.DataFrame = table.iloc[rows].reset_index(drop=True)
    return found


def _positions(store: Any, table: pd.DataFrame) -> npt.NDArray[np.int64]:
    """Return beside which frame of the store each record was added, -1 before the first.

    It is the one that the record names, unless frames before it are gone since; then it is found by its number. What names
    none stays with the one before.
    """
    numbers, times = store.frame_numbers, store.frame_times
    count = len(numbers)
    by_number: dict[int, int] = {}
    for position, number in zip(range(count - 1, -1, -1), numbers[::-1].tolist(), strict=True):
        by_number[number] = position
    found = np.full(len(table), -1, np.int64)
    last = -1
    columns = [table[name].tolist() if name in table.columns else [None] * len(table)
               for name in ("frame_index", "frame_number", "frame_time")]  # fmt: skip
    for k, (index, number, moment) in enumerate(zip(*columns, strict=True)):
        if _is_number(index) and 0 <= index < count and (numbers[int(index)] == number or times[int(index)] == moment):
            last = int(index)
        elif _is_number(number):
            last = by_number.get(int(number), last)
        found[k] = last
    return found


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and value == value  # noqa: PLR0124 - NaN is not

"""Tables of records, in which no integer loses its last digits.

pandas makes floats of integers where a row has no value, and a float64 has 53 bits: the nanoseconds of a camera's clock
would be wrong by a hundred. So a column is float64, as in 0.x, where that holds every integer in it; where not, it is
``Int64`` or ``UInt64``, which know missing values, and of objects where there are other numbers among the integers.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from imgstore.errors import ExtraDataError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["joined", "records_to_df"]

_EXACT = 2**53  # up to which a float64 holds every integer
# A table has a cell for each key that any record has. That may be so many times more than there are values, and as much
# as 40 MB at any rate.
_MAX_GROWTH, _ALWAYS_ENOUGH = 40, 5_000_000


def records_to_df(records: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Make a table of records: one row each, one column per key, in order of appearance.

    Raises
    ------
    ExtraDataError
        It would be far larger than the records.
    """
    _check_size(len(records), set().union(*records), sum(map(len, records)))
    table = _as_pandas_does(records)
    for name in _of_floats(table):
        values = [record.get(name) for record in records]
        if any(type(value) is int and abs(value) > _EXACT for value in values):
            table[name] = _exact(values)
    return table


def _as_pandas_does(records: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    import pandas as pd

    table: pd.DataFrame
    try:
        table = pd.DataFrame(list(records))
        return table
    except OverflowError:  # of pandas before 3, where an integer is above the greatest float
        table = pd.DataFrame(list(records), dtype=object)
    for name in table.columns:
        with contextlib.suppress(OverflowError):  # that column stays one of objects
            table[name] = table[name].infer_objects()
    return table


def joined(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Put the rows of tables one after the other, numbered from 0; their columns are in order of appearance.

    Raises
    ------
    ExtraDataError
        The table would be far larger than these.
    """
    import pandas as pd

    # an empty table has no columns and no dtypes, and must not have a say in those of the others
    tables = [table for table in tables if len(table)] or list(tables[:1])
    _check_size(
        sum(map(len, tables)),
        set().union(*(part.columns for part in tables)),
        sum(int(part.count().sum()) for part in tables),
    )
    table: pd.DataFrame = pd.concat(tables, ignore_index=True, sort=False)
    for name in _of_floats(table):
        if any(_is_large(part[name]) for part in tables if name in part.columns):
            table[name] = _exact(
                value
                for part in tables
                for value in (part[name].astype(object).tolist() if name in part.columns else [None] * len(part))
            )
    return table


def _check_size(rows: int, names: set[Any], values: int) -> None:
    if rows * len(names) > _MAX_GROWTH * values + _ALWAYS_ENOUGH:
        raise ExtraDataError(
            f"extra data: {rows} records with {len(names)} different keys would be a table of {rows * len(names)} cells"
            f" for {values} values; get_extra_records() gives the records as they are"
        )


def _of_floats(table: pd.DataFrame) -> list[Any]:
    return [name for name in table.columns if table[name].dtype.kind == "f"]


def _is_large(column: pd.Series[Any]) -> bool:
    """Whether a float64 cannot hold all that is in a column of integers."""
    if column.dtype.kind not in "iu":
        return False
    known = column.dropna()
    return bool(len(known)) and (int(known.max()) > _EXACT or int(known.min()) < -_EXACT)


def _exact(values: Iterable[Any]) -> pd.Series[Any]:
    """Make a column of integers and of what may be among them: nothing, None or NaN, and other numbers."""
    import pandas as pd

    column = list(values)
    missing = np.array([value is None or value is pd.NA or value != value for value in column], bool)
    numbers = [0 if gone else value for value, gone in zip(column, missing.tolist(), strict=True)]
    series: pd.Series[Any] = pd.Series(column, dtype=object)
    if all(isinstance(n, (int, float)) and not isinstance(n, bool) and n % 1 == 0 for n in numbers):
        whole = list(map(int, numbers))  # those that are floats were so for want of a value beside them
        for dtype in (np.int64, np.uint64):
            limits = np.iinfo(dtype)
            if limits.min <= min(whole) and max(whole) <= limits.max:
                series = pd.Series(pd.arrays.IntegerArray(np.array(whole, dtype), missing))
                break
    return series

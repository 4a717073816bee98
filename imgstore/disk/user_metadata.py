"""The user's own metadata: what YAML holds exactly, and nothing that it would hold as something else."""

from __future__ import annotations

import datetime
import os
import reprlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from imgstore.disk.layout import METADATA_FILENAME, METADATA_KEY
from imgstore.disk.plain_yaml import MAX_BITS, MAX_DEPTH, dump_plain_yaml, load_plain_yaml
from imgstore.errors import ArgumentError

__all__ = ["plain_metadata", "same_values", "shown"]

_PLAIN_KINDS = "biufSU"  # of arrays: booleans, numbers, text; but for long doubles


def plain_metadata(given: Mapping[Any, Any]) -> dict[Any, Any]:
    """Turn what a user gives as metadata into plain values that are read back as they are.

    Values of numpy's and pandas' become those of Python that are equal to them, tuples and arrays lists, other mappings
    dicts, paths text.

    Parameters
    ----------
    given : mapping
        Not changed.

    Returns
    -------
    dict
        Of None, booleans, numbers, text, bytes, dates, times with dates, and lists, dicts and sets of these.

    Raises
    ------
    ArgumentError
        A value, which is named, cannot be kept exactly, or a key is the store's own.
    """
    plain: dict[Any, Any] = _plain(given, "metadata", 0)
    if METADATA_KEY in plain:
        raise ArgumentError(f"metadata may not have the key {METADATA_KEY!r}: it is the store's own")
    if not _comes_back(plain):
        for key, value in plain.items():
            if not _comes_back({key: value}):
                raise _refusal(f"metadata[{shown(key)}]", value, "YAML would not give it back as it is")
        raise ArgumentError(f"metadata is more than {METADATA_FILENAME} can hold: 64 MB, or a million values")
    return plain


def shown(value: object) -> str:
    """Return a value as messages show it: shortened, and without an error."""
    try:
        return reprlib.repr(value)
    except ValueError:  # an integer that is too large for text
        return f"a value of type {type(value).__name__}"


def _refusal(where: str, value: object, why: str) -> ArgumentError:
    kind = type(value)
    name = kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"
    return ArgumentError(f"{where}: {shown(value)} of type {name} cannot be written to {METADATA_FILENAME}: {why}")


def _plain(value: Any, where: str, depth: int) -> Any:
    if depth > MAX_DEPTH - 2:
        raise _refusal(where, value, "it is nested too deeply, or holds itself")
    if isinstance(value, Mapping):
        items = {
            _plain_key(key, where): _plain(item, f"{where}[{shown(key)}]", depth + 1) for key, item in value.items()
        }
        if len(items) != len(value):
            raise _refusal(where, value, "two of its keys are the same there")
        return items
    if isinstance(value, (list, tuple)):
        return [_plain(item, f"{where}[{n}]", depth + 1) for n, item in enumerate(value)]
    if isinstance(value, (set, frozenset)):
        members = {_plain_key(item, where) for item in value}
        if len(members) != len(value):
            raise _refusal(where, value, "two of its members are the same there")
        return members
    if isinstance(value, np.ndarray):
        return _plain_array(value, where, depth)
    return _plain_scalar(value, where)


def _plain_key(key: Any, where: str) -> Any:
    if isinstance(key, (Mapping, tuple, set, frozenset, np.ndarray)):
        raise _refusal(where, key, "a key, or a member of a set, must be a single value")
    return _plain_scalar(key, where)


def _plain_array(value: np.ndarray[Any, Any], where: str, depth: int) -> Any:
    if isinstance(value, np.ma.MaskedArray):
        raise _refusal(where, value, "it has no place for a mask; give .filled(...) or .tolist()")
    if value.dtype.kind in _PLAIN_KINDS and not _is_long(value.dtype):
        return value.tolist()
    if value.ndim == 0:
        return _plain(value[()], where, depth)
    return [_plain(item, f"{where}[{n}]", depth + 1) for n, item in enumerate(value)]


def _is_long(dtype: np.dtype[Any]) -> bool:
    return dtype.char in "gG"  # tolist() and item() give them back as they are


def _plain_scalar(value: Any, where: str) -> Any:
    """Return the value of Python's own that is equal to a value."""
    if isinstance(value, np.generic):
        value = _of_numpy(value, where)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        if int(value).bit_length() > MAX_BITS:
            raise _refusal(where, value, "it has too many digits")
        return int(value)
    # by the base's own methods, for those of enumerations and of pandas say something else
    if isinstance(value, float):
        return float.__float__(value)
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, (bytes, bytearray)):
        return bytes(value)
    if isinstance(value, os.PathLike):
        return _plain_scalar(os.fspath(value), where)
    if isinstance(value, datetime.datetime):
        if value != value or getattr(value, "nanosecond", None):
            raise _refusal(where, value, "it is no time, or one that is finer than microseconds")
        return datetime.datetime.combine(
            datetime.date(value.year, value.month, value.day),
            datetime.time(value.hour, value.minute, value.second, value.microsecond, value.tzinfo, fold=value.fold),
        )
    if isinstance(value, datetime.date):
        return datetime.date(value.year, value.month, value.day)
    raise _refusal(where, value, "YAML has no such value")


def _of_numpy(value: np.generic, where: str) -> Any:
    """Return a scalar of numpy's as one of Python's, if there is one that is equal."""
    if value.dtype.kind == "M":
        item = value.item()
        if np.datetime_data(value.dtype)[0] in ("ns", "ps", "fs", "as") and value == value.astype("M8[us]"):
            item = value.astype("M8[us]").item()
        if not isinstance(item, datetime.date):
            raise _refusal(where, value, "it is no time, or one that is finer than microseconds")
        return item
    if _is_long(value.dtype) and value.dtype.kind == "f":
        if float(value) != value and value == value:
            raise _refusal(where, value, "it has more digits than a float64 holds")
        return float(value)
    if value.dtype.kind in _PLAIN_KINDS:
        return value.item()
    raise _refusal(where, value, "YAML has no such value")


def _comes_back(content: dict[Any, Any]) -> bool:
    try:
        return same_values(load_plain_yaml(dump_plain_yaml(content)), content)
    except ValueError:
        return False


def same_values(a: Any, b: Any) -> bool:
    """Whether two plain values are the same, types included; NaN is itself."""
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return _typed(a) == _typed(b) and all(same_values(a[key], b[key]) for key in a)
    if isinstance(a, set):
        return _typed(a) == _typed(b)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same_values, a, b))
    if isinstance(a, float):
        return repr(a) == repr(b)  # tells -0.0 from 0.0, and NaN is itself
    if isinstance(a, datetime.datetime):
        return isinstance(b, datetime.datetime) and a == b and a.utcoffset() == b.utcoffset()
    return bool(a == b)


def _typed(values: Iterable[Any]) -> set[tuple[type, Any]]:
    return {(type(value), value) for value in values}  # for 1, 1.0 and True are the same

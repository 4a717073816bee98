"""What numpy writes about an array, type and shape, read from files that may say anything.

numpy builds types from more texts than it writes, and some of them end the process (``M8[s/0]``), take unbounded memory
(``(1000000000,)f8``) or raise whatever comes. So no text of a file reaches `numpy.dtype` before it was found in the
grammar here, which is that of the texts that numpy itself writes and people type.

Sources: `numpy.lib.format` and NEP 1 for headers; "The array interface protocol", version 3, for types.
"""

from __future__ import annotations

import math
import re
import struct
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

__all__ = ["NpyHeader", "dtype_of_descr", "dtype_of_text", "npy_header_size", "parse_literal", "parse_npy_header"]

MAGIC = b"\x93NUMPY"
# The header of an array of plain samples takes some hundred bytes; numpy has the same limit for what it evaluates.
MAX_HEADER = 10_000
_MAX_DEPTH = 16
_MAX_DIMENSIONS = 32  # of numpy before 2.0
_MAX_ITEMSIZE = 2**31 - 1  # numpy counts in ints

_TYPE = re.compile(
    r"""
      bool_? | u?int(?:8|16|32|64)? | float(?:16|32|64|96|128)? | complex(?:64|128|192|256)? | half | single | double
    | longdouble | clongdouble | object
    | [<>=|]? (?: b1 | [iu][1248] | f(?:2|4|8|12|16) | c(?:8|16|24|32) | [?bBhHiIlLqQefdgFDG] | O8? )
    | [<>=|]? [SUV] (?P<length>\d{1,9})
    | (?: [<>=|]? [mM]8 | datetime64 | timedelta64 )
      (?: \[ (?:[1-9]\d{0,8})? (?: [YMWDhms] | ms | us | ns | ps | fs | as ) \] )?
    """,
    re.VERBOSE | re.ASCII,
)

# what `repr` makes of text, of whole numbers (those of Python 2 may end in L), and of what holds them
_TOKEN = re.compile(
    r"""\s* (?:
      (?P<text> u? (?: '(?:[^'\\\n\r\0]|ESCAPE)*' | "(?:[^"\\\n\r\0]|ESCAPE)*" ) )
    | (?P<number> -?\d{1,18} ) L?
    | (?P<constant> True | False | None )
    | (?P<mark> [][(){}:,] )
    )""".replace("ESCAPE", r"""\\(?:[\\'"nrt]|x[0-9a-f]{2}|u[0-9a-f]{4}|U00(?:0[0-9a-f]|10)[0-9a-f]{4})"""),
    re.VERBOSE | re.ASCII,
)
# `ast.literal_eval` knows escapes too, but fails up to Python 3.11.7 and 3.12.1 when another thread parses at the same time:
# github.com/python/cpython/issues/106905
_ESCAPE = re.compile(r"""\\(?:([\\'"])|([nrt])|(x..|u.{4}|U.{8}))""")
_CONTROLS = {"n": "\n", "r": "\r", "t": "\t"}
_CONSTANTS = {"True": True, "False": False, "None": None}
_CLOSING = {"(": ")", "[": "]", "{": "}"}


class NpyHeader(NamedTuple):
    """What stands before the samples of an array.

    Attributes
    ----------
    shape : tuple of int
    fortran_order : bool
        Whether the first index changes fastest.
    dtype : numpy.dtype
        In the file's byte order; `hasobject` where the samples are a pickle.
    nbytes : int
        Size of the samples.
    """

    shape: tuple[int, ...]
    fortran_order: bool
    dtype: np.dtype[Any]
    nbytes: int


def dtype_of_text(text: str) -> np.dtype[Any]:
    """Return the type that a text names: ``uint8``, ``<f4``, ``datetime64[ns]``.

    Raises
    ------
    ValueError
        It names none of those that numpy writes.
    """
    found = _TYPE.fullmatch(text)
    if found is None or int(found["length"] or 0) * 4 > _MAX_ITEMSIZE:
        raise ValueError(f"{text[:100]!r} is no type of numpy's")
    try:
        return np.dtype(text)
    except TypeError:  # float96 and float128 are not on every machine
        raise ValueError(f"{text!r} is no type of this machine's") from None


def dtype_of_descr(descr: object) -> np.dtype[Any]:
    """Return the type that `numpy.lib.format.dtype_to_descr` describes: a text, or fields with types of their own.

    Raises
    ------
    ValueError
        It describes no type, or one whose values take 2 GB or more.
    """
    _size_of(descr, _MAX_DEPTH)
    try:
        return np.lib.format.descr_to_dtype(descr)  # type: ignore[arg-type]  # it is just that, as far as numpy says
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"the type is none of numpy's ({error})") from None


def _size_of(descr: object, depth: int) -> int:
    """Return at least how many bytes a value takes; everything in `descr` is looked at before numpy is asked."""
    if depth == 0:
        raise ValueError("the type is nested too deeply")
    size = -1
    if isinstance(descr, str):
        size = dtype_of_text(descr).itemsize
    elif isinstance(descr, tuple) and len(descr) == 2:
        size = _size_of(descr[0], depth - 1) * math.prod(_checked_shape(descr[1]))
    elif isinstance(descr, list) and all(isinstance(field, tuple) and len(field) in (2, 3) for field in descr):
        size = 0
        for name, *rest in descr:
            names = name if isinstance(name, tuple) and len(name) == 2 else (name,)
            if not all(isinstance(part, str) for part in names):
                raise ValueError("a field's name is no text")
            size += _size_of(rest[0] if len(rest) == 1 else tuple(rest), depth - 1)
    if not 0 <= size <= _MAX_ITEMSIZE:
        raise ValueError("the type is none of numpy's" if size < 0 else f"values of {size} bytes are too large")
    return size


def _checked_shape(shape: object) -> tuple[int, ...]:
    if (
        not isinstance(shape, tuple)
        or len(shape) > _MAX_DIMENSIONS
        or not all(type(n) is int and n >= 0 for n in shape)
    ):
        raise ValueError(f"{str(shape)[:100]} is no shape")
    return shape


def npy_header_size(start: bytes) -> int:
    """Return where the samples of an ``.npy`` begin.

    Parameters
    ----------
    start : bytes
        Its first bytes, twelve or more.

    Raises
    ------
    ValueError
        It does not begin as such a file does.
    """
    if start[:6] != MAGIC:
        raise ValueError("it does not begin as an npy file does")
    version = start[6:8]
    if version not in (b"\1\0", b"\2\0", b"\3\0"):
        raise ValueError(f"npy files of version {tuple(version)} are not known, only 1.0, 2.0 and 3.0")
    fixed = 10 if version == b"\1\0" else 12
    if len(start) < fixed:
        raise ValueError("it is truncated within its header")
    (length,) = struct.unpack_from("<H" if fixed == 10 else "<I", start, 8)
    if length > MAX_HEADER:
        raise ValueError(f"it claims a header of {length} bytes")
    return fixed + int(length)


@lru_cache(maxsize=64)  # the chunks of a store have the same few, and parsing takes longer than reading their index
def parse_npy_header(header: bytes) -> NpyHeader:
    """Read the header of an ``.npy``.

    Parameters
    ----------
    header : bytes
        As many as `npy_header_size` tells.

    Raises
    ------
    ValueError
        It is none that numpy writes, or describes more than memory could hold.
    """
    text = header[10 if header[6] == 1 else 12 :].decode("utf-8" if header[6] == 3 else "latin-1")
    entries = parse_literal(text)
    if not isinstance(entries, dict) or entries.keys() != {"descr", "fortran_order", "shape"}:
        raise ValueError("the header has other entries than numpy's")
    shape, fortran_order = _checked_shape(entries["shape"]), entries["fortran_order"]
    if not isinstance(fortran_order, bool):
        raise ValueError("the header's fortran_order is neither True nor False")
    dtype = dtype_of_descr(entries["descr"])
    # without zeros, for numpy refuses an empty array too if its other sizes are beyond memory
    if math.prod(n for n in shape if n) * max(1, dtype.itemsize) > np.iinfo(np.intp).max:
        raise ValueError(f"an array of shape {shape} is beyond memory")
    return NpyHeader(shape, fortran_order, dtype, math.prod(shape) * dtype.itemsize)


def parse_literal(text: str) -> Any:
    """Return what a literal of Python's stands for: text, whole numbers, True, False, None, and what holds these.

    Python's own parser takes far more, and is not made for texts that mean harm: deep ones may overflow its stack.

    Raises
    ------
    ValueError
        It is no such literal, or nested more than 16 levels deep.
    """
    tokens = []
    at, end = 0, len(text.rstrip())
    while at < end:
        found = _TOKEN.match(text, at)
        if found is None:
            raise ValueError(f"{text[at : at + 20]!r} is not expected at character {at}")
        tokens.append((found.lastgroup, found[found.lastgroup or 0]))
        at = found.end()
    tokens.append(("mark", "end"))
    value, at = _parse_value(tokens, 0, _MAX_DEPTH)
    if at != len(tokens) - 1:
        raise ValueError("something follows the literal")
    return value


def _character(escape: re.Match[str]) -> str:
    itself, control, number = escape.groups()
    return itself or _CONTROLS.get(control) or chr(int(number[1:], 16))


def _parse_value(tokens: list[tuple[str | None, str]], at: int, depth: int) -> tuple[Any, int]:
    """Return the value that begins at a token, and where the next one stands."""
    kind, token = tokens[at]
    if kind == "text":
        return _ESCAPE.sub(_character, token.removeprefix("u")[1:-1]), at + 1
    if kind == "number":
        return int(token), at + 1
    if kind == "constant":
        return _CONSTANTS[token], at + 1
    if token not in _CLOSING or depth == 0:
        raise ValueError("the literal is nested too deeply" if token in _CLOSING else f"{token!r} is not expected")
    items: list[Any] = []
    closing, at, commas = _CLOSING[token], at + 1, 0
    while tokens[at][1] != closing or tokens[at][0] != "mark":
        item, at = _parse_value(tokens, at, depth - 1)
        if token == "{":
            if tokens[at] != ("mark", ":") or not isinstance(item, str):
                raise ValueError("a mapping has keys that are text, and a value for each")
            value, at = _parse_value(tokens, at + 1, depth - 1)
            item = item, value
        items.append(item)
        if tokens[at] == ("mark", ","):
            at, commas = at + 1, commas + 1
        elif tokens[at] != ("mark", closing):
            raise ValueError(f"{tokens[at][1]!r} is not expected")
    at += 1
    if token == "{":
        if len(dict(items)) != len(items):
            raise ValueError("a mapping has a key twice")
        return dict(items), at
    if token == "[":
        return items, at
    return (tuple(items) if commas or not items else items[0]), at

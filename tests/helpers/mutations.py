"""Bytes that are damaged with some knowledge of what they are: for ``benchmarks/fuzz.py``.

What is common to all files, and text. Each kind of damage is a function that takes content, a source of randomness and
content of the same kind, and returns new content.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Sequence
from typing import Any

Mutator = Callable[[bytes, random.Random, Sequence[bytes]], bytes]

_MAX_SIZE = 1 << 18  # bytes; larger inputs show little that smaller ones do not

_WIDTHS = (1, 2, 4, 4, 8)
EXTREMES = (
    0,
    1,
    2,
    0x7F,
    0xFF,
    0x7FFF,
    0xFFFF,
    0x7FFFFFFF,
    0x80000000,
    0xFFFFFFFF,
    1 << 40,
    (1 << 63) - 1,
    (1 << 64) - 1,
)


# -- any bytes -------------------------------------------------------------------------------------------------------


def _place(data: bytes, rng: random.Random) -> int:
    """Return a place: every other one in the first 512 bytes, where headers are."""
    return rng.randrange(min(len(data), 512) + 1) if rng.random() < 0.5 else rng.randrange(len(data) + 1)


def _flip(data: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4, 16)) if data else 0):
        at = min(_place(data, rng), len(data) - 1)
        changed[at] ^= 1 << rng.randrange(8) if rng.random() < 0.6 else rng.randrange(1, 256)
    return bytes(changed)


def _cut(data: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def _remove(data: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    at = _place(data, rng)
    return data[:at] + data[at + rng.choice((1, 2, 4, 8, 64, 1000)) :]


def _insert(data: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    at = _place(data, rng)
    new = rng.randbytes(rng.choice((1, 2, 8, 100))) if rng.random() < 0.5 else bytes(rng.choice((1, 8, 100, 5000)))
    return data[:at] + new + data[at:]


def _repeat(data: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    at = _place(data, rng)
    part = data[at : at + rng.choice((1, 4, 16, 200, 4000))]
    return data[:at] + part * rng.choice((2, 3, 50)) + data[at + len(part) :]


def _move(data: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    source, target, size = _place(data, rng), _place(data, rng), rng.choice((1, 4, 16, 200, 4000))
    part = data[source : source + size]
    return data[:target] + part + data[target + len(part) :]


def _splice(data: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    other = rng.choice(others) if others else data
    if rng.random() < 0.5:
        return data[: _place(data, rng)] + other[_place(other, rng) :]
    at, start = _place(data, rng), _place(other, rng)
    part = other[start : start + rng.choice((4, 32, 500, 5000))]
    return data[:at] + part + data[at + len(part) :]


def _extreme(data: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    """Write a number that is seldom there in place of one that is, or change that by a little."""
    width, order = rng.choice(_WIDTHS), rng.choice(("big", "little"))
    if len(data) < width:
        return data
    at = min(_place(data, rng), len(data) - width)
    there = int.from_bytes(data[at : at + width], order)  # type: ignore[arg-type]
    value = rng.choice(EXTREMES) if rng.random() < 0.6 else there + rng.choice((-1, 1, -8, 8, 100, there, 255 * there))
    new = (value % (1 << 8 * width)).to_bytes(width, order)  # type: ignore[arg-type]
    return data[:at] + new + data[at + width :]


_ANY = (_flip, _flip, _cut, _remove, _insert, _repeat, _move, _splice, _splice, _extreme, _extreme, _extreme)


def tokens(*words: bytes) -> Mutator:
    """Return a mutator that writes words of a format's own."""

    def mutate(data: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
        word, at = rng.choice(words), _place(data, rng)
        there = rng.choice(words)
        if there in data and rng.random() < 0.7:
            at = data.index(there)
            return data[:at] + word + data[at + len(there) :]
        return data[:at] + word + data[at + (len(word) if rng.random() < 0.5 else 0) :]

    return mutate


def mutated(data: bytes, rng: random.Random, others: Sequence[bytes], own: Sequence[Mutator]) -> bytes:
    """Return damaged content: one damage to four, every other one of the format's own kinds where it has any."""
    changed = data
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        how = rng.choice(own) if own and rng.random() < 0.6 else rng.choice(_ANY)
        try:
            changed = how(changed, rng, others)
        except Unsuitable:
            changed = rng.choice(_ANY)(changed, rng, others)
    return changed[:_MAX_SIZE] if len(changed) > max(_MAX_SIZE, 2 * len(data)) else changed


class Unsuitable(Exception):
    """The content is too damaged already for this kind of damage."""


# -- text ------------------------------------------------------------------------------------------------------------

WORDS = (
    "null", "true", "-1", "0", "1", "1.5", "-0.0", ".inf", ".nan", "NaN", "Infinity", "1e999", "1e308", "9" * 25,
    "9" * 5000,
    "9007199254740993", "-9223372036854775808", "18446744073709551616", "0x7fffffffffffffff", "1_000", "0o17",
    "190:20:30",
    "''", '""', "'a\\0b'", '"\\0"', '"\\ud800"', '"\\xff"', "~", "[]", "{}", "[[]]", "[1, 2]", "[0, 0]", "[480, -1]",
    "[1000000, 1000000]", "[65535, 65535, 65535]", "[48, 64, 3]", "[48, 64, 3, 1, 1, 1]", "[true, false]", "{a: 1}",
    "2026-13-45", "2026-01-01", "0001-01-01T00:00:00", "9999-12-31T23:59:59.999999+23:59", "0001-01-01T00:00:00+14:00",
    "&a [*a, *a]", "*a", "<<: *a", "!!python/object/apply:os.getcwd []", "!!binary aGVsbG8=", "!!set {a, b}",
    "!!omap [a: 1]",
    "!!timestamp 2026-01-01", "!!float x", "!!int ''", "? a\n: b", "|\n  text", "%YAML 9.9", "---", "...", "\t",
    "\x00", "\ufeff",
    "uint8", "uint16", "float64", "object", "O", "V", "S", "U", "M8[s/0]", "m8[0/0s]", "M8[1/0]", "void", "str",
    "bool", "c16",
    ">u2", "<f8", "u1,u1", "(9999999999,)u1", "(2,2)f8", "{'names': ['a'], 'formats': ['O']}", "datetime64[ns]",
    "longdouble",
    "DirectoryImgStore", "VideoImgStore", "VideoImgStoreFFMPEG", "npy", "mjpeg", "avc1/mp4", "libx264", "png", ".m3u8",
    ".mp4",
    ".avi", ".MKV", "../../etc/passwd", "/dev/zero", "file:/etc/passwd", "concat:a|b", "http://127.0.0.1/x",
    "a/../../b", "cv_bayerbg",
    "cv_yuv444", "Europe/Vienna", "../../../etc/passwd", "posixrules", "UTC", "Asia", "\u202e", "frame_number",
    "frame_time",
    "frame_index", "sensor_time", "__store", "_frame_number_before_reindex",
)  # fmt: skip

_SIGNS = "[{\"'&*!|>%@`,:#-?]}\\\n\t\r\x00\x85\u2028\ufeff"
_SCALAR = re.compile(r"-?\d[\d.eE+-]*|\"[^\"\n]*\"|'[^'\n]*'|\w[\w./-]*")


def text(data: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    """Edit text: words replaced, lines removed, doubled, moved; brackets without end."""
    content = data.decode("utf-8", "surrogateescape")
    how = rng.randrange(8)
    lines = content.splitlines(keepends=True)
    if how < 4:
        found = list(_SCALAR.finditer(content))
        if not found:
            raise Unsuitable
        at = rng.choice(found)
        content = content[: at.start()] + rng.choice(WORDS) + content[at.end() :]
    elif how == 4 and lines:
        k = rng.randrange(len(lines))
        lines[k : k + 1] = rng.choice(([], [lines[k]] * 2, [lines[k].lstrip()], ["  " + lines[k]], [rng.choice(lines)]))
        content = "".join(lines)
    elif how == 5:
        at = rng.randrange(len(content) + 1)
        content = content[:at] + rng.choice(_SIGNS) * rng.choice((1, 1, 2, 99)) + content[at:]
    elif how == 6:
        opened, closed = rng.choice((("[", "]"), ('{"a":', "}"), ("- ", ""), ("{a: ", "}"), ("[[[", "")))
        depth = rng.choice((5, 99, 101, 3000, 40000))
        at = rng.randrange(len(content) + 1)
        content = content[:at] + opened * depth + "1" + closed * depth + content[at:]
    else:
        at = rng.randrange(len(content) + 1)
        content = content[:at] + _aliases(rng) + content[at:]
    return content.encode("utf-8", "surrogateescape" if "\\ud8" not in content else "surrogatepass")


def _aliases(rng: random.Random) -> str:
    """Return YAML whose aliases stand for more and more."""
    lines = ["\nlaugh0: &l0 [ha, ha, ha, ha, ha, ha, ha, ha, ha]\n"]
    for k in range(1, rng.choice((2, 8, 20))):
        lines.append(f"laugh{k}: &l{k} [{', '.join([f'*l{k - 1}'] * 9)}]\n")
    return "".join(lines)


_VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2**53 + 1, 2**63 - 1, 2**63, -(2**63) - 1, 10**30, 10**400, 0.5, -0.0, 1e308,
    float("nan"),
    float("inf"), "", "0", "x", "\x00", "\ud800", "1e5", "2026-01-01", "a" * 5000, [], [1], [[1, 2], [3]], {},
    {"a": 1}, {"a": {"b": []}},
    "frame_number", "frame_time", "frame_index",
)  # fmt: skip


def tree(data: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    """Change a document of JSON, or lines of it, as what it means: values of other kinds, keys gone and come."""
    try:
        if data.count(b"\n") > 1 and data.startswith(b"{"):
            lines = data.splitlines()
            k = rng.randrange(len(lines))
            lines[k] = _dumped(_changed(json.loads(lines[k]), rng))
            return b"\n".join(lines) + b"\n"
        return _dumped(_changed(json.loads(data), rng))
    except (ValueError, RecursionError):
        raise Unsuitable from None


def _dumped(value: Any) -> bytes:
    return json.dumps(value).encode("utf-8")


def _changed(value: Any, rng: random.Random) -> Any:
    if isinstance(value, dict) and value and rng.random() < 0.85:
        key = rng.choice(list(value))
        how = rng.randrange(8)
        if how == 0:
            del value[key]
        elif how == 1:
            value[str(rng.choice(_VALUES))] = value.pop(key)
        elif how == 2:
            value.update({f"k{n}": n for n in range(rng.choice((1, 50, 3000)))})
        else:
            value[key] = _changed(value[key], rng)
        return value
    if isinstance(value, list) and value and rng.random() < 0.85:
        k = rng.randrange(len(value))
        how = rng.randrange(8)
        if how == 0:
            del value[k]
        elif how == 1:
            value *= rng.choice((2, 30))
        elif how == 2:
            value.append(rng.choice(_VALUES))
        else:
            value[k] = _changed(value[k], rng)
        return value
    return rng.choice(_VALUES)

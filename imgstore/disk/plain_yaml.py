"""YAML as plain values: no objects, and no more than its text is worth.

LibYAML composes nested collections by recursion on the C stack, which a file of a hundred thousand brackets overflows:
the process would die. And a text of less than a kilobyte can stand for gigabytes, for ``*name`` repeats what ``&name``
stands for, and that may hold further repetitions. LibYAML's parser neither recurses nor repeats, so what it tells is
looked at first.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

__all__ = ["MAX_BITS", "MAX_DEPTH", "MAX_SIZE", "dump_plain_yaml", "load_plain_yaml"]

MAX_DEPTH = 100
MAX_BITS = 14_000  # of an integer: Python makes no text of one with more than 4300 digits, not in a message either
MAX_SIZE = 64 << 20  # bytes; people put whole configurations into their metadata
_MAX_NODES = 1_000_000  # that makes 400 MB of objects
_MAX_DIGITS = 4300
# Repetitions are ordinary: they are made where a list is in two places. They may make ten times of a text, and a
# megabyte at any rate.
_MAX_GROWTH, _ALWAYS_ENOUGH = 10, 1_000_000


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # the C loader is ten times faster
    """Builds plain values only, and integers that can be shown."""


def _construct_int(loader: Any, node: Any) -> int:
    text = loader.construct_scalar(node)
    value: int = loader.construct_yaml_int(node) if len(text) <= _MAX_DIGITS else 1 << MAX_BITS
    if value.bit_length() > MAX_BITS:
        raise ValueError(f"it has a whole number of {len(text)} digits")
    return value


_Loader.add_constructor("tag:yaml.org,2002:int", _construct_int)


def load_plain_yaml(data: bytes) -> Any:
    """Return what a YAML document holds.

    Parameters
    ----------
    data : bytes
        The document.

    Raises
    ------
    ValueError
        It is no YAML, asks for objects to be built, is nested more than 100 levels deep, is larger than 64 MB or a
        million values, or repeats itself so that it would be more than ten times as large.
    """
    if len(data) > MAX_SIZE:
        raise ValueError(f"it is larger than {MAX_SIZE >> 20} MB")
    try:
        _check_size(data)
        return yaml.load(data, Loader=_Loader)  # noqa: S506 - a safe loader
    # OverflowError, IndexError and the like come of impossible dates and numbers
    except (yaml.YAMLError, RecursionError, ArithmeticError, TypeError, AttributeError, LookupError) as error:
        raise ValueError(" ".join(str(error).split())) from error


def _check_size(data: bytes) -> None:
    """Refuse what is too deep or too much, counted in values and in their characters, as if repetitions were written out."""
    limit = _MAX_GROWTH * len(data) + _ALWAYS_ENOUGH
    known: dict[str | None, int | None] = {}  # sizes of what has a name; None while that is still open
    sizes: list[int] = [0]  # of the collections that are open; the document is the first
    names: list[str | None] = [None]
    nodes = 0
    events: Iterator[Any] = yaml.parse(data, Loader=_Loader)
    for event in events:
        kind = type(event)
        if kind is yaml.ScalarEvent:  # most are
            size, name = 1 + len(event.value), event.anchor
        elif kind is yaml.MappingStartEvent or kind is yaml.SequenceStartEvent:
            known[event.anchor] = None
            sizes.append(1)
            names.append(event.anchor)
            if len(sizes) > MAX_DEPTH + 1:
                raise ValueError(f"it is nested more than {MAX_DEPTH} levels deep")
            continue
        elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
            size, name = sizes.pop(), names.pop()
        elif kind is yaml.AliasEvent:
            repeated = known.get(event.anchor, 0)  # a name that is not known is the loader's to report
            if repeated is None:
                raise ValueError(f"the value {event.anchor!r} holds itself")
            size, name = repeated, None
        else:
            continue
        if name is not None:
            known[name] = size
        sizes[-1] += size
        nodes += 1
        if nodes > _MAX_NODES:
            raise ValueError(f"it has more than {_MAX_NODES} values")
        if sizes[-1] > limit:
            raise ValueError(f"it repeats itself: {len(data)} bytes stand for more than {limit}")


def dump_plain_yaml(content: Any) -> bytes:
    """Write plain values as YAML.

    Raises
    ------
    ValueError
        They cannot be written.
    """
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    try:
        text: str = yaml.dump(content, Dumper=dumper, default_flow_style=False, allow_unicode=True)
    except (yaml.YAMLError, RecursionError, TypeError) as error:
        raise ValueError(" ".join(str(error).split())) from error
    return text.encode("utf-8")

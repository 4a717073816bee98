"""Mending the extra data of a chunk: what can be read of it is kept."""

from __future__ import annotations

import json
from typing import Any

from imgstore.beside.records import dumps_record, load_records, records_path, write_records
from imgstore.care.bench import Bench
from imgstore.care.chunk_files import LARGEST_TEXT, readable_size
from imgstore.disk.journal import read_records
from imgstore.disk.layout import journal_path
from imgstore.errors import ExtraDataError

__all__ = ["mend_records", "noted_records"]


def mend_records(bench: Bench, chunk: int, *, expected: bool) -> bool:
    """Save what can be read of a chunk's extra data; return whether its file has changed.

    Parameters
    ----------
    bench : Bench
        What is done, and how.
    chunk : int
        Number of the chunk.
    expected : bool
        Whether the chunk's index says that there is some.
    """
    path = records_path(bench.parts.base(chunk))
    size = readable_size(path)
    if size is None:
        if expected:
            bench.leave(path, chunk, "the extra data of the chunk is missing")
        return False
    if size > LARGEST_TEXT:
        bench.leave(path, chunk, f"has {size} bytes, too many to be read")
        return False
    try:
        load_records(path)
    except OSError as error:
        bench.leave(path, chunk, f"cannot be read: {error.strerror or error}")
    except ExtraDataError:
        saved = _records_in(path)
        if not saved:
            bench.set_aside(path, chunk, "holds no record of extra data that can be read")
            return True

        def write() -> None:
            bench.aside.keep(path)
            write_records(bench.parts.base(chunk), [dumps_record(record) for record in saved])

        bench.do("extra data", path, chunk, f"{len(saved)} records could be read and are kept", write)
        return True
    return False


def noted_records(bench: Bench, chunk: int) -> list[str]:
    """Return the records beside a chunk's journal, as lines of JSON.

    Raises
    ------
    ExtraDataError
        There are too many to be read.
    """
    root = bench.parts.root
    path = journal_path(root, chunk, "records")
    if (readable_size(path) or 0) > LARGEST_TEXT:
        raise ExtraDataError(f"{path}: is too large to be read")
    return [dumps_record(record) for record in read_records(root, chunk)]


def _records_in(path: str) -> list[dict[str, Any]]:
    """Read the records of a JSON list up to where it is damaged."""
    with open(path, "rb") as file:
        text = file.read().decode("utf-8", "replace")
    decoder, at = json.JSONDecoder(), text.find("[") + 1
    found: list[dict[str, Any]] = []
    while 0 < at < len(text):
        while at < len(text) and text[at] in " \t\r\n,":
            at += 1
        try:
            record, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            break
        if not isinstance(record, dict):
            break
        found.append(record)
    return found

"""Checking one chunk: its index, its frames, its checksums, its extra data."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from imgstore.beside.records import load_records, records_path
from imgstore.care.chunk_files import LARGEST_TEXT, frame_files, index_files, readable_size, without_path
from imgstore.care.estimate import ESTIMATED_NAME
from imgstore.care.faults import Fault
from imgstore.care.parts import StoreParts
from imgstore.disk.checksums import (
    CHUNK_NAME,
    EXTRA_DATA_NAME,
    HASH_NAME,
    METADATA_NAME,
    SINCE_REPAIR_NAME,
    SIZE_NAME,
    file_checksum,
)
from imgstore.disk.chunk_index import read_all_arrays
from imgstore.disk.journal import read_journal
from imgstore.disk.layout import journal_path
from imgstore.errors import ChunkError, ChunkIndexError, ExtraDataError, FrameDecodeError

__all__ = ["ChunkCheck", "check_chunk", "check_unfinished_chunk"]

Arrays = Mapping[str, npt.NDArray[Any]]

_LARGEST_JOURNAL = 1 << 31


@dataclass
class ChunkCheck:
    """What was found in a chunk.

    Attributes
    ----------
    faults, notes : list of Fault
    count : int or None
        Frames that its index lists; None where that cannot be read.
    numbers : ndarray of int64
        Of the frames of it that the store counts.
    compared, decoded : int
        Files compared with their checksums, and frames decoded.
    metadata_hash : int or None
        Checksum of ``metadata.yaml`` when the chunk was written.
    """

    faults: list[Fault] = field(default_factory=list)
    notes: list[Fault] = field(default_factory=list)
    count: int | None = None
    numbers: npt.NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    compared: int = 0
    decoded: int = 0
    metadata_hash: int | None = None


def check_chunk(parts: StoreParts, chunk: int, deep: bool) -> ChunkCheck:
    """Compare a finished chunk with its index.

    Parameters
    ----------
    parts : StoreParts
        The store.
    chunk : int
        Number of a chunk that has frames and an index as far as the names tell.
    deep : bool
        Decode every frame, not the first alone.
    """
    check = ChunkCheck()
    try:
        arrays = read_all_arrays(parts.base(chunk))
    except ChunkIndexError as error:
        kind = "index" if index_files(parts, chunk) else "unfinished"
        check.faults.append(Fault(kind, parts.base(chunk) + ".npz", chunk, None, without_path(error)))
        return check
    check.numbers = arrays["frame_number"]
    check.count = count = len(check.numbers)
    if _holds_more(parts.base(chunk) + ".npz"):
        check.faults.append(Fault("index", parts.base(chunk) + ".npz", chunk, None, "holds more than the index itself"))
    check.faults += _check_place(parts, chunk, arrays)
    if ESTIMATED_NAME in arrays:
        message = f"numbers and times of chunk {chunk} are estimated: they were lost"
        check.notes.append(Fault("index", parts.base(chunk) + ".npz", chunk, None, message))
    if SINCE_REPAIR_NAME in arrays:
        message = f"the checksums of chunk {chunk} are of what was there when it was repaired"
        check.notes.append(Fault("checksum", parts.base(chunk) + ".npz", chunk, None, message))
    if len(arrays.get(METADATA_NAME, ())) == 1:
        check.metadata_hash = int(arrays[METADATA_NAME][0])
    noted = _noted_files(parts, chunk, count, arrays, check)
    if parts.extension is None:
        bad = _check_frame_files(parts, chunk, count, noted, check)
    else:
        bad = _check_video_file(parts, chunk, count, noted, check)
    _decode(parts, chunk, (k for k in range(count if deep else min(count, 1)) if k not in bad), check)
    _check_records(parts, chunk, arrays, check)
    return check


def _holds_more(path: str) -> bool:
    """Whether an archive has something in front of or behind it (APPNOTE.TXT 4.3.16), which zipfile does not mind."""
    try:
        with open(path, "rb") as file:
            end = file.seek(-22, os.SEEK_END)
            record = file.read(22)
    except OSError:
        return False
    size, offset = int.from_bytes(record[12:16], "little"), int.from_bytes(record[16:20], "little")
    return record[:4] != b"PK\5\6" or (offset != 0xFFFFFFFF and offset + size != end)


def _check_place(parts: StoreParts, chunk: int, arrays: Arrays) -> Iterator[Fault]:
    noted = arrays.get(CHUNK_NAME)
    if noted is not None and noted.tolist() != [chunk]:
        message = f"is the index of chunk {', '.join(map(str, noted.tolist()))}, and in the place of chunk {chunk}'s"
        yield Fault("place", parts.base(chunk) + ".npz", chunk, None, message)


def _noted_files(
    parts: StoreParts, chunk: int, count: int, arrays: Arrays, check: ChunkCheck
) -> list[tuple[int, int]] | None:
    """Return size and checksum of each file as the index has them; None where it has none."""
    sizes, hashes = arrays.get(SIZE_NAME), arrays.get(HASH_NAME)
    if sizes is None and hashes is None:
        return None
    files = count if parts.extension is None else min(count, 1)
    if sizes is None or hashes is None or sizes.shape != (files,) or hashes.shape != (files,):
        message = f"its checksums are not those of {files} files"
        check.faults.append(Fault("index", parts.base(chunk) + ".npz", chunk, None, message))
        return None
    return list(zip(sizes.tolist(), hashes.tolist(), strict=True))


def _check_frame_files(
    parts: StoreParts, chunk: int, count: int, noted: list[tuple[int, int]] | None, check: ChunkCheck
) -> set[int]:
    """Look at each frame's file; return the positions whose frames need not be decoded to know that they are bad."""
    try:
        found = frame_files(parts, chunk)
    except OSError as error:
        message = f"cannot be listed: {error.strerror or error}"
        check.faults.append(Fault("missing", parts.path(chunk), chunk, None, message))
        return set(range(count))
    missing = [k for k in range(count) if k not in found]
    for k in missing:
        check.faults.append(Fault("missing", parts.frame_path(chunk, k), chunk, k, "is missing"))
    for k in sorted(k for k in found if k >= count):
        message = f"is a file beyond the {count} frames that the index lists"
        check.faults.append(Fault("count", parts.frame_path(chunk, k), chunk, k, message))
    bad = set(missing)
    for k in sorted(k for k in found if k < count):
        path = parts.frame_path(chunk, k)
        fault = _check_size(parts, path, chunk, k, found[k], None if noted is None else noted[k][0])
        if fault is None and noted is not None:
            check.compared += 1
            fault = _compare(path, chunk, k, noted[k])
        if fault is not None:
            check.faults.append(fault)
            bad.add(k)
    return bad


def _check_size(parts: StoreParts, path: str, chunk: int, k: int, size: int, noted: int | None) -> Fault | None:
    if noted is not None and size != noted:
        return Fault("size", path, chunk, k, f"has {size} bytes, {noted} were written")
    if size == 0:
        return Fault("size", path, chunk, k, "is empty")
    if size > parts.largest_frame_file:
        return Fault("size", path, chunk, k, f"has {size} bytes, more than any frame of this store")
    return None


def _compare(path: str, chunk: int, frame: int | None, noted: tuple[int, int]) -> Fault | None:
    """Compare a file with its size and checksum."""
    try:
        size, found = file_checksum(path)
    except OSError as error:
        return Fault("missing", path, chunk, frame, f"cannot be read: {error.strerror or error}")
    if size != noted[0]:
        return Fault("size", path, chunk, frame, f"has {size} bytes, {noted[0]} were written")
    if found != noted[1]:
        return Fault("checksum", path, chunk, frame, "is not what was written: its checksum is another")
    return None


def _check_video_file(
    parts: StoreParts, chunk: int, count: int, noted: list[tuple[int, int]] | None, check: ChunkCheck
) -> set[int]:
    path, everything = parts.path(chunk), set(range(count))
    if not os.path.isfile(path):
        if count:
            message = f"is missing, with the {count} frames of its index"
            check.faults.append(Fault("missing", path, chunk, None, message))
        return everything
    if noted:
        check.compared += 1
        fault = _compare(path, chunk, None, noted[0])
        if fault is not None:
            check.faults.append(fault)
    try:
        held = parts.frames.reader(chunk).frame_count
    except ChunkError as error:
        check.faults.append(Fault("frame", path, chunk, None, without_path(error)))
        return everything
    if held != count:
        message = f"holds {held} frames, its index lists {count}"
        check.faults.append(Fault("count", path, chunk, None, message))
    return set(range(held, count))


def _decode(parts: StoreParts, chunk: int, positions: Iterable[int], check: ChunkCheck) -> None:
    for k in positions:
        check.decoded += 1
        try:
            parts.frames.read(chunk, k)
        except FrameDecodeError as error:
            path = parts.frame_path(chunk, k) if parts.extension is None else parts.path(chunk)
            check.faults.append(Fault("frame", path, chunk, k, _without_frame(without_path(error), k)))


def _without_frame(message: str, position: int) -> str:
    """Return what an error says of a frame, without its position, so that frames with the same fault say the same."""
    named = rf"(?:the file's )?\bframe {position}\b(?: of (?:chunk \d+|the video))?"
    return re.sub(named, "it", re.sub(rf"^{named}:? ", "", message))


def _check_records(parts: StoreParts, chunk: int, arrays: Arrays, check: ChunkCheck) -> None:
    path = records_path(parts.base(chunk))
    noted = arrays.get(EXTRA_DATA_NAME)

    def fault(message: str) -> None:
        check.faults.append(Fault("extra data", path, chunk, None, message))

    size = readable_size(path)
    if size is None:
        if noted is not None:
            fault("is missing, it was written with the chunk")
        return
    if noted is None and HASH_NAME in arrays:
        fault("was not there when the chunk was finished")
        return
    if size > LARGEST_TEXT:
        fault(f"has {size} bytes, more than any extra data")
        return
    if noted is not None:
        check.compared += 1
        try:
            found = file_checksum(path)[1]
        except OSError as error:
            fault(f"cannot be read: {error.strerror or error}")
            return
        if [found] != noted.tolist():
            fault("is not what was written: its checksum is another")
            return
    try:
        load_records(path)
    except (ExtraDataError, OSError) as error:
        fault(without_path(error))


def check_unfinished_chunk(parts: StoreParts, chunk: int, deep: bool) -> ChunkCheck:
    """Look at a chunk that has a journal in place of an index, and whose writer is gone."""
    check = ChunkCheck()
    path = journal_path(parts.root, chunk)

    def fault(kind: str, message: str, frame: int | None = None) -> None:
        at = parts.frame_path(chunk, frame) if frame is not None and parts.extension is None else path
        check.faults.append(Fault(kind, at, chunk, frame, message))

    if (readable_size(path) or 0) > _LARGEST_JOURNAL:
        fault("journal", "is larger than any journal")
        return check
    try:
        records = read_journal(parts.root, chunk)
    except ChunkError as error:
        fault("journal", without_path(error))
        return check
    sizes = records["size"].tolist()
    count = parts.frames.readable(chunk, records) if sizes else 0
    check.numbers = records["frame_number"][:count]
    fault("unfinished", f"chunk {chunk} was not finished: {count} of {len(sizes)} frames that were noted can be read;"
                        " `imgstore repair` completes it")  # fmt: skip
    bad = set()
    if parts.extension is None:
        for k, noted in enumerate(zip(sizes[:count], records["content_hash"][:count].tolist(), strict=True)):
            if not noted[1]:
                continue
            check.compared += 1
            found = _compare(parts.frame_path(chunk, k), chunk, k, noted)
            if found is not None:
                check.faults.append(found)
                bad.add(k)
    _decode(parts, chunk, (k for k in range(count if deep else min(count, 1)) if k not in bad), check)
    return check

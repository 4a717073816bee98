"""What makes an unfinished chunk readable: numbers and times of its frames, and its extra data, as they come.

While chunk 2 is written, two hidden files stand in the store: ``.000002.journal``, a fixed-size record per frame, and
``.000002.records``, a line of JSON per record of extra data. Each is written straight to the operating system with
every frame, so a killed process loses none of them. Both go when the chunk's own index is in place. imgstore 0.x does
not see them.

A journal is a header of 16 bytes, then records of 48: frame number (int64), frame time (float64), where the frame's
bytes begin in its file (uint64; 0 where it has one of its own), how many they are (uint64), their XXH3-64 (uint64),
and XXH3-64 of the record's first 40 bytes (uint64); all little-endian. What stands behind the first record that is torn
does not count. Where a codec does not say which bytes are a frame's, all three are 0; and from before a video is
replaced by one that holds the same frames elsewhere.
"""

from __future__ import annotations

import contextlib
import json
import os
import struct
import threading
from typing import Any

import numpy as np
import numpy.typing as npt
import xxhash

from imgstore.disk.atomic import as_write_error, replace_file
from imgstore.disk.layout import journal_path
from imgstore.errors import ChunkError

__all__ = [
    "LONGEST_LINE",
    "Journal",
    "forget_places",
    "goes_on_after_damage",
    "read_journal",
    "read_records",
    "remove_journal",
]

_HEADER = b"imgstorejournal\x01"  # the last byte is the version
_RECORD = struct.Struct("<qdQQQ")
_CHECK = struct.Struct("<Q")
RECORD_DTYPE = np.dtype(
    [
        ("frame_number", "<i8"),
        ("frame_time", "<f8"),
        ("offset", "<u8"),
        ("size", "<u8"),
        ("content_hash", "<u8"),
        ("hash", "<u8"),
    ]
)

_SIZE = RECORD_DTYPE.itemsize
_BLOCK = _SIZE << 15
LONGEST_LINE = 1 << 26  # bytes

_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)


class Journal:
    """Keeps the journal of one chunk while it is written."""

    def __init__(self, root: str, chunk: int):
        self._root, self._chunk = root, chunk
        self._records_path = journal_path(root, chunk, "records")
        self._lock = threading.Lock()  # one thread brings to the disk what another may close
        self._records: int | None = None
        self._frames: int | None = os.open(journal_path(root, chunk), _FLAGS, 0o666)
        try:
            _write(self._frames, _HEADER)
        except OSError:
            self.close()
            remove_journal(root, chunk)
            raise

    def add_frame(
        self, frame_number: int, frame_time: float, offset: int = 0, size: int = 0, content_hash: int = 0
    ) -> None:
        """Note a frame that the chunk's file or directory has taken."""
        assert self._frames is not None
        _write(self._frames, _packed(frame_number, frame_time, offset, size, content_hash))

    def add_record(self, line: str) -> None:
        """Note a record of extra data, as one line of JSON."""
        if self._records is None:
            self._records = os.open(self._records_path, _FLAGS, 0o666)
        _write(self._records, line.encode("utf-8") + b"\n")

    def forget_places(self, count: int) -> None:
        """See the function of this name. No frame can be noted any more."""
        with self._lock:
            if self._frames is not None:
                os.close(self._frames)  # Windows replaces no file that is open
                self._frames = None
        forget_places(self._root, self._chunk, count)

    def sync(self) -> None:
        """Wait until all that was noted is on the disk."""
        with self._lock:
            for descriptor in (self._frames, self._records):
                if descriptor is not None:
                    os.fsync(descriptor)

    def close(self) -> None:
        """Close the files; they stay until `remove_journal`."""
        with self._lock:
            for descriptor in (self._frames, self._records):
                if descriptor is not None:
                    os.close(descriptor)
            self._frames = self._records = None


def _packed(frame_number: int, frame_time: float, offset: int, size: int, content_hash: int) -> bytes:
    record = _RECORD.pack(frame_number, frame_time, offset, size, content_hash)
    return record + _CHECK.pack(xxhash.xxh3_64_intdigest(record))


def _write(descriptor: int, data: bytes) -> None:
    """Write all of `data`; where the disk is full, leave no part of it behind that a later record would follow."""
    done = os.write(descriptor, data)
    while done < len(data):
        try:
            done += os.write(descriptor, data[done:])
        except OSError:
            os.ftruncate(descriptor, os.fstat(descriptor).st_size - done)
            raise


def read_journal(root: str, chunk: int) -> npt.NDArray[Any]:
    """Read what was noted of a chunk's frames.

    Parameters
    ----------
    root : str
        The store's directory.
    chunk : int
        Number of the chunk.

    Returns
    -------
    numpy.ndarray
        Structured, one entry per frame in the order in the chunk: ``frame_number``, ``frame_time``, ``offset``,
        ``size``, ``content_hash``.

    Raises
    ------
    ChunkError
        The file cannot be read, or is no journal.
    """
    path = journal_path(root, chunk)
    good = bytearray()
    try:
        with open(path, "rb") as file:
            header = file.read(len(_HEADER))
            if header != _HEADER and not _HEADER.startswith(header):  # killed before the header was out
                raise ChunkError(f"{path}: is not the journal of a chunk")
            # a block at a time: a file that is damaged may have any size
            while block := file.read(_BLOCK):
                whole = _count_whole(block)
                good += block[: whole * _SIZE]
                if whole * _SIZE < len(block):
                    break
    except ChunkError:
        raise
    except OSError as error:
        raise ChunkError(f"{path}: the journal cannot be read: {error.strerror or error}") from error
    return np.frombuffer(bytes(good), RECORD_DTYPE)


def forget_places(root: str, chunk: int, count: int) -> None:
    """Keep numbers and times of a chunk's first frames, and no longer where their bytes are.

    To be called before its video is replaced by a copy that has them elsewhere: whoever reads the store, or repairs it
    after a kill, then finds them by their number in the one as in the other.

    Parameters
    ----------
    root : str
        The store's directory.
    chunk : int
        Number of the chunk.
    count : int
        How many frames the copy holds.

    Raises
    ------
    StoreWriteError
        The operating system refused; the journal is as it was.
    """
    noted = read_journal(root, chunk)[:count]
    frames = zip(noted["frame_number"].tolist(), noted["frame_time"].tolist(), strict=True)
    replace_file(journal_path(root, chunk), [_HEADER, *(_packed(number, time, 0, 0, 0) for number, time in frames)])


def _count_whole(data: bytes) -> int:
    """Count the records in front of the first that is torn."""
    view = memoryview(data)
    hashes = np.frombuffer(data, RECORD_DTYPE, len(data) // _SIZE)["hash"].tolist()
    for k, noted in enumerate(hashes):
        if xxhash.xxh3_64_intdigest(view[k * _SIZE : k * _SIZE + _RECORD.size]) != noted:
            return k
    return len(hashes)


def goes_on_after_damage(root: str, chunk: int, count: int) -> bool:
    """Whether there are whole records behind the first `count` and one more: the journal is damaged, not only torn."""
    with open(journal_path(root, chunk), "rb") as file:
        file.seek(len(_HEADER) + (count + 1) * _SIZE)
        data = file.read(_BLOCK)
    return any(_count_whole(data[at : at + _SIZE]) for at in range(0, len(data) - _SIZE + 1, _SIZE))


def read_records(root: str, chunk: int) -> list[dict[str, Any]]:
    """Read the extra data of an unfinished chunk; lines that are torn or no records do not count."""
    records = []
    with contextlib.suppress(FileNotFoundError), open(journal_path(root, chunk, "records"), "rb") as file:
        while (line := file.readline(LONGEST_LINE)).endswith(b"\n"):
            with contextlib.suppress(ValueError, RecursionError):
                record = json.loads(line)
                if isinstance(record, dict):
                    records.append(record)
    return records


def remove_journal(root: str, chunk: int) -> None:
    """Remove the journal of a chunk whose own files are complete.

    Raises
    ------
    StoreWriteError
        The operating system refused.
    """
    for kind in ("records", "journal"):
        path = journal_path(root, chunk, kind)
        try:
            os.unlink(path)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise as_write_error(path, error) from error

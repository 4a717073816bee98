"""The index as an SQLite database, ``.index.sqlite``, as imgstore 0.x writes and reads it on request.

The schema is in ``docs/format.md``. It is slower and larger than the cache (`imgstore.index.cache`) and is
there for 0.x, and for people who query it.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from imgstore.disk.atomic import sync_directory, temporary_name
from imgstore.disk.chunk_index import as_frame_numbers, as_frame_times
from imgstore.errors import ChunkIndexError, StoreWriteError

__all__ = ["in_memory", "read_sqlite_chunks", "read_sqlite_paths", "write_sqlite"]

VERSION = "1"

# A damaged file may send SQLite round in circles. Reading takes less than 400 steps of its machine for a row, of some 20 bytes.
_STEPS = 100_000  # between two looks at how many there were
_STEPS_AT_ANY_RATE = 2_000_000
_STEPS_PER_BYTE = 20
_LEAST_ROW = 4  # bytes

Chunk = tuple[int, str, npt.NDArray[np.int64], npt.NDArray[np.float64]]


def write_sqlite(path: str | os.PathLike[str], chunks: Iterable[Chunk], summary: dict[str, float]) -> None:
    """Write an index, in place of any that is there.

    Parameters
    ----------
    path : str or PathLike
        The database.
    chunks : iterable of (int, str, ndarray of int64, ndarray of float64)
        Number, path without extension, frame numbers and times of each chunk in store order.
    summary : dict of str to float
        ``frame_time_min``, ``frame_time_max``, ``frame_min`` and ``frame_max``.

    Raises
    ------
    StoreWriteError
        It cannot be written; what was there is untouched.
    """
    path = Path(path)
    temporary = temporary_name(path)
    try:
        temporary.unlink(missing_ok=True)
        with contextlib.closing(sqlite3.connect(temporary)) as db, db:
            # durability is by renaming a whole file, not by SQLite's journal
            db.execute("PRAGMA journal_mode = OFF")
            db.execute("PRAGMA synchronous = OFF")
            _fill(db, chunks, summary)
        with open(temporary, "r+b") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
        sync_directory(path.parent)
    except (sqlite3.Error, OSError, UnicodeError) as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        number = error.errno if isinstance(error, OSError) else None
        why = "the path is no text in UTF-8, and SQLite holds no other" if isinstance(error, UnicodeError) else error
        raise StoreWriteError(number, f"cannot write the index: {why}", str(path)) from error


def in_memory(chunks: Iterable[Chunk], summary: dict[str, float]) -> sqlite3.Connection:
    """Make the same database in memory; several threads may ask it, one at a time."""
    db = sqlite3.connect(":memory:", check_same_thread=False)
    with db:
        _fill(db, chunks, summary)
    return db


def _fill(db: sqlite3.Connection, chunks: Iterable[Chunk], summary: dict[str, float]) -> None:
    db.execute("CREATE TABLE index_information (name TEXT, value TEXT)")
    db.execute("CREATE TABLE chunks (chunk INTEGER, chunk_path TEXT)")
    db.execute("CREATE TABLE summary (name TEXT, value REAL)")
    columns = "chunk INTEGER, frame_idx INTEGER, frame_number INTEGER, frame_time REAL"
    db.execute(f"CREATE TABLE frames ({columns})")
    db.execute("INSERT INTO index_information VALUES ('version', ?)", (VERSION,))
    for chunk, chunk_path, numbers, times in chunks:
        db.execute("INSERT INTO chunks VALUES (?, ?)", (chunk, chunk_path))
        frames = zip(numbers.tolist(), times.tolist(), strict=True)
        rows = ((chunk, position, *frame) for position, frame in enumerate(frames))
        db.executemany("INSERT INTO frames VALUES (?, ?, ?, ?)", rows)
    db.executemany("INSERT INTO summary VALUES (?, ?)", summary.items())
    db.execute("CREATE INDEX chunk_index ON frames (chunk, frame_idx)")


def read_sqlite_paths(path: str | os.PathLike[str]) -> list[tuple[int, str]]:
    """Read which chunks an index knows, as (number, path without extension).

    Raises
    ------
    ChunkIndexError
        The file is no such database.
    """
    with _database(path) as db:
        version = db.execute("SELECT value FROM index_information WHERE name = 'version'").fetchone()
        if version != (VERSION,):
            raise ChunkIndexError(f"{os.fspath(path)}: of version {version and version[0]!r}, not '1'")
        rows = db.execute("SELECT chunk, chunk_path FROM chunks ORDER BY rowid")
        return [(int(chunk), str(chunk_path)) for chunk, chunk_path in rows]


def read_sqlite_chunks(
    path: str | os.PathLike[str],
) -> Iterator[tuple[int, npt.NDArray[np.int64], npt.NDArray[np.float64]]]:
    """Read the frames of an index, one chunk after the other.

    Yields
    ------
    chunk : int
    frame_numbers : ndarray of int64, shape (n,)
    frame_times : ndarray of float64, shape (n,)
        Seconds; NaN where there is NULL, which is what SQLite makes of NaN.

    Raises
    ------
    ChunkIndexError
        The file is no such database, or its frames are not numbered from 0 in each chunk.
    """
    with _database(path) as db:
        columns = "chunk, frame_idx, frame_number, frame_time"
        frames = _no_more(
            os.path.getsize(path) // _LEAST_ROW, db.execute(f"SELECT {columns} FROM frames ORDER BY chunk, frame_idx")
        )
        for chunk, rows in itertools.groupby(frames, key=lambda row: row[0]):
            _, positions, numbers, times = zip(*rows, strict=True)
            try:
                if not isinstance(chunk, int) or list(positions) != list(range(len(positions))):
                    raise ValueError("the frames are not numbered from 0")
                yield (
                    chunk,
                    as_frame_numbers(numbers),
                    as_frame_times([float("nan") if time is None else time for time in times]),
                )
            except ValueError as error:
                raise ChunkIndexError(f"{os.fspath(path)}: chunk {chunk!r}: {error}") from error


def _no_more(count: int, rows: Iterable[Any]) -> Iterator[Any]:
    """Give rows, up to as many as there can be: pages that are linked in a circle have any number of them."""
    for n, row in enumerate(rows):
        if n >= count:
            raise ValueError("it has more rows than its file has room for")
        yield row


@contextlib.contextmanager
def _database(path: str | os.PathLike[str]) -> Iterator[sqlite3.Connection]:
    """Open a database without making or changing anything, and so that it is read in bounded time."""
    try:
        if not os.path.isfile(path):
            os.stat(path)
            raise ValueError("it is no regular file")
        steps = itertools.count()
        limit = (_STEPS_AT_ANY_RATE + _STEPS_PER_BYTE * os.path.getsize(path)) // _STEPS
        uri = f"{Path(path).absolute().as_uri()}?mode=ro"
        with contextlib.closing(sqlite3.connect(uri, uri=True)) as db:
            db.set_progress_handler(lambda: next(steps) > limit, _STEPS)
            db.execute("PRAGMA trusted_schema = OFF")
            db.execute("PRAGMA temp_store = MEMORY")  # what is sorted goes to no other file
            for name in ("index_information", "chunks", "frames"):
                _check_is_table(db, name)
            yield db
    except (sqlite3.Error, OSError, TypeError, ValueError, OverflowError) as error:
        if isinstance(error, ChunkIndexError):
            raise
        raise ChunkIndexError(f"{os.fspath(path)}: the index cannot be read ({error})") from error


def _check_is_table(db: sqlite3.Connection, name: str) -> None:
    """Refuse what is computed while it is read, such as a view that never ends."""
    kind, sql = db.execute("SELECT type, sql FROM sqlite_master WHERE name = ?", (name,)).fetchone() or ("missing", "")
    computed = any(column[6] for column in db.execute("SELECT * FROM pragma_table_xinfo(?)", (name,)))
    if kind != "table" or computed or "virtual" in str(sql)[:20].lower():
        raise ValueError(f"{name} is no plain table")

"""Files that are damaged with knowledge of their kind: for ``benchmarks/fuzz.py``.

What carries checksums or lengths has them made right again, so that the damage gets past the first check.
"""

from __future__ import annotations

import contextlib
import io
import random
import re
import sqlite3
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from mutations import EXTREMES, Mutator, Unsuitable, mutated, text

from imgstore.index._index import ROW_SIZE

# -- numpy's files ---------------------------------------------------------------------------------------------------

_DESCRIPTIONS = (
    "'|u1'", "'<f8'", "'>i8'", "'|O'", "'<M8[s/0]'", "'<m8[0/0s]'", "'|V0'", "'|S0'", "'<U9999999'", "'|V2147483647'",
    "'(9,)u1'",
    "[('a', '<i8'), ('b', '|O')]", "[('a', '<f8')]", "[('a', '<i8', (2, 2))]", "''", "8", "None", "('<i8', (3,))",
    "'?'", "'<c16'",
    "'<f2'", "'<g'", "'u1,u1'", "'<i8' + ''", "('|V9', [('a', '<f8')])", "{'names': ['a'], 'formats': ['O']}",
)  # fmt: skip
_SHAPES = (
    "()", "(0,)", "(-1,)", "(3)", "[3]", "(3,)", "(8,)", "(1, 8)", "(10**9,)", "(10000000000,)", "(2,) * 3",
    "(4611686018427387904, 4)",
    "(True,)", "(3.0,)", "(0, 99999999999999999999)", "(9,) * 99999999", "(" + "1, " * 64 + ")", "('a',)", "None",
    "(3L,)",
)  # fmt: skip


def npy(data: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    """Change the header of an array file as text, with its length made right."""
    start = data.find(b"\x93NUMPY")
    if start != 0 or len(data) < 12:
        raise Unsuitable
    width = 2 if data[6] == 1 else 4
    size = int.from_bytes(data[8 : 8 + width], "little")
    header = data[8 + width : 8 + width + size].decode("latin1")
    how = rng.randrange(6)
    if how < 2:
        header = re.sub(r"'descr':.*?(?=, 'fort|, 'shape|})", lambda _: f"'descr': {rng.choice(_DESCRIPTIONS)}", header)
    elif how < 4:
        header = re.sub(r"'shape':.*?\)", lambda _: f"'shape': {rng.choice(_SHAPES)}", header)
    elif how == 4:
        header = text(header.encode("latin1", "replace"), rng, ()).decode("latin1")
    else:
        nested = ("{" * 50000, "-" * 50000 + "1", "(" * 200 + ")" * 200)
        header = rng.choice((header + " " * 60000, *nested, "", header * 2, "1" * 9999))
    version = rng.choice((1, 1, 1, 2, 3))
    content = header.encode("latin1", "replace")[:65535]
    length = len(content).to_bytes(2 if version == 1 else 4, "little")
    return b"\x93NUMPY" + bytes((version, 0)) + length + content + data[8 + width + size :]


_MEMBERS = ("frame_number.npy", "frame_time.npy", "x.npy", "frame_number", "../x.npy", "/", "\udcff.npy")


def npz(data: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    """Change members of an archive of arrays, with the archive made right again."""
    members = _members(data)
    k = rng.randrange(len(members))
    name, content = members[k]
    how = rng.randrange(10)
    if how < 5:
        changed = npy(content, rng, ()) if rng.random() < 0.6 else mutated(content, rng, (), ())
        members[k] = (name, changed)
    elif how == 5:
        members[k] = (rng.choice(_MEMBERS), content)
    elif how == 6:
        members.append((rng.choice(members)[0], rng.choice(members)[1]))
    elif how == 7:
        del members[k]
    elif how == 8:
        members[k] = (name, content + bytes(rng.choice((1, 100, 64 << 20))))
    else:
        members[k] = (name, rng.choice(members)[1])
    out = io.BytesIO()
    method = rng.choice(
        (zipfile.ZIP_STORED, zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2)
    )
    if sum(len(content) for _, content in members) > 1 << 20:
        method = zipfile.ZIP_DEFLATED  # a bomb is small
    try:
        with zipfile.ZipFile(out, "w", method, compresslevel=1) as archive:
            for name, content in members:
                archive.writestr(name, content)
    except (ValueError, UnicodeError, OSError):
        raise Unsuitable from None
    return out.getvalue()


def _members(data: bytes) -> list[tuple[str, bytes]]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            found = [(i.filename, archive.read(i)) for i in archive.infolist() if i.file_size < 1 << 24]
    except Exception:
        raise Unsuitable from None
    if not found:
        raise Unsuitable
    return found


# -- imgstore's own --------------------------------------------------------------------------------------------------

_CACHE_HEADER = struct.Struct("=8sII6Q2QI2QI")


def cache(data: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    """Change numbers of a cached index, with its checksum made right."""
    if len(data) < 200:
        raise Unsuitable
    changed = bytearray(data)
    fields = list(_CACHE_HEADER.unpack_from(changed))
    table = 128 + fields[5]
    end = table + fields[6] * ROW_SIZE + fields[7] * (8 + 16) + fields[8]
    if end > len(data):
        raise Unsuitable
    if rng.random() < 0.3:
        k = rng.randrange(3, len(fields))
        fields[k] = (rng.choice(EXTREMES) if rng.random() < 0.5 else fields[k] + rng.choice((-1, 1, 8, -8))) % (1 << 32)
        _CACHE_HEADER.pack_into(changed, 0, *fields)
    else:
        at = table + 8 * rng.randrange((end - table) // 8 or 1)
        value = int.from_bytes(changed[at : at + 8], "little") + rng.choice((-1, 1, 2, 8))
        changed[at : at + 8] = ((rng.choice(EXTREMES) if rng.random() < 0.6 else value) % (1 << 64)).to_bytes(
            8, "little"
        )
        changed = changed[: len(data)]
    checksum = zlib.crc32(changed[table:end], zlib.crc32(changed[: _CACHE_HEADER.size]))
    struct.pack_into("=I", changed, _CACHE_HEADER.size, checksum)
    return bytes(changed)


def journal(data: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    """Change a record of a journal, with its checksum made right."""
    import xxhash

    if len(data) < 64:
        raise Unsuitable
    at = 16 + 48 * rng.randrange((len(data) - 16) // 48)
    record = bytearray(data[at : at + 40])
    field = 8 * rng.randrange(5)
    there = int.from_bytes(record[field : field + 8], "little")
    value = rng.choice(EXTREMES) if rng.random() < 0.5 else there + rng.choice((-1, 1, 8, 1000, 1 << 20))
    record[field : field + 8] = (value % (1 << 64)).to_bytes(8, "little")
    record += xxhash.xxh3_64_intdigest(bytes(record)).to_bytes(8, "little")
    times = rng.choice((1, 1, 1, 2, 3000))
    return data[:at] + bytes(record) * times + data[at + 48 :]


_SQL_VALUES = (
    "NULL", "-1", "0", "1e308", "9e999", "-9223372036854775808", "9223372036854775807", "'x'", "''", "x'00ff'",
    "zeroblob(100000)",
    "1.5", "'../../etc/passwd'", "randomblob(8)", "char(55296)", "'a' || char(0) || 'b'", "hex(zeroblob(500000))",
)  # fmt: skip


def sqlite(data: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    """Change a database by statements."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "db"
        path.write_bytes(data)
        try:
            with contextlib.closing(sqlite3.connect(path)) as db, db:
                for _ in range(rng.choice((1, 1, 2))):
                    db.execute(_statement(rng))
        except (sqlite3.Error, sqlite3.Warning):
            raise Unsuitable from None
        return path.read_bytes()


def _statement(rng: random.Random) -> str:
    table, column = rng.choice((
        ("frames", "chunk"), ("frames", "frame_idx"), ("frames", "frame_number"), ("frames", "frame_time"), ("chunks", "chunk"),
        ("chunks", "chunk_path"), ("summary", "value"), ("summary", "name"), ("index_information", "value"),
        ("index_information", "name"),
    ))  # fmt: skip
    value = rng.choice(_SQL_VALUES)
    endless = "WITH RECURSIVE n(k) AS (SELECT 0 UNION ALL SELECT k + 1 FROM n)"
    frames = "k AS chunk, k AS frame_idx, k AS frame_number, k AS frame_time"
    columns = {"frames": frames, "chunks": "k AS chunk, k AS chunk_path"}
    return rng.choice((
        f"UPDATE {table} SET {column} = {value} WHERE rowid = {rng.randrange(1, 4)}",
        f"UPDATE {table} SET {column} = {value}",
        f"INSERT INTO {table} ({column}) VALUES ({value})",
        f"DELETE FROM {table} WHERE rowid = {rng.randrange(1, 4)}",
        f"DROP TABLE {table}",
        f"ALTER TABLE {table} RENAME COLUMN {column} TO other",
        f"ALTER TABLE {table} RENAME TO other",
        f"INSERT INTO {table} SELECT * FROM {table}",
        f"CREATE VIEW IF NOT EXISTS other AS {endless} SELECT {columns.get(table, 'k AS name, k AS value')} FROM n",
        "ALTER TABLE frames RENAME TO gone",
        f"CREATE VIEW frames AS {endless} SELECT {columns['frames']} FROM n",
        f"CREATE VIEW chunks AS {endless} SELECT {columns['chunks']} FROM n",
        f"PRAGMA user_version = {rng.randrange(9)}",
        "PRAGMA encoding = 'UTF-16'",
    ))  # fmt: skip


# -- pictures and videos ---------------------------------------------------------------------------------------------


_PNG_KINDS = (b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"iCCP", b"eXIf", b"acTL", b"fcTL", b"fdAT")


def png(data: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    """Change a chunk of a PNG, with its checksum made right."""
    chunks = []
    at = 8
    while at + 12 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + size]))
        at += 12 + size
    if not chunks:
        raise Unsuitable
    k = rng.randrange(len(chunks))
    kind, content = chunks[k]
    how = rng.randrange(5)
    if how < 3:
        chunks[k] = (kind, mutated(content, rng, (), ()))
    elif how == 3:
        chunks[k] = (rng.choice(_PNG_KINDS), content)
    else:
        chunks.insert(k, rng.choice(chunks))
    body = [struct.pack(">I", len(c)) + kind + c + struct.pack(">I", zlib.crc32(kind + c)) for kind, c in chunks]
    return data[:8] + b"".join(body)


def boxes(*, little: bool) -> Mutator:
    """Return a mutator of nested parts that begin with their length and kind: MP4's (big-endian), RIFF's (little)."""
    order: Literal["little", "big"] = "little" if little else "big"

    def mutate(data: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
        found = list(_boxes(data, 0, len(data), little, 0))
        if not found:
            raise Unsuitable
        start, stop = rng.choice(found)
        part = data[start:stop]
        how = rng.randrange(8)
        if how == 0:
            return data[:start] + data[stop:]
        if how == 1:
            return data[:stop] + part + data[stop:]
        if how == 2:
            other, end = rng.choice(found)
            return data[:start] + data[other:end] + data[stop:]
        if how == 3:
            at = start + (4 if little else 0)
            value = rng.choice((0, 1, 7, 8, 9, len(part) - 1, len(part) + 1, len(data), 0x7FFFFFFF, 0xFFFFFFFF)) % (
                1 << 32
            )
            return data[:at] + value.to_bytes(4, order) + data[at + 4 :]
        if how == 4:
            at, (other, _) = start + (0 if little else 4), rng.choice(found)
            kind = data[other + (0 if little else 4) :][:4]
            return data[:at] + kind + data[at + 4 :]
        return data[: start + 8] + mutated(data[start + 8 : stop], rng, (), ()) + data[stop:]

    return mutate


_PARENTS = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"moof", b"traf", b"mvex", b"edts", b"dinf", b"udta")


def _boxes(data: bytes, start: int, stop: int, little: bool, depth: int) -> Iterator[tuple[int, int]]:
    while start + 8 <= stop:
        first, second = data[start : start + 4], data[start + 4 : start + 8]
        kind, length = (first, second) if little else (second, first)
        size = int.from_bytes(length, "little" if little else "big") + (8 if little else 0)
        end = min(stop, start + max(size, 8))
        yield start, end
        if depth < 8 and (kind in (b"RIFF", b"LIST") if little else kind in _PARENTS):
            yield from _boxes(data, start + (12 if little else 8), end, little, depth + 1)
        if kind == b"stsd" and not little:
            yield from _boxes(data, start + 16, end, little, depth + 1)
        start = end + (size % 2 if little else 0)


_MASTERS = {
    0x18538067,
    0x1F43B675,
    0x1654AE6B,
    0xAE,
    0xE0,
    0xA0,
    0x1C53BB6B,
    0xBB,
    0x114D9B74,
    0x1549A966,
    0x1A45DFA3,
    0x55B0,
}


def ebml(data: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    """Change an element of Matroska: gone, doubled, of another length, or its content."""
    found = list(_elements(data, 0, len(data)))
    if not found:
        raise Unsuitable
    start, body, stop = rng.choice(found)
    how = rng.randrange(8)
    if how == 0:
        return data[:start] + data[stop:]
    if how == 1:
        return data[:stop] + data[start:stop] + data[stop:]
    if how == 2:
        other, _, end = rng.choice(found)
        return data[:start] + data[other:end] + data[stop:]
    if how == 3:
        return data[: body - 1] + bytes((rng.choice((0, 1, 0x80, 0x81, 0xFE, 0xFF)),)) + data[body:]
    content = data[body:stop]
    if how < 6 and len(content) <= 8:
        value = rng.choice(EXTREMES) % (1 << 8 * max(len(content), 1))
        return data[:body] + value.to_bytes(len(content) or 1, "big")[: len(content)] + data[stop:]
    return data[:body] + mutated(content, rng, (), ())[: len(content)].ljust(len(content), b"\0") + data[stop:]


def _elements(data: bytes, at: int, stop: int) -> Iterator[tuple[int, int, int]]:
    while at < stop:
        width = 9 - data[at].bit_length()
        body = at + width
        if width > 4 or body >= stop:
            return
        kind = int.from_bytes(data[at:body], "big")
        size_width = 9 - data[body].bit_length()
        if size_width > 8:
            return
        size = int.from_bytes(data[body : body + size_width], "big") & ((1 << 7 * size_width) - 1)
        unknown = size == (1 << 7 * size_width) - 1
        body += size_width
        end = stop if unknown else min(stop, body + size)
        yield at, body, end
        if kind in _MASTERS:
            yield from _elements(data, body, end)
        at = end

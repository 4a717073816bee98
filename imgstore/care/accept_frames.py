"""Taking frames as they are, where somebody has changed them on purpose and says so.

A chunk that another program has made anew is a chunk that is not what was written, and no program can tell the two apart.
What is taken must be readable, in full, as what the chunk's index lists.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from imgstore.care.bench import Bench
from imgstore.care.faults import Fault, describe_frames, joined
from imgstore.care.mend_index import keep_index, renew_checksums
from imgstore.care.parts import StoreParts
from imgstore.disk.checksums import HASH_NAME, SIZE_NAME, file_checksum
from imgstore.disk.chunk_index import read_all_arrays, read_chunk_index
from imgstore.disk.layout import METADATA_FILENAME
from imgstore.disk.update_metadata import replace_metadata
from imgstore.errors import ChunkError, ChunkIndexError

__all__ = ["accept_frames"]

Array = npt.NDArray[Any]
Shape = tuple[int, ...]


@dataclass
class _Changed:
    """A chunk with frames that are not what was written: which files, and what shape the frames in them have."""

    chunk: int
    arrays: dict[str, Array]
    positions: list[int]
    shapes: set[Shape | None]


def accept_frames(bench: Bench, chunks: Sequence[int]) -> StoreParts:
    """Take every file of a frame or of a video that is not what was written as what is meant, where it can be read.

    Parameters
    ----------
    bench : Bench
        What is done, and how.
    chunks : sequence of int
        Numbers of all chunks of the store.

    Returns
    -------
    StoreParts
        The store as it is then: its frames may have another shape.
    """
    parts = bench.parts
    changed = [found for chunk in chunks if (found := _changed(parts, chunk)) is not None]
    shape = None
    if any(found.shapes - {None, parts.spec.shape} for found in changed):
        shape = _shape_of_all(parts, chunks)
    as_meant = parts if shape is None or shape == parts.spec.shape else parts.of_shape(shape)
    try:
        if as_meant is parts:
            changed = [found for found in changed if _leave_damaged(bench, found)]
        refused = {found.chunk: why for found in changed if (why := _why_not(as_meant, found)) is not None}
    finally:
        as_meant.frames.close()
    if refused and as_meant is not parts:
        first = min(refused)
        why = f"chunk {first} cannot be taken: {refused[first]}; frames of another size are taken of all chunks or of none"
        refused = {found.chunk: refused.get(found.chunk, why) for found in changed}
        as_meant = parts
    for chunk, why in refused.items():
        bench.leave(parts.path(chunk), chunk, why)
    if as_meant is not parts:
        _take_shape(bench, as_meant)
    for found in changed:
        if found.chunk not in refused:
            _take(bench, as_meant, found)
    return as_meant


def _shape_of_all(parts: StoreParts, chunks: Sequence[int]) -> Shape | None:
    """Return the shape that all frames of the store have; None where they differ, or nobody knows."""
    shapes: set[Shape | None] = set()
    for chunk in chunks:
        with contextlib.suppress(ChunkIndexError):
            for path in _files(parts, chunk, len(read_chunk_index(parts.base(chunk))[0])):
                shapes.add(parts.shape_in(path))
                if len(shapes) > 1:
                    return None
    return next(iter(shapes), None)


def _files(parts: StoreParts, chunk: int, count: int) -> list[str]:
    if parts.extension is not None:
        return [parts.path(chunk)] if count else []
    return [parts.frame_path(chunk, k) for k in range(count)]


def _changed(parts: StoreParts, chunk: int) -> _Changed | None:
    """Find what is not what was written; where nothing tells, as in stores of 0.x, what has another shape."""
    try:
        arrays = read_all_arrays(parts.base(chunk))
    except ChunkIndexError:
        return None
    files = _files(parts, chunk, len(arrays["frame_number"]))
    sizes, hashes = arrays.get(SIZE_NAME), arrays.get(HASH_NAME)
    known = sizes is not None and hashes is not None and len(sizes) == len(hashes) == len(files)
    positions, shapes = [], set()
    for k, path in enumerate(files):
        try:
            if known and sizes is not None and hashes is not None:
                other = file_checksum(path) != (int(sizes[k]), int(hashes[k]))
            else:
                other = parts.shape_in(path) not in (None, parts.spec.shape)
        except OSError:
            continue  # it is missing, and nobody means that
        if other:
            positions.append(k)
            shapes.add(parts.shape_in(path))
    return _Changed(chunk, arrays, positions, shapes) if positions else None


def _leave_damaged(bench: Bench, changed: _Changed) -> bool:
    """Leave single frames that cannot be read out of what is taken of a directory; return whether others are left."""
    parts, chunk = bench.parts, changed.chunk
    if parts.extension is not None or changed.shapes - {None, parts.spec.shape}:
        return True
    damaged = {k for k in changed.positions if not parts.decodes(chunk, k)}
    faults = [Fault("left", parts.frame_path(chunk, k), chunk, k, "cannot be read") for k in sorted(damaged)]
    for fault in joined(faults, changed.arrays["frame_number"]):
        bench.leave(fault.path, chunk, f"{fault.where}: {fault.message}")
    changed.positions = [k for k in changed.positions if k not in damaged]
    return bool(changed.positions)


def _why_not(parts: StoreParts, changed: _Changed) -> str | None:
    """Say why a chunk cannot be taken as it is; None where it can: every frame of it that has changed can be read."""
    chunk, count = changed.chunk, len(changed.arrays["frame_number"])
    others = [shape for shape in changed.shapes if shape not in (None, parts.spec.shape)]
    if others:
        return (
            f"its frames are {_size(others[0])}, those of the store {_size(parts.spec.shape)}: frames of another size can be"
            " taken where all frames of all chunks have it, since a store has frames of one size alone"
        )
    if parts.extension is None:
        positions = changed.positions
    else:
        try:
            held = parts.frames.reader(chunk).frame_count
        except ChunkError as error:
            return str(error)
        if held != count:
            return f"holds {held} frames, its index lists {count}: nobody knows which frame is which"
        positions = list(range(count))
    bad = [k for k in positions if not parts.decodes(chunk, k)]
    if bad:
        numbers = changed.arrays["frame_number"]
        first = describe_frames(bad[0], 1, (int(numbers[bad[0]]),) * 2)
        return f"{len(bad)} of its {count} frames cannot be read, the first is its {first}"
    return None


def _size(shape: Shape) -> str:
    return " x ".join(map(str, shape))


def _take_shape(bench: Bench, parts: StoreParts) -> None:
    path = os.path.join(parts.root, METADATA_FILENAME)
    bench.do(
        "metadata", path, None,
        f"imgshape is {list(parts.meta.imgshape)} now, as that of all frames; it was {list(bench.parts.meta.imgshape)}, and"
        f" the file as it was is kept in {bench.aside.directory}",
        lambda: bench.aside.keep(path),
        lambda: replace_metadata(parts.root, parts.meta.values, parts.meta.user, parts.meta.extension),
    )  # fmt: skip


def _take(bench: Bench, parts: StoreParts, changed: _Changed) -> None:
    chunk, arrays = changed.chunk, changed.arrays
    numbers = arrays["frame_number"]
    first, last = (changed.positions[0], changed.positions[-1]) if parts.extension is None else (0, len(numbers) - 1)
    which = describe_frames(first, last - first + 1, (int(numbers[first]), int(numbers[last])))
    if parts.extension is None and len(changed.positions) <= last - first:
        which = f"{len(changed.positions)} of {which}"
    bench.do(
        "accepted", parts.path(chunk), chunk,
        f"{which} of chunk {chunk} taken as they are now; the index as it was is kept in {bench.aside.directory}",
        lambda: keep_index(bench, chunk),
        lambda: renew_checksums(parts, chunk, arrays, changed.positions),
    )  # fmt: skip

"""What is known of the packets of a file as arrays, so that it can be kept and the file need not be read through again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import xxhash

from imgstore.errors import ChunkError
from imgstore_codecs.video.bitstream.key_frames import SeekPoint
from imgstore_codecs.video.reading.packets import NO_TIME, PacketTable, all_differ
from imgstore_codecs.video.reading.parameter_changes import ParameterChanges
from imgstore_codecs.video.reading.stretch import Stretch

__all__ = ["frames_as_kept", "kept_arrays"]

Array = npt.NDArray[Any]

_NUMBERS = ("pts", "dts", "pos", "size")
_FLAGS = ("in_order_only", "has_checksums", "from_index")
_KEY, _SHOWN, _BEGINS = 1, 2, 4
_POINT = 3  # bits further: the seek point and one, or 0 where it is not known
_POINTS = tuple(SeekPoint)


def kept_arrays(stretch: Stretch, table: PacketTable, faults: Mapping[int, str]) -> dict[str, Array]:
    """Put a table into arrays from which `frames_as_kept` makes it again; those that would be empty are left out."""
    assert table.order is not None
    packet = table.key.astype(np.uint8) * _KEY | table.shown.astype(np.uint8) * _SHOWN
    for place in np.flatnonzero(table.key).tolist():
        packet[place] |= _BEGINS if table.from_index or table.changes.begins(place) else 0
        packet[place] |= table.point[place] + 1 << _POINT if place in table.point else 0
    numbers = {
        **{name: getattr(table, name) for name in _NUMBERS},
        "order": table.order,
        "gaps": np.array(sorted(table.gaps), np.int64),
        "stream": np.array([] if table.stream is None else [table.stream], np.int64),
    }
    return {
        **{name: _narrow(values) for name, values in numbers.items() if len(values)},
        "packet": packet,
        "flags": np.array([getattr(table, name) for name in _FLAGS], np.uint8),
        "description": np.array([xxhash.xxh3_64_intdigest(stretch.description)], np.uint64),
        **({"faults": np.frombuffer(json.dumps(list(faults.items())).encode(), np.uint8)} if faults else {}),
    }


def _narrow(values: npt.NDArray[np.int64]) -> Array:
    """Return numbers in the smallest type that holds them. Its least value stands for `NO_TIME`, which is that of int64."""
    known = values[values != NO_TIME]
    least, most = int(known.min(initial=0)), int(known.max(initial=0))
    for dtype in (np.int8, np.int16, np.int32):
        held = np.iinfo(dtype)
        if held.min < least and most <= held.max:
            return np.where(values == NO_TIME, held.min, values).astype(dtype)
    return values


def _wide(arrays: Mapping[str, Array], name: str) -> npt.NDArray[np.int64]:
    """Return what `_narrow` was given."""
    values = arrays.get(name, np.empty(0, np.int64))
    if values.dtype.kind != "i":
        raise ValueError(f"its {name} are {values.dtype}")
    return np.where(values == np.iinfo(values.dtype).min, NO_TIME, values.astype(np.int64))


def frames_as_kept(
    path: str, threads: int, arrays: Mapping[str, Array], checksums: npt.NDArray[np.uint64] | None = None
) -> tuple[Stretch, PacketTable, dict[int, str]]:
    """Open a video whose frames are known; see `find_frames`.

    Raises
    ------
    ChunkError
        It cannot be opened as a video, or the arrays are not of this one.
    """
    try:
        table, faults = _table(arrays)
        if checksums is not None:
            if not table.fits(len(checksums)):
                raise ValueError(f"it is of {table.frame_count} frames, {len(checksums)} have checksums")
            table.expect(checksums)
    except (KeyError, ValueError, TypeError, IndexError) as error:
        raise ChunkError(f"{path}: what was kept of its frames is damaged: {error}") from error
    stretch = Stretch(path, threads, checked=checksums is not None, number=table.stream)
    if [xxhash.xxh3_64_intdigest(stretch.description)] != arrays["description"].tolist():
        stretch.close()
        raise ChunkError(f"{path}: is not the video of which it was kept where its frames are")
    never = np.flatnonzero(table.key & ((arrays["packet"] & _BEGINS) == 0)).tolist()
    table.changes = ParameterChanges.known(stretch.codec, stretch.extradata, never)
    stretch.use(table)
    return stretch, table, faults


def _table(arrays: Mapping[str, Array]) -> tuple[PacketTable, dict[int, str]]:
    pts, dts, pos, size = columns = [_wide(arrays, name) for name in _NUMBERS]
    packet, order = arrays["packet"], _wide(arrays, "order")
    count = len(packet)
    if any(column.shape != (count,) for column in (*columns, packet)) or order.ndim != 1:
        raise ValueError("its columns differ in length")
    there = order[order >= 0]
    if len(order) and (bool((order < -1).any()) or order.max() >= count or not all_differ(there)):
        raise ValueError("it names packets that are not there")
    if packet.dtype != np.uint8:
        raise ValueError(f"its packet are {packet.dtype}")
    places = np.flatnonzero(packet >> _POINT)
    points = {p: _POINTS[value - 1] for p, value in zip(places.tolist(), (packet[places] >> _POINT).tolist(), strict=True)}
    in_order_only, has_checksums, from_index = (bool(flag) for flag in arrays["flags"].tolist())
    faults = {int(place): str(why) for place, why in json.loads(arrays["faults"].tobytes())} if "faults" in arrays else {}
    stream = _wide(arrays, "stream").tolist()
    table = PacketTable(
        pts,
        dts,
        pos,
        size,
        (packet & _KEY) != 0,
        (packet & _SHOWN) != 0,
        order,
        points,
        ParameterChanges("", None),  # until the file is open
        in_order_only,
        has_checksums,
        from_index,
        gaps=set(_wide(arrays, "gaps").tolist()),
        stream=stream[0] if stream else None,
    )
    return table, faults

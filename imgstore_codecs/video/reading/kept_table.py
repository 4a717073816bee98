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
from imgstore_codecs.video.reading.packets import PacketTable, all_differ
from imgstore_codecs.video.reading.parameter_changes import ParameterChanges
from imgstore_codecs.video.reading.stretch import Stretch

__all__ = ["frames_as_kept", "kept_arrays"]

Array = npt.NDArray[Any]

_NUMBERS = ("pts", "dts", "pos", "size")
_FLAGS = ("in_order_only", "has_checksums", "from_index")
_KEY, _SHOWN, _BEGINS = 1, 2, 4
_UNKNOWN_POINT = 255
_POINTS = tuple(SeekPoint)


def kept_arrays(stretch: Stretch, table: PacketTable, faults: Mapping[int, str]) -> dict[str, Array]:
    """Put a table into arrays from which `frames_as_kept` makes it again."""
    assert table.order is not None
    begins = np.zeros(len(table), np.uint8)
    point = np.full(len(table), _UNKNOWN_POINT, np.uint8)
    for place in np.flatnonzero(table.key).tolist():
        begins[place] = _BEGINS if table.from_index or table.changes.begins(place) else 0
        point[place] = table.point.get(place, _UNKNOWN_POINT)
    return {
        **{name: getattr(table, name) for name in _NUMBERS},
        "packet": table.key.astype(np.uint8) * _KEY | table.shown.astype(np.uint8) * _SHOWN | begins,
        "order": table.order,
        "point": point,
        "gaps": np.array(sorted(table.gaps), np.int64),
        "flags": np.array([getattr(table, name) for name in _FLAGS], np.uint8),
        "stream": np.array([table.stream], np.int64),
        "description": np.array([xxhash.xxh3_64_intdigest(stretch.description)], np.uint64),
        "faults": np.frombuffer(json.dumps(list(faults.items())).encode(), np.uint8),
    }


def frames_as_kept(path: str, threads: int, arrays: Mapping[str, Array]) -> tuple[Stretch, PacketTable, dict[int, str]]:
    """Open a video whose frames are known; see `find_frames`.

    Raises
    ------
    ChunkError
        It cannot be opened as a video, or the arrays are not of this one.
    """
    try:
        table, faults = _table(arrays)
    except (KeyError, ValueError, TypeError, IndexError) as error:
        raise ChunkError(f"{path}: what was kept of its frames is damaged: {error}") from error
    stretch = Stretch(path, threads, number=table.stream)
    if [xxhash.xxh3_64_intdigest(stretch.description)] != arrays["description"].tolist():
        stretch.close()
        raise ChunkError(f"{path}: is not the video of which it was kept where its frames are")
    never = np.flatnonzero(table.key & ((arrays["packet"] & _BEGINS) == 0)).tolist()
    table.changes = ParameterChanges.known(stretch.codec, stretch.extradata, never)
    stretch.use(table)
    return stretch, table, faults


def _table(arrays: Mapping[str, Array]) -> tuple[PacketTable, dict[int, str]]:
    pts, dts, pos, size = columns = [np.ascontiguousarray(arrays[name], np.int64) for name in _NUMBERS]
    packet, point, order = arrays["packet"], arrays["point"], np.ascontiguousarray(arrays["order"], np.int64)
    count = len(packet)
    if any(column.shape != (count,) for column in (*columns, packet, point)) or order.ndim != 1:
        raise ValueError("its columns differ in length")
    there = order[order >= 0]
    if len(order) and (bool((order < -1).any()) or order.max() >= count or not all_differ(there)):
        raise ValueError("it names packets that are not there")
    places = np.flatnonzero(point < len(_POINTS))
    points = {place: _POINTS[value] for place, value in zip(places.tolist(), point[places].tolist(), strict=True)}
    in_order_only, has_checksums, from_index = (bool(flag) for flag in arrays["flags"].tolist())
    faults = {int(place): str(why) for place, why in json.loads(arrays["faults"].tobytes())}
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
        gaps=set(arrays["gaps"].tolist()),
        stream=int(arrays["stream"][0]),
    )
    return table, faults

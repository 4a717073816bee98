"""What was found out about videos, kept in the user's cache directory so that it need not be found out again.

A file there is of one video as it was: its path, size, time and a sample of its content are compared. It is never needed, and
never believed without its checksum. Nothing is written anywhere else.
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import struct
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import xxhash

from imgstore.codec import Format, FrameSpec, Survey
from imgstore.disk.atomic import replace_file
from imgstore.disk.read_file import read_file
from imgstore.errors import ImgStoreError
from imgstore.npy_header import dtype_of_text
from imgstore.sources.source import Source, Stamp

__all__ = ["KeptSurveys", "survey_key"]

_logger = logging.getLogger(__name__)

_MAGIC = b"imgstore survey 1\n"
_HEAD = struct.Struct("<QI")  # checksum of all behind it, length of the JSON text
_MOST_BYTES = 1 << 28  # of one video
_MOST_KEPT = 1 << 30  # of all, in bytes
_MOST_FILES = 4096
_SAMPLE = 1 << 14
_ENDING = ".survey"


def survey_key(source: Source, name: str, stamp: Stamp, version: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return all that must be the same for a survey to be of use."""
    size = stamp[1]
    state = xxhash.xxh3_64()
    for start in sorted({0, max(0, size // 2 - _SAMPLE // 2), max(0, size - _SAMPLE)}):
        state.update(source.read(name, start, _SAMPLE).data)
    where = source.shown(name).encode("utf-8", "surrogateescape").hex()
    return {"path": where, "stamp": list(stamp[1:]), "sample": state.hexdigest(), "version": version, **options}


class KeptSurveys:
    """The surveys in a directory.

    Parameters
    ----------
    directory : str, optional
        Default the user's cache directory, as the operating system has it.
    """

    def __init__(self, directory: str | None = None):
        if directory is None:
            import platformdirs

            directory = os.path.join(platformdirs.user_cache_dir("imgstore", appauthor=False), "surveys")
        self._directory = directory

    def _path(self, key: Mapping[str, Any]) -> str:
        name = xxhash.xxh3_128_hexdigest(json.dumps([key["path"], key.get("stream")]).encode())
        return os.path.join(self._directory, name + _ENDING)

    def find(self, key: Mapping[str, Any]) -> Survey | None:
        """Return the survey with a key, if there is one and it is whole."""
        path = self._path(key)
        try:
            survey = _unpacked(read_file(path, _MOST_BYTES), key)
            if survey is not None:
                os.utime(path)  # those that are of use stay
            return survey
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, struct.error, RecursionError) as error:
            _logger.debug("%s: what was kept of a video is of no use: %s", path, error)
            return None

    def keep(self, key: Mapping[str, Any], survey: Survey) -> None:
        """Keep a survey, and drop the oldest where there are too many. A cache that cannot be written is none."""
        path = self._path(key)
        try:
            os.makedirs(self._directory, exist_ok=True)
            replace_file(path, _packed(key, survey), sync=False)
            self._drop_oldest()
        except (OSError, ImgStoreError) as error:
            _logger.debug("%s: what is known of a video cannot be kept: %s", path, error)

    def _drop_oldest(self) -> None:
        found = []
        with os.scandir(self._directory) as entries:
            for entry in entries:
                if entry.name.endswith((_ENDING, ".tmp")):
                    with contextlib.suppress(OSError):
                        facts = entry.stat()
                        found.append((facts.st_mtime_ns, facts.st_size, entry.path))
        total = sum(size for _, size, _ in found)
        for count, (_, size, path) in enumerate(sorted(found)):
            if total <= _MOST_KEPT and len(found) - count <= _MOST_FILES:
                return
            with contextlib.suppress(OSError):
                os.unlink(path)
            total -= size


def _packed(key: Mapping[str, Any], survey: Survey) -> bytes:
    arrays = {name: np.ascontiguousarray(array) for name, array in survey.arrays.items()}
    if survey.ticks is not None:
        arrays["ticks of frames"] = np.ascontiguousarray(survey.ticks)
    head = {
        "key": key,
        "format": asdict(survey.format),
        "shape": survey.spec.shape,
        "dtype": str(survey.spec.dtype),
        "frame_count": survey.frame_count,
        "tick": survey.tick,
        "fps": survey.fps,
        "created": survey.created,
        "turn": survey.turn,
        "converts": survey.converts,
        "arrays": [[name, array.dtype.str, len(array)] for name, array in arrays.items()],
    }
    text = json.dumps(head).encode()
    rest = b"".join([text, *(array.tobytes() for array in arrays.values())])
    return _MAGIC + _HEAD.pack(xxhash.xxh3_64_intdigest(rest), len(text)) + rest


def _unpacked(data: bytes, key: Mapping[str, Any]) -> Survey | None:
    """Read what `_packed` wrote; None where it is of another file, or of the same one when it was another."""
    if not data.startswith(_MAGIC):
        raise ValueError("it is none, or of another version")
    noted, length = _HEAD.unpack_from(data, len(_MAGIC))
    rest = memoryview(data)[len(_MAGIC) + _HEAD.size :]
    if xxhash.xxh3_64_intdigest(rest) != noted:
        raise ValueError("its checksum is another")
    head = json.loads(bytes(rest[:length]))
    if head["key"] != json.loads(json.dumps(key)):
        return None
    arrays, at = {}, length
    for name, text, count in head["arrays"]:
        dtype = dtype_of_text(text)
        if dtype.kind not in "iuf" or not isinstance(count, int) or not 0 <= count * dtype.itemsize <= len(rest) - at:
            raise ValueError(f"its array {name!r} is none")
        arrays[str(name)] = np.frombuffer(rest, dtype, count, at)
        at += count * dtype.itemsize
    ticks = arrays.pop("ticks of frames", None)
    fmt = head["format"]
    fmt = Format(**{**fmt, "dtypes": None if fmt["dtypes"] is None else tuple(fmt["dtypes"]), "aliases": ()})
    shape = tuple(int(n) for n in head["shape"])
    if (
        not 2 <= len(shape) <= 3
        or min(shape) < 1
        or math.prod(shape) > 1 << 36
        or (ticks is not None and ticks.ndim != 1)
    ):
        raise ValueError("its frames have no size")
    if ticks is not None and len(ticks) != head["frame_count"]:
        raise ValueError("it has not one time for each frame")
    numerator, denominator = head["tick"]
    if numerator < 1 or denominator < 1:
        raise ValueError("it has no unit of time")
    turn = None if head["turn"] is None else tuple(int(n) for n in head["turn"])
    if turn is not None and len(turn) != 4:
        raise ValueError("it turns frames in no way")
    return Survey(
        fmt,
        FrameSpec(shape, dtype_of_text(head["dtype"])),
        int(head["frame_count"]),
        ticks,
        (int(numerator), int(denominator)),
        head["fps"],
        head["created"],
        turn,
        bool(head["converts"]),
        arrays,
    )

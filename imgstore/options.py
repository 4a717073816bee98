"""The keywords with which stores are opened, checked."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from imgstore.codec import Codec, Format
from imgstore.errors import ArgumentError, UnknownOptionError
from imgstore.index.frame_index import ImgStoreIndex
from imgstore.pixels.shown import Color
from imgstore.reading.chunk_frames import DEFAULT_CACHE_SIZE

__all__ = ["ReadOptions", "WriteOptions", "check_codec_options"]


@dataclass
class ReadOptions:
    """What reading takes; see `imgstore.new_for_filename`.

    Raises
    ------
    UnknownOptionError
        There are `others`.
    ArgumentError
        A value cannot be used.
    """

    index: ImgStoreIndex | None
    backend: str | None
    seek: bool
    threads: int | None
    cache_size: int | None
    checksums: bool
    color: Color | None
    dtype: Any
    others: Mapping[str, Any]  # keywords that are none of these

    def __post_init__(self) -> None:
        if self.index is not None and not isinstance(self.index, ImgStoreIndex):
            raise ArgumentError(f"index must be an ImgStoreIndex, not {type(self.index).__name__}")
        if self.others:
            known = "index, backend, seek, threads, cache_size, checksums, color, dtype"
            raise UnknownOptionError(f"reading takes no keyword {min(self.others)!r}, only {known}")
        try:
            self.dtype = None if self.dtype is None else np.dtype(self.dtype)
        except TypeError as error:
            raise ArgumentError(f"dtype must be 'uint8' or 'uint16', not {self.dtype!r}") from error
        self.codec = {
            "seek": bool(self.seek),
            "threads": 0 if self.threads is None else _whole_number("threads", self.threads, 0),
            "cache_size": (
                DEFAULT_CACHE_SIZE if self.cache_size is None else _whole_number("cache_size", self.cache_size, 0)
            ),
        }

    @property
    def once_more(self) -> dict[str, Any]:
        """The keywords with which the store is opened in another process."""
        return {
            **self.codec,
            "backend": self.backend,
            "checksums": self.checksums,
            "color": self.color,
            "dtype": None if self.dtype is None else str(self.dtype),
        }


@dataclass
class WriteOptions:
    """What writing takes; see `imgstore.new_for_format`. The options of the codec are checked by `check_codec_options`.

    Raises
    ------
    ArgumentError
        A value cannot be used.
    """

    format: str | None
    imgshape: Sequence[int] | None
    imgdtype: npt.DTypeLike
    chunksize: int | None
    metadata: Mapping[str, Any] | None
    encoding: str | None
    fps: float | None
    sync: bool
    flush_interval: float
    overwrite: bool
    break_lock: bool
    backend: str | None
    codec: Mapping[str, Any]  # whatever else was given
    first_chunk: int = 0
    framerate: float | None = None  # `fps` in the words of the fork, which looks for it in the metadata

    def __post_init__(self) -> None:
        if self.metadata is not None and not isinstance(self.metadata, Mapping):
            raise ArgumentError(f"metadata must be a mapping, not {type(self.metadata).__name__}")
        if self.chunksize is not None:
            self.chunksize = _whole_number("chunksize", self.chunksize, 1)
        if self.framerate is not None:
            self.framerate = _positive("framerate", self.framerate)
            self.fps = self.framerate if self.fps is None else self.fps
        if self.fps is not None:
            self.fps = _positive("fps", self.fps)
        self.first_chunk = _whole_number("first_chunk", self.first_chunk, 0)
        self.flush_interval = _positive("flush_interval", self.flush_interval)
        self.encoding = self.encoding or None


def check_codec_options(codec: Codec, fmt: Format, options: WriteOptions) -> dict[str, Any]:
    """Return the write options that a codec is given.

    Raises
    ------
    UnknownOptionError
        The codec takes no such keyword.
    """
    known = codec.write_options(fmt)
    for name in options.codec:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=2)
            meant = f" (did you mean {' or '.join(near)}?)" if near else ""
            raise UnknownOptionError(
                f"writing {fmt.name!r} takes no keyword {name!r}{meant}; its options are: {', '.join(known) or 'none'}"
            )
    if options.fps is not None and "fps" in known:
        return {**options.codec, "fps": options.fps}
    return dict(options.codec)


def _whole_number(name: str, value: Any, least: int) -> int:
    """Check a number. Whole ones may be floats, which is what a division or a table makes of them."""
    whole = isinstance(value, (int, np.integer)) or (isinstance(value, (float, np.floating)) and value.is_integer())
    if not whole or isinstance(value, bool) or value < least:
        raise ArgumentError(f"{name} must be a whole number from {least}, not {value!r}")
    return int(value)


def _positive(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, np.number)) or not 0 < value < math.inf:
        raise ArgumentError(f"{name} must be a positive number, not {value!r}")
    return float(value)

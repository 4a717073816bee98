"""The keywords with which stores are opened, checked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from imgstore.codec import Codec, Format
from imgstore.errors import ArgumentError, UnknownOptionError
from imgstore.index.frame_index import ImgStoreIndex
from imgstore.reading.chunk_frames import DEFAULT_CACHE_SIZE

__all__ = ["ReadOptions", "WriteOptions", "check_codec_options", "parse_read_options", "parse_write_options"]

# 0.x took one set of keywords for both directions, and two that do nothing.
_ONLY_FOR_WRITING = ("imgshape", "imgdtype", "chunksize", "metadata", "encoding", "fps", "overwrite", "format")


@dataclass(frozen=True)
class ReadOptions:
    """What reading takes; see `imgstore.new_for_filename`."""

    index: ImgStoreIndex | None
    backend: str | None
    checksums: bool
    codec: dict[str, Any]  # seek, threads, cache_size


@dataclass(frozen=True)
class WriteOptions:
    """What writing takes; see `imgstore.new_for_format`."""

    format: str | None
    imgshape: Any
    imgdtype: Any
    chunksize: int | None
    metadata: Mapping[str, Any] | None
    encoding: str | None
    fps: float | None
    overwrite: bool
    backend: str | None
    sync: bool
    flush_interval: float
    break_lock: bool
    codec: dict[str, Any]  # whatever else was given


def parse_read_options(given: Mapping[str, Any]) -> ReadOptions:
    """Check the keywords of a store that is opened for reading.

    Raises
    ------
    UnknownOptionError
        A keyword is none.
    ArgumentError
        A value cannot be used.
    """
    options = {name: value for name, value in given.items() if name not in (*_ONLY_FOR_WRITING, "gpu_id", "videosize")}
    index, backend = options.pop("index", None), options.pop("backend", None)
    if index is not None and not isinstance(index, ImgStoreIndex):
        raise ArgumentError(f"index must be an ImgStoreIndex, not {type(index).__name__}")
    checksums = bool(options.pop("checksums", True))
    codec: dict[str, Any] = {"seek": bool(options.pop("seek", True))}
    for name, default in (("threads", 0), ("cache_size", DEFAULT_CACHE_SIZE)):
        value = options.pop(name, None)
        codec[name] = default if value is None else _whole_number(name, value, 0)
    if options:
        known = "index, backend, seek, threads, cache_size, checksums"
        raise UnknownOptionError(f"reading takes no keyword {min(options)!r}, only {known}")
    return ReadOptions(index, backend, checksums, codec)


def parse_write_options(given: Mapping[str, Any]) -> WriteOptions:
    """Check the keywords of a store that is opened for writing, those of its codec left aside.

    Raises
    ------
    ArgumentError
        A value cannot be used.
    """
    options = {name: value for name, value in given.items() if name not in ("seek", "index", "gpu_id", "videosize")}
    chunksize, metadata = options.pop("chunksize", None), options.pop("metadata", None)
    if metadata is not None and not isinstance(metadata, Mapping):
        raise ArgumentError(f"metadata must be a mapping, not {type(metadata).__name__}")
    fps = options.pop("fps", None)
    return WriteOptions(
        format=options.pop("format", None),
        imgshape=options.pop("imgshape", None),
        imgdtype=options.pop("imgdtype", np.uint8),
        chunksize=None if chunksize is None else _whole_number("chunksize", chunksize, 1),
        metadata=metadata,
        encoding=options.pop("encoding", None) or None,
        fps=None if fps is None else _positive("fps", fps),
        overwrite=bool(options.pop("overwrite", False)),
        backend=options.pop("backend", None),
        sync=bool(options.pop("sync", False)),
        flush_interval=_positive("flush_interval", options.pop("flush_interval", 1.0)),
        break_lock=bool(options.pop("break_lock", False)),
        codec=options,
    )


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
            raise UnknownOptionError(
                f"writing {fmt.name!r} takes no keyword {name!r}; its options are: {', '.join(known) or 'none'}"
            )
    if options.fps is not None and "fps" in known:
        return {**options.codec, "fps": options.fps}
    return dict(options.codec)


def _whole_number(name: str, value: Any, least: int) -> int:
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < least:
        raise ArgumentError(f"{name} must be a whole number from {least}, not {value!r}")
    return int(value)


def _positive(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, np.number)) or not 0 < value < math.inf:
        raise ArgumentError(f"{name} must be a positive number, not {value!r}")
    return float(value)

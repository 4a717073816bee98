"""A ``metadata.yaml`` for a store whose own is lost or broken: from what its chunks say, and from how they look."""

from __future__ import annotations

import datetime
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy.typing as npt

from imgstore import plugins
from imgstore.codec import ChunkCodec, FrameSpec
from imgstore.disk.chunk_index import read_all_arrays
from imgstore.disk.layout import METADATA_FILENAME, METADATA_KEY, chunk_base, chunk_name, list_store
from imgstore.disk.metadata import StoreMetadata, new_metadata
from imgstore.disk.plain_yaml import load_plain_yaml
from imgstore.errors import ArgumentError, ChunkIndexError, ImgStoreError, MetadataError, NotAStoreError
from imgstore.local_time import is_date
from imgstore.npy_header import dtype_of_text
from imgstore.pixels.encodings import check_encoding
from imgstore.plugins import RegisteredCodec

__all__ = ["made_metadata"]

_ENOUGH_CHUNKS = 20  # whose indexes are read to learn how many frames a chunk has
_LARGEST_METADATA = 64 << 20


@dataclass
class _Told:
    """What is known of a store, and from where."""

    values: dict[str, Any] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)

    def take(self, name: str, value: Any, source: str) -> None:
        """Note a value, unless one from a better source is there."""
        if name not in self.values and value is not None:
            self.values[name] = value
            self.sources[name] = source

    def forget(self, name: str) -> None:
        """Drop a value that has turned out to be none."""
        self.values.pop(name, None)
        self.sources.pop(name, None)

    def __str__(self) -> str:
        by_source: dict[str, list[str]] = {}
        for name, source in self.sources.items():
            by_source.setdefault(source, []).append(f"{name} {self.values[name]}")
        return "; ".join(f"{source}: {', '.join(names)}" for source, names in by_source.items())


def made_metadata(root: str) -> tuple[StoreMetadata, str]:
    """Describe a store without its ``metadata.yaml``.

    The indexes of chunks say most of it: imgstore has always put copies there. What they do not say is told by the frames
    themselves, by the old file as far as it can be read, and else made up.

    Parameters
    ----------
    root : str
        The store's directory.

    Returns
    -------
    metadata : StoreMetadata
        What the store is.
    told : str
        Every value and where it is from, in one sentence.

    Raises
    ------
    NotAStoreError
        The directory holds no chunks.
    MetadataError
        Nothing tells what the frames are.
    """
    extension = _extension_of_chunks(root)
    chunks = _chunks(root, extension)
    told = _Told()
    counts, first_time = [], None
    for chunk in chunks[:_ENOUGH_CHUNKS]:
        try:
            arrays = read_all_arrays(chunk_base(root, chunk, extension))
        except ChunkIndexError:
            continue
        counts.append(len(arrays["frame_number"]))
        if first_time is None and counts[-1]:
            first_time = float(arrays["frame_time"][0])
        for name, value in _said_by(arrays):
            told.take(name, value, "from the indexes of chunks")
    old = _old_content(root)
    stored = old.get(METADATA_KEY)
    for name, value in _checked(stored if isinstance(stored, dict) else {}):
        told.take(name, value, "from the old file")
    known = _entry(told.values.get("format"), extension)
    if known is None:
        told.forget("format")
    entry, spec = _entry_and_spec(root, extension, chunks, known)
    told.take("format", entry.format.name, "from the names of files")
    if spec is not None:
        told.take("imgshape", list(spec.shape), "from the first frame")
        told.take("imgdtype", str(spec.dtype), "from the first frame")
    if "imgshape" not in told.values:
        raise MetadataError(
            f"{root}: no metadata can be made: neither a chunk's index nor a frame tells what the frames are"
        )
    told.take("imgdtype", "uint8", "made up")
    told.take("chunksize", max(counts, default=0) or None, "from the longest chunk")
    told.take("chunksize", 1, "made up")
    told.take("created_utc", *_created(root, first_time))
    values = told.values
    try:
        meta = new_metadata(
            root,
            format=values["format"],
            extension=extension,
            imgshape=tuple(values["imgshape"]),
            imgdtype=dtype_of_text(values["imgdtype"]),
            chunksize=values["chunksize"],
            encoding=values.get("encoding"),
            fps=values.get("fps"),
            user={key: value for key, value in old.items() if key != METADATA_KEY},
        )
    except ArgumentError as error:
        raise MetadataError(f"{root}: no metadata can be made: {error}") from error
    told.take("encoding", "null", "made up")
    told.take("uuid", meta.uuid, "made up")
    told.take("timezone_local", meta.values["timezone_local"], "made up")
    kept = {name: values[name] for name in ("uuid", "created_utc", "timezone_local")}
    users = (
        f"from the old file: {', '.join(map(str, meta.user))}" if meta.user else "the user's metadata are not to be had"
    )
    return replace(meta, values={**meta.values, **kept}), f"{told}; {users}"


def _extension_of_chunks(root: str) -> str | None:
    """Return the extension of a store's video files; None where its chunks are directories."""
    videos = {entry.format.extension for entry in plugins.registered_codecs() if isinstance(entry.codec, ChunkCodec)}
    found: Counter[str | None] = Counter()
    try:
        with os.scandir(root) as entries:
            for entry in entries:
                stem, dot, ending = entry.name.partition(".")
                if stem.isascii() and stem.isdigit() and len(stem) >= 6:
                    if not dot and entry.is_dir():
                        found[None] += 1
                    elif dot + ending in videos:
                        found[dot + ending] += 1
    except OSError as error:
        raise NotAStoreError(f"path {root!r} is no store: {error.strerror or error}") from error
    if not found:
        raise NotAStoreError(
            f"path {root!r} is no store: it has no {METADATA_FILENAME}, and no chunks to make one from"
        )
    return found.most_common(1)[0][0]


def _chunks(root: str, extension: str | None) -> list[int]:
    listing = list_store(root, extension)
    return sorted({*listing.chunks, *listing.without_index})


def _said_by(arrays: Mapping[str, npt.NDArray[Any]]) -> Iterator[tuple[str, Any]]:
    """Give what a chunk's index says of its store."""
    plain = {}
    for name in _CHECKS:
        if name in arrays and arrays[name].ndim <= 1:
            value = arrays[name].tolist()
            plain[name] = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    return _checked(plain)


def _checked(values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Give those values that can be what they are called."""
    for name, is_one in _CHECKS.items():
        value = values.get(name)
        try:
            if value not in (None, "") and is_one(value):
                yield name, value
        except (ValueError, TypeError, ImgStoreError):
            continue


def _is_count(value: Any) -> bool:
    return type(value) is int and value > 0


def _is_time(value: Any) -> bool:
    return isinstance(value, str) and datetime.datetime.fromisoformat(value) is not None


def _is_dtype(value: Any) -> bool:
    return isinstance(value, str) and not dtype_of_text(value).hasobject


def _is_encoding(value: Any) -> bool:
    check_encoding(value)
    return True


_CHECKS: dict[str, Callable[[Any], bool]] = {
    "format": lambda value: isinstance(value, str),
    "imgshape": lambda value: isinstance(value, list) and 2 <= len(value) <= 3 and all(map(_is_count, value)),
    "imgdtype": _is_dtype,
    "chunksize": _is_count,
    "encoding": _is_encoding,
    "uuid": lambda value: isinstance(value, str) and re.fullmatch(r"[0-9a-f]{32}", value) is not None,
    "created_utc": _is_time,
    "timezone_local": lambda value: isinstance(value, str),
    "fps": lambda value: isinstance(value, float) and 0 < value < float("inf"),
}


def _old_content(root: str) -> dict[str, Any]:
    """Return what can be read of a ``metadata.yaml`` that does not describe a store; empty where that is nothing."""
    path = os.path.join(root, METADATA_FILENAME)
    try:
        with open(path, "rb") as file:
            content = load_plain_yaml(file.read(_LARGEST_METADATA))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _entry(name: str | None, extension: str | None) -> RegisteredCodec | None:
    """Return the codec of a store that names its format; None where it does not, or names none."""
    try:
        return None if name is None else plugins.codec_for_stored(name, extension)
    except ImgStoreError:
        return None


def _entry_and_spec(
    root: str, extension: str | None, chunks: list[int], known: RegisteredCodec | None
) -> tuple[RegisteredCodec, FrameSpec | None]:
    """Find the codec that reads the store, where it is not known, and what the first frame is, where that can be told."""
    files = list(_first_files(root, extension, chunks))
    if known is not None:
        return known, next(filter(None, (_spec(known, path) for path in files)), None)
    for path in files:
        ending = os.path.splitext(path)[1]
        for entry in plugins.registered_codecs():
            if entry.format.extension == ending and isinstance(entry.codec, ChunkCodec) == (extension is not None):
                spec = _spec(entry, path)
                dtypes = entry.format.dtypes
                if spec is not None and (dtypes is None or str(spec.dtype) in dtypes):
                    return entry, spec
    raise MetadataError(
        f"{root}: no metadata can be made: no frame of it can be read by any codec that is installed here"
    )


def _first_files(root: str, extension: str | None, chunks: list[int]) -> Iterator[str]:
    """Give files with frames, one of each of the first chunks."""
    for chunk in chunks[:_ENOUGH_CHUNKS]:
        path = os.path.join(root, chunk_name(chunk) + (extension or ""))
        if extension is not None:
            yield path
            continue
        frames = [name for name in os.listdir(path) if re.fullmatch(r"\d{6,}\.\w+", name)]
        if frames:
            yield os.path.join(path, min(frames))


def _spec(entry: RegisteredCodec, path: str) -> FrameSpec | None:
    try:
        return entry.codec.frame_spec(path, entry.format)
    except Exception:  # whatever a codec has to say about a file that may be of another kind
        return None


def _created(root: str, first_time: float | None) -> tuple[str, str]:
    """Say when the store was made: when its first frame was taken, or its oldest file was changed."""
    if first_time is not None and is_date(first_time):
        moment, source = first_time, "from the first frame's time"
    else:
        with os.scandir(root) as entries:
            moment = min(entry.stat(follow_symlinks=False).st_mtime for entry in entries)
        source = "from the oldest file"
    try:
        made = datetime.datetime.fromtimestamp(moment, datetime.timezone.utc)
    except (ValueError, OverflowError, OSError):  # beyond the calendar
        made, source = datetime.datetime.now(datetime.timezone.utc), "made up"
    return made.replace(tzinfo=None).isoformat(), source

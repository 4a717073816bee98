"""``metadata.yaml``: what a store is, and the user's own metadata beside it."""

from __future__ import annotations

import datetime
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from imgstore.codec import Format, FrameSpec
from imgstore.disk.atomic import replace_file
from imgstore.disk.layout import (
    METADATA_FILENAME,
    METADATA_KEY,
    REPLACED_FILENAME,
    UNFINISHED_DIRECTORY,
    is_half_removed,
)
from imgstore.disk.plain_yaml import MAX_SIZE, dump_plain_yaml, load_plain_yaml
from imgstore.disk.read_file import read_file
from imgstore.disk.user_metadata import plain_metadata, shown
from imgstore.errors import ArgumentError, MetadataError, NotAStoreError
from imgstore.npy_header import dtype_of_text

__all__ = ["DIRECTORY_CLASS", "VERSION", "VIDEO_CLASS", "StoreMetadata", "is_imgstore", "local_zone", "new_metadata",
           "read_metadata", "store_directory", "write_metadata"]  # fmt: skip

VERSION = 2
DIRECTORY_CLASS = "DirectoryImgStore"
VIDEO_CLASS = "VideoImgStore"
_MAX_DIMENSIONS = 32  # of numpy before 2.0
_MAX_FRAME = 1 << 36  # bytes
_MAX_RATE = 1e12  # frames per second; no text of one has more digits than Python shows
_VIDEO_CLASSES = (VIDEO_CLASS, "VideoImgStoreFFMPEG")


@dataclass(frozen=True)
class StoreMetadata:
    """What ``metadata.yaml`` says.

    Attributes
    ----------
    values : dict
        The ``__store`` mapping as it is in the file.
    user : dict
        All other keys.
    format : str
        Name of the format, or of an encoder where Motif wrote the store.
    extension : str or None
        Of the video files, with the dot; None where chunks are directories.
    imgshape : tuple of int
        Shape of the frames as they are stored.
    imgdtype : numpy.dtype
        Type of their samples.
    chunksize : int
        Frames per chunk when written.
    encoding : str or None
        How raw frames are turned into BGR.
    uuid : str or None
        32 hex digits.
    created : datetime.datetime
        In UTC.
    timezone : datetime.tzinfo
        Of the recording.
    """

    values: dict[str, Any]
    user: dict[str, Any]
    format: str
    extension: str | None
    imgshape: tuple[int, ...]
    imgdtype: np.dtype[Any]
    chunksize: int
    encoding: str | None
    uuid: str | None
    created: datetime.datetime
    timezone: datetime.tzinfo

    @property
    def is_video(self) -> bool:
        """Whether chunks are video files."""
        return self.extension is not None

    def frame_spec(self, fmt: Format) -> FrameSpec:
        """Return what every stored frame looks like: image files and videos of ``(h, w, 1)`` give ``(h, w)``."""
        shape = self.imgshape
        return FrameSpec(shape[:2] if not fmt.any_shape and shape[2:] == (1,) else shape, self.imgdtype)


def store_directory(path: str | os.PathLike[str] | None, basedir: str | os.PathLike[str] | None) -> str:
    """Return the absolute directory that a user means.

    Parameters
    ----------
    path : path-like, optional
        The directory or its ``metadata.yaml``.
    basedir : path-like, optional
        The directory.

    Raises
    ------
    ArgumentError
        Both or neither are given, one is no path, or `basedir` names ``metadata.yaml``.
    """
    if (path is None) == (basedir is None):
        raise ArgumentError("give either path (the store's directory or its metadata.yaml) or basedir (its directory)")
    given = path if path is not None else basedir
    try:
        text = os.fsdecode(given)  # type: ignore[arg-type]
    except TypeError:
        raise ArgumentError(f"a store's path must be str or PathLike, not {type(given).__name__}") from None
    if "\0" in text or not _is_name(text):
        raise ArgumentError(f"{text!r} is no path that this system can have")
    text = os.path.abspath(os.path.expanduser(text))
    if os.path.basename(text) == METADATA_FILENAME and not os.path.isdir(text):
        if path is None:
            raise ArgumentError(f"basedir must be the store's directory, not its {METADATA_FILENAME}: {text!r}")
        text = os.path.dirname(text)
    return text


def _is_name(text: str) -> bool:
    """Whether a text stands for bytes that may be a file's name; those that are not UTF-8 are surrogates in it."""
    try:
        os.fsencode(text)
    except UnicodeError:
        return False
    return True


def is_imgstore(path: str | os.PathLike[str]) -> bool:
    """Whether there is a store at `path` (its directory or its ``metadata.yaml``) that this version can describe."""
    try:
        read_metadata(store_directory(path, None))
    except (NotAStoreError, MetadataError, ArgumentError):
        return False
    return True


def read_metadata(directory: str) -> StoreMetadata:
    """Read and check the metadata of the store in `directory`.

    Raises
    ------
    NotAStoreError
        There is no such directory, or no ``metadata.yaml`` in it.
    MetadataError
        It cannot be read, or does not describe a store of version 2.
    """
    path = os.path.join(directory, METADATA_FILENAME)
    try:
        content = load_plain_yaml(read_file(path, MAX_SIZE))
    except (FileNotFoundError, NotADirectoryError):
        what = f"has no {METADATA_FILENAME}" if os.path.isdir(directory) else "does not exist or is no directory"
        hint = "; imgstore.open opens videos and images that are in none" if os.path.exists(directory) else ""
        if os.path.isdir(os.path.join(directory, UNFINISHED_DIRECTORY)):
            hint = "; one was begun, and not completed: the same call once more, or imgstore save --resume, completes it"
        elif is_half_removed(directory):
            hint = (
                "; one is being replaced there, or was when that was interrupted: overwrite it once more, or, to keep what is"
                f" left, rename {REPLACED_FILENAME} to {METADATA_FILENAME} and repair that"
            )
        raise NotAStoreError(f"path {directory!r} is no store: it {what}{hint}") from None
    except OSError as error:
        raise MetadataError(f"{path}: cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise MetadataError(f"{path}: is not the plain YAML of a store: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise MetadataError(f"{path}: is {'empty' if content is None else 'no mapping'}, not the metadata of a store")
    if not isinstance(content.get(METADATA_KEY), dict):
        raise MetadataError(f"{path}: has no mapping {METADATA_KEY!r}, so this is not the metadata of a store")
    user = {key: value for key, value in content.items() if key != METADATA_KEY}
    return _parse(path, content[METADATA_KEY], user)


def _parse(path: str, values: dict[str, Any], user: dict[str, Any]) -> StoreMetadata:
    version = values.get("version")
    if version != VERSION or isinstance(version, bool):
        raise MetadataError(f"{path}: this is a store of version {shown(version)}; imgstore reads version {VERSION}")
    class_name = values.get("class")
    if class_name != DIRECTORY_CLASS and class_name not in _VIDEO_CLASSES:
        raise MetadataError(
            f"{path}: class {shown(class_name)} is not known; it must be {DIRECTORY_CLASS} or {VIDEO_CLASS}"
        )
    name = values.get("format")
    if not isinstance(name, str) or not name:
        raise MetadataError(f"{path}: format {shown(name)} is no name of a format")
    extension = None
    if class_name in _VIDEO_CLASSES:
        extension = values.get("extension") or (".avi" if name.startswith("mjpeg") else ".mp4")
        if not isinstance(extension, str) or not re.fullmatch(r"\.\w+", extension):
            raise MetadataError(f"{path}: extension {shown(extension)} is none, such as '.mp4'")
    shape = values.get("imgshape")
    if (
        not isinstance(shape, (list, tuple))
        or not shape
        or not all(isinstance(n, int) and not isinstance(n, bool) and n > 0 for n in shape)
    ):
        raise MetadataError(f"{path}: imgshape {shown(shape)} is not a list of sizes, such as [480, 640]")
    try:
        dtype = dtype_of_text(str(values.get("imgdtype", "uint8")))
    except ValueError:
        dtype = np.dtype(object)
    if dtype.hasobject:
        raise MetadataError(f"{path}: imgdtype {shown(values.get('imgdtype'))} is no numeric type, such as 'uint8'")
    if len(shape) > _MAX_DIMENSIONS or math.prod(shape) * dtype.itemsize > _MAX_FRAME:
        raise MetadataError(f"{path}: imgshape {shown(shape)} of {dtype} is larger than a frame can be")
    chunksize = values.get("chunksize", 1)
    if not isinstance(chunksize, int) or isinstance(chunksize, bool):
        raise MetadataError(f"{path}: chunksize {shown(chunksize)} is no whole number")
    encoding = values.get("encoding") or None
    if encoding is not None and not isinstance(encoding, str):
        raise MetadataError(f"{path}: encoding {shown(encoding)} is no code, such as 'cv_bayerbg'")
    identity = values.get("uuid")
    if isinstance(identity, int) and 0 <= identity < 10**32:  # YAML takes 32 decimal digits for a number
        identity = f"{identity:032d}"
    if identity is not None and not isinstance(identity, str):
        raise MetadataError(f"{path}: uuid {shown(identity)} is none, which would be 32 hex digits")
    for key in ("fps", "framerate"):
        fps = values.get(key)
        if fps is not None and not (isinstance(fps, (int, float)) and abs(fps) <= _MAX_RATE):
            raise MetadataError(f"{path}: {key} {shown(fps)} is no number of frames per second")
    created, timezone = _created(path, values, user)
    return StoreMetadata(
        values, user, name, extension, tuple(shape), dtype, chunksize, encoding, identity, created, timezone
    )


def _created(
    path: str, values: Mapping[str, Any], user: Mapping[str, Any]
) -> tuple[datetime.datetime, datetime.tzinfo]:
    """Return when (UTC) and in which zone a store was made, from whatever its age says about that."""
    text = values.get("created_utc")
    if text is not None:
        try:
            moment = text if isinstance(text, datetime.datetime) else datetime.datetime.fromisoformat(str(text))
            if moment.tzinfo is not None:
                moment = moment.astimezone(datetime.timezone.utc)
        except (ValueError, OverflowError):  # OverflowError: a time zone takes it before the year 1, or behind 9999
            raise MetadataError(
                f"{path}: created_utc {shown(text)} is no time, such as '2024-01-31T12:00:00'"
            ) from None
        return moment.replace(tzinfo=datetime.timezone.utc), _zone(values.get("timezone_local")) or local_zone()
    zone = _zone(values.get("timezone_local")) or _zone(user.get("timezone")) or local_zone()
    name = re.search(r"(?<!\d)(\d{8}_\d{6})(?!\d)", os.path.basename(os.path.dirname(path)))
    if name:
        try:
            local = datetime.datetime.strptime(name[1], "%Y%m%d_%H%M%S").replace(tzinfo=zone)
            return local.astimezone(datetime.timezone.utc), zone
        except (ValueError, OverflowError):
            pass  # digits that are no date
    try:
        return datetime.datetime.fromtimestamp(os.path.getmtime(path), datetime.timezone.utc), zone
    except (ValueError, OverflowError):  # file systems take any time
        return datetime.datetime.fromtimestamp(0, datetime.timezone.utc), zone


def _zone(name: object) -> datetime.tzinfo | None:
    if not isinstance(name, str) or not name:
        return None
    try:
        return ZoneInfo(name)
    except (ValueError, OSError):  # ZoneInfoNotFoundError is a KeyError
        return None
    except KeyError:
        return None


def local_zone() -> datetime.tzinfo:
    """Return this machine's time zone."""
    return _zone(local_zone_name()) or datetime.timezone.utc


def local_zone_name() -> str:
    """Return the IANA name of this machine's time zone."""
    import tzlocal

    try:
        return tzlocal.get_localzone_name() or "UTC"
    except Exception:  # whatever a machine without a configured zone makes it raise
        return "UTC"


def new_metadata(
    directory: str,
    *,
    format: str,
    extension: str | None,
    imgshape: tuple[int, ...],
    imgdtype: np.dtype[Any],
    chunksize: int,
    encoding: str | None,
    fps: float | None,
    user: Mapping[str, Any] | None,
    framerate: float | None = None,
) -> StoreMetadata:
    """Describe a store that is about to be written.

    Raises
    ------
    ArgumentError
        The user's metadata cannot be kept exactly, see `imgstore.disk.user_metadata`, or uses the key ``__store``.
    """
    import uuid

    values: dict[str, Any] = {
        "version": VERSION,
        "class": DIRECTORY_CLASS if extension is None else VIDEO_CLASS,
        "format": format,
        "imgshape": [int(n) for n in imgshape],
        "imgdtype": str(imgdtype),
        "chunksize": chunksize,
        "encoding": encoding,
        "uuid": uuid.uuid4().hex,
        "created_utc": datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None).isoformat(),
        "timezone_local": local_zone_name(),
    }
    if fps is not None:
        values["fps"] = fps
    if framerate is not None:
        values["framerate"] = framerate
    if extension is not None:
        values["extension"] = extension
    return _parse(os.path.join(directory, METADATA_FILENAME), values, plain_metadata(user or {}))


def write_metadata(directory: str, metadata: StoreMetadata) -> None:
    """Write ``metadata.yaml``, whole or not at all."""
    content = {METADATA_KEY: metadata.values, **metadata.user}
    replace_file(os.path.join(directory, METADATA_FILENAME), dump_plain_yaml(content))

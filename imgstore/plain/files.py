"""From files that somebody names to all that is needed to read them as a store is read."""

from __future__ import annotations

import datetime
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import xxhash

from imgstore import plugins
from imgstore.codec import ChunkCodec, ChunkReader, Format, FrameCodec, FrameSpec, Survey
from imgstore.disk.metadata import StoreMetadata, local_zone
from imgstore.errors import ArgumentError, ChunkError, ImgStoreError
from imgstore.pixels.shown import Color, Shown
from imgstore.plain.chunks import ImageChunks, VideoChunks
from imgstore.plain.options import PlainOptions
from imgstore.plain.surveys import KeptSurveys, survey_key
from imgstore.plain.times import IMAGES_PER_SECOND, given_times, times_at_rate, times_of_videos
from imgstore.plugins import RegisteredCodec
from imgstore.reading.chunks import Chunks
from imgstore.sources.directory import Files
from imgstore.sources.named import Named, named_files
from imgstore.sources.source import Source, Stamp

__all__ = ["PlainFiles", "open_plain"]

Frame = npt.NDArray[Any]

# Other names that files of a format have
_OTHER_ENDINGS = {".jpeg": ".jpg", ".jpe": ".jpg", ".tiff": ".tif"}
_DIGITS = re.compile(r"\d+")
_MOST_NUMBER = 1 << 62


@dataclass(frozen=True)
class PlainFiles:
    """Files that are read as a store is.

    Attributes
    ----------
    chunks : Chunks
        Where they are.
    metadata : StoreMetadata
        What a store's would say.
    entry : RegisteredCodec
        What reads them.
    shown : Shown
        How frames are returned.
    decode : callable or None
        What makes a frame of an image's file.
    reader : ChunkReader or None
        Of the first chunk, where it is open.
    """

    chunks: Chunks
    metadata: StoreMetadata
    entry: RegisteredCodec
    shown: Shown
    decode: Callable[[Frame], Frame] | None = None
    reader: ChunkReader | None = None


def open_plain(
    what: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    options: PlainOptions,
    *,
    color: Color | None,
    dtype: np.dtype[Any] | None,
    reading: Mapping[str, Any],
    backend: str | None,
) -> PlainFiles:
    """Find out what files hold; see `imgstore.open`.

    Parameters
    ----------
    what
        The files.
    options : PlainOptions
        What is said of plain files.
    color, dtype
        What is asked for.
    reading : mapping
        For the codec: ``seek``, ``threads``, ``cache_size``.
    backend : str or None
        Name of the codec.

    Raises
    ------
    NotAStoreError
        There are no such files.
    ChunkError
        A file is no video and no image, or cannot be read.
    ArgumentError
        What is asked for does not go with these files.
    """
    formats = _image_formats()
    named = _without_tables(named_files(what, formats.keys()), formats)
    names = named.source.names()
    wanted = Shown(color=color, dtype=dtype)
    found = _endings(names)
    if len(names) == 1 and found & {".tif"}:  # it may have several pages
        pages = _survey(named.source, names[0], options, reading, backend, only_if_several=True)
        if pages is not None:
            return _videos(named, [pages], options, wanted, reading)
    if found <= formats.keys():
        return _images(named, formats, options, wanted)
    if found & formats.keys():
        raise ArgumentError(
            f"{named.what}: these are files of several kinds ({', '.join(sorted(found))}); name those of one"
        )
    found_out = [
        _surveyed(named.source, name, options, {**reading, "keep_open": k == 0}, backend)
        for k, name in enumerate(names)
    ]
    return _videos(named, found_out, options, wanted, reading)


# -- videos --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Surveyed:
    survey: Survey
    codec: ChunkCodec
    package: str
    stamp: Stamp


def _surveyed(
    source: Source, name: str, options: PlainOptions, reading: Mapping[str, Any], backend: str | None
) -> _Surveyed:
    found = _survey(source, name, options, reading, backend)
    if found is None:
        raise ChunkError(f"{source.shown(name)}: no codec reads such a file; it is no video and no image that is known")
    return found


def _survey(
    source: Source,
    name: str,
    options: PlainOptions,
    reading: Mapping[str, Any],
    backend: str | None,
    *,
    only_if_several: bool = False,
) -> _Surveyed | None:
    """Let the codecs look at a file, one after the other; the error of the first that knows it where none can read it."""
    path = source.local_path(name)
    try:
        stamp = source.stamp(name)
        source.read(name, 0, 1)
    except OSError as error:
        raise ChunkError(error.errno, f"cannot be opened: {error.strerror or error}", path) from error
    kept = KeptSurveys(None if options.cache is True else os.fspath(options.cache)) if options.cache else None
    refused: ImgStoreError | None = None
    for codec, package in plugins.surveying_codecs(backend):
        if only_if_several and codec.formats:  # a codec of videos, which would take an image for one of a single frame
            continue
        how = {"stream": options.stream}
        try:
            key = survey_key(source, name, stamp, f"{package}, {codec.name}, {codec.survey_version}", how)
            survey = kept.find(key) if kept is not None else None
            if survey is None:
                survey = codec.survey(path, {**reading, **how})
                if survey is not None and kept is not None:
                    kept.keep(key, survey)
        except ImgStoreError as error:
            refused = refused or error
            continue
        except Exception as error:
            refused = refused or ChunkError(f"{path}: cannot be opened: {error}")
            continue
        if survey is not None:
            if source.stamp(name) != stamp:
                raise ChunkError(f"{path}: was changed while it was looked at; open it again when it is finished")
            return _Surveyed(survey, codec, package, stamp)
    if refused is not None:
        raise refused
    return None


def _videos(
    named: Named, found: Sequence[_Surveyed], options: PlainOptions, wanted: Shown, reading: Mapping[str, Any]
) -> PlainFiles:
    if options.numbers is not None:
        raise ArgumentError("numbers='names' is for images: the frames of a video have no names")
    names = [named.source.shown(name) for name in named.source.names()]
    surveys = [one.survey for one in found]
    first = surveys[0]
    spec = _wanted_spec(names, surveys, wanted)
    for one, name in zip(found, names, strict=True):
        if one.survey.turn != first.turn and options.orient:
            raise ArgumentError(
                f"{name}: is turned in another way than {names[0]}; orient=False leaves both as they are"
            )
        if one.codec is not found[0].codec:
            raise ArgumentError(f"{name}: is read by another codec than {names[0]}; open them one by one")
    counts = [survey.frame_count for survey in surveys]
    if options.times is None:
        times = times_of_videos(surveys, names, options)
    else:
        given = given_times(options, sum(counts), os.path.dirname(names[0]))
        times = np.split(given, np.cumsum(counts)[:-1])
    numbers = np.split(np.arange(sum(counts), dtype=np.int64), np.cumsum(counts)[:-1])
    chunks = VideoChunks(named, list(zip(numbers, times, strict=True)), surveys, [one.stamp for one in found])
    fmt = first.format
    entry = RegisteredCodec(found[0].codec, fmt, found[0].package)
    created = min((survey.created for survey in surveys if survey.created is not None), default=None)
    identity = [names, [list(one.stamp[1:]) for one in found], options.stream]
    metadata = _metadata(
        "VideoImgStore", fmt, fmt.extension, spec, max(counts), _rate(options, first.fps), identity,
        found[0].stamp[2] / 1e9 if created is None else created,
    )  # fmt: skip
    reader = None
    if first.reader is not None:
        reader = found[0].codec.open_reader(names[0], fmt, spec, {**reading, "survey": first})
        surveys[0] = replace(first, reader=None)
    return PlainFiles(
        chunks, metadata, entry, replace(wanted, turn=first.turn if options.orient else None), reader=reader
    )


def _wanted_spec(names: Sequence[str], surveys: Sequence[Survey], wanted: Shown) -> FrameSpec:
    """Return what frames the codec shall give: as the files have them, or in what is asked for, where it does that itself."""
    specs = []
    for survey in surveys:
        shape, dtype = survey.spec.shape, survey.spec.dtype
        if survey.converts and wanted.color is not None:
            shape = shape[:2] if wanted.color == "gray" else (*shape[:2], 3)
        if survey.converts and wanted.dtype == np.uint8:
            dtype = np.dtype(np.uint8)
        specs.append(FrameSpec(shape, dtype))
    for name, spec in zip(names, specs, strict=True):
        if spec != specs[0]:
            raise ArgumentError(
                f"{name}: its frames are {spec.dtype} {spec.shape}, and those of {names[0]} {specs[0].dtype} {specs[0].shape};"
                " open them one by one"
                + ("" if spec.shape[:2] != specs[0].shape[:2] else ", or choose color and dtype")
            )
    return specs[0]


def _rate(options: PlainOptions, noted: float | None) -> float | None:
    if options.times is not None:
        return None
    return options.fps or noted


# -- images --------------------------------------------------------------------------------------------------------


def _image_formats() -> dict[str, RegisteredCodec]:
    """Return the codecs with a file per frame, by what their files' names end in."""
    formats = {e.format.extension: e for e in plugins.registered_codecs() if isinstance(e.codec, FrameCodec)}
    return formats | {other: formats[usual] for other, usual in _OTHER_ENDINGS.items() if usual in formats}


def _without_tables(named: Named, formats: Mapping[str, RegisteredCodec]) -> Named:
    """Leave out arrays that lie in a folder beside images: they may be times, or anything."""
    names = named.source.names()
    endings = _endings(names)
    images = {ending for ending in endings if ending in formats and not formats[ending].format.any_shape}
    if named.chosen or not images or images == endings:
        return named
    kept = [name for name in names if _endings([name]) <= images]
    return replace(named, source=Files(named.what, kept))


def _endings(names: Sequence[str]) -> set[str]:
    """Return what names end in, by the usual name of each."""
    found = {name[name.rfind(".") :] for name in names}  # there may be many thousands: nothing slow for each
    endings = {os.path.splitext(f"x{one}")[1].lower() for one in found}
    return {_OTHER_ENDINGS.get(one, one) for one in endings}


def _images(named: Named, formats: dict[str, RegisteredCodec], options: PlainOptions, wanted: Shown) -> PlainFiles:
    source, names = named.source, named.source.names()
    endings = _endings(names)
    if len(endings) > 1:
        raise ArgumentError(
            f"{named.what}: holds images of several kinds ({', '.join(sorted(endings))}); name those of one by a pattern, "
            f"such as '*{min(endings)}'"
        )
    if options.stream is not None:
        raise ArgumentError("stream= is for videos: images have no streams")
    if options.start_time in ("creation", "file"):
        raise ArgumentError(f"start_time={options.start_time!r} is for videos; images have times='files'")
    entry = formats[endings.pop()]
    codec, fmt = entry.codec, entry.format
    assert isinstance(codec, FrameCodec)
    lack = codec.missing_for_reading(fmt)
    first = source.shown(names[0])
    if lack is not None:
        raise ChunkError(f"{first}: cannot be read on this machine: {lack}")
    try:
        source.read(names[0], 0, 1)  # it may be no file
        spec = codec.plain_spec(source.local_path(names[0]), fmt, orient=options.orient)
        stamp = source.stamp(names[0])
    except Exception as error:
        raise ChunkError(f"{first}: cannot be opened as an image: {error}") from error
    if spec is None:
        raise ChunkError(f"{first}: what is in it cannot be told")
    fps = None if options.times is not None else options.fps or IMAGES_PER_SECOND
    if options.times is None:
        times = times_at_rate(len(names), 0, fps or IMAGES_PER_SECOND, options.start_time or 0.0)
    elif isinstance(options.times, str) and options.times == "files":
        times = np.array([_modified(source, name) for name in names], np.float64)
    else:
        times = given_times(options, len(names), os.path.dirname(first))
    numbers = np.arange(len(names), dtype=np.int64)
    if options.numbers == "names":
        numbers = np.array([_number(source, name) for name in names], np.int64)
    identity = [named.what, len(names), names[0], names[-1], list(stamp[1:])]
    metadata = _metadata("DirectoryImgStore", fmt, None, spec, len(names), fps, identity, stamp[2] / 1e9)
    decode = codec.plain_decoder(fmt, spec, orient=options.orient)
    return PlainFiles(ImageChunks(named, [(numbers, times)]), metadata, entry, wanted, decode)


def _modified(source: Source, name: str) -> float:
    try:
        return source.stamp(name)[2] / 1e9
    except OSError as error:
        raise ChunkError(error.errno, f"has no time: {error.strerror or error}", source.shown(name)) from error


def _number(source: Source, name: str) -> int:
    """Return the last number in the name of an image."""
    found = _DIGITS.findall(os.path.splitext(os.path.basename(name))[0])
    number = int(found[-1]) if found else _MOST_NUMBER
    if number >= _MOST_NUMBER:
        raise ArgumentError(f"{source.shown(name)}: has no number in its name that a frame could have")
    return number


# -- both ----------------------------------------------------------------------------------------------------------


def _metadata(
    class_name: str,
    fmt: Format,
    extension: str | None,
    spec: FrameSpec,
    chunksize: int,
    fps: float | None,
    identity: object,
    created: float,
) -> StoreMetadata:
    """Make up what the metadata of a store would say."""
    uuid = xxhash.xxh3_128_hexdigest(repr(identity).encode("utf-8", "surrogateescape"))
    try:
        moment = datetime.datetime.fromtimestamp(created, datetime.timezone.utc)
    except (ValueError, OverflowError, OSError):  # file systems take any time
        moment = datetime.datetime.fromtimestamp(0, datetime.timezone.utc)
    values: dict[str, Any] = {
        "class": class_name,
        "format": fmt.name,
        "imgshape": list(spec.shape),
        "imgdtype": str(spec.dtype),
        "chunksize": chunksize,
        "uuid": uuid,
    }
    if fps is not None:
        values["fps"] = fps
    return StoreMetadata(
        values, {}, fmt.name, extension, spec.shape, spec.dtype, chunksize, None, uuid, moment, local_zone()
    )

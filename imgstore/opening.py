"""The doors through which stores are opened."""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from imgstore import plugins
from imgstore.codec import ChunkCodec
from imgstore.disk.layout import METADATA_FILENAME, UNFINISHED_DIRECTORY, is_half_removed
from imgstore.disk.metadata import read_metadata, store_directory
from imgstore.errors import ArgumentError
from imgstore.index.frame_index import ImgStoreIndex
from imgstore.options import ReadOptions
from imgstore.pixels.shown import Color
from imgstore.plain.options import PlainOptions
from imgstore.sources.named import absolute_path
from imgstore.store import DirectoryImgStore, ImgStore, VideoImgStore
from imgstore.store.shared import Mode, Path

__all__ = ["extract_only_frame", "get_supported_formats", "new_for_filename", "new_for_format", "open"]


def new_for_filename(
    path: Path | None = None,
    *,
    basedir: Path | None = None,
    mode: Mode = "r",
    index: ImgStoreIndex | None = None,
    seek: bool = True,
    threads: int | None = None,
    cache_size: int | None = None,
    checksums: bool = True,
    backend: str | None = None,
    color: Color | None = None,
    dtype: npt.DTypeLike | None = None,
    format: str | None = None,
    imgshape: Sequence[int] | None = None,
    imgdtype: npt.DTypeLike = np.uint8,
    chunksize: int | None = None,
    metadata: Mapping[str, Any] | None = None,
    encoding: str | None = None,
    fps: float | None = None,
    sync: bool = False,
    flush_interval: float = 1.0,
    overwrite: bool = False,
    break_lock: bool = False,
    gpu_id: object = None,
    videosize: object = None,
    **codec_options: Any,
) -> ImgStore:
    """Open a store, for reading unless `mode` says otherwise.

    Parameters
    ----------
    path : path-like, optional
        The store's directory or its ``metadata.yaml``.
    basedir : path-like, optional
        The directory, in place of `path`.
    mode : {'r', 'a', 'w'}
        ``'a'`` goes on writing a store: new chunks after the old, with the keywords `chunksize`, `sync`,
        `flush_interval`, `break_lock`, `backend` and the codec's options. ``'w'`` makes one, as `new_for_format`, and
        needs `format`.
    index : ImgStoreIndex, optional
        An index to use instead of reading one.
    seek : bool, optional
        False: never seek inside a video, decode forward; the frames are the same.
    threads : int, optional
        For decoding; default as many as there are cores.
    cache_size : int, optional
        Memory for decoded frames and open chunks, in bytes.
    checksums : bool, optional
        False: do not compare frames with the checksums that were noted when they were written; damaged ones are then
        what the decoder makes of them.
    backend : str, optional
        Name of the implementation that reads (``'pyav'``, ``'opencv'``).
    color : {'bgr', 'rgb', 'gray'}, optional
        Of the frames that are returned; default as they are stored, which is BGR or gray.
    dtype : {'uint8', 'uint16'}, optional
        Of the frames that are returned: 8 bits are scaled to 16, or 16 to 8. Default as they are stored.
    format, imgshape, imgdtype, chunksize, metadata, encoding, fps, sync, flush_interval, overwrite, break_lock
        Of writing, see `new_for_format`. When a store is written on, what is given of its format, the shape and type
        of its frames, encoding, rate and metadata must be what it has.
    gpu_id, videosize : optional
        Accepted for 0.x and ignored.
    **codec_options
        Of writing, see `new_for_format`.

    Returns
    -------
    VideoImgStore or DirectoryImgStore

    Raises
    ------
    NotAStoreError, MetadataError, FormatError, ArgumentError
        See `imgstore.store.ImgStore`.
    """
    directory = store_directory(path, basedir)
    if mode != "w":
        video = read_metadata(directory).is_video
    elif format is not None:
        video = isinstance(plugins.codec_for_format(format, backend).codec, ChunkCodec)
    else:
        raise ArgumentError("writing needs a format; see imgstore.new_for_format")
    cls = VideoImgStore if video else DirectoryImgStore
    return cls(
        directory,
        mode=mode,
        format=format,
        imgshape=imgshape,
        imgdtype=imgdtype,
        chunksize=chunksize,
        metadata=metadata,
        encoding=encoding,
        fps=fps,
        sync=sync,
        flush_interval=flush_interval,
        overwrite=overwrite,
        break_lock=break_lock,
        index=index,
        seek=seek,
        threads=threads,
        cache_size=cache_size,
        checksums=checksums,
        backend=backend,
        color=color,
        dtype=dtype,
        **codec_options,
    )


def open(  # noqa: A001 - as in zarr, PIL and wave
    what: Path | Iterable[Path],
    *,
    color: Color | None = None,
    dtype: npt.DTypeLike | None = None,
    fps: float | None = None,
    times: npt.ArrayLike | Path | None = None,
    column: str | int | None = None,
    start_time: float | datetime.datetime | Literal["creation", "file"] | None = None,
    numbers: Literal["names"] | None = None,
    orient: bool = True,
    stream: int | None = None,
    cache: bool | Path = True,
    index: ImgStoreIndex | None = None,
    seek: bool = True,
    threads: int | None = None,
    cache_size: int | None = None,
    checksums: bool = True,
    backend: str | None = None,
) -> ImgStore:
    """Open frames for reading, whatever they are in: a store, a video, several videos, a folder of images.

    Parameters
    ----------
    what : path-like or iterable of path-like
        A store's directory or its ``metadata.yaml``; a video; a list of videos, which follow each other; a folder of images; an
        image, a TIFF file with several pages, a GIF; or a pattern: ``clips/*.mp4``, ``frames/*.png``, ``img_%04d.png``. Files
        that a pattern names, and those of a folder, are in natural order: ``2`` before ``10``.
    color : {'bgr', 'rgb', 'gray'}, optional
        Of the frames that are returned; default as they are stored, which is BGR or gray.
    dtype : {'uint8', 'uint16'}, optional
        Of the frames that are returned: 8 bits are scaled to 16, or 16 to 8. Default as they are stored.
    fps : float, optional
        Of plain files: the frame at position n has the time n / `fps`. Default the video's own times; images are taken 25 to
        a second.
    times : array-like or path-like or 'files', optional
        Of plain files: the times of all frames in seconds, or the path of a CSV, npy or JSON file with them, which may lie
        beside the files. ``'files'``: the times at which the images' files were written.
    column : str or int, optional
        Which column of the file that `times` names; not needed where it has one.
    start_time : float, datetime or {'creation', 'file'}, optional
        Of plain files: when the first frame was taken, in seconds since the epoch; default 0. ``'creation'``: when the video
        says that it was made, each where they are several. ``'file'``: times as the clock of the file has them.
    numbers : {'names'}, optional
        Frame numbers are the last numbers in the names of the images. Default: counted from 0.
    orient : bool
        Of plain files: turn and mirror frames as players do; False: as they are stored.
    stream : int, optional
        Of videos: the number of the stream in the file, from 0; default the video that FFmpeg calls the best.
    cache : bool or path-like
        Keep where the frames of a video are, so that it opens at once the next time: in the user's cache directory, or in
        this one. False: do not, and do not look there.
    index, checksums
        Of stores, see `new_for_filename`.
    seek, threads, cache_size, backend
        See `new_for_filename`.

    Returns
    -------
    ImgStore
        Open for reading, with all that a store has for that. Plain files have no extra data and no metadata.

    Raises
    ------
    NotAStoreError
        There is no such file, or no image in the folder. Also a FileNotFoundError.
    ChunkError
        A file is no video and no image, or cannot be read. Also an OSError.
    ArgumentError, MetadataError, FormatError
        A keyword does not go with what is opened; a store is not one that can be read.
    """
    options = ReadOptions(index, backend, seek, threads, cache_size, checksums, color, dtype, {})
    plain = PlainOptions(fps, times, column, start_time, numbers, orient, stream, cache)
    where: str | list[str]
    if isinstance(what, (str, bytes, os.PathLike)):
        where = absolute_path(what)
        if _is_store(where):
            misplaced = [name for name in plain.given if name != "cache"]
            if misplaced:
                raise ArgumentError(f"{where}: is a store, which has its own times: {misplaced[0]}= is for plain files")
            return new_for_filename(where, index=index, **options.once_more)
    elif isinstance(what, Iterable):
        where = [absolute_path(path) for path in what]
    else:
        raise ArgumentError(f"what is opened is a path, or a list of paths, not {type(what).__name__}")
    if index is not None:
        raise ArgumentError("index= is for stores; that of plain files is made from them")
    from imgstore.plain.files import open_plain

    files = open_plain(where, plain, color=color, dtype=options.dtype, reading=options.codec, backend=backend)
    return ImgStore._of_plain_files(files, options, (_open_again, (where, {**options.once_more, **plain.once_more})))


def _is_store(path: str) -> bool:
    """Whether there is a store, or was to be one: what is missing is then told."""
    if os.path.isdir(os.path.join(path, UNFINISHED_DIRECTORY)) or is_half_removed(path):
        return True
    return os.path.isfile(
        path if os.path.basename(path) == METADATA_FILENAME else os.path.join(path, METADATA_FILENAME)
    )


def _open_again(what: Any, keywords: dict[str, Any], position: int) -> ImgStore:
    """Unpickle a reader of plain files, at the same place."""
    store = open(what, **keywords)
    store._readable.go_to(position)
    return store


def new_for_format(
    fmt: str,
    path: Path | None = None,
    *,
    basedir: Path | None = None,
    mode: Mode = "w",
    imgshape: Sequence[int] | None = None,
    imgdtype: npt.DTypeLike = np.uint8,
    chunksize: int | None = None,
    metadata: Mapping[str, Any] | None = None,
    encoding: str | None = None,
    fps: float | None = None,
    sync: bool = False,
    flush_interval: float = 1.0,
    overwrite: bool = False,
    break_lock: bool = False,
    backend: str | None = None,
    threads: int | None = None,
    index: ImgStoreIndex | None = None,
    seek: bool = True,
    cache_size: int | None = None,
    checksums: bool = True,
    color: Color | None = None,
    dtype: npt.DTypeLike | None = None,
    format: object = None,
    gpu_id: object = None,
    videosize: object = None,
    **codec_options: Any,
) -> ImgStore:
    """Make a store of a format and open it for writing.

    Parameters
    ----------
    fmt : str
        One of `get_supported_formats`, or an alias.
    path : path-like, optional
        The store's directory or its ``metadata.yaml``.
    basedir : path-like, optional
        The directory, in place of `path`.
    mode : {'w', 'r', 'a'}
        ``'r'`` reads and ``'a'`` writes on, as `new_for_filename`.
    imgshape : sequence of int
        Shape of the frames: ``(h, w)``, or ``(h, w, 3)`` for BGR.
    imgdtype : dtype-like, optional
        Type of their samples, default uint8.
    chunksize : int, optional
        Frames per chunk, default 200 for directories and 10000 for video.
    metadata : mapping, optional
        Anything that is worth keeping beside the video; YAML must hold it.
    encoding : str, optional
        The frames are raw sensor data, decoded to BGR when read (``'cv_bayerbg'``, ...).
    fps : float, optional
        Nominal frames per second.
    sync : bool, optional
        Bring what is written to the disk twice in each `flush_interval`, and not only when a chunk is complete. Default
        False. It is for a death of the machine: what a death of the process leaves is the same.
    flush_interval : float, optional
        Seconds, default 1. Twice in each, an encoder that holds frames back is asked for what it can hand over.
    overwrite : bool, optional
        Replace a store that is there.
    break_lock : bool, optional
        The writer that a lock names is known to be gone.
    backend : str, optional
        Name of the implementation that writes (``'pyav'``, ``'opencv'``).
    threads : int, optional
        For encoding, where the codec has this option.
    index, seek, cache_size, checksums, color, dtype
        Of reading, see `new_for_filename`.
    format, gpu_id, videosize : optional
        Accepted for 0.x and ignored.
    **codec_options
        Options of the format's codec, as ``imgstore codecs`` lists them.

    Returns
    -------
    VideoImgStore or DirectoryImgStore

    Raises
    ------
    FormatError
        The format is not known (the supported ones are listed), cannot be used on this machine (what is missing is
        said), or cannot hold such frames.
    StoreExistsError, StoreLockedError, StoreWriteError, ArgumentError
        See `imgstore.store.ImgStore`.
    """
    return new_for_filename(
        path,
        basedir=basedir,
        mode=mode,
        format=fmt,
        imgshape=imgshape,
        imgdtype=imgdtype,
        chunksize=chunksize,
        metadata=metadata,
        encoding=encoding,
        fps=fps,
        sync=sync,
        flush_interval=flush_interval,
        overwrite=overwrite,
        break_lock=break_lock,
        index=index,
        seek=seek,
        threads=threads,
        cache_size=cache_size,
        checksums=checksums,
        backend=backend,
        color=color,
        dtype=dtype,
        **codec_options,
    )


def extract_only_frame(path: Path, frame_index: int) -> npt.NDArray[np.generic]:
    """Return one frame of a store.

    Parameters
    ----------
    path : path-like
        The store's directory or its ``metadata.yaml``.
    frame_index : int
        Position of the frame in the store, from 0.

    Returns
    -------
    numpy.ndarray
        ``(h, w)`` or ``(h, w, 3)``.

    Raises
    ------
    FrameNotFoundError
        There is no such frame; also a ValueError.
    """
    with new_for_filename(path) as store:
        return store.get_image(frame_index=frame_index)[0]


def get_supported_formats() -> list[str]:
    """Return the names of the formats that can be written and read on this machine, in a stable order."""
    return plugins.supported_formats()

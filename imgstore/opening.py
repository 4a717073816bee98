"""The doors through which stores are opened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from imgstore import plugins
from imgstore.codec import ChunkCodec
from imgstore.disk.metadata import read_metadata, store_directory
from imgstore.errors import ArgumentError
from imgstore.index.frame_index import ImgStoreIndex
from imgstore.store import DirectoryImgStore, ImgStore, VideoImgStore
from imgstore.store.shared import Mode, Path

__all__ = ["extract_only_frame", "get_supported_formats", "new_for_filename", "new_for_format"]


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
        **codec_options,
    )


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
        Make the promise of `flush_interval` for a death of the machine too, default False: what is written is then
        brought to the disk as it comes, and not only videos and indexes when a chunk is complete.
    flush_interval : float, optional
        Seconds of recording that a death of the process may take at most, default 1.
    overwrite : bool, optional
        Replace a store that is there.
    break_lock : bool, optional
        The writer that a lock names is known to be gone.
    backend : str, optional
        Name of the implementation that writes (``'pyav'``, ``'opencv'``).
    threads : int, optional
        For encoding, where the codec has this option.
    index, seek, cache_size, checksums
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

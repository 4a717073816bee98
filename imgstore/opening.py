"""The doors through which stores are opened."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import numpy.typing as npt

from imgstore import plugins
from imgstore.codec import ChunkCodec
from imgstore.disk.metadata import read_metadata, store_directory
from imgstore.errors import ArgumentError
from imgstore.store import DirectoryImgStore, ImgStore, VideoImgStore

__all__ = ["extract_only_frame", "get_supported_formats", "new_for_filename", "new_for_format"]

Path = str | os.PathLike[str]


def new_for_filename(path: Path | None = None, *, basedir: Path | None = None, mode: str = "r", **kw: Any) -> ImgStore:
    """Open a store for reading.

    Parameters
    ----------
    path : path-like, optional
        The store's directory or its ``metadata.yaml``.
    basedir : path-like, optional
        The directory, in place of `path`.
    mode : {'r', 'a', 'w'}
        ``'a'`` goes on writing a store: new chunks after the old, with the keywords `chunksize`, `sync`,
        `flush_interval`, `break_lock` and the codec's options of `new_for_format`. ``'w'`` needs all that
        `new_for_format` does, and ``format=``.
    index : ImgStoreIndex, optional
        An index to use instead of reading one.
    seek : bool, optional
        False: never seek inside a video, decode forward; the frames are the same.
    backend : str, optional
        Name of the implementation that reads (``'pyav'``, ``'opencv'``).
    threads : int, optional
        For decoding; default as many as there are cores.
    cache_size : int, optional
        Memory for decoded frames and open chunks, in bytes.
    checksums : bool, optional
        False: do not compare frames with the checksums that were noted when they were written; damaged ones are then
        what the decoder makes of them.
    gpu_id, videosize : optional
        Accepted for 0.x and ignored.

    Returns
    -------
    VideoImgStore or DirectoryImgStore

    Raises
    ------
    NotAStoreError, MetadataError, FormatError, ArgumentError
        See `imgstore.store.ImgStore`.
    """
    if mode == "w":
        if "format" not in kw:
            raise ArgumentError("writing needs a format; see imgstore.new_for_format")
        return new_for_format(kw.pop("format"), path, basedir=basedir, mode=mode, **kw)
    directory = store_directory(path, basedir)
    cls = VideoImgStore if read_metadata(directory).is_video else DirectoryImgStore
    return cls(directory, mode=mode, **kw)


def new_for_format(
    fmt: str, path: Path | None = None, *, basedir: Path | None = None, mode: str = "w", **kw: Any
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
    mode : {'w', 'r'}
        ``'r'`` reads, as `new_for_filename`.
    imgshape : tuple of int
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
    flush_interval : float, optional
        Seconds of recording that a death of the process may take at most, default 1.
    sync : bool, optional
        Make the same promise for a death of the machine, default False: what is written is then brought to the disk as
        it comes, and not only videos and indexes when a chunk is complete.
    break_lock : bool, optional
        The writer that a lock names is known to be gone.
    overwrite : bool, optional
        Replace a store that is there.
    backend : str, optional
        Name of the implementation that writes (``'pyav'``, ``'opencv'``).
    **kw
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
    if mode == "r":
        return new_for_filename(path, basedir=basedir, **kw)
    kw.pop("format", None)
    entry = plugins.codec_for_format(fmt, kw.get("backend"))
    cls = VideoImgStore if isinstance(entry.codec, ChunkCodec) else DirectoryImgStore
    return cls(path, basedir=basedir, mode=mode, format=fmt, **kw)


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
        return store.get_image(None, frame_index=frame_index)[0]


def get_supported_formats() -> list[str]:
    """Return the names of the formats that can be written and read on this machine, in a stable order."""
    return plugins.supported_formats()

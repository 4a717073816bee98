"""`ImgStore`, put together from its parts, opened and closed; and the two classes that 0.x had for the layouts on disk."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from imgstore import plugins
from imgstore.codec import ChunkCodec, Codec, FrameCodec
from imgstore.disk.metadata import store_directory
from imgstore.errors import ArgumentError, FormatError, StoreClosedError
from imgstore.index.frame_index import ImgStoreIndex
from imgstore.legacy import LegacyNames
from imgstore.options import ReadOptions, WriteOptions
from imgstore.pixels.shown import Color
from imgstore.store.extra_data import ExtraData
from imgstore.store.indexes import Indexes, index_of_chunks
from imgstore.store.notebook import Notebook
from imgstore.store.shared import Mode, Path
from imgstore.store.writing import Writing
from imgstore.v04.keywords import take_keywords
from imgstore.v04.store_names import StoreNames
from imgstore.writing.listeners import Listeners

if TYPE_CHECKING:
    from imgstore.plain.files import PlainFiles

__all__ = ["DirectoryImgStore", "ImgStore", "VideoImgStore"]

_BEFORE_FIRST = -1  # position of the frame that was read last, when none was


class ImgStore(StoreNames, Notebook, Writing, ExtraData, Indexes, LegacyNames):
    """A store of frames, opened for reading or for writing.

    Use `imgstore.new_for_filename` to read one and `imgstore.new_for_format` to write one.

    Parameters
    ----------
    path : path-like, optional
        The store's directory or its ``metadata.yaml``.
    basedir : path-like, optional
        The directory, in place of `path`.
    mode : {'r', 'w', 'a'}
        Read, write a new store, or add chunks to one that is there.
    format, imgshape, imgdtype, chunksize, metadata, encoding, fps, sync, flush_interval, overwrite, break_lock
        Of writing, see `imgstore.new_for_format`; `format` is what is called `fmt` there.
    index, seek, threads, cache_size, checksums, color, dtype
        Of reading, see `imgstore.new_for_filename`.
    backend
        Of both.
    gpu_id, videosize
        Accepted for 0.x and ignored.
    **codec_options
        Of writing, see `imgstore.new_for_format`.

    Raises
    ------
    NotAStoreError, MetadataError
        There is no store at the path, or its metadata does not describe one.
    FormatError
        The format is not known, not usable on this machine, or cannot hold the frames.
    StoreExistsError, StoreLockedError, StoreWriteError
        The store cannot be written there.
    ArgumentError
        A keyword's value cannot be used.
    """

    def __init__(
        self,
        path: Path | None = None,
        *,
        basedir: Path | None = None,
        mode: Mode = "r",
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
        index: ImgStoreIndex | None = None,
        seek: bool = True,
        threads: int | None = None,
        cache_size: int | None = None,
        checksums: bool = True,
        backend: str | None = None,
        color: Color | None = None,
        dtype: npt.DTypeLike | None = None,
        gpu_id: object = None,
        videosize: object = None,
        **codec_options: Any,
    ):
        if mode not in ("r", "w", "a"):
            raise ArgumentError(f"mode must be 'r', 'w' or 'a', not {mode!r}")
        of_the_fork = take_keywords(codec_options)
        self._mode = mode
        self._root = store_directory(path, basedir)
        self._reader = self._writer = None
        self._listeners = Listeners(self)
        if mode == "r":
            if of_the_fork.chunk_numbers is not None and index is None:
                index = index_of_chunks(self._root, of_the_fork.chunk_numbers)
            # 0.x took one set of keywords for both directions; what it did not know is refused in the wrong one
            for_writing = {"sync": sync, "break_lock": break_lock, "flush_interval": flush_interval != 1.0}
            self._open_for_reading(
                ReadOptions(
                    index=index,
                    backend=backend,
                    seek=seek,
                    threads=threads,
                    cache_size=cache_size,
                    checksums=checksums,
                    color=color,
                    dtype=dtype,
                    others={**codec_options, **{name: given for name, given in for_writing.items() if given}},
                )
            )
        else:
            for_both = {"threads": threads, "cache_size": cache_size, "checksums": None if checksums else False,
                        "color": color, "dtype": dtype}  # fmt: skip
            options = WriteOptions(
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
                backend=backend,
                codec={**codec_options, **{name: given for name, given in for_both.items() if given is not None}},
                first_chunk=of_the_fork.first_chunk,
                framerate=of_the_fork.framerate,
            )
            self._open_for_writing(options) if mode == "w" else self._open_for_appending(options)
        if mode == "r":
            plugins.notify("imgstore_store_opened", store=self)
        else:  # no plugin may keep a recording from beginning
            self._listeners.tell("imgstore_store_opened")
            self._listeners.wait()

    def __init_subclass__(cls, codec_kind: type[Codec] = Codec, **kwargs: Any):
        super().__init_subclass__(**kwargs)
        cls._codec_kind = codec_kind

    @classmethod
    def _of_plain_files(
        cls, files: PlainFiles, options: ReadOptions, again: tuple[Callable[..., Any], Any]
    ) -> ImgStore:
        """Read files that are no store; `again` is a function and its arguments, with which they are opened once more."""
        kind = VideoImgStore if files.metadata.is_video else DirectoryImgStore
        store = kind.__new__(kind)
        store._mode, store._root, store._plain = "r", files.chunks.root, again
        store._reader = store._writer = None
        store._listeners = Listeners(store)
        store._read_through(files.chunks, files.metadata, files.entry, files.shown, options, files.decode, files.reader)
        plugins.notify("imgstore_store_opened", store=store)
        return store

    # -- the end -------------------------------------------------------------------------------------------------

    def close(self, save_index: bool = False) -> None:
        """Finish what is being written and release every file. Closing twice does nothing.

        Parameters
        ----------
        save_index : bool
            Also write ``.index.sqlite``.
        """
        if self._writer is not None:
            first = self._finalizer.alive
            self._finalizer()
            if os.getpid() == self._pid:
                self._writer.close()  # another thread may have come between: returns when that has done it
                if first:
                    self._write_sqlite_indexes(self._writer.chunks, save_index)
        elif (reader := self._reader) is not None:
            try:
                if save_index:
                    self.save_index()
            finally:
                self._reader = None
                reader.close()
            plugins.notify("imgstore_store_closed", store=self)

    def __enter__(self) -> ImgStore:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        """A pickled reader opens again at the same place, in whatever process."""
        if self._mode != "r":
            raise StoreClosedError(f"{self._root}: a store that is open for writing cannot be pickled")
        reader = self._readable
        if self._plain is not None:
            again, arguments = self._plain
            return again, (*arguments, reader.position)
        return _reopen, (type(self), self._root, self._options.once_more, reader.position, self._shown.encoding)

    def open_again(
        self, *, threads: int | None = None, cache_size: int | None = None, color: Color | None = None
    ) -> ImgStore:
        """Open the same frames once more, from the first one on: for reading at two places, or in another thread.

        Parameters
        ----------
        threads, cache_size, color : optional
            As in `imgstore.open`; default as this one was opened.

        Raises
        ------
        ArgumentError
            This one was opened with an index of the caller's.
        """
        self._readable  # noqa: B018 - one that is written or closed says so
        if self._options.index is not None:
            raise ArgumentError(f"{self._root}: was opened with an index that was given for it: open it with that once more")
        given = {"threads": threads, "cache_size": cache_size, "color": color}
        changed = {name: value for name, value in given.items() if value is not None}
        if self._plain is not None:
            again, (where, options) = self._plain
            store: ImgStore = again(where, {**options, **changed}, _BEFORE_FIRST)
            return store
        return _reopen(type(self), self._root, {**self._options.once_more, **changed}, _BEFORE_FIRST, self._shown.encoding)

    # -- classes -------------------------------------------------------------------------------------------------

    @classmethod
    def supported_formats(cls) -> list[str]:
        """Return the names of the formats of this kind of store that work on this machine."""
        return plugins.supported_formats(cls._codec_kind)

    @classmethod
    def supports_format(cls, fmt: str) -> bool:
        """Whether stores of this kind can have a format on this machine.

        Parameters
        ----------
        fmt : str
            Name or alias of the format.
        """
        try:
            plugins.codec_for_format(fmt, None, cls._codec_kind)
        except FormatError:
            return False
        return True


class VideoImgStore(ImgStore, codec_kind=ChunkCodec):
    """A store whose chunks are video files. See `ImgStore`."""

    def insert_chunk(
        self, video_path: Path, frame_numbers: Sequence[int], frame_times: Sequence[float], move: bool = True
    ) -> None:
        """Take a finished video as the next chunk.

        Extra data that was added since the last chunk goes with it. Where this fails nothing has changed.

        Parameters
        ----------
        video_path : path-like
            The file, with the store's extension, in upper or lower case. Where it is a symbolic link, the video that it
            points to is copied, and both stay where they are; with `move` that is a warning.
        frame_numbers, frame_times : sequence
            One entry per frame of the video.
        move : bool
            Move the file into the store; False: copy it.

        Raises
        ------
        ArgumentError
            Numbers and times differ in length, or a value cannot be used; or the file is a chunk of this store already.
        ChunkError
            The file is no video, holds another number of frames, or frames that are not of the store's size.
        StoreWriteError
            The operating system refused.
        """
        self._writable.insert_chunk(os.fspath(video_path), frame_numbers, frame_times, move)

    def empty(self) -> None:
        """Remove all frames of a store that is open for writing."""
        self._writable.empty()


class DirectoryImgStore(ImgStore, codec_kind=FrameCodec):
    """A store whose chunks are directories with a file per frame. See `ImgStore`."""

    def empty(self) -> None:
        """Remove all frames of a store that is open for writing."""
        self._writable.empty()


def _reopen(cls: type[ImgStore], root: str, options: dict[str, Any], position: int, encoding: str | None) -> ImgStore:
    store = cls(root, mode="r", **options)
    if encoding is None and store._shown.encoding is not None:
        store.disable_decoding()
    store._readable.go_to(position)
    return store

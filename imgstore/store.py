"""`ImgStore`: what reading and writing share, and the two classes that 0.x had for the two layouts on disk."""

from __future__ import annotations

import contextlib
import datetime
import math
import os
import time
import warnings
import weakref
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from imgstore import plugins
from imgstore.codec import ChunkCodec, Codec, FrameCodec, FrameSpec
from imgstore.disk import lock
from imgstore.disk.atomic import make_directory
from imgstore.disk.journal import read_records
from imgstore.disk.layout import (
    METADATA_FILENAME,
    SQLITE_INDEX_FILENAME,
    chunk_bases,
    has_index,
    holds_chunks,
    list_store,
)
from imgstore.disk.metadata import StoreMetadata, new_metadata, read_metadata, store_directory, write_metadata
from imgstore.errors import (
    ArgumentError,
    FormatError,
    FrameIndexError,
    FrameNotFoundError,
    ImgStoreWarning,
    MetadataError,
    StoreClosedError,
    StoreExistsError,
    StoreWriteError,
)
from imgstore.index.frame_index import ImgStoreIndex
from imgstore.index.store_index import finished_chunks, sort_out
from imgstore.legacy import LegacyNames
from imgstore.options import WriteOptions, check_codec_options, parse_read_options, parse_write_options
from imgstore.pixels.encodings import check_encoding, decode_to_bgr
from imgstore.reading.chunk_frames import ChunkFrames
from imgstore.reading.reader import Reader
from imgstore.writing.conform import Conformer, conform
from imgstore.writing.listeners import Listeners
from imgstore.writing.writer import Writer, remove_chunks

__all__ = ["DirectoryImgStore", "ImgStore", "VideoImgStore"]

Frame = npt.NDArray[Any]
FrameAndMetadata = tuple[Frame, tuple[int, float]]
Path = str | os.PathLike[str]

_DEFAULT_CHUNKSIZE = {True: 10000, False: 200}  # by whether chunks are video files


class ImgStore(LegacyNames):
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
    **options
        As in `imgstore.new_for_filename` and `imgstore.new_for_format`.

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

    _codec_kind: ClassVar[type[Codec]] = Codec

    def __init__(self, path: Path | None = None, *, basedir: Path | None = None, mode: str = "r", **options: Any):
        if mode not in ("r", "w", "a"):
            raise ArgumentError(f"mode must be 'r', 'w' or 'a', not {mode!r}")
        self._mode = mode
        self._root = store_directory(path, basedir)
        self._reader: Reader | None = None
        self._writer: Writer | None = None
        self._listeners = Listeners(self)
        if mode == "r":
            self._open_for_reading(options)
        elif mode == "w":
            self._open_for_writing(options)
        else:
            self._open_for_appending(options)
        if mode == "r":
            plugins.notify("imgstore_store_opened", store=self)
        else:  # no plugin may keep a recording from beginning
            self._listeners.tell("imgstore_store_opened")
            self._listeners.wait()

    def __init_subclass__(cls, codec_kind: type[Codec] = Codec, **kwargs: Any):
        super().__init_subclass__(**kwargs)
        cls._codec_kind = codec_kind

    # -- opening -------------------------------------------------------------------------------------------------

    def _open_for_reading(self, given: Mapping[str, Any]) -> None:
        self._open_options = dict(given)
        options = parse_read_options(given)
        meta = self._meta = self._read_metadata()
        if meta.encoding is not None:
            check_encoding(meta.encoding)
        self._entry = plugins.codec_for_stored(meta.format, meta.extension, options.backend)
        spec = FrameSpec(meta.imgshape, meta.imgdtype)
        frames = ChunkFrames(self._root, self._entry, meta.extension, spec, options.codec, checksums=options.checksums)
        frame_bytes = math.prod(spec.shape) * spec.dtype.itemsize
        self._index_given = options.index is not None
        self._reader = Reader(self._root, meta.extension, frames, meta.encoding, frame_bytes, options.index)

    def _read_metadata(self) -> StoreMetadata:
        meta = read_metadata(self._root)
        if self._codec_kind is not Codec and meta.is_video != issubclass(self._codec_kind, ChunkCodec):
            raise MetadataError(
                f"{self.full_path}: this is a {meta.values['class']}, which {type(self).__name__} does not open"
            )
        return meta

    def _open_for_writing(self, given: Mapping[str, Any]) -> None:
        options = parse_write_options(given)
        if options.imgshape is None or options.format is None:
            raise ArgumentError("writing needs imgshape (the shape of the frames) and format")
        entry = self._entry = plugins.codec_for_format(options.format, options.backend, self._codec_kind)
        extension = entry.format.extension if isinstance(entry.codec, ChunkCodec) else None
        decoded = options.format.endswith(plugins.DECODED_SUFFIX)
        conformer = conform(entry.format, options.imgshape, options.imgdtype, options.encoding, decoded)
        codec_options = check_codec_options(entry.codec, entry.format, options)
        entry.codec.check_options(entry.format, conformer.stored, codec_options)
        meta = self._meta = new_metadata(
            self._root,
            format=entry.format.name,
            extension=extension,
            imgshape=conformer.stored.shape,
            imgdtype=conformer.stored.dtype,
            chunksize=options.chunksize or _DEFAULT_CHUNKSIZE[extension is not None],
            encoding=conformer.encoding,
            fps=options.fps,
            user=options.metadata,
        )
        _claim_directory(self._root, options)
        with _lock_released_on_error(self._root):
            for loss in conformer.losses:
                warnings.warn(f"{self._root}: {loss}", ImgStoreWarning, stacklevel=6)
            write_metadata(self._root, meta)
            self._start_writer(conformer, options, codec_options, [], 0)

    def _open_for_appending(self, given: Mapping[str, Any]) -> None:
        options = parse_write_options(given)
        meta = self._meta = self._read_metadata()
        entry = self._entry = plugins.codec_for_format(meta.format, options.backend, self._codec_kind)
        conformer = conform(entry.format, meta.imgshape, meta.imgdtype, meta.encoding, False)
        codec_options = check_codec_options(entry.codec, entry.format, options)
        entry.codec.check_options(entry.format, conformer.stored, codec_options)
        lock.acquire(self._root, break_lock=options.break_lock)
        if list_store(self._root, meta.extension).journals:  # of a writer that died
            from imgstore.care.repair import repair_store

            lock.release(self._root)  # repairing takes it
            repair_store(self._root)
            lock.acquire(self._root)
        with _lock_released_on_error(self._root):
            listing = list_store(self._root, meta.extension)
            existing = finished_chunks(self._root, meta.extension, listing)
            self._start_writer(conformer, options, codec_options, existing, max(listing.named, default=-1) + 1)

    def _start_writer(
        self,
        conformer: Conformer,
        options: WriteOptions,
        codec_options: dict[str, Any],
        existing: Sequence[int],
        first_chunk: int,
    ) -> None:
        self._lossless = self._entry.codec.lossless(self._entry.format, codec_options)
        self._given_shape = conformer.given.shape
        listeners = self._listeners
        self._writer = Writer(
            self._root,
            self._entry,
            conformer,
            options.chunksize or max(1, self._meta.chunksize),
            codec_options,
            flush_interval=options.flush_interval,
            sync=options.sync,
            existing=existing,
            first_chunk=first_chunk,
            opened=lambda chunk, paths: listeners.tell("imgstore_chunk_opened", chunk=chunk, paths=paths),
            closed=lambda chunk, paths: listeners.tell("imgstore_chunk_closed", chunk=chunk, paths=paths),
        )
        self._pid = os.getpid()
        self._finalizer = weakref.finalize(self, _close_writer, self._writer, listeners, self._root, self._pid)

    # -- what it is ----------------------------------------------------------------------------------------------

    @property
    def mode(self) -> str:
        """``'r'`` or ``'w'``."""
        return self._mode

    @property
    def filename(self) -> str:
        """The store's directory, absolute."""
        return self._root

    @property
    def full_path(self) -> str:
        """Path of its ``metadata.yaml``."""
        return os.path.join(self._root, METADATA_FILENAME)

    @property
    def format(self) -> str:
        """Name of the format, as in ``metadata.yaml``."""
        return self._meta.format

    @property
    def lossless(self) -> bool:
        """Whether frames come back exactly as they were written."""
        return self._entry.format.lossless if self._mode == "r" else self._lossless

    @property
    def uuid(self) -> str | None:
        """Identity of the recording, 32 hex digits; None in stores that are too old to have one."""
        return self._meta.uuid

    @property
    def created(self) -> tuple[datetime.datetime, datetime.tzinfo]:
        """When the store was made, in UTC, and the time zone of the recording."""
        return self._meta.created, self._meta.timezone

    @property
    def user_metadata(self) -> dict[str, Any]:
        """What was given as ``metadata`` when the store was written."""
        return self._meta.user

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Shape of the frames: ``(h, w)`` or ``(h, w, 3)``; of decoded frames where they are decoded when read."""
        if self._mode != "r":
            return self._given_shape
        encoding = self._meta.encoding if self._reader is None else self._reader.encoding
        if encoding:
            return decode_to_bgr(np.zeros(self._meta.imgshape, self._meta.imgdtype), encoding).shape
        return self._meta.imgshape

    @property
    def image_dtype(self) -> np.dtype[Any]:
        """Type of the samples of stored frames."""
        return self._meta.imgdtype

    @property
    def fps(self) -> float:
        """Frames per second: from the metadata, the store's or Motif's, else from the times; NaN where unknown."""
        from imgstore.beside.motif import get_parse_true_fps

        stored = self._meta.values.get("fps")
        if not isinstance(stored, (int, float)):
            try:
                stored = get_parse_true_fps(self, math.nan)
            except ArgumentError:  # what is noted is no number
                stored = math.nan
        if stored > 0:
            return float(stored)
        if self._reader is None or self.frame_count < 2:
            return math.nan
        intervals = np.diff(self.frame_times[:10000])
        intervals = intervals[intervals > 0]
        return float(1 / np.median(intervals)) if len(intervals) else math.nan

    # -- what it holds -------------------------------------------------------------------------------------------

    @property
    def frame_count(self) -> int:
        """Number of frames."""
        return self._writer.span.count if self._writer is not None else self._readable.index.frame_count

    def __len__(self) -> int:
        return self.frame_count

    def __bool__(self) -> bool:
        return True  # an empty store is a store

    @property
    def frame_min(self) -> float:
        """Lowest frame number; NaN when empty."""
        return self._writer.span.number_min if self._writer is not None else self._readable.index.frame_min

    @property
    def frame_max(self) -> float:
        """Highest frame number; NaN when empty."""
        return self._writer.span.number_max if self._writer is not None else self._readable.index.frame_max

    @property
    def frame_time_min(self) -> float:
        """Earliest frame time in seconds; 0 when empty."""
        if not self.frame_count:
            return 0.0
        return self._writer.span.time_min if self._writer is not None else self._readable.index.frame_time_min

    @property
    def frame_time_max(self) -> float:
        """Latest frame time in seconds; 0 when empty."""
        if not self.frame_count:
            return 0.0
        return self._writer.span.time_max if self._writer is not None else self._readable.index.frame_time_max

    @property
    def duration(self) -> float:
        """Seconds from the earliest to the latest frame; 0 when empty."""
        return self.frame_time_max - self.frame_time_min if self.frame_count else 0.0

    @property
    def frame_number(self) -> float:
        """Number of the frame that was read or written last; NaN before."""
        return self._writer.frame_number if self._writer is not None else self._readable.frame_number

    @property
    def frame_time(self) -> float:
        """Time in seconds of the frame that was read or written last; NaN before."""
        return self._writer.frame_time if self._writer is not None else self._readable.frame_time

    @property
    def chunks(self) -> list[int]:
        """Numbers of the chunks that hold frames; when writing, of those that are complete."""
        return list(self._writer.chunks if self._writer is not None else self._readable.index.chunks)

    @property
    def frame_numbers(self) -> npt.NDArray[np.int64]:
        """The numbers of all frames in store order, int64 ``(n,)``, read-only."""
        return self._readable.whole_index().frame_numbers

    @property
    def frame_times(self) -> npt.NDArray[np.float64]:
        """The times of all frames in store order, in seconds, float64 ``(n,)``, read-only."""
        return self._readable.whole_index().frame_times

    def get_frame_metadata(self) -> dict[str, list[Any]]:
        """Return ``{'frame_number': [...], 'frame_time': [...]}`` of all frames in store order."""
        return self._readable.whole_index().get_all_metadata()

    def convert_frame_time_to_datetime(self, t: float, tz: datetime.tzinfo | None = None) -> datetime.datetime:
        """Turn a frame time into a date and time.

        Parameters
        ----------
        t : float
            Seconds since the epoch.
        tz : datetime.tzinfo, optional
            Zone of the result; default that of the recording.
        """
        return datetime.datetime.fromtimestamp(t, tz if tz is not None else self._meta.timezone)

    # -- reading -------------------------------------------------------------------------------------------------

    @property
    def _readable(self) -> Reader:
        if self._reader is None:
            state = "is open for writing" if self._writer is not None else "is closed"
            raise StoreClosedError(f"{self._root}: the store {state}, it cannot be read from")
        return self._reader

    def get_next_image(self) -> FrameAndMetadata:
        """Read the frame after the one that was read last, at first the first one.

        Returns
        -------
        tuple
            ``(img, (frame_number, frame_time))``

        Raises
        ------
        EndOfStoreError
            After the last frame; also an EOFError. The place stays where it was.
        FrameDecodeError
            The frame is damaged; the next call goes on with the next one.
        """
        reader = self._reader  # the shortest way: this is called for every frame of a week
        return reader.read_next() if reader is not None else self._after_close()

    def _after_close(self) -> Any:
        return self._readable

    def get_image(self, frame_number: Any, exact_only: bool = True, frame_index: Any = None) -> FrameAndMetadata:
        """Read the first frame with a number, or the frame at a position, and go on from there.

        Parameters
        ----------
        frame_number : int
            Number of the frame; ignored when `frame_index` is given.
        exact_only : bool
            False: the frame whose number is nearest will do.
        frame_index : int, optional
            Position in the store, from 0.

        Returns
        -------
        tuple
            ``(img, (frame_number, frame_time))``

        Raises
        ------
        FrameNotFoundError
            No such frame; also a ValueError.
        FrameDecodeError
            The frame is damaged.
        """
        reader = self._readable
        if frame_index is None:
            return reader.read(reader.position_of(frame_number, exact_only))
        position = _whole(frame_index, "frame_index")
        if not 0 <= position < reader.index.frame_count:
            raise FrameNotFoundError(
                f"{self._root}: no frame at index {position}, there are {reader.index.frame_count}, from 0"
            )
        return reader.read(position)

    def get_nearest_image(self, frame_time: float) -> FrameAndMetadata:
        """Read the frame whose time is nearest, and go on from there.

        Parameters
        ----------
        frame_time : float
            Seconds.

        Returns
        -------
        tuple
            ``(img, (frame_number, frame_time))``

        Raises
        ------
        FrameNotFoundError
            The store is empty; also a ValueError.
        FrameDecodeError
            The frame is damaged.
        """
        reader = self._readable
        return reader.read(reader.position_nearest_time(frame_time))

    def get_next_framenumber(self) -> int:
        """Return the number of the frame that `get_next_image` will read; EndOfStoreError after the last."""
        return self._readable.next_frame_number()

    def get_images(
        self, frame_numbers: Any = None, *, frame_indices: Any = None, out: Frame | None = None
    ) -> tuple[Frame, tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]]:
        """Read many frames at once, each group of pictures of a video decoded once.

        Where `get_next_image` goes on is not changed.

        Parameters
        ----------
        frame_numbers : sequence of int, optional
            Numbers of the frames, in any order, repeats included.
        frame_indices : sequence of int or slice, optional
            Their positions in the store instead; negative ones count from the end.
        out : numpy.ndarray, optional
            An array to fill, ``(n, *image_shape)`` of the store's dtype.

        Returns
        -------
        images : numpy.ndarray
            ``(n, h, w)`` or ``(n, h, w, 3)``, in the order asked for.
        metadata : tuple of numpy.ndarray
            Frame numbers, int64 ``(n,)``, and frame times in seconds, float64 ``(n,)``.

        Raises
        ------
        FrameNotFoundError
            A frame number that is not there.
        FrameIndexError
            A position outside the store.
        FrameDecodeError
            A frame is damaged; it is named.
        ArgumentError
            The frames do not fit into `out`.
        """
        reader = self._readable
        if (frame_numbers is None) == (frame_indices is None):
            raise ArgumentError("give either frame_numbers or frame_indices")
        if frame_indices is not None:
            positions = self._positions(frame_indices)
        else:
            positions = [reader.position_of(n, True) for n in _one_by_one(frame_numbers)]
        return reader.read_many(positions, out, self.image_shape, self._meta.imgdtype)

    def _positions(self, wanted: Any) -> list[int]:
        """Turn a slice or a sequence of positions, negative ones from the end, into positions from 0."""
        if isinstance(wanted, slice):
            return list(range(*wanted.indices(self.frame_count)))
        array = np.asarray(wanted)
        if array.dtype == bool:
            if array.shape != (self.frame_count,):
                raise FrameIndexError(f"a mask must have one entry for each of the {self.frame_count} frames")
            return list(np.flatnonzero(array).tolist())
        return [self._position(i) for i in _one_by_one(wanted)]

    def _position(self, i: Any) -> int:
        position = _whole(i, "a position")
        if not -self.frame_count <= position < self.frame_count:
            raise FrameIndexError(f"{self._root}: no frame at position {position}, there are {self.frame_count}")
        return position % self.frame_count

    def __getitem__(self, key: Any) -> Frame:
        """Return frames by position: one for an integer, ``(n, h, w[, 3])`` for a slice or a sequence of positions."""
        if isinstance(key, (slice, list, tuple, np.ndarray, range)):
            return self.get_images(frame_indices=key)[0]
        img: Frame = self.get_images(frame_indices=[self._position(key)])[0][0]
        return img

    def __iter__(self) -> Iterator[FrameAndMetadata]:
        """Go through all frames from the first; see `iter_images`."""
        return self.iter_images()

    def iter_images(
        self,
        start: int | None = None,
        stop: int | None = None,
        step: int | None = None,
        *,
        follow: bool = False,
        poll_interval: float = 0.1,
    ) -> Iterator[FrameAndMetadata]:
        """Go through frames by position, as a slice counts them.

        Moves the place where `get_next_image` goes on.

        Parameters
        ----------
        start, stop, step : int, optional
            As in a slice.
        follow : bool
            At the end, wait for what is being recorded, until the writer closes the store or is gone. Needs a
            positive `step`; `start` counts from the frames that are there at first.
        poll_interval : float
            Seconds between looks at the directory.

        Yields
        ------
        tuple
            ``(img, (frame_number, frame_time))``
        """
        reader = self._readable
        positions = range(*slice(start, stop, step).indices(self.frame_count))
        for position in positions:
            yield reader.read(position)
        if not follow:
            return
        if positions.step < 1:
            raise ArgumentError("following a recording needs a positive step")
        position = positions.start + len(positions) * positions.step
        while stop is None or position < stop:
            recording = lock.is_held(self._root)  # asked first, so that its last frames are not missed
            if position >= self.refresh():
                if not recording:
                    return
                time.sleep(poll_interval)
            while position < self.frame_count and (stop is None or position < stop):
                yield reader.read(position)
                position += positions.step

    def disable_decoding(self) -> None:
        """From now on return frames as they are stored, raw where the store has an encoding."""
        self._readable.encoding = None

    def refresh(self) -> int:
        """Bring in the frames that a writer has added since the store was opened; return how many there are now."""
        self._readable.refresh()
        return self.frame_count

    # -- extra data ----------------------------------------------------------------------------------------------

    @property
    def has_extra_data(self) -> bool:
        """Whether data was recorded beside the video."""
        from imgstore.beside.extra_data import iter_extra_data_files

        bases, unfinished = self._extra_sources()
        return bool(unfinished) or next(iter_extra_data_files(self._root, bases), None) is not None

    def _extra_sources(self) -> tuple[list[tuple[int, str]], list[tuple[int, list[dict[str, Any]]]]]:
        """Return the chunks whose extra data is complete, which it is when they have an index, and others' records."""
        root, extension = self._root, self._meta.extension
        listing = list_store(root, extension)
        finished, begun, _ = sort_out(root, extension, listing)
        complete = {*finished, *listing.with_index}.difference(begun)
        if extension is None:
            complete = {n for n in complete if has_index(root, extension, n)}
        unfinished = []
        for n in begun:
            records = read_records(root, n)
            if has_index(root, extension, n):
                complete.add(n)  # since the names were read, and its records may have gone before they were
            elif records:
                unfinished.append((n, records))
        return chunk_bases(root, sorted(complete), extension), unfinished

    def find_extra_data_files(self, extensions: Sequence[str] | None = None) -> list[str]:
        """Return the paths of the files with extra data, in order of chunks.

        Parameters
        ----------
        extensions : sequence of str, optional
            What their names end in; default every kind.
        """
        from imgstore.beside.extra_data import EXTENSIONS, find_extra_data_files

        bases, _ = self._extra_sources()
        return find_extra_data_files(self._root, bases, EXTENSIONS if extensions is None else extensions)

    def get_extra_data(self, ignore_corrupt_chunks: bool = False) -> Any:
        """Return the data recorded beside the video.

        Parameters
        ----------
        ignore_corrupt_chunks : bool
            Leave out files that cannot be read, with a warning.

        Returns
        -------
        pandas.DataFrame or None
            One row per record with ``frame_number``, ``frame_time`` and ``frame_index``; None when there is none.

        Raises
        ------
        ExtraDataError
            A file cannot be read; it is named.
        """
        from imgstore.beside.extra_data import read_extra_data

        return read_extra_data(self._extra_data_in_order(), ignore_corrupt_chunks)

    def get_extra_records(self, ignore_corrupt_chunks: bool = False) -> list[dict[str, Any]]:
        """Return the data recorded beside the video as the records that were added.

        In a table every record has every key, and integers may become floats. Here each has its own keys and values,
        as JSON holds them.

        Parameters
        ----------
        ignore_corrupt_chunks : bool
            Leave out files that cannot be read, with a warning.

        Returns
        -------
        list of dict
            In the order of the rows of `get_extra_data`; empty when there are none. ``frame_number``, ``frame_time``
            (NaN before the first frame) and ``frame_index`` (-1) say beside which frame each was recorded.

        Raises
        ------
        ExtraDataError
            A file cannot be read; it is named.
        """
        from imgstore.beside.extra_data import read_extra_records

        return read_extra_records(self._extra_data_in_order(), ignore_corrupt_chunks)

    def _extra_data_in_order(self) -> list[Any]:
        """Return the files with extra data, and the records of chunks that have none yet, in order of chunks."""
        from imgstore.beside.extra_data import find_extra_data_files

        sources: list[Any] = []
        bases, unfinished = self._extra_sources()
        for chunk, records in unfinished:  # finished ones may come before and behind
            before = [(n, base) for n, base in bases if n < chunk]
            bases = bases[len(before) :]
            sources += [*find_extra_data_files(self._root, before), records]
        return sources + find_extra_data_files(self._root, bases)

    def get_extra_data_samplerate(self) -> float:
        """Return the sample rate in Hz that Motif has noted for its extra data."""
        from imgstore.beside.extra_data import extra_data_samplerate

        return extra_data_samplerate(self.find_extra_data_files())

    # -- indexes -------------------------------------------------------------------------------------------------

    def save_index(self, path: Path | None = None) -> None:
        """Write the index as 0.x does, an SQLite file.

        Parameters
        ----------
        path : path-like, optional
            Where; default ``.index.sqlite`` in the store.
        """
        target = os.fspath(path) if path is not None else os.path.join(self._root, SQLITE_INDEX_FILENAME)
        self._readable.whole_index().to_file(target)

    def cache_index(self) -> str:
        """Leave a cached index in the store, with which it opens in milliseconds whatever its length; return its path.

        It is never needed, checked whenever it is used, and not seen by 0.x.
        """
        self._readable.whole_index()
        return _write_cache(self._root, self._meta.extension)

    def reindex(self) -> None:
        """Make the frames before the only frame number 0 negative, in the indexes and in the extra data.

        The old numbers are kept as ``_frame_number_before_reindex``.

        Raises
        ------
        FrameNotFoundError
            There is no frame number 0, or several; nothing is changed. Also a ValueError.
        """
        from imgstore.care.reindex import reindex

        reader = self._readable
        chunks = finished_chunks(self._root, self._meta.extension, list_store(self._root, self._meta.extension))
        reader.whole_index()
        reindex(self._root, chunk_bases(self._root, chunks, self._meta.extension))
        reader.reopen()

    # -- writing -------------------------------------------------------------------------------------------------

    @property
    def _writable(self) -> Writer:
        if self._writer is None or not self._finalizer.alive:
            state = "is open for reading" if self._reader is not None else "is closed"
            raise StoreClosedError(f"{self._root}: the store {state}, it cannot be written to")
        lock.check_process(self._root, self._pid)
        return self._writer

    def add_image(self, img: Frame, frame_number: Any, frame_time: Any) -> None:
        """Append a frame.

        Parameters
        ----------
        img : numpy.ndarray
            Of the store's shape and dtype; colour is BGR.
        frame_number : int
            Any integer of 64 bits; numbers may skip, repeat or go backwards.
        frame_time : float
            Seconds, usually since the epoch.

        Raises
        ------
        ArgumentError
            Shape, dtype, number or time cannot be used. Nothing is written.
        StoreLockedError
            This process was forked from the one that records.
        StoreWriteError
            The operating system refused; the frame is not in the store, those before it are.
        """
        self._writable.add(img, frame_number, frame_time)

    def add_extra_data(self, **values: Any) -> None:
        """Record values beside the frame that was added last.

        Parameters
        ----------
        **values
            Anything that JSON holds, and numpy values, bytes, sets, complex numbers and datetimes.
        """
        self._writable.add_record(values)

    # -- the end -------------------------------------------------------------------------------------------------

    def close(self, save_index: bool = False) -> None:
        """Finish what is being written and release every file. Closing twice does nothing.

        Parameters
        ----------
        save_index : bool
            Also write ``.index.sqlite``.
        """
        if self._writer is not None and self._finalizer.alive:
            self._finalizer()
            if save_index:
                bases = chunk_bases(self._root, self._writer.chunks, self._meta.extension)
                index = ImgStoreIndex.new_from_chunks(bases)
                index.to_file(os.path.join(self._root, SQLITE_INDEX_FILENAME))
        elif self._reader is not None:
            if save_index:
                self.save_index()
            reader, self._reader = self._reader, None
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
        options = {name: value for name, value in self._open_options.items() if name != "index"}
        return _reopen, (type(self), self._root, options, reader.position, reader.encoding)

    def _facts(self) -> list[tuple[str, str]]:
        """What a person wants to know at a glance."""
        shape = " x ".join(map(str, self.image_shape))
        facts = [("format", f"{self.format}, {self.image_dtype} {shape}")]
        if self._reader is None and self._writer is None:
            return [*facts, ("state", "closed")]
        facts.append(("frames", f"{self.frame_count} in {len(self.chunks)} chunks"))
        if self.frame_count:
            facts.append(("numbers", f"{self.frame_min} to {self.frame_max}"))
            facts.append(("span", f"{self.duration:.3f} s"))
        if self._writer is not None and not self._finalizer.alive:
            return [*facts, ("state", "written and closed")]
        return [*facts, ("state", "open for reading" if self._mode == "r" else "open for writing")]

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._root!r}: {'; '.join(f'{k} {v}' for k, v in self._facts())}>"

    def _repr_html_(self) -> str:
        import html

        rows = "".join(f"<tr><th>{html.escape(k)}</th><td>{html.escape(v)}</td></tr>" for k, v in self._facts())
        return f"<table><caption>{html.escape(self._root)}</caption>{rows}</table>"

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

        Parameters
        ----------
        video_path : path-like
            The file, with the store's extension.
        frame_numbers, frame_times : sequence
            One entry per frame of the video.
        move : bool
            Move the file into the store; False: copy it.

        Raises
        ------
        ArgumentError
            Numbers and times differ in length, or a value cannot be used.
        ChunkError
            The file is no video, or holds another number of frames.
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
    reader = store._readable
    reader.encoding = encoding
    if position >= 0:
        reader.position = position
        reader.frame_number, reader.frame_time = reader.index.frame(position)
    return store


@contextlib.contextmanager
def _lock_released_on_error(root: str) -> Iterator[None]:
    try:
        yield
    except BaseException:
        lock.release(root)
        raise


def _claim_directory(root: str, options: WriteOptions) -> None:
    """Make the directory of a new store and lock it; only `overwrite` clears away a store that is there."""
    metadata_path = os.path.join(root, METADATA_FILENAME)
    try:
        make_directory(root)
    except OSError as error:
        raise StoreWriteError(error.errno, f"the store cannot be made: {error.strerror or error}", root) from error
    exists = os.path.lexists(metadata_path)
    if exists and not options.overwrite:
        raise StoreExistsError(f"{root}: there is a store already; remove it, or give overwrite=True to replace it")
    if not exists and holds_chunks(root, _chunk_extensions()):
        raise StoreExistsError(f"{root}: holds chunks of a store whose {METADATA_FILENAME} is missing; write elsewhere")
    lock.acquire(root, break_lock=options.break_lock)
    if exists:
        try:
            for extension in _chunk_extensions():
                remove_chunks(root, extension)
        except OSError as error:
            lock.release(root)
            raise StoreWriteError(
                error.errno, f"the old store cannot be removed: {error.strerror or error}", root
            ) from error


def _chunk_extensions() -> list[str | None]:
    video = {e.format.extension for e in plugins.registered_codecs() if isinstance(e.codec, ChunkCodec)}
    return [None, *sorted(video)]


def _close_writer(writer: Writer, listeners: Listeners, root: str, pid: int) -> None:
    """Finish a store; also when it is collected, or at the end of the process that opened it."""
    if os.getpid() != pid:
        return  # a fork: the store is the parent's
    try:
        writer.close()
    finally:
        lock.release(root)
        listeners.tell("imgstore_store_closed")
        listeners.wait()


def _write_cache(root: str, extension: str | None) -> str:
    from imgstore.index.cache import CACHE_FILENAME

    chunks = finished_chunks(root, extension, list_store(root, extension))
    path = os.path.join(root, CACHE_FILENAME)
    ImgStoreIndex.new_from_chunks(chunk_bases(root, chunks, extension)).write_cache(path)
    return path


def _one_by_one(wanted: Any) -> list[Any]:
    """Return what a sequence or an array holds; numbers of several types stay what they are, and none becomes a float."""
    return list(np.asarray(wanted, object).ravel().tolist())


def _whole(value: Any, what: str) -> int:
    import operator

    try:
        return operator.index(value)
    except TypeError:
        if isinstance(value, (float, np.floating)) and float(value).is_integer():  # neither NaN nor infinite
            return int(value)
        raise ArgumentError(f"{what} must be a whole number, not {value!r}") from None

"""The way in: frames -> codec -> journal; chunks that are full are put in place behind the recording's back."""

from __future__ import annotations

import contextlib
import logging
import math
import operator
import os
import shutil
import threading
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from imgstore.beside.records import dumps_record, records_path, write_records
from imgstore.codec import Buffer, ChunkCodec, FrameCodec
from imgstore.disk.atomic import sync_directory, sync_file
from imgstore.disk.checksums import checksum_arrays, frame_arrays, place_arrays, video_checksums
from imgstore.disk.chunk_index import read_chunk_index, write_chunk_index
from imgstore.disk.journal import Journal, remove_journal
from imgstore.disk.layout import SQLITE_INDEX_FILENAME, chunk_base, chunk_name, chunk_path, list_store
from imgstore.errors import ArgumentError, ChunkError, ChunkIndexError, ImgStoreError, ImgStoreWarning, StoreWriteError
from imgstore.index.cache import CACHE_FILENAME, IndexBuilder
from imgstore.plugins import RegisteredCodec
from imgstore.threads.background import InOrder
from imgstore.writing.chunk_files import ChunkFiles, DirectoryChunk, VideoChunk
from imgstore.writing.conform import Conformer

__all__ = ["Writer", "remove_chunks"]

_log = logging.getLogger(__name__)

_WAITING_DIRECTORIES = 8  # complete chunks that may wait to be brought to the disk

Frame = npt.NDArray[Any]
ChunkEvent = Callable[[int, list[str]], None]


@dataclass
class _Chunk:
    """A chunk that is being written, or waits to be put in place."""

    number: int
    files: ChunkFiles
    journal: Journal
    begun: float = field(default_factory=time.monotonic)
    seconds: float = 0.0  # in which it was recorded, once it is complete
    numbers: list[int] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    records: list[str] = field(default_factory=list)  # extra data
    whole: bool = True  # False once an error has left open whether the files took a frame
    closed: bool = False  # whether the codec has let go of the files
    readable: int | None = None  # frames that can be read, where that may be fewer than were added


@dataclass
class Span:
    """Running values over all frames of a store."""

    count: int = 0
    number_min: float = math.nan
    number_max: float = math.nan
    time_min: float = math.nan
    time_max: float = math.nan

    def add(self, number: int, time: float) -> None:
        """Take in a frame."""
        if not self.count:
            self.number_min = self.number_max = number
            self.time_min = self.time_max = time
        self.count += 1
        self.number_min = min(self.number_min, number)
        self.number_max = max(self.number_max, number)
        self.time_min = min(self.time_min, time)
        self.time_max = max(self.time_max, time)


class Writer:
    """Writes the chunks of one store. What it was given is safe from errors that come later.

    Parameters
    ----------
    root : str
        The store's directory, with its ``metadata.yaml``.
    entry : RegisteredCodec
        The codec.
    conformer : Conformer
        From given frames to stored ones.
    chunksize : int
        Frames per chunk.
    options : mapping
        For the codec.
    flush_interval : float
        Seconds after which what a codec holds back is handed to the operating system, and with `sync` is on the disk.
    sync : bool
        Whether the last frames are to survive a death of the machine, not of the process alone.
    existing : sequence of int
        Chunks that the store has already, to which further ones are added.
    first_chunk : int
        Number of the first chunk to write.
    opened, closed : callable
        Told of each chunk's number and paths, when it begins and when it is in place; must return at once.
    """

    def __init__(
        self,
        root: str,
        entry: RegisteredCodec,
        conformer: Conformer,
        chunksize: int,
        options: Mapping[str, Any],
        *,
        flush_interval: float,
        sync: bool,
        existing: Sequence[int],
        first_chunk: int,
        opened: ChunkEvent,
        closed: ChunkEvent,
    ):
        self._root = root
        self._entry = entry
        self._conformer = conformer
        self._chunksize = chunksize
        self._options = options
        self._flush_interval = flush_interval
        self._opened, self._closed = opened, closed
        self._encode: Callable[[Frame], Sequence[Buffer]] | None = None
        if isinstance(entry.codec, FrameCodec):
            self._encode = entry.codec.encoder(entry.format, conformer.stored, options)
        self._extension = None if self._encode is not None else entry.format.extension
        self._chunk: _Chunk | None = None
        self._beginning = False  # True while a chunk's files are made, and longer where Ctrl-C came between
        self._early: tuple[Journal, list[str]] | None = None  # extra data that came before its chunk's first frame
        # a disk that pauses need not stop a recording where frames are files; where they are a video, each has an encoder
        self._finishing = InOrder("imgstore-finish", limit=1 if self._extension is not None else _WAITING_DIRECTORIES)
        self._unfinished: list[_Chunk] = []  # what could not be put in place: a full disk
        self._in_trouble = False  # whether that has not been told yet
        self._errors: list[BaseException] = []  # of the background, for the next call
        self._bytes_finished = 0
        self.span = Span()
        self.frame_number: float = math.nan
        self.frame_time: float = math.nan
        self.chunks: list[int] = []
        self._cache = self._new_cache()
        self._cached: list[int] = []  # chunks that are, or would be, in it
        for number in existing:
            self._take_over(number)
        self._next_chunk = first_chunk
        self._sync = sync
        self._guard: _Repeater | None = None
        if sync or self._encode is None:  # a codec with a file per chunk may hold frames back
            self._guard = _Repeater(self._secure_tail, flush_interval / 2)

    def _take_over(self, number: int) -> None:
        """Count the frames of a chunk that was there before."""
        base = chunk_base(self._root, number, self._extension)
        try:
            numbers, times = read_chunk_index(base)
        except ChunkIndexError as error:
            warnings.warn(f"{error}; chunk {number} is left as it is", ImgStoreWarning, stacklevel=2)
            numbers, times = np.empty(0, np.int64), np.empty(0, np.float64)
        for frame in zip(numbers.tolist(), times.tolist(), strict=True):
            self.span.add(*frame)
        if len(numbers):
            self.chunks.append(number)
            self.frame_number, self.frame_time = int(numbers[-1]), float(times[-1])
        self._add_to_cache(number, numbers, times)

    @property
    def encodes_frames(self) -> bool:
        """Whether frames are encoded one by one, so that several threads may do it."""
        return self._encode is not None

    @property
    def bytes_written(self) -> int:
        """Size of the files with frames so far."""
        chunk = self._chunk
        return self._bytes_finished + (chunk.files.size() if chunk is not None else 0)

    # -- frames and extra data -----------------------------------------------------------------------------------

    def prepare(self, img: Frame, frame_number: object, frame_time: object) -> tuple[Any, int, float]:
        """Check a frame and turn it into what `add_prepared` takes. Safe to call from several threads.

        Raises
        ------
        ArgumentError
            Shape, dtype, number or time cannot be used.
        """
        number, seconds = checked_frame_number(frame_number), checked_frame_time(frame_time)
        self.check_image(img, number)
        return self.encode(img), number, seconds

    def check_image(self, img: Frame, number: int) -> None:
        """Raise ArgumentError where an image is not what the store was created for."""
        given = self._conformer.given
        if not isinstance(img, np.ndarray) or img.shape != given.shape or img.dtype != given.dtype:
            what = f"{img.dtype} {img.shape}" if isinstance(img, np.ndarray) else type(img).__name__
            raise ArgumentError(
                f"frame {number} is {what}, but the store {self._root!r} was created for {given.dtype} {given.shape}"
            )

    def encode(self, img: Frame) -> Any:
        """Turn a checked image into what the chunk's files take. Safe to call from several threads."""
        stored = self._conformer.convert(img)
        return self._encode(stored) if self._encode is not None else stored

    def add(self, img: Frame, frame_number: object, frame_time: object) -> None:
        """Append a frame. See `ImgStore.add_image`."""
        self.add_prepared(*self.prepare(img, frame_number, frame_time))

    def add_prepared(self, frame: Any, number: int, seconds: float) -> None:
        """Append a frame that `prepare` has made ready."""
        self._raise_background_error()
        if self._chunk is not None and (len(self._chunk.numbers) >= self._chunksize or not self._chunk.whole):
            self._finish_chunk()
        chunk = self._chunk or self._begin_chunk()
        chunk.whole = False
        try:
            chunk.journal.add_frame(number, seconds, *chunk.files.add(frame))
        except OSError as error:
            chunk.files.forget_after(len(chunk.numbers))
            raise self._write_error(chunk.files.path, error) from error
        chunk.numbers.append(number)
        chunk.times.append(seconds)
        chunk.whole = True
        self.span.add(number, seconds)
        self.frame_number, self.frame_time = number, seconds

    def add_record(self, values: Mapping[str, Any]) -> None:
        """Append a record of extra data, marked with the frame added last."""
        self._raise_background_error()
        line = dumps_record(
            {
                **values,
                "frame_time": self.frame_time,
                "frame_number": self.frame_number,
                "frame_index": self.span.count - 1,
            }
        )
        try:
            if self._chunk is not None:
                journal, records = self._chunk.journal, self._chunk.records
            else:
                if self._early is None:
                    self._early = Journal(self._root, self._next_chunk), []
                journal, records = self._early
            journal.add_record(line)
        except OSError as error:
            raise self._write_error(self._root, error) from error
        records.append(line)

    # -- chunks --------------------------------------------------------------------------------------------------

    def _begin_chunk(self) -> _Chunk:
        if self._beginning:
            self._forget_beginning()
        self._beginning = True
        number = self._next_chunk
        path = chunk_path(self._root, number, self._extension)
        files: ChunkFiles
        try:
            # The journal is there before the chunk, so that nobody takes the chunk for one that has lost its index.
            if self._early is None:
                self._early = Journal(self._root, number), []
            if self._encode is not None:
                files = DirectoryChunk(path, self._entry.format.extension)
            else:
                files = VideoChunk(path, self._entry, self._conformer, self._options)
        except OSError as error:
            self._beginning = False  # what is there is somebody else's
            raise self._write_error(path, error) from error
        journal, records = self._early
        chunk = _Chunk(number, files, journal, records=records)
        self._chunk, self._early = chunk, None
        self._next_chunk = number + 1
        self._beginning = False
        self._opened(number, [path])
        return chunk

    def _forget_beginning(self) -> None:
        """Remove what is there of a chunk that was not begun to its end, as Ctrl-C came between."""
        path = chunk_path(self._root, self._next_chunk, self._extension)
        if self._early is None:
            remove_journal(self._root, self._next_chunk)
        if self._extension is None:
            shutil.rmtree(path, ignore_errors=True)
        else:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
        self._beginning = False

    def _finish_chunk(self) -> None:
        """Have the chunk in hand put in place in the background; its frames can all be read before the next begins."""
        chunk = self._chunk
        if chunk is None:
            return
        if not chunk.numbers:
            self._chunk = None
            self._give_up(chunk)
            return
        chunk.seconds = time.monotonic() - chunk.begun
        if not (chunk.files.writes_through or chunk.closed):
            self._close_files(chunk)
        size = chunk.files.size()
        # from one list to the other with nothing between, so that Ctrl-C loses no chunk
        self._chunk = None
        self._unfinished.append(chunk)
        self.chunks.append(chunk.number)
        self._bytes_finished += size
        self._finishing.submit(partial(self._put_in_place_or_keep, chunk))

    def _give_up(self, chunk: _Chunk) -> None:
        """Undo a chunk that could not take its first frame. Extra data stays, for the next attempt."""
        chunk.files.discard()
        self._next_chunk = chunk.number
        self._early = chunk.journal, chunk.records

    def _put_in_place_or_keep(self, chunk: _Chunk) -> None:
        whole = chunk.whole  # otherwise the error that left it so has been raised already
        for waiting in list(self._unfinished):
            try:
                self._put_in_place(waiting)
                self._unfinished.remove(waiting)
            except BaseException as error:
                if waiting is chunk and whole:
                    _log.warning("%s", error)
                    self._in_trouble = True

    def _put_in_place(self, chunk: _Chunk) -> None:
        """Finish a chunk: files on the disk, then extra data, then the index, then the journal goes."""
        try:
            if not chunk.closed:
                self._close_files(chunk)
            if self._sync or isinstance(chunk.files, VideoChunk):
                chunk.files.sync()
            else:  # frames that are files are many: where the disk is slower than the recording, this is the system's
                chunk.files.sync_within(chunk.seconds / 2)
            if self._sync:  # the frames are safe from here on, whatever the rest takes
                chunk.journal.sync()
                sync_directory(self._root)
            count = len(chunk.numbers) if chunk.readable is None else chunk.readable
            base = chunk_base(self._root, chunk.number, self._extension)
            if chunk.records:
                write_records(base, chunk.records)
            numbers, times = np.array(chunk.numbers[:count], np.int64), np.array(chunk.times[:count], np.float64)
            sizes, hashes = chunk.files.checksums()
            if self._extension is None:
                sizes, hashes = sizes[:count], hashes[:count]
            extra_path = records_path(base) if chunk.records else None
            checksums = checksum_arrays(sizes, hashes, extra_path) | place_arrays(self._root, chunk.number)
            if chunk.whole:
                checksums |= frame_arrays(*chunk.files.frame_checksums())
            write_chunk_index(base, numbers, times, checksums)
            sync_directory(self._root)
        except OSError as error:
            raise self._write_error(chunk.files.path, error) from error
        chunk.journal.close()
        remove_journal(self._root, chunk.number)
        self._add_to_cache(chunk.number, numbers, times)
        self._tell_closed(chunk.number, chunk.files.path)

    def _close_files(self, chunk: _Chunk) -> None:
        """Have the codec finish its file; after an error, make a whole file of what is there."""
        if chunk.whole:
            try:
                chunk.files.close()
            except Exception as error:
                chunk.whole = False
                _log.warning("%s: cannot be finished: %s", chunk.files.path, error)
        if not chunk.whole:
            chunk.files.abandon()
            chunk.readable = chunk.files.mend(len(chunk.numbers), chunk.journal.forget_places)
            if chunk.readable < len(chunk.numbers):
                lost = len(chunk.numbers) - chunk.readable
                warnings.warn(
                    f"{chunk.files.path}: the last {lost} frames could not be saved", ImgStoreWarning, stacklevel=2
                )
        chunk.closed = True

    def _examine_video(self, path: str) -> tuple[int, dict[str, npt.NDArray[Any]]]:
        """Return how many frames a video holds, and what the index of a chunk says of their checksums."""
        assert isinstance(self._entry.codec, ChunkCodec)
        try:
            reader = self._entry.codec.open_reader(path, self._entry.format, self._conformer.stored, {})
        except Exception as error:
            raise ChunkError(f"{path}: cannot be opened as a chunk: {error}") from error
        try:
            hashes = reader.frame_checksums()
            return reader.frame_count, frame_arrays(hashes, reader.description if hashes else None)
        finally:
            reader.close()

    def _tell_closed(self, number: int, path: str) -> None:
        base = chunk_base(self._root, number, self._extension)
        beside = [base + ".npz", records_path(base)]
        paths = [path, *(p for p in beside if not p.startswith(path + os.sep) and os.path.exists(p))]
        self._closed(number, paths)

    def insert_chunk(
        self, video_path: str, frame_numbers: Sequence[object], frame_times: Sequence[object], move: bool
    ) -> None:
        """Take a finished video as the next chunk. See `VideoImgStore.insert_chunk`."""
        self._raise_background_error()
        numbers = [checked_frame_number(n) for n in frame_numbers]
        times = [checked_frame_time(t) for t in frame_times]
        if len(numbers) != len(times):
            raise ArgumentError(f"{video_path}: {len(numbers)} frame numbers but {len(times)} frame times were given")
        extension = os.path.splitext(video_path)[1]
        if extension != self._extension:
            raise ArgumentError(f"{video_path}: a chunk of this store must be a {self._extension} file")
        held, of_frames = self._examine_video(video_path)
        if held != len(numbers):
            raise ChunkError(f"{video_path}: holds {held} frames, but {len(numbers)} frame numbers were given")
        self._finish_chunk()
        self._finishing.wait()
        number = self._next_chunk
        path = chunk_path(self._root, number, extension)
        try:
            (shutil.move if move else shutil.copyfile)(video_path, path)
            self._next_chunk += 1
            sync_file(path)
            files = video_checksums(path)
            arrays = np.array(numbers, np.int64), np.array(times, np.float64)
            checksums = checksum_arrays(*files) | of_frames | place_arrays(self._root, number)
            write_chunk_index(chunk_base(self._root, number, extension), *arrays, checksums)
        except OSError as error:
            raise self._write_error(path, error) from error
        for pair in zip(numbers, times, strict=True):
            self.span.add(*pair)
        if numbers:
            self.frame_number, self.frame_time = numbers[-1], times[-1]
        self.chunks.append(number)
        self._add_to_cache(number, *arrays)
        self._opened(number, [path])
        self._tell_closed(number, path)

    def empty(self) -> None:
        """Remove all frames of the store."""
        self._finishing.wait()
        if self._chunk is not None:
            self._unfinished.append(self._chunk)
        for chunk in self._unfinished:
            chunk.files.abandon()
            chunk.journal.close()
        if self._early is not None:
            self._early[0].close()
        self._chunk = self._early = None
        self._unfinished, self._errors, self._in_trouble = [], [], False
        if self._cache is not None:
            self._cache.abort()
        remove_chunks(self._root, self._extension)
        self._cache, self._cached = self._new_cache(), []
        self._next_chunk = 0
        self.chunks, self.span = [], Span()
        self.frame_number = self.frame_time = math.nan

    # -- the end -------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Put everything in place, as far as the disk allows, and let go of all files.

        Warns
        -----
        ImgStoreWarning
            A chunk could not be completed. Its frames can be read all the same, by their journal.
        """
        if self._guard is not None:
            self._guard.stop()
        self._finish_chunk()
        self._finishing.wait()
        self._errors.clear()  # said by the warnings below
        if self._beginning:
            self._forget_beginning()
        for chunk in list(self._unfinished):
            try:
                self._put_in_place(chunk)
            except Exception as error:
                chunk.journal.close()
                warnings.warn(
                    f"{error}; chunk {chunk.number} is not complete, its frames are read by its journal until"
                    " `imgstore repair` completes it",
                    ImgStoreWarning,
                    stacklevel=2,
                )
        if not self.chunks or (self._early is not None and self._early[1]):
            try:
                self._write_chunk_without_frames()
            except StoreWriteError as error:
                warnings.warn(f"{error}; `imgstore repair` completes the store", ImgStoreWarning, stacklevel=2)
        elif self._early is not None:  # of a chunk that could not be begun
            self._early[0].close()
            remove_journal(self._root, self._next_chunk)
        self._finish_cache()

    def _write_chunk_without_frames(self) -> None:
        """Keep extra data without a frame to which it belongs; and 0.x opens no store that has no chunk at all."""
        journal, records = self._early or (None, [])
        number = self._next_chunk
        base, path = chunk_base(self._root, number, self._extension), chunk_path(self._root, number, self._extension)
        none = np.empty(0, np.int64), np.empty(0, np.float64)
        files: tuple[list[int], list[int]]
        extra_path = records_path(base) if records else None
        try:
            if self._extension is None:
                os.makedirs(path, exist_ok=True)
            else:
                VideoChunk(path, self._entry, self._conformer, self._options).close()
                if not records and not os.path.getsize(path):
                    os.unlink(path)  # not every container can be without frames, and then there is nothing to keep
                    remove_journal(self._root, number)
                    return
            if records:
                write_records(base, records)
            files = ([], []) if self._extension is None else video_checksums(path)
            write_chunk_index(base, *none, checksum_arrays(*files, extra_path))
        except OSError as error:
            raise self._write_error(path, error) from error
        finally:
            if journal is not None:
                journal.close()
        remove_journal(self._root, number)
        self._add_to_cache(number, *none)
        self._opened(number, [path])
        self._tell_closed(number, path)

    # -- the cached index ----------------------------------------------------------------------------------------

    def _new_cache(self) -> IndexBuilder | None:
        """Begin the cached index, which grows with every chunk. It is never needed, so no recording fails for it."""
        try:
            return IndexBuilder(os.path.join(self._root, CACHE_FILENAME))
        except OSError as error:
            _log.warning("%s: the index will not be cached: %s", self._root, error)
            return None

    def _add_to_cache(self, number: int, numbers: npt.NDArray[np.int64], times: npt.NDArray[np.float64]) -> None:
        in_order = not self._cached or number > self._cached[-1]
        self._cached.append(number)
        if self._cache is None or not in_order:  # `_finish_cache` sees to the order
            return
        base = chunk_base(self._root, number, self._extension)
        try:
            self._cache.add_chunk(number, os.path.relpath(base, self._root).replace(os.sep, "/"), numbers, times)
        except OSError as error:
            _log.warning("%s: the index will not be cached: %s", self._root, error)
            self._cache = None

    def _finish_cache(self) -> None:
        if self._cache is not None and self._cached != sorted(self._cached):
            # a chunk was completed after a later one, when there was space again
            numbers, self._cached = sorted(self._cached), []
            self._cache.abort()
            self._cache = self._new_cache()
            for number in numbers:
                self._add_to_cache(number, *read_chunk_index(chunk_base(self._root, number, self._extension)))
        cache, self._cache = self._cache, None
        if cache is not None:
            try:
                cache.finish()
            except OSError as error:
                _log.warning("%s: the index is not cached: %s", self._root, error)

    # -- what can go wrong ---------------------------------------------------------------------------------------

    def _secure_tail(self) -> None:
        """Bring what was added last to the operating system, and to the disk: frames first, then their journal."""
        chunk = self._chunk
        if chunk is None:
            return
        try:
            chunk.files.flush()
            if self._sync:
                chunk.files.sync()
                chunk.journal.sync()
                sync_directory(self._root)
        except Exception as error:
            if self._chunk is chunk:  # else it has been finished meanwhile
                wrapped = self._write_error(chunk.files.path, error) if isinstance(error, OSError) else error
                self._errors.append(wrapped)

    def _raise_background_error(self) -> None:
        if self._in_trouble:  # there may be space by now
            self._finishing.wait()
            self._in_trouble = False
            for chunk in list(self._unfinished):
                self._put_in_place(chunk)
                self._unfinished.remove(chunk)
        if self._errors:
            error = self._errors[0]
            self._errors.clear()
            raise error

    def _write_error(self, path: str, error: OSError) -> ImgStoreError:
        if isinstance(error, ImgStoreError):
            return error
        return StoreWriteError(error.errno, f"cannot write to the store: {error.strerror or error}", path)


class _Repeater:
    """Calls a function at intervals in a thread."""

    def __init__(self, call: Callable[[], None], interval: float):
        self._stop = threading.Event()
        self._thread = threading.Thread(
            target=self._run, args=(self._stop, call, interval), name="imgstore-guard", daemon=True
        )
        self._thread.start()

    @staticmethod
    def _run(stop: threading.Event, call: Callable[[], None], interval: float) -> None:
        while not stop.wait(interval):
            call()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()


def remove_chunks(root: str, extension: str | None) -> None:
    """Remove every chunk of a store, with what belongs to it; other files stay."""
    for number in list_store(root, extension).named:
        remove_journal(root, number)
        path = os.path.join(root, chunk_name(number))
        if extension is None and os.path.isdir(path):
            shutil.rmtree(path)
        for ending in (extension, ".npz", ".yaml", ".extra.json", ".extra_data.json", ".extra_data.h5"):
            if ending is not None:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path + ending)
    for name in (CACHE_FILENAME, SQLITE_INDEX_FILENAME):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(root, name))


def checked_frame_number(value: object) -> int:
    """Return a frame number as an int, or raise ArgumentError."""
    try:
        if isinstance(value, (float, np.floating)):
            number = int(value)  # whole floats come out of pandas and MATLAB
            if number != value:
                raise ValueError
        else:
            number = operator.index(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        raise ArgumentError(f"frame_number must be a whole number, not {value!r}") from None
    if not -(2**63) <= number < 2**63:
        raise ArgumentError(f"frame_number {number} does not fit into 64 bits")
    return number


def checked_frame_time(value: object) -> float:
    """Return a frame time as a float, or raise ArgumentError."""
    try:
        if isinstance(value, (str, bytes, bytearray)):
            raise TypeError
        seconds = float(value)  # type: ignore[arg-type]
        if not math.isfinite(seconds):
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        raise ArgumentError(f"frame_time must be a finite number of seconds, not {value!r}") from None
    return seconds

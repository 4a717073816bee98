"""The way in: frames -> codec -> journal, and chunks that are put in place when they are complete."""

from __future__ import annotations

import contextlib
import logging
import math
import operator
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from imgstore import extra_data
from imgstore.chunk_index import write_chunk_index
from imgstore.codec import Buffer, ChunkCodec, FrameCodec
from imgstore.conform import Conformer
from imgstore.errors import ArgumentError, ChunkError, ImgStoreError, StoreWriteError
from imgstore.index_cache import CACHE_FILENAME, IndexBuilder
from imgstore.journal import Journal, remove_journal
from imgstore.layout import SQLITE_INDEX_FILENAME, chunk_base, chunk_name, chunk_path, list_store
from imgstore.plugins import RegisteredCodec

__all__ = ["Writer"]

_log = logging.getLogger(__name__)

Frame = npt.NDArray[Any]
ChunkEvent = Callable[[int, list[str]], None]


class _DirectoryChunk:
    """A chunk that is a directory with a file per frame."""

    def __init__(self, path: str, entry: RegisteredCodec, encode: Callable[[Frame], Sequence[Buffer]]):
        os.mkdir(path)
        self.path = path
        self._extension = entry.format.extension
        self._encode = encode
        self._count = 0

    def add(self, img: Frame) -> int:
        """Write the next frame; return the size of its file in bytes."""
        buffers = self._encode(img)
        path = os.path.join(self.path, f"{self._count:06d}{self._extension}")
        try:
            with open(path, "xb", buffering=0) as file:
                for buffer in buffers:
                    view = memoryview(buffer).cast("B")
                    while view:
                        view = view[file.write(view) :]
                size = file.tell()
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(path)
            raise
        self._count += 1
        return size

    def close(self) -> None:
        """Nothing is held back."""

    abandon = close


class _VideoChunk:
    """A chunk that is one file, written by its codec."""

    def __init__(self, path: str, entry: RegisteredCodec, conformer: Conformer, options: Mapping[str, Any]):
        assert isinstance(entry.codec, ChunkCodec)
        self.path = path
        self._writer = entry.codec.open_writer(path, entry.format, conformer.stored, options)
        self.add = self._add
        self.abandon = self._writer.abandon

    def _add(self, img: Frame) -> int:
        self._writer.add(img)
        return 0

    def close(self) -> None:
        self._writer.close()
        descriptor = os.open(self.path, os.O_RDWR | getattr(os, "O_BINARY", 0))
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@dataclass
class _OpenChunk:
    """The chunk in hand."""

    number: int
    frames: _DirectoryChunk | _VideoChunk
    numbers: list[int]
    times: list[float]
    whole: bool = True  # False once an error has left open whether the file took a frame


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
    first_chunk : int
        Number of the first chunk to write.
    opened, closed : callable
        Told of each chunk's number and paths, when it begins and when it is complete.
    """

    def __init__(
        self,
        root: str,
        entry: RegisteredCodec,
        conformer: Conformer,
        chunksize: int,
        options: Mapping[str, Any],
        *,
        first_chunk: int = 0,
        opened: ChunkEvent,
        closed: ChunkEvent,
    ):
        self._root = root
        self._entry = entry
        self._conformer = conformer
        self._chunksize = chunksize
        self._options = options
        self._opened, self._closed = opened, closed
        self._encode: Callable[[Frame], Sequence[Buffer]] | None = None
        if isinstance(entry.codec, FrameCodec):
            self._encode = entry.codec.encoder(entry.format, conformer.stored, options)
        self._next_chunk = first_chunk
        self._chunk: _OpenChunk | None = None
        self._journal: Journal | None = None  # of the chunk in hand, or of the next one where extra data came first
        self._records: list[str] = []
        self._cache = self._new_cache()
        self.chunks: list[int] = []
        self.span = Span()
        self.frame_number: float = math.nan
        self.frame_time: float = math.nan

    def _new_cache(self) -> IndexBuilder | None:
        """Begin the cached index, which grows with every chunk. It is never needed, so no recording fails for it."""
        try:
            return IndexBuilder(os.path.join(self._root, CACHE_FILENAME))
        except OSError as error:
            _log.warning("%s: the index will not be cached: %s", self._root, error)
            return None

    @property
    def _extension(self) -> str | None:
        return None if self._encode is not None else self._entry.format.extension

    def add(self, img: Frame, frame_number: object, frame_time: object) -> None:
        """Append a frame. See `ImgStore.add_image`."""
        number, time = _frame_number(frame_number), _frame_time(frame_time)
        given = self._conformer.given
        if not isinstance(img, np.ndarray) or img.shape != given.shape or img.dtype != given.dtype:
            what = f"{img.dtype} {img.shape}" if isinstance(img, np.ndarray) else type(img).__name__
            raise ArgumentError(
                f"frame {number} is {what}, but the store {self._root!r} was created for {given.dtype} {given.shape}"
            )
        stored = self._conformer.convert(img)
        if self._chunk is not None and (len(self._chunk.numbers) >= self._chunksize or not self._chunk.whole):
            self._finish_chunk()
        chunk = self._chunk or self._begin_chunk()
        chunk.whole = False
        try:
            size = chunk.frames.add(stored)
            self._open_journal().add_frame(number, time, size)
        except OSError as error:
            raise self._write_error(chunk.frames.path, error) from error
        chunk.numbers.append(number)
        chunk.times.append(time)
        chunk.whole = True
        self.span.add(number, time)
        self.frame_number, self.frame_time = number, time

    def add_record(self, values: Mapping[str, Any]) -> None:
        """Append a record of extra data, marked with the frame added last."""
        record = {
            **values,
            "frame_time": self.frame_time,
            "frame_number": self.frame_number,
            "frame_index": self.span.count - 1,
        }
        line = extra_data.dumps_record(record)
        try:
            self._open_journal().add_record(line)
        except OSError as error:
            raise self._write_error(self._root, error) from error
        self._records.append(line)

    def insert_chunk(
        self, video_path: str, frame_numbers: Sequence[object], frame_times: Sequence[object], move: bool
    ) -> None:
        """Take a finished video as the next chunk. See `VideoImgStore.insert_chunk`."""
        numbers = [_frame_number(n) for n in frame_numbers]
        times = [_frame_time(t) for t in frame_times]
        if len(numbers) != len(times):
            raise ArgumentError(f"{video_path}: {len(numbers)} frame numbers but {len(times)} frame times were given")
        extension = os.path.splitext(video_path)[1]
        if extension != self._extension:
            raise ArgumentError(f"{video_path}: a chunk of this store must be a {self._extension} file")
        self._check_frame_count(video_path, len(numbers))
        self._finish_chunk()
        number = self._next_chunk
        path = chunk_path(self._root, number, extension)
        try:
            (shutil.move if move else shutil.copyfile)(video_path, path)
            self._next_chunk += 1
            self._write_index(number, numbers, times)
        except OSError as error:
            raise self._write_error(path, error) from error
        for pair in zip(numbers, times, strict=True):
            self.span.add(*pair)
        if numbers:
            self.frame_number, self.frame_time = numbers[-1], times[-1]
        self._complete(number, path)

    def _check_frame_count(self, video_path: str, count: int) -> None:
        assert isinstance(self._entry.codec, ChunkCodec)
        try:
            reader = self._entry.codec.open_reader(video_path, self._entry.format, self._conformer.stored, {})
        except Exception as error:
            raise ChunkError(f"{video_path}: cannot be opened as a chunk: {error}") from error
        try:
            if reader.frame_count != count:
                raise ChunkError(f"{video_path}: holds {reader.frame_count} frames, but {count} frame numbers were given")
        finally:
            reader.close()

    def empty(self) -> None:
        """Remove all frames of the store."""
        if self._chunk is not None:
            self._chunk.frames.abandon()
            self._chunk = None
        self._leave_journal()
        remove_chunks(self._root, self._extension)
        if self._cache is not None:
            self._cache.abort()
        self._cache = self._new_cache()
        self._next_chunk = 0
        self.chunks, self._records, self.span = [], [], Span()
        self.frame_number = self.frame_time = math.nan

    def close(self) -> None:
        """Complete the chunk in hand, and the cached index."""
        try:
            self._finish_chunk()
            if self._records:  # extra data without a single frame
                self._write_chunk_without_frames()
        except BaseException:
            if self._cache is not None:
                self._cache.abort()
            raise
        if self._cache is not None:
            try:
                self._cache.finish()
            except OSError as error:
                _log.warning("%s: the index is not cached: %s", self._root, error)

    def _begin_chunk(self) -> _OpenChunk:
        number = self._next_chunk
        path = chunk_path(self._root, number, self._extension)
        frames: _DirectoryChunk | _VideoChunk
        try:
            if self._encode is not None:
                frames = _DirectoryChunk(path, self._entry, self._encode)
            else:
                frames = _VideoChunk(path, self._entry, self._conformer, self._options)
        except OSError as error:
            raise self._write_error(path, error) from error
        self._next_chunk += 1
        self._chunk = _OpenChunk(number, frames, [], [])
        try:
            self._open_journal()
        except OSError as error:
            raise self._write_error(path, error) from error
        self._opened(number, [path])
        return self._chunk

    def _write_chunk_without_frames(self) -> None:
        number = self._next_chunk
        self._next_chunk += 1
        if self._extension is None:
            os.makedirs(chunk_path(self._root, number, None), exist_ok=True)
        self._write_extra_data(number)
        self._write_index(number, [], [])
        self._drop_journal(number)

    def _open_journal(self) -> Journal:
        if self._journal is None:
            number = self._chunk.number if self._chunk is not None else self._next_chunk
            self._journal = Journal(self._root, number)
        return self._journal

    def _leave_journal(self) -> None:
        if self._journal is not None:
            self._journal.close()
            self._journal = None

    def _drop_journal(self, number: int) -> None:
        self._leave_journal()
        remove_journal(self._root, number)

    def _finish_chunk(self) -> None:
        chunk, self._chunk = self._chunk, None
        if chunk is None:
            return
        try:
            chunk.frames.close()
            self._write_extra_data(chunk.number)
            self._write_index(chunk.number, chunk.numbers, chunk.times)
        except BaseException as error:
            self._leave_journal()  # it holds what the index would have said
            if isinstance(error, OSError):
                raise self._write_error(chunk.frames.path, error) from error
            raise
        self._drop_journal(chunk.number)
        self._complete(chunk.number, chunk.frames.path)

    def _write_extra_data(self, number: int) -> None:
        records, self._records = self._records, []
        if records:
            extra_data.write_records(chunk_base(self._root, number, self._extension), records)

    def _write_index(self, number: int, numbers: list[int], times: list[float]) -> None:
        base = chunk_base(self._root, number, self._extension)
        arrays = np.array(numbers, np.int64), np.array(times, np.float64)
        write_chunk_index(base, *arrays)
        if self._cache is not None:
            try:
                self._cache.add_chunk(number, os.path.relpath(base, self._root).replace(os.sep, "/"), *arrays)
            except OSError as error:
                _log.warning("%s: the index will not be cached: %s", self._root, error)
                self._cache = None

    def _complete(self, number: int, path: str) -> None:
        self.chunks.append(number)
        base = chunk_base(self._root, number, self._extension)
        beside = [base + ".npz", extra_data.records_path(base)]
        self._closed(number, [path, *(p for p in beside if os.path.exists(p))])

    def _write_error(self, path: str, error: OSError) -> ImgStoreError:
        if isinstance(error, ImgStoreError):
            return error
        return StoreWriteError(error.errno, f"cannot write to the store: {error.strerror or error}", path)


def remove_chunks(root: str, extension: str | None) -> None:
    """Remove every chunk of a store, with what belongs to it; other files stay."""
    listing = list_store(root, extension)
    for number in listing.named:
        remove_journal(root, number)
        path = os.path.join(root, chunk_name(number))
        if extension is None and os.path.isdir(path):
            shutil.rmtree(path)
        endings = (extension or "", ".npz", ".yaml", ".extra.json", ".extra_data.json", ".extra_data.h5")
        for ending in filter(None, endings):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path + ending)
    for name in (CACHE_FILENAME, SQLITE_INDEX_FILENAME):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(root, name))


def _frame_number(value: object) -> int:
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


def _frame_time(value: object) -> float:
    try:
        if isinstance(value, (str, bytes, bytearray)):
            raise TypeError
        time = float(value)  # type: ignore[arg-type]
        if not math.isfinite(time):
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        raise ArgumentError(f"frame_time must be a finite number of seconds, not {value!r}") from None
    return time

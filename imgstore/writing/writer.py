"""The way in: frames -> codec -> journal; chunks that are full are put in place behind the recording's back.

One module, because all of it is about one state, what is in hand, which one thread at a time may change.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import shutil
import threading
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from imgstore.beside.records import dumps_record
from imgstore.codec import Buffer, FrameCodec
from imgstore.disk import lock
from imgstore.disk.atomic import as_write_error, sync_directory
from imgstore.disk.chunk_index import read_chunk_index
from imgstore.disk.journal import Journal, remove_journal
from imgstore.disk.layout import chunk_base, chunk_path
from imgstore.errors import (
    ArgumentError,
    ChunkError,
    ChunkIndexError,
    ImgStoreWarning,
    StoreClosedError,
    StoreWriteError,
)
from imgstore.plugins import RegisteredCodec
from imgstore.threads.background import InOrder, Repeater
from imgstore.writing.checks import checked_frame_number, checked_frame_time
from imgstore.writing.chunk_files import ChunkFiles, DirectoryChunk, VideoChunk
from imgstore.writing.chunk_in_hand import ChunkInHand
from imgstore.writing.conform import Conformer, uncut
from imgstore.writing.finished_video import examine_video, take_video
from imgstore.writing.given_frames import GivenFrames
from imgstore.writing.growing_cache import GrowingCache
from imgstore.writing.put_in_place import paths_of_chunk, put_in_place, put_records_in_place
from imgstore.writing.remove_chunks import remove_chunks
from imgstore.writing.span import Span

__all__ = ["Writer"]

_log = logging.getLogger(__name__)

_WAITING_DIRECTORIES = 8  # complete chunks that may wait to be brought to the disk
_NO_FRAMES = np.empty(0, np.int64), np.empty(0, np.float64)

Frame = npt.NDArray[Any]
ChunkEvent = Callable[[int, list[str]], None]


class Writer:
    """Writes the chunks of one store. What it was given is safe from errors that come later.

    Any number of threads may use it: one after the other changes what is in hand, frames are encoded side by side.

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
    of_store : mapping of str to ndarray
        What the index of every chunk says of the store.
    resized : callable
        Notes that the store's frames have the size of another conformer, and returns `of_store` anew.
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
        of_store: Mapping[str, npt.NDArray[Any]],
        resized: Callable[[Conformer], Mapping[str, npt.NDArray[Any]]],
        opened: ChunkEvent,
        closed: ChunkEvent,
    ):
        self._root = root
        self._entry = entry
        self._conformer = conformer
        self.given = GivenFrames(root, conformer.given)
        self._chunksize = chunksize
        self._options = options
        self._of_store = of_store
        self._resized = resized
        self._flush_interval = flush_interval
        self._opened, self._closed = opened, closed
        self._encode: Callable[[Frame], Sequence[Buffer]] | None = None
        if isinstance(entry.codec, FrameCodec):
            self._encode = entry.codec.encoder(entry.format, conformer.stored, options)
        self._extension = None if self._encode is not None else entry.format.extension
        self._turn = threading.RLock()  # of whoever changes what follows; threads of this class's own do not take it
        self._closed_for_good = False
        self._chunk: ChunkInHand | None = None
        self._beginning = False  # True while a chunk's files are made, and longer where Ctrl-C came between
        self._early: tuple[Journal, list[str]] | None = None  # extra data that came before its chunk's first frame
        # a disk that pauses need not stop a recording where frames are files; where they are a video, each has an encoder
        self._finishing = InOrder(limit=1 if self._extension is not None else _WAITING_DIRECTORIES)
        self._unfinished: list[ChunkInHand] = []  # what could not be put in place: a full disk
        self._in_trouble = False  # whether that has not been told yet
        self._errors: list[BaseException] = []  # of the background, for the next call
        self._bytes_finished = 0
        self.span = Span()
        self.frame_number: float = math.nan
        self.frame_time: float = math.nan
        self.chunks: list[int] = []
        self._next_chunk = first_chunk
        self._sync = sync
        self._guard: Repeater | None = None
        self._cache = GrowingCache(root, self._extension)
        try:
            for number in existing:
                self._take_over(number)
            if sync or self._encode is None:  # a codec with a file per chunk may hold frames back
                self._guard = Repeater("imgstore-guard", self._secure_tail, flush_interval / 2)
        except BaseException:
            self._cache.abort()
            raise

    def _take_over(self, number: int) -> None:
        """Count the frames of a chunk that was there before."""
        base = chunk_base(self._root, number, self._extension)
        try:
            numbers, times = read_chunk_index(base)
        except ChunkIndexError as error:
            warnings.warn(f"{error}; chunk {number} is left as it is", ImgStoreWarning, stacklevel=2)
            numbers, times = _NO_FRAMES
        for frame in zip(numbers.tolist(), times.tolist(), strict=True):
            self.span.add(*frame)
        if len(numbers):
            self.chunks.append(number)
            self.frame_number, self.frame_time = int(numbers[-1]), float(times[-1])
        self._cache.add(number, numbers, times)

    @property
    def encodes_frames(self) -> bool:
        """Whether frames are encoded one by one, so that several threads may do it."""
        return self._encode is not None

    @property
    def chunk_number(self) -> int:
        """Number of the chunk that takes the next frame."""
        chunk = self._chunk
        if chunk is None or len(chunk.numbers) >= self._chunksize or not chunk.whole:
            return self._next_chunk
        return chunk.number

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
        return self.encode(self.given.take(img, number)), number, seconds

    def encode(self, img: Frame) -> Any:
        """Turn an image that `given` has taken into what the chunk's files take. Safe to call from several threads."""
        stored = self._conformer.convert(img)
        return self._encode(stored) if self._encode is not None else stored

    def add(self, img: Frame, frame_number: object, frame_time: object) -> None:
        """Append a frame. See `ImgStore.add_image`."""
        self.add_prepared(*self.prepare(img, frame_number, frame_time))

    def add_prepared(self, frame: Any, number: int, seconds: float) -> None:
        """Append a frame that `prepare` has made ready."""
        with self._turn:
            self._check_ready()
            if self._chunk is not None and (len(self._chunk.numbers) >= self._chunksize or not self._chunk.whole):
                self._finish_chunk()
            chunk = self._chunk or self._begin_chunk()
            chunk.add_frame(frame, number, seconds)
            self.span.add(number, seconds)
            self.frame_number, self.frame_time = number, seconds

    def add_record(self, values: Mapping[str, Any]) -> None:
        """Append a record of extra data, marked with the frame added last."""
        with self._turn:
            self._check_ready()
            marks = {
                "frame_time": self.frame_time,
                "frame_number": self.frame_number,
                "frame_index": self.span.count - 1,
            }
            replaced = [name for name in marks if name in values]
            if replaced:
                warnings.warn(
                    f"{self._root}: what a record says of {' and '.join(replaced)} is replaced by what is true of the frame"
                    " added last; give it another name",
                    ImgStoreWarning,
                    stacklevel=3,
                )
            line = dumps_record({**values, **marks})
            try:
                if self._chunk is not None:
                    journal, records = self._chunk.journal, self._chunk.records
                else:
                    if self._early is None:
                        self._early = Journal(self._root, self._next_chunk), []
                    journal, records = self._early
                journal.add_record(line)
            except OSError as error:
                raise as_write_error(self._root, error) from error
            records.append(line)

    def _check_open(self) -> None:
        if self._closed_for_good:  # by another thread, since this one began
            raise StoreClosedError(f"{self._root}: the store is closed, it cannot be written to")

    def _check_ready(self) -> None:
        self._check_open()
        self._raise_background_error()

    # -- chunks --------------------------------------------------------------------------------------------------

    def _begin_chunk(self) -> ChunkInHand:
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
            raise as_write_error(path, error) from error
        journal, records = self._early
        chunk = ChunkInHand(number, files, journal, records=records)
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
            chunk.close_files()
        size = chunk.files.size()
        # from one list to the other with nothing between, so that Ctrl-C loses no chunk
        self._chunk = None
        self._unfinished.append(chunk)
        self.chunks.append(chunk.number)
        self._bytes_finished += size
        self._finishing.submit(partial(self._put_in_place_or_keep, chunk))

    def _give_up(self, chunk: ChunkInHand) -> None:
        """Undo a chunk that could not take its first frame. Extra data stays, for the next attempt."""
        chunk.files.discard()
        self._next_chunk = chunk.number
        self._early = chunk.journal, chunk.records

    def _put_in_place_or_keep(self, chunk: ChunkInHand) -> None:
        whole = chunk.whole  # otherwise the error that left it so has been raised already
        for waiting in list(self._unfinished):
            try:
                self._put_in_place(waiting)
                self._unfinished.remove(waiting)
            except BaseException as error:
                if waiting is chunk and whole:
                    _log.warning("%s", error)
                    self._in_trouble = True

    def _put_in_place(self, chunk: ChunkInHand) -> None:
        numbers, times = put_in_place(self._root, self._extension, chunk, self._of_store, sync=self._sync)
        self._cache.add(chunk.number, numbers, times)
        self._tell_closed(chunk.number)

    def _tell_closed(self, number: int) -> None:
        self._closed(number, paths_of_chunk(self._root, self._extension, number))

    def insert_chunk(
        self, video_path: str, frame_numbers: Sequence[object], frame_times: Sequence[object], move: bool
    ) -> None:
        """Take a finished video as the next chunk. See `VideoImgStore.insert_chunk`."""
        numbers = np.array([checked_frame_number(n) for n in frame_numbers], np.int64)
        times = np.array([checked_frame_time(t) for t in frame_times], np.float64)
        if len(numbers) != len(times):
            raise ArgumentError(f"{video_path}: {len(numbers)} frame numbers but {len(times)} frame times were given")
        extension = self._extension
        assert extension is not None
        stem, given_extension = os.path.splitext(os.path.realpath(video_path))
        if given_extension.lower() != extension:
            raise ArgumentError(f"{video_path}: a chunk of this store must be a {extension} file")
        if os.path.exists(video_path) and not os.path.isfile(video_path):  # a pipe would be waited for
            raise ArgumentError(f"{video_path}: is not a file, which a chunk of this store must be")
        if move and os.path.dirname(stem) == os.path.realpath(self._root) and os.path.exists(stem + ".npz"):
            raise ArgumentError(f"{video_path}: is a chunk of this store already, and can only be copied")
        conformer, of_frames = self._examine(video_path, len(numbers))
        with self._turn, contextlib.ExitStack() as undo:
            self._check_ready()
            if self._beginning:
                self._forget_beginning()
            self._finish_chunk()
            self._finishing.wait()
            if conformer is not self._conformer:
                undo.callback(self._conform_by, self._conformer)
                self._conform_by(conformer)
            number, early = self._next_chunk, self._early
            records = early[1] if early is not None else ()
            beside = {**of_frames, **self._of_store}
            take_video(video_path, self._root, extension, number, numbers, times, beside, records, move=move)
            undo.pop_all()
            self._next_chunk, self._early = number + 1, None
            for pair in zip(numbers.tolist(), times.tolist(), strict=True):
                self.span.add(*pair)
                self.frame_number, self.frame_time = pair
            self.chunks.append(number)
            if early is not None:
                early[0].close()
                remove_journal(self._root, number)
            self._cache.add(number, numbers, times)
            self._opened(number, [chunk_path(self._root, number, extension)])
            self._tell_closed(number)

    def _examine(self, video_path: str, count: int) -> tuple[Conformer, dict[str, npt.NDArray[np.uint64]]]:
        """Say what a finished video makes of the store, and what the chunk's index will say of its frames."""
        try:
            return self._conformer, examine_video(video_path, self._entry, self._conformer.stored, count)
        except ChunkError:
            whole = uncut(self._conformer)
            if whole is None or self.span.count:
                raise
            with contextlib.suppress(ChunkError):
                return whole, examine_video(video_path, self._entry, whole.stored, count)
            raise

    def _conform_by(self, conformer: Conformer) -> None:
        """Let the store have frames of another size; it has none yet."""
        if self.span.count:
            raise ArgumentError(f"{self._root}: holds frames by now, and a video of another size cannot be inserted")
        self._of_store = self._resized(conformer)
        self._conformer = conformer

    def empty(self) -> None:
        """Remove all frames of the store."""
        with self._turn:
            self._check_open()
            self._finishing.wait()
            unfinished, early = [*self._unfinished, *([] if self._chunk is None else [self._chunk])], self._early
            self._chunk = self._early = None
            self._unfinished, self._errors, self._in_trouble = [], [], False
            for chunk in unfinished:
                chunk.files.abandon()
                chunk.journal.close()
            if early is not None:
                early[0].close()
            self._cache.abort()
            remove_chunks(self._root, [self._extension])
            self._cache = GrowingCache(self._root, self._extension)
            self._next_chunk = 0
            self.chunks, self.span = [], Span()
            self.frame_number = self.frame_time = math.nan

    # -- the end -------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Put everything in place, as far as the disk allows, and let go of all files, the store's lock last.

        Closing twice does nothing, but wait for a thread that is closing.

        Warns
        -----
        ImgStoreWarning
            A chunk could not be completed. Its frames can be read all the same, by their journal.
        """
        with self._turn:
            if not self._closed_for_good:
                self._closed_for_good = True
                try:
                    self._close()
                finally:
                    lock.release(self._root)

    def _close(self) -> None:
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
        self._cache.finish()

    def _write_chunk_without_frames(self) -> None:
        number = self._next_chunk
        if put_records_in_place(self._root, self._extension, number, self._early, self._make_video, self._of_store):
            self._cache.add(number, *_NO_FRAMES)
            self._opened(number, [chunk_path(self._root, number, self._extension)])
            self._tell_closed(number)

    def _make_video(self, path: str) -> None:
        VideoChunk(path, self._entry, self._conformer, self._options).close()

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
                wrapped = as_write_error(chunk.files.path, error) if isinstance(error, OSError) else error
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

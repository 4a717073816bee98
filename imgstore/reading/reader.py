"""The way out: index -> chunk and position -> codec -> frame."""

from __future__ import annotations

import os
import sys
import threading
import warnings
import weakref
from bisect import bisect_right
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar, cast

import numpy as np
import numpy.typing as npt

from imgstore.errors import (
    ArgumentError,
    EndOfStoreError,
    FrameIndexError,
    FrameNotFoundError,
    ImgStoreWarning,
    StaleIndexError,
)
from imgstore.index.frame_index import ImgStoreIndex
from imgstore.pixels.shown import Shown
from imgstore.reading.chunk_frames import ChunkFrames
from imgstore.reading.chunks import Chunks, KeptIndex
from imgstore.reading.closed import ClosedIndex
from imgstore.threads.read_ahead import ReadAhead, StoppedError

__all__ = ["Reader"]

Frame = npt.NDArray[Any]
FrameAndMetadata = tuple[Frame, tuple[int, float]]
T = TypeVar("T")

_READ_AHEAD_BYTES = 64 * 2**20
_READ_AHEAD_FRAMES = (2, 16)  # at least, at most
_SHOWN_BYTES = 64 * 2**20  # of frames of a batch as they are stored, which are then shown otherwise
_IN_ORDER = 3  # reads in order after which decoding runs ahead


def _room_for(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Frame:
    """Return an array to fill; ArgumentError where there is no memory for one."""
    try:
        return np.empty(shape, dtype)
    except (MemoryError, ValueError) as error:  # the latter where numpy cannot count its bytes
        raise ArgumentError(
            f"there is no memory for frames of {dtype} and shape {shape}; read fewer at once"
        ) from error


def _check_out(out: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """Raise ArgumentError where a batch cannot be put into what was given for it."""
    wanted = f"out must be a numpy array of {dtype} and shape {shape} that can be written to"
    if not isinstance(out, np.ndarray):
        raise ArgumentError(f"{wanted}, not a {type(out).__name__}")
    if out.shape != shape or out.dtype != dtype:
        raise ArgumentError(f"{wanted}, not one of {out.dtype} and shape {out.shape}")
    if not out.flags.writeable:
        raise ArgumentError(f"{wanted}, and this one is read-only")


def _read_raw(index: ImgStoreIndex, frames: ChunkFrames, position: int) -> tuple[Frame, int, float]:
    """Read one frame as it is stored, with its number and time."""
    img = frames.read(*index.locate(position))
    return img, *index.frame(position)


_readers: weakref.WeakSet[Reader] = weakref.WeakSet()
_forking = threading.Lock()
_held: list[Reader] = []


def _hold_all() -> None:
    """Before a fork: a lock that some thread has then, its own or FFmpeg's, would be taken for ever in the child."""
    _forking.acquire()
    for reader in sorted(_readers, key=id):
        _held.append(reader)
        reader.hold()


def _let_go_all() -> None:
    """After it, in the parent and in the child."""
    while _held:
        _held.pop().let_go()
    _forking.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_hold_all, after_in_parent=_let_go_all, after_in_child=_let_go_all)


class Reader:
    """Reads the frames of one store by position, number or time, and keeps the place where reading goes on.

    Parameters
    ----------
    chunks : Chunks
        Where they are.
    frames : ChunkFrames
        Opens them.
    shown : Shown
        How frames are returned.
    index : ImgStoreIndex, optional
        Given by the user; default that of the chunks.
    """

    def __init__(self, chunks: Chunks, frames: ChunkFrames, shown: Shown, index: ImgStoreIndex | None = None):
        self._root = chunks.root
        self._chunks = chunks
        self._frames = frames
        self.shown = shown
        low, high = _READ_AHEAD_FRAMES
        self._depth = max(low, min(high, _READ_AHEAD_BYTES // max(1, frames.spec.nbytes)))
        self._kept_index: KeptIndex | None = None  # none where the user gave an index
        if index is None:
            self._kept_index = chunks.open_index(frames)
            index = self._kept_index.index
        self.index = self._frames.index = index
        self._place_lost = False  # whether the frame that was read last is gone
        self.position = -1
        self.frame_number: float = float("nan")
        self.frame_time: float = float("nan")
        self._lock = threading.RLock()
        self._ahead: ReadAhead | None = None
        self._in_order = 0
        self._reading = False  # True when a read begins although none goes on: that one was interrupted
        self._pid = os.getpid()
        with _forking:
            _readers.add(self)

    def go_to(self, position: int) -> None:
        """Go on behind the frame at a position, without reading it; -1: from the first one."""
        if position >= 0:
            self.position = position
            self.frame_number, self.frame_time = self.index.frame(position)

    # -- looking up ----------------------------------------------------------------------------------------------

    def _answer(self, ask: Callable[[], T]) -> T:
        """Answer a question, from its beginning a second time with an index made anew, where the one at hand is stale."""
        try:
            return ask()
        except StaleIndexError as error:
            self.check_recording()
            warnings.warn(f"{error}; the chunks are read again", ImgStoreWarning, stacklevel=5)
        self._stop_ahead()
        self._make_index_anew()
        return ask()

    def check_recording(self) -> None:
        """Raise StaleIndexError where something else lies there by now."""
        self._chunks.check()

    def _make_index_anew(self) -> None:
        self.index.frame_count  # noqa: B018 - an error where another thread has closed the store
        self._frames.close()
        self._frames.index = None
        self._kept_index = self._chunks.open_index(self._frames, cached=False)
        self._take(self._kept_index.index)

    def _take(self, index: ImgStoreIndex) -> None:
        """Go on with another index, from the same frame, or the first behind it where its chunk is gone."""
        before, self.index = self.index, index
        self._frames.index = index
        if not 0 <= self.position < before.frame_count:
            return
        chunk, k = before.locate(self.position)
        following = bisect_right(index.chunks, chunk)
        if index.chunk_count(chunk) > k:
            self.position = index.chunk_start(chunk) + k
            number, time = index.frame(self.position)
            self._place_lost = number != self.frame_number and time != self.frame_time
        elif chunk in index.chunks:
            self._place_lost = True
        elif following < len(index.chunks):
            self.position = index.chunk_start(index.chunks[following]) - 1
        else:
            self.position = index.frame_count - 1

    def look_up(self, question: Callable[[ImgStoreIndex], T]) -> T:
        """Ask the index, which stays the same until it has answered."""
        with self._lock:
            return self._answer(lambda: question(self.index))

    def ask_of_all(self, question: Callable[[ImgStoreIndex], T]) -> T:
        """Ask the index about all frames, once every chunk is known to have agreed with it."""

        def ask(index: ImgStoreIndex) -> T:
            index.verify_all()
            return question(index)

        return self.look_up(ask)

    def position_of(self, frame_number: Any, exact_only: bool) -> int:
        """Return the position of the first frame with a number, or of the one nearest to it.

        Raises
        ------
        FrameNotFoundError
            There is none.
        """
        position = self._find("frame_number", frame_number, exact_only)
        if position < 0:
            raise FrameNotFoundError(f"{self._root}: no frame has the number {frame_number!r}")
        return position

    def position_nearest_time(self, frame_time: Any, tolerance: float | None = None, **sides: bool | None) -> int:
        """Return the position of the frame nearest to a time.

        Raises
        ------
        FrameNotFoundError
            There is none, or none whose time differs by at most `tolerance` seconds.
        """
        position = self._find("frame_time", frame_time, False, **sides)
        if position < 0:
            why = "there is none on that side" if self.index.frame_count else "the store is empty"
            raise FrameNotFoundError(f"{self._root}: no frame is near the time {frame_time!r}, {why}")
        if tolerance is not None and not abs(self.index.frame(position)[1] - frame_time) <= tolerance:
            raise FrameNotFoundError(f"{self._root}: no frame is within {tolerance} s of the time {frame_time!r}")
        return position

    def _find(self, what: str, value: Any, exact_only: bool, **sides: bool | None) -> int:
        position = self.index.find(what, value) if exact_only else self.index.find_nearest(what, value, **sides)
        if position < 0:
            self.index.verify_all()  # before it is said that there is none
        return position

    # -- reading -------------------------------------------------------------------------------------------------

    def read(self, position: int) -> FrameAndMetadata:
        """Read the frame at a position, and go on from there, also where it is damaged.

        Parameters
        ----------
        position : int
            From 0 to the number of frames - 1.

        Returns
        -------
        tuple
            ``(img, (frame_number, frame_time))``
        """
        return self._read_found(lambda: position)

    def read_number(self, frame_number: Any, exact_only: bool) -> FrameAndMetadata:
        """Read the first frame with a number, or the one nearest to it; see `position_of`."""
        return self._read_found(lambda: self.position_of(frame_number, exact_only))

    def read_nearest_time(
        self, frame_time: Any, tolerance: float | None = None, **sides: bool | None
    ) -> FrameAndMetadata:
        """Read the frame nearest to a time; see `position_nearest_time`."""
        return self._read_found(lambda: self.position_nearest_time(frame_time, tolerance, **sides))

    def _read_found(self, find: Callable[[], int]) -> FrameAndMetadata:
        """Find a position and read its frame, both in the same index."""
        position = -1

        def ask() -> tuple[Frame, int, float]:
            nonlocal position
            position = find()
            self._check(position)
            return self._read_in_order_or_not(position)

        with self._lock:
            self._begin_reading()
            try:
                raw, number, time = self._answer(ask)
            except (FrameNotFoundError, FrameIndexError, ArgumentError, EndOfStoreError, StaleIndexError):
                self._reading = False
                raise
            except Exception:
                self._reading = False
                self.position = position  # or whoever reads on would never get past a frame that is damaged
                raise
            self._reading = self._place_lost = False
            self.position, self.frame_number, self.frame_time = position, number, time
            return self.shown(raw), (number, time)

    def _begin_reading(self) -> None:
        self._after_fork()
        if self._reading:  # Ctrl-C may have come anywhere, within a decoder too
            self._stop_ahead()
            self._frames.close()
        self._reading = True

    def _read_in_order_or_not(self, position: int) -> tuple[Frame, int, float]:
        if self._ahead is not None and self._ahead.next_position != position:
            self._stop_ahead()
        self._in_order = self._in_order + 1 if position == self.position + 1 else 0
        if self._ahead is None and self._in_order >= _IN_ORDER and self._worth_reading_ahead(position):
            self._start_ahead(position)
        if self._ahead is not None:
            try:
                result: tuple[Frame, int, float] = self._ahead.get()
                return result
            except StoppedError:
                self._stop_ahead()
        return _read_raw(self.index, self._frames, position)

    def _worth_reading_ahead(self, position: int) -> bool:
        if position + 1 >= self.index.frame_count:
            return False
        return self._frames.reader(self.index.locate(position)[0]).reads_ahead

    def _start_ahead(self, position: int) -> None:
        read = partial(_read_raw, self.index, self._frames)  # refers to no reader, so that it can be collected
        self._ahead = ReadAhead(read, position, self.index.frame_count, self._depth)
        self._ahead_finalizer = weakref.finalize(self, self._ahead.request_stop)
        self._ahead.start()  # now that it is known, whatever interrupts this

    def _stop_ahead(self) -> None:
        self._in_order = 0
        if self._ahead is not None:
            self._ahead.stop()
            self._ahead_finalizer.detach()
            self._ahead = None  # not before it has stopped, whatever interrupts this

    def _after_fork(self) -> None:
        if os.getpid() != self._pid:
            self._ahead = None  # its thread stayed in the parent
            self._in_order = 0
            self._pid = os.getpid()

    def _check(self, position: int) -> None:
        if not 0 <= position < self.index.frame_count:
            raise FrameIndexError(f"{self._root}: no frame at position {position}, there are {self.index.frame_count}")

    def read_next(self) -> FrameAndMetadata:
        """Read the frame after the one that was read last.

        Raises
        ------
        EndOfStoreError
            There is none; the place stays where it was.
        StaleIndexError
            The one that was read last is gone, and others are in its place.
        """
        return self._read_found(self._next_position)

    def _next_position(self) -> int:
        if self._place_lost:
            raise StaleIndexError(
                f"{self._root}: the store was emptied or changed, the frame that was read last is not in it any more;"
                " ask for a frame by its number, time or position"
            )
        if self.position + 1 >= self.index.frame_count:
            raise EndOfStoreError(f"{self._root}: there is no frame after the last one")
        return self.position + 1

    def next_frame_number(self) -> int:
        """Return the number of the frame that `read_next` would read."""
        return self.look_up(lambda index: index.frame(self._next_position())[0])

    def read_many(
        self, find: Callable[[], Sequence[int]], out: Frame | None, shown: Shown
    ) -> tuple[Frame, tuple[Frame, Frame]]:
        """Read the frames at the positions that are found, in whatever order is fast. See `ImgStore.get_images`."""
        with self._lock:
            self._begin_reading()
            try:
                self._stop_ahead()
                batch = self._answer(lambda: self._read_batch(find(), out, shown))
            except Exception:
                self._reading = False
                raise
            self._reading = False
            return batch

    def _read_batch(
        self, positions: Sequence[int], out: Frame | None, shown: Shown
    ) -> tuple[Frame, tuple[Frame, Frame]]:
        for position in positions:
            self._check(position)
        count, spec = len(positions), self._frames.spec
        shape, dtype = shown.applied_to(spec.shape, spec.dtype)
        if out is None:
            out = _room_for((count, *shape), dtype)
        else:
            _check_out(out, (count, *shape), dtype)
        if not shown.changes:
            self._read_stored(positions, out)
        else:
            per_block = max(1, _SHOWN_BYTES // max(1, spec.nbytes))
            for begin in range(0, count, per_block):
                block = positions[begin : begin + per_block]
                stored = _room_for((len(block), *spec.shape), spec.dtype)
                self._read_stored(block, stored)
                for k, img in enumerate(stored):
                    out[begin + k] = shown(img)
        numbers, times = np.empty(count, np.int64), np.empty(count, np.float64)
        for k, position in enumerate(positions):
            numbers[k], times[k] = self.index.frame(position)
        return out, (numbers, times)

    def _read_stored(self, positions: Sequence[int], out: Frame) -> None:
        """Read frames as they are stored into an array."""
        wanted: dict[int, tuple[list[int], list[Frame]]] = {}
        for k, position in enumerate(positions):
            chunk, in_chunk = self.index.locate(position)
            if chunk not in wanted:
                wanted[chunk] = ([], [])
            wanted[chunk][0].append(in_chunk)
            wanted[chunk][1].append(out[k])
        self._frames.read_many(wanted)

    def key_frames(self) -> npt.NDArray[np.int64]:
        """Find the frames at which decoding may begin. See `ImgStore.get_key_frames`."""

        def find() -> npt.NDArray[np.int64]:
            found = [np.empty(0, np.int64)]
            for chunk in self.index.chunks:
                within = np.asarray(self._frames.key_frames(chunk), np.int64)
                found.append(self.index.chunk_start(chunk) + within[within < self.index.chunk_count(chunk)])
            return np.concatenate(found)

        with self._lock:
            self._begin_reading()
            try:
                self._stop_ahead()
                return self._answer(find)
            finally:
                self._reading = False

    def refresh(self) -> None:
        """Bring in the frames that have been written since the store was opened.

        Warns
        -----
        ImgStoreWarning
            Another recording lies there now. Nothing is brought in, and no frame can be read.
        """
        with self._lock:
            self._after_fork()
            self._stop_ahead()
            try:
                self.check_recording()
            except StaleIndexError as error:
                self._frames.close()  # so that what is read next is found to be of the other one
                warnings.warn(str(error), ImgStoreWarning, stacklevel=3)
                return
            if self._kept_index is None:
                self._make_index_anew()
                return
            made = self._kept_index.made
            self._kept_index.refresh()
            if self._kept_index.made != made:
                self._frames.close()
            self._take(self._kept_index.index)

    def reopen(self) -> None:
        """Read everything anew, after the chunks' own indexes were changed."""
        with self._lock:
            self._after_fork()
            self._stop_ahead()
            self._make_index_anew()

    def hold(self) -> None:
        """Let nothing be read, and have nothing open, until `let_go`."""
        self._lock.acquire()
        self._after_fork()
        self._stop_ahead()
        self._frames.close()

    def let_go(self) -> None:
        """Let frames be read again."""
        self._lock.release()

    def close(self) -> None:
        """Stop reading ahead and close every file."""
        if sys.is_finalizing():
            return  # all other threads stand still by then, wherever they are, and may be in a decoder
        with self._lock:
            self._after_fork()
            self._stop_ahead()
            self._frames.close()
            # freed once nobody looks
            self._kept_index, self.index = None, cast(ImgStoreIndex, ClosedIndex(self._root))

"""Reading frames: the next one, one by number, time or position, many at once, all in order."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from imgstore import plugins
from imgstore.array import whole_number
from imgstore.codec import ChunkReader
from imgstore.disk import lock
from imgstore.disk.layout import chunk_bases, list_store
from imgstore.disk.metadata import StoreMetadata
from imgstore.errors import ArgumentError, ChunkError, FrameIndexError, FrameNotFoundError
from imgstore.options import ReadOptions
from imgstore.pixels.shown import Shown
from imgstore.plugins import RegisteredCodec
from imgstore.reading.chunk_frames import ChunkFrames
from imgstore.reading.chunks import Chunks
from imgstore.reading.left_out import LeftOut, OnError
from imgstore.reading.reader import Reader
from imgstore.reading.same_recording import Recording, metadata_stamp
from imgstore.reading.store_chunks import StoreChunks
from imgstore.store.contents import Contents
from imgstore.store.shared import Frame, FrameAndMetadata

__all__ = ["Reading"]

Batch = tuple[Frame, tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]]


class Reading(Contents):
    """The part of `ImgStore` that reads frames."""

    def _open_for_reading(self, options: ReadOptions) -> None:
        stamp = metadata_stamp(self._root)  # before they are read
        meta = self._read_metadata()
        recording = Recording(self._root, stamp, meta)
        entry = plugins.codec_for_stored(meta.format, meta.extension, options.backend)
        if options.index is not None:
            listing = list_store(self._root, meta.extension)
            options.index.bind(chunk_bases(self._root, listing.chunks, meta.extension))
        chunks = StoreChunks(self._root, meta.extension, entry.format.extension, recording)
        self._read_through(chunks, meta, entry, Shown(meta.encoding, None, options.dtype, options.color), options)

    def _read_through(
        self,
        chunks: Chunks,
        meta: StoreMetadata,
        entry: RegisteredCodec,
        shown: Shown,
        options: ReadOptions,
        decode: Callable[[Frame], Frame] | None = None,
        first: ChunkReader | None = None,
    ) -> None:
        """Read chunks, wherever they are; `first` is the reader of chunk 0, where it is open."""
        self._options, self._chunks, self._meta, self._entry = options, chunks, meta, entry
        spec = self._spec = meta.frame_spec(entry.format)
        self._shown = shown.needed_for(spec.shape, spec.dtype)
        frames = ChunkFrames(chunks, entry, spec, options.codec, checksums=options.checksums, decode=decode)
        if first is not None:
            frames.take(0, first)
        self._reader = Reader(chunks, frames, self._shown, options.index)

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

    def get_image(self, frame_number: Any = None, exact_only: bool = True, frame_index: Any = None) -> FrameAndMetadata:
        """Read the first frame with a number, or the frame at a position, and go on from there.

        Parameters
        ----------
        frame_number : int, optional
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
        ArgumentError
            Neither number nor position is given.
        """
        reader = self._readable
        if frame_index is None:
            if frame_number is None:
                raise ArgumentError("give frame_number or frame_index")
            return reader.read_number(frame_number, exact_only)
        position = whole_number(frame_index, "frame_index")
        if not 0 <= position < reader.index.frame_count:
            raise FrameNotFoundError(
                f"{self._root}: no frame at index {position}, there are {reader.index.frame_count}, from 0"
            )
        return reader.read(position)

    def get_nearest_image(
        self, frame_time: float, *, tolerance: float | None = None, past: bool | None = None, future: bool | None = None
    ) -> FrameAndMetadata:
        """Read the frame whose time is nearest, and go on from there.

        Parameters
        ----------
        frame_time : float
            Seconds.
        tolerance : float, optional
            Seconds by which the frame's time may be another; default any.
        past, future : bool, optional
            Whether frames that are not later, and those that are not earlier, will do. Default both; where one is True,
            that one.

        Returns
        -------
        tuple
            ``(img, (frame_number, frame_time))``

        Raises
        ------
        FrameNotFoundError
            The store is empty, or no frame is so near; also a ValueError.
        FrameDecodeError
            The frame is damaged.
        """
        reader = self._readable
        return reader.read_nearest_time(frame_time, tolerance, past=past, future=future)

    def get_next_framenumber(self) -> int:
        """Return the number of the frame that `get_next_image` will read; EndOfStoreError after the last."""
        return self._readable.next_frame_number()

    def get_images(
        self,
        frame_numbers: Any = None,
        *,
        frame_indices: Any = None,
        times: Any = None,
        tolerance: float | None = None,
        out: Frame | None = None,
        on_error: OnError = "raise",
    ) -> Batch:
        """Read many frames at once, each group of pictures of a video decoded once.

        Where `get_next_image` goes on is not changed.

        Parameters
        ----------
        frame_numbers : sequence of int, optional
            Numbers of the frames, in any order, repeats included.
        frame_indices : sequence of int or slice, optional
            Their positions in the store instead; negative ones count from the end.
        times : sequence of float, optional
            Times in seconds instead: the frame whose time is nearest to each.
        tolerance : float, optional
            Seconds by which a frame's time may be another than the one in `times`; default any.
        out : numpy.ndarray, optional
            An array to fill, of the store's dtype and the shape of what is returned.
        on_error : {'raise', 'skip', 'warn'}
            What becomes of frames that are damaged: an error, or they are left out, without a word or with one warning
            for those in a row. Fewer are returned then, and of `out` the first entries are.

        Returns
        -------
        images : numpy.ndarray
            ``(n, h, w)`` or ``(n, h, w, 3)``, in the order asked for.
        metadata : tuple of numpy.ndarray
            Frame numbers, int64 ``(n,)``, and frame times in seconds, float64 ``(n,)``.

        Raises
        ------
        FrameNotFoundError
            A frame number that is not there, or a time with no frame within the tolerance.
        FrameIndexError
            A position outside the store.
        FrameDecodeError
            A frame is damaged; it is named.
        ArgumentError
            The frames do not fit into `out`.
        """
        reader = self._readable
        if sum(given is not None for given in (frame_numbers, frame_indices, times)) != 1:
            raise ArgumentError("give one of frame_numbers, frame_indices and times")
        if tolerance is not None and times is None:
            raise ArgumentError("a tolerance is of times: give times with it")

        def find() -> list[int]:
            if frame_indices is not None:
                return self._positions(frame_indices)
            if times is not None:
                return [reader.position_nearest_time(t, tolerance) for t in _one_by_one(times)]
            return [reader.position_of(n, True) for n in _one_by_one(frame_numbers)]

        left_out = LeftOut(self._root, on_error)
        try:
            return reader.read_many(find, out, self._shown)
        except ChunkError:
            if on_error == "raise":
                raise
        return self._read_undamaged(find, out, left_out)

    def _read_shown(self, positions: Sequence[int], shown: Shown) -> Frame:
        """Read the frames at positions from 0, shown in another way than the store shows them."""
        return self._readable.read_many(lambda: positions, None, shown)[0]

    def _read_undamaged(self, find: Callable[[], Sequence[int]], out: Frame | None, left_out: LeftOut) -> Batch:
        """Read many frames, those that can be: halves of a batch until it is whole, or a single frame that is damaged."""
        reader = self._readable
        index, positions = reader.look_up(lambda index: (index, find()))
        count, (shape, dtype) = len(positions), self._frame_kind
        images = np.empty((count, *shape), dtype) if out is None else out
        numbers, times = np.empty(count, np.int64), np.empty(count, np.float64)
        whole = np.zeros(count, bool)
        parts = [(0, count)]
        while parts:
            low, high = parts.pop()
            part = slice(low, high)
            try:
                _, (numbers[part], times[part]) = reader.read_many(
                    partial(_part, positions, part), images[part], self._shown
                )
            except ChunkError as error:
                if high - low == 1:
                    left_out.add(index.frame(positions[low])[0], error)
                else:
                    parts += [((low + high) // 2, high), (low, (low + high) // 2)]
                continue
            if reader.index is not index:  # made anew meanwhile, and the positions are others
                return self._read_undamaged(find, out, left_out)
            whole[part] = True
            left_out.tell(stacklevel=3)
        left_out.tell(stacklevel=3)
        kept = images[whole]
        if out is not None:
            out[: len(kept)] = kept
            kept = out[: len(kept)]
        return kept, (numbers[whole], times[whole])

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
        position = whole_number(i, "a position")
        if not -self.frame_count <= position < self.frame_count:
            raise FrameIndexError(f"{self._root}: no frame at position {position}, there are {self.frame_count}")
        return position % self.frame_count

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
        on_error: OnError = "raise",
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
        on_error : {'raise', 'skip', 'warn'}
            What becomes of frames that are damaged: they end the iteration with an error, or are left out, without a
            word or with one warning for those in a row.

        Returns
        -------
        iterator
            Of ``(img, (frame_number, frame_time))``.

        Raises
        ------
        FrameDecodeError, ChunkError
            From the iterator: a frame is damaged.
        """
        left_out = LeftOut(self._root, on_error)
        count = self._readable.index.frame_count
        positions = range(*slice(start, stop, step).indices(count))
        if not follow:
            return self._read_each(positions, on_error, left_out)
        if positions.step < 1:
            raise ArgumentError("following a recording needs a positive step")
        return self._read_each(self._follow(positions, stop, poll_interval), on_error, left_out)

    def _read_each(self, positions: Iterable[int], on_error: OnError, left_out: LeftOut) -> Iterator[FrameAndMetadata]:
        for position in positions:
            try:
                found = self._readable.read(position)
            except ChunkError as error:
                if on_error == "raise":
                    raise
                left_out.add(self._readable.index.frame(position)[0], error)
                continue
            left_out.tell(stacklevel=2)
            yield found
        left_out.tell(stacklevel=2)

    def _follow(self, positions: range, stop: int | None, poll_interval: float) -> Iterator[int]:
        """Go on with positions beyond those that are there, as frames are recorded."""
        yield from positions
        position = positions.start + len(positions) * positions.step
        while stop is None or position < stop:
            recording = lock.is_held(self._root)  # asked first, so that its last frames are not missed
            count = self.refresh()
            self._readable.check_recording()
            if position >= count:
                if not recording:
                    return
                time.sleep(poll_interval)
            while position < self.frame_count and (stop is None or position < stop):
                yield position
                position += positions.step

    def disable_decoding(self) -> None:
        """From now on return frames as they are stored, raw where the store has an encoding."""
        reader = self._readable
        if self._shown.encoding is not None:
            reader.shown = self._shown = Shown()

    def refresh(self) -> int:
        """Bring in the frames that a writer has added since the store was opened; return how many there are now.

        What was there is compared again: frames of chunks that are gone go, and those of chunks that have changed change.

        Warns
        -----
        ImgStoreWarning
            The store was replaced by another recording. Nothing is brought in, and reading raises StaleIndexError.
        """
        self._readable.refresh()
        return self.frame_count


def _part(positions: Sequence[int], part: slice) -> Sequence[int]:
    return positions[part]


def _one_by_one(wanted: Any) -> list[Any]:
    """Return what a sequence or an array holds; numbers of several types stay what they are, and none becomes a float."""
    return list(np.asarray(wanted, object).ravel().tolist())

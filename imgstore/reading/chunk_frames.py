"""The frames of the chunks of one store, by chunk and position in the chunk, whatever the codec."""

from __future__ import annotations

import contextlib
import functools
import os
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import xxhash

from imgstore.codec import ChunkCodec, ChunkReader, FrameCodec, FrameSpec
from imgstore.disk.checksums import CHANGED_ON_PURPOSE, FRAME_NAME, HASH_NAME, STREAM_NAME, checksum
from imgstore.disk.kept_arrays import kept_arrays_of
from imgstore.errors import ChunkError, FrameDecodeError
from imgstore.index.frame_index import ImgStoreIndex
from imgstore.plugins import RegisteredCodec
from imgstore.reading.chunks import Chunks
from imgstore.reading.kept_reader import KeptReader
from imgstore.reading.store_chunks import NUMBER_NAME
from imgstore.reading.unfinished import Unfinished
from imgstore.sources.source import Source, Stamp
from imgstore.threads.side_by_side import SideBySide

__all__ = ["DEFAULT_CACHE_SIZE", "ChunkFrames"]

Frame = npt.NDArray[Any]
DEFAULT_CACHE_SIZE = 256 * 2**20
_MAX_OPEN_CHUNKS = 256
_MAX_OPEN_DIRECTORIES = 512  # of which only checksums are kept
_WORTH_SHARING = 1 << 16  # bytes of a frame, from which on threads gain more than they cost


@functools.cache
def most_open_files() -> int:
    """Return how many chunks with a file each may be open: as many as are of use, and a quarter of what the system allows."""
    try:
        import resource
    except ImportError:  # Windows, where only C's own files are counted
        return _MAX_OPEN_CHUNKS
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MAX_OPEN_CHUNKS if allowed < 0 else max(8, min(_MAX_OPEN_CHUNKS, allowed // 4))


class _FilesReader(ChunkReader):
    """A chunk whose frames are files."""

    def __init__(self, chunks: Chunks, chunk: int, decode: Callable[[Frame], Frame], checksums: Sequence[int]):
        self._chunks = chunks
        self._chunk = chunk
        self._decode = decode
        self._checksums = checksums

    @property
    def frame_count(self) -> int:
        count = 0
        with contextlib.suppress(OSError, IndexError):
            while self._chunks.source.stamp(self._chunks.frame_name(self._chunk, count)):
                count += 1
        return count

    def read(self, position: int) -> Frame:
        name = self._chunks.frame_name(self._chunk, position)
        try:
            noted = self._checksums[position] if position < len(self._checksums) else None
            return self._decode(read_whole(self._chunks.source, name, noted))
        except FileNotFoundError:
            raise FrameDecodeError(f"{self._chunks.source.shown(name)}: the file of this frame is missing") from None
        except Exception as error:
            raise FrameDecodeError(f"{self._chunks.source.shown(name)}: cannot be decoded: {error}") from error

    def close(self) -> None:
        """Nothing is kept open."""


def read_whole(source: Source, name: str, noted: int | None = None) -> Frame:
    """Read a whole file into a new uint8 array, and compare it with its XXH3-64 if that is given.

    Raises
    ------
    OSError
        It cannot be read.
    ValueError
        It is not what was written.
    """
    if noted is None:
        return source.read(name)
    state = xxhash.xxh3_64()
    data = source.read(name, seen=state.update)
    if state.intdigest() != noted:
        raise ValueError(f"the file is not what was written, its checksum is another; {CHANGED_ON_PURPOSE}")
    return data


class ChunkFrames:
    """Opens chunks through the codec and keeps a bounded number of them open. Used by one thread at a time.

    Parameters
    ----------
    chunks : Chunks
        Where they are.
    entry : RegisteredCodec
        The codec that reads them.
    spec : FrameSpec
        What every frame must look like.
    options : mapping
        For the codec: ``seek``, ``threads``, ``cache_size``.
    checksums : bool
        Compare what is read with the checksums in the chunks' indexes.
    decode : callable, optional
        What makes a frame of the content of a file; default what the codec has for stores.

    Attributes
    ----------
    index : ImgStoreIndex or None
        What a chunk must agree with whenever it is opened; None: it may hold anything.
    spec : FrameSpec
        What every frame looks like as it is stored.
    """

    def __init__(
        self,
        chunks: Chunks,
        entry: RegisteredCodec,
        spec: FrameSpec,
        options: Mapping[str, Any],
        *,
        checksums: bool,
        decode: Callable[[Frame], Frame] | None = None,
    ):
        self.index: ImgStoreIndex | None = None
        self._chunks = chunks
        self._entry = entry
        self.spec = spec
        self._options = options
        self._checksums = checksums
        self._open: OrderedDict[int, ChunkReader] = OrderedDict()  # the one in use comes last
        self._stamps: dict[int, Stamp] = {}  # of the files of each chunk when it was opened
        self._unchecked: set[int] = set()  # chunks whose frames are not compared with checksums
        self._beside = SideBySide("imgstore-batch")
        self._pid = os.getpid()
        self._decode = decode
        if decode is None and isinstance(entry.codec, FrameCodec):
            self._decode = entry.codec.decoder(entry.format, spec)
        self._unfinished = Unfinished(chunks, file_per_frame=self._decode is not None)

    def take(self, chunk: int, reader: ChunkReader) -> None:
        """Read a chunk through a reader that is open, and has no checksums to compare."""
        self._stamps[chunk] = self._chunks.stamp(chunk)
        self._unchecked.add(chunk)
        self._open[chunk] = reader

    def reader(self, chunk: int) -> ChunkReader:
        """Return the open reader of a chunk, opening it where needed.

        Raises
        ------
        ChunkError
            The chunk's file cannot be opened.
        StaleIndexError
            It is not the one that the index tells of.
        """
        self._make_ready()
        self._rest_before([chunk])
        reader = self._open.get(chunk)
        if reader is None:
            reader = self._open_chunk(chunk)
            self._open[chunk] = reader
            self._drop_oldest()
        else:
            self._open.move_to_end(chunk)
        return reader

    def _rest_before(self, chunks: Collection[int]) -> None:
        """Let the chunk in use rest, unless it is one of those that are read next."""
        if self._open and (last := next(reversed(self._open))) not in chunks:
            self._open[last].idle()

    def _make_ready(self) -> None:
        if os.getpid() != self._pid:
            # After a fork the files' positions are shared with the parent, so nothing that is open may be used here; and
            # the threads are not here.
            self._open.clear()
            self._beside = SideBySide("imgstore-batch")
            self._pid = os.getpid()
        if self._beside.busy:  # Ctrl-C came between, again and again
            self._beside.close()

    def _open_chunk(self, chunk: int) -> ChunkReader:
        self._stamps[chunk] = self._chunks.stamp(chunk)
        names = [HASH_NAME] if self._decode is not None else [FRAME_NAME, STREAM_NAME]
        arrays = self._chunks.index_arrays(chunk, names, self.index)
        name = FRAME_NAME if self._decode is None else HASH_NAME
        (self._unchecked.add if self._checksums_in(arrays, name) is None else self._unchecked.discard)(chunk)
        try:
            return self._open_with(chunk, arrays)
        finally:
            self._chunks.check(chunk)  # now that all is open: what was read before is of the same recording

    def _open_with(self, chunk: int, arrays: Mapping[str, npt.NDArray[Any]]) -> ChunkReader:
        if self._decode is not None:
            noted = self._checksums_in(arrays, HASH_NAME)
            hashes = [] if noted is None else noted.tolist()
            return _FilesReader(self._chunks, chunk, self._decode, hashes)
        frames, stream = (self._checksums_in(arrays, name) for name in (FRAME_NAME, STREAM_NAME))
        count = len(arrays[NUMBER_NAME]) if NUMBER_NAME in arrays else None
        options = {**self._options, "checksums": frames, "frame_count": count, **self._chunks.options(chunk)}
        reading_through = partial(self._open_video, chunk, options, stream)
        if frames is not None:  # whatever is kept, each frame is compared with these
            with contextlib.suppress(Exception):  # it is of another file, or of another codec
                kept = kept_arrays_of(arrays, self._chunks.source.stamp(self._chunks.name(chunk))[1])
                if kept:
                    return KeptReader(self._open_video(chunk, {**options, "kept_arrays": kept}, stream), reading_through)
        return reading_through()

    def _open_video(
        self, chunk: int, options: Mapping[str, Any], stream: npt.NDArray[np.uint64] | None
    ) -> ChunkReader:
        path = self._chunks.source.local_path(self._chunks.name(chunk))
        assert isinstance(self._entry.codec, ChunkCodec)
        try:
            reader = self._entry.codec.open_reader(path, self._entry.format, self.spec, options)
        except Exception as error:
            raise ChunkError(f"{path}: this chunk cannot be opened: {error}") from error
        described = reader.description
        if stream is not None and described is not None and stream.tolist() != [checksum([described])]:
            reader.close()
            raise ChunkError(
                f"{path}: this chunk cannot be opened: what it says of its frames is not what was written; "
                + CHANGED_ON_PURPOSE
            )
        return reader

    def _was_replaced(self, chunk: int) -> bool:
        """Whether the files of a chunk are others than those that were opened; it is then opened anew when needed."""
        noted = self._stamps.get(chunk, ())
        if self._chunks.stamp(chunk)[: len(noted)] == noted:
            return False
        self.forget([chunk])
        return True

    def _checksums_in(self, arrays: Mapping[str, npt.NDArray[Any]], name: str) -> npt.NDArray[np.uint64] | None:
        found = arrays.get(name) if self._checksums else None
        return found if found is not None and found.ndim == 1 and found.dtype == np.uint64 else None

    def _drop_oldest(self) -> None:
        limit = self._options["cache_size"]
        most = most_open_files() if self._decode is None else _MAX_OPEN_DIRECTORIES
        while len(self._open) > 1 and (len(self._open) > most or sum(r.nbytes for r in self._open.values()) > limit):
            self._open.popitem(last=False)[1].close()

    def key_frames(self, chunk: int) -> Sequence[int]:
        """Return the positions in a chunk at which decoding may begin; the first alone where it cannot be opened."""
        if self._decode is not None:
            return range(self.index.chunk_count(chunk) if self.index is not None else 0)
        try:
            return self.reader(chunk).key_frames
        except ChunkError:
            return (0,)

    def read(self, chunk: int, position: int) -> Frame:
        """Read one frame.

        Raises
        ------
        FrameDecodeError
            It is not there or cannot be decoded, or is not what the store says its frames are. Names chunk and frame.
        StaleIndexError
            The chunk is not the one that the index tells of.
        """
        while True:
            try:
                img = self._read(chunk, position)
            except FrameDecodeError:
                self._chunks.check(chunk)
                if not self._was_replaced(chunk):
                    raise
            else:
                if chunk not in self._unchecked or not self._was_replaced(chunk):
                    return img

    def _read(self, chunk: int, position: int) -> Frame:
        reader = self.reader(chunk)
        try:
            img = reader.read(position)
        except FrameDecodeError:
            raise
        except IndexError:
            raise self._missing(chunk, position, reader) from None
        except Exception as error:
            path = self._chunks.path(chunk)
            raise FrameDecodeError(f"{path}: frame {position} of chunk {chunk} cannot be decoded: {error}") from error
        return self._checked(chunk, position, img)

    def _checked(self, chunk: int, position: int, img: Frame) -> Frame:
        """Return a frame that is what the store says of its frames; FrameDecodeError where it is not."""
        if img.shape != self.spec.shape or img.dtype != self.spec.dtype:
            path = self._chunks.path(chunk)
            raise FrameDecodeError(
                f"{path}: frame {position} of chunk {chunk} is {img.dtype} {img.shape}, "
                f"but the store says {self.spec.dtype} {self.spec.shape}"
            )
        return img

    def _missing(self, chunk: int, position: int, reader: ChunkReader) -> FrameDecodeError:
        path = self._chunks.path(chunk)
        return FrameDecodeError(
            f"{path}: has no frame {position}: it holds {reader.frame_count} frames, fewer than its index lists"
        )

    def readable(self, chunk: int, noted: npt.NDArray[Any]) -> int:
        """Count the frames of an unfinished chunk that can be read, from the first on.

        Parameters
        ----------
        chunk : int
            Number of the chunk.
        noted : numpy.ndarray
            Its journal, as `imgstore.disk.journal.read_journal` returns it.
        """
        whole = self._unfinished.whole(chunk, noted)
        if self._decode is not None:
            return whole
        index, self.index = self.index, None  # which tells of what was there before
        try:
            held = self.reader(chunk).frame_count
        except ChunkError:  # nothing of it has reached the file yet
            return 0
        finally:
            self.index = index
        # What stands in the file behind damage may be taken for frames that it has swallowed.
        known = np.count_nonzero(noted["size"][:whole]) if whole < len(noted) else whole
        return min(held, int(known))

    def forget(self, chunks: Sequence[int]) -> None:
        """Close chunks whose files have grown."""
        for chunk in chunks:
            reader = self._open.pop(chunk, None)
            if reader is not None and os.getpid() == self._pid:
                reader.close()

    def read_many(self, wanted: Mapping[int, tuple[Sequence[int], Sequence[Frame]]]) -> None:
        """Read frames of several chunks, each chunk's in one go, on all cores.

        Parameters
        ----------
        wanted : mapping
            From chunk number to positions in the chunk and the arrays to fill.
        """
        self._read_many(wanted)
        while [chunk for chunk in self._unchecked.intersection(wanted) if self._was_replaced(chunk)]:
            self._read_many(wanted)

    def _read_many(self, wanted: Mapping[int, tuple[Sequence[int], Sequence[Frame]]]) -> None:
        self._make_ready()
        if self._decode is not None:
            self._read_files(wanted)
            return
        self._rest_before(wanted)
        room = most_open_files()
        opened: dict[int, ChunkReader] = {}  # in threads; they stay open as far as there is room

        def work(chunk: int) -> None:
            reader = self._open.get(chunk)
            if reader is None:
                reader = opened[chunk] = self._open_chunk(chunk)
            try:
                self._read_chunk(chunk, reader, *wanted[chunk])
            finally:
                if len(wanted) > 1:  # one chunk at a time keeps what its codec decodes with
                    reader.idle()
                if chunk in opened and len(opened) > room:
                    opened.pop(chunk).close()

        # For one chunk too: codecs may have threads, and are not to be interrupted by Ctrl-C while these run.
        try:
            self._run_beside([partial(work, chunk) for chunk in wanted])
        finally:
            self._open.update(opened)
            for chunk in self._open.keys() & wanted.keys():
                self._open.move_to_end(chunk)
            self._drop_oldest()

    def _run_beside(self, calls: Sequence[Callable[[], object]]) -> None:
        """Call functions in threads, on all cores, none of which goes on when this has ended."""
        try:
            self._beside.run_elsewhere(calls, os.cpu_count() or 1)
        finally:
            if self._beside.busy:  # Ctrl-C came between
                self._beside.close()

    def _read_files(self, wanted: Mapping[int, tuple[Sequence[int], Sequence[Frame]]]) -> None:
        """Read frames that are files, side by side; what goes wrong there is read again here, where it is told."""
        jobs = [(chunk, *each) for chunk, (positions, out) in wanted.items() for each in zip(positions, out, strict=True)]
        left = list(range(len(jobs)))
        if len(jobs) > 1 and jobs[0][2].nbytes >= _WORTH_SHARING:
            readers = {chunk: self.reader(chunk) for chunk in wanted}
            left = []

            def work(start: int) -> None:
                for k in range(start, len(jobs), cores):
                    chunk, position, target = jobs[k]
                    try:
                        target[...] = self._checked(chunk, position, readers[chunk].read(position))
                    except Exception:
                        left.append(k)

            cores = os.cpu_count() or 1
            self._run_beside([partial(work, start) for start in range(min(cores, len(jobs)))])
        for k in sorted(left):
            chunk, position, target = jobs[k]
            target[...] = self.read(chunk, position)

    def _read_chunk(self, chunk: int, reader: ChunkReader, positions: Sequence[int], out: Sequence[Frame]) -> None:
        try:
            reader.read_many(positions, out)
        except FrameDecodeError:
            raise
        except IndexError:
            raise self._missing(chunk, max(positions), reader) from None
        except Exception as error:
            path = self._chunks.path(chunk)
            raise FrameDecodeError(f"{path}: a frame of chunk {chunk} cannot be decoded: {error}") from error

    def close(self) -> None:
        """Close every chunk."""
        if os.getpid() == self._pid:
            self._beside.close()
        self._chunks.forget()
        while self._open:
            reader = self._open.popitem()[1]
            if os.getpid() == self._pid:
                reader.close()

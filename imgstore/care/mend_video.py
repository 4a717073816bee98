"""Mending the frames of a chunk that is a video: one that is torn or unfinished becomes whole, by copying packets."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy.typing as npt

from imgstore.care.bench import Bench
from imgstore.care.chunk_files import readable_size
from imgstore.codec import ChunkCodec
from imgstore.disk.atomic import sync_directory, sync_file, temporary_name
from imgstore.disk.checksums import CHANGED_ON_PURPOSE, SIZE_NAME, file_checksum
from imgstore.disk.journal import forget_places
from imgstore.errors import ChunkError, FrameDecodeError, ImgStoreError

__all__ = ["VideoFile"]

Array = npt.NDArray[Any]


class VideoFile:
    """The video file of one chunk.

    Parameters
    ----------
    bench : Bench
        What is done, and how.
    chunk : int
        Number of the chunk.
    """

    def __init__(self, bench: Bench, chunk: int):
        self._bench = bench
        self._chunk = chunk
        self._path = bench.parts.path(chunk)

    @property
    def replaced(self) -> bool:
        """Whether another file has been put in its place, so that its checksum is another."""
        return any(action.kind == "video" and action.path == self._path for action in self._bench.actions)

    def keep_noted(self, noted: Array) -> int:
        """Make the file whole, with the frames of an unfinished chunk that its journal knows; return how many."""
        parts = self._bench.parts
        limit = parts.frames.readable(self._chunk, noted)
        if not limit or not os.path.isfile(self._path):
            return 0
        try:
            return self._recover(limit, partial(forget_places, parts.root, self._chunk))
        except FrameDecodeError:
            raise
        except ChunkError:
            return 0

    def keep_listed(self, count: int, arrays: Mapping[str, Array]) -> int | None:
        """Return how many frames of the index to keep; None where the chunk is set aside as a whole."""
        if not os.path.isfile(self._path):
            if not count:
                return 0  # extra data without frames
            self._bench.set_aside_chunk(self._chunk, "is no file")
            return None
        try:
            if self._is_whole(count, arrays):
                return count
            if self._holds_others:
                message = "its frames are of another size than those of the store"
                self._bench.leave(self._path, self._chunk, f"{message}; {CHANGED_ON_PURPOSE}")
                return count
            kept = self.cut(count)
        except FrameDecodeError:
            raise
        except ChunkError as error:
            self._bench.set_aside_chunk(self._chunk, str(error).removeprefix(f"{self._path}: "))
            return None
        if not kept:
            self._bench.set_aside_chunk(self._chunk, "no frame of it can be decoded")
            return None
        if kept == count and SIZE_NAME in arrays and not self.replaced:
            message = "is not of the size that was written, though all frames seem to be there"
            self._bench.leave(self._path, self._chunk, f"{message}; {CHANGED_ON_PURPOSE}")
        return kept

    def count(self) -> int | None:
        """Count the frames up to the last that can be decoded; None where they are not those of this store."""
        if not readable_size(self._path):
            return 0
        if self._holds_others:
            return None
        try:
            return self._count_readable(self._bench.parts.frames.reader(self._chunk).frame_count)
        except ChunkError:
            return 0

    def cut(self, count: int) -> int:
        """Put a whole file with at most `count` frames in the place of one that is not, and return how many it has.

        Raises
        ------
        ChunkError
            Nothing can be saved.
        OSError
            The file cannot be read, or the whole one not written.
        """
        return self._recover(count, lambda kept: None)

    def checksums(self, noted: Array | None, count: int) -> list[tuple[int, int]]:
        """Return size and checksum of the file as it is, where it has frames."""
        return [file_checksum(self._path)] if count else []

    @property
    def _holds_others(self) -> bool:
        """Whether its frames are of another size: then it is not torn, and of what it holds nobody can judge here."""
        return self._bench.parts.shape_in(self._path) not in (None, self._bench.parts.spec.shape)

    def _is_whole(self, count: int, arrays: Mapping[str, Array]) -> bool:
        parts = self._bench.parts
        try:
            if parts.frames.reader(self._chunk).frame_count != count:
                return False
        except ChunkError:
            return False
        sizes = arrays.get(SIZE_NAME)
        if sizes is not None and sizes.tolist() == [os.path.getsize(self._path)]:
            return True  # no end is missing; whether its middle is what it was is not for repair to find out
        return sizes is None and (not count or parts.decodes(self._chunk, count - 1))

    def _recover(self, limit: int, replacing: Callable[[int], None]) -> int:
        """See `cut`; `replacing` is called with the number of frames before the file is put in place."""
        bench, parts, path = self._bench, self._bench.parts, self._path
        codec = parts.entry.codec
        assert isinstance(codec, ChunkCodec)
        parts.frames.close()
        # where nothing may be changed, the new file is made elsewhere, to see what would come of it
        place = tempfile.mkdtemp() if bench.dry_run else None
        temporary = os.path.join(place, "recovered") if place is not None else str(temporary_name(path))
        try:
            try:
                kept = codec.recover(path, temporary, parts.entry.format, parts.spec, limit)
            except NotImplementedError:
                return self._count_readable(limit)
            if os.path.exists(temporary):
                if place is None:
                    sync_file(temporary)
                bench.do(
                    "video", path, self._chunk,
                    f"the packets of its first {kept} frames are copied into a whole file; the one before is kept in"
                    f" {bench.aside.directory}",
                    lambda: bench.aside.keep(path),
                    lambda: replacing(kept),
                    lambda: os.replace(temporary, path),
                    lambda: sync_directory(parts.root),
                )  # fmt: skip
            return kept
        except (ImgStoreError, OSError, MemoryError):
            raise  # an error of the system does not tell what is in the file
        except Exception as error:
            raise ChunkError(f"{path}: nothing of it can be saved: {error}") from error
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
            if place is not None:
                os.rmdir(place)

    def _count_readable(self, limit: int) -> int:
        parts = self._bench.parts
        count = min(limit, parts.frames.reader(self._chunk).frame_count)
        while count and not parts.decodes(self._chunk, count - 1):
            count -= 1
        return count

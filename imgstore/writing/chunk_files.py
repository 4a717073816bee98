"""The files of a chunk while it is written: a directory with a file per frame, or one file that a codec writes."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy.typing as npt

from imgstore.codec import Buffer, ChunkCodec
from imgstore.disk.atomic import sync_directory, sync_file, temporary_name
from imgstore.disk.checksums import checksum, video_checksums
from imgstore.plugins import RegisteredCodec
from imgstore.threads.background import Beside
from imgstore.writing.conform import Conformer

__all__ = ["ChunkFiles", "DirectoryChunk", "VideoChunk"]

Frame = npt.NDArray[Any]

_SYNC_THREADS = 8  # journaling file systems commit what is asked for together in one go
_TRIAL = 10  # the share of the time given in which it is found out whether that suffices
_LARGE = 1 << 20  # bytes of a frame whose checksum is worth another thread
_MOST_BUFFERS = 16  # in one call; systems take more
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)


class DirectoryChunk:
    """A chunk that is a directory with a file per frame.

    Parameters
    ----------
    path : str
        The directory, which is made.
    extension : str
        Of the frames' files.
    """

    def __init__(self, path: str, extension: str):
        os.mkdir(path)
        self.path = path
        self._extension = extension
        self._size = 0
        self.sizes: list[int] = []
        self.hashes: list[int] = []
        self._syncing = threading.Lock()
        self._synced = 0  # frames that are on the disk
        self._beside = Beside()

    def _file(self, position: int) -> str:
        return f"{self.path}{os.sep}{position:06d}{self._extension}"

    def add(self, buffers: Sequence[Buffer]) -> tuple[int, int, int]:
        """Write the next frame's file; return where its bytes begin in it, how many they are, and their checksum."""
        path = self._file(len(self.sizes))
        views = [memoryview(buffer).cast("B") for buffer in buffers]  # type: ignore[arg-type]  # arrays are buffers
        size = sum(map(len, views))
        if size < _LARGE:
            _write_file(path, views)
            content_hash = checksum(views)
        else:
            checksum_beside = self._beside.start(lambda: checksum(views))
            try:
                _write_file(path, views)
            finally:  # nobody looks at the frame any more when this returns
                content_hash = checksum_beside()
        self.sizes.append(size)
        self.hashes.append(content_hash)
        self._size += size
        return 0, size, content_hash

    @property
    def writes_through(self) -> bool:
        """Whether the operating system has every frame that was added."""
        return True

    def forget_after(self, count: int) -> None:
        """Remove what was added after the first `count` frames."""
        with self._syncing:
            while len(self.sizes) > count:
                self._size -= self.sizes.pop()
                self.hashes.pop()
                with contextlib.suppress(OSError):
                    os.unlink(self._file(len(self.sizes)))
            self._synced = min(self._synced, count)

    def flush(self) -> None:
        """Nothing is held back."""

    def sync(self) -> None:
        """Wait until the frames that were added so far are on the disk."""
        with self._syncing:
            done = len(self.sizes)
            wanted = [self._file(k) for k in range(self._synced, done)]
            if wanted:
                sync_files(wanted)
                sync_directory(self.path)
                self._synced = done

    def sync_within(self, seconds: float) -> None:
        """Bring the frames to the disk one by one, unless it turns out that all of them would take longer than this."""
        began = time.monotonic()
        for k in range(len(self.sizes)):
            sync_file(self._file(k))
            taken = time.monotonic() - began
            if taken > seconds / _TRIAL and taken / (k + 1) * len(self.sizes) > seconds:
                return
        sync_directory(self.path)

    def close(self) -> None:
        """Nothing is held back."""
        self._beside.stop()

    def abandon(self) -> None:
        """Leave the files alone."""
        self._beside.stop()

    def mend(self, count: int, replacing: Callable[[int], None]) -> int:
        """Return how many frames can be read: each is whole by itself."""
        return min(count, len(self.sizes))

    def discard(self) -> None:
        """Remove everything."""
        self._beside.stop()
        shutil.rmtree(self.path, ignore_errors=True)

    def size(self) -> int:
        """Return how many bytes the frames take."""
        return self._size

    def checksums(self) -> tuple[list[int], list[int]]:
        """Return sizes and checksums of the frames' files."""
        return self.sizes, self.hashes

    def frame_checksums(self) -> tuple[list[int], bytes | None]:
        """Nothing: each frame has a file."""
        return [], None

    def kept_arrays(self) -> Mapping[str, npt.NDArray[Any]]:
        """Nothing: each frame has a file."""
        return {}


class VideoChunk:
    """A chunk that is one file, written by its codec.

    Parameters
    ----------
    path : str
        The file.
    entry : RegisteredCodec
        Its codec.
    conformer : Conformer
        Knows what the frames look like.
    options : mapping
        For the codec.
    """

    def __init__(self, path: str, entry: RegisteredCodec, conformer: Conformer, options: Mapping[str, Any]):
        assert isinstance(entry.codec, ChunkCodec)
        self.path = path
        self._codec, self._format, self._spec = entry.codec, entry.format, conformer.stored
        self._lock = threading.Lock()  # frames come in one thread, and are flushed in another
        self._count = 0  # frames added
        self._hashes: list[int] = []  # of those whose bytes are known
        try:
            self._writer = entry.codec.open_writer(path, entry.format, conformer.stored, options)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(path)
            raise

    def add(self, img: Frame) -> tuple[int, int, int]:
        """Encode a frame; return where its bytes begin in the file, how many they are, and their checksum, or zeros."""
        with self._lock:
            self._writer.add(img)
            extent, packet = self._writer.extent, self._writer.packet
            self._count += 1
            if packet is not None:
                self._hashes.append(checksum([packet]))
        if extent is None:
            return 0, 0, 0
        offset, data = extent
        return offset, len(data), checksum([data])

    @property
    def writes_through(self) -> bool:
        """Whether the operating system has every frame that was added."""
        return self._writer.writes_through

    def forget_after(self, count: int) -> None:
        """What is in the file stays there; `mend` sees to it."""

    def flush(self) -> None:
        """Hand all that can be handed to the operating system."""
        with self._lock:
            self._writer.flush()

    def sync(self) -> None:
        """Wait until what has been handed to the operating system is on the disk."""
        sync_file(self.path)

    def close(self) -> None:
        """Finish the file."""
        with self._lock:
            self._writer.close()

    def abandon(self) -> None:
        """Leave the file as it is."""
        with self._lock:
            self._writer.abandon()

    def mend(self, count: int, replacing: Callable[[int], None]) -> int:
        """Make a whole file of what is there, with the first `count` frames; return how many there are.

        `replacing` is called with their number when it is about to take the place of the one that is there.

        Raises
        ------
        OSError
            That is not possible, for want of space for instance. The file is as it was.
        """
        target = temporary_name(self.path)
        try:
            held = self._codec.recover(self.path, str(target), self._format, self._spec, count)
            if target.exists():
                sync_file(str(target))
                replacing(held)
                os.replace(target, self.path)
            return held
        except NotImplementedError:
            reader = self._codec.open_reader(self.path, self._format, self._spec, {})
            try:
                return min(count, reader.frame_count)
            finally:
                reader.close()
        finally:
            with contextlib.suppress(OSError):
                target.unlink()

    def discard(self) -> None:
        """Remove the file."""
        self.abandon()
        with contextlib.suppress(OSError):
            os.unlink(self.path)

    def size(self) -> int:
        """Return how many bytes the file has by now."""
        try:
            return os.stat(self.path).st_size
        except FileNotFoundError:
            return 0

    def checksums(self) -> tuple[list[int], list[int]]:
        """Return size and checksum of the file."""
        return video_checksums(self.path)

    def frame_checksums(self) -> tuple[list[int], bytes | None]:
        """Return the checksum of each frame's bytes, none where they are not known, and what decoding depends on.

        To be called when the file is closed. Where frames did not come out of the encoder one by one, it is read again.
        """
        with self._lock:
            if self._count == len(self._hashes):
                return self._hashes, self._writer.description
            hashes: Sequence[int] = []
            with contextlib.suppress(Exception):  # the chunk is worth more than these
                reader = self._codec.open_reader(self.path, self._format, self._spec, {})
                try:
                    hashes = reader.frame_checksums()
                finally:
                    reader.close()
            return list(hashes) if len(hashes) == self._count else [], self._writer.description

    def kept_arrays(self) -> Mapping[str, npt.NDArray[Any]]:
        """Return what the codec keeps of the file, so that it need not read it through again. It has to be closed."""
        with contextlib.suppress(Exception):  # the chunk is worth more than these
            return self._writer.kept_arrays()
        return {}


ChunkFiles = DirectoryChunk | VideoChunk


def _write_file(path: str, views: Sequence[memoryview]) -> None:
    """Write a new file, with as few calls as the system allows."""
    waiting = list(views)
    descriptor = os.open(path, _FLAGS, 0o666)
    try:
        try:
            while waiting:
                some = waiting[:_MOST_BUFFERS]
                done = os.writev(descriptor, some) if hasattr(os, "writev") else os.write(descriptor, some[0])
                while waiting and done >= len(waiting[0]):
                    done -= len(waiting.pop(0))
                if waiting:
                    waiting[0] = waiting[0][done:]
        finally:
            os.close(descriptor)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(path)
        raise


def sync_files(paths: Sequence[str]) -> None:
    """Wait until several files are on the disk."""
    try:
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(min(_SYNC_THREADS, len(paths)), "imgstore-sync") as pool:
            for _ in pool.map(sync_file, paths):
                pass
    except RuntimeError:  # while the interpreter shuts down there are no new threads, and no first import of these
        for path in paths:
            sync_file(path)

"""Mending one chunk: its index, its frames, its extra data. Nothing is encoded again and nothing is deleted."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from imgstore.beside.extra_data import dumps_record, load_records, records_path, write_records
from imgstore.care.estimate import ESTIMATED_NAME
from imgstore.care.parts import StoreParts
from imgstore.care.set_aside import SetAside
from imgstore.care.verify_chunk import frame_files, readable_size
from imgstore.codec import ChunkCodec
from imgstore.disk.atomic import sync_directory, sync_file, temporary_name
from imgstore.disk.checksums import (
    CHUNK_NAME,
    EXTRA_DATA_NAME,
    HASH_NAME,
    METADATA_NAME,
    SINCE_REPAIR_NAME,
    SIZE_NAME,
    STREAM_NAME,
    checksum_arrays,
    file_checksum,
    place_arrays,
)
from imgstore.disk.chunk_index import read_all_arrays, read_chunk_index, write_chunk_index
from imgstore.disk.journal import forget_places, goes_on_after_damage, read_journal, read_records, remove_journal
from imgstore.disk.layout import journal_path
from imgstore.errors import (
    ChunkError,
    ChunkIndexError,
    ExtraDataError,
    FrameDecodeError,
    ImgStoreError,
    StoreWriteError,
)

__all__ = ["Action", "Bench", "ChunkMender"]

Array = npt.NDArray[Any]
Guess = Callable[[int, int], tuple[Array, Array, str, bool] | None]

_LARGEST_TEXT = 1 << 29
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
_ONE_ENTRY = (METADATA_NAME, CHUNK_NAME, SINCE_REPAIR_NAME, STREAM_NAME)
_SINCE_REPAIR = {SINCE_REPAIR_NAME: np.ones(1, np.bool_)}


@dataclass(frozen=True)
class Action:
    """Something that repair has done, or would do.

    Attributes
    ----------
    kind : str
        ``'index'``, ``'video'``, ``'extra data'``, ``'set aside'``, ``'journal'``, ``'lock'``, ``'cache'``,
        ``'sqlite index'``, ``'metadata'``, or ``'left'``: this could not be repaired and is as it was.
    path : str
        The file or directory.
    chunk : int or None
        Number of the chunk.
    message : str
        What was done, in one sentence without the path.
    """

    kind: str
    path: str
    chunk: int | None
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


@dataclass
class Bench:
    """Where repairs are done, or only talked about.

    Attributes
    ----------
    aside : SetAside
        Takes what is of no use.
    dry_run : bool
        Do nothing.
    actions : list of Action
        What was done, or would be.
    """

    aside: SetAside
    dry_run: bool
    actions: list[Action] = field(default_factory=list)

    def do(self, kind: str, path: str, chunk: int | None, message: str, *work: Callable[[], object]) -> None:
        """Do something, and say so."""
        if not self.dry_run:
            for step in work:
                step()
        self.actions.append(Action(kind, path, chunk, message))

    def leave(self, path: str, chunk: int | None, message: str) -> None:
        """Say what could not be repaired."""
        self.actions.append(Action("left", path, chunk, message))

    def set_aside(self, path: str, chunk: int | None, why: str) -> None:
        """Take a file or directory out of the store, where it is there."""
        if os.path.lexists(path):
            message = f"{why}; set aside in {self.aside.directory}"
            self.do("set aside", path, chunk, message, lambda: self.aside.move(path))


class ChunkMender:
    """Mends one chunk after the other.

    Parameters
    ----------
    parts : StoreParts
        The store.
    bench : Bench
        What is done, and how.
    guess : callable
        ``guess(chunk, count)`` gives frame numbers, times, where they are from, and whether they are estimated, for a
        chunk whose own are lost; None where nobody knows.
    """

    def __init__(self, parts: StoreParts, bench: Bench, guess: Guess):
        self._parts = parts
        self._bench = bench
        self._guess = guess

    def mend(self, chunk: int) -> None:
        """Make a chunk whole, as far as its files allow."""
        parts, bench = self._parts, self._bench
        has_journal = os.path.lexists(journal_path(parts.root, chunk))
        arrays, index_fault = self._read_index(chunk)
        try:
            self._see_that_it_may_be_read(chunk)
            if arrays is not None:
                self._mend_finished(chunk, arrays)
                if has_journal or os.path.lexists(journal_path(parts.root, chunk, "records")):
                    self._drop_journal(chunk, arrays)
            elif not (has_journal and self._finish_from_journal(chunk, index_fault)):
                self._mend_without_numbers(chunk, index_fault)
        except StoreWriteError:
            raise
        except (ChunkError, ExtraDataError, OSError) as error:
            if isinstance(error, OSError) and error.errno in _NO_SPACE:  # this is not the chunk's fault
                raise StoreWriteError(error.errno, f"cannot write: {error.strerror}", parts.root) from error
            bench.leave(parts.path(chunk), chunk, str(error))
        finally:
            parts.frames.close()

    def _see_that_it_may_be_read(self, chunk: int) -> None:
        """Raise OSError where the system does not give a video's bytes, which says nothing about the frames in it."""
        path = self._parts.path(chunk)
        if os.path.isfile(path):
            with open(path, "rb") as file:
                file.read(1)

    def _read_index(self, chunk: int) -> tuple[dict[str, Array] | None, str]:
        try:
            return read_all_arrays(self._parts.base(chunk)), ""
        except ChunkIndexError as error:
            return None, str(error)

    def _index_files(self, chunk: int) -> list[str]:
        base = self._parts.base(chunk)
        return [base + ending for ending in (".npz", ".yaml") if os.path.lexists(base + ending)]

    # -- a chunk that was being written --------------------------------------------------------------------------

    def _finish_from_journal(self, chunk: int, index_fault: str) -> bool:
        """Give a chunk the index that its journal holds; False where it holds nothing."""
        parts, bench = self._parts, self._bench
        path = journal_path(parts.root, chunk)
        try:
            noted = read_journal(parts.root, chunk)
        except ChunkError as error:
            bench.set_aside(path, chunk, str(error))
            return False
        if goes_on_after_damage(parts.root, chunk, len(noted)):
            raise ChunkError(f"{path}: the journal is damaged after {len(noted)} frames, and goes on")
        lines = self._noted_records(chunk)
        for index in self._index_files(chunk):
            bench.set_aside(index, chunk, index_fault)
        if parts.extension is None:
            kept, sizes, hashes = self._keep_frame_files(chunk, noted)
        else:
            kept, sizes, hashes = self._keep_video(chunk, parts.frames.readable(chunk, noted))
        if not kept:
            self._set_aside_frames(chunk, "no frame of it is whole, or known")
        if not kept and not lines:
            self._set_aside_journal(chunk, "no frame that it tells of is there" if len(noted) else "tells of no frame")
            return True
        lost = len(noted) - kept
        message = f"made from the journal, with {kept} frames and {len(lines)} records of extra data"
        if lost:
            message += f"; {lost} more frames were noted, and had not reached the disk"

        def finish() -> None:
            if parts.extension is None:
                os.makedirs(parts.path(chunk), exist_ok=True)
            base = parts.base(chunk)
            if lines:
                write_records(base, lines)
            beside = records_path(base)
            checksums = checksum_arrays(sizes, hashes, beside if os.path.exists(beside) else None)
            if parts.extension is not None and kept:
                checksums |= _SINCE_REPAIR
            numbers, times = noted["frame_number"][:kept], noted["frame_time"][:kept]
            write_chunk_index(base, numbers, times, checksums | place_arrays(parts.root, chunk))
            remove_journal(parts.root, chunk)
            sync_directory(parts.root)

        bench.do("index", parts.base(chunk) + ".npz", chunk, message, finish)
        return True

    def _noted_records(self, chunk: int) -> list[str]:
        path = journal_path(self._parts.root, chunk, "records")
        if (readable_size(path) or 0) > _LARGEST_TEXT:
            raise ExtraDataError(f"{path}: is too large to be read")
        return [dumps_record(record) for record in read_records(self._parts.root, chunk)]

    def _keep_frame_files(self, chunk: int, noted: Array) -> tuple[int, list[int], list[int]]:
        """Find the last frame that is as the journal has it; what comes after it is set aside."""
        parts, bench = self._parts, self._bench
        found = self._frame_files(chunk)
        sizes, hashes = noted["size"].tolist(), noted["content_hash"].tolist()
        whole = [found.get(k) == sizes[k] and self._agrees(chunk, k, hashes[k]) for k in range(len(sizes))]
        kept = len(whole) - next((k for k, good in enumerate(reversed(whole)) if good), len(whole))
        for k in sorted(k for k in found if k >= kept) if kept else ():
            why = "was not written to its end" if k < len(sizes) else "its number was not noted any more"
            bench.set_aside(parts.frame_path(chunk, k), chunk, why)
        for k in range(kept):
            if not whole[k]:
                what = "is missing" if k not in found else "is not what was written"
                bench.leave(parts.frame_path(chunk, k), chunk, what)
        return kept, sizes[:kept], hashes[:kept]

    def _frame_files(self, chunk: int) -> dict[int, int]:
        try:
            return frame_files(self._parts, chunk)
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise ChunkError(f"{self._parts.path(chunk)}: cannot be listed: {error.strerror or error}") from error

    def _agrees(self, chunk: int, position: int, content_hash: int) -> bool:
        return not content_hash or file_checksum(self._parts.frame_path(chunk, position))[1] == content_hash

    def _keep_video(self, chunk: int, limit: int) -> tuple[int, list[int], list[int]]:
        """Make the video file whole, with `limit` frames at most."""
        path = self._parts.path(chunk)
        if not limit or not os.path.isfile(path):
            return 0, [], []
        try:
            kept = self._recover(chunk, limit, partial(forget_places, self._parts.root, chunk))
        except FrameDecodeError:
            raise
        except ChunkError:
            return 0, [], []
        if not kept or self._bench.dry_run:
            return kept, [], []
        size, content_hash = file_checksum(path)
        return kept, [size], [content_hash]

    def _recover(self, chunk: int, limit: int, replacing: Callable[[int], None] = lambda kept: None) -> int:
        """Put a whole file in the place of a video that is torn, unfinished or too long; return how many frames it has.

        `replacing` is called with their number before.

        Raises
        ------
        ChunkError
            Nothing can be saved.
        OSError
            The file cannot be read, or the whole one not written.
        """
        parts, path = self._parts, self._parts.path(chunk)
        codec = parts.entry.codec
        assert isinstance(codec, ChunkCodec)
        parts.frames.close()
        # where nothing may be changed, the new file is made elsewhere, to see what would come of it
        place = tempfile.mkdtemp() if self._bench.dry_run else None
        temporary = os.path.join(place, "recovered") if place is not None else str(temporary_name(path))
        try:
            try:
                kept = codec.recover(path, temporary, parts.entry.format, parts.spec, limit)
            except NotImplementedError:
                return self._count_readable(chunk, limit)
            if os.path.exists(temporary):
                if place is None:
                    sync_file(temporary)
                self._bench.do(
                    "video", path, chunk,
                    f"the packets of its first {kept} frames are copied into a whole file; the one before is kept in"
                    f" {self._bench.aside.directory}",
                    lambda: self._bench.aside.keep(path),
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

    def _count_readable(self, chunk: int, limit: int) -> int:
        count = min(limit, self._parts.frames.reader(chunk).frame_count)
        while count and not self._decodes(chunk, count - 1):
            count -= 1
        return count

    def _decodes(self, chunk: int, position: int) -> bool:
        try:
            self._parts.frames.read(chunk, position)
        except FrameDecodeError:
            return False
        return True

    def _set_aside_frames(self, chunk: int, why: str) -> None:
        """Take everything of a chunk out of the store, its journal excepted."""
        parts, bench = self._parts, self._bench
        beside = "belongs to a video that is set aside" if os.path.lexists(parts.path(chunk)) else "its video is gone"
        bench.set_aside(parts.path(chunk), chunk, why)
        if parts.extension is not None:
            for path in (*self._index_files(chunk), records_path(parts.base(chunk))):
                bench.set_aside(path, chunk, beside)

    def _set_aside_journal(self, chunk: int, why: str) -> None:
        for kind in ("records", "journal"):
            self._bench.set_aside(journal_path(self._parts.root, chunk, kind), chunk, why)

    def _drop_journal(self, chunk: int, arrays: dict[str, Array]) -> None:
        """Remove the journal of a chunk that is finished, once it is sure that nothing stands in it alone."""
        parts, bench = self._parts, self._bench
        path = journal_path(parts.root, chunk)
        try:
            noted = read_journal(parts.root, chunk) if os.path.lexists(path) else None
        except ChunkError as error:
            noted = None
            bench.set_aside(path, chunk, str(error))
        count = len(arrays["frame_number"])
        if noted is not None and not np.array_equal(noted["frame_number"], arrays["frame_number"]):
            self._set_aside_journal(chunk, "tells of other frames than the index of the chunk")
            return
        lines = self._noted_records(chunk)
        records = records_path(parts.base(chunk))
        if lines and not os.path.exists(records):

            def write() -> None:
                write_records(parts.base(chunk), lines)
                self._rewrite_index(chunk, dict(arrays), count)

            bench.do("extra data", records, chunk, f"made from {len(lines)} records beside the journal", write)
        elif lines and [dumps_record(record) for record in load_records(records)][: len(lines)] != lines:
            self._set_aside_journal(chunk, "has other extra data than the chunk")
            return
        bench.do(
            "journal", path, chunk, "all that it says is in the finished chunk; removed",
            lambda: remove_journal(parts.root, chunk), lambda: sync_directory(parts.root),
        )  # fmt: skip

    # -- a chunk with an index -----------------------------------------------------------------------------------

    def _mend_finished(self, chunk: int, arrays: dict[str, Array]) -> None:
        parts, bench = self._parts, self._bench
        count = len(arrays["frame_number"])
        if parts.extension is None:
            kept = self._mend_frame_files(chunk, count, arrays)
        else:
            kept = self._mend_video(chunk, count, arrays)
        if kept is None:
            return
        changed = kept != count or self._video_changed(chunk, arrays)
        changed_records = self._mend_records(chunk, arrays)
        if kept < count:
            message = f"cut from {count} to {kept} entries: the other frames are gone"
        else:
            message = "its checksums are those of what is there now"
        if changed or changed_records:
            bench.do(
                "index", parts.base(chunk) + ".npz", chunk, message,
                lambda: self._keep_index(chunk), lambda: self._rewrite_index(chunk, arrays, kept),
            )  # fmt: skip
        if CHUNK_NAME in arrays and arrays[CHUNK_NAME].tolist() != [chunk]:
            message = "is the index of another chunk: somebody has to say which is which"
            bench.leave(parts.base(chunk) + ".npz", chunk, message)

    def _video_changed(self, chunk: int, arrays: dict[str, Array]) -> bool:
        """Whether the chunk's file has been replaced, so that its checksum is another."""
        path = self._parts.path(chunk)
        return HASH_NAME in arrays and any(a.kind == "video" and a.path == path for a in self._bench.actions)

    def _keep_index(self, chunk: int) -> None:
        for path in self._index_files(chunk):
            self._bench.aside.keep(path)

    def _rewrite_index(self, chunk: int, arrays: dict[str, Array], kept: int) -> None:
        """Write the index of a chunk again, for its first frames alone, with the checksums of what is there."""
        parts = self._parts
        base = parts.base(chunk)
        count = len(arrays["frame_number"])
        extra = {
            name: values[:kept] if len(values) == count and name not in _ONE_ENTRY else values
            for name, values in arrays.items()
            if name not in ("frame_number", "frame_time", EXTRA_DATA_NAME)
        }
        if HASH_NAME in arrays:
            if parts.extension is not None:
                files = [file_checksum(parts.path(chunk))] if kept else []
                extra[SIZE_NAME] = np.array([size for size, _ in files], np.int64)
                extra[HASH_NAME] = np.array([content_hash for _, content_hash in files], np.uint64)
                extra |= _SINCE_REPAIR
                extra.pop(STREAM_NAME, None)  # a mended file may have a header of another kind
            if os.path.exists(records_path(base)):
                extra[EXTRA_DATA_NAME] = np.array([file_checksum(records_path(base))[1]], np.uint64)
        write_chunk_index(base, arrays["frame_number"][:kept], arrays["frame_time"][:kept], extra)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(base + ".yaml")  # kept aside; 0.x would find it beside the new one

    def _mend_frame_files(self, chunk: int, count: int, arrays: dict[str, Array]) -> int | None:
        """Return how many frames of the index are to be kept; None where the chunk is set aside as a whole."""
        parts, bench = self._parts, self._bench
        found = self._frame_files(chunk)
        sizes = arrays.get(SIZE_NAME)
        if sizes is None or len(sizes) != count:
            whole = [bool(found.get(k)) for k in range(count)]
        else:
            whole = [found.get(k) == size for k, size in enumerate(sizes.tolist())]
        kept = count - next((k for k, good in enumerate(reversed(whole)) if good), count)
        if count and not kept:
            self._set_aside_frames(chunk, f"none of its {count} frames is there")
            return None
        for k in sorted(k for k in found if k >= kept):
            why = "was not written to its end" if k < count else "is not in the index of the chunk"
            bench.set_aside(parts.frame_path(chunk, k), chunk, why)
        for k in range(kept):
            if not whole[k]:
                what = "is missing" if k not in found else "is not of the size that was written"
                bench.leave(parts.frame_path(chunk, k), chunk, what)
        return kept

    def _mend_video(self, chunk: int, count: int, arrays: dict[str, Array]) -> int | None:
        """Return how many frames of the index are to be kept; None where the chunk is set aside as a whole."""
        path = self._parts.path(chunk)
        if not os.path.isfile(path):
            if not count:
                return 0  # extra data without frames
            self._set_aside_frames(chunk, "is no file")
            return None
        try:
            if self._video_is_whole(chunk, count, arrays):
                return count
            kept = self._recover(chunk, count)
        except FrameDecodeError:
            raise
        except ChunkError as error:
            self._set_aside_frames(chunk, str(error).removeprefix(f"{path}: "))
            return None
        if not kept:
            self._set_aside_frames(chunk, "no frame of it can be decoded")
            return None
        if kept == count and SIZE_NAME in arrays and not self._video_changed(chunk, arrays):
            self._bench.leave(path, chunk, "is not of the size that was written, though all frames seem to be there")
        return kept

    def _video_is_whole(self, chunk: int, count: int, arrays: dict[str, Array]) -> bool:
        try:
            if self._parts.frames.reader(chunk).frame_count != count:
                return False
        except ChunkError:
            return False
        path, sizes = self._parts.path(chunk), arrays.get(SIZE_NAME)
        if sizes is not None and sizes.tolist() == [os.path.getsize(path)]:
            return True  # no end is missing; whether its middle is what it was is not for repair to find out
        return sizes is None and (not count or self._decodes(chunk, count - 1))

    def _mend_records(self, chunk: int, arrays: dict[str, Array] | None) -> bool:
        """Save what can be read of a chunk's extra data; return whether its file has changed."""
        bench, path = self._bench, records_path(self._parts.base(chunk))
        size = readable_size(path)
        if size is None:
            if arrays is not None and EXTRA_DATA_NAME in arrays:
                bench.leave(path, chunk, "the extra data of the chunk is missing")
            return False
        if size > _LARGEST_TEXT:
            bench.leave(path, chunk, f"has {size} bytes, too many to be read")
            return False
        try:
            load_records(path)
        except OSError as error:
            bench.leave(path, chunk, f"cannot be read: {error.strerror or error}")
        except ExtraDataError:
            saved = _records_in(path)
            if not saved:
                bench.set_aside(path, chunk, "holds no record of extra data that can be read")
                return True

            def write() -> None:
                bench.aside.keep(path)
                write_records(self._parts.base(chunk), [dumps_record(record) for record in saved])

            bench.do("extra data", path, chunk, f"{len(saved)} records could be read and are kept", write)
            return True
        return False

    # -- a chunk whose numbers are lost --------------------------------------------------------------------------

    def _mend_without_numbers(self, chunk: int, index_fault: str) -> None:
        """Give a chunk without a journal and a readable index one from elsewhere, where there is one."""
        parts, bench, path = self._parts, self._bench, self._parts.path(chunk)
        held = self._frames_without_numbers(chunk)
        if held is None:
            bench.leave(path, chunk, index_fault)
            return
        if not held:
            self._set_aside_frames(chunk, "holds no frame that can be decoded")
            return
        guess = self._own_numbers(chunk, held) or self._guess(chunk, held)
        if guess is None:
            bench.leave(
                path, chunk,
                f"nobody knows the numbers and times of its {held} frames;"
                " --estimate-times estimates them where a rate is known",
            )  # fmt: skip
            return
        numbers, times, source, estimated = guess
        lines = [] if os.path.exists(records_path(parts.base(chunk))) else self._noted_records(chunk)
        if parts.extension is not None:
            held = self._recover(chunk, len(numbers))
        else:
            for k in sorted(k for k in self._frame_files(chunk) if k >= held):
                bench.set_aside(parts.frame_path(chunk, k), chunk, "was not written to its end")
        self._mend_records(chunk, None)
        for index in self._index_files(chunk):
            bench.set_aside(index, chunk, index_fault)

        def write() -> None:
            base = parts.base(chunk)
            if lines:
                write_records(base, lines)
            if parts.extension is None:
                files = [file_checksum(parts.frame_path(chunk, k)) for k in range(held)]
            else:
                files = [file_checksum(path)]
            beside = records_path(base) if os.path.exists(records_path(base)) else None
            extra = checksum_arrays([size for size, _ in files], [noted for _, noted in files], beside)
            if estimated:
                extra[ESTIMATED_NAME] = np.ones(held, np.bool_)
            extra |= _SINCE_REPAIR | place_arrays(parts.root, chunk)
            write_chunk_index(base, numbers[:held], times[:held], extra)
            if lines:
                remove_journal(parts.root, chunk)
                sync_directory(parts.root)

        bench.do("index", parts.base(chunk) + ".npz", chunk, f"made for {held} frames, {source}", write)
        if not lines:
            self._set_aside_journal(chunk, "the chunk has other extra data")

    def _own_numbers(self, chunk: int, count: int) -> tuple[Array, Array, str, bool] | None:
        """Return what can be read of a damaged index, where that is numbers and times of every frame."""
        try:
            numbers, times = read_chunk_index(self._parts.base(chunk))
        except ChunkIndexError:
            return None
        return (numbers, times, "with what could be read of the old one", False) if len(numbers) == count else None

    def _frames_without_numbers(self, chunk: int) -> int | None:
        """Count the frames of a chunk, from the first on without a gap; None where that cannot be told."""
        parts = self._parts
        if parts.extension is None:
            found = self._frame_files(chunk)
            count = 0
            while found.get(count):
                count += 1
            if len(found) > count + 1:
                return None
            while count and not self._decodes(chunk, count - 1):
                count -= 1
            return count
        if not readable_size(parts.path(chunk)):
            return 0
        try:
            return self._count_readable(chunk, parts.frames.reader(chunk).frame_count)
        except ChunkError:
            return 0


def _records_in(path: str) -> list[dict[str, Any]]:
    """Read the records of a JSON list up to where it is damaged."""
    with open(path, "rb") as file:
        text = file.read().decode("utf-8", "replace")
    decoder, at = json.JSONDecoder(), text.find("[") + 1
    found: list[dict[str, Any]] = []
    while 0 < at < len(text):
        while at < len(text) and text[at] in " \t\r\n,":
            at += 1
        try:
            record, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            break
        if not isinstance(record, dict):
            break
        found.append(record)
    return found

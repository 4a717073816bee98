"""Mending the frames of a chunk that is a directory with a file for each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy.typing as npt

from imgstore.care.bench import Bench
from imgstore.care.chunk_files import frame_files
from imgstore.care.faults import Fault, joined
from imgstore.disk.checksums import CHANGED_ON_PURPOSE, SIZE_NAME, file_checksum
from imgstore.errors import ChunkError

__all__ = ["FrameFiles"]

Array = npt.NDArray[Any]


class FrameFiles:
    """The frame files of one chunk. A frame that is damaged before good ones keeps its place.

    Parameters
    ----------
    bench : Bench
        What is done, and how.
    chunk : int
        Number of the chunk.
    """

    replaced = False  # what is there is moved, never made anew

    def __init__(self, bench: Bench, chunk: int):
        self._bench = bench
        self._chunk = chunk

    def keep_noted(self, noted: Array) -> int:
        """Return how many frames to keep of an unfinished chunk, given its journal; what comes after is set aside."""
        found = self._found()
        sizes, hashes = noted["size"].tolist(), noted["content_hash"].tolist()
        whole = [found.get(k) == sizes[k] and self._agrees(k, hashes[k]) for k in range(len(sizes))]
        kept = _up_to_last(whole)
        if kept:
            numbers = noted["frame_number"]
            self._keep(found, whole, kept, numbers, "its number was not noted any more", "is not what was written")
        return kept

    def keep_listed(self, count: int, arrays: Mapping[str, Array]) -> int | None:
        """Return how many frames of the index to keep; None where the chunk is set aside as a whole."""
        found = self._found()
        sizes = arrays.get(SIZE_NAME)
        if sizes is None or len(sizes) != count:
            whole = [bool(found.get(k)) for k in range(count)]
        else:
            whole = [found.get(k) == size for k, size in enumerate(sizes.tolist())]
        kept = count
        while kept and not whole[kept - 1] and not self._is_a_frame(kept - 1, found):
            kept -= 1
        if count and not kept:
            self._bench.set_aside_chunk(self._chunk, f"none of its {count} frames is there")
            return None
        alien, damaged = (
            "is not in the index of the chunk",
            f"is not of the size that was written; {CHANGED_ON_PURPOSE}",
        )
        self._keep(found, whole, kept, arrays["frame_number"], alien, damaged)
        return kept

    def count(self) -> int | None:
        """Count the frames, from the first on without a gap; None where that cannot be told."""
        found = self._found()
        count = 0
        while found.get(count):
            count += 1
        if len(found) > count + 1:
            return None
        while count and not self._bench.parts.decodes(self._chunk, count - 1):
            count -= 1
        return count

    def cut(self, count: int) -> int:
        """Set aside what comes after the first `count` frames, and return how many there are."""
        for k in sorted(k for k in self._found() if k >= count):
            self._set_aside(k, "was not written to its end")
        return count

    def checksums(self, noted: Array | None, count: int) -> list[tuple[int, int]]:
        """Return sizes and checksums of the first `count` frames: as they were written, where a journal tells."""
        if noted is not None:
            return list(zip(noted["size"][:count].tolist(), noted["content_hash"][:count].tolist(), strict=True))
        return [file_checksum(self._bench.parts.frame_path(self._chunk, k)) for k in range(count)]

    def _found(self) -> dict[int, int]:
        try:
            return frame_files(self._bench.parts, self._chunk)
        except FileNotFoundError:
            return {}
        except OSError as error:
            path = self._bench.parts.path(self._chunk)
            raise ChunkError(f"{path}: cannot be listed: {error.strerror or error}") from error

    def _is_a_frame(self, position: int, found: dict[int, int]) -> bool:
        """Whether a file that is not what was written holds a whole frame nevertheless: then it is not torn."""
        parts, chunk = self._bench.parts, self._chunk
        if not found.get(position):
            return False
        others = parts.shape_in(parts.frame_path(chunk, position)) not in (None, parts.spec.shape)
        return others or parts.decodes(chunk, position)

    def _agrees(self, position: int, content_hash: int) -> bool:
        path = self._bench.parts.frame_path(self._chunk, position)
        return not content_hash or file_checksum(path)[1] == content_hash

    def _keep(
        self, found: dict[int, int], whole: list[bool], kept: int, numbers: Array, alien: str, damaged: str
    ) -> None:
        """Set aside what comes after the last whole frame, and say which before it are not."""
        bench, chunk = self._bench, self._chunk
        for k in sorted(k for k in found if k >= kept):
            self._set_aside(k, "was not written to its end" if k < len(whole) else alien)
        faults = (
            Fault("left", bench.parts.frame_path(chunk, k), chunk, k, damaged if k in found else "is missing")
            for k in range(kept)
            if not whole[k]
        )
        for fault in joined(faults, numbers):
            bench.leave(fault.path, chunk, f"{fault.where}: {fault.message}")

    def _set_aside(self, position: int, why: str) -> None:
        self._bench.set_aside(self._bench.parts.frame_path(self._chunk, position), self._chunk, why)


def _up_to_last(whole: list[bool]) -> int:
    return len(whole) - next((k for k, good in enumerate(reversed(whole)) if good), len(whole))

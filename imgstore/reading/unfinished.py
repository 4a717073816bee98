"""How far an unfinished chunk goes: the tail that a recording has left which was killed, or goes on."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

from imgstore.disk.checksums import checksum
from imgstore.reading.chunks import Chunks

__all__ = ["Unfinished"]


class Unfinished:
    """Counts the frames of unfinished chunks whose bytes are those that were written.

    After a power cut a file may have its length and not its content. So the bytes of each frame are compared with their
    checksum, once.

    Parameters
    ----------
    chunks : Chunks
        Where they are.
    file_per_frame : bool
        Whether each frame is a file, or a chunk is.
    """

    def __init__(self, chunks: Chunks, *, file_per_frame: bool):
        self._chunks = chunks
        self._file_per_frame = file_per_frame
        self._compared: dict[int, tuple[int, int]] = {}  # how many frames of a chunk, and what is noted of the last one

    def whole(self, chunk: int, noted: npt.NDArray[Any]) -> int:
        """Count the frames of a chunk that are whole, from the first on.

        Parameters
        ----------
        chunk : int
            Number of the chunk.
        noted : numpy.ndarray
            Its journal, as `imgstore.disk.journal.read_journal` returns it.
        """
        whole, last = self._compared.get(chunk, (0, 0))
        if whole > len(noted) or (whole and int(noted["hash"][whole - 1]) != last):
            whole = 0  # the chunk was begun anew
        for k in range(whole, len(noted)):
            if not self._is_whole(chunk, k, *(int(noted[name][k]) for name in ("offset", "size", "content_hash"))):
                break
            whole = k + 1
        self._compared[chunk] = whole, int(noted["hash"][whole - 1]) if whole else 0
        return whole

    def _is_whole(self, chunk: int, position: int, offset: int, size: int, content_hash: int) -> bool:
        source = self._chunks.source
        try:
            if self._file_per_frame:
                data = source.read(self._chunks.frame_name(chunk, position))
            elif size:
                data = source.read(self._chunks.name(chunk), offset, size)
            else:
                return True  # nobody knows which bytes are this frame's
        except OSError:
            return False
        return len(data) == size and checksum([data]) == content_hash

"""A chunk that is written by itself, apart from its store: whole, or an error."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy.typing as npt

from imgstore.codec import FrameCodec
from imgstore.disk.atomic import as_write_error
from imgstore.disk.journal import Journal
from imgstore.disk.layout import chunk_path
from imgstore.plugins import RegisteredCodec
from imgstore.writing.checks import checked_frame_number, checked_frame_time
from imgstore.writing.chunk_files import ChunkFiles, DirectoryChunk, VideoChunk
from imgstore.writing.chunk_in_hand import ChunkInHand
from imgstore.writing.conform import Conformer
from imgstore.writing.given_frames import GivenFrames
from imgstore.writing.put_in_place import put_in_place

__all__ = ["write_single_chunk"]


def write_single_chunk(
    root: str,
    entry: RegisteredCodec,
    conformer: Conformer,
    options: Mapping[str, Any],
    number: int,
    frames: Iterable[tuple[npt.NDArray[Any], int, float]],
    of_store: Mapping[str, npt.NDArray[Any]],
) -> int:
    """Write one chunk of a store, as a recording would, with its index and without extra data.

    Parameters
    ----------
    root : str
        A directory with the store's ``metadata.yaml`` in which nobody else writes. What an error leaves there is rubbish.
    entry, conformer, options
        Codec, what becomes of the frames, and what the codec is told; see `imgstore.writing.writer.Writer`.
    number : int
        The chunk's.
    frames : iterable of (ndarray, int, float)
        Images, frame numbers and times in seconds. Nothing is written where there are none.
    of_store : mapping of str to ndarray
        What the chunk's index says of the store.

    Returns
    -------
    int
        How many frames there were. They are on the disk.

    Raises
    ------
    ArgumentError
        A frame, a number or a time cannot be used.
    StoreWriteError
        The operating system refused.
    """
    chunk: ChunkInHand | None = None
    given = GivenFrames(root, conformer.given)
    encode = entry.codec.encoder(entry.format, conformer.stored, options) if isinstance(entry.codec, FrameCodec) else None
    extension = entry.format.extension if encode is None else None
    path = chunk_path(root, number, extension)
    try:
        for img, frame_number, frame_time in frames:
            frame = conformer.convert(given.take(img, frame_number))
            if chunk is None:
                with _writing(path):
                    journal = Journal(root, number)
                    files: ChunkFiles
                    if encode is not None:
                        files = DirectoryChunk(path, entry.format.extension)
                    else:
                        files = VideoChunk(path, entry, conformer, options)
                chunk = ChunkInHand(number, files, journal)
            chunk.add_frame(
                encode(frame) if encode is not None else frame,
                checked_frame_number(frame_number),
                checked_frame_time(frame_time),
            )
        if chunk is None:
            return 0
        with _writing(path):
            chunk.files.close()  # by itself, so that an error is one: a recording would save what can be saved
        chunk.closed = True
        numbers, _ = put_in_place(root, extension, chunk, of_store, sync=True)
        return len(numbers)
    except BaseException:
        if chunk is not None:
            chunk.files.abandon()
            chunk.journal.close()
        raise


@contextlib.contextmanager
def _writing(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise as_write_error(path, error) from error

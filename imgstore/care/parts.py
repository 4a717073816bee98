"""A store taken apart: what checking and mending it need, without opening it."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

from imgstore import plugins
from imgstore.codec import FrameSpec
from imgstore.disk.layout import Listing, chunk_base, chunk_path, list_store
from imgstore.disk.metadata import StoreMetadata, read_metadata, store_directory
from imgstore.errors import FrameDecodeError
from imgstore.pixels.encodings import check_encoding
from imgstore.plugins import RegisteredCodec
from imgstore.reading.chunk_frames import ChunkFrames
from imgstore.reading.store_chunks import StoreChunks

__all__ = ["StoreParts", "take_apart"]

_CACHE_SIZE = 64 << 20
_LARGEST_OVERHEAD = 1 << 20


@dataclass(frozen=True)
class StoreParts:
    """The parts of one store.

    Attributes
    ----------
    root : str
        Its directory.
    meta : StoreMetadata
        What its ``metadata.yaml`` says.
    entry : RegisteredCodec
        The codec that reads it.
    spec : FrameSpec
        What its frames are.
    frames : ChunkFrames
        Opens its chunks; to be closed.
    """

    root: str
    meta: StoreMetadata
    entry: RegisteredCodec
    spec: FrameSpec
    frames: ChunkFrames

    @property
    def extension(self) -> str | None:
        """Of its video files; None where chunks are directories."""
        return self.meta.extension

    @property
    def largest_frame_file(self) -> int:
        """Bytes beyond which a frame's file is none, whatever it claims: no format makes frames four times as large."""
        samples = self.spec.dtype.itemsize
        for length in self.spec.shape:
            samples *= length
        return 4 * samples + _LARGEST_OVERHEAD

    def path(self, chunk: int) -> str:
        """Return the path of a chunk's video file or directory."""
        return chunk_path(self.root, chunk, self.extension)

    def base(self, chunk: int) -> str:
        """Return the path, without extension, of a chunk's index and extra data."""
        return chunk_base(self.root, chunk, self.extension)

    def frame_path(self, chunk: int, position: int) -> str:
        """Return the path of a frame's file, where each has one."""
        return os.path.join(self.path(chunk), f"{position:06d}{self.entry.format.extension}")

    def decodes(self, chunk: int, position: int) -> bool:
        """Whether a frame can be decoded, whatever its checksum."""
        try:
            self.frames.read(chunk, position)
        except FrameDecodeError:
            return False
        return True

    def shape_in(self, path: str) -> tuple[int, ...] | None:
        """Return the shape of the frames in a file, where it may be another than the store's; None where nobody knows."""
        try:
            found = self.entry.codec.frame_spec(path, self.entry.format)
        except Exception:  # whatever a codec has to say about a damaged file
            return None
        if found is None or self.entry.format.any_shape:
            return None if found is None else found.shape
        return found.shape[:2] + self.spec.shape[2:]  # colour is converted as the store says

    def of_shape(self, shape: tuple[int, ...]) -> StoreParts:
        """Return the parts of a store with the same files whose frames have another shape."""
        shape += self.meta.imgshape[len(self.spec.shape) :]  # of (h, w, 1)
        meta = replace(self.meta, values={**self.meta.values, "imgshape": list(shape)}, imgshape=shape)
        return _open(self.root, meta, self.entry)

    def listing(self) -> Listing:
        """Look at the names in the directory now."""
        return list_store(self.root, self.extension)


def take_apart(path: str | os.PathLike[str]) -> StoreParts:
    """Read what a store is.

    Parameters
    ----------
    path : path-like
        The store's directory or its ``metadata.yaml``.

    Raises
    ------
    NotAStoreError
        There is no store.
    MetadataError
        Its metadata do not describe one.
    FormatError
        No codec reads it on this machine.
    ArgumentError
        Its encoding is none.
    """
    root = store_directory(path, None)
    meta = read_metadata(root)
    if meta.encoding is not None:
        check_encoding(meta.encoding)
    entry = plugins.codec_for_stored(meta.format, meta.extension)
    return _open(root, meta, entry)


def _open(root: str, meta: StoreMetadata, entry: RegisteredCodec) -> StoreParts:
    spec = meta.frame_spec(entry.format)
    options = {"seek": True, "threads": 1, "cache_size": _CACHE_SIZE}  # FFmpeg tells of more damage than with several
    chunks = StoreChunks(root, meta.extension, entry.format.extension)
    frames = ChunkFrames(chunks, entry, spec, options, checksums=False)  # compared by whole files
    return StoreParts(root, meta, entry, spec, frames)

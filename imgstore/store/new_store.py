"""What a new store will be, worked out from what was asked for before anything of it is written."""

from __future__ import annotations

from typing import Any, NamedTuple

from imgstore import plugins
from imgstore.codec import ChunkCodec, Codec
from imgstore.disk.metadata import StoreMetadata, new_metadata
from imgstore.errors import ArgumentError
from imgstore.options import WriteOptions, check_codec_options
from imgstore.plugins import RegisteredCodec
from imgstore.writing.conform import Conformer, conform

__all__ = ["NewStore", "chunk_extensions", "describe_new_store"]

_DEFAULT_CHUNKSIZE = {True: 10000, False: 200}  # by whether chunks are video files


class NewStore(NamedTuple):
    """What a new store will be.

    Attributes
    ----------
    entry : RegisteredCodec
        Its codec.
    conformer : Conformer
        From given frames to stored ones.
    codec_options : dict
        That the codec is given.
    metadata : StoreMetadata
        What ``metadata.yaml`` will say.
    """

    entry: RegisteredCodec
    conformer: Conformer
    codec_options: dict[str, Any]
    metadata: StoreMetadata


def describe_new_store(root: str, options: WriteOptions, kind: type[Codec] = Codec) -> NewStore:
    """Work out what a new store will be; nothing is written.

    Parameters
    ----------
    root : str
        Its directory.
    options : WriteOptions
        What was asked for.
    kind : type of Codec
        Of which its codec must be.

    Raises
    ------
    FormatError, ArgumentError
        See `imgstore.new_for_format`.
    """
    if options.imgshape is None or options.format is None:
        raise ArgumentError("writing needs imgshape (the shape of the frames) and format")
    entry = plugins.codec_for_format(options.format, options.backend, kind)
    extension = entry.format.extension if isinstance(entry.codec, ChunkCodec) else None
    decoded = options.format.endswith(plugins.DECODED_SUFFIX)
    conformer = conform(entry.format, options.imgshape, options.imgdtype, options.encoding, decoded)
    codec_options = check_codec_options(entry.codec, entry.format, options)
    entry.codec.check_options(entry.format, conformer.stored, codec_options)
    metadata = new_metadata(
        root,
        format=entry.format.name,
        extension=extension,
        imgshape=conformer.noted,
        imgdtype=conformer.stored.dtype,
        chunksize=options.chunksize or _DEFAULT_CHUNKSIZE[extension is not None],
        encoding=conformer.encoding,
        fps=options.fps,
        framerate=options.framerate,
        user=options.metadata,
    )
    return NewStore(entry, conformer, codec_options, metadata)


def chunk_extensions() -> list[str | None]:
    """Return what chunks of any store may end in; None for directories."""
    video = {e.format.extension for e in plugins.registered_codecs() if isinstance(e.codec, ChunkCodec)}
    return [None, *sorted(video)]

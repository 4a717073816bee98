"""Every error and warning of imgstore.

Each is also the built-in error that imgstore 0.x raised in its place, so that ``except ValueError`` and the like in
existing pipelines go on working.
"""

from __future__ import annotations

__all__ = [
    "ArgumentError",
    "ChunkError",
    "ChunkIndexError",
    "CodecUnavailableError",
    "EndOfStoreError",
    "ExtraDataError",
    "FormatError",
    "FrameDecodeError",
    "FrameIndexError",
    "FrameNotFoundError",
    "ImgStoreError",
    "ImgStoreWarning",
    "MetadataError",
    "NotAStoreError",
    "ReadOnlyError",
    "RecorderFullError",
    "StaleIndexError",
    "StoreClosedError",
    "StoreExistsError",
    "StoreLockedError",
    "StoreWriteError",
    "UnfinishedStoreError",
    "UnknownOptionError",
]


class ImgStoreWarning(UserWarning):
    """Something is missing, damaged or about to be converted, and the work goes on."""


class ImgStoreError(Exception):
    """Base of every error that imgstore raises by itself."""


class ArgumentError(ImgStoreError, ValueError):
    """A value given by the caller cannot be used."""


class UnknownOptionError(ArgumentError, TypeError):
    """A keyword is not among those that opening a store takes."""


class NotAStoreError(ImgStoreError, FileNotFoundError, ValueError):
    """There is no store at the path."""


class MetadataError(ImgStoreError, ValueError):
    """``metadata.yaml`` cannot be read or does not describe a store of version 2."""


class FormatError(ImgStoreError, ValueError):
    """The format is unknown, or cannot hold these frames."""


class CodecUnavailableError(FormatError):
    """The format is known, but something that it needs is missing on this machine."""


class StoreExistsError(ImgStoreError, FileExistsError, ValueError):
    """A store would be written where one is already."""


class StoreLockedError(ImgStoreError, OSError):
    """Another writer has the store open."""


class StoreClosedError(ImgStoreError, ValueError):
    """The store has been closed, or was opened for the other direction."""


class StoreWriteError(ImgStoreError, OSError):
    """The operating system refused to write: disk full, no permission, ..."""


class ChunkError(ImgStoreError, OSError, ValueError):
    """A chunk's file or directory is missing or damaged."""


class ChunkIndexError(ChunkError):
    """The index of a chunk cannot be read."""


class FrameDecodeError(ChunkError):
    """A frame that the index lists cannot be decoded."""


class ExtraDataError(ImgStoreError, ValueError):
    """A file with extra data cannot be read."""


class FrameNotFoundError(ImgStoreError, ValueError):
    """No frame has this number, time or index."""


class FrameIndexError(ImgStoreError, IndexError):
    """A position outside the store, in sequence access."""


class EndOfStoreError(ImgStoreError, EOFError):
    """There is no next frame."""


class ReadOnlyError(ImgStoreError, TypeError, ValueError):
    """What a store says of itself would be changed in a way that is forgotten."""


class RecorderFullError(ImgStoreError, BufferError):
    """As many frames as may wait to be written are waiting."""


class StaleIndexError(ImgStoreError, ValueError):
    """The index does not agree with the chunks any more, which are right; or the store was replaced by another one."""


class UnfinishedStoreError(ImgStoreError, RuntimeError):
    """Some chunks of a store that several workers make are not there. Those that are stay: the same call completes it.

    Attributes
    ----------
    failures : list of (int, str)
        Numbers of chunks that failed, and why.
    """

    def __init__(self, message: str, failures: list[tuple[int, str]]):
        super().__init__(message, failures)
        self.failures = failures

    def __str__(self) -> str:
        return str(self.args[0])

"""What a codec is.

A codec turns frames into bytes and back for one or more formats. There are two kinds:

`FrameCodec`
    one file per frame, in a directory per chunk (``png``, ``npy``, ...). It never touches a file: it is handed an
    array and gives bytes, is handed bytes and gives an array. Files, names, crash safety, checksums and parallel work
    are the store's business, and the same codec serves any storage.
`ChunkCodec`
    one file per chunk (video). It opens a `ChunkWriter` or a `ChunkReader` on the file's path.

A codec reaches imgstore through the hook ``imgstore_codecs`` (see `imgstore.hookspecs`); the codecs that ship do so
too. What a format cannot hold is said in its `Format`, and the store converts (with a warning) or refuses before the
codec sees a frame. So a codec is only ever given C-contiguous frames of the one `FrameSpec` that it was opened for.

One module, because it is one contract, and read as a whole.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = [
    "Buffer", "ChunkCodec", "ChunkReader", "ChunkWriter", "Codec", "Format", "FrameCodec", "FrameSpec", "Survey",
]  # fmt: skip

Frame = npt.NDArray[Any]
Buffer = bytes | bytearray | memoryview | Frame


@dataclass(frozen=True)
class FrameSpec:
    """What every frame of a chunk looks like.

    Attributes
    ----------
    shape : tuple of int
        ``(h, w)`` for grayscale, ``(h, w, 3)`` for BGR colour; formats with ``any_shape`` see other shapes too.
    dtype : numpy.dtype
        Type of the samples, in native byte order.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def color(self) -> bool:
        """Whether the frames have three channels."""
        return len(self.shape) == 3 and self.shape[2] == 3

    @property
    def nbytes(self) -> int:
        """Bytes of a frame."""
        return math.prod(self.shape) * self.dtype.itemsize


@dataclass(frozen=True)
class Format:
    """One format, and all that the store has to know about it.

    Attributes
    ----------
    name : str
        What users say and ``metadata.yaml`` holds: ``npy``, ``avc1/mp4``.
    extension : str
        Of its files, with the dot.
    lossless : bool
        Whether frames come back exactly as they were written with the codec's default options.
    dtypes : tuple of str or None
        Numpy names of the sample types that the format holds exactly; None: all of them.
    any_shape : bool
        Whether frames of any shape can be held; otherwise grayscale ``(h, w)`` and BGR ``(h, w, 3)``.
    even_size : bool
        Whether heights and widths must be even (chroma subsampling); the store cuts odd ones.
    decoded_variant : bool
        Whether ``NAME+color`` is a format too: frames with an encoding are decoded to BGR before they are written.
    holds_color : bool
        False where colour frames lose their colour in the file (``pgm``); the store warns.
    aliases : tuple of str
        Other names under which stores may call it.
    """

    name: str
    extension: str
    lossless: bool
    dtypes: tuple[str, ...] | None = ("uint8",)
    any_shape: bool = False
    even_size: bool = False
    decoded_variant: bool = False
    holds_color: bool = True
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True)
class Survey:
    """What a codec finds out about a file that is no chunk of a store, so that it is read as if it were one.

    It may be kept and given back in another process, as long as the file does not change.

    Attributes
    ----------
    format : Format
        What the file is, for people: ``h264/mp4``.
    spec : FrameSpec
        What its frames are by themselves.
    frame_count : int
        How many it holds.
    ticks : numpy.ndarray of int64 or None
        When each frame is shown, in the file's own clock and in units of `tick`; None where the file does not say.
    tick : tuple of int
        Seconds, as a fraction: numerator and denominator.
    fps : float or None
        Frames per second, where they are even.
    created : float or None
        When the file says that it was made, in seconds since the epoch.
    turn : tuple of int or None
        How a player turns and mirrors frames: (a, b, c, d) brings what is at (x, y) to (a x + c y, b x + d y).
    converts : bool
        Whether `ChunkCodec.open_reader` takes other specs than this one: in colour or gray, and of 8 bits.
    arrays : mapping of str to numpy.ndarray
        Whatever the codec needs to open the file without reading it through: one-dimensional arrays of numbers. See
        `ChunkReader.kept_arrays`, which says the same of chunks of stores.
    reader : ChunkReader or None
        What the file was surveyed with, still open: `ChunkCodec.open_reader` may take it over, once. It is not kept.
    """

    format: Format
    spec: FrameSpec
    frame_count: int
    ticks: npt.NDArray[np.int64] | None = None
    tick: tuple[int, int] = (1, 1)
    fps: float | None = None
    created: float | None = None
    turn: tuple[int, int, int, int] | None = None
    converts: bool = False
    arrays: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)
    reader: ChunkReader | None = None


class Codec(ABC):
    """What both kinds have in common. Derive from `FrameCodec` or `ChunkCodec`.

    Attributes
    ----------
    name : str
        Names this implementation among others of the same format: ``pyav``, ``opencv``; what users give as
        ``backend=``.
    formats : sequence of Format
        All that it handles, in the order in which they are listed.
    """

    name: str
    formats: Sequence[Format]

    def missing(self, fmt: Format) -> str | None:
        """Say what this machine lacks for `fmt`, and how to get it.

        Parameters
        ----------
        fmt : Format
            One of `formats`.

        Returns
        -------
        str or None
            None when frames can be written and read here. Called before anything of the codec is used, so imports
            of optional packages belong behind it.
        """
        return None

    def missing_for_reading(self, fmt: Format) -> str | None:
        """Say what this machine lacks for reading `fmt`, where reading asks for less than writing; see `missing`."""
        return self.missing(fmt)

    def write_options(self, fmt: Format) -> Mapping[str, str]:
        """Name the keywords that writing takes, each with one line of help. The store refuses all others."""
        return {}

    def check_options(self, fmt: Format, spec: FrameSpec, options: Mapping[str, Any]) -> None:
        """Check the values of the given write options when a store is created.

        Raises
        ------
        imgstore.errors.ArgumentError
            Where a value cannot be used; it says which values can.
        imgstore.errors.FormatError
            Where frames of this `spec` cannot be written.
        """
        return None

    def frame_spec(self, path: str, fmt: Format) -> FrameSpec | None:
        """Look at a file and say what the frames in it are, where nothing else tells or somebody has changed them.

        Parameters
        ----------
        path : str
            The file of a frame or of a chunk.
        fmt : Format
            One of `formats`.

        Returns
        -------
        FrameSpec or None
            None where the codec cannot tell. Where grayscale cannot be told from colour, of colour.

        Raises
        ------
        Exception
            Any, when the file is missing or damaged.
        """
        return None

    def lossless(self, fmt: Format, options: Mapping[str, Any]) -> bool:
        """Whether frames written with these options come back exactly as they were."""
        return fmt.lossless


class FrameCodec(Codec):
    """A codec with a file per frame."""

    @abstractmethod
    def encoder(self, fmt: Format, spec: FrameSpec, options: Mapping[str, Any]) -> Callable[[Frame], Sequence[Buffer]]:
        """Give a function that turns a frame into the bytes of its file.

        Returns
        -------
        callable
            ``encode(img) -> buffers``: the file's content is the buffers one after the other, so that a header need
            not be copied together with the samples. Must be safe to call from several threads.
        """

    @abstractmethod
    def decoder(self, fmt: Format, spec: FrameSpec) -> Callable[[Frame], Frame]:
        """Give a function that turns the content of a file into a frame.

        Returns
        -------
        callable
            ``decode(data) -> img``: `data` is a writable, C-contiguous uint8 array, owned by the frame from then on
            (the result may be a view of it). The result has the shape and dtype of `spec` unless the file holds
            something else, which is the store's to find out. Raises any exception for a file that is damaged. Must be
            safe to call from several threads.
        """

    def plain_decoder(self, fmt: Format, spec: FrameSpec, *, orient: bool) -> Callable[[Frame], Frame]:
        """Give a function that turns the content of a file that is in no store into a frame; see `decoder`.

        Parameters
        ----------
        orient : bool
            Turn the image as its file says.

        Returns
        -------
        callable
            As that of `decoder`, but it converts nothing: what is not as `spec` has it is returned as it is, or an error.
        """
        return self.decoder(fmt, spec)

    def plain_spec(self, path: str, fmt: Format, *, orient: bool) -> FrameSpec | None:
        """Say what the image in a file is that is in no store; see `frame_spec` and `plain_decoder`."""
        return self.frame_spec(path, fmt)


class ChunkWriter(ABC):
    """Writes the frames of one chunk to one file."""

    @abstractmethod
    def add(self, img: Frame) -> None:
        """Append a frame; `img` belongs to the caller and may change afterwards."""

    def flush(self) -> None:  # noqa: B027 - a file with nothing held back needs nothing here
        """Hand all that can be handed to the operating system, so that a death of this process loses little.

        Called at least twice in every ``flush_interval``, not always in the thread that adds frames, but never at the
        same time as another method.
        """

    @property
    def extent(self) -> tuple[int, bytes] | None:
        """What the last `add` has put into the file: where it begins, and the bytes.

        They must not change any more. With them, a frame that a power cut has damaged is told from one that is whole;
        None where the codec does not know them.
        """
        return None

    @property
    def packet(self) -> bytes | None:
        """What the last `add` has put into the file of the picture alone, as it comes before the decoder when it is read.

        `ChunkCodec.open_reader` is given its checksum. None where the codec does not know it.
        """
        return None

    @property
    def description(self) -> bytes | None:
        """What `ChunkReader.description` will say of the file, once it is closed; None where the codec does not know."""
        return None

    def kept_arrays(self) -> Mapping[str, npt.NDArray[Any]]:
        """Return what `ChunkReader.kept_arrays` will say of the file; called once it is closed, beside other recording."""
        return {}

    @property
    def writes_through(self) -> bool:
        """Whether the operating system has every frame that was added: then closing may wait for a quiet moment."""
        return False

    @abstractmethod
    def close(self) -> None:
        """Finish the file. It is complete, and readable by any player, when this returns."""

    @abstractmethod
    def abandon(self) -> None:
        """Release everything after an error, without finishing; what is in the file stays there."""


class ChunkReader(ABC):
    """Reads the frames of one chunk out of one file, by position in the chunk.

    It is used by one thread at a time, not always the same.
    """

    @property
    @abstractmethod
    def frame_count(self) -> int:
        """How many frames the file holds."""

    @abstractmethod
    def read(self, position: int) -> Frame:
        """Return the frame at a position.

        Parameters
        ----------
        position : int
            From 0, in presentation order; below the chunk's number of index entries, and maybe not below `frame_count`.

        Returns
        -------
        numpy.ndarray
            A new array of the chunk's `FrameSpec`, owned by the caller.

        Raises
        ------
        IndexError
            The file holds no such frame.
        Exception
            Any other, when it cannot be decoded: a neighbouring frame is never returned in its place.
        """

    def read_many(self, positions: Sequence[int], out: Sequence[Frame]) -> None:
        """Read frames into the arrays ``out[k]``, one for each ``positions[k]``, in any order that is fast.

        Positions may repeat. Each ``out[k]`` is a writable array of the chunk's `FrameSpec`, not always contiguous.
        """
        for k, position in enumerate(positions):
            out[k][...] = self.read(position)

    @property
    def description(self) -> bytes | None:
        """What decoding depends on besides the frames' bytes, such as size and parameters, for comparison with what was
        written; None where the codec does not know."""
        return None

    def frame_checksums(self) -> Sequence[int]:
        """Return the XXH3-64 of each frame's bytes as the file has them, for a file that was made elsewhere.

        `ChunkCodec.open_reader` is given them from then on. Empty where the codec does not know them all.
        """
        return ()

    def kept_arrays(self) -> Mapping[str, npt.NDArray[Any]]:
        """Return what the codec needs to open the file again without reading it through.

        It is kept in the chunk's index where there are checksums of all frames, and `ChunkCodec.open_reader` is given it.

        Returns
        -------
        mapping of str to numpy.ndarray
            One-dimensional arrays of numbers; small ones, a few bytes a frame. Empty where it would be of no use.
        """
        return {}

    @property
    def key_frames(self) -> Sequence[int]:
        """Positions of the frames at which decoding may begin, ascending. Position 0 alone where the codec knows no others.

        They say what is read together at little cost, and nothing is wrong where one is left out.
        """
        return (0,)

    @property
    def reads_ahead(self) -> bool:
        """Whether reading in order gains from decoding ahead in the background."""
        return False

    @property
    def nbytes(self) -> int:
        """Memory that this reader keeps while it is open, in bytes, for the store's bounded cache of open chunks."""
        return 0

    def idle(self) -> None:  # noqa: B027 - there may be nothing to give back
        """Give back memory that serves nothing but going on at once: frames of another chunk are read now."""

    @abstractmethod
    def close(self) -> None:
        """Release the file."""


class ChunkCodec(Codec):
    """A codec with a file per chunk."""

    @abstractmethod
    def open_writer(self, path: str, fmt: Format, spec: FrameSpec, options: Mapping[str, Any]) -> ChunkWriter:
        """Begin a chunk at `path`, whose extension is the format's."""

    @abstractmethod
    def open_reader(self, path: str, fmt: Format, spec: FrameSpec, options: Mapping[str, Any]) -> ChunkReader:
        """Open a chunk.

        Parameters
        ----------
        path : str
            The file; its format may be another than `fmt` where the store does not say (Motif names encoders).
        fmt : Format
            The format by which this codec was found.
        spec : FrameSpec
            What the frames shall be: `read` gives exactly this, or raises.
        options : mapping
            ``seek`` (bool): False when the file may only be decoded forward. ``threads`` (int): 0 for as many as
            there are cores. ``cache_size`` (int): bytes that decoded frames may take. ``checksums`` (ndarray of uint64
            or None): XXH3-64 of each frame's `ChunkWriter.packet`, or `ChunkReader.frame_checksums`, in the order of positions;
            a frame whose bytes are others, or which depends on such a one, must be an error. A codec that gave neither is
            given None.
            ``frame_count`` (int or None): how many frames the chunk's index lists; where the file holds fewer, no frame may
            be taken for another that is missing.
            ``survey`` (Survey): what `survey` has found out, of a file that is in no store; there is no such option else.
            ``kept_arrays`` (mapping): what `ChunkReader.kept_arrays` has said of a chunk's file that had the same size;
            there is no such option where nothing was kept, nor where frames are not compared with `checksums`. Another
            version of the codec may have said it, or another codec. Where the file cannot be opened by them, or a frame not
            read, it is opened again without.

        Raises
        ------
        Exception
            Any, when the file is missing, truncated or holds something else. The store names the file.
        """

    @property
    def survey_version(self) -> str:
        """Changes when surveys that were made before cannot be used any more, as with the version of a library."""
        return ""

    def survey(self, path: str, options: Mapping[str, Any]) -> Survey | None:
        """Find out what is in a file that is no chunk of a store, reading as much of it as that takes.

        Parameters
        ----------
        path : str
            The file.
        options : mapping
            ``seek``, ``threads`` and ``cache_size`` as in `open_reader`. ``stream`` (int or None): the number of the stream
            to be read, where a file has several; default the best one. ``keep_open`` (bool): the file is read right away, so
            that its reader may stay open in the survey.

        Returns
        -------
        Survey or None
            None: this codec reads no such files.

        Raises
        ------
        Exception
            Any, where it reads such files but not this one; it says why.
        """
        return None

    def recover(self, damaged: str, target: str, fmt: Format, spec: FrameSpec, limit: int | None = None) -> int:
        """Write a whole file with the frames of a damaged or unfinished one, as they are, up to the last good one.

        Parameters
        ----------
        damaged : str
            The file. It stays as it is.
        target : str
            Path of the new file. Nothing is written where `damaged` is whole.
        fmt : Format
            As in `open_reader`.
        spec : FrameSpec
            What the frames are.
        limit : int, optional
            How many frames are known; no more are copied.

        Returns
        -------
        int
            How many frames the new file holds, or `damaged` where there is none: the first ones. A damaged frame in
            their midst keeps its place.

        Raises
        ------
        NotImplementedError
            This codec cannot do that.
        imgstore.errors.FrameDecodeError
            The file is whole and holds other than `limit` frames: it cannot be told which frame is which.
        OSError
            The file cannot be read, or the new one not written.
        Exception
            Any other, when nothing can be saved.
        """
        raise NotImplementedError

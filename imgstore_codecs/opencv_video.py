"""Video through OpenCV: the second backend, chosen by ``backend='opencv'``.

It is there so that frames can be checked against a decoder that is used in another way, and for builds of OpenCV that
write H.264 where PyAV cannot. It is slow at random: OpenCV's seeks land on other frames than asked for (opencv issues
4890, 9053, 20227), so a frame is reached by decoding all that come before it.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from imgstore.codec import ChunkCodec, ChunkReader, ChunkWriter, Codec, Format, FrameSpec
from imgstore.errors import ArgumentError, ChunkError, FormatError, FrameDecodeError, StoreWriteError
from imgstore.hookspecs import hookimpl

__all__ = ["OpenCVVideoCodec"]

Frame = npt.NDArray[Any]

# As 0.x writes them. The other formats of the default backend are read, not written.
_FOURCC = {"mjpeg/avi": "MJPG", "avc1/mp4": "avc1", "h264/mkv": "H264", "divx/avi": "DIVX", "mp4v/mp4": "mp4v"}
# How AVI, Matroska and MP4 begin (RIFF; RFC 8794, 11.2.1; ISO/IEC 14496-12, 4.3 and 8.1)
_RIFF, _EBML = b"RIFF", b"\x1aE\xdf\xa3"
_MP4_BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide")
_DEFAULT_FPS = 25.0  # 0.x says so in every file, whatever the real rate: the times are in the index


class OpenCVVideoCodec(ChunkCodec):
    """Video by ``cv2.VideoWriter`` and ``cv2.VideoCapture``, 8 bits, gray or BGR."""

    name = "opencv"
    formats = (
        Format("mjpeg/avi", ".avi", lossless=False, even_size=True, aliases=("mjpeg",)),
        Format("h264/mkv", ".mkv", lossless=False, even_size=True),
        Format("avc1/mp4", ".mp4", lossless=False, even_size=True),
        Format("hevc/mp4", ".mp4", lossless=False, even_size=True),
        Format("av1/mp4", ".mp4", lossless=False, even_size=True),
        Format("ffv1/mkv", ".mkv", lossless=True),
        Format("divx/avi", ".avi", lossless=False, even_size=True),
        Format("mp4v/mp4", ".mp4", lossless=False, even_size=True),
        Format("h264-nvenc/mp4", ".mp4", lossless=False, even_size=True, aliases=("h264_nvenc/mp4",)),
        Format("hevc-nvenc/mp4", ".mp4", lossless=False, even_size=True),
    )

    def __init__(self) -> None:
        self._trials: dict[str, bool] = {}  # whether encoding works, by format
        self._trials_lock = threading.Lock()

    def missing(self, fmt: Format) -> str | None:
        """Say why frames cannot be written, after a trial; most builds of OpenCV have no H.264 encoder."""
        absent = self.missing_for_reading(fmt)
        if absent is not None:
            return absent
        fourcc = _FOURCC.get(fmt.name)
        if fourcc is None:
            return f"OpenCV only reads {fmt.name}; backend 'pyav' is for writing it"
        with self._trials_lock:
            if fmt.name not in self._trials:
                self._trials[fmt.name] = _can_encode(fourcc, fmt.extension)
            works = self._trials[fmt.name]
        if works:
            return None
        return f"this build of OpenCV has no encoder for {fmt.name}; backend 'pyav' is for writing it"

    def missing_for_reading(self, fmt: Format) -> str | None:
        """Say why frames cannot be read; see `missing` for the arguments."""
        try:
            import cv2
        except ImportError as error:
            return f"OpenCV cannot be imported ({error}): pip install opencv-python"
        if cv2.CAP_FFMPEG not in cv2.videoio_registry.getStreamBackends():
            return "this build of OpenCV is without FFmpeg: pip install opencv-python"
        return None

    def write_options(self, fmt: Format) -> Mapping[str, str]:
        """Name the options."""
        return {"fps": f"frames per second that players are told; default: {_DEFAULT_FPS:g}"}

    def check_options(self, fmt: Format, spec: FrameSpec, options: Mapping[str, Any]) -> None:
        """Check the options' values."""
        _fps(options)
        _require_8_bits(spec)

    def open_writer(self, path: str, fmt: Format, spec: FrameSpec, options: Mapping[str, Any]) -> ChunkWriter:
        """Begin a video."""
        _require_8_bits(spec)
        return _Writer(path, _FOURCC[fmt.name], spec, _fps(options))

    def open_reader(self, path: str, fmt: Format, spec: FrameSpec, options: Mapping[str, Any]) -> ChunkReader:
        """Open a video; every way of reading is forward, so `options` change nothing."""
        _require_8_bits(spec)
        return _Reader(path, spec)


def _fps(options: Mapping[str, Any]) -> float:
    fps = options.get("fps", _DEFAULT_FPS)
    valid = isinstance(fps, (int, float, np.integer, np.floating)) and not isinstance(fps, bool)
    if not (valid and 0.001 <= fps <= 100_000):
        raise ArgumentError(f"fps is a number from 0.001 to 100000, not {fps!r}")
    return float(fps)


def _require_8_bits(spec: FrameSpec) -> None:
    if spec.dtype != np.uint8 or not (len(spec.shape) == 2 or spec.color):
        raise FormatError(
            f"OpenCV gives and takes video frames of 8 bits, gray or BGR, not {spec.dtype} {spec.shape}: "
            "use the default backend"
        )


def _name_for_opencv(path: str) -> str:
    """Return the whole path, as what comes before a colon in a name would be taken for a protocol."""
    try:
        path.encode()
    except UnicodeEncodeError:  # it would end the process
        raise ChunkError(
            f"{path!r}: OpenCV takes no name that is no text: rename it, or use the default backend"
        ) from None
    return os.path.abspath(path)


def _new_writer(path: str, fourcc: str, fps: float, width: int, height: int) -> Any:
    import cv2

    code = cv2.VideoWriter.fourcc(*fourcc)
    return cv2.VideoWriter(_name_for_opencv(path), cv2.CAP_FFMPEG, code, fps, (width, height), True)


def _can_encode(fourcc: str, extension: str) -> bool:
    """Encode a few frames, and see whether as many can be decoded."""
    count, size = 3, 64
    frame = np.zeros((size, size, 3), np.uint8)
    with tempfile.TemporaryDirectory() as directory, _stderr_muted():
        path = os.path.join(directory, "trial" + extension)
        writer = _new_writer(path, fourcc, _DEFAULT_FPS, size, size)
        try:
            if not writer.isOpened():
                return False
            for _ in range(count):
                writer.write(frame)
        finally:
            writer.release()
        capture = _open_capture(path)
        try:
            return sum(1 for _ in iter(capture.grab, False)) == count
        finally:
            capture.release()


@contextlib.contextmanager
def _stderr_muted() -> Iterator[None]:
    """Send what C libraries write to the terminal nowhere, for some milliseconds.

    OpenCV and FFmpeg report there that an encoder is absent, which is what a trial is made to find out. Their log
    levels belong to the whole process, and not all of it obeys them.
    """
    try:
        saved = os.dup(2)
    except OSError:  # no such file, as in a program without a console
        yield
        return
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, 2)
        finally:
            os.close(nowhere)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)


class _Writer(ChunkWriter):
    def __init__(self, path: str, fourcc: str, spec: FrameSpec, fps: float) -> None:
        self._path = path
        self._color = spec.color
        self._count = 0
        self._writer = _new_writer(path, fourcc, fps, spec.shape[1], spec.shape[0])
        if not self._writer.isOpened():
            raise StoreWriteError(f"OpenCV could not begin the video {path}")

    def add(self, img: Frame) -> None:
        import cv2

        # 0.x writes grayscale as colour video too
        self._writer.write(img if self._color else cv2.cvtColor(img, cv2.COLOR_GRAY2BGR))
        self._count += 1

    def close(self) -> None:
        self._writer.release()
        if not self._count:
            return
        # OpenCV says nothing when a write fails, as on a full disk
        import cv2

        capture = _open_capture(self._path)
        try:
            found = int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) if capture.isOpened() else 0
        finally:
            capture.release()
        if found < self._count:
            raise StoreWriteError(
                f"of {self._count} frames OpenCV wrote {max(found, 0)} to {self._path}: is the disk full?"
            )

    def abandon(self) -> None:
        self._writer.release()


def _open_capture(path: str) -> Any:
    import cv2

    # No other backend: one of them would take 000000.avi for the first of a sequence of images.
    capture = cv2.VideoCapture(_name_for_opencv(path), cv2.CAP_FFMPEG)
    capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 0)
    return capture


def _is_container(path: str) -> bool:
    """Whether a file begins as AVI, Matroska or MP4 do, and cannot be taken for a text.

    FFmpeg goes by what is in a file, and a text may be a list of other files or of addresses, which it would open.
    """
    with open(path, "rb") as file:
        head = file.read(64)
    if head.startswith(_EBML):
        return b"matroska" in head or b"webm" in head
    # no text has a zero, and in front of it there is no room for what makes FFmpeg take it for such a list
    return b"\0" in head[:20] and ((head[:4] == _RIFF and head[8:12] == b"AVI ") or head[4:8] in _MP4_BOXES)


class _Reader(ChunkReader):
    """Decodes forward, counting.

    OpenCV passes over packets that it cannot decode, without a word, and all later frames would be one off. So the
    time of each frame is compared with its position in a video of constant rate, which all of 0.x's are. When one does
    not agree, the whole video is counted: are there as many frames as the container lists, then none has been passed
    over. Damage that the decoder conceals cannot be noticed through OpenCV.
    """

    def __init__(self, path: str, spec: FrameSpec) -> None:
        import cv2

        if not os.path.isfile(path):
            raise ChunkError("the video file is missing")
        if not _is_container(path):
            raise ChunkError("the file does not begin as AVI, Matroska or MP4 do: it is damaged, or no video")
        self._path = path
        self._spec = spec
        self._current = -1  # position of the frame that was grabbed last; -1: none has been
        self._count: int | None = None
        self._complete: bool | None = None  # whether no frame is passed over; None: not counted yet
        self._capture = _open_capture(path)
        if not self._capture.isOpened():
            self._capture.release()
            raise ChunkError("OpenCV cannot open the video: it is damaged, or of a kind that this build does not know")
        self._fps = float(self._capture.get(cv2.CAP_PROP_FPS))
        width = int(self._capture.get(cv2.CAP_PROP_FRAME_WIDTH))
        height = int(self._capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
        if (height, width) != spec.shape[:2]:
            self._capture.release()
            raise ChunkError(f"the video's frames are {height} x {width}, not {spec.shape[0]} x {spec.shape[1]}")
        if self._capture.grab():
            self._arrived()
        else:  # OpenCV opens what it has no decoder for, and a video without frames it does not open
            self._capture.release()
            raise ChunkError("OpenCV decodes no frame of the video: it is damaged, or this build lacks the decoder")

    @property
    def frame_count(self) -> int:
        if self._count is None:
            self._count = self._count_all()[0]
        return self._count

    def read(self, position: int) -> Frame:
        import cv2

        if position < 0 or (self._count is not None and position >= self._count):
            raise IndexError(f"the video has no frame {position}")
        if position < self._current:
            self._reopen()
        while self._current < position:
            self._grab()
        done, img = self._capture.retrieve()
        if not done or img is None:
            raise FrameDecodeError(f"OpenCV cannot give frame {position} of the video")
        if img.dtype != np.uint8 or img.shape != (*self._spec.shape[:2], 3):
            raise FrameDecodeError(
                f"frame {position} of the video is {img.dtype} {img.shape}, not {self._spec.dtype} {self._spec.shape}"
            )
        frame: Frame = img if self._spec.color else cv2.cvtColor(img, cv2.COLOR_BGR2GRAY)
        return frame

    def _reopen(self) -> None:
        self._capture.release()
        self._capture = _open_capture(self._path)
        self._current = -1

    def _grab(self) -> None:
        if not self._capture.grab():
            self._count = self._current + 1
            self._reopen()
            raise IndexError(f"OpenCV decodes no more than {self._count} frames of the video")
        self._arrived()

    def _arrived(self) -> None:
        """Count the frame just grabbed, and see whether it is where it ought to be."""
        import cv2

        self._current += 1
        if self._complete is not True:
            position = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000 * self._fps
            if not abs(position - self._current) < 0.5:
                self._require_complete()

    def _require_complete(self) -> None:
        if self._complete is None:
            count, listed = self._count_all()
            self._complete = count == listed
            self._count = count
        if not self._complete:
            raise FrameDecodeError(
                f"OpenCV decodes {self._count} frames of the video, which is said to have more or fewer, and "
                "does not tell which those are: use the default backend"
            )

    def _count_all(self) -> tuple[int, int]:
        """Return how many frames can be decoded, and how many the container claims."""
        import cv2

        capture = _open_capture(self._path)
        try:
            listed = capture.get(cv2.CAP_PROP_FRAME_COUNT)
            return sum(1 for _ in iter(capture.grab, False)), int(listed) if abs(listed) < 2**53 else -1
        finally:
            capture.release()

    @property
    def nbytes(self) -> int:
        # FFmpeg's pool of pictures: up to 16 references for H.264, and some more for its threads
        height, width = self._spec.shape[:2]
        return 24 * height * width * 3 // 2

    def close(self) -> None:
        self._capture.release()


@hookimpl
def imgstore_codecs() -> Sequence[Codec]:
    """Give imgstore this codec."""
    return [OpenCVVideoCodec()]

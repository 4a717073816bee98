"""A range of frames as a ZIP of PNGs, made while it is sent, or as a video, made before: nothing is kept."""

from __future__ import annotations

import io
import os
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import AbstractContextManager

import imgstore
from imgstore.errors import FrameNotFoundError, ImgStoreError
from imgstore.web.pictures import encode
from imgstore.web.recording import NoFrameError, Recording

__all__ = ["frames_as_video", "frames_as_zip"]

_AT_ONCE = 1 << 20  # bytes of a video


class _Pipe(io.RawIOBase):
    """Takes what is written and hands it on; cannot go back."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        part = bytes(data)  # type: ignore[call-overload]
        self._parts.append(part)
        return len(part)

    def take(self) -> bytes:
        parts, self._parts = self._parts, []
        return b"".join(parts)


def frames_as_zip(
    used: AbstractContextManager[Recording], camera: int, start: int, stop: int
) -> Iterator[bytes]:
    """Yield the bytes of a ZIP with a PNG per frame, and ``frames.csv`` with position, number, time and file of each.

    Parameters
    ----------
    used : context manager
        Gives the recording, which is in use until the last byte.
    camera, start, stop : int
        Which frames: a half-open range of steps.
    """
    pipe = _Pipe()
    rows = ["index,frame_number,frame_time,file"]
    with used as recording, zipfile.ZipFile(pipe, "w") as archive:
        for step in range(start, min(stop, recording.count)):
            try:
                position = recording.position(camera, step)
                img, number, seconds = recording.cameras[camera].read(position)
                data, _ = encode(img, "png")
            except NoFrameError:
                rows.append(f"{step},,,no frame at this instant")
                continue
            except ImgStoreError as error:
                said = str(error).replace('"', "'")
                rows.append(f'{step},,,"{said}"')
                continue
            name = f"{step:09d}_frame-{number}.png"
            rows.append(f"{step},{number},{seconds!r},{name}")
            archive.writestr(name, data)
            yield pipe.take()
        archive.writestr("frames.csv", "\n".join(rows) + "\n")
        yield pipe.take()
    yield pipe.take()


def frames_as_video(
    used: AbstractContextManager[Recording], camera: int, start: int, stop: int
) -> Iterator[bytes]:
    """Yield the bytes of an MP4 of a range, shown when the frames were recorded; see `imgstore.export`.

    Parameters
    ----------
    used : context manager
        Gives the recording, which is in use until the last byte.
    camera, start, stop : int
        Which frames: a half-open range of steps.

    Raises
    ------
    FrameNotFoundError
        The camera has no frame in the range.
    ArgumentError, ChunkError, StoreWriteError
        As of `imgstore.export`, before the first byte.
    """
    with used as recording, tempfile.TemporaryDirectory(prefix="imgstore-page-") as folder:
        there = recording.positions(camera, start, stop)
        if not len(there):
            raise FrameNotFoundError("this camera has no frame in the range")
        path = os.path.join(folder, "range.mp4")
        first, last = int(there.min()), int(there.max())
        imgstore.export(
            recording.cameras[camera].store, path, start=first, end=last + 1, sidecar=None, on_error="skip"
        )
        with open(path, "rb") as file:
            while part := file.read(_AT_ONCE):
                yield part

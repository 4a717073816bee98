"""A range of frames as a ZIP of PNGs, made while it is sent: nothing is kept, however long it is."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from contextlib import AbstractContextManager

from imgstore.errors import ImgStoreError
from imgstore.web.pictures import encode
from imgstore.web.recording import NoFrameError, Recording

__all__ = ["frames_as_zip"]


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

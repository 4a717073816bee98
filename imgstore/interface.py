"""OpenCV's way of reading a video, over a store or a part of one, as imgstore-shaliulab has it."""

from __future__ import annotations

import os
from typing import Any

import numpy.typing as npt

from imgstore.disk.metadata import is_imgstore
from imgstore.errors import NotAStoreError
from imgstore.opening import new_for_filename
from imgstore.util import load_config
from imgstore.v04.newer import tell_newer

__all__ = ["VideoCapture", "load_config"]

Frame = npt.NDArray[Any]

# cv2.CAP_PROP_*
_POS_MSEC, _POS_FRAMES, _FRAME_WIDTH, _FRAME_HEIGHT, _FPS, _FRAME_COUNT = 0, 1, 3, 4, 5, 7


class VideoCapture:
    """Reads a store from the beginning of one of its chunks on, or a video file.

    Images are as the store has them, grayscale ones with two dimensions. Positions count the frames of the whole store.

    Parameters
    ----------
    path : path-like
        A store, or a video file.
    chunk : int, optional
        Where reading begins; default the first one. Without meaning for a video file.

    Raises
    ------
    NotAStoreError
        There is neither.
    ArgumentError
        There is no such chunk.
    """

    def __init__(self, path: str | os.PathLike[str], chunk: int | None = None):
        tell_newer("imgstore.interface.VideoCapture", "imgstore.VideoCapture reads a store as OpenCV reads a video")
        self._store: Any = None
        self._video: Any = None
        if is_imgstore(path):
            self._store = new_for_filename(path)
            index = self._store._index
            self._chunk = chunk if chunk is not None else next(iter(index.chunks), None)
            self._next = 0 if self._chunk is None else index.chunk_start(self._chunk)
        elif os.path.isfile(path):
            import cv2

            self._video = cv2.VideoCapture(os.fspath(path))
            if not self._video.isOpened():
                raise NotAStoreError(f"{os.fspath(path)}: neither a store nor a video that OpenCV opens")
        else:
            new_for_filename(path)  # tells what is wrong

    def read(self) -> tuple[bool, Frame | None]:
        """Return ``(True, img)``, or ``(False, None)`` after the last frame.

        Raises
        ------
        FrameDecodeError
            A frame is damaged; the next call goes on with the next one.
        """
        if self._video is not None:
            read: tuple[bool, Frame | None] = self._video.read()
            return read
        if self._store is None or self._next >= self._store.frame_count:
            return False, None
        self._next += 1
        return True, self._store.get_image(frame_index=self._next - 1)[0]

    def get(self, prop: int | str) -> float:
        """Return a property: one of OpenCV's, or ``TOTAL_NUMBER_OF_FRAMES``, ``NUMBER_OF_FRAMES`` (up to the end of the
        chunk), ``NUMBER_OF_FRAMES_IN_CHUNK``, ``STARTING_FRAME_OF_CHUNK``, ``ENDING_FRAME_OF_CHUNK`` (the last one's position).

        0 for those that there are not.
        """
        if self._video is not None:
            count = float(self._video.get(_FRAME_COUNT))
            of_video = {"STARTING_FRAME_OF_CHUNK": 0.0, "ENDING_FRAME_OF_CHUNK": max(0.0, count - 1)}
            return of_video.get(prop, count) if isinstance(prop, str) else float(self._video.get(prop))
        if self._store is None:
            return 0.0
        store, index = self._store, self._store._index
        total = store.frame_count
        start = 0 if self._chunk is None else index.chunk_start(self._chunk)
        count = 0 if self._chunk is None else index.chunk_count(self._chunk)
        found: dict[int | str, float] = {
            "TOTAL_NUMBER_OF_FRAMES": total,
            "NUMBER_OF_FRAMES": start + count,
            "NUMBER_OF_FRAMES_IN_CHUNK": count,
            "STARTING_FRAME_OF_CHUNK": start,
            "ENDING_FRAME_OF_CHUNK": max(start, start + count - 1),
            _POS_FRAMES: self._next,
            _FRAME_HEIGHT: store.image_shape[0],
            _FRAME_WIDTH: store.image_shape[1],
            _FRAME_COUNT: count,
        }
        if prop == _FPS:
            return store.fps if store.fps == store.fps else 0.0
        if prop == _POS_MSEC:  # as the store has it, which is in milliseconds where the fork wrote it
            return float(index.frame(min(self._next, total - 1))[1]) if total else 0.0
        return float(found.get(prop, 0))

    def set(self, prop: int, value: float) -> bool:
        """Go to a position in the store, or to the frame nearest to a time; return whether that can be done."""
        if self._video is not None:
            return bool(self._video.set(prop, value))
        if self._store is None or prop not in (_POS_FRAMES, _POS_MSEC):
            return False
        position = int(value) if prop == _POS_FRAMES else self._store._index.find_nearest("frame_time", value)
        if not 0 <= position < self._store.frame_count:
            return False
        self._next = position
        return True

    def grab(self) -> bool:
        """Go over the next frame; return whether there is one."""
        if self._video is not None:
            return bool(self._video.grab())
        if self._store is None or self._next >= self._store.frame_count:
            return False
        self._next += 1
        return True

    def isOpened(self) -> bool:  # noqa: N802 - OpenCV's
        """Whether there is something to read."""
        return self._store is not None or (self._video is not None and bool(self._video.isOpened()))

    def release(self) -> None:
        """Close the store or the video."""
        if self._store is not None:
            self._store.close()
        if self._video is not None:
            self._video.release()
        self._store = None

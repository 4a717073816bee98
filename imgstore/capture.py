"""OpenCV's way of reading a video, over a store."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from imgstore.errors import ImgStoreError, ImgStoreWarning
from imgstore.opening import open as open_frames
from imgstore.store import ImgStore

if TYPE_CHECKING:
    from imgstore.index import ImgStoreIndex

__all__ = ["VideoCapture"]

Frame = npt.NDArray[Any]

# The values of cv2.CAP_PROP_*, which programs may give without importing cv2.
_POS_MSEC, _POS_FRAMES, _POS_AVI_RATIO = 0, 1, 2
_FRAME_WIDTH, _FRAME_HEIGHT, _FPS, _FRAME_COUNT = 3, 4, 5, 7


class VideoCapture:
    """Reads a store as ``cv2.VideoCapture`` reads a video, by position.

    Images are BGR as OpenCV's are, also those of grayscale stores. What OpenCV tells by returning False this tells so
    too.

    Parameters
    ----------
    path : path-like, optional
        Whatever `imgstore.open` takes.
    apiPreference, params
        OpenCV's, not used.
    """

    _store: ImgStore | None = None

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        apiPreference: int = 0,  # noqa: N803 - OpenCV's
        params: Sequence[int] = (),
    ):
        self._next = 0  # position of the frame that `grab` takes
        self._grabbed: int | None = None
        if path is not None:
            self.open(path)

    def open(
        self,
        path: str | os.PathLike[str],
        apiPreference: int = 0,  # noqa: N803 - OpenCV's
        params: Sequence[int] = (),
    ) -> bool:
        """Open a store, or what else `imgstore.open` takes; return whether that worked."""
        self.release()
        try:
            self._store = open_frames(path)
        except (ImgStoreError, OSError):
            return False
        return True

    def isOpened(self) -> bool:  # noqa: N802 - OpenCV's
        """Whether a store is open."""
        return self._store is not None

    def release(self) -> None:
        """Close the store."""
        if self._store is not None:
            self._store.close()
        self._store, self._next, self._grabbed = None, 0, None

    def grab(self) -> bool:
        """Go to the next frame; return whether there is one."""
        if self._store is None or self._next >= self._store.frame_count:
            self._grabbed = None
            return False
        self._grabbed = self._next
        self._next += 1
        return True

    def retrieve(self, image: Frame | None = None, flag: int = 0) -> tuple[bool, Frame | None]:
        """Return the frame that was grabbed: ``(True, img)``, or ``(False, None)`` where there is none.

        Parameters
        ----------
        image : numpy.ndarray, optional
            To be filled, where it fits.
        flag : int
            As OpenCV, not used.
        """
        if self._store is None or self._grabbed is None:
            return False, None
        try:
            img = self._store.get_image(frame_index=self._grabbed)[0]
        except ImgStoreError as error:
            # a loop takes this for the end of the video, so it is said that it is none
            warnings.warn(
                f"the frame at position {self._grabbed} cannot be read: {error}", ImgStoreWarning, stacklevel=3
            )
            return False, None
        if img.shape[2:] != (3,):
            from imgstore.pixels.color import ensure_color

            img = ensure_color(img)
        if image is not None and image.shape == img.shape and image.dtype == img.dtype:
            np.copyto(image, img)
            img = image
        return True, img

    def read(self, image: Frame | None = None) -> tuple[bool, Frame | None]:
        """Grab and retrieve the next frame."""
        return self.retrieve(image) if self.grab() else (False, None)

    def get(self, propId: int) -> float:  # noqa: N803 - OpenCV's
        """Return a property, 0 for those that a store does not have."""
        store = self._store
        if store is None:
            return 0.0
        if propId == _POS_FRAMES:
            return float(self._next)
        if propId == _POS_MSEC:
            return self._milliseconds(store)
        if propId == _POS_AVI_RATIO:
            return self._next / store.frame_count if store.frame_count else 0.0
        if propId == _FRAME_COUNT:
            return float(store.frame_count)
        if propId == _FPS:
            return store.fps if store.fps == store.fps else 0.0
        if propId in (_FRAME_WIDTH, _FRAME_HEIGHT):
            return float(store.image_shape[1 if propId == _FRAME_WIDTH else 0])
        return 0.0

    def _milliseconds(self, store: ImgStore) -> float:
        """Return the time of the frame that was grabbed last, or that was gone to, from the first frame on."""
        if not store.frame_count:
            return 0.0
        position = min(self._next, store.frame_count - 1) if self._grabbed is None else self._grabbed
        return store._readable.look_up(lambda index: (index.frame(position)[1] - index.frame(0)[1]) * 1000)

    def set(self, propId: int, value: float) -> bool:  # noqa: N803 - OpenCV's
        """Go to a position, a time or a part of the store; return whether that can be done."""
        store = self._store
        if store is None or not store.frame_count or not math.isfinite(value):
            return False
        last = store.frame_count
        if propId == _POS_FRAMES:
            position = int(value)
        elif propId == _POS_AVI_RATIO:
            position = int(round(value * last))
        elif propId == _POS_MSEC:
            position = store._readable.look_up(lambda index: _position_at(index, value / 1000, 0.5 / store.fps))
        else:
            return False
        self._next = min(max(position, 0), last)
        self._grabbed = None
        return True

    def getBackendName(self) -> str:  # noqa: N802 - OpenCV's
        """Return what reads."""
        return "IMGSTORE"


def _position_at(index: ImgStoreIndex, seconds: float, half_a_frame: float) -> int:
    """Return the position of the frame nearest to a time from the first frame on; behind the last one that after it."""
    time = index.frame(0)[1] + seconds
    if time > index.frame(index.frame_count - 1)[1] + half_a_frame:
        return index.frame_count
    return index.find_nearest("frame_time", time)

"""What stands for frames that are not there: the frame before, or a black one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from imgstore.errors import ChunkError
from imgstore.group.camera import Camera, Image
from imgstore.store import ImgStore

__all__ = ["StandIns", "black_like"]


class StandIns:
    """Gives what stands for frames that are not there.

    Parameters
    ----------
    cameras : sequence of Camera
    columns : ndarray, shape (stores, steps)
        Positions of the frames of all steps.
    """

    def __init__(self, cameras: Sequence[Camera], columns: npt.NDArray[Any]) -> None:
        self._cameras = cameras
        self._columns = columns
        self._last: dict[int, tuple[int, Image]] = {}
        self._black: dict[int, Image] = {}

    def note(self, c: int, position: int, image: Image) -> None:
        """Keep the frame that was read last of a store, which may be asked for again."""
        self._last[c] = position, image

    def before(self, c: int, step: int) -> Image:
        """Return the store's last frame before a step that can be read, black where there is none."""
        column, tried = self._columns[c], -1
        while (step := _last_present(column, step - 1)) >= 0:
            position = int(column[step])
            if position == tried:
                continue
            kept, image = self._last.get(c, (-1, None))
            if kept == position and image is not None:
                return image
            try:
                (image,), _ = self._cameras[c].store.get_images(frame_indices=[position])
            except ChunkError:
                tried = position
                continue
            self.note(c, position, image)
            return np.asarray(image)
        return self.black(c)

    def black(self, c: int) -> Image:
        """Return a black image of the store's; the same again."""
        image = self._black.get(c)
        if image is None:
            image = self._black[c] = black_like(self._cameras[c].store)
        return image


def black_like(store: Any) -> Image:
    """Return a black image such as the store's own, as they are decoded."""
    if isinstance(store, ImgStore):
        return np.zeros(store._frame_kind[0], store.image_dtype)
    if not len(store):
        return np.zeros(store.image_shape, np.uint8)
    try:
        image, _ = store.get_image(None, frame_index=0)  # as any class written like ours takes it
    except ChunkError:
        return np.zeros(store.image_shape, store.image_dtype)
    return np.zeros_like(image)


def _last_present(column: npt.NDArray[Any], step: int) -> int:
    """Return the last step, this one or before, at which a store has a frame; -1 where there is none."""
    width = 64
    stop = step + 1
    while stop > 0:
        start = max(0, stop - width)
        present = np.flatnonzero(column[start:stop] >= 0)
        if len(present):
            return int(start + present[-1])
        stop, width = start, 2 * width
    return -1

"""One store of a group: its numbers, its times as the reference's clock shows them, and its frames."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from imgstore.errors import ChunkError
from imgstore.group.clocks import Clock
from imgstore.store import ImgStore

__all__ = ["Camera", "Going", "Image"]

Image = npt.NDArray[Any]

_PASSED_OVER = 16  # frames that are read on the way to the next one, as going on is quicker than beginning anew


@dataclass(frozen=True)
class Camera:
    """A store, what it is called, and its clock.

    Attributes
    ----------
    store : ImgStore
        Or anything with `frame_numbers`, `frame_times`, `image_shape`, `get_image` and a length.
    name : str
    clock : Clock
    """

    store: Any
    name: str = ""
    clock: Clock = Clock()

    @property
    def count(self) -> int:
        """Number of frames."""
        return len(self.store)

    def numbers(self) -> npt.NDArray[np.int64]:
        """Return the numbers of all frames; a stranger's store may keep them."""
        if isinstance(self.store, ImgStore):
            return self.store._readable.ask_of_all(lambda index: index.read_numbers())
        return np.asarray(self.store.frame_numbers, np.int64)

    def times(self) -> npt.NDArray[np.float64]:
        """Return the times of all frames in seconds on the reference's clock."""
        if isinstance(self.store, ImgStore):
            own = self.store._readable.ask_of_all(lambda index: index.read_times())
        else:
            own = np.asarray(self.store.frame_times, np.float64)
        return self.clock.put_right(own)

    def frame(self, position: int) -> tuple[int, float]:
        """Return number and time of a frame, as the store has them."""
        if isinstance(self.store, ImgStore):
            return self.store._readable.look_up(lambda index: index.frame(position))
        return int(self.store.frame_numbers[position]), float(self.store.frame_times[position])

    def moment(self, time: float) -> float:
        """Return a time of the store's as the reference's clock shows it."""
        offset, drift, at = self.clock
        return time - (offset + drift * (time - at)) if offset or drift else time


class Going:
    """Reads the frames of a store that goes on from step to step.

    A frame that is asked for again is not read again, and a few that nobody asks for are read and dropped: then the store
    goes on decoding ahead.
    """

    def __init__(self, store: Any) -> None:
        self._store = store
        self._position = -1
        self._found: tuple[Image, int, float] | None = None

    def read(self, position: int) -> tuple[Image, int, float]:
        """Return image, number and time of the frame at a position; the same array where it is the same as before.

        Raises
        ------
        ChunkError
            The frame is damaged.
        """
        if self._found is not None and position == self._position:
            return self._found
        between = range(self._position + 1, position)
        if len(between) <= _PASSED_OVER and self._position >= 0:
            for passed in between:
                with contextlib.suppress(ChunkError):  # nobody has asked for it
                    self._store.get_image(None, frame_index=passed)
        self._found, self._position = None, position
        image, (number, time) = self._store.get_image(None, frame_index=position)
        self._found = image, int(number), float(time)
        return self._found

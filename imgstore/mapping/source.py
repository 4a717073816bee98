"""What a store can be made of: frames with numbers and times, wherever they are, and what was recorded beside them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

__all__ = ["BEFORE_ALL", "Frame", "Records", "Source"]

Frame = tuple[npt.NDArray[Any], int, float]  # with its number and its time in seconds
Records = list[dict[str, Any]]

BEFORE_ALL = -1  # position of records from before the first frame


class Source(Protocol):
    """Frames of which a store is made. Positions count them from 0.

    It is pickled as what opens it again, in whatever process, and closed when it is done with.
    """

    @property
    def frame_count(self) -> int:
        """How many frames there are."""

    @property
    def frame_numbers(self) -> npt.NDArray[np.int64]:
        """Their numbers, int64 ``(n,)``."""

    @property
    def frame_times(self) -> npt.NDArray[np.float64]:
        """Their times in seconds, float64 ``(n,)``."""

    @property
    def filename(self) -> str:
        """What it is called in messages."""

    @property
    def filenames(self) -> Sequence[str]:
        """The stores and files that are read."""

    @property
    def origin(self) -> list[str]:
        """The uuids of the recordings."""

    @property
    def fps(self) -> float:
        """Frames per second; NaN where it is not known."""

    @property
    def user_metadata(self) -> dict[str, Any]:
        """What is noted in the new store where nobody says otherwise."""

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Of the first frames."""

    @property
    def image_dtype(self) -> np.dtype[Any]:
        """Of the first frames."""

    def described(self) -> list[dict[str, Any]]:
        """Say what it is, in JSON, so that the same frames are known again."""

    def read(self, position: int) -> Frame:
        """Return a frame with its number and time.

        Raises
        ------
        ChunkError
            It cannot be read.
        """

    def stand_in(self, position: int) -> Frame | None:
        """Return what stands for a frame that cannot be read; None where nothing does, and it is left out."""

    def records(self) -> dict[int, Records]:
        """Return the records of extra data that belong to frames, by the frames' positions.

        Those from before the first frame are at `BEFORE_ALL`. What a record says of its frame is left out, but for a
        ``frame_time`` that is not the frame's: of samples that were taken between frames.
        """

    def close(self) -> None:
        """Close what is open."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what opens it again, and its arguments."""

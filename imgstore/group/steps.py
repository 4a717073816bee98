"""What a group gives out: the frames of one step, or of several."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from imgstore.group.camera import Image

__all__ = ["NOT_THERE", "Step", "Steps"]

NOT_THERE = 0  # stands for the number of a frame that is not there, in an array beside `Steps.present`


@dataclass(frozen=True)
class Step:
    """The frames of one step, one of each store.

    Attributes
    ----------
    index : int
        Of the step in the group.
    time : float
        Of the step, in seconds on the reference's clock.
    images : tuple of (ndarray or None)
        One per store, of the store's own shape; what stands for one that is not there is as the group's `missing` says.
        Where a store has the same frame for several steps this may be the same array: do not write into it.
    frame_numbers : tuple of (int or None)
        Of these very frames; None where a store has none, whatever stands for it.
    frame_times : tuple of float
        In seconds, as each store has them; NaN where it has none.
    """

    index: int
    time: float
    images: tuple[Image | None, ...]
    frame_numbers: tuple[int | None, ...]
    frame_times: tuple[float, ...]

    @property
    def present(self) -> tuple[bool, ...]:
        """Whether each store has a frame for this step, which could be read."""
        return tuple(number is not None for number in self.frame_numbers)


@dataclass(frozen=True)
class Steps:
    """The frames of several steps, an array per store.

    Attributes
    ----------
    indices : ndarray of int, shape (n,)
        Of the steps in the group.
    times : ndarray of float64, shape (n,)
        Of the steps, in seconds on the reference's clock.
    images : tuple of ndarray
        One per store, ``(n, h, w)`` or ``(n, h, w, 3)``. Where `present` is False: black, or with ``missing="hold"`` the
        frame before it again.
    present : ndarray of bool, shape (n, stores)
        Whether each store has a frame for the step, which could be read.
    frame_numbers : ndarray of int64, shape (n, stores)
        0 where `present` is False.
    frame_times : ndarray of float64, shape (n, stores)
        In seconds, as each store has them; NaN where `present` is False.
    """

    indices: npt.NDArray[np.intp]
    times: npt.NDArray[np.float64]
    images: tuple[Image, ...]
    present: npt.NDArray[np.bool_]
    frame_numbers: npt.NDArray[np.int64]
    frame_times: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.indices)

    def only(self, kept: npt.NDArray[np.intp]) -> Steps:
        """Return some of these steps, by their places."""
        return Steps(
            self.indices[kept],
            self.times[kept],
            tuple(images[kept] for images in self.images),
            self.present[kept],
            self.frame_numbers[kept],
            self.frame_times[kept],
        )

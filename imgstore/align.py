"""Stores side by side by frame number, as imgstore 0.x has it; `imgstore.StoreGroup` does this and more."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from imgstore.errors import ArgumentError, ChunkError
from imgstore.group.camera import Going
from imgstore.group.matching import first_of_each
from imgstore.group.stand_ins import black_like
from imgstore.reading.left_out import LeftOut, OnError

__all__ = ["StoreAligner"]

_log = logging.getLogger(__name__)

Image = npt.NDArray[Any]


class StoreAligner:
    """Yields the frames that stores have under the same number together.

    Parameters
    ----------
    *stores : stores
        Open for reading, of one image shape. Where a store has a number several times, its first frame
        counts.

    Raises
    ------
    ArgumentError
        No stores, or of different image shapes.

    Examples
    --------
    >>> aligner = StoreAligner(left, right)  # doctest: +SKIP
    >>> aligner.extract_common_frames(StoreAligner.MISSING_POLICY_DROP)  # doctest: +SKIP
    >>> for frame_number, (img_left, img_right) in aligner.iter_imgs():  # doctest: +SKIP
    ...     pass
    """

    MISSING_POLICY_DROP = "drop"
    """Only numbers that all stores have."""
    MISSING_POLICY_HOLD = "zoh"
    """Where a store lacks a number, its frame before that again (zero-order hold); black before its first."""
    MISSING_POLICY_BLACK = "black"
    """Where a store lacks a number, a black image."""

    def __init__(self, *stores: Any) -> None:
        if not stores:
            raise ArgumentError("there are no stores to align")
        shapes = [tuple(store.image_shape) for store in stores]
        if len(set(shapes)) > 1:
            raise ArgumentError(f"stores of different image shapes cannot be aligned: {shapes}")
        self._stores = stores
        self._policy: str | None = None
        self._numbers: npt.NDArray[np.int64] = np.empty(0, np.int64)
        self._positions: npt.NDArray[np.intp] = np.empty((len(stores), 0), np.intp)

    def extract_common_frames(self, policy: str) -> npt.NDArray[np.int64]:
        """Find out which store has which numbers, and choose what to do where one is missing.

        Parameters
        ----------
        policy : str
            One of the ``MISSING_POLICY_...``.

        Returns
        -------
        ndarray of int64
            All numbers that any store has, ascending, whatever the policy.

        Raises
        ------
        ArgumentError
            There is no such policy.
        """
        policies = (self.MISSING_POLICY_DROP, self.MISSING_POLICY_HOLD, self.MISSING_POLICY_BLACK)
        if policy not in policies:
            raise ArgumentError(f"unknown policy {policy!r} for missing frames; there are {', '.join(policies)}")
        union, positions = first_of_each([np.asarray(store.frame_numbers, np.int64) for store in self._stores])
        self._numbers, self._positions = union, np.array(positions)
        self._policy = policy
        return np.array(union)

    def iter_imgs(self, return_times: bool = False, *, on_error: OnError = "raise") -> Iterator[tuple[Any, ...]]:
        """Iterate over the frames, by ascending number, as `extract_common_frames` settled.

        Parameters
        ----------
        return_times : bool
            Yield the frame times too.
        on_error : {'raise', 'skip', 'warn'}
            What becomes of numbers under which a store's frame is damaged: an error, or they are left out, without a word
            or with one warning for those in a row.

        Yields
        ------
        frame_number : numpy.int64
            The number.
        images : list of ndarray
            An image per store. A held image is the same array again: do not write into it.
        times : list of float
            With `return_times`: the frame time in each store, in seconds, NaN where it lacks the frame.

        Raises
        ------
        ArgumentError
            `extract_common_frames` was not called before.
        """
        if self._policy is None:
            raise ArgumentError("call extract_common_frames(policy) first")
        left_out = LeftOut("aligned stores", on_error)
        return self._iter_imgs(self._policy, self._numbers, self._positions, return_times, on_error, left_out)

    def _iter_imgs(
        self,
        policy: str,
        numbers: npt.NDArray[np.int64],
        positions: npt.NDArray[np.intp],
        return_times: bool,
        on_error: OnError,
        left_out: LeftOut,
    ) -> Iterator[tuple[Any, ...]]:
        if policy == self.MISSING_POLICY_DROP:
            common = (positions >= 0).all(axis=0)
            numbers, positions = numbers[common], positions[:, common]
        going = [Going(store) for store in self._stores]
        black: list[Image | None] = [None] * len(self._stores)
        held: list[Image | None] = [None] * len(self._stores)
        damaged = [False] * len(self._stores)  # whether the frame that would be held cannot be read
        for column, number in enumerate(numbers):
            images: list[Image] = []
            times: list[float] = []
            failure: ChunkError | None = None
            for i, store in enumerate(self._stores):
                image, time = None, float("nan")
                if positions[i, column] >= 0:
                    try:
                        image, _, time = going[i].read(int(positions[i, column]))
                    except ChunkError as error:
                        if on_error == "raise":
                            raise
                        failure = error
                    held[i], damaged[i] = image, image is None
                else:
                    _log.debug("store %d has no frame %d", i, number)
                    if policy == self.MISSING_POLICY_HOLD:
                        image = held[i]
                        if damaged[i]:
                            failure = failure or ChunkError(f"the frame to hold for {number} cannot be read")
                    if image is None:
                        image = black[i] = black_like(store) if black[i] is None else black[i]
                if image is not None:
                    images.append(image)
                times.append(time)
            if failure is not None:
                left_out.add(int(number), failure)
                failure = None  # or it would keep the stores
                continue
            left_out.tell(stacklevel=2)
            yield (number, images, times) if return_times else (number, images)
        left_out.tell(stacklevel=2)

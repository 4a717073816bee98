"""What a dataset reads from: stores and groups of stores, opened once more wherever frames are read."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

import imgstore
from imgstore.errors import ArgumentError

__all__ = ["Color", "Piece", "Source", "sources_of"]

Array = npt.NDArray[Any]
Color = Literal["rgb", "bgr", "gray"]


@dataclass(frozen=True)
class Piece:
    """Frames that were read together. A store is a group of one camera.

    Attributes
    ----------
    images : tuple of ndarray
        One per camera, ``(n, h, w)`` or ``(n, h, w, 3)``.
    colors : tuple of str
        Of the images, as `imgstore.ImgStore.color` has it.
    numbers, times : ndarray, shape (n, cameras)
        Of the frames.
    present : ndarray of bool, shape (n, cameras)
        Whether the camera has such a frame.
    moments : ndarray of float64, shape (n,)
        Times of the steps.
    """

    images: tuple[Array, ...]
    colors: tuple[str, ...]
    numbers: npt.NDArray[np.int64]
    times: npt.NDArray[np.float64]
    present: npt.NDArray[np.bool_]
    moments: npt.NDArray[np.float64]


class Source:
    """A store or a group, which can be opened any number of times. It has nothing open itself.

    Parameters
    ----------
    given : path-like, ImgStore, StoreGroup, or what else `imgstore.open` takes
        What is open must stay open: it is opened once more from what it tells of itself.
    color : {'rgb', 'bgr', 'gray'}
        Of the frames that are wanted.
    """

    def __init__(self, given: Any, color: Color):
        self._given = given
        self._color = color
        self.is_group = isinstance(given, imgstore.StoreGroup)
        self.names: tuple[str, ...] = given.names if self.is_group else ()

    def open(self, threads: int | None, cache_size: int | None = None) -> Any:
        """Open the store or the group once more."""
        if isinstance(self._given, imgstore.StoreGroup):
            return self._given.open_again(threads=threads, cache_size=cache_size)
        color: Color | None = "gray" if self._color == "gray" else None
        if isinstance(self._given, imgstore.ImgStore):
            return self._given.open_again(threads=threads, cache_size=cache_size, color=color)
        return imgstore.open(self._given, color=color, threads=threads, cache_size=cache_size)

    def read(self, opened: Any, positions: list[int]) -> Piece:
        """Read frames or steps at ascending positions, those of each store at once."""
        if self.is_group:
            steps = opened.get_images(positions)
            if len(steps) != len(positions):
                raise ArgumentError(
                    "a frame of the group is damaged, and its steps are left out then: make it with missing='mask', so that"
                    " the number of steps stays the same"
                )
            colors = tuple(store.color for store in opened.stores)
            return Piece(steps.images, colors, steps.frame_numbers, steps.frame_times, steps.present, steps.times)
        images, (numbers, times) = opened.get_images(frame_indices=positions)
        there = np.ones((len(positions), 1), bool)
        return Piece((images,), (opened.color,), numbers[:, None], times[:, None], there, times)

    def group_starts(self, opened: Any) -> npt.NDArray[np.int64]:
        """Return the positions at which groups of pictures begin; of a group of stores those of its first one."""
        if not self.is_group:
            keys: npt.NDArray[np.int64] = opened.get_key_frames()
            return keys
        column = opened.table.positions[:, 0]
        there = np.flatnonzero(column >= 0)
        group = np.searchsorted(opened.stores[0].get_key_frames(), column[there], side="right")
        starts = there[np.flatnonzero(np.diff(group, prepend=-1))]
        found: npt.NDArray[np.int64] = np.union1d(starts, [0] if len(opened) else []).astype(np.int64)
        return found


def sources_of(given: Any, color: Color) -> list[Source]:
    """Make sources of what a dataset is given: one, or a list of them.

    Raises
    ------
    ArgumentError
        There are none, they are of both kinds, or the colour is none.
    """
    if color not in ("rgb", "bgr", "gray"):
        raise ArgumentError(f"color must be 'rgb', 'bgr' or 'gray', not {color!r}")
    single = isinstance(given, (str, os.PathLike, imgstore.ImgStore, imgstore.StoreGroup))
    listed: Sequence[Any] = [given] if single else list(given)
    if not listed:
        raise ArgumentError("a dataset is of at least one store")
    sources = [Source(each, color) for each in listed]
    if len({source.is_group for source in sources}) > 1:
        raise ArgumentError("a dataset is of stores, or of groups of stores: what it gives would differ from sample to sample")
    if len({source.names for source in sources}) > 1:
        raise ArgumentError("the groups of a dataset must have the same cameras, give each of them the same names=")
    return sources

"""A store as a lazy array: numpy's way of asking for frames and parts of frames, and what Dask and others ask of an array.

Made by `imgstore.ImgStore.as_array`. Frames are read when they are asked for, and no others.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from imgstore.errors import ArgumentError, FrameIndexError

if TYPE_CHECKING:
    from imgstore.pixels.shown import Color
    from imgstore.store import ImgStore

__all__ = ["FrameArray", "whole_number"]

_BLOCK_BYTES = 64 << 20  # of whole frames that are held while parts of them are taken, and of a block that Dask reads


class FrameArray:
    """The frames of a store along the first axis, as they were counted when the array was made.

    It can be used by several threads, and pickled: it opens its store again in whatever process.

    Parameters
    ----------
    store : ImgStore
        Open for reading. The array uses it, so it must stay open; where reading goes on in it is not changed.
    color : {'bgr', 'rgb', 'gray'}, optional
        Of the frames; default as the store shows them. Grayscale frames stay gray.

    Attributes
    ----------
    shape : tuple of int
        ``(n, h, w)`` or ``(n, h, w, 3)``.
    dtype : numpy.dtype
        Type of the samples.
    chunks : tuple of int
        Shape of the blocks in which reading is efficient: some whole frames.
    """

    def __init__(self, store: ImgStore, color: Color | None = None):
        self._store = store
        self._color = color
        frame_shape = store.image_shape
        self._shown = store._shown
        if color is not None and (len(frame_shape) == 3 or color not in ("bgr", "rgb")):
            spec = store._spec
            self._shown = replace(self._shown, color=color).needed_for(spec.shape, spec.dtype)
            frame_shape = self._shown.applied_to(spec.shape, spec.dtype)[0]
        self.shape: tuple[int, ...] = (store.frame_count, *frame_shape)
        self.dtype: np.dtype[Any] = store.image_dtype
        frame_bytes = max(1, int(np.prod(self.shape[1:])) * self.dtype.itemsize)
        self._per_block = max(1, _BLOCK_BYTES // frame_bytes)
        self.chunks: tuple[int, ...] = (min(self._per_block, max(1, self.shape[0])), *self.shape[1:])

    @property
    def ndim(self) -> int:
        """Number of axes: 3, or 4 in colour."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of samples of all frames."""
        return int(np.prod(self.shape))

    @property
    def nbytes(self) -> int:
        """Bytes of all frames as an array in memory."""
        return self.size * self.dtype.itemsize

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator[npt.NDArray[Any]]:
        for position in range(len(self)):
            yield self[position]

    def __getitem__(self, key: Any) -> npt.NDArray[Any]:
        """Read what numpy's basic indexing names; the first axis takes lists, integer arrays and masks too.

        Raises
        ------
        FrameIndexError
            A position outside of the array; also an IndexError.
        FrameDecodeError
            A frame is damaged; it is named.
        """
        frames, rest = _split(key, self.ndim)
        positions, one = self._positions(frames)
        if one:
            return np.asarray(self._read(positions)[0][rest])
        if all(part == slice(None) for part in rest):
            return self._read(positions)
        # What the rest of the key makes of a frame, without reading one.
        part_shape = np.broadcast_to(np.zeros((), self.dtype), self.shape[1:])[rest].shape
        out = np.empty((len(positions), *part_shape), self.dtype)
        for begin in range(0, len(positions), self._per_block):
            block = positions[begin : begin + self._per_block]
            within = (slice(None), *rest)
            out[begin : begin + len(block)] = self._read(block)[within]
        return out

    def _positions(self, frames: Any) -> tuple[list[int], bool]:
        """Return positions from 0, and whether the first axis goes, as it does for a single integer."""
        count = self.shape[0]
        if isinstance(frames, slice):
            return list(range(*frames.indices(count))), False
        wanted = np.asarray(frames)
        if wanted.dtype == bool:
            if wanted.shape != (count,):
                raise FrameIndexError(f"a mask must have one entry for each of the {count} frames")
            return np.flatnonzero(wanted).tolist(), False
        if wanted.ndim > 1:
            raise ArgumentError("frames are chosen by an integer, a slice, a list of positions or a mask")
        # taken one by one: numpy would make floats of integers of several types
        positions = [whole_number(p, "a position") for p in np.asarray(frames, object).ravel().tolist()]
        for position in positions:
            if not -count <= position < count:
                raise FrameIndexError(f"{self._store.filename}: no frame at position {position}, there are {count}")
        return [position % count for position in positions], wanted.ndim == 0

    def _read(self, positions: list[int]) -> npt.NDArray[Any]:
        return self._store._read_shown(positions, self._shown)

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        if copy is False:
            raise ValueError("frames are read from files: an array of them is always a new one")
        frames = self[:]
        return frames if dtype is None else frames.astype(dtype, copy=False)

    def __dask_tokenize__(self) -> tuple[Any, ...]:
        """The same in every process, another one when the store has grown or was recorded anew."""
        store = self._store
        span = (store.frame_min, store.frame_max, store.frame_time_min, store.frame_time_max) if len(self) else ()
        return (
            type(self).__qualname__,
            store.uuid,
            store.full_path,
            self.shape,
            str(self.dtype),
            repr(self._shown),
            span,
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (self._store, self._color, self.shape[0])

    def __repr__(self) -> str:
        return f"<FrameArray {self._store.filename!r}: {self.dtype} {' x '.join(map(str, self.shape))}>"


def whole_number(value: Any, what: str) -> int:
    """Return a whole number that is given as any kind of number.

    Raises
    ------
    ArgumentError
        It is none.
    """
    try:
        return operator.index(value)
    except TypeError:
        pass
    try:
        number = int(value)
        if number == value:
            return number
    except (TypeError, ValueError, OverflowError):
        pass
    raise ArgumentError(f"{what} must be a whole number, not {value!r}")


def _again(store: ImgStore, color: Color | None, count: int) -> FrameArray:
    """Unpickle an array; the store may have grown since."""
    array = FrameArray(store, color)
    if count > array.shape[0]:
        raise FrameIndexError(
            f"{store.filename}: had {count} frames when the array was pickled, has {array.shape[0]} now"
        )
    array.shape = (count, *array.shape[1:])
    return array


def _split(key: Any, ndim: int) -> tuple[Any, tuple[Any, ...]]:
    """Split a key into what chooses frames and what chooses within each of them."""
    parts = list(key) if isinstance(key, tuple) else [key]
    if any(part is None for part in parts):
        raise ArgumentError("new axes are not made here: index the array that you get")
    ellipses = [k for k, part in enumerate(parts) if part is Ellipsis]
    if len(ellipses) > 1:
        raise FrameIndexError("an index can only have a single ellipsis ('...')")
    if ellipses:
        fill = [slice(None)] * (ndim - len(parts) + 1)
        parts[ellipses[0] : ellipses[0] + 1] = fill
    if len(parts) > ndim:
        raise FrameIndexError(f"too many indices: the array has {ndim} axes, {len(parts)} were given")
    frames, *rest = parts or [slice(None)]
    for part in rest:
        if not isinstance(part, slice):
            try:
                operator.index(part)
            except TypeError:
                raise ArgumentError("within frames, rows and columns are chosen by integers and slices") from None
    return frames, tuple(rest)

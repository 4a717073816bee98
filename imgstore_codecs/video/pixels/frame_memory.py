"""Memory for one frame after the other, without asking the system for it each time.

What C's allocator does with large blocks that one thread takes and another gives back depends on what else the process has
done: it may return each of them, and then the next frame goes to pages that the system has to find and clear first, which
may take as long as to decode it.
"""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from imgstore.codec import FrameSpec

__all__ = ["FrameMemory"]

Frame = npt.NDArray[Any]

# Frames come and go one by one
_MOST_SPARE = 4

_LINE = 64


class FrameMemory:
    """Gives arrays of one kind, which live where others were that nobody refers to any more.

    Parameters
    ----------
    spec : FrameSpec
        Of the arrays.
    """

    def __init__(self, spec: FrameSpec) -> None:
        self._spec = spec
        self._spare: deque[Frame] = deque(maxlen=_MOST_SPARE)

    def new(self) -> Frame:
        """Return an array of which nothing else is a part, with anything in it."""
        try:
            memory = self._spare.pop()
        except IndexError:
            memory = _aligned(self._spec)
        return np.asarray(_Loan(memory, self._spare))

    def clear(self) -> None:
        """Let go of what is not in use, and of what is in use when it is no longer."""
        self._spare = deque(maxlen=_MOST_SPARE)


def _aligned(spec: FrameSpec) -> Frame:
    """Make an array that begins at a line of the processor's caches: `_yuv` can write such a one past them."""
    dtype = np.dtype(spec.dtype)
    size = math.prod(spec.shape) * dtype.itemsize
    room = np.empty(size + _LINE, np.uint8)
    first = -room.ctypes.data % _LINE
    return room[first : first + size].view(dtype).reshape(spec.shape)


class _Loan:
    """What an array and all views of it refer to as the owner of their memory; gives it back when the last of them is gone."""

    def __init__(self, memory: Frame, spare: deque[Frame]) -> None:
        self.__array_interface__ = memory.__array_interface__
        self._memory = memory
        self._spare = spare

    def __del__(self) -> None:
        self._spare.append(self._memory)

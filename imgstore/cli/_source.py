"""What `imgstore save` records: frames as they come, what is known about them, and which of them are missing."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy.typing as npt

from imgstore.mapping import LeftOut

__all__ = ["Source", "SourceFrame"]


class SourceFrame(NamedTuple):
    """A frame on its way into a store."""

    img: npt.NDArray[Any]
    number: int
    time: float


@dataclass
class Source:
    """Frames and what is known about them.

    Attributes
    ----------
    frames : generator of SourceFrame
        To be taken once; closing it releases the source.
    count : int or None
        About how many there will be.
    fps : float or None
        Nominal frames per second.
    endless : bool
        Whether it ends only when it is stopped.
    metadata : dict
        For the store's user metadata.
    left_out : LeftOut
        What could not be read, complete when all frames have been taken.
    """

    frames: Generator[SourceFrame, None, None]
    count: int | None = None
    fps: float | None = None
    endless: bool = False
    metadata: dict[str, Any] = field(default_factory=dict)
    left_out: LeftOut = field(default_factory=LeftOut)

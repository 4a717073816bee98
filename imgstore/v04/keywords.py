"""Keywords that the fork has for what is called otherwise here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from imgstore.v04.newer import tell_newer

__all__ = ["Keywords", "take_keywords"]


@dataclass(frozen=True)
class Keywords:
    """What was given in the fork's words.

    Attributes
    ----------
    framerate : float or None
        Frames per second.
    first_chunk : int
        Number of the first chunk that is written.
    chunk_numbers : sequence of int or None
        The chunks that are read, and no others.
    """

    framerate: Any = None
    first_chunk: Any = 0
    chunk_numbers: Sequence[int] | None = None


def take_keywords(options: dict[str, Any]) -> Keywords:
    """Take the fork's keywords out of those that nobody else knows.

    ``isColor`` says no more than the shape of the frames, and goes.
    """
    options.pop("isColor", None)
    if "framerate" in options:
        tell_newer("framerate=", "here it is fps=", stacklevel=5)
    return Keywords(
        **{name: options.pop(name) for name in ("framerate", "first_chunk", "chunk_numbers") if name in options}
    )

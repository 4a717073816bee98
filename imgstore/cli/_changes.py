"""What becomes of each frame on its way into a new store: a function of the user's, then a part of the frame, and its size."""

from __future__ import annotations

import importlib
import inspect
import os
import runpy
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from imgstore.errors import ArgumentError
from imgstore.exporting import Pictures
from imgstore.mapping import BatchMetadata

__all__ = ["Changes", "changes"]

Image = npt.NDArray[Any]


class Changes:
    """Changes each frame. It is sent to workers by name: they find the user's function for themselves.

    Parameters
    ----------
    function : str or None
        ``MODULE:FUNCTION``, the module by name or by the path of its file.
    pictures : Pictures
        Part and size.
    folder : str
        Where modules are looked for first.
    """

    def __init__(self, function: str | None, pictures: Pictures, folder: str):
        self._arguments = function, pictures, folder
        self._pictures = pictures
        self._function = None if function is None else _load(function, folder)
        self._takes_more = self._function is not None and _takes_more(self._function)
        # by this, work that was interrupted is known again
        self.__name__ = f"{function}, crop {pictures.crop}, scale {pictures.scale}"

    def __reduce__(self) -> tuple[Any, ...]:
        return Changes, self._arguments

    def __call__(self, frames: Image, metadata: BatchMetadata) -> Image:
        """Change frames, ``(n, h, w[, 3])``."""
        numbers, times = metadata.frame_numbers.tolist(), metadata.frame_times.tolist()
        made = [self.one(*each) for each in zip(frames, numbers, times, strict=True)]
        return made[0][np.newaxis] if len(made) == 1 else np.stack(made)

    def one(self, frame: Image, number: int, time: float) -> Image:
        """Change a frame.

        Raises
        ------
        ArgumentError
            The user's function fails, or returns something else than a frame; or the part lies outside the frame.
        """
        if self._function is not None:
            try:
                made = self._function(frame, number, time) if self._takes_more else self._function(frame)
            except Exception as error:
                raise ArgumentError(f"{self._arguments[0]}, frame number {number}: {type(error).__name__}: {error}") from error
            if not isinstance(made, np.ndarray) or made.ndim not in (2, 3):
                what = f"an array of shape {made.shape}" if isinstance(made, np.ndarray) else f"{type(made).__name__}"
                raise ArgumentError(f"{self._arguments[0]} returned {what} for frame number {number}, and no frame")
            frame = made
        if self._pictures.changes_nothing:
            return frame
        self._pictures.size(frame.shape)  # the part may lie outside
        changed = self._pictures.apply(frame)
        if changed.dtype != frame.dtype:  # as it was scaled
            changed = np.rint(changed).astype(frame.dtype)
        return changed


def changes(function: str | None, pictures: Pictures) -> Changes | None:
    """Return what becomes of frames, None where they stay as they are.

    Raises
    ------
    ArgumentError
        There is no such function.
    """
    return None if function is None and pictures.changes_nothing else Changes(function, pictures, os.getcwd())


def _load(name: str, folder: str) -> Callable[..., Any]:
    module, colon, attribute = name.rpartition(":")
    if not colon or not module or not attribute:
        raise ArgumentError(f"{name!r} is not MODULE:FUNCTION, such as undistort:straighten or ./undistort.py:straighten")
    try:
        if module.endswith(".py"):
            found = runpy.run_path(os.path.join(folder, os.path.expanduser(module))).get(attribute)
        else:
            if folder not in sys.path:
                sys.path.insert(0, folder)
            found = getattr(importlib.import_module(module), attribute, None)
    except Exception as error:
        raise ArgumentError(f"{name}: the module cannot be loaded: {type(error).__name__}: {error}") from error
    if not callable(found):
        raise ArgumentError(f"{name}: there is no such function in the module")
    return found  # type: ignore[no-any-return]


def _takes_more(function: Callable[..., Any]) -> bool:
    """Whether a function takes the number and the time of the frame besides."""
    try:
        inspect.signature(function).bind(None, 0, 0.0)
    except (TypeError, ValueError):  # numpy's and OpenCV's own do not tell
        return False
    return True

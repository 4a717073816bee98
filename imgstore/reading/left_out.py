"""What becomes of frames that cannot be read while others are: an error, or they are left out, and it is said or not."""

from __future__ import annotations

import warnings
from typing import Literal

from imgstore.errors import ArgumentError, ImgStoreError, ImgStoreWarning

__all__ = ["LeftOut", "OnError"]

OnError = Literal["raise", "skip", "warn"]


class LeftOut:
    """Frames that are left out one after the other: one warning for those in a row.

    Parameters
    ----------
    where : str
        What they are left out of.
    on_error : {'raise', 'skip', 'warn'}
        What the user wants. With ``'raise'`` nothing is left out, and this is not used but for the check.

    Raises
    ------
    ArgumentError
        `on_error` is none of these.
    """

    def __init__(self, where: str, on_error: OnError):
        if on_error not in ("raise", "skip", "warn"):
            raise ArgumentError(f"on_error must be 'raise', 'skip' or 'warn', not {on_error!r}")
        self._where = where
        self._warns = on_error == "warn"
        self._numbers: list[int] = []
        self._why = ""

    def add(self, number: int, error: ImgStoreError) -> None:
        """Note the number of a frame, and why it could not be read."""
        if not self._numbers:
            self._why = str(error)
        self._numbers.append(number)

    def tell(self, stacklevel: int) -> None:
        """Warn of what was noted since the last call, where that is wanted."""
        numbers, self._numbers = self._numbers, []
        if not numbers or not self._warns:
            return
        if len(numbers) == 1:
            message = f"frame {numbers[0]} cannot be read and is left out: {self._why}"
        else:
            which = f"{len(numbers)} frames, numbers {numbers[0]} to {numbers[-1]},"
            message = f"{which} cannot be read and are left out. The first: {self._why}"
        warnings.warn(f"{self._where}: {message}", ImgStoreWarning, stacklevel=stacklevel + 1)

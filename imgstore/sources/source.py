"""What a place is that bytes come from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

__all__ = ["Source", "Stamp"]

# What changes when a file is written again, whatever a place can say of it
Stamp = tuple[int, ...]


class Source(ABC):
    """Files by their names, whose bytes can be asked for: a directory, or a place far away.

    Names have ``/`` between their parts, as in the index of a store, and a place may know more of them than it lists.
    """

    @abstractmethod
    def names(self) -> Sequence[str]:
        """List the files.

        Raises
        ------
        OSError
            They cannot be listed.
        """

    @abstractmethod
    def stamp(self, name: str) -> Stamp:
        """Return what changes when a file changes.

        Raises
        ------
        OSError
            There is no such file, or it may not be looked at.
        """

    @abstractmethod
    def read(
        self, name: str, start: int = 0, size: int | None = None, seen: Callable[[memoryview], object] | None = None
    ) -> npt.NDArray[np.uint8]:
        """Read a file, or a part of it.

        Parameters
        ----------
        name : str
            Its name.
        start : int
            Where the part begins, in bytes.
        size : int, optional
            How long the part is, in bytes; default to the end. Where the file ends before, what there is.
        seen : callable, optional
            Is given each piece as it comes, while the processor's cache has it.

        Returns
        -------
        numpy.ndarray
            A new array, uint8 ``(n,)``.

        Raises
        ------
        OSError
            There is no such file, or it cannot be read.
        """

    @abstractmethod
    def local_path(self, name: str) -> str:
        """Return the path of a file on this machine, for libraries that open files by themselves; fetch it if need be."""

    def shown(self, name: str) -> str:
        """Return what messages call a file."""
        return name

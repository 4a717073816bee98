"""What the datasets have in common: their stores, how a batch is read, and how a frame is given."""

from __future__ import annotations

import operator
from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from torch.utils.data import Dataset

from imgstore.bridges.torch.extra import LatestRecords
from imgstore.bridges.torch.layout import Layout, Output
from imgstore.bridges.torch.reading import BatchReader, Frames
from imgstore.bridges.torch.sources import Color, sources_of
from imgstore.errors import ArgumentError, FrameIndexError

__all__ = ["StoreDataset", "whole_number"]


class StoreDataset(Dataset[dict[str, Any]]):  # type: ignore[misc]
    """Samples out of stores. It is pickled with paths, and opens stores anew in every process."""

    def __init__(
        self,
        stores: Any,
        transform: Callable[[Any], Any] | None,
        output: Output,
        color: Color,
        extra: bool | Sequence[str],
        threads: int | None,
    ):
        if output not in ("torch", "numpy"):
            raise ArgumentError(f"output must be 'torch' or 'numpy', not {output!r}")
        self._sources = sources_of(stores, color)
        self._transform = transform
        self._layout = Layout(output, color)
        self._extra = [extra] if isinstance(extra, str) else extra
        self._reader = BatchReader(self._sources, threads)
        self._records: dict[int, LatestRecords] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_records": {}}

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def group_starts(self) -> npt.NDArray[np.int64]:
        """Return the samples at which groups of pictures begin, ascending; the first one is 0."""

    @abstractmethod
    def _places(self, sample: int) -> tuple[int, Sequence[int]]:
        """Return the number of a sample's source, and the positions of its frames."""

    @abstractmethod
    def _make(self, sample: int, frames: Frames) -> dict[str, Any]:
        """Make a sample of frames that have been read."""

    def __getitem__(self, sample: int) -> dict[str, Any]:
        """Return one sample; negative numbers count from the end.

        Raises
        ------
        FrameIndexError
            There is no such sample; also an IndexError.
        FrameDecodeError
            A frame is damaged; it is named.
        """
        return self.__getitems__([sample])[0]

    def __getitems__(self, samples: Sequence[int]) -> list[dict[str, Any]]:
        """Return the samples of a batch in the order asked for; those of each store are read at once."""
        count = len(self)
        for k, sample in enumerate(samples):
            number = whole_number(sample, "a sample")
            if not -count <= number < count:
                raise FrameIndexError(f"there is no sample {number}, there are {count}")
            if number != sample or number < 0:
                samples = [*samples[:k], number % count, *samples[k + 1 :]]
        frames = self._reader.read(samples, self._places)
        return [self._make(sample, frames) for sample in samples]

    def close(self) -> None:
        """Close every store that was opened in this process; they are opened again when they are needed."""
        self._reader.close()

    def _transformed(self, image: Any) -> Any:
        return image if self._transform is None else self._transform(image)

    def _with_records(self, made: dict[str, Any], number: int, time: float) -> dict[str, Any]:
        """Add the latest record of a source at a time, where records are wanted."""
        if self._extra is False:
            return made
        if number not in self._records:
            opened = self._sources[number].open(1)
            try:
                store = opened.stores[0] if self._sources[number].is_group else opened
                self._records[number] = LatestRecords(store, None if self._extra is True else self._extra)
            finally:
                opened.close()
        made["extra"] = self._records[number].at(time)
        return made


def whole_number(value: Any, what: str) -> int:
    """Return a whole number of any type; ArgumentError where it is none."""
    try:
        return operator.index(value)
    except TypeError:
        raise ArgumentError(f"{what} must be a whole number, not {value!r}") from None

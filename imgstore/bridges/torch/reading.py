"""Reading the frames of a batch: those of each store at once, or out of a window that is decoded as a whole.

A window is what `ChunkSampler` shuffles: a run of frames of each of several groups of pictures. It comes with each batch, so
that any worker can read it at any time. Each of its lanes has a store of its own, whose decoder goes on where the lane's run
in the window before it has ended.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from torch.utils.data import get_worker_info

from imgstore.bridges.torch.sources import Piece, Source
from imgstore.errors import ArgumentError

__all__ = ["Batch", "BatchReader", "Frames", "Places", "Window"]

Places = Callable[[int], tuple[int, Sequence[int]]]  # from a sample to its source and the positions of its frames
Frames = dict[tuple[int, int], tuple[Piece, int]]  # by source and position: where the frame is
Ranges = tuple[tuple[int, int], ...]


class Window(NamedTuple):
    """What is read at a time.

    Attributes
    ----------
    stream : int
        Which of the windows that are open at the same time.
    key : tuple of int
        No other window has the same.
    lanes : tuple of tuple of (int, int)
        Ranges of samples that each lane reads.
    """

    stream: int
    key: tuple[int, ...]
    lanes: tuple[Ranges, ...]


class Batch(list[int]):
    """The samples of a batch, and the window that they are from.

    Attributes
    ----------
    window : Window
    num_workers : int
        How many workers the sampler was told of.
    """

    window: Window
    num_workers: int


class _Lane:
    """One store, or group, that is open: the one that was read from last."""

    def __init__(self) -> None:
        self._number = -1
        self._opened: Any = None

    def read(self, sources: Sequence[Source], number: int, positions: list[int]) -> Piece:
        if number != self._number:
            self.close()
            self._opened = sources[number].open(threads=1, cache_size=0)  # it never comes back to what it has read
            self._number = number
        return sources[number].read(self._opened, positions)

    def close(self) -> None:
        if self._opened is not None:
            self._opened.close()
        self._opened, self._number = None, -1


class BatchReader:
    """Reads frames in whatever process it is; what is open stays in the process that has opened it.

    Parameters
    ----------
    sources : sequence of Source
    threads : int, optional
        For decoding; default one in a worker, and as many as there are cores elsewhere.
    """

    def __init__(self, sources: Sequence[Source], threads: int | None):
        self._sources = sources
        self._threads = threads
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._stores: dict[int, Any] = {}
        self._lanes: dict[tuple[int, int], _Lane] = {}
        self._windows: dict[int, tuple[tuple[int, ...], Frames]] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {"_sources": self._sources, "_threads": self._threads}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._begin()

    def read(self, samples: Sequence[int], places: Places) -> Frames:
        """Return the frames of a batch, and maybe more."""
        if os.getpid() != self._pid:  # whatever is open is the parent's
            self._begin()
        if isinstance(samples, Batch):
            return self._window(samples, places)
        frames: Frames = {}
        for number, positions in _by_source(samples, places):
            if number not in self._stores:
                self._stores[number] = self._sources[number].open(self._decoding_threads)
            _add(frames, number, positions, self._sources[number].read(self._stores[number], positions))
        return frames

    @property
    def _decoding_threads(self) -> int | None:
        return 1 if self._threads is None and get_worker_info() is not None else self._threads

    def _window(self, batch: Batch, places: Places) -> Frames:
        worker = get_worker_info()
        workers = 0 if worker is None else worker.num_workers
        if workers != batch.num_workers:
            raise ArgumentError(
                f"the sampler shares batches out among {batch.num_workers} workers, and the DataLoader has {workers}: "
                f"give ChunkSampler num_workers={workers}"
            )
        window = batch.window
        key, frames = self._windows.pop(window.stream, (None, {}))
        if key != window.key:
            frames = {}  # the one before goes before this one is read
            lanes = [self._lanes.setdefault((window.stream, k), _Lane()) for k in range(len(window.lanes))]

            def read(k: int) -> list[tuple[int, list[int], Piece]]:
                found = []
                for begin, end in window.lanes[k]:
                    for number, positions in _by_source(range(begin, end), places):
                        found.append((number, positions, lanes[k].read(self._sources, number, positions)))
                return found

            threads = self._decoding_threads
            with ThreadPoolExecutor(threads or os.cpu_count() or 1, "imgstore-lane") as pool:
                for found in pool.map(read, range(len(lanes))):
                    for number, positions, piece in found:
                        _add(frames, number, positions, piece)
        self._windows[window.stream] = window.key, frames
        return frames

    def close(self) -> None:
        """Close every store."""
        if os.getpid() == self._pid:
            for each in (*self._stores.values(), *self._lanes.values()):
                each.close()
        self._begin()


def _by_source(samples: Iterable[int], places: Places) -> list[tuple[int, list[int]]]:
    """Return the sources of samples, each with the positions that are wanted of it: ascending, each once."""
    wanted: dict[int, set[int]] = {}
    for sample in samples:
        number, positions = places(sample)
        wanted.setdefault(number, set()).update(positions)
    return [(number, sorted(positions)) for number, positions in wanted.items()]


def _add(frames: Frames, number: int, positions: list[int], piece: Piece) -> None:
    for k, position in enumerate(positions):
        frames[number, position] = piece, k

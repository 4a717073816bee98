"""In which order an epoch has its samples: arithmetic on a seed and a few numbers, so that it can begin anywhere.

The groups of pictures are shuffled; their samples, group after group, are a sequence. It is cut into a part for each rank, that
into a part for each stream (as many windows are open at a time), and that into one for each lane. A window takes some samples
of each lane in turn, each where the window before has ended, and is shuffled. The k-th batch of a rank is one of stream
``k % streams``, so that a `DataLoader`, which gives its workers batches in turn, gives all of a stream to one worker.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Epoch", "Plan"]

Ints = npt.NDArray[np.int64]
Range = tuple[int, int]

_SAMPLES_A_LANE = 4  # of a window, at least: a decoder goes on from a run of frames, not from a single one


@dataclass(frozen=True)
class Plan:
    """What the order depends on, besides the epoch.

    Attributes
    ----------
    starts : numpy.ndarray of int64
        Samples at which groups begin.
    count : int
        Number of samples.
    batch_size, window : int
        Samples of a batch, and batches of a window.
    streams, lanes : int
        Windows that are open at a time, and groups that a window takes samples of, at most.
    seed, rank, world_size : int
    """

    starts: Ints
    count: int
    batch_size: int
    window: int
    streams: int
    lanes: int
    seed: int
    rank: int
    world_size: int

    @property
    def part(self) -> Range:
        """The rank's part of the sequence; ranks differ by one sample at most."""
        return self.count * self.rank // self.world_size, self.count * (self.rank + 1) // self.world_size

    def batch_sizes(self) -> list[int]:
        """Return the sizes of the rank's batches: as many for each rank, as they are trained with in step."""
        begin, end = self.part
        most = -(-self.count // self.world_size)
        batches = -(-most // self.batch_size)
        sizes = [self.batch_size] * (batches - 1) + [end - begin - self.batch_size * (batches - 1)] if batches else []
        if sizes and sizes[-1] == 0:  # another rank has one sample more
            if len(sizes) > 1 and self.batch_size > 1:
                sizes[-2:] = [self.batch_size - 1, 1]
            else:
                del sizes[-1]
        return sizes

    @property
    def lanes_at_most(self) -> int:
        """How many lanes a stream has, so that each has some samples of a window."""
        return max(1, min(self.lanes, self.window * self.batch_size // _SAMPLES_A_LANE))


class Epoch:
    """The batches of one epoch.

    Parameters
    ----------
    plan : Plan
    number : int
        Of the epoch, from 0.
    """

    def __init__(self, plan: Plan, number: int):
        self._plan = plan
        self.number = number
        sizes = np.diff(plan.starts, append=plan.count)
        order = self._permutation(len(sizes))
        self._group_starts = plan.starts[order]
        self._ends = np.cumsum(sizes[order])
        self._sizes = sizes[order]
        batches = plan.batch_sizes()
        self.count = len(batches)
        begin = plan.part[0]
        self._bounds: list[Ints] = []  # of the batches of each stream, in its part of the sequence
        self._lanes: list[Ints] = []  # of the lanes of each stream, in the sequence
        for stream in range(plan.streams):
            bounds = np.cumsum([0, *batches[stream :: plan.streams]])
            end = begin + int(bounds[-1])
            self._bounds.append(bounds)
            self._lanes.append(self._cut(begin, end))
            begin = end

    def _cut(self, begin: int, end: int) -> Ints:
        """Cut a part of the sequence into lanes, about as long as each other: where groups end, so that none is decoded twice."""
        inside = self._ends[np.searchsorted(self._ends, begin, side="right") : np.searchsorted(self._ends, end)]
        wanted = np.linspace(begin, end, self._plan.lanes_at_most + 1)[1:-1]
        at = np.searchsorted(inside, wanted)
        nearest = [inside[max(0, k - 1) : k + 1] for k in at.tolist()]
        cuts = [int(near[np.abs(near - want).argmin()]) for near, want in zip(nearest, wanted, strict=True) if len(near)]
        return np.unique([begin, *cuts, end]).astype(np.int64)

    def _permutation(self, count: int, *what: int) -> Ints:
        """Shuffle; `numpy.random.RandomState` is the generator of numpy's that stays as it is."""
        seed = self._plan.seed
        state = np.random.RandomState([seed & 0xFFFFFFFF, seed >> 32, self.number, *what])
        return state.permutation(count).astype(np.int64)

    def batch(self, k: int) -> tuple[list[int], int, tuple[int, ...], tuple[tuple[Range, ...], ...]]:
        """Return the k-th batch: its samples, its stream, its window's key, and what the window's lanes read."""
        plan = self._plan
        stream, place = k % plan.streams, k // plan.streams
        first, last = self._bounds[stream][place : place + 2].tolist()
        size = plan.window * plan.batch_size
        number = first // size
        lanes = self._window(stream, number * size, min((number + 1) * size, int(self._bounds[stream][-1])))
        samples = np.concatenate([np.arange(*each) for lane in lanes for each in lane])
        within = self._permutation(len(samples), plan.rank, stream, number)[first - number * size : last - number * size]
        return samples[within].tolist(), stream, (self.number, plan.rank, stream, number), lanes

    def _window(self, stream: int, begin: int, end: int) -> tuple[tuple[Range, ...], ...]:
        """Return what the lanes of a window read, which has the samples from `begin` on when lanes take turns."""
        lanes = self._lanes[stream]
        before, after = _taken(np.diff(lanes), begin), _taken(np.diff(lanes), end)
        starts = lanes[:-1].tolist()
        return tuple(self._ranges(s + b, s + a) for s, b, a in zip(starts, before, after, strict=True))

    def _ranges(self, begin: int, end: int) -> tuple[Range, ...]:
        """Return the samples in a part of the sequence, as ranges."""
        ranges = []
        while begin < end:
            group = int(np.searchsorted(self._ends, begin, side="right"))
            stop = min(end, int(self._ends[group]))
            shift = int(self._group_starts[group]) - (int(self._ends[group]) - int(self._sizes[group]))
            ranges.append((begin + shift, stop + shift))
            begin = stop
        return tuple(ranges)


def _taken(lengths: Ints, count: int) -> list[int]:
    """Return how many samples each lane has given when they have given so many in turn, each as long as it has any."""
    low, high = 0, int(lengths.max(initial=0))
    while low < high:  # rounds that are over
        middle = (low + high + 1) // 2
        low, high = (middle, high) if int(np.minimum(lengths, middle).sum()) <= count else (low, middle - 1)
    taken = np.minimum(lengths, low)
    going = np.flatnonzero(lengths > low)
    taken[going[: count - int(taken.sum())]] += 1
    return [int(n) for n in taken]


def merged(starts: Ints, count: int, least: int) -> Ints:
    """Join groups with those behind them until each has as many samples as a lane reads at a time."""
    found: list[int] = []
    for start in starts.tolist():
        if not found or start - found[-1] >= least:
            found.append(start)
    return np.array(found if count else [], np.int64)

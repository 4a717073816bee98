"""A sampler that shuffles so that nothing is decoded twice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from torch import distributed
from torch.utils.data import Sampler

from imgstore.bridges.torch.dataset import StoreDataset, whole_number
from imgstore.bridges.torch.order import Epoch, Plan, merged
from imgstore.bridges.torch.reading import Batch, Window
from imgstore.errors import ArgumentError

__all__ = ["ChunkSampler"]

_PREFETCH_FACTOR = 2  # a DataLoader's default


class ChunkSampler(Sampler[list[int]]):  # type: ignore[misc]
    """Shuffles groups of pictures and, within a window, frames; to be given to a `DataLoader` as its ``batch_sampler``.

    A window holds some frames of each of several groups of pictures, and the next one the frames that follow in them: each
    group is decoded once, from its beginning to its end. All batches of a window go to the same worker. The order is a
    function of seed and epoch, whatever the number of workers, as long as the other arguments are the same.

    Parameters
    ----------
    dataset : FrameDataset or ClipDataset
        The one that the `DataLoader` has.
    batch_size : int
        Samples of a batch; the last ones of an epoch may be smaller.
    num_workers, prefetch_factor : int
        As the `DataLoader` has them.
    seed : int
        Of the order.
    window : int
        Batches of a window: so much is held in memory, `windows` times in all.
    groups : int
        Groups of pictures of which a window has frames, each in a decoder of its own. Fewer where there are too few groups.
    windows : int
        How many windows are open at the same time, one batch of each in turn; a multiple of `num_workers`.
    rank, world_size : int, optional
        Which part of the samples is this process's, of how many; default as `torch.distributed` has it where it is
        initialized, else all. Each rank has as many batches.

    Raises
    ------
    ArgumentError
        An argument cannot be used.

    Notes
    -----
    Iterating goes on from the place where it was left: behind the batch that the `DataLoader` gave last, whatever it has
    prefetched. When an epoch is over the next one begins.

    Examples
    --------
    >>> dataset = FrameDataset("recording")  # doctest: +SKIP
    >>> sampler = ChunkSampler(dataset, 32, num_workers=4)  # doctest: +SKIP
    >>> loader = DataLoader(dataset, batch_sampler=sampler, num_workers=4)  # doctest: +SKIP
    """

    def __init__(
        self,
        dataset: StoreDataset,
        batch_size: int = 32,
        *,
        num_workers: int = 0,
        prefetch_factor: int | None = None,
        seed: int = 0,
        window: int = 4,
        groups: int = 16,
        windows: int = 4,
        rank: int | None = None,
        world_size: int | None = None,
    ):
        if not isinstance(dataset, StoreDataset):
            raise ArgumentError(f"ChunkSampler is for FrameDataset and ClipDataset, not for {type(dataset).__name__}")
        if (rank is None) != (world_size is None):
            raise ArgumentError("give both rank and world_size, or neither")
        if rank is None or world_size is None:
            together = distributed.is_available() and distributed.is_initialized()
            rank, world_size = (distributed.get_rank(), distributed.get_world_size()) if together else (0, 1)
        given = {"batch_size": batch_size, "window": window, "groups": groups, "windows": windows, "world_size": world_size}
        for name, value in given.items():
            if whole_number(value, name) < 1:
                raise ArgumentError(f"{name} must be at least 1, not {value!r}")
        for name, value in {"num_workers": num_workers, "seed": seed, "rank": rank}.items():
            if not 0 <= whole_number(value, name) < 2**63:
                raise ArgumentError(f"{name} must be a whole number from 0, not {value!r}")
        if rank >= world_size:
            raise ArgumentError(f"rank must be below world_size, {world_size}, and is {rank}")
        if windows % max(1, num_workers):
            raise ArgumentError(
                f"{windows} windows cannot be shared out among {num_workers} workers: give windows={num_workers}, or a multiple"
            )
        self._num_workers = num_workers
        # as many batches as the DataLoader asks for before it gives the first
        self._prefetched = num_workers * (_PREFETCH_FACTOR if prefetch_factor is None else prefetch_factor)
        starts = merged(dataset.group_starts(), len(dataset), max(1, window * batch_size // groups))
        self._plan = Plan(starts, len(dataset), batch_size, window, windows, groups, seed, rank, world_size)
        self._count = len(self._plan.batch_sizes())
        self._begin: tuple[int, int] = (0, 0)
        self._going: _Batches | None = None

    def __len__(self) -> int:
        """Return the number of batches of an epoch."""
        return self._count

    def __iter__(self) -> Iterator[list[int]]:
        return _Batches(self)

    @property
    def _place(self) -> tuple[int, int]:
        """Epoch, and the number of its batches that have been taken."""
        epoch, step = self._begin
        if self._going is not None:
            step += max(0, self._going.calls - self._prefetched)
        return (epoch, step) if step < self._count else (epoch + 1, 0)

    def state_dict(self) -> dict[str, int]:
        """Return the place: ``epoch``, and ``step``, the number of its batches that the `DataLoader` has given out."""
        epoch, step = self._place
        return {"epoch": epoch, "step": step}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Go to a place: the next iteration begins there.

        Raises
        ------
        ArgumentError
            There is no such place in an epoch of this sampler.
        """
        try:
            epoch, step = (whole_number(state[name], name) for name in ("epoch", "step"))
        except KeyError as error:
            raise ArgumentError(f"the state of a ChunkSampler has {error}, which is missing here") from None
        if not 0 <= epoch < 2**32 or not 0 <= step <= self._count:
            raise ArgumentError(f"there is no epoch {epoch}, step {step}: an epoch has {self._count} batches")
        self._begin, self._going = (epoch, step) if step < self._count else (epoch + 1, 0), None

    def set_epoch(self, epoch: int) -> None:
        """Go to the beginning of an epoch."""
        self.load_state_dict({"epoch": epoch, "step": 0})


class _Batches(Iterator[list[int]]):
    """One iteration. A `DataLoader` makes some and uses one; it asks once more for each batch that it gives out, after the end
    too, and that is how it is known which was the last."""

    def __init__(self, sampler: ChunkSampler):
        self._sampler = sampler
        self._epoch: Epoch | None = None
        self._first = 0
        self.calls = 0

    def __next__(self) -> list[int]:
        sampler = self._sampler
        if self._epoch is None:
            sampler._begin, sampler._going = sampler._place, self
            number, self._first = sampler._begin
            self._epoch = Epoch(sampler._plan, number)
        self.calls += 1
        step = self._first + self.calls - 1
        if step >= self._epoch.count:
            raise StopIteration
        samples, stream, key, lanes = self._epoch.batch(step)
        batch = Batch(samples)
        batch.window = Window(stream, key, lanes)
        batch.num_workers = sampler._num_workers
        return batch

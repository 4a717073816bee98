"""Dask: frames as Dask's arrays, and whole stores that the workers of a cluster make of others.

Workers open stores by their paths, so that these have to be the same for all of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import uuid
import warnings
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import dask.array
import numpy as np
import numpy.typing as npt
from dask.base import tokenize

from imgstore import ImgStore
from imgstore.errors import ArgumentError, ChunkError, ImgStoreWarning
from imgstore.mapping import Job, Mapped, Recipe, Submit, Workers, opened
from imgstore.mapping import map_store as map_store_with

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["cluster_workers", "connected", "group_to_dask", "map_store", "store_to_dask"]

Frames = npt.NDArray[Any]
OnError = Literal["raise", "skip", "warn"]
T = TypeVar("T")

_PATIENCE = 5  # seconds in which a scheduler has to answer


# -- arrays ----------------------------------------------------------------------------------------------------------


def store_to_dask(store: ImgStore, frames_per_block: int | None = None) -> dask.array.Array:
    """Return the frames of a store as an array; see `imgstore.ImgStore.to_dask`."""
    array = store.as_array()
    blocks = np.diff([0, *_block_ends(store, array.chunks[0] if frames_per_block is None else frames_per_block)])
    token = str(tokenize(array))
    return dask.array.map_blocks(
        partial(_read_block, Recipe.of(store, token)),
        chunks=(tuple(blocks.tolist()), *((side,) for side in array.shape[1:])),
        dtype=array.dtype,
        meta=np.empty((0,) * array.ndim, array.dtype),
        name=f"imgstore-{tokenize(token, frames_per_block)}",
    )


def _read_block(recipe: Recipe, block_info: Any = None) -> Frames:
    begin, end = block_info[None]["array-location"][0]
    with opened(recipe) as store:
        return store.as_array()[begin:end]  # type: ignore[no-any-return]


def _block_ends(store: ImgStore, most: int) -> list[int]:
    """Return where blocks end: at chunks, and before groups of pictures, so that none is decoded for two blocks."""
    if isinstance(most, bool) or not isinstance(most, int) or most < 1:
        raise ArgumentError(f"frames_per_block must be a whole number from 1, not {most!r}")
    keys = store.get_key_frames()
    ends: list[int] = []
    for file in store.chunk_files:
        begin, end = file.position, file.position + file.frame_count
        marks = [*keys[np.searchsorted(keys, begin, "right") : np.searchsorted(keys, end)].tolist(), end]
        while begin < end:  # at the last key frame within reach, or the next one
            within = bisect_right(marks, begin + most)
            begin = marks[max(within - 1, bisect_right(marks, begin))]
            ends.append(begin)
    return ends


def group_to_dask(
    stores: Sequence[Any],
    columns: npt.NDArray[Any],
    reference: int,
    frames_per_block: int | None,
    *,
    hold: bool,
    on_error: OnError,
) -> tuple[dask.array.Array, ...]:
    """Return the frames of stores in step; see `imgstore.StoreGroup.to_dask`.

    Parameters
    ----------
    stores : sequence of ImgStore
    columns : ndarray, shape (stores, steps)
        Positions of the frames of all steps, -1 where there is none.
    reference : int
        The store at whose chunks blocks end.
    frames_per_block : int or None
    hold : bool
        The frame before stands for one that is not there.
    on_error : {'raise', 'skip', 'warn'}
        What becomes of damaged frames.
    """
    for store in stores:
        if not isinstance(store, ImgStore):
            raise ArgumentError(f"{store!r} is no store that workers could open")
    most = min(store.as_array().chunks[0] for store in stores) if frames_per_block is None else frames_per_block
    ends = np.searchsorted(np.maximum.accumulate(columns[reference]), _block_ends(stores[reference], most))
    blocks = np.diff([0, *sorted({*ends.tolist(), columns.shape[1]} - {0})])
    return tuple(
        _positions_to_dask(store, _held(column) if hold else column, tuple(blocks.tolist()), on_error)
        for store, column in zip(stores, columns, strict=True)
    )


def _held(column: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return positions with the last one that is there in the place of those that are not."""
    last = np.maximum.accumulate(np.where(column >= 0, np.arange(len(column)), -1))
    return np.where(last >= 0, column[last], -1)


def _positions_to_dask(
    store: ImgStore, positions: npt.NDArray[Any], blocks: tuple[int, ...], on_error: OnError
) -> dask.array.Array:
    array = store.as_array()
    token = str(tokenize(array))
    wanted = dask.array.from_array(np.ascontiguousarray(positions), chunks=(blocks,))
    frame_shape = array.shape[1:]
    return wanted.map_blocks(
        partial(_read_positions, Recipe.of(store, token), frame_shape, array.dtype, on_error),
        new_axis=list(range(1, array.ndim)),
        chunks=(blocks, *((side,) for side in frame_shape)),
        dtype=array.dtype,
        meta=np.empty((0,) * array.ndim, array.dtype),
        name=f"imgstore-{tokenize(token, positions, blocks, on_error)}",
    )


def _read_positions(
    recipe: Recipe, shape: tuple[int, ...], dtype: np.dtype[Any], on_error: OnError, positions: npt.NDArray[Any]
) -> Frames:
    """Read frames; black where there is none, or where one is damaged and that is no error."""
    frames = np.zeros((len(positions), *shape), dtype)
    parts = [there] if len(there := np.flatnonzero(positions >= 0)) else []
    with opened(recipe) as store:
        array = store.as_array()
        while parts:
            part = parts.pop()
            try:
                frames[part] = array[positions[part]]
            except ChunkError as error:
                if on_error == "raise":
                    raise
                if len(part) > 1:  # those that can be read: halves, until one is whole or a single frame
                    parts += [part[len(part) // 2 :], part[: len(part) // 2]]
                elif on_error == "warn":
                    warnings.warn(f"{store.filename}: black in place of a frame: {error}", ImgStoreWarning, stacklevel=1)
    return frames


# -- whole stores ------------------------------------------------------------------------------------------------------


def map_store(
    function: Callable[..., Any] | None,
    source: Any,
    dest: str | os.PathLike[str],
    *,
    format: str,
    client: Client | None = None,
    **keywords: Any,
) -> Mapped:
    """Have a cluster make a store of what a function makes of the frames of another, one task for each chunk.

    Parameters
    ----------
    function, source, dest, format, **keywords
        See `imgstore.mapping.map_store`. The function is sent to the workers; one that is defined in a notebook or in a
        function goes, too.
    client : distributed.Client, optional
        Whose workers do it; default the one that is current, or else as many processes of this machine as it has cores.

    Returns
    -------
    imgstore.mapping.Mapped
        How many frames there are, and which were left out.

    Raises
    ------
    UnfinishedStoreError
        Some chunks are not there. They are named, and all others are done; the same call goes on with those that are not.
    """
    with contextlib.ExitStack() as stack:
        if client is None:
            client = _current_client() or stack.enter_context(connected("local"))
        return map_store_with(function, source, dest, format=format, workers=cluster_workers(client), **keywords)


def _current_client() -> Client | None:
    import distributed

    try:
        return distributed.get_client()
    except ValueError:  # there is none
        return None


@contextlib.contextmanager
def connected(where: str) -> Iterator[Client]:
    """Connect to a cluster, for the time of the block.

    Parameters
    ----------
    where : str
        The address of a scheduler, ``tcp://host:8786``; or ``local`` or ``local:4`` for so many processes of this machine,
        default as many as it has cores.

    Raises
    ------
    ArgumentError
        No scheduler answers there.
    """
    from distributed import Client, LocalCluster

    kind, _, count = where.partition(":")
    with contextlib.ExitStack() as stack:
        if kind == "local":
            if count and not (count.isdecimal() and int(count)):
                raise ArgumentError(f"{where!r}: behind local: stands the number of processes, such as local:4")
            address: Any = stack.enter_context(
                LocalCluster(
                    n_workers=int(count or os.cpu_count() or 1),
                    threads_per_worker=1,
                    processes=True,
                    dashboard_address=":0",
                    silence_logs=logging.CRITICAL,
                )
            )
        else:
            address = where
            try:  # first, as a client that has not come about says so at length when it is collected
                asyncio.run(_knock(address))
            except Exception as error:  # whatever answers there
                raise ArgumentError(f"{where}: no Dask scheduler answers there: {error}") from error
        client = stack.enter_context(Client(address, timeout=_PATIENCE, set_as_default=False))
        if kind == "local":
            client.run(_ignore_interrupts)
        yield client


async def _ignore_interrupts() -> None:
    """Leave Ctrl-C, which a terminal sends to all, to who sees to the work; called in a worker's main thread."""
    with contextlib.suppress(ValueError):
        signal.signal(signal.SIGINT, signal.SIG_IGN)


async def _knock(address: str) -> None:
    from distributed.comm.core import connect
    from distributed.security import Security

    await (await connect(address, _PATIENCE, **Security().get_connection_args("client"))).close()


def cluster_workers(client: Client) -> Workers:
    """Return a cluster's workers, for `imgstore.mapping.map_store`."""

    @contextlib.contextmanager
    def begin(job: Job) -> Iterator[Submit]:
        # a task of its own, so that it is sent once, and made anew where the workers that have it die
        sent = client.submit(_same, job, key=f"imgstore-job-{uuid.uuid4().hex}", pure=False)

        def submit(function: Callable[..., Any], *arguments: Any) -> Any:
            key = f"{function.__name__}-{uuid.uuid4().hex}"
            return client.submit(function, sent, *arguments, key=key, pure=False)

        yield submit

    return begin


def _same(value: T) -> T:
    return value

"""Sizes and times of the chunks' own index files, by which a change is noticed without reading any of them.

Asking for them takes about 3 microseconds a chunk where the disk is the machine's own, a thirtieth of what reading
them takes. What has the same size and time is believed to be the same, as by make, rsync and git.
"""

from __future__ import annotations

import array
import os
import time
from collections.abc import Iterable

__all__ = ["Stamps", "read_stamps"]

Stamps = array.array  # of int64, two per chunk: bytes and nanoseconds since the epoch; both -1 where there is no file

_TRIED = 16  # questions from which it is seen whether the file system is far
_FAR = 200e-6  # seconds that one takes then
_AT_A_TIME = 16


def read_stamps(bases: Iterable[str]) -> Stamps[int]:
    """Ask the file system for size and time of index files.

    Parameters
    ----------
    bases : iterable of str
        Path of each without extension; ``.npz`` is looked at, or ``.yaml`` where there is no ``.npz``.

    Returns
    -------
    array of int64
        Two per path: size in bytes, and time of the last change in nanoseconds. Both are -1 where there is none.
    """
    waiting = list(bases)
    before = time.perf_counter()
    found = [_ask(base) for base in waiting[:_TRIED]]
    far = time.perf_counter() - before > _FAR * _TRIED
    rest = waiting[_TRIED:]
    if far and rest:
        from concurrent.futures import ThreadPoolExecutor  # not needed as a rule

        with ThreadPoolExecutor(_AT_A_TIME, "imgstore-stamps") as pool:
            found += pool.map(_ask, rest)
    else:
        found += map(_ask, rest)
    return array.array("q", [value for pair in found for value in pair])


def _ask(base: str) -> tuple[int, int]:
    for path in (base + ".npz", base + ".yaml"):
        try:
            facts = os.stat(path)
        except OSError:
            continue
        return facts.st_size, facts.st_mtime_ns
    return -1, -1

"""Writing and reading npy stores, beside a bare loop of `np.save` and `np.load`.

    python benchmarks/npy.py [--runs N] [--directory PATH] [--json FILE]

The bare loop saves frames as files of a directory and loads them again, which is what an npy store does with them and
nothing more. A store also checks every frame, notes its number, time and checksum, and writes indexes. As fast as
this both leave the frames' way to the disk to the operating system, unless they are told otherwise. The ways take turns:

adding       the calls of `add_image` of a store, without opening and closing it
whole        the same store, opening and closing included
both synced  a store with `sync=True`, beside a bare loop that calls `os.fsync` for every file

The table has medians over rounds of the ratio of speeds of the pair of one round. What was written is read back and
compared.

Frames are read while the operating system has them in memory, in order by `get_next_image` and at random by `get_image`.
The last table is of frames so small that only the work around the loading counts.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import imgstore

SHAPES = ((64, 64), (480, 640), (1024, 1280), (1024, 1280, 3))
BYTES = 1e9  # written per run, so that what is done once per store does not count for much
MOST_FRAMES = 2000
CHUNK = 200  # the default of directory formats
SMALL = (8, 8)
SMALL_FRAMES = 5000


def main() -> int:
    """Run the benchmark and print its tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=7, help="rounds per figure, the median counts")
    parser.add_argument("--directory", type=Path, help="where to write; default: the temporary directory")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="imgstore-npy-", dir=options.directory) as directory:
        root = Path(directory)
        print(
            f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, numpy {np.__version__}"
        )
        print(
            f"imgstore {imgstore.__version__}; medians of {options.runs} rounds; speed of the store / of the bare loop\n"
        )
        print("| frames | adding | whole | both synced | in order | at random | bare save | bare load |")
        print("|---|---|---|---|---|---|---|---|")
        for shape in SHAPES:
            figures[str(shape)] = row = measure_shape(root, shape, options.runs)
            name = " x ".join(map(str, shape))
            print(
                f"| {row['frames']} of {name} | {row['adding']:.2f} | {row['whole']:.2f} | {row['synced']:.2f} |"
                f" {row['read']:.2f} | {row['random']:.2f} |"
                f" {row['bare save us']:.0f} us | {row['bare load us']:.0f} us |",
                flush=True,
            )
        figures["small"] = small = measure_small(root, options.runs)
        print(f"\nget_next_image of {SMALL[0]} x {SMALL[1]}: {small['store us']:.1f} us a frame,", end=" ")
        print(f"np.load: {small['bare us']:.1f} us, added: {small['added us']:.1f} us")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1))
    return 0


def measure_shape(root: Path, shape: tuple[int, ...], runs: int) -> dict[str, float]:
    """Let the ways of writing take turns, then the ways of reading."""
    count = int(min(MOST_FRAMES, BYTES // np.prod(shape)))
    rng = np.random.default_rng(0)
    frames = [rng.integers(0, 256, shape, dtype=np.uint8) for _ in range(8)]
    bare, store = root / "bare", root / "store"

    adding: list[float] = []
    writing = {
        "bare": lambda: save_bare(bare, frames, count),
        "store": lambda: adding.append(save_store(store, frames, count)),
        "store synced": lambda: save_store(store, frames, count, sync=True),
        "bare synced": lambda: save_bare(bare, frames, count, sync=True),
    }
    written = take_turns(writing, runs, before=lambda: clear(bare, store))
    clear(bare, store)
    save_bare(bare, frames, count)
    save_store(store, frames, count)
    order = rng.permutation(count).tolist()
    reading = {
        "bare": lambda: load_bare(bare, range(count)),
        "bare random": lambda: load_bare(bare, order),
        "store": lambda: load_store(store, count),
        "store random": lambda: load_store_random(store, order),
    }
    read = take_turns(reading, runs)
    check(store, frames, count)
    clear(bare, store)
    return {
        "frames": count,
        "adding": ratio(written["bare"], adding[1:]),
        "whole": ratio(written["bare"], written["store"]),
        "synced": ratio(written["bare synced"], written["store synced"]),
        "read": ratio(read["bare"], read["store"]),
        "random": ratio(read["bare random"], read["store random"]),
        "bare save us": statistics.median(written["bare"]) / count * 1e6,
        "bare load us": statistics.median(read["bare"]) / count * 1e6,
    }


def measure_small(root: Path, runs: int) -> dict[str, float]:
    """Load frames of which only the work around the loading can be seen."""
    frames = [np.full(SMALL, k, np.uint8) for k in range(8)]
    bare, store = root / "bare", root / "store"
    save_bare(bare, frames, SMALL_FRAMES)
    save_store(store, frames, SMALL_FRAMES)
    ways = {
        "bare": lambda: load_bare(bare, range(SMALL_FRAMES)),
        "store": lambda: load_store(store, SMALL_FRAMES),
    }
    taken = take_turns(ways, runs)
    check(store, frames, SMALL_FRAMES)
    bare_us, store_us = (statistics.median(taken[way]) / SMALL_FRAMES * 1e6 for way in ("bare", "store"))
    return {"bare us": bare_us, "store us": store_us, "added us": store_us - bare_us}


def take_turns(
    ways: dict[str, Callable[[], object]], runs: int, before: Callable[[], object] = lambda: None
) -> dict[str, list[float]]:
    """Time each way once per round, beginning with another one each time; one round more, not counted, goes before."""
    names = list(ways)
    taken: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(runs + 1):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            before()
            began = time.perf_counter()
            ways[name]()
            if turn:
                taken[name].append(time.perf_counter() - began)
    return taken


def ratio(bare: list[float], other: list[float]) -> float:
    """Return how many times as fast as the bare loop another way is: the median over rounds."""
    return statistics.median(b / o for b, o in zip(bare, other, strict=True))


def clear(*directories: Path) -> None:
    """Remove what a run wrote, and let the disk come to rest, so that no run pays for the one before.

    A virtual machine may hand free memory back to its host, and then the next files to be written wait for it, whoever
    writes them. So memory is taken and let go here.
    """
    for directory in directories:
        shutil.rmtree(directory, ignore_errors=True)
    if hasattr(os, "sync"):
        os.sync()
    np.ones(int(BYTES * 1.2), np.uint8)


def bare_path(directory: Path, k: int) -> str:
    """Name a file as a store would."""
    return f"{directory}/{k // CHUNK:06d}/{k % CHUNK:06d}.npy"


def save_bare(directory: Path, frames: list[np.ndarray], count: int, *, sync: bool = False) -> None:
    """Save frames, and nothing else; with `sync` bring each to the disk."""
    for k in range(count):
        if k % CHUNK == 0:
            os.makedirs(f"{directory}/{k // CHUNK:06d}")
        if not sync:
            np.save(bare_path(directory, k), frames[k % len(frames)])
            continue
        with open(bare_path(directory, k), "wb") as file:
            np.save(file, frames[k % len(frames)])
            file.flush()
            os.fsync(file.fileno())


def save_store(directory: Path, frames: list[np.ndarray], count: int, *, sync: bool = False) -> float:
    """Save frames as a store; return how long adding them took."""
    with imgstore.new_for_format("npy", directory, imgshape=frames[0].shape, sync=sync) as store:
        began = time.perf_counter()
        for k in range(count):
            store.add_image(frames[k % len(frames)], k, k / 100)
        return time.perf_counter() - began


def load_bare(directory: Path, order: Any) -> None:
    """Load frames, and nothing else."""
    for k in order:
        np.load(bare_path(directory, k))


def load_store(directory: Path, count: int) -> None:
    """Read a store from its first frame to its last."""
    with imgstore.new_for_filename(directory) as store:
        for _ in range(count):
            store.get_next_image()


def load_store_random(directory: Path, order: list[int]) -> None:
    """Read frames of a store by number."""
    with imgstore.new_for_filename(directory) as store:
        for k in order:
            store.get_image(k)


def check(directory: Path, frames: list[np.ndarray], count: int) -> None:
    """See that the store has what was written, in order."""
    with imgstore.new_for_filename(directory) as store:
        seen = [(np.array_equal(img, frames[k % len(frames)]), number) for k, (img, (number, _)) in enumerate(store)]
    if seen != [(True, k) for k in range(count)]:
        raise SystemExit(f"{directory}: the store does not hold what was written")


if __name__ == "__main__":
    sys.exit(main())

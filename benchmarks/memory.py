"""How much a process grows while it reads a long recording.

    python benchmarks/memory.py [--frames 100000] [--random 10000] [--formats avc1/mp4,npy] [--directory PATH]
                                [--height 240] [--width 320] [--chunksize N]

A store is written, then read by fresh processes: all frames in order through `get_next_image`, and frames at random
through `get_image` and, a hundred at a time, through `get_images`. Each process notes its resident memory after a hundred
frames, which fill caches and start threads, and the largest that it had from then on. The difference is to be under 50 MB.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
from scene import scene

import imgstore

FIRST = 100  # frames, and those of a batch
LIMIT = 50.0  # MB


def main() -> int:
    """Run the benchmark and print its table; the exit status is 1 where a process grew by more than the limit."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--frames", type=int, default=100_000)
    parser.add_argument("--random", type=int, default=10_000, help="frames that are read at random")
    parser.add_argument("--formats", type=lambda text: text.split(","), default=["avc1/mp4", "npy"])
    parser.add_argument("--height", type=int, default=240)
    parser.add_argument("--width", type=int, default=320)
    parser.add_argument("--chunksize", type=int, help="frames per chunk; default: the format's")
    parser.add_argument("--directory", type=Path, help="where to write; default: the temporary directory")
    parser.add_argument("--read", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.read:
        print(json.dumps(read(**json.loads(options.read))))
        return 0
    shape = options.height, options.width
    print(
        f"{platform.machine()}, Python {platform.python_version()}, {options.frames} frames of {shape[1]} x {shape[0]}\n"
    )
    print("| format | reading | frames | after 100, MB | most since, MB | growth, MB |")
    print("|---|---|---|---|---|---|")
    grown = 0.0
    for fmt in options.formats:
        with tempfile.TemporaryDirectory(prefix="imgstore-memory-", dir=options.directory) as directory:
            path = str(Path(directory) / "s")
            write(path, fmt, options.frames, shape, options.chunksize)
            for how, read_some in WAYS.items():
                count = options.frames if read_some is next_image else options.random
                arguments = json.dumps({"path": path, "count": count, "how": how})
                done = subprocess.run(
                    [sys.executable, __file__, "--read", arguments], check=True, capture_output=True, text=True
                )
                first, most = json.loads(done.stdout)
                grown = max(grown, most - first)
                print(f"| {fmt} | {how} | {count} | {first:.0f} | {most:.0f} | {most - first:.0f} |", flush=True)
    return int(grown > LIMIT)


def write(path: str, fmt: str, count: int, shape: tuple[int, int], chunksize: int | None) -> None:
    """Write a store."""
    frames = list(scene(50, height=shape[0], width=shape[1]))
    with imgstore.new_for_format(fmt, path, imgshape=shape, chunksize=chunksize) as store:
        for k in range(count):
            store.add_image(frames[k % len(frames)], k, k / 100)


def next_image(store: imgstore.ImgStore, wanted: np.ndarray) -> list[int]:
    return [store.get_next_image()[1][0] for _ in wanted]


def one_by_one(store: imgstore.ImgStore, wanted: np.ndarray) -> list[int]:
    return [store.get_image(int(number))[1][0] for number in wanted]


def batch(store: imgstore.ImgStore, wanted: np.ndarray) -> list[int]:
    return store.get_images(wanted)[1][0].tolist()


WAYS: dict[str, Callable[[imgstore.ImgStore, np.ndarray], list[int]]] = {
    "in order": next_image,
    "at random": one_by_one,
    "in batches": batch,
}


def read(path: str, count: int, how: str) -> tuple[float, float]:
    """Read, and return resident memory in MB after the first frames, and at most since then."""
    process = psutil.Process()
    first = most = 0.0
    with imgstore.new_for_filename(path) as store:
        in_order = WAYS[how] is next_image
        numbers = np.arange(count) if in_order else np.random.default_rng(0).integers(0, len(store), count)
        for begin in range(0, count, FIRST):
            wanted = numbers[begin : begin + FIRST]
            if WAYS[how](store, wanted) != wanted.tolist():
                raise SystemExit(f"{path}: frames came in place of others")
            memory = process.memory_info().rss / 1e6
            first = first or memory
            most = max(most, memory) if begin else most
    return first, most


if __name__ == "__main__":
    sys.exit(main())

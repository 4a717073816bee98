"""What safety costs: writing with journal, checksums and syncs, beside writing without them.

    python benchmarks/safety.py [--runs 5] [--seconds 2] [--formats npy,png,...] [--directory PATH] [--json FILE]

Without them means that they are patched out here: no journal is written, no checksum is computed, nothing is brought to
the disk. Both ways take turns within one run and begin in turn; a round counts by the ratio of its two speeds, and the
table has the median over rounds. Writing includes opening and closing the store. The scene is gray (see scene.py).

The price is to be under 5 % in every compressed format and under 15 % for npy.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from scene import scene

import imgstore

SHAPES = ((1024, 1280), (480, 640))
UNCOMPRESSED = ("npy", "bmp", "ppm", "pgm")
LIMITS = {True: 0.15, False: 0.05}  # by whether a format is uncompressed


class NoJournal:
    """Takes what a journal takes, and keeps nothing."""

    def __init__(self, root: str, chunk: int):
        pass

    def add_frame(self, *args: Any) -> None:
        pass

    def add_record(self, line: str) -> None:
        pass

    def sync(self) -> None:
        pass

    def close(self) -> None:
        pass


@contextlib.contextmanager
def without_safety() -> Iterator[None]:
    """Patch out journal, checksums and syncs."""
    with contextlib.ExitStack() as stack:
        for name, value in {
            "imgstore.writing.writer.Journal": NoJournal,
            "imgstore.writing.chunk_files.checksum": lambda buffers: 0,
            "imgstore.writing.chunk_files.video_checksums": lambda path: ([os.path.getsize(path)], [0]),
            "imgstore.writing.chunk_files.DirectoryChunk.sync": lambda self: None,
            "os.fsync": lambda descriptor: None,
        }.items():
            stack.enter_context(mock.patch(name, value))
        yield


def main() -> int:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=5, help="rounds per figure, the median counts")
    parser.add_argument("--seconds", type=float, default=2.0, help="how long one way of a round takes, about")
    parser.add_argument("--formats", type=lambda text: text.split(","), help="comma separated; default: all")
    parser.add_argument("--directory", type=Path, help="where to write; default: the temporary directory")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()
    formats = options.formats or [f for f in imgstore.get_supported_formats() if not f.endswith("+color")]
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()},", end=" ")
    print(f"load before: {os.getloadavg()[0]:.1f}; medians of {options.runs} rounds\n")
    print("| format | frames | with, fps | without, fps | price | from | to | limit |")
    print("|---|---|---|---|---|---|---|---|")
    figures: dict[str, dict[str, float]] = {}
    for shape in SHAPES:
        frames = list(scene(24, height=shape[0], width=shape[1]))
        for fmt in formats:
            with tempfile.TemporaryDirectory(prefix="imgstore-safety-", dir=options.directory) as directory:
                row = measure(Path(directory) / "s", fmt, frames, options.runs, options.seconds)
            limit = LIMITS[fmt in UNCOMPRESSED]
            name = f"{fmt}, {shape[1]} x {shape[0]}"
            figures[name] = {**row, "limit": limit}
            print(
                f"| {name} | {row['frames']:.0f} | {row['with']:.0f} | {row['without']:.0f} | {row['price']:.1%} |"
                f" {row['lowest']:.1%} | {row['highest']:.1%} | {limit:.0%} |",
                flush=True,
            )
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1))
    return 0


def measure(path: Path, fmt: str, frames: list[np.ndarray], runs: int, seconds: float) -> dict[str, float]:
    """Let both ways take turns."""
    write(path, fmt, frames, 24)
    count = max(24, min(3000, int(24 * seconds / write(path, fmt, frames, 24))))
    taken: dict[bool, list[float]] = {True: [], False: []}
    for turn in range(runs):
        for safe in (True, False) if turn % 2 else (False, True):
            if safe:
                taken[True].append(write(path, fmt, frames, count))
            else:
                with without_safety():
                    taken[False].append(write(path, fmt, frames, count))
    prices = [1 - bare / safe for safe, bare in zip(taken[True], taken[False], strict=True)]
    return {
        "frames": count,
        "with": count / statistics.median(taken[True]),
        "without": count / statistics.median(taken[False]),
        "price": statistics.median(prices),
        "lowest": min(prices),
        "highest": max(prices),
    }


def write(path: Path, fmt: str, frames: list[np.ndarray], count: int) -> float:
    """Write a store, opening and closing included; return how many seconds that took."""
    shutil.rmtree(path, ignore_errors=True)
    os.sync()
    began = time.perf_counter()
    with imgstore.new_for_format(fmt, path, imgshape=frames[0].shape) as store:
        for k in range(count):
            store.add_image(frames[k % len(frames)], k, k / 100)
    return time.perf_counter() - began


if __name__ == "__main__":
    sys.exit(main())

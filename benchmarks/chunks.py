"""Reading here and there in a recording of many chunks, beside the same in a single chunk of it.

    python benchmarks/chunks.py [--chunks 200] [--frames 10000] [--runs 3] [--json FILE]

A chunk of H.264 of 640 x 480 is recorded once (`avc1/mp4` by default options) and taken into a store many times. Single
frames are read at random positions, and batches of 32; first where each chunk is met for the first time, and then where
each was read before. The ways take turns; printed are medians, in milliseconds a frame.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scene import scene

import imgstore

SHAPE = (480, 640)
FORMAT = "avc1/mp4"
SINGLE, BATCHES, BATCH = 100, 5, 32


def record(place: Path, frames: int) -> Path:
    """Record one chunk; return its file."""
    with imgstore.new_for_format(FORMAT, place, imgshape=SHAPE, imgdtype=np.uint8, chunksize=frames) as store:
        for k, img in enumerate(scene(frames, height=SHAPE[0], width=SHAPE[1])):
            store.add_image(img, k, k / 30)
    return place / "000000.mp4"


def repeated(place: Path, video: Path, chunks: int, frames: int) -> Path:
    """Make a store that has a chunk many times."""
    with imgstore.new_for_format(FORMAT, place, imgshape=SHAPE, imgdtype=np.uint8, chunksize=frames) as store:
        for chunk in range(chunks):
            numbers = np.arange(chunk * frames, (chunk + 1) * frames)
            store.insert_chunk(video, numbers, numbers / 30, move=False)
    return place


def singles(store: imgstore.ImgStore, rng: random.Random) -> float:
    began = time.perf_counter()
    for _ in range(SINGLE):
        store.get_image(None, frame_index=rng.randrange(len(store)))
    return (time.perf_counter() - began) / SINGLE


def batches(store: imgstore.ImgStore, rng: random.Random) -> float:
    began = time.perf_counter()
    for _ in range(BATCHES):
        store[[rng.randrange(len(store)) for _ in range(BATCH)]]
    return (time.perf_counter() - began) / (BATCHES * BATCH)


def first_of_each(store: imgstore.ImgStore, rng: random.Random) -> float:
    """A frame out of each chunk, all of which are new."""
    chunks = list(store.chunk_files)
    each = len(store) // len(chunks)
    began = time.perf_counter()
    for chunk in range(len(chunks)):
        store.get_image(None, frame_index=chunk * each + rng.randrange(each))
    return (time.perf_counter() - began) / len(chunks)


def compare(chunks: int, frames: int, runs: int) -> dict[str, float]:
    """Return milliseconds a frame, medians, of each way out of one chunk and out of many; and of the first out of each."""
    times: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as directory:
        one = Path(directory, "one")
        video = record(one, frames)
        many = repeated(Path(directory, "many"), video, chunks, frames)
        for run in range(runs):
            with imgstore.new_for_filename(one) as alone, imgstore.new_for_filename(many) as all_of_them:
                times.setdefault("first of each chunk", []).append(first_of_each(all_of_them, random.Random(run)))
                for name, way in WAYS.items():
                    times.setdefault(f"{name}, one chunk", []).append(way(alone, random.Random(run)))
                    times.setdefault(f"{name}, many", []).append(way(all_of_them, random.Random(run)))
    return {name: statistics.median(values) * 1e3 for name, values in times.items()}


WAYS: dict[str, Callable[[imgstore.ImgStore, random.Random], float]] = {"single": singles, "batch": batches}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chunks", type=int, default=200)
    parser.add_argument("--frames", type=int, default=10_000, help="of each chunk")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    results = compare(arguments.chunks, arguments.frames, arguments.runs)
    print(f"{arguments.chunks} chunks of {arguments.frames} frames\n")
    print("| reading | one chunk | many | one : many |\n|---|---|---|---|")
    for name in WAYS:
        one, many = results[f"{name}, one chunk"], results[f"{name}, many"]
        print(f"| {name} | {one:.2f} ms | {many:.2f} ms | {one / many:.2f} |")
    print(f"| first of each chunk | | {results['first of each chunk']:.2f} ms | |")
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()

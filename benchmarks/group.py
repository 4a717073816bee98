"""Six stores in step: making the table of ten million steps, and reading in step beside reading each store in order.

    python benchmarks/group.py [--frames N] [--no-reading] [--json FILE]

Five cameras at 30 Hz and one at 100 Hz drop 2 % of their frames; their clocks drift by 50 ppm, their numbers start again
every 65,536 and one in a hundred comes twice. Indexes are made from arrays, no frames are written. The table is made by
time (all six) and by number (the five), and some of its steps are compared with what looking at every frame gives; of
the memory, the peak beyond that of the open stores is told.

For reading, four stores of H.264, Motion JPEG, PNG and arrays are written, and read one after the other and in step, each
three times in turn.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
from scene import scene

import imgstore
from imgstore import StoreGroup
from imgstore.index import ImgStoreIndex
from imgstore.index._index import FrameIndex

CHUNK = 10_000
START = 1.7e9
TOLERANCE = 1 / 60
SAMPLE = 300  # steps that are compared
RATES = (30, 30, 30, 30, 30, 100)


def memory() -> float:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 / 1e9


class Peak:
    """The most memory that is in use within a block, looked at every few milliseconds."""

    def __enter__(self) -> Peak:
        self.before = self.most = memory()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()
        return self

    def _look(self) -> None:
        while not self._done.wait(0.005):
            self.most = max(self.most, memory())

    def __exit__(self, *exc_info: object) -> None:
        self._done.set()
        self._thread.join()


def camera(rate: float, frames: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return numbers and times."""
    rng = np.random.default_rng(seed)
    shot = np.flatnonzero(rng.random(int(frames * 1.03)) > 0.02)[:frames]
    times = START + seed * 0.002 + shot / rate * (1 + 50e-6 * (seed % 3 - 1)) + rng.normal(0, 0.02 / rate, len(shot))
    again = np.flatnonzero(rng.random(len(shot)) < 0.01)[1:]
    numbers = shot % 65536
    numbers[again] = numbers[again - 1]
    return numbers, times


def open_made_up(directory: Path, numbers: np.ndarray, times: np.ndarray) -> Any:
    """Open a store that has an index and nothing else."""
    chunks = [(n, numbers[k : k + CHUNK], times[k : k + CHUNK]) for n, k in enumerate(range(0, len(numbers), CHUNK))]
    index = ImgStoreIndex(FrameIndex(b"", b"")).extended(chunks)
    return imgstore.new_for_filename(directory, index=index)


def compare(group: Any, data: list[tuple[np.ndarray, np.ndarray]], tolerance: float, by_number: bool) -> int:
    """Look at every frame, for some steps; return how many positions differ."""
    wrong = 0
    rng = np.random.default_rng(0)
    for step in rng.integers(0, len(group), SAMPLE).tolist():
        moment, number = data[0][1][step], data[0][0][step]
        for c, (numbers, times) in enumerate(data[1:], 1):
            distance = np.abs(times - moment)
            if by_number:
                distance[numbers != number] = np.inf
            nearest = int(distance.argmin())
            want = nearest if distance[nearest] <= tolerance else -1
            wrong += int(group.table.positions[step, c] != want)
    return wrong


def table(frames: int) -> dict[str, Any]:
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        empty = Path(folder, "empty")
        imgstore.new_for_format("npy", empty, imgshape=(4, 4)).close()
        data = [camera(rate, frames, seed) for seed, rate in enumerate(RATES)]
        stores = [open_made_up(empty, *each) for each in data]
        for name, kept, arguments in [
            ("time", 6, {"align": "time", "tolerance": TOLERANCE}),
            ("number", 5, {"align": "number", "tolerance": 60.0}),
            ("number, tolerance by itself", 5, {"align": "number"}),
        ]:
            with Peak() as peak:
                before = time.perf_counter()
                group = StoreGroup(stores[:kept], **arguments)
                seconds = time.perf_counter() - before
            within = arguments.get("tolerance", 65536 / 30 / 4)
            results[name] = {
                "seconds": seconds,
                "GB": peak.most - peak.before,
                "steps": len(group),
                "matched": float((group.table.positions >= 0).mean()),
                "largest error": float(np.nanmax(np.abs(group.table.errors))),
                "wrong of the sample": compare(group, data[:kept], within, name != "time"),
            }
            del group
    return results


def reading(frames: int = 900) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for fmt, keep in (("avc1/mp4", 1.0), ("mjpeg/avi", 0.98), ("png", 0.98), ("npy", 0.98)):
            rng = np.random.default_rng(len(paths))
            path = Path(folder, fmt.replace("/", "-"))
            with imgstore.new_for_format(fmt, path, imgshape=(480, 640), chunksize=250) as store:
                for k, picture in enumerate(scene(frames, height=480, width=640)):
                    if rng.random() < keep:
                        store.add_image(picture, k, START + k / 30)
            paths.append(path)
        each, together = [], []
        for _ in range(3):
            before = time.perf_counter()
            for path in paths:
                with imgstore.new_for_filename(path) as store:
                    for _ in store:
                        pass
            each.append(time.perf_counter() - before)
            before = time.perf_counter()
            with StoreGroup(paths) as group:
                for _ in group:
                    pass
            together.append(time.perf_counter() - before)
    return {
        "each in order, seconds": statistics.median(each),
        "in step, seconds": statistics.median(together),
        "in step / each in order": statistics.median(together) / statistics.median(each),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=10_000_000, help="of each store")
    parser.add_argument("--no-reading", action="store_true")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    results: dict[str, Any] = {"table": table(options.frames)}
    if not options.no_reading:
        results["reading"] = reading()
    text = json.dumps(results, indent=2)
    print(text)
    if options.json:
        options.json.write_text(text)


if __name__ == "__main__":
    main()

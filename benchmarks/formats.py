"""What each format costs: size, speed of writing and of reading, and whether frames come back as they were.

    python benchmarks/formats.py [--frames 150] [--runs 3] [--formats npy,avc1/mp4,...] [--directory PATH]

One scene of 1280 x 1024 (textured background, sensor noise, twenty moving blobs; see scene.py) is written in every
format that works on this machine, gray and colour, with the format's default settings; it is read in order, and at
random one by one, and compared with what was written. Formats take turns within a round, so that a machine that is busy
for a while is so for all; the table has medians over the rounds. Writing includes closing. Reading finds the files in
memory.
It is printed as Markdown; docs/choosing-a-format.md has the last run.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import math
import os
import platform
import shutil
import statistics
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
from scene import HEIGHT, WIDTH, scene

import imgstore

RANDOM_READS = 60


def main() -> int:
    """Run the benchmark and print its tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--frames", type=int, default=150)
    parser.add_argument("--runs", type=int, default=3, help="rounds per figure, the median counts")
    parser.add_argument("--formats", help="separated by commas; default: all")
    parser.add_argument("--directory", type=Path, help="where to write; default: the temporary directory")
    options = parser.parse_args()
    wanted = options.formats.split(",") if options.formats else imgstore.get_supported_formats()
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("numpy", "opencv-python", "av"))
    print(f"{processor()}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}, {versions}")
    print(
        f"imgstore {imgstore.__version__}, {options.frames} frames of {WIDTH} x {HEIGHT}, {options.runs} rounds,",
        end=" ",
    )
    print(f"load before: {os.getloadavg()[0]:.1f}", flush=True)
    for color in (False, True):
        formats = [fmt for fmt in wanted if "+" not in fmt and not (color and fmt == "pgm")]  # pgm is gray alone
        frames = list(scene(options.frames, color=color))
        print(f"\n### {'Colour' if color else 'Gray'}\n")
        with tempfile.TemporaryDirectory(prefix="imgstore-formats-", dir=options.directory) as directory:
            figures: dict[str, list[dict[str, float]]] = {fmt: [] for fmt in formats}
            for turn in range(options.runs):
                for fmt in formats:
                    figures[fmt].append(measure(Path(directory) / "s", fmt, frames, turn))
                    print(f"round {turn + 1}: {fmt}", file=sys.stderr)
        print_table(figures, frames[0].nbytes)
    return 0


def measure(path: Path, fmt: str, frames: list[np.ndarray], seed: int) -> dict[str, float]:
    """Write a store, read it in both ways, compare it, and remove it."""
    began = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # nothing may be changed in these frames without a word in the table
        with imgstore.new_for_format(fmt, path, imgshape=frames[0].shape) as store:
            lossless = store.lossless
            for k, img in enumerate(frames):
                store.add_image(img, k, k / 100)
    result = {"write": len(frames) / (time.perf_counter() - began), "lossless": float(lossless)}
    size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    result["bytes"] = size / len(frames)
    with imgstore.new_for_filename(path) as store:
        began = time.perf_counter()
        for _ in frames:
            store.get_next_image()
        result["order"] = len(frames) / (time.perf_counter() - began)
    chosen = np.random.default_rng(seed).integers(0, len(frames), RANDOM_READS)
    with imgstore.new_for_filename(path) as store:
        began = time.perf_counter()
        for k in chosen:
            store.get_image(k)
        result["random"] = RANDOM_READS / (time.perf_counter() - began)
    with imgstore.new_for_filename(path) as store:
        squares = [error(img, frames[number]) for img, (number, _) in store]
        if len(squares) != len(frames):
            raise SystemExit(f"{fmt}: {len(frames)} frames were written, {len(squares)} read")
    result["psnr"] = math.inf if not any(squares) else 10 * math.log10(255**2 / statistics.mean(squares))
    if lossless and any(squares):
        raise SystemExit(f"{fmt}: frames did not come back as they were")
    shutil.rmtree(path)
    return result


def error(img: np.ndarray, original: np.ndarray) -> float:
    """Return the mean square of the differences."""
    return 0.0 if np.array_equal(img, original) else float(np.mean((img.astype(np.float32) - original) ** 2))


def print_table(figures: dict[str, list[dict[str, float]]], raw: int) -> None:
    """Print medians."""
    print("| format | lossless | kB per frame | of raw | writing | in order | at random |")
    print("|---|---|---|---|---|---|---|")
    for fmt, rounds in figures.items():
        row = {key: statistics.median(values[key] for values in rounds) for key in rounds[0]}
        kept = "yes" if row["lossless"] else f"no, {row['psnr']:.0f} dB"
        print(
            f"| `{fmt}` | {kept} | {row['bytes'] / 1e3:.0f} | {row['bytes'] / raw:.1%} | {row['write']:.0f} fps |"
            f" {row['order']:.0f} fps | {row['random']:.0f} fps |"
        )


def processor() -> str:
    """Name the processor, where that is known."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


if __name__ == "__main__":
    sys.exit(main())

"""Opening a long recording and finding frames in it, beside imgstore 0.4.0.

    python benchmarks/index.py [--peer-python PATH | --no-peer] [--no-large] [--json FILE]

A store of 9 million frames in 900 chunks is made in a temporary directory: real indexes, and one small video
hard-linked 900 times, since no frame is read. It is opened from its chunks and from its cached index, each in a fresh
process, which then looks frames up; 0.4.0 does the same with the same store in the same run. A second store of 250
million frames in 25,000 chunks (2 GB of cached index) is opened from its cache alone.

Each process first opens a store of one chunk, so that ``open`` is the opening and not the importing of modules; that is
in the table too.

The peer runs under ``--peer-python``, an interpreter with imgstore 0.4.0. Without it one is installed into
``benchmarks/.venvs`` once.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import Any

import numpy as np

CHUNK = 10_000
CHUNKS = 900
LARGE_CHUNKS = 25_000
PEER_VERSION = "0.4.0"
FIRST_TIME = 1_600_000_000.0
RATE = 100.0

# Runs under either version, so it keeps to what both have; the process is fresh each time.
MEASURE = r"""
import json, statistics, sys, time
import numpy as np

tiny, path, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])

def memory(field):
    # not getrusage: there a process inherits the peak of the one that started it
    with open("/proc/self/status") as file:
        return next(float(line.split()[1]) for line in file if line.startswith(field)) * 1024 / 1e6

import imgstore
before = time.perf_counter()
imgstore.new_for_filename(tiny).close()
result = {"first open of any": time.perf_counter() - before}
before = time.perf_counter()
store = imgstore.new_for_filename(path)
result["open"] = time.perf_counter() - before
result["frames"] = store.frame_count
result["version"] = imgstore.__version__
try:
    result["peak MB"] = memory("VmHWM:")
    result["resident MB"] = memory("VmRSS:")
except OSError:
    pass  # not Linux
index = store._index
wanted = json.load(sys.stdin)
calls = {
    "find number": (index.find_chunk, "frame_number"),
    "find position": (index.find_chunk, "index"),
    "nearest number": (index.find_chunk_nearest, "frame_number"),
    "nearest time": (index.find_chunk_nearest, "frame_time"),
}
for name, values in wanted.items():
    call, what = calls[name]
    times, found, end = [], [], time.perf_counter() + seconds
    for value in values:
        before = time.perf_counter()
        place = call(what, value)
        times.append(time.perf_counter() - before)
        found.append([int(part) for part in place])
        if time.perf_counter() > end:
            break
    # one by one the clock itself would be most of a short call, so those are timed together
    if statistics.median(times) < 1e-4:
        before = time.perf_counter()
        for value in values:
            call(what, value)
        result[name] = (time.perf_counter() - before) / len(values)
    else:
        result[name] = statistics.median(times)
    result[name + " found"] = found
json.dump(result, sys.stdout)
"""


def main() -> int:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--peer-python", type=Path, help=f"interpreter that has imgstore {PEER_VERSION}")
    parser.add_argument("--no-peer", action="store_true", help="measure this version alone")
    parser.add_argument("--no-large", action="store_true", help="leave out the store of 250 million frames")
    parser.add_argument("--runs", type=int, default=3, help="fresh processes per figure, the median counts")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()

    peer = None if options.no_peer else options.peer_python or install_peer()
    with tempfile.TemporaryDirectory(prefix="imgstore-index-") as directory:
        root = Path(directory)
        tiny = make_store(root / "tiny", 1)
        small = make_store(root / "small", CHUNKS)
        wanted = make_queries(CHUNKS * CHUNK)
        columns: dict[str, dict[str, Any]] = {}
        if peer is not None:
            columns[f"{PEER_VERSION}, chunks"] = measure(peer, tiny, small, 1, wanted)
            if columns[f"{PEER_VERSION}, chunks"]["version"] != PEER_VERSION:
                raise SystemExit(f"{peer} does not have imgstore {PEER_VERSION}")
        columns["chunks"] = measure(Path(sys.executable), tiny, small, options.runs, wanted)
        cache(small)
        columns["cache"] = measure(Path(sys.executable), tiny, small, options.runs, wanted)
        check_same_answers(columns)
        if not options.no_large:
            large = make_large_store(root / "large", LARGE_CHUNKS)
            columns["cache, 250 million"] = measure(
                Path(sys.executable), tiny, large, options.runs, make_queries(LARGE_CHUNKS * CHUNK)
            )
    print_table(columns)
    if options.json:
        figures = {
            name: {key: value for key, value in column.items() if not key.endswith(" found")}
            for name, column in columns.items()
        }
        options.json.write_text(json.dumps(figures, indent=1))
    return 0


def install_peer() -> Path:
    """Install imgstore 0.4.0 into an environment of its own, once."""
    directory = Path(__file__).resolve().parent / ".venvs" / f"imgstore-{PEER_VERSION}"
    python = directory / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not (directory / "ready").exists():
        venv.create(directory, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "-q", f"imgstore=={PEER_VERSION}", "opencv-python"], check=True)
        (directory / "ready").touch()
    return python


def make_store(root: Path, chunks: int) -> Path:
    """Make a store whose indexes are real and whose videos are all the same one."""
    root.mkdir()
    write_metadata(root)
    write_video(root / "000000.avi")
    for chunk in range(chunks):
        numbers, times = chunk_index(chunk)
        np.savez(root / f"{chunk:06d}.npz", frame_number=numbers, frame_time=times)
        if chunk:
            os.link(root / "000000.avi", root / f"{chunk:06d}.avi")
    return root


def make_large_store(root: Path, chunks: int) -> Path:
    """Make a cached index, and files that a listing of the directory shows; the first and last index are true."""
    from imgstore.index.cache import CACHE_FILENAME, IndexBuilder

    root.mkdir()
    write_metadata(root)
    write_video(root / "000000.avi")
    builder = IndexBuilder(root / CACHE_FILENAME)
    for chunk in range(chunks):
        numbers, times = chunk_index(chunk)
        if chunk in (0, chunks - 1):
            np.savez(root / f"{chunk:06d}.npz", frame_number=numbers, frame_time=times)
        else:
            os.link(root / "000000.npz", root / f"{chunk:06d}.npz")
        builder.add_chunk(chunk, f"{chunk:06d}", numbers, times)  # now that its index has a size and a time
        if chunk:
            os.link(root / "000000.avi", root / f"{chunk:06d}.avi")
    builder.finish()
    return root


def chunk_index(chunk: int) -> tuple[np.ndarray, np.ndarray]:
    """Consecutive numbers, and times with the jitter of a real clock."""
    numbers = np.arange(chunk * CHUNK, (chunk + 1) * CHUNK)
    jitter = np.random.default_rng(chunk).uniform(0, 0.4 / RATE, CHUNK)
    return numbers, FIRST_TIME + numbers / RATE + jitter


def write_metadata(root: Path) -> None:
    """Write what a store of tiny MJPEG videos has, in the words that 0.4.0 reads."""
    (root / "metadata.yaml").write_text(
        "__store: {chunksize: 10000, class: VideoImgStore, created_utc: '2024-01-01T00:00:00', encoding: null,\n"
        "  extension: .avi, format: mjpeg/avi, imgdtype: uint8, imgshape: [16, 16], timezone_local: UTC,\n"
        "  uuid: 0123456789abcdef0123456789abcdef, version: 2}\n"
    )


def write_video(path: Path) -> None:
    """Write ten small gray frames."""
    import av

    with av.open(str(path), "w", format="avi") as container:
        stream = container.add_stream("mjpeg", rate=25)
        stream.width = stream.height = 16
        stream.pix_fmt = "yuvj420p"
        for level in range(10):
            frame = av.VideoFrame.from_ndarray(np.full((16, 16), level, np.uint8), format="gray")
            container.mux(stream.encode(frame.reformat(format="yuvj420p")))
        container.mux(stream.encode())


def make_queries(frames: int) -> dict[str, list[float]]:
    """Choose values all over a store, in the same order for all, since a slow peer gets no further than the first."""
    rng = np.random.default_rng(0)
    numbers = [int(n) for n in rng.integers(0, frames, 20_000)]
    return {
        "find number": list(numbers),
        "find position": list(numbers),
        "nearest number": [n + 0.25 for n in numbers],
        "nearest time": [FIRST_TIME + n / RATE + 0.3 / RATE for n in numbers],
    }


def cache(root: Path) -> None:
    """Leave a cached index in a store."""
    import imgstore

    with imgstore.new_for_filename(root) as store:
        store.cache_index()


def measure(python: Path, tiny: Path, root: Path, runs: int, wanted: dict[str, list[float]]) -> dict[str, Any]:
    """Open a store in fresh processes and take the median of every figure, the worst of the memory."""
    results = []
    for _ in range(runs):
        command = [str(python), "-W", "ignore", "-c", MEASURE, str(tiny), str(root), "2"]
        results.append(run_measurement(command, wanted))
    combined = dict(results[0])
    for key, value in results[0].items():
        if isinstance(value, float):
            values = [result[key] for result in results]
            combined[key] = max(values) if key.endswith("MB") else statistics.median(values)
    return combined


def run_measurement(command: list[str], wanted: dict[str, list[float]]) -> dict[str, Any]:
    """Run one process and read its figures. The queries are longer than a command line may be."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}  # it may name the other
    done = subprocess.run(
        command, input=json.dumps(wanted), capture_output=True, text=True, cwd=tempfile.gettempdir(), env=environment
    )
    if done.returncode:
        raise SystemExit(f"the measurement failed:\n{done.stderr}")
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def check_same_answers(columns: dict[str, dict[str, Any]]) -> None:
    """See that every column found the same frames, as far as each came in its time."""
    names = list(columns)
    for key in (key for key in columns[names[0]] if key.endswith(" found")):
        for name in names[1:]:
            pairs = zip(columns[names[0]][key], columns[name][key], strict=False)
            if any(a != b for a, b in pairs):
                raise SystemExit(f"{names[0]} and {name} differ in {key.removesuffix(' found')}")


def print_table(columns: dict[str, dict[str, Any]]) -> None:
    """Print the figures, and how many times better each is than the first column's."""
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, numpy {np.__version__}")
    print(f"{'':18}" + "".join(f"{name:>26}" for name in columns))
    first = next(iter(columns.values()))
    for key in (key for key, value in first.items() if isinstance(value, float)):
        line = f"{key:18}"
        for column in columns.values():
            value = f"{column[key]:.0f}" if key.endswith("MB") else format_seconds(column[key])
            ratio = "" if column is first else f" ({first[key] / column[key]:,.1f}x)"
            line += f"{value + ratio:>26}"
        print(line)


def format_seconds(seconds: float) -> str:
    """Write a time in a fitting unit."""
    for unit, factor in (("s", 1.0), ("ms", 1e3)):
        if seconds * factor >= 1:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds * 1e6:.3g} us"


if __name__ == "__main__":
    if shutil.disk_usage(tempfile.gettempdir()).free < 4e9:
        print("needs 4 GB in the temporary directory (TMPDIR names another)", file=sys.stderr)
        raise SystemExit(1)
    raise SystemExit(main())

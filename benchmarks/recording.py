"""Eight cameras at once through Recorders, and how long a camera is kept waiting.

    python benchmarks/recording.py [--minutes 10] [--formats avc1/mp4,npy,...] [--cameras 8] [--directory PATH]
    python benchmarks/recording.py --waiting

The first records, in one process, as many cameras of 1280 x 1024 gray as are wanted, each with a thread and a `Recorder`
of its own. For each format the rate that this machine can hold is found first: what it writes when cameras wait for it,
then a little less and less, at a steady rate, until no queue grows. At that rate it records for the time that is wanted
(or until the disk would be half full: the table says how long it was). Recorders drop what they cannot take, so what the
machine cannot hold is counted. Afterwards every store is opened: the frame numbers have to be those that were
recorded, in order, and one frame in fifty, read back, has to show its own number.

The second measures every call of `add_image` at 100 frames per second, while the codec sleeps for a second now and then.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from scene import HEIGHT, WIDTH, scene

import imgstore
from imgstore import plugins
from imgstore.codec import Format, FrameCodec

CELL = 16  # of the grid of 4 x 4 cells in which a frame shows its number
RING = 12  # different frames per camera
QUEUE = 100
TRY_SECONDS = 8.0
WARM_UP = 10.0  # seconds after which memory is expected to stay where it is
MB = 1e6


@dataclass
class Run:
    """What came of recording for some time."""

    seconds: float
    waits: list[float]  # seconds that each `add_image` took
    sent: list[int]  # frames, by camera
    dropped: int
    longest_queue: int
    queues_left: int
    resident: list[tuple[float, float]]  # seconds since the beginning, bytes
    load: float  # processors kept busy by others and us

    @property
    def held(self) -> bool:
        """Whether the machine kept up."""
        return not self.dropped and self.queues_left <= QUEUE // 10 * len(self.sent)


HEADER = (
    "| format | fps per camera | fps in all | MB/s | minutes | frames | dropped | lost or out of order | longest queue |"
    " add_image median / p99 / max | memory at the start, middle, end | load |"
)


def main() -> int:
    """Run what is wanted."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=10.0, help="how long to record in each format")
    parser.add_argument(
        "--formats", default="npy,png,bpk,mjpeg/avi,avc1/mp4,h264/mkv,ffv1/mkv", help="separated by commas"
    )
    parser.add_argument("--cameras", type=int, default=8)
    parser.add_argument("--directory", type=Path, help="where to write; default: the temporary directory")
    parser.add_argument("--waiting", action="store_true", help="measure add_image while the codec sleeps, nothing else")
    options = parser.parse_args()
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, imgstore {imgstore.__version__}"
    )
    print(f"{WIDTH} x {HEIGHT} gray, load before: {os.getloadavg()[0]:.1f}\n", flush=True)
    with tempfile.TemporaryDirectory(prefix="imgstore-recording-", dir=options.directory) as directory:
        if options.waiting:
            measure_waiting(Path(directory))
            return 0
        formats = [fmt for fmt in options.formats.split(",") if fmt in imgstore.get_supported_formats()]
        print(HEADER + "\n" + "|---" * HEADER.count(" | ") + "|---|", flush=True)
        faults = [fmt for fmt in formats if not record(Path(directory), fmt, options.cameras, options.minutes * 60)]
    if faults:
        print(f"frames were lost or wrong in {', '.join(faults)}")
    return bool(faults)


# -- recording -----------------------------------------------------------------------------------------------------


def record(root: Path, fmt: str, cameras: int, seconds: float) -> bool:
    """Find the rate for a format, record at it, look at what was recorded, and print a line."""
    rings = [make_ring(camera) for camera in range(cameras)]
    unheld = run(root, fmt, rings, None, TRY_SECONDS)
    most = sum(unheld.sent) / unheld.seconds / cameras
    rate = most
    for share in (0.95, 0.9, 0.85, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3):
        rate = most * share
        tried = run(root, fmt, rings, rate, TRY_SECONDS)
        print(f"  {fmt}: {rate:.1f} frames per second and camera: {'held' if tried.held else 'not held'}", flush=True)
        if tried.held:
            break
    rate *= 0.9  # what holds for some seconds need not hold for ever
    size = run(root, fmt, rings, rate, 1.0, inspect=stored_bytes)
    per_second = size.inspected / size.seconds
    seconds = min(seconds, shutil.disk_usage(root).free / 2 / per_second)
    done = run(root, fmt, rings, rate, seconds, inspect=look_at)
    good = done.inspected == done.sent and not done.dropped
    waits = np.sort(done.waits) * 1e3
    settled = [size for at, size in done.resident if at >= min(WARM_UP, done.seconds / 4)]
    print(
        f"| `{fmt}` | {rate:.1f} | {rate * cameras:.0f} | {per_second / MB:.1f} | {done.seconds / 60:.1f} |"
        f" {sum(done.sent)} | {done.dropped} | {sum(done.sent) - sum(done.inspected)} |"
        f" {done.longest_queue} | {np.median(waits):.2f} / {waits[int(len(waits) * 0.99)]:.2f} / {waits[-1]:.1f} ms |"
        f" {settled[0] / MB:.0f}, {settled[len(settled) // 2] / MB:.0f}, {settled[-1] / MB:.0f} MB | {done.load:.1f} |",
        flush=True,
    )
    return good


def make_ring(camera: int) -> list[np.ndarray]:
    """Give frames for a camera to show again and again, with a number drawn over each."""
    return list(scene(RING)) if camera == 0 else [np.roll(img, 97 * camera, 1) for img in scene(RING)]


@dataclass
class Inspected(Run):
    """A run, and what was found in its stores."""

    inspected: Any = field(default=None)


def run(
    root: Path,
    fmt: str,
    rings: list[list[np.ndarray]],
    rate: float | None,
    seconds: float,
    inspect: Callable[[list[Path]], Any] = lambda paths: None,
) -> Inspected:
    """Record with a camera for each ring: at a rate, or as fast as the recorders take frames."""
    paths = [root / f"camera-{k}" for k in range(len(rings))]
    recorders = [
        imgstore.Recorder(
            imgstore.new_for_format(fmt, path, imgshape=(HEIGHT, WIDTH)), QUEUE, "block" if rate is None else "drop"
        )
        for path in paths
    ]
    waits: list[list[float]] = [[] for _ in rings]
    begin = time.monotonic() + 0.1
    threads = [
        threading.Thread(target=camera, args=(recorder, ring, rate, begin, seconds, taken))
        for recorder, ring, taken in zip(recorders, rings, waits, strict=True)
    ]
    for thread in threads:
        thread.start()
    resident, longest = watch(recorders, threads, begin)
    queues_left = sum(recorder.statistics.queued for recorder in recorders)
    for recorder in recorders:
        recorder.close()
    took = time.monotonic() - begin if rate is None else seconds
    done = Inspected(
        took,
        [wait for taken in waits for wait in taken],
        [len(taken) for taken in waits],
        sum(recorder.statistics.dropped for recorder in recorders),
        longest,
        queues_left,
        resident,
        os.getloadavg()[0],
        inspect(paths),
    )
    for path in paths:
        shutil.rmtree(path)
    return done


def camera(
    recorder: imgstore.Recorder,
    ring: list[np.ndarray],
    rate: float | None,
    begin: float,
    seconds: float,
    waits: list[float],
) -> None:
    """Be a camera: hand over frames when they are due, each in a buffer that is used again."""
    number = 0
    while True:
        due = begin + (number / rate if rate is not None else 0.0)
        if (time.monotonic() if rate is None else due) > begin + seconds:
            return
        time.sleep(max(0.0, due - time.monotonic()))
        img = ring[number % len(ring)]
        draw(img, number)
        before = time.perf_counter()
        recorder.add_image(img, number, number / 100)
        waits.append(time.perf_counter() - before)
        number += 1


def watch(
    recorders: list[imgstore.Recorder], threads: list[threading.Thread], begin: float
) -> tuple[list[tuple[float, float]], int]:
    """Note the memory of this process, and the longest queue, for as long as there are cameras."""
    process = psutil.Process()
    resident, longest = [], 0
    while any(thread.is_alive() for thread in threads):
        resident.append((time.monotonic() - begin, float(process.memory_info().rss)))
        longest = max(longest, *(recorder.statistics.queued for recorder in recorders))
        time.sleep(0.5)
    return resident, longest


def draw(img: np.ndarray, number: int) -> None:
    """Show the lower 16 bits of a number in a corner, as cells that survive any codec."""
    bits = (number >> np.arange(16)) & 1
    img[: 4 * CELL, : 4 * CELL] = np.kron(bits.reshape(4, 4) * 255, np.ones((CELL, CELL))).astype(np.uint8)


def shown(img: np.ndarray) -> int:
    """Read what `draw` has drawn."""
    cells = img[: 4 * CELL, : 4 * CELL].reshape(4, CELL, 4, CELL).mean((1, 3)) > 127
    return int((cells.reshape(16) << np.arange(16)).sum())


def stored_bytes(paths: list[Path]) -> int:
    """Return the size of some stores."""
    return sum(file.stat().st_size for path in paths for file in path.rglob("*") if file.is_file())


def look_at(paths: list[Path]) -> list[int]:
    """Return how many frames of each store are there, in their places, and show what they should."""
    good = []
    for path in paths:
        with imgstore.new_for_filename(path) as store:
            wrong = np.flatnonzero(store.frame_numbers != np.arange(len(store)))
            count = len(store) if not len(wrong) else int(wrong[0])
            for position in range(0, count, 50):
                img, (number, _) = store.get_image(None, frame_index=position)
                if shown(img) != number & 0xFFFF:
                    count = position
                    break
            good.append(count)
    return good


# -- waiting -------------------------------------------------------------------------------------------------------


class StoppingCodec(FrameCodec):
    """Keeps nothing of a frame but a byte, and sleeps for a second at every hundred and fiftieth."""

    name = "stopping"
    formats = (Format("stopping", ".stop", lossless=False),)

    def __init__(self) -> None:
        self.seen = 0

    def encoder(self, fmt: Any, spec: Any, options: Any) -> Any:
        def encode(img: np.ndarray) -> Any:
            self.seen += 1
            if self.seen % 150 == 0:
                time.sleep(1.0)
            return (img.tobytes()[:1],)

        return encode

    def decoder(self, fmt: Any, spec: Any) -> Any:
        return lambda data: np.full(spec.shape, data[0], spec.dtype)


class StoppingPlugin:
    """Brings the codec."""

    @imgstore.hookimpl
    def imgstore_codecs(self) -> Any:
        return [StoppingCodec()]


@contextlib.contextmanager
def stopping_codec() -> Iterator[None]:
    """Have the codec for a while."""
    plugin = StoppingPlugin()
    plugins.register(plugin, "stopping")
    try:
        yield
    finally:
        plugins.unregister(plugin)


def measure_waiting(root: Path, frames: int = 1500, rate: float = 100.0) -> None:
    """Time every call of `add_image`, while the encoder stops now and then."""
    ring = make_ring(0)
    print("| encoder | add_image median | p99 | max | longest queue | bare copy, median / p99 / max |")
    print("|---|---|---|---|---|---|")
    with stopping_codec():
        for fmt in ("stopping", "npy", "avc1/mp4"):
            recorder = imgstore.Recorder(imgstore.new_for_format(fmt, root / fmt[:3], imgshape=(HEIGHT, WIDTH)), 1000)
            waits, copies, longest = [], [], 0
            begin = time.monotonic()
            for number in range(frames):
                time.sleep(max(0.0, begin + number / rate - time.monotonic()))
                img = ring[number % len(ring)]
                before = time.perf_counter()
                recorder.add_image(img, number, number / rate)
                between = time.perf_counter()
                img.copy()
                copies.append(time.perf_counter() - between)
                waits.append(between - before)
                longest = max(longest, recorder.statistics.queued)
            recorder.close()
            what = "sleeps for a second every 1.5 s" if fmt == "stopping" else f"`{fmt}`"
            print(
                f"| {what} | {' | '.join(quantiles(waits))} | {longest} | {' / '.join(quantiles(copies))} |", flush=True
            )


def quantiles(seconds: list[float]) -> list[str]:
    """Write median, p99 and maximum."""
    values = np.sort(seconds) * 1e3
    return [f"{value:.2f} ms" for value in (np.median(values), values[int(len(values) * 0.99)], values[-1])]


if __name__ == "__main__":
    sys.exit(main())

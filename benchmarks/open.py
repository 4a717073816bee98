"""Plain videos: how long until the first frame is there, reading them, and opening a long one a second time.

    python benchmarks/open.py [--runs 5] [--peers opencv,decord,torchcodec,imageio] [--hour]

The peers are installed as `benchmarks/video.py` does it. Each reading is in a process of its own, in which the library has
opened another video before, so that what it imports is not counted; the file is not in the system's cache.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import video

CASES = ("first frame", "single", "batch", "in order")


class Plain(video.Ours):
    """`imgstore.open`, with nothing kept from before."""

    def __init__(self, path: str, color: bool) -> None:
        import imgstore

        self.store = imgstore.open(path, color="bgr" if color else "gray", cache=False)


class Imageio:
    def __init__(self, path: str, color: bool) -> None:
        import imageio.v3

        self.file = imageio.v3.imopen(path, "r", plugin="pyav")

    def single(self, position: int) -> Any:
        return self.file.read(index=position)

    def batch(self, where: list[int]) -> Any:
        return [self.single(p) for p in where]

    def in_order(self) -> Any:
        return self.file.iter()


video.READERS |= {"plain": Plain, "imageio": Imageio}
video.PACKAGES += ("imageio", "imageio[pyav]")


def forget(path: str) -> None:
    """Let the system drop a file from its cache, where it can be asked to."""
    if hasattr(os, "posix_fadvise"):
        with open(path, "rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def first_frame(name: str, path: str, other: str, color: bool) -> dict[str, Any]:
    """Return the milliseconds from the call that opens a file until its first frame is there."""
    video.READERS[name](other, color).single(0)
    forget(path)
    begin = time.perf_counter()
    img = video.READERS[name](path, color).single(0)
    return {"ms": (time.perf_counter() - begin) * 1000, "check": [video.brightness(img)]}


def make_hour(path: Path, minute: Path) -> None:
    """Write an hour of Matroska: the packets of a minute, sixty times."""
    import av

    with av.open(str(path), "w") as out:
        copy = None
        for k in range(60):
            with av.open(str(minute)) as source:
                stream = source.streams.video[0]
                copy = copy or out.add_stream_from_template(stream)
                shift = round(k * 60 / stream.time_base)
                for packet in source.demux(stream):
                    if packet.size:
                        packet.pts, packet.dts, packet.stream = packet.pts + shift, packet.dts + shift, copy
                        out.mux(packet)


def hour(scratch: Path) -> None:
    import imgstore

    minute, path = scratch / "minute.mkv", scratch / "hour.mkv"
    video.make_video(minute, 50, 1500, True)
    make_hour(path, minute)
    imgstore.open(minute, cache=False).get_next_image()
    print(f"\nAn hour of Matroska, {path.stat().st_size / 1e6:.0f} MB:")
    for which in ("first", "second", "third"):
        begin = time.perf_counter()
        store = imgstore.open(path, cache=scratch / "cache")
        opened = time.perf_counter()
        store.get_next_image()
        print(f"{which} opening: {(opened - begin) * 1000:.1f} ms, with a frame {(time.perf_counter() - begin) * 1000:.1f} ms")
        store.close()


def run_worker(python: str, env: dict[str, str], arguments: list[Any]) -> dict[str, Any]:
    command = [python, str(Path(__file__).resolve()), "--worker", json.dumps(arguments)]
    done = subprocess.run(command, env={**os.environ, **env}, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{arguments}: {done.stderr[-2000:]}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--frames", type=int, default=1500)
    parser.add_argument("--peers", default="opencv,decord,torchcodec,imageio", help="comma separated; may be empty")
    parser.add_argument("--cases", default=",".join(CASES), help="comma separated; may be empty")
    parser.add_argument("--one-slice", action="store_true", help="with one slice per picture, as most programs make them")
    parser.add_argument("--hour", action="store_true", help="open an hour of Matroska, again and again")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        case, *rest = json.loads(arguments.worker)
        print(json.dumps(first_frame(*rest) if case == "first frame" else video.work(*rest)))
        return
    names = [n for n in arguments.peers.split(",") if n]
    cases = [c for c in arguments.cases.split(",") if c]
    with tempfile.TemporaryDirectory(prefix="imgstore-bench-") as scratch:
        python = video.make_peers() if names else Path(sys.executable)
        env = video.libraries_of_pyav(python, Path(scratch)) if names else {}
        if cases:
            print("| reading, key frame every | " + " | ".join([*_contestants(names)]) + " |")
            print("|" + "---|" * (1 + len(_contestants(names))))
        for gop in video.GOPS if cases else ():
            path = Path(scratch) / f"every-{gop}.mp4"
            video.make_video(path, gop, arguments.frames, arguments.one_slice)
            video.make_stores(path, arguments.frames)
            other = Path(scratch) / "other.mp4"
            video.make_video(other, 12, 25, True)
            for case in cases:
                results: dict[str, list[float]] = {}
                for run in range(arguments.runs):
                    contestants = _contestants(names)
                    random.Random(run).shuffle(contestants)
                    for label in contestants:
                        name, _, kind = label.partition(" ")
                        ours = name in ("imgstore", "plain")
                        if name == "imgstore" and case == "first frame":
                            continue
                        where = (sys.executable, {}) if ours else (str(python), env)
                        if case == "first frame":
                            got = run_worker(*where, [case, name, str(path), str(other), kind == "BGR"])
                            results.setdefault(label, []).append(got["ms"])
                        else:
                            got = run_worker(*where, [case, name, case, str(path), kind == "BGR", arguments.frames, run])
                            results.setdefault(label, []).append(got["fps"])
                cells = [f"{statistics.median(results[label]):.1f}" if label in results else "" for label in _contestants(names)]
                unit = "ms" if case == "first frame" else "frames per second"
                print(f"| {case} ({unit}), {gop} | " + " | ".join(cells) + " |", flush=True)
        if arguments.hour:
            hour(Path(scratch))


def _contestants(names: list[str]) -> list[str]:
    return ["plain gray", "plain BGR", "imgstore gray", "imgstore BGR", *names]


if __name__ == "__main__":
    main()

"""Plain videos: how long until the first frame is there, reading them, and opening a long one a second time. And stores of
one chunk, by format: how long until the first frame.

    python benchmarks/open.py [--runs 5] [--peers opencv,decord,torchcodec,imageio] [--hour] [--stores]

The peers are installed as `benchmarks/matrix.py` does it. Each reading is in a process of its own, in which the library has
opened another video before, so that what it imports is not counted; the file is not in the system's cache.
"""

from __future__ import annotations

import argparse
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import peers
from peers import CASES, Video
from scene import scene

GOPS = (250, 25)
STORES = ("avc1/mp4", "h264/mkv", "ffv1/mkv")
_FIRST_FRAME = """
import sys, time, imgstore
with imgstore.open(sys.argv[1]) as other:
    other.get_next_image()
begin = time.perf_counter()
imgstore.open(sys.argv[2]).get_next_image()
print((time.perf_counter() - begin) * 1000)
"""


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
    peers.make_video(minute, Video("minute", "h264/mkv", (480, 640), 50, 1500))
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


def record(path: Path, fmt: str, frames: int) -> Path:
    import imgstore

    with imgstore.new_for_format(fmt, path, imgshape=(240, 320), chunksize=frames) as store:
        for k, img in enumerate(scene(frames, height=240, width=320)):
            store.add_image(img, k, k / 30)
    return path


def without_kept(path: Path) -> Path:
    """Copy a store, without what its index keeps for its codec."""
    copy = shutil.copytree(path, path.with_name(f"{path.name}-without"))
    with np.load(copy / "000000.npz") as arrays:
        others = {name: arrays[name] for name in arrays if not name.startswith("_codec_")}
    np.savez(copy / "000000.npz", **others)
    return Path(copy)


def stores(scratch: Path, runs: int, frames: int) -> None:
    print(f"\nFirst frame of a store of {frames} frames of 320 x 240, ms:")
    print("| format | | without what its index keeps |\n|---|---|---|")
    for fmt in STORES:
        path, other = (record(scratch / f"{fmt.replace('/', '-')}{end}", fmt, n) for end, n in (("", frames), ("-other", 25)))
        cells = []
        for each in (path, without_kept(path)):
            question = [sys.executable, "-c", _FIRST_FRAME, str(other), str(each)]
            times = [float(subprocess.check_output(question)) for _ in range(runs)]
            cells.append(f"{statistics.median(times):.1f}")
        print(f"| {fmt} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--frames", type=int, default=1500)
    parser.add_argument("--peers", default="opencv,decord,torchcodec,imageio", help="comma separated; may be empty")
    parser.add_argument("--cases", default=",".join(CASES), help="comma separated; may be empty")
    parser.add_argument("--one-slice", action="store_true", help="with one slice per picture, as most programs make them")
    parser.add_argument("--hour", action="store_true", help="open an hour of Matroska, again and again")
    parser.add_argument("--stores", action="store_true", help="the first frame of stores of one chunk, by format")
    arguments = parser.parse_args()
    names = [n for n in arguments.peers.split(",") if n]
    cases = [c for c in arguments.cases.split(",") if c]
    with tempfile.TemporaryDirectory(prefix="imgstore-bench-") as scratch:
        python = peers.make_peers() if names else Path(sys.executable)
        env = peers.libraries_of_pyav(python, Path(scratch)) if names else {}
        if cases:
            print("| reading, key frame every | " + " | ".join([*_contestants(names)]) + " |")
            print("|" + "---|" * (1 + len(_contestants(names))))
        for gop in GOPS if cases else ():
            path = Path(scratch) / f"every-{gop}.mp4"
            video = Video(path.stem, "avc1/mp4", (1024, 1280), gop, arguments.frames, arguments.one_slice)
            peers.make_video(path, video)
            peers.make_stores(path, video)
            other = Path(scratch) / "other.mp4"
            peers.make_video(other, Video("other", "avc1/mp4", (240, 320), 12, 25))
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
                        question = [name, case, str(path), str(other), kind == "BGR", arguments.frames, run]
                        got = peers.run_worker(*where, question)
                        results.setdefault(label, []).append(got["ms" if case == "first frame" else "fps"])
                cells = [f"{statistics.median(results[label]):.1f}" if label in results else "" for label in _contestants(names)]
                unit = "ms" if case == "first frame" else "frames per second"
                print(f"| {case} ({unit}), {gop} | " + " | ".join(cells) + " |", flush=True)
        if arguments.hour:
            hour(Path(scratch))
        if arguments.stores:
            stores(Path(scratch), arguments.runs, 3000)


def _contestants(names: list[str]) -> list[str]:
    return ["plain gray", "plain BGR", "imgstore gray", "imgstore BGR", *names]


if __name__ == "__main__":
    main()

"""Reading at every size, format and layout that people have: imgstore beside OpenCV, decord and torchcodec.

    python benchmarks/matrix.py [--runs 3] [--peers opencv,decord,torchcodec] [--cases single,batch,"in order"] [--only NAME]

Videos of the scene of scene.py are read as the first frame of a file that nothing has cached, at random one by one, as one batch
of random frames, and in order; by each reader in a process of its own, in turns. Printed are medians: frames per second of
imgstore in gray and in BGR, of the best of the others, and of FFmpeg's decoder alone, which is the limit in order; and how many
times as fast as the best of the others imgstore is. Every reader's frames are compared with a plain decode. Then frames as
files, in batches, beside a bare loop; and many chunks beside one, see chunks.py.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import chunks
import cv2
import numpy as np
import peers
from peers import CASES, READERS, Video
from scene import scene

import imgstore

SMALL, MIDDLE, LARGE, UHD = (240, 320), (480, 640), (1024, 1280), (2160, 3840)
VIDEOS = (
    Video("H.264 320 x 240", "avc1/mp4", SMALL, 250, 3000),
    Video("H.264 320 x 240", "h264/mkv", SMALL, 250, 3000),
    Video("H.264 640 x 480", "avc1/mp4", MIDDLE, 250, 1500),
    Video("H.264 640 x 480", "avc1/mp4", MIDDLE, 25, 1500),
    Video("H.264 1280 x 1024, two slices", "avc1/mp4", LARGE, 250, 750, one_slice=False),
    Video("H.264 1280 x 1024, two slices", "avc1/mp4", LARGE, 25, 750, one_slice=False),
    Video("H.264 1280 x 1024", "avc1/mp4", LARGE, 250, 750),
    Video("H.264 1280 x 1024", "avc1/mp4", LARGE, 25, 750),
    Video("HEVC 1280 x 1024", "hevc/mp4", LARGE, 50, 500),
    Video("AV1 1280 x 1024", "av1/mp4", LARGE, 50, 500),
    Video("MJPEG 1280 x 1024", "mjpeg/avi", LARGE, 1, 500),
    Video("H.264 3840 x 2160", "avc1/mp4", UHD, 50, 150),
)
FILES, BATCH = 300, 100


def read_video(video: Video, other: Path, arguments: argparse.Namespace, names: list[str], env: dict[str, str]) -> None:
    """Measure all readers with one video, and print a row for each case."""
    path = video.file_in(other.parent)
    peers.make_video(path, video)
    peers.make_stores(path, video)
    brightnesses = peers.plain_check(path)
    python = str(peers.make_peers()) if names else ""
    for case in arguments.cases.split(","):
        contestants = [("imgstore", "gray"), ("imgstore", "BGR"), *((name, "") for name in names)]
        if case == "in order":
            contestants.append(("decoder alone", ""))
        found: dict[tuple[str, str], list[float]] = {}
        for run in range(arguments.runs):
            expected = peers.expected(brightnesses, case, run)
            random.Random(run).shuffle(contestants)
            for name, kind in contestants:
                where = (sys.executable, {}) if name in ("imgstore", "decoder alone") else (python, env)
                question = [name, case, str(path), str(other), kind == "BGR", video.frames, run]
                try:
                    got = peers.run_worker(*where, question)
                except RuntimeError as error:
                    print(f"! {video.name}, {name}: {str(error).strip().splitlines()[-1]}", file=sys.stderr)
                    continue
                found.setdefault((name, kind), []).append(got["ms"] if case == "first frame" else got["fps"])
                wrong = [abs(a - b) > 1.5 for a, b in zip(got["check"], expected, strict=False)]
                if any(wrong):
                    print(f"! {video.name}, {name}, {case}: {sum(wrong)} wrong frames", file=sys.stderr)
        print_row(video, case, {key: statistics.median(values) for key, values in found.items()})


def print_row(video: Video, case: str, median: dict[tuple[str, str], float]) -> None:
    """Print how fast a video was read, and beside whom."""
    first = case == "first frame"
    gray, color = median["imgstore", "gray"], median["imgstore", "BGR"]
    others = {name: value for (name, _), value in median.items() if name not in ("imgstore", "decoder alone")}
    best = (min if first else max)(others, key=others.__getitem__, default="")
    ratios = [(others[best] / own if first else own / others[best]) if best else float("nan") for own in (gray, color)]
    limit = median.get(("decoder alone", ""))
    cells = [
        f"{video.name}, every {video.gop}, {video.format.partition('/')[2]}",
        case + (", ms" if first else ""),
        *(f"{value:.1f}" if value < 100 else f"{value:.0f}" for value in (gray, color)),
        f"{others[best]:.1f} ({best})" if best else "",
        f"{limit:.0f}" if limit else "",
        *(f"{ratio:.2f}" for ratio in ratios),
    ]
    print("| " + " | ".join(cells) + " |", flush=True)


def files_per_frame(directory: Path, runs: int) -> None:
    """Print how fast batches of frames are read that are files, beside a loop that reads the same files one by one."""
    print("\n| frames as files | imgstore, batch | bare loop | ratio |\n|---|---|---|---|")
    loops: dict[str, Callable[[str], Any]] = {
        "png": lambda path: cv2.imread(path, cv2.IMREAD_UNCHANGED),
        "jpg": lambda path: cv2.imread(path, cv2.IMREAD_UNCHANGED),
        "npy": np.load,
    }
    for kind, read in loops.items():
        height, width = LARGE
        with imgstore.new_for_format(kind, directory / kind, imgshape=LARGE, chunksize=FILES) as store:
            for k, img in enumerate(scene(FILES, height=height, width=width)):
                store.add_image(img, k, k / 25)
        files = sorted(str(path) for path in (directory / kind).rglob(f"*.{kind}"))
        ours, bare = [], []
        with imgstore.open(directory / kind) as store:
            for run in range(runs + 1):
                where = [random.Random(run).randrange(FILES) for _ in range(BATCH)]
                begin = time.perf_counter()
                images = store.get_images(frame_indices=where)[0]
                between = time.perf_counter()
                loop = [read(files[k]) for k in where]
                end = time.perf_counter()
                assert all(np.array_equal(a, b) for a, b in zip(images, loop, strict=True))
                if run:  # the first one warms up
                    ours.append(BATCH / (between - begin))
                    bare.append(BATCH / (end - between))
        fast, slow = statistics.median(ours), statistics.median(bare)
        print(f"| {kind}, 1280 x 1024 | {fast:.0f} | {slow:.0f} | {fast / slow:.2f} |", flush=True)


def many_chunks(runs: int) -> None:
    """Print how fast a frame out of many chunks is, beside one out of a single chunk."""
    print("\n| H.264 640 x 480, a frame at random | one chunk | many | one : many |\n|---|---|---|---|")
    for count in (20, 200):
        found = chunks.compare(count, 3000, runs)
        for case in ("single", "batch"):
            one, many = found[f"{case}, one chunk"], found[f"{case}, many"]
            print(f"| {case}, {count} chunks of 3000 | {one:.2f} ms | {many:.2f} ms | {one / many:.2f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--peers", default="opencv,decord,torchcodec", help="comma separated; may be empty")
    parser.add_argument("--cases", default=",".join(CASES), help="comma separated")
    parser.add_argument("--only", default="", help="videos whose name has this in it, and neither files nor chunks")
    arguments = parser.parse_args()
    names = [n for peer in arguments.peers.split(",") if peer for n in READERS if n.startswith(peer)]
    import av

    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, ", end="")
    print(f"PyAV {av.__version__}; frames per second, medians of {arguments.runs}\n")
    print("| video, key frames, container | reading | gray | BGR | best other | limit | gray : best | BGR : best |")
    print("|" + "---|" * 8)
    with tempfile.TemporaryDirectory(prefix="imgstore-bench-") as scratch:
        env = peers.libraries_of_pyav(peers.make_peers(), Path(scratch)) if names else {}
        other = Path(scratch, "other.mp4")  # is read before the first frame of another
        peers.make_video(other, Video("other", "avc1/mp4", SMALL, 12, 25))
        peers.make_stores(other, Video("other", "avc1/mp4", SMALL, 12, 25))
        for video in VIDEOS:
            if arguments.only in video.name:
                read_video(video, other, arguments, names, env)
        if not arguments.only:
            files_per_frame(Path(scratch), arguments.runs)
            many_chunks(arguments.runs)


if __name__ == "__main__":
    main()

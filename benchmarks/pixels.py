"""Turning decoded pictures into arrays: our conversion beside OpenCV's and swscale's, in turn.

    python benchmarks/pixels.py [--rounds 15]

Pictures of noise, 1280 x 1024. *In turn* are twelve pictures, as when a video is read; *the same one* stays in the processor's
caches as far as it fits. Medians of the processor time per picture.
"""

from __future__ import annotations

import argparse
import itertools
import os
import platform
import statistics
import time
from collections.abc import Callable
from typing import Any

PICTURES, TIMES = 12, 24
HEIGHT, WIDTH = 1024, 1280


def make_pictures(pixel_format: str) -> list[Any]:
    import av
    import numpy as np

    rng = np.random.default_rng(0)
    pictures = []
    for _ in range(PICTURES):
        picture = av.VideoFrame(WIDTH, HEIGHT, pixel_format)
        picture.colorspace, picture.color_range = 5, 1  # BT.601, limited: what OpenCV takes every video for
        for plane in picture.planes:
            np.frombuffer(memoryview(plane), np.uint8)[:] = rng.integers(16, 236, plane.buffer_size)
        pictures.append(picture)
    return pictures


def opencv() -> Callable[[Any], Any]:
    """OpenCV wants the planes behind one another, which is not counted, and fills two arrays in turn, as ours does."""
    import cv2
    import numpy as np

    arrays = itertools.cycle([np.empty((HEIGHT, WIDTH, 3), np.uint8) for _ in range(2)])
    return lambda planes: cv2.cvtColor(planes, cv2.COLOR_YUV2BGR_I420, dst=next(arrays))


def contestants() -> dict[str, tuple[Callable[[Any], Any], list[Any]]]:
    """What converts, and what it converts, by name."""
    import numpy as np

    from imgstore.codec import FrameSpec
    from imgstore_codecs.video.pixels.convert import PictureConverter

    gray = PictureConverter(FrameSpec((HEIGHT, WIDTH), np.dtype(np.uint8)))
    color = PictureConverter(FrameSpec((HEIGHT, WIDTH, 3), np.dtype(np.uint8)))
    halved = make_pictures("yuv420p")
    return {
        "luma to gray": (gray, halved),
        "4:2:0 to BGR": (color, halved),
        "4:2:0 to BGR, OpenCV": (opencv(), [picture.to_ndarray() for picture in halved]),
        "4:4:4 to BGR, by swscale and merged": (color, make_pictures("yuv444p")),
    }


def milliseconds(convert: Callable[[Any], Any], pictures: list[Any]) -> float:
    """Processor time per picture; the last array is kept until the next one is there, as readers keep it."""
    kept = None
    begin = time.process_time()
    for k in range(TIMES):
        kept = convert(pictures[k % len(pictures)])
    seconds = time.process_time() - begin
    assert kept is not None
    return 1000 * seconds / TIMES


def main() -> None:
    import cv2

    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    cv2.setNumThreads(1)
    ways = contestants()
    found: dict[tuple[str, bool], list[float]] = {}
    for _ in range(rounds):
        for name, (convert, pictures) in ways.items():
            for in_turn in (True, False):
                took = milliseconds(convert, pictures if in_turn else pictures[:1])
                found.setdefault((name, in_turn), []).append(took)
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}\n")
    print("| 1280 x 1024, ms | in turn | the same one |")
    print("|---|---|---|")
    for name in ways:
        print(f"| {name} | " + " | ".join(f"{statistics.median(found[name, turn]):.2f}" for turn in (True, False)) + " |")


if __name__ == "__main__":
    main()

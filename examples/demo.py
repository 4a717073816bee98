"""Record a small scene, or a video, into stores of several formats; read it back, compare, and draw a contact sheet.

    make demo
    make demo VIDEO=clip.mp4

leaves ``demo/contact-sheet.png`` and the stores beside it, which ``imgstore view`` and ``imgstore info`` take.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

import imgstore

FORMATS = ("npy", "bpk", "png", "ffv1/mkv", "mjpeg/avi", "h264/mkv", "avc1/mp4")
SCENE_FRAMES, SCENE_SIZE, SCENE_FPS = 180, (360, 480), 30.0
MOST_FRAMES, MOST_BYTES = 300, 120_000_000  # of a given video: it is held in memory, and done in half a minute
RANDOM_READS = 100
CHUNKSIZE = 100

Image = npt.NDArray[np.uint8]


@dataclass
class Recording:
    """Frames with their numbers and times, as a camera would give them."""

    name: str
    frames: list[Image]
    times: list[float]
    fps: float
    whole: bool = True  # whether these are all frames of the video that they are from


@dataclass
class Result:
    """What one format made of a recording."""

    format: str
    path: Path
    lossless: bool
    size: int  # bytes on disk
    write_fps: float
    in_order_fps: float
    random_fps: float
    right: int  # frames that were the ones asked for
    compared: int
    max_error: int  # levels of 255
    mean_error: float


# -- what is recorded ----------------------------------------------------------------------------------------------


def make_scene() -> Recording:
    """Draw glowing discs that swim over a textured ground, seen by a camera with a little noise."""
    height, width = SCENE_SIZE
    random = np.random.default_rng(7)
    ground = np.zeros((height, width), np.float32)
    for cells, weight in ((6, 0.5), (16, 0.3), (48, 0.2)):
        coarse = random.random((cells * height // width + 2, cells + 2), np.float32)
        ground += weight * cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    tint = np.array([92, 70, 44], np.float32)
    base = 18 + ground[:, :, None] * tint
    noise = random.normal(0, 1.6, (8, height, width, 1)).astype(np.float32)
    swimmers = [_Swimmer(random, k, 9) for k in range(9)]
    frames = []
    for k in range(SCENE_FRAMES):
        picture = base.copy()
        for swimmer in swimmers:
            swimmer.draw(picture, k / SCENE_FRAMES)
        picture += noise[k % len(noise)]
        frames.append(picture.clip(0, 255).astype(np.uint8))
    began = round(time.time()) - SCENE_FRAMES / SCENE_FPS
    times = [began + k / SCENE_FPS for k in range(SCENE_FRAMES)]
    return Recording("a scene drawn for this demo", frames, times, SCENE_FPS)


class _Swimmer:
    """A disc with a tail, on a path of its own."""

    def __init__(self, random: np.random.Generator, k: int, of: int):
        self.rates = random.integers(1, 3, 2)
        self.phases = random.uniform(0, 2 * np.pi, 2)
        self.reach = random.uniform(0.28, 0.42, 2)
        self.radius = float(random.uniform(10, 20))
        hue = np.array([[[180 * k // of, 175, 255]]], np.uint8)
        self.colour = cv2.cvtColor(hue, cv2.COLOR_HSV2BGR)[0, 0].astype(np.float32)

    def place(self, t: float) -> npt.NDArray[np.float64]:
        height, width = SCENE_SIZE
        swing = 0.5 + self.reach * np.sin(2 * np.pi * self.rates * t + self.phases)
        return swing * (width, height)

    def draw(self, picture: npt.NDArray[np.float32], t: float) -> None:
        for back in range(7, -1, -1):  # the tail first, the head on top
            fade = (8 - back) / 8
            self._glow(picture, self.place(t - back * 0.006), self.radius * (0.45 + 0.55 * fade), fade**2)

    def _glow(
        self, picture: npt.NDArray[np.float32], centre: npt.NDArray[np.float64], radius: float, strength: float
    ) -> None:
        reach = int(radius * 2) + 1
        x, y = centre
        left, top = max(0, int(x) - reach), max(0, int(y) - reach)
        part = picture[top : int(y) + reach, left : int(x) + reach]
        rows, columns = np.ogrid[top : top + part.shape[0], left : left + part.shape[1]]
        distance = np.hypot(columns - x, rows - y).astype(np.float32) / radius
        alpha = (strength * (0.85 / (1 + np.exp((distance - 1) * 12)) + 0.25 * np.exp(-(distance**2))))[:, :, None]
        part += alpha * (self.colour - part)


def load_video(path: Path) -> Recording:
    """Decode the beginning of a video."""
    import av

    frames: list[Image] = []
    times: list[float] = []
    whole = True
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        fps = float(stream.average_rate or 25)
        for frame in container.decode(stream):
            if frames and (len(frames) >= MOST_FRAMES or len(frames) * frames[0].nbytes >= MOST_BYTES):
                whole = False
                break
            img = frame.to_ndarray(format="bgr24")
            frames.append(img[: img.shape[0] & ~1, : img.shape[1] & ~1])  # video formats store even sizes only
            times.append(frame.time if frame.time is not None else len(times) / fps)
    if not frames:
        raise ValueError("it has no frame that can be decoded")
    return Recording(path.name, frames, times, fps, whole)


# -- what is done with it ------------------------------------------------------------------------------------------


class Judge:
    """Tells which of the recording's frames a picture shows, and how far it is from the original."""

    def __init__(self, frames: Sequence[Image]):
        self._frames = frames
        self._small = np.stack([self._shrink(frame) for frame in frames])

    @staticmethod
    def _shrink(img: Image) -> npt.NDArray[np.float32]:
        return cv2.resize(img, (40, 30), interpolation=cv2.INTER_AREA).astype(np.float32)  # type: ignore[return-value]

    def is_frame(self, img: Image, k: int) -> bool:
        """Whether no other frame of the recording is clearly more like the picture than frame `k`."""
        distances = np.abs(self._small - self._shrink(img)).mean(axis=(1, 2, 3))
        return bool(distances[k] <= distances.min() + 0.05)

    def errors(self, img: Image, k: int) -> tuple[int, float]:
        """Return the largest and the mean difference to frame `k`, in levels of 255."""
        difference = cv2.absdiff(img, self._frames[k])
        return int(difference.max()), float(difference.mean())


def try_format(fmt: str, recording: Recording, judge: Judge, directory: Path) -> Result:
    """Write a recording in a format, read it in order and at random, and compare."""
    path = directory / fmt.replace("/", "-")
    count = len(recording.frames)
    began = time.perf_counter()
    with imgstore.new_for_format(
        fmt,
        path,
        imgshape=recording.frames[0].shape,
        imgdtype=recording.frames[0].dtype,
        chunksize=CHUNKSIZE,
        fps=recording.fps,
        metadata={"recording": recording.name},
        overwrite=True,
    ) as store:
        for k, (img, moment) in enumerate(zip(recording.frames, recording.times, strict=True)):
            store.add_image(img, k, moment)
    writing = time.perf_counter() - began

    # nothing but reading is timed; everything is compared afterwards
    with imgstore.new_for_filename(path) as store:
        began = time.perf_counter()
        read = [store.get_next_image() for _ in range(count)]
        in_order = time.perf_counter() - began
    positions = np.random.default_rng(1).permutation(count)[:RANDOM_READS].tolist()
    with imgstore.new_for_filename(path) as store:
        began = time.perf_counter()
        read += [store.get_image(k) for k in positions]
        at_random = time.perf_counter() - began
        lossless = bool(store.lossless)

    right, largest, means = 0, 0, []
    for k, (img, (number, moment)) in zip([*range(count), *positions], read, strict=True):
        right += number == k and moment == recording.times[k] and judge.is_frame(img, k)
        worst, mean = judge.errors(img, k)
        largest = max(largest, worst)
        means.append(mean)
    size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    return Result(
        fmt, path, lossless, size, count / writing, count / in_order, len(positions) / at_random,
        right, count + len(positions), largest, float(np.mean(means)),
    )  # fmt: skip


# heading -> width: 79 characters, so that nothing is cut
FORMAT = 10
COLUMNS_OF_TABLE = {
    "MB": 8, "written": 10, "in order": 10, "at random": 11, "right frame": 13, "max error": 11, "mean": 6
}  # fmt: skip


def cells(*texts: str) -> str:
    """Set what stands beside a format in the table."""
    return "".join(f"{text:>{width}}" for text, width in zip(texts, COLUMNS_OF_TABLE.values(), strict=True))


def print_headings(recording: Recording) -> None:
    """Say what is recorded and what will be measured."""
    height, width = recording.frames[0].shape[:2]
    raw = len(recording.frames) * recording.frames[0].nbytes
    count = f"{len(recording.frames)} frames"
    print(
        f"{recording.name}: {count if recording.whole else f'the first {count}'} of {width} x {height}, "
        f"{raw / 1e6:.1f} MB in memory"
    )
    if not recording.whole:
        print("(the video goes on: the demo holds frames in memory and takes no more of them)")
    print("Each format is written, read in order and at random, and every frame compared.")
    print("Speeds are in frames per second, errors in levels of 255.\n")
    print(f"{'format':<{FORMAT}}" + cells(*COLUMNS_OF_TABLE), flush=True)


def measured(result: Result) -> str:
    """Set what came of one format."""
    return cells(
        f"{result.size / 1e6:.2f}",
        f"{result.write_fps:.0f}/s",
        f"{result.in_order_fps:.0f}/s",
        f"{result.random_fps:.0f}/s",
        f"{result.right}/{result.compared}",
        f"{result.max_error}" if result.max_error else "exact",
        f"{result.mean_error:.2f}",
    )


def program() -> str:
    """Return what to type for the program ``imgstore`` that belongs to this interpreter, in this directory."""
    beside = shutil.which("imgstore", path=os.path.dirname(sys.executable))
    if beside is None:
        return f"{typed(sys.executable)} -m imgstore"
    return "imgstore" if shutil.which("imgstore") == beside else typed(beside)


def typed(path: str | Path) -> str:
    """Return a path as it is typed in a shell, from here where it lies below."""
    path = os.path.abspath(path)
    below = path.startswith(os.getcwd() + os.sep)
    shown = os.path.relpath(path) if below else path
    return subprocess.list2cmdline([shown]) if os.name == "nt" else shlex.quote(shown)


# -- the contact sheet ---------------------------------------------------------------------------------------------

PAPER, INK, FAINT = (250, 250, 250), (40, 40, 40), (120, 120, 120)
COLUMNS, ROWS, THUMB_WIDTH, GAP, CAPTION, TITLE = 5, 4, 300, 16, 46, 64


def contact_sheet(store: Any, recording: Recording) -> Image:
    """Draw frames from all over a store, each with its number and its time."""
    positions = np.linspace(0, store.frame_count - 1, min(COLUMNS * ROWS, store.frame_count)).round().astype(int)
    shape = store.image_shape
    thumb_height = max(1, round(shape[0] * THUMB_WIDTH / shape[1]))
    columns = min(COLUMNS, len(positions))
    rows = -(-len(positions) // columns)
    width = max(GAP + columns * (THUMB_WIDTH + GAP), 700)
    sheet = np.empty((TITLE + rows * (thumb_height + CAPTION + GAP), width, 3), np.uint8)
    sheet[:] = PAPER
    _write(sheet, f"{recording.name}, read back from {store.format}", (GAP, 28), 0.62, INK)
    first, last = (_local_time(store, moment) for moment in (store.frame_time_min, store.frame_time_max))
    _write(sheet, f"{store.frame_count} frames, {first} to {last}", (GAP, 50), 0.45, FAINT)
    for place, position in enumerate(positions):
        img, (number, moment) = store.get_image(frame_index=position)
        x = GAP + place % columns * (THUMB_WIDTH + GAP)
        y = TITLE + place // columns * (thumb_height + CAPTION + GAP)
        sheet[y : y + thumb_height, x : x + THUMB_WIDTH] = cv2.resize(
            imgstore.ensure_color(img), (THUMB_WIDTH, thumb_height), interpolation=cv2.INTER_AREA
        )
        _write(sheet, f"frame {number}", (x, y + thumb_height + 19), 0.55, INK)
        _write(sheet, _local_time(store, moment), (x, y + thumb_height + 38), 0.42, FAINT)
    return sheet


def _write(sheet: Image, text: str, place: tuple[int, int], scale: float, colour: tuple[int, int, int]) -> None:
    cv2.putText(sheet, text, place, cv2.FONT_HERSHEY_SIMPLEX, scale, colour, 1, cv2.LINE_AA)


def _local_time(store: Any, moment: float) -> str:
    if moment < 365 * 86400:  # a video's own time, counted from its beginning
        return f"{moment:.3f} s"
    return f"{store.convert_frame_time_to_datetime(moment):%Y-%m-%d %H:%M:%S.%f}"[:-3]


def main(arguments: Sequence[str] | None = None) -> int:
    """Do it all; return 0 when every frame was the one asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", nargs="?", type=Path, help="a video to take in place of the scene")
    parser.add_argument("--output", type=Path, default=Path("demo"), help="directory for the results (default: demo)")
    options = parser.parse_args(arguments)
    if options.video is None:
        print(f"drawing a scene of {SCENE_FRAMES} frames ...", flush=True)
        recording = make_scene()
    else:
        import av

        print(f"reading {options.video} ...", flush=True)
        try:
            recording = load_video(options.video)
        except (av.FFmpegError, OSError, ValueError, IndexError) as error:
            print(f"{options.video} cannot be read as a video: {error}", file=sys.stderr)
            return 2
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / ".gitignore").write_text("*\n", encoding="ascii")  # results are nothing to commit

    print_headings(recording)
    judge, results = Judge(recording.frames), []
    usable = imgstore.get_supported_formats()
    for fmt in FORMATS:
        if fmt in usable:
            print(f"{fmt:<{FORMAT}}", end="", flush=True)  # the rest of its line comes when it has been measured
            results.append(try_format(fmt, recording, judge, options.output))
            print(measured(results[-1]), flush=True)
    print()
    absent = [fmt for fmt in FORMATS if fmt not in usable]
    if absent:
        print(f"not usable on this machine: {', '.join(absent)} ({program()} codecs says why)")

    shown = results[-1].path
    with imgstore.new_for_filename(shown) as store:
        sheet = contact_sheet(store, recording)
    sheet_path = options.output / "contact-sheet.png"
    if not cv2.imwrite(str(sheet_path), sheet):
        print(f"{sheet_path} cannot be written", file=sys.stderr)
        return 1
    print(f"contact sheet: {sheet_path}")
    print(f"look at a store:  {program()} info {typed(shown)}")
    print(f"play it:          {program()} view {typed(shown)}")
    wrong = [r.format for r in results if r.right != r.compared or (r.lossless and r.max_error)]
    if wrong:
        print(f"NOT the frames that were recorded: {', '.join(wrong)}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

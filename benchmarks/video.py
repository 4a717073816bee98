"""Reading H.264: imgstore beside OpenCV, decord and torchcodec, in alternating runs.

    python benchmarks/video.py [--runs 3] [--frames 1500] [--peers opencv,decord,torchcodec] [--cases single,batch,"in order"]
        [--one-slice]

Makes the scene of `scene.py` with key frames every 250 and every 25, reads it at random one by one, as one batch of
random frames and in order, and prints medians and ratios. The peers live in an environment of their own,
benchmarks/.venvs/peers, made at the first run; torchcodec uses the FFmpeg of PyAV's wheel there. Every result is
checked: a reader's frames must be those of a plain decode.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PEERS = HERE / ".venvs" / "peers"
PACKAGES = ("torch==2.13.0", "torchcodec==0.13.*", "decord==0.6.0", "opencv-python", "av", "numpy")
SINGLES, BATCH = 40, 100
GOPS = (250, 25)
CASES = ("single", "batch", "in order")


def positions(count: int, frames: int, seed: int) -> list[int]:
    rng = random.Random(seed)
    return [rng.randrange(frames) for _ in range(count)]


# ---------------------------------------------------------------------- readers, each in a process of its own
# Each gives functions: one frame, a batch, all in order; all as numpy arrays.


class Ours:
    def __init__(self, path: str, color: bool) -> None:
        import imgstore

        self.store = imgstore.new_for_filename(f"{path}.{'color' if color else 'gray'}-store")

    def single(self, position: int) -> Any:
        return self.store.get_image(None, frame_index=position)[0]

    def batch(self, where: list[int]) -> Any:
        return self.store.get_images(frame_indices=where)[0]

    def in_order(self) -> Iterator[Any]:
        for _ in range(len(self.store)):
            yield self.store.get_next_image()[0]


class OpenCV:
    def __init__(self, path: str, color: bool) -> None:
        import cv2

        self.cv2 = cv2
        self.capture = cv2.VideoCapture(path)

    def single(self, position: int) -> Any:
        self.capture.set(self.cv2.CAP_PROP_POS_FRAMES, position)
        return self.capture.read()[1]

    def batch(self, where: list[int]) -> Any:
        return [self.single(p) for p in where]

    def in_order(self) -> Iterator[Any]:
        self.capture.set(self.cv2.CAP_PROP_POS_FRAMES, 0)
        while True:
            ok, img = self.capture.read()
            if not ok:
                return
            yield img


class Decord:
    def __init__(self, path: str, color: bool) -> None:
        import decord

        self.reader = decord.VideoReader(path)

    def single(self, position: int) -> Any:
        return self.reader[position].asnumpy()

    def batch(self, where: list[int]) -> Any:
        return self.reader.get_batch(where).asnumpy()

    def in_order(self) -> Iterator[Any]:
        for k in range(len(self.reader)):
            yield self.reader[k].asnumpy()


class Torchcodec:
    threads = 0

    def __init__(self, path: str, color: bool) -> None:
        from torchcodec.decoders import VideoDecoder

        self.decoder = VideoDecoder(path, seek_mode="exact", num_ffmpeg_threads=self.threads, dimension_order="NHWC")

    def single(self, position: int) -> Any:
        return self.decoder[position].numpy()

    def batch(self, where: list[int]) -> Any:
        return self.decoder.get_frames_at(indices=where).data.numpy()

    def in_order(self) -> Iterator[Any]:
        for frame in self.decoder:
            yield frame.numpy()


class TorchcodecOneThread(Torchcodec):
    threads = 1


class DecoderAlone:
    """FFmpeg's decoder through PyAV, with nothing done to its pictures: the limit of reading in order."""

    def __init__(self, path: str, color: bool) -> None:
        import av

        self.container = av.open(path)
        self.stream = self.container.streams.video[0]
        self.stream.thread_type = "SLICE"

    def in_order(self) -> Iterator[Any]:
        for _ in self.container.decode(self.stream):
            yield None


READERS: dict[str, Callable[[str, bool], Any]] = {
    "imgstore": Ours,
    "opencv": OpenCV,
    "decord": Decord,
    "torchcodec": Torchcodec,
    "torchcodec, 1 thread": TorchcodecOneThread,
    "decoder alone": DecoderAlone,
}


def brightness(img: Any) -> float:
    return float(img[::16, ::16].mean())


def work(name: str, case: str, path: str, color: bool, frames: int, seed: int) -> dict[str, Any]:
    """Measure one reader at one thing; a warm-up frame and opening are not counted.

    A virtual machine may hand free memory back to its host, and then whoever fills new arrays waits for it: so memory is
    taken and let go before.
    """
    import numpy as np

    np.ones(1 << 30, np.uint8)
    reader = READERS[name](path, color)
    check: list[float] = []
    if case == "in order":
        images = reader.in_order()
        next(images)
        begin = time.perf_counter()
        count = 1
        for img in images:
            count += 1
            if count % 100 == 0 and img is not None:
                check.append(brightness(img))
        seconds = time.perf_counter() - begin
        return {"fps": (count - 1) / seconds, "count": count, "check": check}
    where = positions(SINGLES if case == "single" else BATCH, frames, seed)
    reader.single(frames // 2)
    begin = time.perf_counter()
    found = [reader.single(p) for p in where] if case == "single" else reader.batch(where)
    seconds = time.perf_counter() - begin
    return {"fps": len(where) / seconds, "count": len(where), "check": [brightness(img) for img in found]}


# ---------------------------------------------------------------------- the bench


def make_peers() -> Path:
    """Make the environment of the peers unless it is there."""
    python = PEERS / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not (PEERS / "ready").exists():
        print(f"installing {', '.join(PACKAGES)} into {PEERS}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", str(PEERS)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", *PACKAGES], check=True)
        (PEERS / "ready").touch()
    return python


def libraries_of_pyav(python: Path, directory: Path) -> dict[str, str]:
    """Let torchcodec find the FFmpeg of PyAV's wheel, whose libraries have a hash in their names."""
    where = subprocess.run(
        [str(python), "-c", "import av; print(av.__file__)"], check=True, capture_output=True, text=True
    ).stdout
    bundled = Path(where.strip()).parent.parent / "av.libs"
    links = directory / "ffmpeg"
    links.mkdir(exist_ok=True)
    for library in bundled.glob("lib*.so.*"):
        plain = re.sub(r"-[0-9a-f]{8}\.so\.(\d+).*", r".so.\1", library.name)
        if plain.startswith(("libav", "libsw")):
            (links / plain).symlink_to(library)
    paths = [str(links), str(bundled), os.environ.get("LD_LIBRARY_PATH", "")]
    return {"LD_LIBRARY_PATH": os.pathsep.join(p for p in paths if p)}


def make_video(path: Path, gop: int, frames: int, one_slice: bool) -> None:
    """Encode the scene as recordings usually are: x264 veryfast, crf 23, with B-frames.

    PyAV has x264 make a slice of each picture for each of its threads. Other programs mostly make one.
    """
    import av
    from scene import HEIGHT, WIDTH, scene

    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.gop_size = gop
        if one_slice:
            stream.thread_type = "AUTO"
        stream.options = {"preset": "veryfast", "crf": "23"}
        for k, img in enumerate(scene(frames)):
            frame = av.VideoFrame.from_ndarray(img, format="gray").reformat(format="yuv420p")
            frame.pts = k
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))


def make_stores(path: Path, frames: int) -> None:
    import numpy as np
    from scene import HEIGHT, WIDTH

    import imgstore

    for kind, shape in (("gray", (HEIGHT, WIDTH)), ("color", (HEIGHT, WIDTH, 3))):
        copy = path.with_name(f"{kind}-{path.name}")
        shutil.copy(path, copy)
        with imgstore.new_for_format("avc1/mp4", f"{path}.{kind}-store", imgshape=shape, chunksize=frames) as store:
            store.insert_chunk(str(copy), np.arange(frames), np.arange(frames) / 25)


def plain_check(path: Path, frames: int, case: str, seed: int) -> list[float]:
    """Brightness of the frames in question by a plain decode from start to end."""
    import av

    values = []
    with av.open(str(path)) as container:
        for picture in container.decode(video=0):
            values.append(brightness(picture.to_ndarray(format="gray")))
    if case == "in order":
        return values[99::100]
    return [values[p] for p in positions(SINGLES if case == "single" else BATCH, frames, seed)]


def run_worker(python: str, env: dict[str, str], arguments: list[Any]) -> dict[str, Any]:
    command = [python, str(Path(__file__).resolve()), "--worker", json.dumps(arguments)]
    done = subprocess.run(command, env={**os.environ, **env}, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{arguments}: {done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--frames", type=int, default=1500)
    parser.add_argument("--peers", default="opencv,decord,torchcodec", help="comma separated; may be empty")
    parser.add_argument("--cases", default=",".join(CASES), help="comma separated")
    parser.add_argument("--one-slice", action="store_true", help="with one slice per picture, which threads cannot share")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        print(json.dumps(work(*json.loads(arguments.worker))))
        return
    names = [n for peer in arguments.peers.split(",") if peer for n in READERS if n.startswith(peer)]
    with tempfile.TemporaryDirectory(prefix="imgstore-bench-") as scratch:
        python = make_peers() if names else Path(sys.executable)
        env = libraries_of_pyav(python, Path(scratch)) if names else {}
        results: dict[tuple[int, str, str, str], list[float]] = {}
        for gop in GOPS:
            path = Path(scratch) / f"every-{gop}.mp4"
            make_video(path, gop, arguments.frames, arguments.one_slice)
            make_stores(path, arguments.frames)
            for run in range(arguments.runs):
                for case in arguments.cases.split(","):
                    expected = plain_check(path, arguments.frames, case, run)
                    contestants = [("imgstore", "gray"), ("imgstore", "color"), *((n, "peer") for n in names)]
                    if case == "in order":
                        contestants.append(("decoder alone", "limit"))
                    random.Random(run).shuffle(contestants)
                    for name, kind in contestants:
                        ours = name in ("imgstore", "decoder alone")
                        interpreter, extra = (sys.executable, {}) if ours else (str(python), env)
                        got = run_worker(
                            interpreter, extra, [name, case, str(path), kind == "color", arguments.frames, run]
                        )
                        results.setdefault((gop, case, kind, name), []).append(got["fps"])
                        wrong = [abs(a - b) > 1.5 for a, b in zip(got["check"], expected, strict=False)]
                        if any(wrong):
                            print(f"! {name}, {case}, every {gop}: {sum(wrong)} wrong frames", file=sys.stderr)
    report(results, names)


def report(results: dict[tuple[int, str, str, str], list[float]], names: list[str]) -> None:
    import av

    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, ")
    print(f"PyAV {av.__version__}; frames per second, medians\n")
    columns = ["reading", "key frame every", "imgstore gray", "imgstore BGR", *names, "gray : best", "BGR : best"]
    print("| " + " | ".join(columns) + " |")
    print("|" + "---|" * (6 + len(names)))
    for case in dict.fromkeys(case for _, case, _, _ in results):
        for gop in GOPS:
            median = {
                (kind, name): statistics.median(values)
                for (g, c, kind, name), values in results.items()
                if (g, c) == (gop, case)
            }
            gray, color = median["gray", "imgstore"], median["color", "imgstore"]
            peers = [median["peer", name] for name in names]
            best = max(peers, default=float("nan"))
            cells = [case, gop, f"{gray:.1f}", f"{color:.1f}", *(f"{p:.1f}" for p in peers)]
            print("| " + " | ".join(map(str, cells)) + f" | {gray / best:.2f} | {color / best:.2f} |")
    for gop in GOPS:
        limits = results.get((gop, "in order", "limit", "decoder alone"))
        if limits:
            print(f"\nThe decoder alone, in order, key frame every {gop}: {statistics.median(limits):.0f}")


if __name__ == "__main__":
    main()

"""Videos, the libraries that read them beside imgstore, and one of them at work; matrix.py and open.py compare them.

The peers live in an environment of their own, benchmarks/.venvs/peers, made when it is first needed; torchcodec uses the
FFmpeg of PyAV's wheel there. Each reader works in a process of its own, and what it reads is compared with a plain decode.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).resolve().parent
PEERS = HERE / ".venvs" / "peers"
PACKAGES = ("torch==2.13.0", "torchcodec==0.13.*", "decord==0.6.0", "opencv-python", "av", "imageio", "numpy")
SINGLES, BATCH = 40, 100
CASES = ("first frame", "single", "batch", "in order")


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


class Plain(Ours):
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


READERS: dict[str, Callable[[str, bool], Any]] = {
    "imgstore": Ours,
    "plain": Plain,
    "opencv": OpenCV,
    "decord": Decord,
    "torchcodec": Torchcodec,
    "torchcodec, 1 thread": TorchcodecOneThread,
    "imageio": Imageio,
    "decoder alone": DecoderAlone,
}


def brightness(img: Any) -> float:
    return float(img[::16, ::16].mean())


def forget(path: str) -> None:
    """Let the system drop a file from its cache, where it can be asked to."""
    if hasattr(os, "posix_fadvise"):
        with open(path, "rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def first_frame(name: str, path: str, other: str, color: bool) -> dict[str, Any]:
    """Return the milliseconds from the call that opens a file until its first frame is there; another was opened before."""
    READERS[name](other, color).single(0)
    forget(path)
    begin = time.perf_counter()
    img = READERS[name](path, color).single(0)
    return {"ms": (time.perf_counter() - begin) * 1000, "check": [brightness(img)]}


def work(name: str, case: str, path: str, other: str, color: bool, frames: int, seed: int) -> dict[str, Any]:
    """Measure one reader at one thing; a warm-up frame and opening are not counted.

    A virtual machine may hand free memory back to its host, and then whoever fills new arrays waits for it: so memory is
    taken and let go before.
    """
    import numpy as np

    np.ones(1 << 30, np.uint8)
    if case == "first frame":
        return first_frame(name, path, other, color)
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


class Video(NamedTuple):
    """A video as a camera's program or another one makes it."""

    name: str
    format: str  # of a store of it
    size: tuple[int, int]  # height, width
    gop: int  # frames from one key frame to the next
    frames: int
    one_slice: bool = True

    def file_in(self, directory: Path) -> Path:
        return directory / f"{self.name.replace('/', '-').replace(' ', '-')}-{self.gop}.{self.format.partition('/')[2]}"


_ENCODERS: dict[str, tuple[str, str, dict[str, str]]] = {
    "avc1/mp4": ("libx264", "yuv420p", {"preset": "veryfast", "crf": "23"}),
    "h264/mkv": ("libx264", "yuv420p", {"preset": "veryfast", "crf": "23"}),
    "hevc/mp4": ("libx265", "yuv420p", {"preset": "ultrafast", "crf": "23", "x265-params": "log-level=none"}),
    "av1/mp4": ("libsvtav1", "yuv420p", {"preset": "10", "crf": "30"}),
    "mjpeg/avi": ("mjpeg", "yuvj420p", {"qmin": "3", "qmax": "3"}),
}


def make_video(path: Path, video: Video) -> None:
    """Encode the scene as recordings usually are: H.264 by x264 veryfast, crf 23, with B-frames.

    PyAV has x264 make a slice of each picture for each of its threads. Other programs mostly make one.
    """
    import av
    from scene import scene

    height, width = video.size
    encoder, pix_fmt, options = _ENCODERS[video.format]
    with av.open(str(path), "w") as out:
        stream = out.add_stream(encoder, rate=25)
        stream.width, stream.height, stream.pix_fmt = width, height, pix_fmt
        stream.codec_context.gop_size = video.gop
        if video.one_slice:
            stream.thread_type = "AUTO"
        stream.options = options
        for k, img in enumerate(scene(video.frames, height=height, width=width)):
            frame = av.VideoFrame.from_ndarray(img, format="gray").reformat(format=pix_fmt)
            frame.pts = k
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))


def make_stores(path: Path, video: Video) -> None:
    """Take a video into two stores, of gray and of colour."""
    import numpy as np

    import imgstore

    for kind, shape in (("gray", video.size), ("color", (*video.size, 3))):
        copy = path.with_name(f"{kind}-{path.name}")
        shutil.copy(path, copy)
        chunk = {"imgshape": shape, "chunksize": video.frames}
        with imgstore.new_for_format(video.format, f"{path}.{kind}-store", **chunk) as store:
            store.insert_chunk(str(copy), np.arange(video.frames), np.arange(video.frames) / 25)


def plain_check(path: Path) -> list[float]:
    """Brightness of all frames by a plain decode from start to end."""
    import av

    with av.open(str(path)) as container:
        return [brightness(picture.to_ndarray(format="gray")) for picture in container.decode(video=0)]


def expected(brightnesses: list[float], case: str, seed: int) -> list[float]:
    """Take those of the frames that a reader is to tell of."""
    if case == "in order":
        return brightnesses[99::100]
    if case == "first frame":
        return brightnesses[:1]
    return [brightnesses[p] for p in positions(SINGLES if case == "single" else BATCH, len(brightnesses), seed)]


def run_worker(python: str, env: dict[str, str], arguments: list[Any]) -> dict[str, Any]:
    command = [python, str(Path(__file__).resolve()), json.dumps(arguments)]
    done = subprocess.run(command, env={**os.environ, **env}, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{arguments}: {done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    print(json.dumps(work(*json.loads(sys.argv[1]))))

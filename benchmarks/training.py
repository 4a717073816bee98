"""Batches of random frames for training: `ChunkSampler` and plain shuffling, beside torchcodec and decord in the same loader.

    python benchmarks/training.py STORE [--make] [--hours H] [--workers N] [--batches N] [--batch-size N] [--epoch]
        [--peers PYTHON] [--json FILE]

`--make` writes the store first, an hour of H.264 at 640 x 480 in colour with a key frame every 250 frames, in 20 chunks (the
same video in each), unless it is there. All read batches of random frames out of the chunks' videos in a `DataLoader` with as
many workers, as RGB, each with its own random access: ours through `FrameDataset`, torchcodec's `VideoDecoder.get_frames_at`,
decord's `VideoReader.get_batch`, the frames of a video sorted for both, one thread for decoding in each worker, all videos kept
open. The peers run with the interpreter `--peers` (default this one), which needs PyTorch and them. Each is timed from its
first batch on, over `--batches` batches (the slow ones over a twentieth of them), in turn and twice; the best rate counts.

Decoded per returned counts the packets that go to the decoder, with ChunkSampler over a whole epoch where `--epoch` is given,
and is measured in one process apart from the timing.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

RATE, CHUNKS, GOP = 30, 20, 250
HEIGHT, WIDTH = 480, 640


def make(path: Path, hours: float) -> None:
    """Record a chunk, of twenty seconds of the scene forward and backward, and take as many copies of it as it needs."""
    from scene import scene

    import imgstore

    count = int(hours * 3600 * RATE) // CHUNKS
    frames = list(scene(20 * RATE, color=True, height=HEIGHT, width=WIDTH))
    back_and_forth = frames + frames[::-1]
    shape = frames[0].shape
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        with imgstore.new_for_format("avc1/mp4", Path(folder, "s"), imgshape=shape, chunksize=count, gop_size=GOP) as store:
            for k in range(count):
                store.add_image(back_and_forth[k % len(back_and_forth)], k, k / RATE)
        with imgstore.new_for_format("avc1/mp4", path, imgshape=shape) as store:
            for chunk in range(CHUNKS):
                numbers = np.arange(count) + chunk * count
                store.insert_chunk(Path(folder, "s", "000000.mp4"), numbers, 1.7e9 + numbers / RATE, move=False)


class PeerDataset:
    """The frames of videos through another library, a batch at a time."""

    def __init__(self, name: str, files: list[tuple[str, int, int]]):
        self._name, self._files = name, files
        self._starts = np.array([start for _, start, _ in files])
        self._open: dict[int, Any] = {}

    def __len__(self) -> int:
        return self._files[-1][1] + self._files[-1][2]

    def _reader(self, n: int) -> Any:
        if n not in self._open:
            path = self._files[n][0]
            if self._name == "torchcodec":
                from torchcodec.decoders import VideoDecoder

                self._open[n] = VideoDecoder(path, num_ffmpeg_threads=1)
            else:
                from decord import VideoReader, cpu

                self._open[n] = VideoReader(path, ctx=cpu(0), num_threads=1)
        return self._open[n]

    def __getitems__(self, samples: list[int]) -> list[Any]:
        import torch

        found = {}
        of_file = np.searchsorted(self._starts, samples, side="right") - 1
        for n in np.unique(of_file).tolist():
            wanted = sorted(sample for sample, file in zip(samples, of_file, strict=True) if file == n)
            positions = [sample - int(self._starts[n]) for sample in wanted]
            reader = self._reader(n)
            if self._name == "torchcodec":
                images = reader.get_frames_at(positions).data
            else:
                images = torch.from_numpy(reader.get_batch(positions).asnumpy()).permute(0, 3, 1, 2)
            found.update(zip(wanted, images, strict=True))
        return [found[sample] for sample in samples]


def rate(loader: Any, batches: int) -> float:
    """Return frames per second from the first batch on."""
    iterator = iter(loader)
    next(iterator)
    frames, before = 0, time.perf_counter()
    for _, batch in zip(range(batches), iterator, strict=False):
        frames += len(batch["image"] if isinstance(batch, dict) else batch)
    return frames / (time.perf_counter() - before)


def run_peer(name: str, files: list[tuple[str, int, int]], batches: int, batch_size: int, workers: int) -> float:
    import torch
    from torch.utils.data import DataLoader, RandomSampler

    dataset = PeerDataset(name, files)
    sampler = RandomSampler(dataset, generator=torch.Generator().manual_seed(1))  # type: ignore[arg-type]
    return rate(DataLoader(dataset, batch_size, sampler=sampler, num_workers=workers), batches)  # type: ignore[arg-type]


def run_ours(path: Path, how: str, batches: int, batch_size: int, workers: int) -> float:
    from torch.utils.data import DataLoader, RandomSampler

    from imgstore.bridges.torch import ChunkSampler, FrameDataset

    dataset = FrameDataset(path)
    if how == "ChunkSampler":
        sampler = ChunkSampler(dataset, batch_size, num_workers=workers, seed=1)
        return rate(DataLoader(dataset, batch_sampler=sampler, num_workers=workers), batches)
    return rate(DataLoader(dataset, batch_size, sampler=RandomSampler(dataset), num_workers=workers), batches)


def decoded_per_returned(path: Path, how: str, batches: int | None, batch_size: int) -> float:
    from torch.utils.data import DataLoader, RandomSampler

    from imgstore.bridges.torch import ChunkSampler, FrameDataset
    from imgstore_codecs.video.reading.stretch import Stretch

    fed, feed = 0, Stretch.feed

    def counted(stretch: Any, wanted: bool) -> Any:
        nonlocal fed
        fed += 1
        return feed(stretch, wanted)

    Stretch.feed = counted  # type: ignore[method-assign]
    try:
        dataset = FrameDataset(path)
        if how == "ChunkSampler":
            loader = DataLoader(dataset, batch_sampler=ChunkSampler(dataset, batch_size, seed=1))
        else:
            loader = DataLoader(dataset, batch_size, sampler=RandomSampler(dataset))
        frames = 0
        for k, batch in enumerate(loader):
            frames += len(batch["image"])
            if k + 1 == batches:
                break
    finally:
        Stretch.feed = feed  # type: ignore[method-assign]
    return fed / frames


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path)
    parser.add_argument("--make", action="store_true")
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--batches", type=int, default=200)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--epoch", action="store_true")
    parser.add_argument("--peers", default=sys.executable)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--one", help=argparse.SUPPRESS)  # a single measurement, in a process of its own
    options = parser.parse_args()
    slow = max(2, options.batches // 20)
    if options.one:
        name, _, files = options.one.partition(":")
        how = options.batches, options.batch_size, options.workers
        found = run_peer(name, json.loads(files), *how) if files else run_ours(options.store, name, *how)
        print(json.dumps(found))
        return
    import imgstore

    if options.make and not options.store.exists():
        make(options.store, options.hours)
    with imgstore.open(options.store) as store:
        files = json.dumps([(file.path, file.position, file.frame_count) for file in store.chunk_files])
        print(store)

    def measure(interpreter: str, what: str, batches: int) -> float:
        command = [interpreter, os.path.abspath(__file__), str(options.store), "--one", what, "--batches", str(batches)]
        command += ["--workers", str(options.workers), "--batch-size", str(options.batch_size)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            print(f"{what.partition(':')[0]} cannot run: {(done.stderr.strip() or 'no reason').splitlines()[-1]}")
            return float("nan")
        return float(done.stdout.splitlines()[-1])

    runs = {
        "ChunkSampler": (sys.executable, "ChunkSampler", options.batches),
        "plain shuffling": (sys.executable, "plain shuffling", slow),
        "torchcodec": (options.peers, f"torchcodec:{files}", slow),
        "decord": (options.peers, f"decord:{files}", slow),
    }
    rates: dict[str, float] = {}
    for _ in range(2):
        for name, run in runs.items():
            rates[name] = float(np.fmax(rates.get(name, float("nan")), measure(*run)))
    results: dict[str, Any] = {"frames per second": rates}
    results["ratios"] = {
        f"{ours} / {peer}": rates[ours] / rates[peer]
        for ours in ("ChunkSampler", "plain shuffling") for peer in ("torchcodec", "decord")
    }  # fmt: skip
    results["decoded per returned"] = {
        "ChunkSampler": decoded_per_returned(
            options.store, "ChunkSampler", None if options.epoch else 4 * options.batches, options.batch_size
        ),
        "plain shuffling": decoded_per_returned(options.store, "plain shuffling", slow, options.batch_size),
    }
    print(json.dumps(results, indent=2))
    if options.json:
        options.json.write_text(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()

"""Several workers that make a store: processes (`--jobs`) and a Dask cluster on this machine, beside `imgstore save`.

    python benchmarks/cluster.py [--frames N] [--runs N] [--json FILE]

A store of arrays becomes H.264, with an encoder of one thread, so that each worker has one core to do with. The cluster
is there already when its time begins; the processes of `--jobs` are begun within theirs. The ways take turns, and the
fastest run of each counts: others may use this machine.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from distributed import Client, LocalCluster
from scene import scene

import imgstore
from imgstore.bridges.dask import cluster_workers
from imgstore.cli import main as command
from imgstore.mapping import Workers, map_store, processes

SHAPE = (480, 640)
CHUNK = 100
FORMAT = "avc1/mp4"
OPTIONS = {"threads": 1, "preset": "medium"}


def save(source: Path, dest: Path) -> None:
    options = [word for name, value in OPTIONS.items() for word in ("-o", f"{name}={value}")]
    arguments = ["save", "--source", str(source), "--format", FORMAT, "--chunksize", str(CHUNK), *options, str(dest)]
    with contextlib.redirect_stdout(io.StringIO()):
        command(arguments, standalone_mode=False)


def shared_out(workers: Workers) -> Callable[[Path, Path], object]:
    return lambda source, dest: map_store(
        None, source, dest, format=FORMAT, workers=workers, chunksize=CHUNK, **OPTIONS
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=2000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    keywords = {"threads_per_worker": 1, "dashboard_address": ":0", "silence_logs": 50}
    with tempfile.TemporaryDirectory() as directory, contextlib.ExitStack() as stack:
        source = Path(directory, "source")
        with imgstore.new_for_format("npy", source, imgshape=SHAPE) as store:
            for k, img in enumerate(scene(arguments.frames, height=SHAPE[0], width=SHAPE[1])):
                store.add_image(img, k, k / 30)
        ways = {"imgstore save": save, "--jobs 1": shared_out(processes(1)), "--jobs 2": shared_out(processes(2))}
        for count in (1, 2):
            cluster = stack.enter_context(LocalCluster(n_workers=count, **keywords))
            client = stack.enter_context(Client(cluster, set_as_default=False))
            ways[f"--cluster, {count} worker{'s'[: count - 1]}"] = shared_out(cluster_workers(client))
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(arguments.runs):
            for name, way in ways.items():
                dest = Path(directory, "dest")
                began = time.perf_counter()
                way(source, dest)
                seconds[name].append(time.perf_counter() - began)
                shutil.rmtree(dest)
    rates = {name: arguments.frames / min(times) for name, times in seconds.items()}
    saved, one, two = rates["imgstore save"], rates["--cluster, 1 worker"], rates["--cluster, 2 workers"]
    print(f"{arguments.frames} frames of {SHAPE[1]} x {SHAPE[0]}, {FORMAT}, {os.cpu_count()} cores")
    for name, rate in rates.items():
        print(f"{name:22} {rate:7.1f} frames/s")
    print(f"one worker of a cluster beside imgstore save  {one / saved:.2f}")
    print(f"two workers beside one                        {two / one:.2f}")
    print(f"--jobs 2 beside --jobs 1                      {rates['--jobs 2'] / rates['--jobs 1']:.2f}")
    if arguments.json:
        arguments.json.write_text(json.dumps({"rates": rates, "seconds": seconds}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

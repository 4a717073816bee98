"""The power is cut at any point of a recording: what had been synced is there, and nothing wrong is shown as right.

The operations of a real recording are recorded with strace, FFmpeg's own included, and done again up to every point;
what has not been synced by then is missing, torn or there, by chance (seeded). See `power_cut`.
"""

from __future__ import annotations

import os
import random
import shutil
import sys
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from power_cut import Disk, Operation, trace
from rounds import long_but
from scenes import WITH_HELPERS, coded_frame, shown_number

import imgstore

FORMATS = ("npy", "mjpeg/avi", "h264/mkv", "avc1/mp4", "ffv1/mkv")
LOSSLESS = ("npy", "ffv1/mkv")
CHUNKSIZE = 12
FRAMES = 40
CUTS = int(os.environ.get("IMGSTORE_POWER_CUTS", "60"))  # for each format, with and without `sync`
SOME_CUTS = 30  # in `make test`
SEED = os.environ.get("IMGSTORE_POWER_CUT_SEED", "")

RECORD = f"""
import os, sys, time
import numpy as np
import imgstore
from rounds import long_but
from scenes import SHAPE, coded_frame
path, fmt, sync = sys.argv[1], sys.argv[2], sys.argv[3] == "sync"
log = os.open(os.path.join(path, "accepted"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
store = imgstore.new_for_format(
    fmt, os.path.join(path, "store"), imgshape=SHAPE, chunksize={CHUNKSIZE}, sync=sync, flush_interval=0.1
)
for k in range({FRAMES}):
    store.add_image(coded_frame(500 + k), 500 + k, 1000 + k / 4)
    os.write(log, b"f")
    if k % 3 == 0:
        store.add_extra_data(value=k)
    time.sleep(0.03)
store.close()
os.write(log, b"c")
"""


class Promise:
    """Which frames must be there after each operation.

    Frames that are files of their own are brought to the disk, at last their directory, before the chunk is finished; but
    without `sync` not all of them if the disk takes too long.
    """

    def __init__(self, *, directories: bool) -> None:
        self._directories = directories
        self._synced_files: set[tuple[int, str]] = set()  # chunk and name
        self._synced: set[int] = set()  # chunks whose frames have been synced, and then their directory
        self._accepted = 0
        self._at_last_round: dict[int, int] = {}  # frames that had been accepted when a thread had synced some before
        self._syncing: dict[int, int] = {}  # chunk whose journal a thread has synced
        self.frames: set[int] = set()
        self.closed = False

    @property
    def goes_into_unfinished_chunks(self) -> bool:
        held = Counter(k // CHUNKSIZE for k in self.frames)
        return any(count < min(CHUNKSIZE, FRAMES - chunk * CHUNKSIZE) for chunk, count in held.items())

    def do(self, operation: Operation) -> None:
        name = os.path.basename(operation.path)
        if name == "accepted" and operation.kind == "write":
            self._accepted += operation.data == b"f"
            self.closed = operation.data == b"c"
        elif name.endswith(".journal") and operation.kind == "unlink":  # the chunk is finished
            if not self._directories or int(name[1:7]) in self._synced:
                self.frames.update(k for k in range(FRAMES) if k // CHUNKSIZE == int(name[1:7]))
        elif self._directories and operation.kind == "sync" and name.endswith(".npy"):
            self._synced_files.add((int(os.path.basename(os.path.dirname(operation.path))), name))
        elif self._directories and operation.kind == "sync" and name.isdigit():
            chunk = int(name)
            if sum(of == chunk for of, _ in self._synced_files) == min(CHUNKSIZE, FRAMES - chunk * CHUNKSIZE):
                self._synced.add(chunk)
        elif name.endswith(".journal") and operation.kind == "sync":
            self._syncing[operation.thread] = int(name[1:7])
        elif operation.path == "store" and operation.kind == "sync" and operation.thread in self._syncing:
            chunk = self._syncing.pop(operation.thread)
            before = self._at_last_round.get(operation.thread, 0)
            self.frames.update(k for k in range(before) if k // CHUNKSIZE == chunk)
            self._at_last_round[operation.thread] = self._accepted


def found_in(path: Path, fmt: str) -> tuple[set[int], set[int]]:
    """Return the frames and the records of extra data that a store holds; nothing that it shows may be wrong."""
    frames = set()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", imgstore.errors.ImgStoreWarning)
        try:
            store = imgstore.new_for_filename(path)
        except imgstore.errors.ImgStoreError:  # not yet a store
            return set(), set()
        with store:
            for position in range(store.frame_count):
                try:
                    img, (number, when) = store.get_image(None, frame_index=position)
                except imgstore.errors.FrameDecodeError:
                    continue
                k = number - 500
                assert when == 1000 + k / 4 and k not in frames and k >= max(frames, default=0)
                assert shown_number(img) == number, f"frame {k} shows {shown_number(img)}"
                if fmt in LOSSLESS:
                    np.testing.assert_array_equal(img, coded_frame(number))
                frames.add(k)
            table = store.get_extra_data(ignore_corrupt_chunks=True)
    records = set() if table is None else set(table["value"].tolist())
    return frames, records


@pytest.mark.parametrize(
    "sync, fmt, cuts_in_all",
    [(False, "avc1/mp4", SOME_CUTS)]
    + long_but((), [(sync, fmt, CUTS) for sync in (False, True) for fmt in FORMATS]),
)
def test_power_cut(fmt: str, sync: bool, cuts_in_all: int, tmp_path: Path, need_tool: Callable[[str], str]) -> None:
    need_tool("strace")
    recorded = tmp_path / "recorded"
    recorded.mkdir()
    command = [sys.executable, "-c", RECORD, str(recorded), fmt, "sync" if sync else "default"]
    operations = trace(command, recorded, tmp_path / "trace", env=WITH_HELPERS)

    rng = random.Random(f"{SEED} {fmt} {sync}")
    cuts = Counter(rng.choices(range(len(operations)), k=cuts_in_all))
    disk, promise, unfinished = Disk(), Promise(directories=fmt == "npy"), 0
    for n, operation in enumerate(operations):
        disk.do(operation)
        promise.do(operation)
        for _ in range(cuts[n]):
            place = tmp_path / "after"
            disk.crash(rng, place)
            try:
                frames, records = found_in(place / "store", fmt)
                assert promise.frames <= frames, f"lost at operation {n}, {operation.kind} {operation.path}"
                due = {k for k in promise.frames if k % 3 == 0 and k < max(promise.frames)}
                assert due <= records, f"extra data lost at operation {n}, {operation.kind} {operation.path}"
            except BaseException:
                shutil.copytree(place, tmp_path / "failed")
                raise
            shutil.rmtree(place)
            unfinished += promise.goes_into_unfinished_chunks
    # what has been compared was worth it
    assert promise.closed
    assert promise.frames == set(range(FRAMES)) or (fmt == "npy" and not sync)  # all of them, unless the disk is slow
    assert bool(unfinished) == sync
    real = {str(p.relative_to(recorded)): p.read_bytes() for p in recorded.rglob("*") if p.is_file()}
    assert disk.files() == real

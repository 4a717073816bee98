"""Reading here and there in a recording of many chunks: what is dear in opening one is done once, within bounds."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rounds import long_but
from scenes import WITH_HELPERS, coded_frame, shown_number, write_store

import imgstore
from imgstore.errors import FrameDecodeError
from imgstore.reading import chunk_frames
from imgstore.reading.chunk_frames import ChunkFrames

CHUNKS, EACH = 60, 6
COUNT = CHUNKS * EACH


@pytest.fixture(scope="module", params=long_but({"avc1/mp4"}, ["avc1/mp4", "mjpeg/avi", "h264/mkv"]))
def recording(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_store(tmp_path_factory.mktemp("many") / "s", request.param, COUNT, first=0, chunksize=EACH))


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Note each chunk that is opened."""
    chunks: list[int] = []
    open_chunk = ChunkFrames._open_chunk

    def noted(frames: ChunkFrames, chunk: int) -> Any:
        chunks.append(chunk)
        return open_chunk(frames, chunk)

    monkeypatch.setattr(ChunkFrames, "_open_chunk", noted)
    return chunks


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("way", ["one by one", "in batches", "in batches out of a chunk each"])
def test_each_chunk_is_opened_once_and_keeps_no_file(recording: str, opened: list[int], way: str) -> None:
    rng = random.Random(1)
    before = open_files()
    with imgstore.new_for_filename(recording) as store:
        for _ in range(3):
            wanted = [rng.randrange(COUNT) for _ in range(2 * CHUNKS)] + list(range(0, COUNT, EACH))
            rng.shuffle(wanted)
            if way == "one by one":
                shown = [shown_number(store.get_image(None, frame_index=k)[0]) for k in wanted]
            elif way == "in batches":
                shown = [shown_number(img) for img in store[wanted]]
            else:
                shown = [shown_number(store[[k, k]][1]) for k in wanted]
            assert shown == wanted
        assert sorted(opened) == list(range(CHUNKS))
        # the one in use has some: a file for each decoder
        assert open_files() - before < 12


@pytest.mark.parametrize("cache_size", [0, 20_000])
def test_what_stays_open_is_bounded_by_memory(recording: str, opened: list[int], cache_size: int) -> None:
    wanted = list(range(0, COUNT, EACH))
    with imgstore.new_for_filename(recording, cache_size=cache_size) as store:
        for _ in range(2):
            assert [shown_number(img) for img in store[wanted]] == wanted
            assert [shown_number(store.get_image(None, frame_index=k)[0]) for k in wanted] == wanted
    assert len(opened) > 2 * CHUNKS


@pytest.mark.skipif(sys.platform == "win32", reason="bounds open files with setrlimit")
def test_few_files_may_be_open(recording: str) -> None:
    program = (
        "import resource, sys, imgstore; from scenes import shown_number\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))\n"
        "with imgstore.new_for_filename(sys.argv[1]) as store:\n"
        "    wanted = [k * 7 % len(store) for k in range(len(store))]\n"
        "    for _ in range(2):\n"
        "        assert [shown_number(img) for img in store[wanted]] == wanted\n"
        "        assert [shown_number(store.get_image(None, frame_index=k)[0]) for k in wanted] == wanted\n"
    )
    subprocess.run([sys.executable, "-c", program, recording], check=True, timeout=120, env=WITH_HELPERS)


@pytest.mark.parametrize("fmt", ["npy", "png", "bpk"])
def test_files_are_decoded_side_by_side_where_they_are_large(
    tmp_path: Path, fmt: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if fmt not in imgstore.get_supported_formats():
        pytest.skip(f"needs what writes {fmt}")
    shape = (256, 320)
    path = str(tmp_path / "s")
    with imgstore.new_for_format(fmt, path, imgshape=shape, imgdtype=np.uint8, chunksize=7) as store:
        for k in range(30):
            store.add_image(coded_frame(k, shape), k, k / 10)
    wanted = [29, 3, 3, 14, 0, 8, 21, 28, 7]
    cores = min(os.cpu_count() or 1, len(wanted))
    all_at_once = threading.Barrier(cores, timeout=60)
    here: set[int] = set()
    read_whole = chunk_frames.read_whole

    def noted(*arguments: Any) -> Any:
        if threading.get_ident() not in here:
            here.add(threading.get_ident())
            all_at_once.wait()
        return read_whole(*arguments)

    with imgstore.new_for_filename(path) as store:
        with monkeypatch.context() as patch:
            patch.setattr(chunk_frames, "read_whole", noted)
            assert [shown_number(img) for img in store[wanted]] == wanted
        assert len(here) == cores
        (missing,) = Path(path, "000002").glob("000000.*")
        missing.unlink()
        with pytest.raises(FrameDecodeError, match=rf"{missing.name}: the file of this frame is missing"):
            store[wanted]
        wanted.remove(14)
        assert [shown_number(img) for img in store[wanted]] == wanted

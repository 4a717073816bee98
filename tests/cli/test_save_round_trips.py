"""``imgstore save`` of every sample, and into every format and back: each frame in its place, and all that is beside it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import typed
from mapped import write_source
from rounds import long_but
from scenes import shown_number
from video_samples import SAMPLES, number_of

import imgstore
from imgstore.verify import check_store

DATA = Path(__file__).resolve().parents[1] / "data"
STORES = sorted(p.name for p in DATA.iterdir() if (p / "metadata.yaml").exists())
FORMATS = [name for name in imgstore.get_supported_formats() if not name.endswith("+color") and name != "pgm"]


def beside(store: Any) -> tuple[list[int], list[float], str]:
    records = [sorted((k, v) for k, v in r.items() if k != "frame_index") for r in store.get_extra_records()]
    return store.frame_numbers.tolist(), store.frame_times.tolist(), repr(records)


@pytest.mark.parametrize("fmt", long_but({"png", "h264/mkv"}, FORMATS))
def test_there_and_back(tmp_path: Path, fmt: str) -> None:
    source = write_source(tmp_path / "a", "npy", 60, shape=(96, 128))
    assert typed("save", source, tmp_path / "b", "--format", fmt, "--chunksize", 17).returncode == 0
    assert typed("save", tmp_path / "b", tmp_path / "c", "--format", "npy").returncode == 0
    with imgstore.open(source) as a, imgstore.open(tmp_path / "b") as b, imgstore.open(tmp_path / "c") as c:
        assert beside(a) == beside(b) == beside(c)
        assert a.user_metadata == b.user_metadata == c.user_metadata and a.fps == b.fps == c.fps
        assert (b.origin, c.origin) == ([a.uuid], [b.uuid])
        np.testing.assert_array_equal(c[:], b[:])
        assert [shown_number(img) for img in c[:]] == [number % 65536 for number in a.frame_numbers.tolist()]
        if b.lossless:
            np.testing.assert_array_equal(b[:], a[:])
    assert check_store(tmp_path / "b").faults == []


@pytest.mark.parametrize("copied", [False, True])
@pytest.mark.parametrize("name", long_but({"video-mjpeg-avi", "dir-png"}, STORES))
def test_stores_of_0x(tmp_path: Path, name: str, copied: bool) -> None:
    with imgstore.open(DATA / name) as a:
        if not a.frame_count:
            pytest.skip("has no frames")
        done = typed("save", DATA / name, tmp_path / "b", *(["--copy"] if copied else ["--format", "npy"]))
        if copied and "repair the store first" in done.stderr:
            return
        assert done.returncode in (0, 3), done.stderr
        with imgstore.open(tmp_path / "b") as b:
            left_out = a.frame_count - b.frame_count
            assert (left_out > 0) == (done.returncode == 3)
            if not left_out:
                assert beside(a) == beside(b)
            assert a.user_metadata == b.user_metadata
            assert a.fps == b.fps or (math.isnan(a.fps) and math.isnan(b.fps))
            where = {time: k for k, time in enumerate(a.frame_times.tolist())}
            for k, time in enumerate(b.frame_times.tolist()):
                np.testing.assert_array_equal(b[k], a[where[time]])


@pytest.mark.parametrize(
    "sample, copied",
    long_but({(SAMPLES[0], False), (SAMPLES[0], True)}, [*((s, True) for s in SAMPLES), *((s, False) for s in SAMPLES[::4])]),
    ids=str,
)
def test_videos(tmp_path: Path, sample: Any, copied: bool) -> None:
    """Each frame, in its place, with the time of the file."""
    numbers = sample.make(tmp_path / sample.name)
    done = typed("save", tmp_path / sample.name, tmp_path / "s", *(["--copy"] if copied else ["--format", "npy"]))
    if copied and done.returncode and ("has to be encoded" in done.stderr):
        return
    assert done.returncode == 0, done.stderr
    with imgstore.open(tmp_path / sample.name, start_time="file") as video, imgstore.open(tmp_path / "s") as store:
        assert [number_of(img) for img, _ in store] == numbers
        assert store.frame_numbers.tolist() == list(range(len(numbers)))
        assert store.frame_times.tolist() == video.frame_times.tolist()
        if not copied:
            np.testing.assert_array_equal(store[:], video[:])

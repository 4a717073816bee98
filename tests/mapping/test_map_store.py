"""Stores that several workers make of others: the same as those that one process saves, whatever comes between."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import mapped
import numpy as np
import pytest
from commands import typed
from mapped import contents, write_source
from rounds import long_but

import imgstore
from imgstore.errors import (
    ArgumentError,
    ImgStoreWarning,
    NotAStoreError,
    StoreExistsError,
    StoreLockedError,
    UnfinishedStoreError,
)
from imgstore.mapping import Job, Submit, map_store, processes
from imgstore.verify import verify_store

COUNT = 57


@contextmanager
def here(job: Job) -> Iterator[Submit]:
    """A worker that is this very thread, for what does not depend on who does the work."""
    from concurrent.futures import Future

    def submit(function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(function(job, *arguments))
        return future

    yield submit


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_source(tmp_path_factory.mktemp("source") / "s", "ffv1/mkv", COUNT)


def whole(path: Path) -> bool:
    """Whether deep verification finds nothing."""
    return verify_store(path, deep=True) == []


def unfinished(dest: Path) -> Path:
    return dest / ".unfinished"


@pytest.mark.parametrize("chunksize", [10, 57, 100])
@pytest.mark.parametrize("fmt", long_but(["npy", "avc1/mp4"], ["npy", "avc1/mp4", "png", "mjpeg/avi", "h264/mkv"]))
def test_same_as_one_process(tmp_path: Path, source: Path, fmt: str, chunksize: int) -> None:
    """Frames, numbers, times, records, metadata and the bytes of videos, chunk by chunk."""
    assert typed("save", "--source", source, "--format", fmt, "--chunksize", chunksize, tmp_path / "one").returncode == 0
    made = map_store(None, source, tmp_path / "several", format=fmt, chunksize=chunksize, workers=here)
    assert (made.frame_count, made.left_out.count) == (COUNT, 0)
    assert contents(tmp_path / "several") == contents(tmp_path / "one")
    assert sorted(p.name for p in (tmp_path / "several").iterdir()) == sorted(p.name for p in (tmp_path / "one").iterdir())
    assert whole(tmp_path / "several")


@pytest.mark.parametrize(
    "damaged", [[0], [9, 10], [10], [19, 20, 21], [*range(20, 30)], [*range(8, 33)], [56], [0, 56]], ids=str
)
def test_frames_that_cannot_be_read(tmp_path: Path, damaged: list[int]) -> None:
    """They are left out, and told of; their records stay with the frame before, in whatever chunk that is."""
    source = write_source(tmp_path / "s", "npy", COUNT, chunksize=100)
    for k in damaged:
        (source / "000000" / f"{k:06d}.npy").write_bytes(b"damaged")
    one = typed("save", "--source", source, "--format", "npy", "--chunksize", 10, tmp_path / "one")
    assert one.returncode == 3
    with pytest.warns(ImgStoreWarning, match="left out: frame") as told:
        made = map_store(None, source, tmp_path / "several", format="npy", chunksize=10, workers=here)
    assert (made.frame_count, made.left_out.positions) == (COUNT - len(damaged), damaged)
    assert len(told) == one.stderr.count("left out: frame")
    assert whole(tmp_path / "several")
    with imgstore.open(tmp_path / "one") as a, imgstore.open(tmp_path / "several") as b:
        assert np.array_equal(a[:], b[:])
        assert a.get_frame_metadata() == b.get_frame_metadata()
        assert repr(a.get_extra_records()) == repr(b.get_extra_records())


def test_nothing_can_be_read(tmp_path: Path) -> None:
    source = write_source(tmp_path / "s", "npy", 5)
    for path in (source / "000000").glob("*.npy"):
        path.write_bytes(b"damaged")
    with pytest.raises(ArgumentError, match="no frame that can be decoded"):
        map_store(None, source, tmp_path / "d", format="npy", workers=here)
    assert not (tmp_path / "d").exists()


def test_plain_videos_are_sources(tmp_path: Path, source: Path) -> None:
    with imgstore.open(source / "000001.mkv", fps=20) as video:
        map_store(None, video, tmp_path / "d", format="npy", chunksize=10, workers=here)
        with imgstore.open(tmp_path / "d") as made:
            assert np.array_equal(made[:], video[:])
            assert made.frame_times.tolist() == video.frame_times.tolist()


# -- functions ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [None, 1, 7, 1000])
@pytest.mark.parametrize("function", [mapped.inverted, mapped.cropped_to_16_bits], ids=lambda f: f.__name__)
def test_what_a_function_makes(tmp_path: Path, source: Path, function: Any, batch_size: int | None) -> None:
    map_store(function, source, tmp_path / "d", format="npy", chunksize=10, batch_size=batch_size, workers=here)
    with imgstore.open(source) as given, imgstore.open(tmp_path / "d") as made:
        expected = function(given[:])
        assert made.dtype == expected.dtype
        assert np.array_equal(made[:], expected)
        assert made.frame_numbers.tolist() == given.frame_numbers.tolist()


def test_batches_begin_with_chunks_and_are_told_of(tmp_path: Path, source: Path) -> None:
    seen = []

    def look(frames: Any, *, metadata: Any) -> None:
        seen.append((frames.shape, metadata.frame_numbers.tolist(), metadata.frame_times.tolist()))

    map_store(look, source, tmp_path / "d", format="npy", chunksize=20, batch_size=8, workers=here)
    with imgstore.open(source) as store:
        bounds = [(0, 8), (8, 16), (16, 20), (20, 28), (28, 36), (36, 40), (40, 48), (48, 56), (56, 57)]
        assert seen[1:] == [
            ((b - a, *store.image_shape), store.frame_numbers[a:b].tolist(), store.frame_times[a:b].tolist())
            for a, b in bounds
        ]  # behind the look at the first ones
        assert np.array_equal(imgstore.open(tmp_path / "d")[:], store[:])


def test_a_function_that_raises_on_one_chunk(tmp_path: Path, source: Path) -> None:
    """It is named, the others are done; mended, it is called for what is missing alone."""
    dest = tmp_path / "d"
    with pytest.raises(UnfinishedStoreError) as failed:
        map_store(mapped.fails_in_the_middle, source, dest, format="npy", chunksize=10, workers=here)
    assert failed.value.failures == [(3, "RuntimeError: no such frame can be made")]
    assert "5 of 6 chunks" in str(failed.value) and "chunk 3, frames 30 to 39 (numbers 157 to 175)" in str(failed.value)
    assert sorted(p.name for p in unfinished(dest).iterdir() if p.is_dir()) == [f"{k:06d}" for k in (0, 1, 2, 4, 5)]
    with pytest.raises(NotAStoreError, match="the same call once more, or imgstore save --resume, completes it"):
        imgstore.new_for_filename(dest)
    before = {p: p.stat().st_mtime_ns for p in unfinished(dest).glob("00*/*/*.npy")}

    calls = []

    def mended(frames: Any) -> Any:
        calls.append(len(frames))
        return 255 - frames

    mended.__qualname__ = mapped.fails_in_the_middle.__qualname__
    map_store(mended, source, dest, format="npy", chunksize=10, workers=here)
    assert calls == [10]
    assert len(before) == 47 and all((dest / p.parts[-2] / p.name).stat().st_mtime_ns == t for p, t in before.items())
    with imgstore.open(source) as given, imgstore.open(dest) as made:
        assert np.array_equal(made[:], 255 - given[:])
    assert whole(dest) and not unfinished(dest).exists()


def test_a_function_that_raises_at_the_first_frames(tmp_path: Path, source: Path) -> None:
    def fails(frames: Any, metadata: Any) -> None:
        if metadata.frame_times[0] == mapped.EPOCH:
            raise RuntimeError("not these")

    with pytest.raises(UnfinishedStoreError, match="5 of 6 chunks .* chunk 0, frames 0 to 9 .*: RuntimeError: not these"):
        map_store(fails, source, tmp_path / "d", format="npy", chunksize=10, batch_size=5, workers=here)


@pytest.mark.parametrize(
    "function, message",
    [
        (mapped.returns_too_few, r"the function returned an array of shape \(\d+, 48, 64\) for \d+ frames"),
        (lambda frames: frames.tolist(), "the function returned list for"),
        (lambda frames: frames[0, 0], "the function returned an array of shape"),
        (lambda frames: 1 / 0, "ZeroDivisionError: division by zero"),
        (lambda frames: frames.astype(object), "imgdtype must be a plain numeric type"),
    ],
)
def test_functions_that_cannot_be(tmp_path: Path, source: Path, function: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        map_store(function, source, tmp_path / "d", format="npy", chunksize=10, workers=here)
    assert not (tmp_path / "d").exists()


def test_frames_must_all_be_alike(tmp_path: Path, source: Path) -> None:
    told = r"3 of 6 chunks .* has become uint8 \(10, 64\), the first one uint8 \(48, 64\)"
    with pytest.raises(UnfinishedStoreError, match=told):
        map_store(mapped.changes_its_mind, source, tmp_path / "d", format="npy", chunksize=10, workers=here)


# -- what is there already -----------------------------------------------------------------------------------------------


def test_another_store_is_being_made_there(tmp_path: Path, source: Path) -> None:
    dest = tmp_path / "d"
    with pytest.raises(UnfinishedStoreError):
        map_store(mapped.fails_in_the_middle, source, dest, format="npy", chunksize=10, workers=here)
    for other in ({"chunksize": 20}, {"format": "png"}, {"fps": 12}, {"metadata": {}}):
        with pytest.raises(ArgumentError, match=f"another store is being made there, of another {next(iter(other))}"):
            map_store(mapped.fails_in_the_middle, source, dest, workers=here, **{"format": "npy", "chunksize": 10, **other})
    with pytest.raises(ArgumentError, match="another function"):
        map_store(mapped.inverted, source, dest, format="npy", chunksize=10, workers=here)
    map_store(mapped.inverted, source, dest, format="png", workers=here, overwrite=True)
    with imgstore.open(source) as given, imgstore.open(dest) as made:
        assert np.array_equal(made[:], 255 - given[:]) and made.format == "png"


def test_metadata_with_a_nan_are_the_same_again(tmp_path: Path, source: Path) -> None:
    keywords = {"format": "npy", "chunksize": 10, "metadata": {"gain": float("nan")}, "workers": here}
    for _ in range(2):
        with pytest.raises(UnfinishedStoreError, match="5 of 6 chunks"):
            map_store(mapped.fails_in_the_middle, source, tmp_path / "d", **keywords)  # type: ignore[arg-type]


def test_a_store_that_is_there_stays_until_the_new_one_is_whole(tmp_path: Path, source: Path) -> None:
    dest = write_source(tmp_path / "d", "mjpeg/avi", 5)
    before = contents(dest)
    with pytest.raises(StoreExistsError):
        map_store(None, source, dest, format="npy", workers=here)
    with pytest.raises(UnfinishedStoreError):
        map_store(mapped.fails_in_the_middle, source, dest, format="npy", chunksize=10, workers=here, overwrite=True)
    assert contents(dest) == before
    map_store(mapped.inverted, source, dest, format="npy", chunksize=10, workers=here, overwrite=True)
    assert not list(dest.glob("*.avi")) and whole(dest)
    with imgstore.open(dest) as made:
        assert made.frame_count == COUNT


def test_refusals(tmp_path: Path, source: Path) -> None:
    with pytest.raises(ArgumentError, match="made of itself"):
        map_store(None, source, source, format="npy", workers=here, overwrite=True)
    with pytest.raises(NotAStoreError):
        map_store(None, tmp_path / "nowhere", tmp_path / "d", format="npy", workers=here)
    with pytest.raises(ArgumentError, match="takes no keyword 'crf'"):
        map_store(None, source, tmp_path / "d", format="npy", workers=here, crf=3)
    with imgstore.new_for_format("npy", tmp_path / "none", imgshape=(4, 4)):
        pass
    with pytest.raises(ArgumentError, match="has no frames"):
        map_store(None, tmp_path / "none", tmp_path / "d", format="npy", workers=here)
    assert not (tmp_path / "d").exists()
    with imgstore.new_for_format("npy", tmp_path / "d", imgshape=(4, 4)), pytest.raises((StoreExistsError, StoreLockedError)):
        map_store(None, source, tmp_path / "d", format="npy", workers=here)
    for size in (0, -1, 1.5, True):
        with pytest.raises(ArgumentError, match="batch_size must be a whole number from 1"):
            map_store(None, source, tmp_path / "d", format="npy", workers=here, batch_size=size)  # type: ignore[arg-type]
    for count in (0, -1, 1.5, True):
        with pytest.raises(ArgumentError, match="whole number from 1"):
            processes(count)  # type: ignore[arg-type]


# -- interrupted anywhere --------------------------------------------------------------------------------------------------


class Interrupted(BaseException):
    """What ends a process comes between."""


def interrupting(real: Any, left: list[int], *arguments: Any, **keywords: Any) -> Any:
    """Call a function, unless it is the one of some calls at which the process ends."""
    left[0] -= 1
    if left[0] == 0:
        raise Interrupted
    return real(*arguments, **keywords)


@pytest.mark.parametrize("fmt, stride", long_but([("mjpeg/avi", 5)], [("mjpeg/avi", 5), ("mjpeg/avi", 1), ("npy", 1)]))
def test_interrupted_wherever_files_are_moved_or_removed(
    tmp_path: Path, fmt: str, stride: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Putting together is interrupted at each of its steps in turn; the same call goes on, and nothing is made twice."""
    source = write_source(tmp_path / "s", "npy", 25)
    map_store(None, source, tmp_path / "expected", format=fmt, chunksize=10, workers=here)
    expected = contents(tmp_path / "expected")

    for step in range(1, 1000, stride):
        dest, left, made = tmp_path / f"d{step}", [step], []
        if step // stride % 2:
            write_source(dest, "png", 5)  # that is replaced
        old = contents(dest) if dest.exists() else None

        def look(frames: Any, metadata: Any, made: list[float] = made) -> None:
            made.append(metadata.frame_times[0])

        for name in ("rename", "replace", "unlink", "rmdir"):
            monkeypatch.setattr(os, name, partial(interrupting, getattr(os, name), left))
        call = partial(map_store, look, source, dest, format=fmt, chunksize=10, workers=here, overwrite=True)
        try:
            call()
        except Interrupted:
            ended = False
        else:
            ended = True
        monkeypatch.undo()
        if ended:
            break
        if (dest / "metadata.yaml").exists():  # what is a store is one of the two, and not half of it
            assert contents(dest) in (old, expected), step
        begun = (unfinished(dest) / "plan.json").exists()
        kept = len([path for path in unfinished(dest).glob("00*") if "." not in path.name])
        before = len(made)
        call()
        # what was whole is not made again; without a plan it is begun anew, with a look at the first frames
        assert len(made) - before == (3 - kept if begun else 1 + 3), step
        assert contents(dest) == expected, step
        assert whole(dest) and not unfinished(dest).exists()
    assert step > 20

"""Another program changes chunks: with the cached index a store says what its chunks say, as without."""

from __future__ import annotations

import math
import os
import shutil
import threading
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scenes import write_store

import imgstore
from imgstore.disk.chunk_index import write_chunk_index
from imgstore.errors import ImgStoreWarning, StaleIndexError, StoreWriteError
from imgstore.index import stamps
from imgstore.index._index import FrameIndex, encode_block
from imgstore.index.cache import CACHE_FILENAME
from imgstore.index.frame_index import ImgStoreIndex
from imgstore.index.stamps import read_stamps
from imgstore.verify import verify_store

# ---- look-ups, against brute force

_numbers = st.integers(-30, 60)
_times = st.integers(-40, 40).map(lambda i: i / 4)
_frames = st.lists(st.tuples(_numbers, _times), max_size=8)


@settings(max_examples=60)
@given(
    chunks=st.lists(_frames, min_size=1, max_size=6),
    changes=st.lists(st.tuples(st.integers(0, 5), _frames), min_size=1, max_size=3),
    renewed=st.booleans(),
)
def test_changed_chunks_against_brute_force(
    tmp_path_factory: pytest.TempPathFactory,
    chunks: list[list[tuple[int, float]]],
    changes: list[tuple[int, list[tuple[int, float]]]],
    renewed: bool,
) -> None:
    root = tmp_path_factory.mktemp("s")
    paths = [(n, f"{root}/{n:06d}") for n in range(len(chunks))]

    def write(n: int, frames: list[tuple[int, float]]) -> None:
        write_chunk_index(paths[n][1], [f[0] for f in frames], [f[1] for f in frames], sync=False)

    for n, frames in enumerate(chunks):
        write(n, frames)
    index = ImgStoreIndex.new_from_chunks(paths)
    index.write_cache(root / CACHE_FILENAME, sync=False)
    now = [list(frames) for frames in chunks]
    for n, frames in changes:
        now[n % len(now)] = frames
        write(n % len(now), frames)
    if renewed:  # by an index that was made before they changed, and does not know of it
        index.write_cache(root / CACHE_FILENAME, sync=False)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        cached = ImgStoreIndex.open_cached(root, paths)
    assert [str(w.message) for w in caught if CACHE_FILENAME not in str(w.message)] == []
    if now == chunks:
        assert cached is not None, "only the times of files have changed"
    else:
        assert cached is None
        assert caught
    if cached is not None:
        _agree(cached, now)
    refreshed = index.extended([])
    try:
        refreshed.see_unchanged()
    except StaleIndexError:
        assert now != chunks
    else:
        assert now == chunks


def _agree(index: ImgStoreIndex, chunks: list[list[tuple[int, float]]]) -> None:
    frames = [(*frame, n, k) for n, chunk in enumerate(chunks) for k, frame in enumerate(chunk)]
    assert len(index) == len(frames)
    np.testing.assert_equal(index.frame_max, max((f[0] for f in frames), default=math.nan))
    for position, (number, seconds, n, k) in enumerate(frames):
        assert index.locate(position) == (n, k)
        assert index.frame(position) == (number, seconds)
    for value in range(-31, 62):
        exact = next((p for p, f in enumerate(frames) if f[0] == value), -1)
        near = min(range(len(frames)), key=lambda p: (abs(frames[p][0] - value), p), default=-1)
        assert (index.find("frame_number", value), index.find_nearest("frame_number", value)) == (exact, near)
    for value in np.arange(-10.5, 10.5, 0.125).tolist():
        near = min(range(len(frames)), key=lambda p: (abs(frames[p][1] - value), p), default=-1)
        assert index.find_nearest("frame_time", value) == near


@pytest.mark.parametrize("change", ["shorter", "renumbered", "retimed", "gone"])
@pytest.mark.parametrize("fmt", ["npy", "mjpeg/avi"])
def test_a_store_with_and_without_its_cache(tmp_path: Path, fmt: str, change: str) -> None:
    path = Path(write_store(tmp_path / "s", fmt, 40))
    base = path / "000001" / "index" if fmt == "npy" else path / "000001"
    numbers, times = np.arange(110, 120), 1000 + 0.5 * np.arange(10, 20)
    if change == "gone":
        Path(f"{base}.npz").write_bytes(b"")
    elif change == "shorter":
        write_chunk_index(base, numbers[:5], times[:5])
    elif change == "renumbered":
        write_chunk_index(base, [*numbers[:-1], 999], times)
    else:
        write_chunk_index(base, numbers, [1018.1, *times[1:]])
    bare = tmp_path / "bare"
    shutil.copytree(path, bare)
    (bare / CACHE_FILENAME).unlink()

    def answers(root: Path, ask: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ImgStoreWarning)
            with imgstore.new_for_filename(root) as store:
                try:
                    return ask(store)
                except imgstore.errors.ImgStoreError as error:
                    return type(error)

    for ask in (
        len,
        lambda s: (s.frame_min, s.frame_max, s.frame_time_max),
        lambda s: s[22].tobytes(),
        lambda s: s.get_image(None, frame_index=22)[1],
        lambda s: s.get_nearest_image(1018.1)[1],
        lambda s: s.get_image(998, exact_only=False)[1],
        lambda s: s.get_image(999)[1],
        lambda s: [meta for _, meta in s],
    ):
        assert answers(path, ask) == answers(bare, ask)


# ---- when it is not stale


def test_a_copied_store_has_a_good_cache_and_can_have_a_fast_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_store(tmp_path / "s", "npy", 40)
    copy = tmp_path / "copy"
    shutil.copytree(path, copy, copy_function=shutil.copy)
    for index in copy.glob("*/index.npz"):
        os.utime(index, (1e9, 1e9))
    before = {p: p.read_bytes() for p in copy.rglob("*") if p.is_file()}
    reads: list[Any] = []
    read = imgstore.index.agreement.read_chunk_index  # type: ignore[attr-defined]
    monkeypatch.setattr("imgstore.index.agreement.read_chunk_index", lambda base: reads.append(base) or read(base))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(2):
            reads.clear()
            with imgstore.new_for_filename(copy) as store:
                assert store.frame_numbers.tolist() == list(range(100, 140))
            assert len(reads) == 4
        assert {p: p.read_bytes() for p in copy.rglob("*") if p.is_file()} == before
        assert verify_store(copy) == []
        with imgstore.new_for_filename(copy) as store:
            store.cache_index()
        reads.clear()
        imgstore.new_for_filename(copy).close()
        assert reads == []


def test_a_change_within_the_tick_of_the_clock_is_found(tmp_path: Path) -> None:
    """Same size, same time, and the cache no younger: what the index holds has to be compared."""
    paths = [(0, f"{tmp_path}/000000"), (1, f"{tmp_path}/000001")]
    for n, base in paths:
        write_chunk_index(base, [n], [float(n)])
    cache = tmp_path / CACHE_FILENAME
    ImgStoreIndex.new_from_chunks(paths).write_cache(cache)
    facts = os.stat(paths[1][1] + ".npz")
    write_chunk_index(paths[1][1], [7], [1.0])
    for file in (cache, Path(paths[1][1] + ".npz")):
        os.utime(file, ns=(facts.st_mtime_ns, facts.st_mtime_ns))
    assert os.stat(paths[1][1] + ".npz").st_size == facts.st_size
    with pytest.warns(ImgStoreWarning, match="chunk 1"):
        assert ImgStoreIndex.open_cached(tmp_path, paths) is None


def test_a_cache_of_another_version_is_no_fault(tmp_path: Path) -> None:
    path = Path(write_store(tmp_path / "s", "npy", 40))
    data = bytearray((path / CACHE_FILENAME).read_bytes())
    data[8] = 1
    (path / CACHE_FILENAME).write_bytes(data)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with imgstore.new_for_filename(path) as store:
            assert len(store) == 40
            store.cache_index()
    assert (path / CACHE_FILENAME).read_bytes()[8] == 2


@pytest.mark.parametrize("far", [False, True])
def test_stamps_of_a_near_and_a_far_file_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, far: bool) -> None:
    bases = [f"{tmp_path}/{n:06d}" for n in range(40)]
    for n, base in enumerate(bases):
        if n % 5:
            name = base + (".yaml" if n % 3 else ".npz")
            Path(name).write_bytes(bytes(n))
            os.utime(name, ns=(n, 1000 * n))
    if far:
        ask = stamps._ask
        monkeypatch.setattr(stamps, "_ask", lambda base: (time.sleep(1e-3), ask(base))[1])
    pairs = [(n, 1000 * n) if n % 5 else (-1, -1) for n in range(40)]
    assert read_stamps(bases).tolist() == [value for pair in pairs for value in pair]


def test_reindexing_leaves_a_good_cache(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with imgstore.new_for_format("npy", path, imgshape=(8, 8), chunksize=10) as store:
        for k, number in enumerate([*range(100, 115), *range(35)]):
            store.add_image(np.full((8, 8), k, np.uint8), number, k / 10)
    with imgstore.new_for_filename(path) as store:
        store.get_image(107)
        store.reindex()
        assert store.get_next_framenumber() == -7
        assert store.frame_min == -15
    assert verify_store(path) == []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with imgstore.new_for_filename(path) as store:
            assert store.frame_numbers.tolist() == list(range(-15, 35))


def test_what_cannot_be_removed_is_an_error_of_ours(tmp_path: Path) -> None:
    path = Path(write_store(tmp_path / "s", "npy", 20, first=0))
    (path / ".index.sqlite").mkdir()
    with imgstore.new_for_filename(path) as store, pytest.raises(StoreWriteError, match=r"index\.sqlite"):
        store.reindex()


# ---- the file itself


@pytest.mark.parametrize("size", [0, 4096])
def test_a_cache_that_shrinks_while_it_is_read(tmp_path: Path, size: int) -> None:
    """A mapped file would end the process."""
    path = tmp_path / "s"
    with imgstore.new_for_format("npy", path, imgshape=(4, 4), chunksize=200) as store:
        for k in range(800):
            store.add_image(np.full((4, 4), k % 251, np.uint8), 3 * k + k % 2, k / 10)
    whole = (path / CACHE_FILENAME).read_bytes()
    for ask, expected in (
        (lambda s: s.get_image(3 * 601 + 1)[1], (1804, 60.1)),
        (lambda s: s.get_nearest_image(60.11)[1], (1804, 60.1)),
        (lambda s: s.frame_numbers[601], 1804),
        (lambda s: s.get_images([1804])[1][0].tolist(), [1804]),
    ):
        (path / CACHE_FILENAME).write_bytes(whole)
        with imgstore.new_for_filename(path) as store, warnings.catch_warnings():
            warnings.simplefilter("ignore", ImgStoreWarning)
            os.truncate(path / CACHE_FILENAME, size)
            assert ask(store) == expected


def test_no_more_blocks_are_held_than_may_be() -> None:
    """Every block is read when it is needed, and again when it had to go."""
    rows, blocks, reads = bytearray(), bytearray(), []
    numbers = np.arange(300_000)
    times = [numbers / 7 + n for n in range(60)]
    for n in range(60):  # 2.4 MB each, 144 MB in all
        row, block = encode_block(n, 0, len(blocks), numbers + n * 300_000, times[n])
        rows += row
        blocks += block

    class Source:
        def __len__(self) -> int:
            return len(blocks)

        def __call__(self, offset: int, size: int) -> bytes:
            reads.append(offset // (8 * 300_000))
            return bytes(blocks[offset : offset + size])

    frames = FrameIndex(rows, Source())
    assert frames.find_number(7_000_000) == 7_000_000
    assert reads == []
    for _ in range(2):
        for n in range(60):
            assert frames.frame(n * 300_000 + 5) == (n * 300_000 + 5, times[n][5])
    assert len(reads) == 120
    assert frames.frame(59 * 300_000)[1] == times[59][0]
    assert len(reads) == 120
    blocks[-1] ^= 1
    with pytest.raises(StaleIndexError, match="chunk 59"):
        FrameIndex(rows, Source()).frame(59 * 300_000)


def test_threads_share_an_index_whose_blocks_come_and_go(tmp_path: Path) -> None:
    paths = []
    for n in range(30):
        paths.append((n, f"{tmp_path}/{n:06d}"))
        write_chunk_index(paths[-1][1], np.arange(n * 50, n * 50 + 50) * 3 % 1009, np.arange(50) / 7 - n, sync=False)
    made = ImgStoreIndex.new_from_chunks(paths)
    made.write_cache(tmp_path / CACHE_FILENAME)
    wanted = [(what, v, made.find_nearest(what, v)) for what in ("frame_number", "frame_time") for v in range(-30, 60)]
    index = ImgStoreIndex.open_cached(tmp_path, paths)
    assert index is not None
    wrong: list[Any] = []

    def look_up() -> None:
        for what, value, position in wanted:
            if index.find_nearest(what, value) != position or index.frame(position) != made.frame(position):
                wrong.append((what, value))

    threads = [threading.Thread(target=look_up) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []

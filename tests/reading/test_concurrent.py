"""Many threads and processes read one store at once, and readers follow a writer: every frame is the one asked for."""

from __future__ import annotations

import gc
import multiprocessing
import os
import random
import signal
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Empty

import pytest
from random_reads import FIRST, FRAMES, read_at_random, read_in_a_process, record
from rounds import long_but
from scenes import SHAPE, coded_frame, shown_number, write_store

import imgstore
from imgstore.disk.layout import Listing

FORMATS = ("npy", "png", "avc1/mp4", "h264/mkv")
READERS = 8
PROCESSES = 4
STARTS = [m for m in ("fork", "spawn") if m in multiprocessing.get_all_start_methods()]


@pytest.fixture(scope="module", params=long_but({"npy", "avc1/mp4"}, FORMATS))
def path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_store(tmp_path_factory.mktemp("s") / "s", request.param, FRAMES, first=FIRST, chunksize=25)


def test_threads_with_one_store(path: str) -> None:
    with imgstore.new_for_filename(path) as store, ThreadPoolExecutor(READERS) as pool:
        assert list(pool.map(lambda seed: read_at_random(store, seed), range(READERS))) == [60] * READERS


def test_threads_with_a_store_each(path: str) -> None:
    def work(seed: int) -> int:
        with imgstore.new_for_filename(path) as store:
            return read_at_random(store, seed)

    with ThreadPoolExecutor(READERS) as pool:
        assert list(pool.map(work, range(READERS))) == [60] * READERS


def test_threads_that_read_in_order(path: str) -> None:
    """Each goes on with the next frame of a shared store: together they get every frame once."""
    with imgstore.new_for_filename(path) as store:
        seen: list[int] = []

        def work(_: int) -> None:
            while True:
                try:
                    img, (number, _) = store.get_next_image()
                except EOFError:
                    return
                assert shown_number(img) == number
                seen.append(number)

        with ThreadPoolExecutor(READERS) as pool:
            list(pool.map(work, range(READERS)))
    assert sorted(seen) == list(range(FIRST, FIRST + FRAMES))


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("shared", long_but([True], [True, False]), ids=["one store", "a store each"])
# reading ahead has a thread, and forking beside it is what is tried here
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork.*:DeprecationWarning")
def test_processes(path: str, start: str, shared: bool) -> None:
    """A store that is in use goes to several processes: inherited, or pickled."""
    context = multiprocessing.get_context(start)
    with imgstore.new_for_filename(path) as store:
        for _ in range(10):
            store.get_next_image()  # so that it is decoding ahead when the processes begin
        answers = context.Queue()
        given = store if shared else path
        gc.collect()  # not in the processes: what other tests have left of encoders cannot be freed there
        processes = [context.Process(target=read_in_a_process, args=(given, k, answers)) for k in range(PROCESSES)]
        for process in processes:
            process.start()
        assert read_at_random(store, 99) == 60
        try:
            got = [answers.get(timeout=120) for _ in processes]
        except Empty:
            for process in processes:
                if process.is_alive() and process.pid is not None:
                    os.kill(process.pid, signal.SIGABRT)  # pytest's faulthandler tells where it stands
            raise
        for process in processes:
            process.join(60)
    assert got == [40] * PROCESSES
    assert [process.exitcode for process in processes] == [0] * PROCESSES


@pytest.mark.parametrize("fmt", long_but({"avc1/mp4"}, [*FORMATS, "mjpeg/avi", "ffv1/mkv"]))
def test_readers_beside_a_writer(fmt: str, tmp_path: Path) -> None:
    """Frames come in with `refresh`, in order and without a gap, and those that have been seen never change."""
    frames = 150
    path = str(tmp_path / "s")
    process = multiprocessing.get_context("spawn").Process(target=record, args=(path, fmt, frames))
    process.start()
    deadline = time.monotonic() + 60
    while not os.path.exists(os.path.join(path, "metadata.yaml")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    growth: list[list[int]] = []

    def follow(seed: int) -> None:
        rng, counts, records = random.Random(seed), [0], 0
        seen: dict[int, bytes] = {}
        with warnings.catch_warnings(), imgstore.new_for_filename(path) as reader:
            while counts[-1] < frames:
                assert time.monotonic() < deadline
                count = reader.refresh()
                assert count >= counts[-1]
                counts.append(count)
                assert reader.frame_numbers.tolist() == list(range(count))
                for k in rng.sample(range(count), min(count, 8)):
                    img, (number, when) = reader.get_image(None, frame_index=k)
                    assert (number, when, shown_number(img)) == (k, k / 4, k)
                    assert seen.setdefault(k, img.tobytes()) == img.tobytes()
                table = reader.get_extra_data()
                values = [] if table is None else table["value"].tolist()
                assert values == list(range(0, 5 * len(values), 5)) and len(values) >= records
                records = len(values)
        growth.append(counts)

    errors: list[BaseException] = []

    def guarded(seed: int) -> None:
        try:
            follow(seed)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(k,)) for k in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    process.join(60)
    assert not errors and process.exitcode == 0
    assert all(len(set(counts)) > 5 for counts in growth), "the readers saw the recording grow"


_MEANWHILE = {
    "begun": ((), (".000002.journal",)),
    "finished": ((), ("000001.npz",)),
    "finished, its journal seen": ((".000001.journal",), ("000001.npz",)),
}


@pytest.mark.parametrize("fmt", FORMATS)
@pytest.mark.parametrize("meanwhile", _MEANWHILE)
@pytest.mark.filterwarnings("error")
def test_a_chunk_begins_or_ends_while_names_are_read(
    fmt: str, meanwhile: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A directory is not read in one moment: what comes and goes meanwhile may be seen or not."""
    more, fewer = _MEANWHILE[meanwhile]
    path = tmp_path / "s"
    with imgstore.new_for_format(fmt, path, imgshape=SHAPE, chunksize=5) as store:
        for k in range(13):
            store.add_image(coded_frame(k), k, k / 4)
            store.add_extra_data(value=k)
        while (path / ".000001.journal").exists():
            time.sleep(0.01)

        def seen(root: str, extension: str | None) -> Listing:
            return Listing([name for name in (*os.listdir(root), *more) if name not in fewer], extension)

        for module in ("store.extra_data", "index.store_index"):
            monkeypatch.setattr(f"imgstore.{module}.list_store", seen)
        with imgstore.new_for_filename(path) as reader:
            assert reader.frame_numbers.tolist() == list(range(13))
            assert reader.get_extra_data()["value"].tolist() == list(range(13))
            store.add_image(coded_frame(13), 13, 13 / 4)
            assert reader.refresh() == 14
            assert [shown_number(img) for img, _ in reader] == list(range(14))

"""A store that one thread closes while another uses it: StoreClosedError, whatever the other was about to do."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from scenes import SHAPE, coded_frame, write_store

import imgstore
from imgstore.errors import EndOfStoreError, StoreClosedError

ROUNDS = 4

READING: dict[str, Callable[[imgstore.ImgStore], Any]] = {
    "next": lambda store: store.get_next_image(),
    "number": lambda store: store.get_image(117),
    "position": lambda store: store.get_image(frame_index=3),
    "time": lambda store: store.get_nearest_image(1003.2),
    "many": lambda store: store.get_images(frame_indices=[3, 20, 11]),
    "all": lambda store: list(store),
    "slice": lambda store: store[3:20:4],
    "following number": lambda store: store.get_next_framenumber(),
    "numbers": lambda store: (store.frame_numbers, store.frame_times),
    "frame metadata": lambda store: store.get_frame_metadata(),
    "extent": lambda store: (len(store), store.frame_min, store.frame_max, store.duration, store.chunks),
    "place": lambda store: (store.frame_number, store._chunk_n),
    "refresh": lambda store: store.refresh(),
    "index": lambda store: store._index.frame_count,
}
WRITING: dict[str, Callable[[imgstore.ImgStore], Any]] = {
    "frame": lambda store: store.add_image(coded_frame(1), 1, 1.0),
    "extra data": lambda store: store.add_extra_data(a=1),
}


@pytest.fixture(autouse=True)
def switch_often() -> Iterator[None]:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(interval)


def closed_while_used(store: imgstore.ImgStore, use: Callable[[imgstore.ImgStore], Any]) -> BaseException:
    """Use a store in a thread, close it in this one, and return what the thread got in the end."""
    begun = threading.Event()
    got: list[BaseException] = []

    def go() -> None:
        while True:
            try:
                use(store)
            except EndOfStoreError:
                pass
            except BaseException as error:
                got.append(error)
                begun.set()
                return
            begun.set()

    thread = threading.Thread(target=go)
    thread.start()
    assert begun.wait(60)
    store.close()
    thread.join(60)
    assert not thread.is_alive()
    return got[0]


@pytest.mark.parametrize("name", READING)
@pytest.mark.parametrize("fmt", ["npy", "mjpeg/avi"])
def test_a_reader(closing_store: Callable[[str], str], fmt: str, name: str) -> None:
    for _ in range(ROUNDS):
        store = imgstore.new_for_filename(closing_store(fmt))
        assert type(closed_while_used(store, READING[name])) is StoreClosedError
        with pytest.raises(StoreClosedError):
            READING[name](store)


@pytest.mark.parametrize("name", WRITING)
@pytest.mark.parametrize("fmt", ["npy", "mjpeg/avi"])
def test_a_writer(tmp_path: Path, fmt: str, name: str) -> None:
    for k in range(ROUNDS):
        store = imgstore.new_for_format(fmt, tmp_path / str(k), imgshape=SHAPE, chunksize=5)
        assert type(closed_while_used(store, WRITING[name])) is StoreClosedError
        with imgstore.new_for_filename(tmp_path / str(k)) as reader:
            assert len(list(reader)) == len(reader) == store.frame_count


@pytest.fixture(scope="module")
def closing_store(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    root = tmp_path_factory.mktemp("closing")
    paths = {fmt: write_store(root / fmt[:3], fmt, 25) for fmt in ("npy", "mjpeg/avi")}
    return paths.__getitem__


def test_two_threads_close_at_once(closing_store: Callable[[str], str]) -> None:
    errors: list[BaseException] = []
    for _ in range(30):
        store = imgstore.new_for_filename(closing_store("npy"))
        barrier = threading.Barrier(2)

        def close(store: imgstore.ImgStore = store, barrier: threading.Barrier = barrier) -> None:
            barrier.wait()
            try:
                store.close()
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=close) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert errors == []

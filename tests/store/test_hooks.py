"""Plugins hear of stores and chunks as the hooks promise, and none of them hurts a recording or another plugin."""

from __future__ import annotations

import gc
import hashlib
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rounds import long_but
from scenes import SHAPE, coded_frame, shown_number, write_store

import imgstore
from imgstore import plugins
from imgstore.errors import ImgStoreWarning
from imgstore.writing import listeners

FORMATS = ["npy", "png", "mjpeg/avi", "avc1/mp4"]


class Listener:
    """Notes every call of a hook, and what the paths that it was given held at that moment."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.stores: list[imgstore.ImgStore] = []
        self.content: dict[int, dict[str, str]] = {}
        self.threads: set[int] = set()

    @imgstore.hookimpl
    def imgstore_store_opened(self, store: imgstore.ImgStore) -> None:
        self.stores.append(store)
        self.calls.append(("opened", store.mode))

    @imgstore.hookimpl
    def imgstore_store_closed(self, store: imgstore.ImgStore) -> None:
        assert store is self.stores[-1]
        self.calls.append(("closed", store.mode))

    @imgstore.hookimpl
    def imgstore_chunk_opened(self, store: imgstore.ImgStore, chunk: int, paths: list[str]) -> None:
        assert store is self.stores[-1]
        self.threads.add(threading.get_ident())
        self.calls.append(("chunk opened", chunk, *(os.path.basename(path) for path in paths)))

    @imgstore.hookimpl
    def imgstore_chunk_closed(self, store: imgstore.ImgStore, chunk: int, paths: list[str]) -> None:
        assert store is self.stores[-1]
        self.threads.add(threading.get_ident())
        self.calls.append(("chunk closed", chunk, *(os.path.basename(path) for path in paths)))
        self.content[chunk] = fingerprints(paths)


def fingerprints(paths: list[str]) -> dict[str, str]:
    """Return a hash of every file at or below some paths, all of which exist."""
    found = {}
    for path in map(Path, paths):
        assert path.exists(), path
        for file in sorted(path.iterdir()) if path.is_dir() else [path]:
            found[str(file)] = hashlib.sha256(file.read_bytes()).hexdigest()
    return found


@pytest.fixture
def plug(request: pytest.FixtureRequest) -> Iterator[Callable[[Any], Any]]:
    """``plug(plugin)`` registers a plugin for one test, under the names of its class and of the test."""
    plugged = []

    def add(plugin: Any) -> Any:
        plugins.register(plugin, name=f"{type(plugin).__name__} of {request.node.name}")
        plugged.append(plugin)
        return plugin

    yield add
    for plugin in plugged:
        plugins.unregister(plugin)


def record(path: Path, fmt: str, count: int = 25, *, extra: bool = False, **options: Any) -> None:
    with imgstore.new_for_format(fmt, path, imgshape=SHAPE, chunksize=10, **options) as store:
        for k in range(count):
            store.add_image(coded_frame(k), k, k / 10)
            if extra:
                store.add_extra_data(k=k)


def numbers_shown(path: Path) -> list[int]:
    with imgstore.new_for_filename(path) as store:
        return [shown_number(img) for img, _ in store]


@pytest.mark.parametrize("fmt", FORMATS)
def test_calls_and_their_order(tmp_path: Path, plug: Any, fmt: str) -> None:
    listener = plug(Listener())
    record(tmp_path / "s", fmt, extra=True)
    if fmt in ("npy", "png"):
        names = [[f"{n:06d}"] for n in range(3)]
    else:
        ending = ".avi" if fmt == "mjpeg/avi" else ".mp4"
        names = [[f"{n:06d}{ending}", f"{n:06d}.npz", f"{n:06d}.extra.json"] for n in range(3)]
    opened = [("chunk opened", n, names[n][0]) for n in range(3)]
    closed = [("chunk closed", n, *names[n]) for n in range(3)]
    assert listener.calls[0] == ("opened", "w")
    assert listener.calls[-1] == ("closed", "w")
    between = listener.calls[1:-1]
    assert [call for call in between if call in opened] == opened
    assert [call for call in between if call in closed] == closed
    assert len(between) == 6
    for begin, end in zip(opened, closed, strict=True):
        assert between.index(begin) < between.index(end)
    assert threading.get_ident() not in listener.threads


@pytest.mark.parametrize("fmt", FORMATS)
def test_a_chunk_that_is_closed_is_all_there_and_does_not_change(tmp_path: Path, plug: Any, fmt: str) -> None:
    listener = plug(Listener())
    record(tmp_path / "s", fmt, extra=True)
    assert sorted(listener.content) == [0, 1, 2]
    for chunk, held in listener.content.items():
        assert {path: fingerprints([path])[path] for path in held} == held
        endings = {os.path.basename(path).partition(".")[2] for path in held}
        assert {"npz", "extra.json"} < endings
        assert len(held) == {0: 10, 1: 10, 2: 5}[chunk] + 2 or fmt not in ("npy", "png")
    told = {path for held in listener.content.values() for path in held}
    there = {str(p) for p in (tmp_path / "s").rglob("*") if p.is_file() and not p.name.startswith(".")}
    assert there - told == {str(tmp_path / "s" / "metadata.yaml")}


def test_chunks_are_told_of_while_the_recording_goes_on(tmp_path: Path, plug: Any) -> None:
    listener = plug(Listener())
    with imgstore.new_for_format("png", tmp_path / "s", imgshape=SHAPE, chunksize=10) as store:
        for k in range(11):
            store.add_image(coded_frame(k), k, k / 10)
        wait_until(lambda: ("chunk closed", 0, "000000") in listener.calls)
        assert ("closed", "w") not in listener.calls


def test_reading_is_told(tmp_path: Path, plug: Any) -> None:
    write_store(tmp_path / "s", "png", 3)
    listener = plug(Listener())
    store = imgstore.new_for_filename(tmp_path / "s")
    assert listener.calls == [("opened", "r")] and listener.stores == [store]
    store.close()
    store.close()
    assert listener.calls == [("opened", "r"), ("closed", "r")]


def test_a_store_that_is_continued_is_told_of_its_new_chunks(tmp_path: Path, plug: Any) -> None:
    record(tmp_path / "s", "png", 5)
    listener = plug(Listener())
    with imgstore.new_for_filename(tmp_path / "s", mode="a") as store:
        store.add_image(coded_frame(5), 5, 0.5)
    assert listener.calls == [
        ("opened", "a"),
        ("chunk opened", 1, "000001"),
        ("chunk closed", 1, "000001"),
        ("closed", "a"),
    ]


def test_chunks_that_are_inserted_and_chunks_without_frames_are_told(tmp_path: Path, plug: Any) -> None:
    record(tmp_path / "s", "mjpeg/avi", 5)
    listener = plug(Listener())
    with imgstore.new_for_format("mjpeg/avi", tmp_path / "t", imgshape=SHAPE) as store:
        store.insert_chunk(str(tmp_path / "s" / "000000.avi"), range(5), range(5), move=False)
    with imgstore.new_for_format("npy", tmp_path / "u", imgshape=SHAPE) as store:
        store.add_extra_data(alone=1)
    chunks = [call for call in listener.calls if call[0].startswith("chunk")]
    assert chunks == [
        ("chunk opened", 0, "000000.avi"),
        ("chunk closed", 0, "000000.avi", "000000.npz"),
        ("chunk opened", 0, "000000"),
        ("chunk closed", 0, "000000"),
    ]


def test_the_store_can_be_used(tmp_path: Path, plug: Any) -> None:
    """A plugin may look at the store, open what is there of it, and add data when a recording begins."""
    seen: list[Any] = []

    class Uses:
        @imgstore.hookimpl
        def imgstore_store_opened(self, store: imgstore.ImgStore) -> None:
            if store.mode == "w":
                store.add_extra_data(begun=True)

        @imgstore.hookimpl
        def imgstore_chunk_closed(self, store: imgstore.ImgStore, chunk: int) -> None:
            with imgstore.new_for_filename(store.filename) as so_far:
                seen.append((store.image_shape, store.format, chunk, so_far.get_image(chunk * 10 + 3)[1][0]))

        @imgstore.hookimpl
        def imgstore_store_closed(self, store: imgstore.ImgStore) -> None:
            if store.mode == "w":
                seen.append((store.frame_count, store.chunks, store.user_metadata["animal"]))

    plug(Uses())
    record(tmp_path / "s", "png", 25, metadata={"animal": "fly"})
    assert seen == [(SHAPE, "png", 0, 3), (SHAPE, "png", 1, 13), (SHAPE, "png", 2, 23), (25, [0, 1, 2], "fly")]
    with imgstore.new_for_filename(tmp_path / "s") as store:
        assert store.get_extra_data()["begun"].tolist() == [True]


class Raises:
    @imgstore.hookimpl
    def imgstore_store_opened(self) -> None:
        raise RuntimeError("not at the opening")

    @imgstore.hookimpl
    def imgstore_chunk_opened(self) -> None:
        raise RuntimeError("not at the beginning of a chunk")

    @imgstore.hookimpl
    def imgstore_chunk_closed(self) -> None:
        raise RuntimeError("not at the end of a chunk")

    @imgstore.hookimpl
    def imgstore_store_closed(self) -> None:
        raise RuntimeError("not at the close")


@pytest.mark.parametrize("fmt", FORMATS)
def test_a_plugin_that_raises_is_reported_once_and_hurts_nothing(tmp_path: Path, plug: Any, fmt: str) -> None:
    plug(Raises())
    listener = plug(Listener())
    with pytest.warns(ImgStoreWarning) as caught:
        record(tmp_path / "s", fmt)
    (report,) = (str(warning.message) for warning in caught)
    assert "Raises of test_a_plugin_that_raises" in report
    assert "imgstore_store_opened" in report and "not at the opening" in report
    assert numbers_shown(tmp_path / "s") == list(range(25))
    assert [call[:2] for call in listener.calls if call[0] == "chunk closed"] == [("chunk closed", n) for n in range(3)]


class Quits:
    @imgstore.hookimpl
    def imgstore_chunk_closed(self) -> None:
        sys.exit("enough")


def test_a_plugin_that_wants_to_end_the_program_is_logged(
    tmp_path: Path, plug: Any, caplog: pytest.LogCaptureFixture
) -> None:
    plug(Quits())
    record(tmp_path / "s", "npy")
    assert numbers_shown(tmp_path / "s") == list(range(25))
    assert sum("Quits of" in entry.message and "enough" in entry.message for entry in caplog.records) == 3


class Hangs:
    """Does not return from one of its hooks until it is let go."""

    def __init__(self, hook: str) -> None:
        self.hook = hook
        self.entered = 0
        self.go = threading.Event()

    def hang(self, hook: str) -> None:
        if hook == self.hook:
            self.entered += 1
            self.go.wait(300)

    @imgstore.hookimpl
    def imgstore_store_opened(self) -> None:
        self.hang("imgstore_store_opened")

    @imgstore.hookimpl
    def imgstore_chunk_opened(self) -> None:
        self.hang("imgstore_chunk_opened")

    @imgstore.hookimpl
    def imgstore_chunk_closed(self) -> None:
        self.hang("imgstore_chunk_closed")

    @imgstore.hookimpl
    def imgstore_store_closed(self) -> None:
        self.hang("imgstore_store_closed")


@pytest.mark.parametrize("through", long_but({"store"}, ["store", "recorder"]))
@pytest.mark.parametrize(
    "hook", ["imgstore_store_opened", "imgstore_chunk_opened", "imgstore_chunk_closed", "imgstore_store_closed"]
)
def test_a_plugin_that_hangs_hurts_nothing(
    tmp_path: Path,
    plug: Any,
    hook: str,
    through: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The recording is whole, other plugins hear of everything, and closing waits no longer than it says."""
    monkeypatch.setattr(listeners, "PATIENCE", 1.0)
    hanging = plug(Hangs(hook))
    listener = plug(Listener())
    began = time.monotonic()
    with caplog.at_level(logging.WARNING):
        if through == "store":
            record(tmp_path / "s", "png")
        else:
            with imgstore.Recorder(
                imgstore.new_for_format("png", tmp_path / "s", imgshape=SHAPE, chunksize=10)
            ) as recorder:
                for k in range(25):
                    recorder.add_image(coded_frame(k), k, k / 10)
    assert time.monotonic() - began < 20  # twice the patience, and what a slow machine takes for 25 frames
    assert hanging.entered == 1
    assert "Hangs of test_a_plugin_that_hangs" in caplog.text
    assert not (tmp_path / "s" / ".lock").exists()
    assert [call[:2] for call in listener.calls if call[0] == "chunk closed"] == [("chunk closed", n) for n in range(3)]
    assert listener.calls[-1] == ("closed", "w")
    hanging.hook = ""  # the stores opened below are not its prey
    hanging.go.set()
    assert numbers_shown(tmp_path / "s") == list(range(25))


def test_a_plugin_that_is_slow_is_waited_for_and_misses_nothing(tmp_path: Path, plug: Any) -> None:
    class Slow(Listener):
        @imgstore.hookimpl
        def imgstore_chunk_closed(self, store: Any, chunk: int, paths: list[str]) -> None:
            time.sleep(0.2)
            super().imgstore_chunk_closed(store, chunk, paths)

    slow = plug(Slow())
    record(tmp_path / "s", "npy")
    assert [call[1] for call in slow.calls if call[0] == "chunk closed"] == [0, 1, 2]
    assert slow.calls[-1] == ("closed", "w")


def test_a_plugin_keeps_no_store_alive(tmp_path: Path, plug: Any) -> None:
    class Hears:
        @imgstore.hookimpl
        def imgstore_chunk_opened(self, store: imgstore.ImgStore) -> None:
            pass

    plug(Hears())
    store = imgstore.new_for_format("npy", tmp_path / "s", imgshape=SHAPE)
    store.add_image(coded_frame(1), 1, 1.0)
    time.sleep(0.1)
    del store
    gc.collect()
    assert not (tmp_path / "s" / ".lock").exists()
    assert numbers_shown(tmp_path / "s") == [1]


PROGRAM = """
import sys
import numpy as np
import imgstore
from imgstore import plugins

class Hears:
    @imgstore.hookimpl
    def imgstore_chunk_closed(self, chunk):
        print("chunk", chunk)
    @imgstore.hookimpl
    def imgstore_store_closed(self, store):
        print("closed", store.frame_count)

plugins.register(Hears())
store = imgstore.new_for_format("npy", sys.argv[1], imgshape=(4, 4), chunksize=2)
for k in range(5):
    store.add_image(np.full((4, 4), k, np.uint8), k, float(k))
"""


def test_the_end_of_a_program_that_does_not_close_is_told(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path / "s")], capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split("\n") == ["chunk 0", "chunk 1", "chunk 2", "closed 5", ""]


def test_hooks_slow_no_frame_down(tmp_path: Path, plug: Any) -> None:
    """While a plugin hangs, frames go in as ever: no call of `add_image` waits for it."""
    hanging = plug(Hangs("imgstore_chunk_closed"))
    store = imgstore.new_for_format("npy", tmp_path / "s", imgshape=(4, 4), chunksize=5)
    img = np.zeros((4, 4), np.uint8)
    began = time.monotonic()
    for k in range(200):
        store.add_image(img, k, float(k))
    assert time.monotonic() - began < 30 and hanging.entered == 1
    hanging.go.set()
    store.close()
    assert len(imgstore.new_for_filename(tmp_path / "s")) == 200


def wait_until(true: Callable[[], bool], seconds: float = 30) -> None:
    """Wait for something that another thread is about to do."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)

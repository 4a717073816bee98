"""A store that is written, shared by threads: cameras, sensors, and one that closes it."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scenes import SHAPE, coded_frame, shown_number

import imgstore
from imgstore.errors import StoreClosedError

FRAMES = 60  # of each camera
FORMATS = ["npy", "png", "mjpeg/avi", "avc1/mp4"]


@pytest.fixture(autouse=True)
def threads_take_turns_all_the_time() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def at_once(*calls: Callable[[], object]) -> None:
    """Call functions in threads; raise what one of them raises."""
    raised: list[BaseException] = []

    def run(call: Callable[[], object]) -> None:
        try:
            call()
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if raised:
        raise raised[0]


def camera(store: Any, first: int) -> Callable[[], None]:
    def record() -> None:
        for number in range(first, first + FRAMES):
            store.add_image(coded_frame(number), number, number / 100)

    return record


def look_at(path: Path, cameras: int) -> None:
    """Every frame is there once, under its number, and each camera's frames are in its order."""
    with imgstore.new_for_filename(path) as store:
        numbers = store.frame_numbers.tolist()
        assert sorted(numbers) == [1000 * k + n for k in range(cameras) for n in range(FRAMES)]
        for k in range(cameras):
            assert [n for n in numbers if n // 1000 == k] == list(range(1000 * k, 1000 * k + FRAMES))
        for img, (number, when) in store:
            assert shown_number(img) == number and when == number / 100


@pytest.mark.parametrize("recorder", [False, True], ids=["store", "recorder"])
@pytest.mark.parametrize("fmt", FORMATS)
def test_cameras_and_sensors_of_one_store(tmp_path: Path, fmt: str, recorder: bool) -> None:
    recording: Any = imgstore.new_for_format(fmt, tmp_path / "s", imgshape=SHAPE, chunksize=7)
    if recorder:
        recording = imgstore.Recorder(recording, queue_size=8)
    stop = threading.Event()
    given: list[int] = []

    def sensor(first: int) -> None:
        value = first
        while not stop.is_set() or value == first:
            recording.add_extra_data(value=value)
            given.append(value)
            value += 1
            stop.wait(0.001)

    sensors = [threading.Thread(target=sensor, args=(10**6 * k,)) for k in range(4)]
    for thread in sensors:
        thread.start()
    try:
        at_once(camera(recording, 0), camera(recording, 1000))
    finally:
        stop.set()
        for thread in sensors:
            thread.join()
    recording.close()
    look_at(tmp_path / "s", 2)
    with imgstore.new_for_filename(tmp_path / "s") as store:
        records = store.get_extra_data()
        assert Counter(records["value"].tolist()) == Counter(given)
        numbers = store.frame_numbers
        for row in records[records["frame_index"] >= 0].itertuples():
            assert numbers[int(row.frame_index)] == row.frame_number


@pytest.mark.parametrize("recorder", [False, True], ids=["store", "recorder"])
@pytest.mark.parametrize("fmt", ["npy", "mjpeg/avi"])
def test_closed_by_another_thread(tmp_path: Path, fmt: str, recorder: bool) -> None:
    """What was accepted is there; what comes later is an error of ours; whoever closes too finds it closed."""
    for attempt in range(10):
        path = tmp_path / f"{attempt}"
        recording: Any = imgstore.new_for_format(fmt, path, imgshape=SHAPE, chunksize=3)
        if recorder:
            recording = imgstore.Recorder(recording, queue_size=2)
        accepted: list[list[int]] = [[], []]
        begun = threading.Barrier(4)

        def record(k: int, recording: Any = recording, accepted: Any = accepted, begun: Any = begun) -> None:
            begun.wait()
            for number in range(1000 * k, 1000 * k + 500):
                try:
                    recording.add_image(coded_frame(number), number, number / 100)
                except StoreClosedError:
                    return
                accepted[k].append(number)
            raise AssertionError("it was never closed")

        def close(recording: Any = recording, accepted: Any = accepted, begun: Any = begun, path: Path = path) -> None:
            begun.wait()
            while not (accepted[0] and accepted[1]):
                pass
            recording.close()
            assert not list(path.glob(".*.journal")) and not (path / ".lock").exists()

        at_once(lambda: record(0), lambda: record(1), close, close)  # noqa: B023  # they end within the round
        assert not (path / ".lock").exists()
        with imgstore.new_for_filename(path) as store:
            assert sorted(store.frame_numbers.tolist()) == sorted(accepted[0] + accepted[1])
            assert all(shown_number(img) == number for img, (number, _) in store)


def test_emptied_and_filled_by_others(tmp_path: Path) -> None:
    with imgstore.new_for_format("mjpeg/avi", tmp_path / "video", imgshape=SHAPE) as store:
        for number in range(5):
            store.add_image(coded_frame(9000 + number), number, number)
    video = tmp_path / "video" / "000000.avi"
    store = imgstore.new_for_format("mjpeg/avi", tmp_path / "s", imgshape=SHAPE, chunksize=4)

    def insert() -> None:
        for k in range(6):
            store.insert_chunk(video, range(9000, 9005), range(5), move=False)
            if k == 2:
                store.empty()

    at_once(camera(store, 0), insert)
    store.close()
    with imgstore.new_for_filename(tmp_path / "s") as reader:
        numbers = reader.frame_numbers
        assert all(shown_number(img) == number for img, (number, _) in reader)
        assert (numbers == 9004).sum() == 3
        cameras = numbers[numbers < 9000]
        assert np.array_equal(cameras, np.arange(FRAMES - len(cameras), FRAMES))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks on this system")
def test_a_child_forked_in_the_midst_of_a_frame(tmp_path: Path) -> None:
    """The lock that another thread has taken stays taken in the child, and nobody waits for it there."""
    store = imgstore.new_for_format("npy", tmp_path / "s", imgshape=SHAPE)
    store.add_image(coded_frame(0), 0, 0.0)
    writer: Any = store._writer
    taken, release = threading.Event(), threading.Event()

    def hold() -> None:
        with writer._turn:
            taken.set()
            release.wait()

    holder = threading.Thread(target=hold)
    holder.start()
    taken.wait()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            signal.alarm(30)
            for call in (lambda: store.add_image(coded_frame(1), 1, 1.0), lambda: store.add_extra_data(a=1)):
                with pytest.raises(imgstore.errors.StoreLockedError):
                    call()
            store.close()
            store.close()
            code = 0
        finally:
            os._exit(code)
    release.set()
    holder.join()
    assert os.waitpid(child, 0)[1] == 0
    store.close()
    with imgstore.new_for_filename(tmp_path / "s") as reader:
        assert len(reader) == 1

"""Recording behind a camera's back: order, a full queue, errors, interrupts, statistics."""

from __future__ import annotations

import gc
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scenes import HELPERS, SHAPE, coded_frame, shown_number

import imgstore
from imgstore.codec import Format, FrameCodec
from imgstore.errors import ArgumentError, RecorderFullError, StoreClosedError
from imgstore.plugins import register, unregister


class _HeldCodec(FrameCodec):
    """Encodes nothing until it is let go."""

    name = "held"
    formats = (Format("held", ".held", lossless=True, dtypes=None),)

    def __init__(self) -> None:
        self.go = threading.Event()
        self.fail_on: int | None = None
        self.seen = 0

    def encoder(self, fmt: Any, spec: Any, options: Any) -> Any:
        def encode(img: np.ndarray) -> Any:
            assert self.go.wait(30)
            if shown_number(img) == self.fail_on:
                raise OSError(28, "No space left on device")
            return (img.tobytes(),)

        return encode

    def decoder(self, fmt: Any, spec: Any) -> Any:
        return lambda data: data.view(spec.dtype).reshape(spec.shape)


class _Plugin:
    def __init__(self) -> None:
        self.codec = _HeldCodec()

    @imgstore.hookimpl
    def imgstore_codecs(self) -> Any:
        return [self.codec]


@pytest.fixture
def held() -> Any:
    plugin = _Plugin()
    register(plugin, "held")
    yield plugin.codec
    plugin.codec.go.set()
    unregister(plugin)


@pytest.mark.parametrize("fmt", ["npy", "png", "mjpeg/avi", "avc1/mp4"])
def test_order_and_content(tmp_path: Path, fmt: str) -> None:
    img = np.empty(SHAPE, np.uint8)
    with imgstore.Recorder(imgstore.new_for_format(fmt, tmp_path / "s", imgshape=SHAPE, chunksize=30)) as recorder:
        for k in range(100):
            img[...] = coded_frame(k)  # the camera's one buffer, overwritten at once
            assert recorder.add_image(img, k, k / 100)
            if k % 10 == 0:
                recorder.add_extra_data(k=k)
    statistics = recorder.statistics
    assert (statistics.written, statistics.queued, statistics.dropped, statistics.failed) == (100, 0, 0, 0)
    assert statistics.bytes > 0 and statistics.encode_fps > 0 and 0 < statistics.seconds_until_full < float("inf")
    with imgstore.new_for_filename(tmp_path / "s") as store:
        assert [shown_number(i) for i, _ in store] == store.frame_numbers.tolist() == list(range(100))
        extra = store.get_extra_data()
        assert extra["k"].tolist() == extra["frame_number"].tolist() == list(range(0, 100, 10))


def test_drop(tmp_path: Path, held: _HeldCodec) -> None:
    recorder = imgstore.Recorder(imgstore.new_for_format("held", tmp_path / "s", imgshape=SHAPE), 5, on_full="drop")
    taken = [recorder.add_image(coded_frame(k), k, float(k)) for k in range(12)]
    assert taken == [True] * 5 + [False] * 7
    assert recorder.statistics.dropped == 7 and recorder.dropped_numbers == list(range(5, 12))
    assert recorder.statistics.queued == 5
    held.go.set()
    recorder.close()
    with imgstore.new_for_filename(tmp_path / "s") as store:
        assert store.frame_numbers.tolist() == list(range(5))


def test_raise(tmp_path: Path, held: _HeldCodec) -> None:
    recorder = imgstore.Recorder(imgstore.new_for_format("held", tmp_path / "s", imgshape=SHAPE), 2, on_full="raise")
    for k in range(2):
        recorder.add_image(coded_frame(k), k, float(k))
    with pytest.raises(RecorderFullError):
        recorder.add_image(coded_frame(2), 2, 2.0)
    held.go.set()
    recorder.close()
    assert imgstore.new_for_filename(tmp_path / "s").frame_count == 2


def test_block(tmp_path: Path, held: _HeldCodec) -> None:
    recorder = imgstore.Recorder(imgstore.new_for_format("held", tmp_path / "s", imgshape=SHAPE), 2)
    threading.Timer(0.3, held.go.set).start()
    began = time.monotonic()
    for k in range(10):
        recorder.add_image(coded_frame(k), k, float(k))
    assert time.monotonic() - began > 0.2
    recorder.close()
    assert imgstore.new_for_filename(tmp_path / "s").frame_numbers.tolist() == list(range(10))


def test_an_error_surfaces_and_recording_goes_on(tmp_path: Path, held: _HeldCodec) -> None:
    held.fail_on = 3
    held.go.set()
    recorder = imgstore.Recorder(imgstore.new_for_format("held", tmp_path / "s", imgshape=SHAPE))
    for k in range(4):
        recorder.add_image(coded_frame(k), k, float(k))
    while not recorder.statistics.failed:
        time.sleep(0.01)
    with pytest.raises(OSError, match="No space left"):
        recorder.add_image(coded_frame(4), 4, 4.0)
    recorder.add_image(coded_frame(5), 5, 5.0)
    recorder.close()
    assert recorder.failed_numbers == [3]
    with imgstore.new_for_filename(tmp_path / "s") as store:
        assert [shown_number(i) for i, _ in store] == [0, 1, 2, 5]


def test_an_error_surfaces_at_close(tmp_path: Path, held: _HeldCodec) -> None:
    held.fail_on = 1
    recorder = imgstore.Recorder(imgstore.new_for_format("held", tmp_path / "s", imgshape=SHAPE))
    for k in range(3):
        recorder.add_image(coded_frame(k), k, float(k))
    held.go.set()
    with pytest.raises(OSError, match="No space left"):
        recorder.close()
    assert imgstore.new_for_filename(tmp_path / "s").frame_numbers.tolist() == [0, 2]
    recorder.close()


def test_what_is_refused(tmp_path: Path) -> None:
    store = imgstore.new_for_format("npy", tmp_path / "s", imgshape=SHAPE)
    for wrong in ({"queue_size": 0}, {"queue_size": 1.5}, {"on_full": "nonsense"}):
        with pytest.raises(ArgumentError):
            imgstore.Recorder(store, **wrong)
    recorder = imgstore.Recorder(store)
    for img, number, seconds in (
        (np.zeros((2, 2), np.uint8), 1, 1.0),
        (coded_frame(1), "x", 1.0),
        (coded_frame(1), 1, None),
    ):
        with pytest.raises(ArgumentError):
            recorder.add_image(img, number, seconds)
    recorder.add_image(coded_frame(1), 1, 1.0)
    recorder.close()
    recorder.close()
    with pytest.raises(StoreClosedError):
        recorder.add_image(coded_frame(1), 1, 1.0)
    with pytest.raises(StoreClosedError):
        imgstore.Recorder(store)
    assert imgstore.new_for_filename(tmp_path / "s").frame_count == 1


def test_a_collected_recorder_leaves_a_whole_store(tmp_path: Path) -> None:
    recorder = imgstore.Recorder(imgstore.new_for_format("avc1/mp4", tmp_path / "s", imgshape=SHAPE))
    for k in range(20):
        recorder.add_image(coded_frame(k), k, float(k))
    del recorder
    gc.collect()
    with imgstore.new_for_filename(tmp_path / "s") as store:
        assert [shown_number(i) for i, _ in store] == list(range(20))
    assert not (tmp_path / "s" / ".lock").exists()


@pytest.mark.parametrize("fmt", ["png", "avc1/mp4"])
@pytest.mark.parametrize("how", ["interrupt", "end"])
def test_ctrl_c_and_the_end_of_the_program_leave_a_whole_store(tmp_path: Path, fmt: str, how: str) -> None:
    program = (
        "import signal, sys, imgstore, itertools, time\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a shell's background jobs ignore it
        "sys.path.insert(0, sys.argv[3])\n"
        "from scenes import coded_frame\n"
        "r = imgstore.Recorder(imgstore.new_for_format(sys.argv[2], sys.argv[1], imgshape=(48, 64), chunksize=20))\n"
        "for k in itertools.count() if sys.argv[4] == 'interrupt' else range(50):\n"
        "    r.add_image(coded_frame(k), k, k / 100)\n"
        "    time.sleep(0.002)\n"
        "    if k == 40: print('on its way', flush=True)\n"
    )
    arguments = [sys.executable, "-c", program, str(tmp_path / "s"), fmt, str(HELPERS), how]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as recording:
        assert recording.stdout is not None and recording.stdout.readline() == b"on its way\n"
        if how == "interrupt":
            recording.send_signal(signal.SIGINT)
        try:
            _, errors = recording.communicate(timeout=60)
        finally:
            recording.kill()
    assert (b"KeyboardInterrupt" in errors) == (how == "interrupt"), errors
    with imgstore.new_for_filename(tmp_path / "s") as store:
        assert store.frame_count >= 41
        assert [shown_number(i) for i, _ in store] == store.frame_numbers.tolist() == list(range(store.frame_count))
    hidden = {p.name for p in (tmp_path / "s").iterdir() if p.name.startswith(".")}
    assert hidden == {".imgstore-index"}


def test_add_image_does_not_wait_for_the_encoder(tmp_path: Path, held: _HeldCodec) -> None:
    """The time is in benchmarks; here it is only tried that the encoder being stopped stops nobody."""
    recorder = imgstore.Recorder(imgstore.new_for_format("held", tmp_path / "s", imgshape=SHAPE), 100)
    for k in range(100):
        recorder.add_image(coded_frame(k), k, float(k))
    assert recorder.statistics.written == 0 and recorder.statistics.queued == 100
    held.go.set()
    recorder.close()
    assert imgstore.new_for_filename(tmp_path / "s").frame_count == 100

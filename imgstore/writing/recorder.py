"""Recording without keeping the camera waiting."""

from __future__ import annotations

import os
import shutil
import threading
import time
import weakref
from collections import deque
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from imgstore.disk.lock import check_process
from imgstore.errors import ArgumentError, RecorderFullError, StoreClosedError
from imgstore.threads.background import let_go
from imgstore.writing.checks import checked_frame_number, checked_frame_time
from imgstore.writing.writer import Writer

if TYPE_CHECKING:
    from imgstore.store import ImgStore

__all__ = ["Recorder", "RecorderStatistics"]

Frame = npt.NDArray[Any]
OnFull = Literal["block", "drop", "raise"]

_RATE_WINDOW = 200  # frames over which the encoding rate is measured


@dataclass(frozen=True)
class RecorderStatistics:
    """How a recording goes.

    Attributes
    ----------
    queued : int
        Frames that wait.
    written : int
        Frames that are in the store.
    dropped : int
        Frames that were not taken because the queue was full.
    failed : int
        Frames that were taken and could not be written; an error tells why.
    encode_fps : float
        Frames per second that reach the store at present; NaN before the second one.
    bytes : int
        Size of the store's chunks.
    seconds_until_full : float
        Until the disk is full at the average rate so far; infinite before anything is written.
    """

    queued: int
    written: int
    dropped: int
    failed: int
    encode_fps: float
    bytes: int
    seconds_until_full: float


class _Frame:
    """A frame on its way: its own copy of the image, and what becomes of it."""

    __slots__ = ("buffer", "encoded", "number", "seconds")

    def __init__(self, buffer: Frame, number: int, seconds: float):
        self.buffer = buffer
        self.number = number
        self.seconds = seconds
        self.encoded: Future[Any] | None = None


class _Worker:
    """Everything that the thread needs. It knows no `Recorder`, so that one that is forgotten can be collected."""

    def __init__(self, store: ImgStore, writer: Writer, queue_size: int):
        self.store = store
        self.writer = writer
        self.queue_size = queue_size
        self.queue: deque[_Frame | Mapping[str, Any]] = deque()
        self.frames_waiting = 0
        self.free: list[Frame] = []  # buffers to use again, so that memory stays flat
        self.lock = threading.RLock()  # entered itself: Ctrl-C may leave that of a `Condition` taken, which is Python code
        self.changed = threading.Condition(self.lock)
        self.stopping = False
        self.error: BaseException | None = None
        self.written = 0
        self.failed: list[int] = []
        self.moments: deque[float] = deque(maxlen=_RATE_WINDOW)
        self.pool = ThreadPoolExecutor(os.cpu_count(), "imgstore-encode") if writer.encodes_frames else None
        self.thread = threading.Thread(target=self.run, name="imgstore-recorder", daemon=True)
        self.thread.start()

    def run(self) -> None:
        while True:
            with self.lock:
                while not self.queue and not self.stopping:
                    self.changed.wait()
                if not self.queue:
                    return
                item = self.queue[0]  # stays until it is written, so that the queue's length tells the truth
            try:
                self.write(item)
            except BaseException as error:
                with self.lock:
                    self.error = self.error or error
                    if isinstance(item, _Frame):
                        self.failed.append(item.number)
            with self.lock:
                self.queue.popleft()
                if isinstance(item, _Frame):
                    self.frames_waiting -= 1
                    self.free.append(item.buffer)
                self.changed.notify_all()

    def write(self, item: _Frame | Mapping[str, Any]) -> None:
        if not isinstance(item, _Frame):
            self.writer.add_record(item)
            return
        frame = item.encoded.result() if item.encoded is not None else self.writer.encode(item.buffer)
        self.writer.add_prepared(frame, item.number, item.seconds)
        self.written += 1
        self.moments.append(time.monotonic())

    def buffer_like(self, img: Frame) -> Frame:
        return self.free.pop() if self.free else np.empty_like(img, order="C")

    def finish(self) -> None:
        """Write all that waits and close the store."""
        let_go(self.lock)
        with self.lock:
            self.stopping = True
            self.changed.notify_all()
        self.thread.join()
        if self.pool is not None:
            self.pool.shutdown()
        self.store.close()


def _finish_in_own_process(worker: _Worker, pid: int) -> None:
    if os.getpid() == pid:
        worker.finish()


class Recorder:
    """Takes frames from a camera's loop and writes them behind its back, in order.

    Several threads may share one, cameras as well as sensors. Frames of formats with a file per frame are encoded on all cores.

    Parameters
    ----------
    store : ImgStore
        Open for writing; the recorder closes it.
    queue_size : int
        Frames that may wait.
    on_full : {'block', 'drop', 'raise'}
        What `add_image` does when as many wait: wait itself, leave the frame out and count it, or raise
        `RecorderFullError`.

    Examples
    --------
    >>> with Recorder(imgstore.new_for_format("avc1/mp4", path, imgshape=(1024, 1280))) as recorder:  # doctest: +SKIP
    ...     for number, (img, time) in enumerate(camera):
    ...         recorder.add_image(img, number, time)
    """

    def __init__(self, store: ImgStore, queue_size: int = 256, on_full: OnFull = "block"):
        if not isinstance(queue_size, (int, np.integer)) or isinstance(queue_size, bool) or queue_size < 1:
            raise ArgumentError(f"queue_size must be a whole number of frames from 1, not {queue_size!r}")
        if on_full not in ("block", "drop", "raise"):
            raise ArgumentError(f"on_full must be 'block', 'drop' or 'raise', not {on_full!r}")
        self._root = store.filename
        self._on_full = on_full
        self._worker = _Worker(store, store._writable, int(queue_size))
        self._dropped: list[int] = []
        self._began = time.monotonic()
        self._bytes_before = self._worker.writer.bytes_written
        self._pid = os.getpid()
        self._finalizer = weakref.finalize(self, _finish_in_own_process, self._worker, self._pid)

    def add_image(self, img: Frame, frame_number: Any, frame_time: Any) -> bool:
        """Take a frame. Returns after it has been copied; `img` may be used again at once.

        Parameters
        ----------
        img, frame_number, frame_time
            As in `ImgStore.add_image`.

        Returns
        -------
        bool
            False where the frame was left out because the queue is full (``on_full='drop'``).

        Raises
        ------
        ArgumentError
            Shape, dtype, number or time cannot be used.
        RecorderFullError
            The queue is full (``on_full='raise'``).
        ImgStoreError
            What went wrong in the background since the last call. This frame is not taken, recording can go on.
        """
        worker = self._open_worker()
        number, seconds = checked_frame_number(frame_number), checked_frame_time(frame_time)
        img = worker.writer.given.take(img, number)
        with worker.lock:
            self._raise_error(worker)
            if worker.frames_waiting >= worker.queue_size:
                if self._on_full == "drop":
                    self._dropped.append(number)
                    return False
                if self._on_full == "raise":
                    raise RecorderFullError(f"{self._root}: {worker.frames_waiting} frames wait to be written already")
                while worker.frames_waiting >= worker.queue_size and worker.error is None and not worker.stopping:
                    worker.changed.wait()
                self._check_taking(worker)
                self._raise_error(worker)
            worker.frames_waiting += 1
            buffer = worker.buffer_like(img)
        try:
            np.copyto(buffer, img)
            frame = _Frame(buffer, number, seconds)
            if worker.pool is not None:
                frame.encoded = worker.pool.submit(worker.writer.encode, buffer)
        except BaseException as error:
            with worker.lock:
                worker.frames_waiting -= 1
                worker.changed.notify_all()
                if isinstance(error, RuntimeError):  # of a pool that was shut down, while another thread closes this
                    self._check_taking(worker)
            raise
        with worker.lock:
            if not worker.stopping:
                worker.queue.append(frame)
                worker.changed.notify_all()
                return True
            worker.frames_waiting -= 1
            worker.changed.notify_all()
        raise self._closed()

    def add_extra_data(self, **values: Any) -> None:
        """Record values beside the frame that was taken last; see `ImgStore.add_extra_data`."""
        worker = self._open_worker()
        with worker.lock:
            self._check_taking(worker)
            self._raise_error(worker)
            worker.queue.append(values)
            worker.changed.notify_all()

    def _open_worker(self) -> _Worker:
        if not self._finalizer.alive:
            raise self._closed()
        check_process(self._root, self._pid)
        let_go(self._worker.lock)
        return self._worker

    def _closed(self) -> StoreClosedError:
        return StoreClosedError(f"{self._root}: the recorder is closed")

    def _check_taking(self, worker: _Worker) -> None:
        if worker.stopping:  # another thread has closed this since
            raise self._closed()

    def _raise_error(self, worker: _Worker) -> None:
        error, worker.error = worker.error, None
        if error is not None:
            raise error

    @property
    def statistics(self) -> RecorderStatistics:
        """How the recording goes at this moment."""
        worker = self._worker
        moments = list(worker.moments)
        span = moments[-1] - moments[0] if len(moments) > 1 else 0.0
        size = worker.writer.bytes_written
        rate = (size - self._bytes_before) / max(time.monotonic() - self._began, 1e-9)
        free = shutil.disk_usage(self._root).free
        return RecorderStatistics(
            queued=worker.frames_waiting,
            written=worker.written,
            dropped=len(self._dropped),
            failed=len(worker.failed),
            encode_fps=(len(moments) - 1) / span if span else float("nan"),
            bytes=size,
            seconds_until_full=free / rate if rate > 0 else float("inf"),
        )

    @property
    def dropped_numbers(self) -> list[int]:
        """Numbers of the frames that were left out because the queue was full."""
        return list(self._dropped)

    @property
    def failed_numbers(self) -> list[int]:
        """Numbers of the frames that could not be written."""
        return list(self._worker.failed)

    def close(self) -> None:
        """Write all that waits and close the store. Closing twice does nothing.

        Raises
        ------
        ImgStoreError
            What went wrong in the background since the last call; the store is closed all the same.
        """
        self._finalizer()
        if os.getpid() == self._pid:  # another thread may be closing: it is done when this returns
            self._worker.thread.join()
            self._worker.store.close()
        self._raise_error(self._worker)

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

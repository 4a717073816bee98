"""Functions called at the same time: all of them, to the end, and no thread left."""

from __future__ import annotations

import gc
import os
import signal
import threading
import time
import weakref
from functools import partial

import numpy as np
import pytest

from imgstore.threads.side_by_side import SideBySide


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "beside-test"]


def all_ended(within: float = 10) -> bool:
    end = time.monotonic() + within
    while threads() and time.monotonic() < end:
        time.sleep(0.01)
    return not threads()


def test_all_are_called_at_the_same_time() -> None:
    beside = SideBySide("beside-test")
    together = threading.Barrier(4)
    for _ in range(20):
        beside.run([partial(together.wait, 10) for _ in range(4)])
    assert len(threads()) == 3
    beside.close()
    assert all_ended()


def test_one_is_called_here() -> None:
    beside = SideBySide("beside-test")
    found: list[threading.Thread] = []
    beside.run([lambda: found.append(threading.current_thread())])
    assert found == [threading.current_thread()] and not threads()


def test_more_calls_than_threads_are_made_elsewhere() -> None:
    beside = SideBySide("beside-test")
    for _ in range(3):
        found: list[tuple[int, threading.Thread]] = []

        def work(k: int, found: list[tuple[int, threading.Thread]]) -> None:
            found.append((k, threading.current_thread()))

        beside.run_elsewhere([partial(work, k, found) for k in range(9)], 2)
        assert sorted(k for k, _ in found) == list(range(9))
        assert {thread for _, thread in found} <= set(threads()) and len(threads()) == 2
    with pytest.raises(KeyError, match="1"):
        beside.run_elsewhere([lambda: None, lambda: {}[1], lambda: {}[2]], 2)
    beside.close()
    assert all_ended()


def ctrl_c() -> None:
    """Interrupt the main thread, when it waits. (What comes just before it does is only seen when it has waited.)"""
    time.sleep(0.2)
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


@pytest.mark.skipif(os.name == "nt", reason="there are no signals to a process here")
def test_after_an_interruption_what_was_not_begun_is_not_called() -> None:
    """Ctrl-C comes while calls are waited for, and once more while the threads are."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background it is ignored
    try:
        _interrupt_twice()
    finally:
        signal.signal(signal.SIGINT, before)


def _interrupt_twice() -> None:
    beside = SideBySide("beside-test")
    begun, go_on = threading.Semaphore(0), threading.Event()
    called: list[int] = []

    def work(k: int) -> None:
        called.append(k)
        begun.release()
        go_on.wait(10)

    def interrupt() -> None:
        begun.acquire()
        ctrl_c()

    interrupting = threading.Thread(target=interrupt)
    interrupting.start()
    with pytest.raises(KeyboardInterrupt):
        beside.run_elsewhere([partial(work, k) for k in range(3)], 1)
    interrupting.join()
    gang = beside._gang
    assert gang is not None

    def interrupt_closing() -> None:
        while not gang._stopped:  # Ctrl-C before that would be one before closing
            time.sleep(0.001)
        ctrl_c()

    interrupting = threading.Thread(target=interrupt_closing)
    interrupting.start()
    with pytest.raises(KeyboardInterrupt):
        beside.close()
    interrupting.join()
    go_on.set()
    found: list[int] = []
    beside.run_elsewhere([partial(found.append, k) for k in range(3)], 2)
    assert called == [0] and sorted(found) == [0, 1, 2]
    beside.close()
    assert all_ended()


@pytest.mark.parametrize("failing", [0, 1, 2])
def test_errors_are_raised_when_all_have_returned(failing: int) -> None:
    beside = SideBySide("beside-test")
    done = np.zeros(3, bool)

    def work(k: int) -> None:
        time.sleep(0.02 * (3 - k))
        done[k] = True
        if k == failing:
            raise KeyError(k)

    for _ in range(2):
        done[:] = False
        with pytest.raises(KeyError, match=str(failing)):
            beside.run([partial(work, k) for k in range(3)])
        assert done.all()
    beside.close()


def test_it_goes_on_after_it_was_closed() -> None:
    beside = SideBySide("beside-test")
    for _ in range(3):
        found: list[int] = []
        beside.run([partial(found.append, k) for k in range(3)])
        assert sorted(found) == [0, 1, 2]
        beside.close()
        assert not threads()


def test_threads_end_when_it_is_collected() -> None:
    beside = SideBySide("beside-test")
    beside.run([lambda: None, lambda: None])
    assert threads()
    del beside
    gc.collect()
    assert all_ended()


def test_nothing_is_kept_of_what_was_called() -> None:
    beside = SideBySide("beside-test")
    array = np.zeros(10)
    held = weakref.ref(array)
    beside.run([partial(np.sum, array), lambda: None])
    del array
    gc.collect()
    assert held() is None
    beside.close()


def test_closing_waits_for_what_goes_on_after_an_interruption() -> None:
    """As Ctrl-C would: the caller leaves `run` while the others are still at work."""
    beside = SideBySide("beside-test")
    finished = threading.Event()

    def slow() -> None:
        time.sleep(0.2)
        finished.set()

    outcomes: list[BaseException] = []

    def interrupted() -> None:
        raise KeyboardInterrupt

    try:
        beside.run([slow, interrupted])
    except KeyboardInterrupt as error:
        outcomes.append(error)
    beside.close()
    assert outcomes and finished.is_set() and not threads()


def test_where_no_thread_is_to_be_had_all_are_called_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """As when the interpreter shuts down: each is called, whatever another one raises."""

    def refuses(thread: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr(threading.Thread, "start", refuses)
    beside, called = SideBySide("beside-test"), list[int]()

    def work(k: int) -> None:
        called.append(k)
        if k == 0:
            raise ValueError("the first")

    for call in (beside.run, lambda functions: beside.run_elsewhere(functions, 2)):
        called.clear()
        with pytest.raises(ValueError, match="the first"):
            call([partial(work, k) for k in range(3)])
        assert called == [0, 1, 2] and not beside.busy
    beside.close()

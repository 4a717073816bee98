"""Calls in a thread of their own: Ctrl-C at the worst of times."""

from __future__ import annotations

import _thread
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest
from scenes import HELPERS, WITH_HELPERS

from imgstore.threads.background import InOrder

Start = Callable[..., int]


def interrupted_before(start: Start) -> Start:
    def begin(*args: Any) -> int:
        raise KeyboardInterrupt

    return begin


def interrupted_behind(start: Start) -> Start:
    def begin(*args: Any) -> int:
        start(*args)
        raise KeyboardInterrupt

    return begin


@pytest.mark.parametrize("interrupted", [interrupted_before, interrupted_behind])
def test_interrupted_while_a_thread_is_begun(
    interrupted: Callable[[Start], Start], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The interruption is told, what was submitted is called once, in order, and waiting for it ends."""
    work, called = InOrder(), list[int]()
    with monkeypatch.context() as patch:
        patch.setattr(_thread, "start_new_thread", interrupted(_thread.start_new_thread))
        with pytest.raises(KeyboardInterrupt):
            work.submit(lambda: called.append(1))
    work.submit(lambda: called.append(2))
    waiting = threading.Thread(target=work.wait, daemon=True)
    waiting.start()
    waiting.join(20)
    assert not waiting.is_alive()
    assert called == [1, 2]


def test_no_thread_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the end of the interpreter the call is made all the same."""

    def start(*args: Any) -> int:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr(_thread, "start_new_thread", start)
    called: list[int] = []
    work = InOrder()
    work.submit(lambda: called.append(1))
    assert called == [1]
    assert work.wait(0)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timers that interrupt on this system")
@pytest.mark.parametrize("seconds", [2, pytest.param(15, marks=pytest.mark.long)])
def test_ctrl_c_at_any_moment(seconds: int) -> None:
    """None is lost, and no lock stays taken: thousands of them, in a process of its own, which would hang."""
    command = [sys.executable, str(HELPERS / "interrupted_submitting.py"), str(seconds)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60, env=WITH_HELPERS)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    assert int(done.stdout) > 100 * seconds

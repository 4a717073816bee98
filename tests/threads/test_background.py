"""Calls in a thread of their own: Ctrl-C at the worst of times, which a test of real ones meets once in thousands."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from imgstore.threads.background import InOrder


class InterruptedCondition(threading.Condition):
    """Ctrl-C comes when it has been let go."""

    def __exit__(self, *args: Any) -> None:
        super().__exit__(*args)
        raise KeyboardInterrupt


def interrupt_letting_go(work: InOrder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "_condition", InterruptedCondition())


def interrupt_before_the_thread(work: InOrder, monkeypatch: pytest.MonkeyPatch) -> None:
    def start(thread: threading.Thread) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(threading.Thread, "start", start)


def interrupt_behind_the_thread(work: InOrder, monkeypatch: pytest.MonkeyPatch) -> None:
    begin = threading.Thread.start

    def start(thread: threading.Thread) -> None:
        begin(thread)
        raise KeyboardInterrupt

    monkeypatch.setattr(threading.Thread, "start", start)


def interrupt_at_its_locks(work: InOrder, monkeypatch: pytest.MonkeyPatch) -> None:
    def start(thread: threading.Thread) -> None:
        try:
            raise KeyboardInterrupt
        finally:
            raise RuntimeError("cannot release un-acquired lock")

    monkeypatch.setattr(threading.Thread, "start", start)


@pytest.mark.parametrize(
    "interrupt",
    [interrupt_letting_go, interrupt_before_the_thread, interrupt_behind_the_thread, interrupt_at_its_locks],
)
def test_interrupted_while_a_thread_is_begun(
    interrupt: Callable[[InOrder, pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The interruption is told, what was submitted is called once, in order, and waiting for it ends."""
    work, called = InOrder("test"), list[int]()
    with monkeypatch.context() as patch:
        interrupt(work, patch)
        with pytest.raises((KeyboardInterrupt, RuntimeError)):
            work.submit(lambda: called.append(1))
    work.submit(lambda: called.append(2))
    waiting = threading.Thread(target=work.wait, daemon=True)
    waiting.start()
    waiting.join(20)
    assert not waiting.is_alive()
    assert called == [1, 2]


def test_no_thread_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the end of the interpreter the call is made all the same."""

    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr(threading.Thread, "start", start)
    called: list[int] = []
    work = InOrder("test")
    work.submit(lambda: called.append(1))
    assert called == [1]
    assert work.wait(0)

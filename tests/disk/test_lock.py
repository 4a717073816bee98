"""One writer at a time, among processes that begin at the same moment, die, fork, and live in containers."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scenes import HELPERS

import imgstore
from imgstore.disk import lock
from imgstore.errors import StoreLockedError, StoreWriteError


class Program:
    """`lock_program.py`, spoken to line by line."""

    def __init__(self, *before: str):
        self.process = subprocess.Popen(
            [*before, sys.executable, str(HELPERS / "lock_program.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.answer()

    def tell(self, *words: object) -> None:
        assert self.process.stdin is not None
        print(*words, file=self.process.stdin, flush=True)

    def answer(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def ask(self, *words: object) -> str:
        self.tell(*words)
        return self.answer()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            stream.close()
        self.process.wait(60)


@pytest.fixture
def program() -> Iterator[Callable[..., Program]]:
    with contextlib.ExitStack() as closing:

        def start(*before: str) -> Program:
            started = Program(*before)
            closing.callback(started.close)
            return started

        yield start


@pytest.fixture(scope="module")
def name_of_a_dead_writer(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """What a writer that was killed has left in its lock."""
    root = tmp_path_factory.mktemp("dead")
    writer = Program()
    assert writer.ask("acquire", 0, root) == "in"
    writer.kill()
    writer.close()
    return (root / ".lock").read_bytes()


def contend(root: Path, contenders: list[Program], word: str) -> list[str]:
    when = time.monotonic() + 0.01
    for one in contenders:
        one.tell(word, when, root)
    return [one.answer() for one in contenders]


def exactly_one_gets_in(root: Path, contenders: list[Program], rounds: int, before: bytes | None, word: str) -> None:
    for _ in range(rounds):
        (root / ".lock").unlink(missing_ok=True)
        if before is not None:
            (root / ".lock").write_bytes(before)
        answers = contend(root, contenders, word)
        assert sorted(answers) == ["StoreLockedError"] * (len(contenders) - 1) + ["in"]
        winner = contenders[answers.index("in")]
        holder = lock.read_lock(str(root))
        assert holder is not None and holder.pid == winner.process.pid
        assert lock.lock_state(str(root)) == "held"
        winner.ask("release", root)
        assert not (root / ".lock").exists()


@pytest.mark.parametrize("found", ["nothing", "left behind", "of 0.x"])
def test_of_two_that_begin_at_once_one_gets_in(
    tmp_path: Path, program: Callable[..., Program], name_of_a_dead_writer: bytes, found: str
) -> None:
    before = {"nothing": None, "left behind": name_of_a_dead_writer, "of 0.x": b""}[found]
    word = "break" if found == "of 0.x" else "acquire"
    exactly_one_gets_in(tmp_path, [program(), program()], 8, before, word)


@pytest.mark.long
@pytest.mark.parametrize("found", ["nothing", "left behind", "of 0.x"])
def test_of_many_that_begin_at_once_one_gets_in(
    tmp_path: Path, program: Callable[..., Program], name_of_a_dead_writer: bytes, found: str
) -> None:
    before = {"nothing": None, "left behind": name_of_a_dead_writer, "of 0.x": b""}[found]
    word = "break" if found == "of 0.x" else "acquire"
    exactly_one_gets_in(tmp_path, [program() for _ in range(6)], 100, before, word)


def test_handing_over_while_others_look(tmp_path: Path, program: Callable[..., Program]) -> None:
    """Nobody is refused, or seen as dead, since somebody looks at the lock at the wrong moment."""
    watcher = program()
    watcher.tell("look", 1.0, tmp_path)
    end = time.monotonic() + 0.9
    while time.monotonic() < end:
        lock.acquire(str(tmp_path))
        lock.release(str(tmp_path))
    assert set(watcher.answer().split(",")) <= {"free", "held", "unknown"}


def test_the_same_process_twice(tmp_path: Path) -> None:
    lock.acquire(str(tmp_path))
    for break_lock in (False, True):
        with pytest.raises(StoreLockedError, match=f"process {os.getpid()} .*at work"):
            lock.acquire(str(tmp_path), break_lock=break_lock)
    lock.release(str(tmp_path))
    lock.release(str(tmp_path))
    assert lock.lock_state(str(tmp_path)) == "free"
    lock.acquire(str(tmp_path))
    lock.release(str(tmp_path))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks on this system")
@pytest.mark.parametrize("child", ["fork", "exec"])
def test_children_do_not_keep_the_lock_of_a_dead_writer(
    tmp_path: Path, program: Callable[..., Program], child: str
) -> None:
    writer = program()
    assert writer.ask("acquire", 0, tmp_path) == "in"
    survivor = int(writer.ask(child))
    try:
        assert lock.lock_state(str(tmp_path)) == "held"
        writer.kill()
        deadline = time.monotonic() + 30  # a child that was just forked may not have run yet
        while lock.lock_state(str(tmp_path)) == "held" and time.monotonic() < deadline:
            time.sleep(0.01)
        assert lock.lock_state(str(tmp_path)) == "left behind"
        lock.acquire(str(tmp_path))
        os.kill(survivor, 0)  # it lives
    finally:
        os.kill(survivor, signal.SIGKILL)
    lock.release(str(tmp_path))


def test_a_lock_that_somebody_took_away(tmp_path: Path, program: Callable[..., Program]) -> None:
    """Then the file of the next writer is not the first one's to remove."""
    lock.acquire(str(tmp_path))
    (tmp_path / ".lock").unlink()
    other = program()
    assert other.ask("acquire", 0, tmp_path) == "in"
    lock.release(str(tmp_path))
    assert lock.lock_state(str(tmp_path)) == "held"
    assert other.ask("release", tmp_path) == "released"
    assert not (tmp_path / ".lock").exists()


def test_the_empty_lock_of_older_versions_is_for_a_person(tmp_path: Path) -> None:
    (tmp_path / ".lock").touch()
    with pytest.raises(StoreLockedError, match=r"0\.x.*break_lock=True"):
        lock.acquire(str(tmp_path))
    assert (tmp_path / ".lock").read_bytes() == b""
    assert lock.lock_state(str(tmp_path)) == "unknown"
    lock.acquire(str(tmp_path), break_lock=True)
    assert lock.lock_state(str(tmp_path)) == "held"
    lock.release(str(tmp_path))


@pytest.mark.parametrize("change", [{"host": "elsewhere"}, {"boot": "another"}, {"system_lock": False}])
def test_what_cannot_be_known_is_for_a_person(
    tmp_path: Path, name_of_a_dead_writer: bytes, change: dict[str, Any]
) -> None:
    (tmp_path / ".lock").write_text(json.dumps({**json.loads(name_of_a_dead_writer), **change}))
    assert lock.lock_state(str(tmp_path)) == "unknown"
    with pytest.raises(StoreLockedError, match="break_lock=True"):
        lock.acquire(str(tmp_path))
    lock.acquire(str(tmp_path), break_lock=True)
    lock.release(str(tmp_path))


def test_a_file_system_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "try_lock", lambda descriptor, shared=False: None)
    lock.acquire(str(tmp_path))
    with pytest.raises(StoreLockedError, match="break_lock=True"):
        lock.acquire(str(tmp_path))
    if Path("/proc/self/stat").exists():
        assert lock.lock_state(str(tmp_path)) == "held"
    left = (tmp_path / ".lock").read_text()
    lock.release(str(tmp_path))
    (tmp_path / ".lock").write_text(json.dumps({**json.loads(left), "process_start": "1"}))
    assert lock.lock_state(str(tmp_path)) == "unknown"
    with pytest.raises(StoreLockedError, match="break_lock=True"):
        lock.acquire(str(tmp_path))
    lock.acquire(str(tmp_path), break_lock=True)
    lock.release(str(tmp_path))
    assert lock.lock_state(str(tmp_path)) == "free"


def _link(path: Path) -> None:
    path.symlink_to(path.parent / "precious")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names, and links for few, on this system")
@pytest.mark.parametrize("make", [_link, Path.mkdir, lambda path: os.mkfifo(path)], ids=["link", "directory", "pipe"])
def test_what_is_no_file(tmp_path: Path, make: Callable[[Path], None]) -> None:
    (tmp_path / "precious").write_bytes(b"another's")
    make(tmp_path / ".lock")
    assert lock.lock_state(str(tmp_path)) == "unknown"
    assert lock.read_lock(str(tmp_path)) is None
    for break_lock in (False, True):
        with pytest.raises(StoreWriteError, match=r"\.lock"):
            lock.acquire(str(tmp_path), break_lock=break_lock)
    assert (tmp_path / "precious").read_bytes() == b"another's"


def test_a_lock_that_cannot_be_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "s"
    store = imgstore.new_for_format("npy", root, imgshape=(8, 8))

    def refuse(path: Any, *args: Any, **kwargs: Any) -> None:
        if Path(path).name == ".lock":
            raise PermissionError(13, "Permission denied", path)
        unlink(path, *args, **kwargs)

    unlink = os.unlink
    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", refuse)
        with pytest.raises(StoreWriteError, match=r"lock cannot be removed.*\.lock"):
            store.close()
    assert lock.lock_state(str(root)) == "left behind"
    imgstore.new_for_filename(root, mode="a").close()
    assert lock.lock_state(str(root)) == "free"


def test_a_full_disk_leaves_no_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(descriptor: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", refuse)
        with pytest.raises(StoreWriteError, match=r"No space.*\.lock"):
            lock.acquire(str(tmp_path))
    assert not list(tmp_path.iterdir())
    lock.acquire(str(tmp_path))
    lock.release(str(tmp_path))


def test_a_writer_in_another_container(tmp_path: Path, program: Callable[..., Program]) -> None:
    """Its number is another process's here, or nobody's, and it lives all the same."""
    namespace = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
    if shutil.which("unshare") is None or subprocess.run([*namespace, "true"], capture_output=True).returncode:
        pytest.skip("needs unshare, and the right to use it")
    writer = program(*namespace)
    assert writer.ask("acquire", 0, tmp_path) == "in"
    holder = lock.read_lock(str(tmp_path))
    assert holder is not None and holder.pid == 1
    assert lock.lock_state(str(tmp_path)) == "held"
    with pytest.raises(StoreLockedError, match="at work"):
        lock.acquire(str(tmp_path))
    writer.kill()
    deadline = time.monotonic() + 60
    while lock.lock_state(str(tmp_path)) == "held" and time.monotonic() < deadline:  # its child is killed after it
        time.sleep(0.01)
    assert lock.lock_state(str(tmp_path)) == "left behind"
    lock.acquire(str(tmp_path))
    lock.release(str(tmp_path))


@settings(max_examples=40)
@given(
    st.binary()
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["host", "pid", "boot", "?"]), inner),
    ).map(lambda value: json.dumps(value).encode())
    | st.fixed_dictionaries(
        dict.fromkeys(["host", "pid", "started", "boot", "process_start"], st.text() | st.integers() | st.none())
    ).map(lambda value: json.dumps(value).encode())
)
def test_whatever_is_in_a_lock(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    root = tmp_path_factory.mktemp("s")
    (root / ".lock").write_bytes(content)
    holder = lock.read_lock(str(root))
    assert holder is None or (isinstance(holder.pid, int) and isinstance(holder.host, str))
    assert lock.lock_state(str(root)) == "unknown"

"""imgstore 0.4.0 as a black box, in an environment of its own: made once, kept in .interop/ of the tree.

The original bloscpack imports on Python 3.9 and older alone, so that is taken where it is found, with bloscpack; and else
the Python of these tests, without it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
CACHE = HERE.parent.parent / ".interop"
PACKAGES = ("imgstore==0.4.0", "opencv-python-headless", "h5py")
BLOSCPACK = ("bloscpack", "blosc", "setuptools<60")
BLOSCPACK_PYTHONS = ("3.9", "3.8")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Let one process at a time make the environment at `path`; one that died in it is waited for."""
    lock = path.with_suffix(".lock")
    deadline = time.monotonic() + 600
    while True:
        try:
            lock.mkdir(parents=True)
            break
        except FileExistsError:
            if time.monotonic() > deadline:
                raise TimeoutError(
                    f"{lock} is still there; remove it if nothing else is making this environment"
                ) from None
            time.sleep(0.2)
    try:
        yield
    finally:
        lock.rmdir()


def _environment(name: str, interpreter: str, packages: Sequence[str]) -> str:
    """Make a virtual environment unless it is there, and give its interpreter."""
    home = CACHE / name
    python = home / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    made = home / "made-of.txt"
    content = "\n".join((interpreter, *packages))
    with _locked(home):
        if made.is_file() and made.read_text() == content:
            return str(python)
        shutil.rmtree(home, ignore_errors=True)
        for command in (
            [interpreter, "-m", "venv", str(home)],
            [str(python), "-m", "pip", "install", "-qq", "--no-compile", "--disable-pip-version-check", "--retries=2", *packages],
        ):
            done = subprocess.run(command, capture_output=True, text=True, env=_clean_environment())
            if done.returncode:
                shutil.rmtree(home, ignore_errors=True)
                last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
                pytest.skip(f"needs {packages[0]} on {interpreter}, and cannot install it: {' '.join(last)}")
        made.write_text(content)
    return str(python)


def _clean_environment() -> dict[str, str]:
    """Without what would let one interpreter see the other's packages."""
    return {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME", "PYTHONSAFEPATH")}


def _interpreter(version: str) -> str | None:
    """Find a CPython of this version that runs: on the path, or among those that pyenv keeps."""
    candidates = [f"python{version}"]
    if shutil.which("pyenv"):
        listed = subprocess.run(["pyenv", "versions", "--bare"], capture_output=True, text=True).stdout.split()
        for name in sorted(n for n in listed if n.startswith(version + ".")):
            prefix = subprocess.run(["pyenv", "prefix", name], capture_output=True, text=True).stdout.strip()
            candidates.append(str(Path(prefix) / "bin" / "python"))
    for candidate in candidates:
        try:
            done = subprocess.run(
                [candidate, "-c", "import ensurepip, sys; print(sys.executable)"],
                capture_output=True,
                text=True,
            )
        except OSError:
            continue
        if done.returncode == 0:
            return done.stdout.strip()
    return None


@dataclass
class Peer:
    """An environment with imgstore 0.4.0."""

    python: str
    has_bloscpack: bool


@pytest.fixture(scope="session")
def peer() -> Peer:
    """imgstore 0.4.0, with bloscpack where there is a Python for it."""
    for version in BLOSCPACK_PYTHONS:
        interpreter = _interpreter(version)
        if interpreter is not None:
            name = f"imgstore-0.4.0-bloscpack-python{version}"
            return Peer(_environment(name, interpreter, PACKAGES + BLOSCPACK), has_bloscpack=True)
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    # the interpreter behind our own environment, so that all environments of one Python share this one
    interpreter = os.path.realpath(sys.executable)
    return Peer(_environment(f"imgstore-0.4.0-python{version}", interpreter, PACKAGES), has_bloscpack=False)


@pytest.fixture(scope="session")
def old_python(peer: Peer) -> str:
    """The interpreter that has imgstore 0.4.0."""
    return peer.python


@pytest.fixture(scope="session")
def bpk_python(peer: Peer) -> str:
    """The same, where it has the original bloscpack."""
    if not peer.has_bloscpack:
        pytest.skip(f"needs Python {' or '.join(BLOSCPACK_PYTHONS)} for the original bloscpack")
    return peer.python


class Runner:
    """Runs the scripts of this folder under either imgstore, from where neither is found by accident."""

    def __call__(self, python: str, script: str, *arguments: str | Path) -> str:
        command = [python, str(HERE / script), *map(str, arguments)]
        with tempfile.TemporaryDirectory() as elsewhere:
            done = subprocess.run(
                command, capture_output=True, text=True, cwd=elsewhere, env=_clean_environment(), timeout=300
            )
        assert done.returncode == 0, f"{' '.join(command)} exited with {done.returncode}:\n{done.stderr[-4000:]}"
        return done.stdout


@pytest.fixture(scope="session")
def run() -> Runner:
    return Runner()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.interop)

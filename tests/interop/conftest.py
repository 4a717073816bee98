"""imgstore 0.4.0 as a black box, in an environment of its own: made once, kept in .interop/ of the tree."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
CACHE = HERE.parent.parent / ".interop"
PEER = "imgstore==0.4.0"
PACKAGES = (PEER, "opencv-python", "h5py")
BPK_PACKAGES = (PEER, "opencv-python-headless", "bloscpack", "blosc", "setuptools<60")
BPK_PYTHONS = ("3.9", "3.8")  # the last that the original bloscpack imports on


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
            [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages],
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


@pytest.fixture(scope="session")
def old_python() -> str:
    """The interpreter of an environment with imgstore 0.4.0 and OpenCV, of the same Python as ours."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    # the interpreter behind our own environment, so that all environments of one Python share this one
    return _environment(f"imgstore-0.4.0-python{version}", os.path.realpath(sys.executable), PACKAGES)


@pytest.fixture(scope="session")
def bpk_python() -> str:
    """The same with the original bloscpack, under the newest Python that it imports on."""
    for version in BPK_PYTHONS:
        interpreter = _interpreter(version)
        if interpreter is not None:
            return _environment(f"imgstore-0.4.0-bpk-python{version}", interpreter, BPK_PACKAGES)
    pytest.skip(f"needs Python {' or '.join(BPK_PYTHONS)} for the original bloscpack")


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

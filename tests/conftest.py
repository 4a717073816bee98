"""What all tests share: the sample stores, and a word for "cannot run here" that CI takes for a failure.

A test that lacks a tool or a package skips with a reason that begins with ``needs``: a person
without ``xdotool`` can still run the rest. With ``IMGSTORE_NO_SKIPS=1`` (set by ``.ci/run``) such a skip is a
failure, so that nothing goes untested unnoticed where everything ought to be there.
"""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import brief
import pytest
from environments import Environment, copy
from hypothesis import settings
from sharing_out import begins_as
from sharing_out import pytest_xdist_make_scheduler as pytest_xdist_make_scheduler
from video_samples import Sample

REPOSITORY = Path(__file__).resolve().parent.parent
# how long something takes is for benchmarks; `make test-all` takes the other one
settings.register_profile("imgstore", deadline=None, max_examples=25)
settings.register_profile("imgstore-all", deadline=None, max_examples=40)
settings.load_profile("imgstore")
EXAMPLES = ("third_party_codec", "archive_plugin")
NO_SKIPS = os.environ.get("IMGSTORE_NO_SKIPS", "") not in ("", "0")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--brief", action="store_true", help=brief.__doc__.splitlines()[0])


@pytest.hookimpl(trylast=True)  # after what reports has been made
def pytest_configure(config: pytest.Config) -> None:
    brief.install(config)


@pytest.hookimpl(tryfirst=True)  # before `-m` looks at marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark as ``long`` what builds packages, or installs some: beside imgstore 0.4.0, and as users have plugins."""
    items.sort(key=lambda item: begins_as(item.nodeid))
    for item in items:
        if "sdist" in getattr(item, "fixturenames", ()) or item.path.parent.name == "interop":
            item.add_marker(pytest.mark.long)


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """How many processes ``-n auto`` begins: one more than there are cores, as some tests wait for what takes its time."""
    return (os.cpu_count() or 1) + 1


def _fail_if_skipped_for_want(report: Any) -> None:
    """Turn a report of a skip for want of something into a failure, where IMGSTORE_NO_SKIPS says so."""
    if not (NO_SKIPS and report.skipped) or hasattr(report, "wasxfail"):
        return
    if not isinstance(report.longrepr, tuple):
        return
    path, line, message = report.longrepr
    reason = str(message).removeprefix("Skipped: ")
    if reason.startswith("needs "):
        report.outcome = "failed"
        report.longrepr = f"{path}:{line}: skipped, which IMGSTORE_NO_SKIPS forbids: {reason}"


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, None]:
    outcome = yield
    _fail_if_skipped_for_want(outcome.get_result())


@pytest.hookimpl(hookwrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Generator[None, Any, None]:
    outcome = yield
    _fail_if_skipped_for_want(outcome.get_result())


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the source tree."""
    return REPOSITORY


def _build(what: str, tree: Path, out: Path) -> Path:
    """Call the build backend as pip does, in `tree`, with what is installed here: no network is asked for anything."""
    code = f"import sys; from setuptools import build_meta; build_meta.build_{what}(sys.argv[1])"
    quickly = {**os.environ, "CFLAGS": "-O0"}  # compiled in a third of the time; how fast it runs is for benchmarks
    command = [sys.executable, "-c", code, str(out)]
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True, env=quickly)
    assert done.returncode == 0, f"building the {what} failed:\n{(done.stdout + done.stderr)[-4000:]}"
    (made,) = (path for path in out.iterdir() if path.suffix in (".whl", ".gz"))
    return made


@pytest.fixture(scope="session")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution, built from a copy of the tree, so that the tree itself stays as it is."""
    tree = tmp_path_factory.mktemp("tree") / "imgstore"
    ignored = shutil.ignore_patterns(
        ".git", ".venv", ".venvs", ".tox", ".interop", ".hypothesis", ".*_cache", "__pycache__",
        "build", "dist", "*.egg-info", "*.so", "*.pyd",
    )  # fmt: skip
    shutil.copytree(REPOSITORY, tree, ignore=ignored)
    return _build("sdist", tree, tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="session")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel for this Python, built from the source distribution alone."""
    place = tmp_path_factory.mktemp("unpacked")
    shutil.unpack_archive(sdist, place)
    (tree,) = place.iterdir()
    return _build("wheel", tree, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def environment(wheel: Path, repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """The wheel and both examples, installed as plugins are."""
    made = Environment(tmp_path_factory.mktemp("environment"))
    packages = (copy(repository / "examples" / name, tmp_path_factory.mktemp(name)) for name in EXAMPLES)
    made.install(wheel, *packages)
    return made


@pytest.fixture(scope="session")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Make each sample once: ``videos(sample)`` gives its path and the numbers that it shows."""
    directory = tmp_path_factory.mktemp("videos")
    made: dict[str, tuple[Path, list[int]]] = {}

    def get(sample: Sample) -> tuple[Path, list[int]]:
        if sample.name not in made:
            path = directory / sample.name
            made[sample.name] = path, sample.make(path)
        return made[sample.name]

    return get


@pytest.fixture(scope="session", autouse=True)
def user_cache(tmp_path_factory: pytest.TempPathFactory) -> Generator[Path, None, None]:
    """A cache directory in place of that of whoever runs the tests, for programs that are started too."""
    directory = tmp_path_factory.mktemp("user-cache")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
            patch.setenv(name, str(directory))
        yield directory


@pytest.fixture(scope="session")
def samples() -> Path:
    """Stores that imgstore 0.x wrote, most with what it reads from them (``NAME.expected.json``); tests never write into them."""
    return REPOSITORY / "tests" / "data"


@pytest.fixture(scope="session")
def need_tool() -> Callable[[str], str]:
    """``need_tool('xdotool')`` gives the program's path, or skips the test."""

    def need(name: str) -> str:
        path = shutil.which(name)
        if path is None:
            pytest.skip(f"needs the program {name}")
        return path

    return need


@pytest.fixture(scope="session")
def need_module() -> Callable[[str], Any]:
    """``need_module('blosc')`` gives the module, or skips the test."""

    def need(name: str) -> Any:
        try:
            return importlib.import_module(name)
        except ImportError as error:
            pytest.skip(f"needs the module {name} ({error})")

    return need

"""What all tests share: the sample stores, and a word for "cannot run here" that CI takes for a failure.

A test that lacks a tool, a package or a sample skips with a reason that begins with ``needs``: a person
without ``xdotool`` can still run the rest. With ``IMGSTORE_NO_SKIPS=1`` (set by ``.ci/run``) such a skip is a
failure, so that nothing goes untested unnoticed where everything ought to be there.
"""

from __future__ import annotations

import importlib
import os
import shutil
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
NO_SKIPS = os.environ.get("IMGSTORE_NO_SKIPS", "") not in ("", "0")


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


@pytest.fixture(scope="session")
def samples() -> Path:
    """The sample stores that came with the format's description; tests never write into them."""
    path = Path(os.environ.get("IMGSTORE_SAMPLES") or REPOSITORY.parent / "shared" / "data")
    if not path.is_dir():
        pytest.skip(f"needs the sample stores (no directory {path}; IMGSTORE_SAMPLES may name another)")
    return path


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

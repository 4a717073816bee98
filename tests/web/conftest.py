"""A server of the page for each test, and who asks it or looks at it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from page_browser import Page, browser
from page_client import Client

import imgstore


@pytest.fixture(scope="session", autouse=True)
def libraries(need_module: Callable[[str], Any]) -> None:
    """What the extra ``web`` brings."""
    need_module("starlette")
    need_module("uvicorn")


@pytest.fixture
def serve() -> Iterator[Callable[..., Any]]:
    """Serve paths, until the test ends."""
    servers = []

    def begin(*paths: Path, **arguments: Any) -> Any:
        servers.append(imgstore.serve(*paths, **arguments))
        return servers[-1]

    yield begin
    for server in servers:
        server.close()


@pytest.fixture
def client(serve: Callable[..., Any]) -> Callable[..., Client]:
    """Serve paths and return who asks the server."""
    return lambda *paths, **arguments: Client(serve(*paths, **arguments))


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Serve with the command, in a process of its own."""
    processes = []

    def begin(*paths: Path) -> Any:
        command = [sys.executable, "-m", "imgstore", "view", "--web", "--no-browser", *map(str, paths)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        processes.append(process)
        assert process.stdout is not None
        process.url = process.stdout.readline().strip()  # type: ignore[attr-defined]
        assert urlsplit(process.url).port  # type: ignore[attr-defined]
        return process

    yield begin
    for process in processes:
        process.terminate()
        process.communicate(timeout=20)


@pytest.fixture(scope="module")
def driver(need_module: Callable[[str], Any]) -> Iterator[Any]:
    need_module("selenium")
    with browser() as driver:
        yield driver


@pytest.fixture
def page(driver: Any, serve: Callable[..., Any]) -> Iterator[Callable[..., Page]]:
    """Serve paths and open the page; whatever the browser complains of is a failure."""
    pages = []

    def begin(*paths: Path, hash: str = "") -> Page:
        pages.append(Page(driver, serve(*paths).url + hash))
        return pages[-1]

    yield begin
    assert [fault for page in pages[-1:] for fault in page.faults()] == []
    driver.get("about:blank")

"""A server of the page for each test, and who asks it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
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

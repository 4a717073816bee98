"""The page is tried in an environment that has a browser: ``tox -e web``."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from page_client import Client

LIBRARIES = ("starlette", "uvicorn", "selenium")

# Elsewhere there is nothing to collect: these libraries are not among what the tests of imgstore install.
collect_ignore_glob = [] if all(map(importlib.util.find_spec, LIBRARIES)) else ["test_*.py"]


@pytest.fixture
def serve() -> Iterator[Callable[..., Any]]:
    """Serve paths, until the test ends."""
    import imgstore

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

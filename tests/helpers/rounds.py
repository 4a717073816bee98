"""What is tried in ``make test``, and what in ``make test-all`` alone."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import pytest


def long_but(short: Collection[Any], values: Iterable[Any]) -> list[Any]:
    """Give values, or tuples of them, to parametrize with, of which all but those in `short` are marked ``long``."""

    def long(value: Any) -> Any:
        return pytest.param(*(value if isinstance(value, tuple) else (value,)), marks=pytest.mark.long)

    return [value if value in short else long(value) for value in values]

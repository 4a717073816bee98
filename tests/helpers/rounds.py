"""What is tried in ``make test``, and what in ``make test-all`` alone."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import pytest


def long_but(short: Collection[Any], values: Iterable[Any]) -> list[Any]:
    """Give values to parametrize with, of which all but those in `short` are marked ``long``."""
    return [value if value in short else pytest.param(value, marks=pytest.mark.long) for value in values]

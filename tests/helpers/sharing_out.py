"""Which tests are done by one process where several share them out (``pytest -n``): those with something costly in common.

By their names: xdist's own way, marks, does nothing under pytest 9.2.
"""

from __future__ import annotations

import re
from typing import Any

import pytest

# what names them -> their group; None: what the parentheses find
_GROUPS: tuple[tuple[str, str | None], ...] = (
    (r"(^|/)interop/", "beside 0.4.0"),
    (r"test_(third_party_codec|archive_plugin|packaging)\.py", "the wheel"),
    (r"web/test_browser\.py", "a browser"),
    (r"(^|/)web/", "other pages"),  # these wait for the most part: two of them at a time leave the cores idle
    (r"project/test_site\.py", "the site"),
    (r"project/test_architecture\.py", "the architecture"),  # which is parsed once
    (r"test_selftest\.py", "the check after installing"),
    (r"test_(?:video_exact|open_videos)\.py::.*\[(\S+?\.(?:avi|mkv|mp4))", None),  # videos, each of which is made once
)

# What takes long, or waits for the most part, is begun first: else one process has it left when the others are done.
_FIRST = (r"web/test_browser", r"web/", r"interop/", r"test_(third_party_codec|archive_plugin)", r"survives/", r"exporting/")


def begins_as(nodeid: str) -> int:
    """Return how soon a test's group is to be begun, from 0 on."""
    return next((k for k, pattern in enumerate(_FIRST) if re.search(pattern, nodeid)), len(_FIRST))


def group_of(nodeid: str) -> str:
    """Return the name of a test's group; most are alone in theirs."""
    for pattern, group in _GROUPS:
        found = re.search(pattern, nodeid)
        if found is not None:
            return group or found[1]
    return nodeid


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Share out by groups, in the order in which they were collected, unless another way was asked for."""
    if config.option.dist != "load":
        return None
    config.option.loadscopereorder = False
    from xdist.scheduler import LoadScopeScheduling

    class ByGroup(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return group_of(nodeid)

    return ByGroup(config, log)

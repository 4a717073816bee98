"""The files of the page: a fixed table, read once. No path that is asked for is ever looked for on the disk."""

from __future__ import annotations

from importlib import resources

__all__ = ["ASSETS", "read_assets"]

_TYPES = {"html": "text/html; charset=utf-8", "js": "text/javascript; charset=utf-8", "css": "text/css; charset=utf-8",
          "svg": "image/svg+xml"}  # fmt: skip

ASSETS = (
    "page.html",
    "page.css",
    "icon.svg",
    "page.js",
    "overview.js",
    "viewer.js",
    "controls.js",
    "player.js",
    "frames.js",
    "picture.js",
    "timeline.js",
    "plots.js",
    "saving.js",
    "strip.js",
    "asking.js",
)


def read_assets() -> dict[str, tuple[bytes, str]]:
    """Return content and media type of each file, by its name."""
    folder = resources.files("imgstore.web") / "static"
    return {name: ((folder / name).read_bytes(), _TYPES[name.rpartition(".")[2]]) for name in ASSETS}

"""imgstore houses video frames and their metadata for recordings from seconds to weeks.

The names below are looked up where they live when they are first used, so that importing the package costs next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from imgstore._version import __version__

if TYPE_CHECKING:
    from imgstore import align, apps, constants, errors, index, stores, util
    from imgstore.color import ensure_color, ensure_grayscale
    from imgstore.hookspecs import hookimpl
    from imgstore.metadata import is_imgstore
    from imgstore.opening import extract_only_frame, get_supported_formats, new_for_filename, new_for_format
    from imgstore.selftest import run as test
    from imgstore.store import DirectoryImgStore, ImgStore, VideoImgStore

__all__ = [
    "DirectoryImgStore",
    "ImgStore",
    "VideoImgStore",
    "__version__",
    "ensure_color",
    "ensure_grayscale",
    "extract_only_frame",
    "get_supported_formats",
    "hookimpl",
    "is_imgstore",
    "new_for_filename",
    "new_for_format",
    "test",
]

_HOMES = {
    "DirectoryImgStore": "store",
    "ImgStore": "store",
    "VideoImgStore": "store",
    "ensure_color": "color",
    "ensure_grayscale": "color",
    "extract_only_frame": "opening",
    "get_supported_formats": "opening",
    "hookimpl": "hookspecs",
    "is_imgstore": "metadata",
    "new_for_filename": "opening",
    "new_for_format": "opening",
}
_MODULES = ("align", "apps", "constants", "errors", "index", "stores", "util")


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name in _MODULES:
        return import_module(f"imgstore.{name}")
    if name == "test":
        return import_module("imgstore.selftest").run
    if name not in _HOMES:
        raise AttributeError(f"module 'imgstore' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"imgstore.{_HOMES[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_MODULES})

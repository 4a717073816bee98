"""imgstore houses video frames and their metadata for recordings from seconds to weeks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from imgstore._version import __version__
from imgstore.disk.metadata import is_imgstore
from imgstore.opening import extract_only_frame, get_supported_formats, new_for_filename, new_for_format
from imgstore.opening import open as open
from imgstore.store import DirectoryImgStore, ImgStore, VideoImgStore

if TYPE_CHECKING:
    from imgstore import align as align
    from imgstore import apps as apps
    from imgstore import codec as codec
    from imgstore import constants as constants
    from imgstore import errors as errors
    from imgstore import group as group
    from imgstore import hookspecs as hookspecs
    from imgstore import index as index
    from imgstore import plugins as plugins
    from imgstore import repair as repair
    from imgstore import stores as stores
    from imgstore import timecodes as timecodes
    from imgstore import util as util
    from imgstore import verify as verify
    from imgstore.capture import VideoCapture
    from imgstore.disk.update_metadata import update_metadata
    from imgstore.exporting import export
    from imgstore.group import StoreGroup, open_group
    from imgstore.hookspecs import hookimpl
    from imgstore.pixels.color import ensure_color, ensure_grayscale
    from imgstore.selftest import run as test
    from imgstore.web import serve
    from imgstore.writing.recorder import Recorder

# without `open`: programs that import * go on having Python's
__all__ = [
    "DirectoryImgStore",
    "ImgStore",
    "Recorder",
    "StoreGroup",
    "VideoCapture",
    "VideoImgStore",
    "__version__",
    "ensure_color",
    "ensure_grayscale",
    "export",
    "extract_only_frame",
    "get_supported_formats",
    "hookimpl",
    "is_imgstore",
    "new_for_filename",
    "new_for_format",
    "open_group",
    "serve",
    "test",
    "update_metadata",
]

# What opening a store does not need is imported when it is first asked for.
_LATER = {
    "Recorder": ("imgstore.writing.recorder", "Recorder"),
    "StoreGroup": ("imgstore.group", "StoreGroup"),
    "VideoCapture": ("imgstore.capture", "VideoCapture"),
    "ensure_color": ("imgstore.pixels.color", "ensure_color"),
    "ensure_grayscale": ("imgstore.pixels.color", "ensure_grayscale"),
    "export": ("imgstore.exporting", "export"),
    "hookimpl": ("imgstore.hookspecs", "hookimpl"),
    "open_group": ("imgstore.group", "open_group"),
    "serve": ("imgstore.web", "serve"),
    "test": ("imgstore.selftest", "run"),
    "update_metadata": ("imgstore.disk.update_metadata", "update_metadata"),
}
_MODULES = ("align", "apps", "codec", "constants", "errors", "group", "hookspecs", "index", "plugins", "repair", "stores",
            "timecodes", "util", "verify")  # fmt: skip


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name in _MODULES:
        return import_module(f"imgstore.{name}")
    if name not in _LATER:
        raise AttributeError(f"module 'imgstore' has no attribute {name!r}")
    module, attribute = _LATER[name]
    value = globals()[name] = getattr(import_module(module), attribute)
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, *_MODULES, "open"])

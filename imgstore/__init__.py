"""imgstore houses video frames and their metadata for recordings from seconds to weeks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from imgstore._version import __version__
from imgstore.hookspecs import hookimpl
from imgstore.metadata import is_imgstore
from imgstore.opening import extract_only_frame, get_supported_formats, new_for_filename, new_for_format
from imgstore.store import DirectoryImgStore, ImgStore, VideoImgStore

if TYPE_CHECKING:
    import numpy.typing as npt

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


def ensure_color(img: npt.NDArray[Any], ensure_copy: bool = False) -> npt.NDArray[Any]:
    """Return a BGR image, ``(h, w, 3)``; see `imgstore.color.ensure_color`."""
    from imgstore.color import ensure_color

    return ensure_color(img, ensure_copy)


def ensure_grayscale(img: npt.NDArray[Any], ensure_copy: bool = False) -> npt.NDArray[Any]:
    """Return a grayscale image, ``(h, w)``; see `imgstore.color.ensure_grayscale`."""
    from imgstore.color import ensure_grayscale

    return ensure_grayscale(img, ensure_copy)


def test() -> int:
    """Run the check that a person runs after installing; return its exit status, 0 when all is well."""
    from imgstore.selftest import run

    return run()

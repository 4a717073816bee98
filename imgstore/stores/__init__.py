"""The module from which 0.x pipelines import everything."""

from __future__ import annotations

from typing import Any

from imgstore.constants import (
    EXTRA_DATA_FILE_EXTENSIONS,
    STORE_INDEX_FILENAME,
    STORE_LOCK_FILENAME,
    STORE_MD_FILENAME,
    STORE_MD_KEY,
)
from imgstore.disk.metadata import read_metadata, store_directory
from imgstore.index import ImgStoreIndex
from imgstore.opening import extract_only_frame, get_supported_formats, new_for_filename, new_for_format
from imgstore.pixels.color import ensure_color, ensure_grayscale
from imgstore.store import DirectoryImgStore, ImgStore, VideoImgStore
from imgstore.util import FourCC, ImageCodecProcessor, JsonCustomEncoder

__all__ = [
    "EXTRA_DATA_FILE_EXTENSIONS",
    "STORE_INDEX_FILENAME",
    "STORE_LOCK_FILENAME",
    "STORE_MD_FILENAME",
    "STORE_MD_KEY",
    "DirectoryImgStore",
    "FourCC",
    "ImageCodecProcessor",
    "ImgStoreIndex",
    "JsonCustomEncoder",
    "VideoImgStore",
    "ensure_color",
    "ensure_grayscale",
    "extract_only_frame",
    "get_supported_formats",
    "new_for_filename",
    "new_for_format",
]

_ImgStore = ImgStore


def _extract_store_metadata(full_path: str) -> dict[str, Any]:
    """Return the ``__store`` mapping of a ``metadata.yaml``."""
    return read_metadata(store_directory(full_path, None)).values

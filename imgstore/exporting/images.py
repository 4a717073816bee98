"""Pictures as files of a folder."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from imgstore.errors import ArgumentError, FormatError, StoreExistsError
from imgstore.exporting.pictures import Image

__all__ = ["EXTENSIONS", "check_folder", "check_samples", "image_name", "write_image"]

EXTENSIONS = ("png", "jpg", "tif")
_OURS = re.compile(r"frame_\d+\.(?:png|jpg|tif)\Z", re.ASCII)
_DTYPES = {"png": ("uint8", "uint16"), "jpg": ("uint8",), "tif": ("uint8", "uint16", "float32", "float64")}
_JPEG_QUALITY = 95


def image_name(position: int, extension: str, digits: int) -> str:
    """Return the name of a frame's file: they sort as the frames go."""
    return f"frame_{position:0{digits}d}.{extension}"


def check_folder(folder: Path) -> None:
    """Refuse to put a folder in the place of one that holds anything but exported images.

    Raises
    ------
    StoreExistsError
        It does.
    """
    if folder.is_dir() and not all(_OURS.match(entry.name) for entry in folder.iterdir()):
        raise StoreExistsError(f"{folder}: holds other files than exported images; name another folder")


def check_samples(store: Any, extension: str) -> bool:
    """Return whether a kind of image holds a store's samples as they are.

    Raises
    ------
    ArgumentError
        Nothing would be like them.
    """
    name = store.image_dtype.name
    if name in _DTYPES[extension]:
        return True
    if extension == "tif":
        raise ArgumentError(f"{store.filename}: tif does not hold samples of {name}: give --levels, which makes them 8 bits")
    return False


def write_image(path: Path, img: Image) -> None:
    """Write a picture.

    Raises
    ------
    OSError
        The operating system refused.
    FormatError
        OpenCV cannot encode it.
    """
    import cv2

    how = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY] if path.suffix == ".jpg" else []
    encoded, data = cv2.imencode(path.suffix, np.ascontiguousarray(img), how)
    if not encoded:
        raise FormatError(f"{path}: OpenCV cannot encode a picture of {img.dtype}, {img.shape}")
    path.write_bytes(data.tobytes())

"""Where `imgstore save` takes images from: numbered ones, and the pages of a file."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from imgstore.cli._source import LeftOut, Source, SourceFrame
from imgstore.cli._video_source import Converter, base_name, open_stream, shown_frames
from imgstore.errors import ArgumentError, ImgStoreWarning

__all__ = ["count_pages", "is_numbered", "open_numbered", "open_stack"]

# Images have no times: they get those of this rate, which is also what FFmpeg and OpenCV take
_IMAGES_PER_SECOND = 25.0
_PAGES_AT_A_TIME = 16

# A name that stands for several, as FFmpeg and OpenCV have it: img_%04d.png
_NUMBERED = re.compile(r"([^%]*)%(0\d+)?d([^%]*)")


def is_numbered(name: str) -> bool:
    """Whether a name stands for numbered images."""
    return _NUMBERED.fullmatch(os.path.basename(name)) is not None


def open_numbered(name: str, deep: bool) -> Source:
    """Open images that are numbered, in the order of their numbers."""
    directory, base = os.path.split(name)
    before, width, after = re.split(r"%(0\d+)?d", base)
    digits = f"\\d{{{int(width)},}}" if width else r"(?:0|[1-9]\d*)"
    pattern = re.compile(f"{re.escape(before)}({digits}){re.escape(after)}")
    try:
        matches = [match for match in map(pattern.fullmatch, os.listdir(directory or ".")) if match]
    except OSError as error:
        raise ArgumentError(f"could not open source: {name}: {error.strerror}") from error
    if not matches:
        raise ArgumentError(f"could not open source: {name}: there are no such images")
    found = sorted((int(match[1]), os.path.join(directory, match[0])) for match in matches)
    missing = found[-1][0] - found[0][0] + 1 - len(found)
    if missing:
        warnings.warn(
            f"{name}: {missing} numbers have no image between the first and the last", ImgStoreWarning, stacklevel=3
        )
    left_out = LeftOut()
    return _images(name, len(found), _decoded_images([path for _, path in found], left_out), deep, left_out)


def _decoded_images(paths: Sequence[str], left_out: LeftOut) -> Iterator[Any]:
    for path in paths:
        container, stream = open_stream(path, f"file:{os.path.abspath(path)}")
        with container:
            frame = next((frame for frame, _ in shown_frames(path, container, stream, left_out)), None)
        if frame is not None:
            yield frame


def count_pages(path: str) -> int:
    """Count the pages of a TIFF file; 1 for whatever else a path may be."""
    try:
        with open(path, "rb") as file:
            if file.read(4) not in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
                return 1
    except OSError:
        return 1
    import cv2

    return int(cv2.imcount(path, cv2.IMREAD_UNCHANGED))


def open_stack(path: str, deep: bool) -> Source:
    return _images(path, count_pages(path), _decoded_pages(path), deep, LeftOut())


def _decoded_pages(path: str) -> Iterator[Any]:
    import av
    import cv2

    names = {(np.uint8, 1): "gray", (np.uint16, 1): "gray16le", (np.uint8, 3): "bgr24", (np.uint16, 3): "bgr48le"}
    count = count_pages(path)
    for start in range(0, count, _PAGES_AT_A_TIME):
        wanted = min(_PAGES_AT_A_TIME, count - start)
        _, pages = cv2.imreadmulti(path, start, wanted, flags=cv2.IMREAD_UNCHANGED)
        if len(pages) != wanted:
            raise ArgumentError(f"{path}: its pages from {start + 1} on cannot be read")
        for number, page in enumerate(pages, start + 1):
            img = page[..., :3] if page.ndim == 3 else page  # without what is transparent
            name = names.get((img.dtype.type, 1 if img.ndim == 2 else img.shape[2]))
            if name is None:
                raise ArgumentError(f"{path}: page {number} is {img.dtype} {img.shape}: no image of 8 or 16 bits")
            pixels: Any = np.ascontiguousarray(img)
            yield av.VideoFrame.from_ndarray(pixels, format=name)


def _images(name: str, count: int, decoded: Iterator[Any], deep: bool, left_out: LeftOut) -> Source:
    convert = Converter(deep)
    frames = (
        SourceFrame(convert(frame), number, number / _IMAGES_PER_SECOND, []) for number, frame in enumerate(decoded)
    )
    return Source(frames, count=count, fps=_IMAGES_PER_SECOND, metadata={"source": base_name(name)}, left_out=left_out)

"""TIFF files with several pages, a frame each, through OpenCV. They are read, not written: stores have a file per frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from imgstore.codec import ChunkCodec, ChunkReader, ChunkWriter, Codec, Format, FrameSpec, Survey
from imgstore.errors import ChunkError, FormatError, FrameDecodeError
from imgstore.hookspecs import hookimpl
from imgstore_codecs.image_size import image_size

__all__ = ["TiffStackCodec"]

Frame = npt.NDArray[Any]

_BEGINNINGS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_FORMAT = Format("tif stack", ".tif", lossless=True, dtypes=None)


class TiffStackCodec(ChunkCodec):
    """The pages of a TIFF file by ``cv2.imreadmulti``."""

    name = "opencv"
    formats: Sequence[Format] = ()

    def survey(self, path: str, options: Mapping[str, Any]) -> Survey | None:
        """Count the pages; a file with one is an image."""
        with open(path, "rb") as file:
            if file.read(4) not in _BEGINNINGS:
                return None
        import cv2

        image_size(".tif", np.fromfile(path, np.uint8))  # or an error, before OpenCV sees it
        count = int(cv2.imcount(path, cv2.IMREAD_UNCHANGED))
        if count < 2:
            return None
        first = _page(path, 0)
        return Survey(_FORMAT, FrameSpec(first.shape, first.dtype), count, arrays={"pages": np.array([count])})

    def open_reader(self, path: str, fmt: Format, spec: FrameSpec, options: Mapping[str, Any]) -> ChunkReader:
        """Open a file that was surveyed."""
        return _Pages(path, spec, int(options["survey"].arrays["pages"][0]))

    def open_writer(self, path: str, fmt: Format, spec: FrameSpec, options: Mapping[str, Any]) -> ChunkWriter:
        """Refuse."""
        raise FormatError("stacks of TIFF pages are read, not written: format 'tif' has a file for each frame")


class _Pages(ChunkReader):
    def __init__(self, path: str, spec: FrameSpec, count: int):
        with open(path, "rb") as file:
            if file.read(4) not in _BEGINNINGS:
                raise ChunkError(f"{path}: is no TIFF file")
        self._path = path
        self._spec = spec
        self._count = count

    @property
    def frame_count(self) -> int:
        return self._count

    @property
    def key_frames(self) -> Sequence[int]:
        return range(self._count)

    def read(self, position: int) -> Frame:
        if not 0 <= position < self._count:
            raise IndexError(f"{self._path}: there is no page {position + 1}")
        page = _page(self._path, position)
        if page.shape != self._spec.shape or page.dtype != self._spec.dtype:
            raise FrameDecodeError(
                f"{self._path}: page {position + 1} is {page.dtype} {page.shape}, "
                f"not {self._spec.dtype} {self._spec.shape}"
            )
        return page

    def close(self) -> None:
        """Nothing is kept open."""


def _page(path: str, number: int) -> Frame:
    import cv2

    try:
        _, pages = cv2.imreadmulti(path, number, 1, flags=cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise FrameDecodeError(f"{path}: page {number + 1} cannot be read: {error.err or error}") from error
    if len(pages) != 1:
        raise FrameDecodeError(f"{path}: page {number + 1} cannot be read")
    page: Frame = pages[0]
    if page.ndim == 3 and page.shape[2] == 4:  # without what is transparent
        page = np.ascontiguousarray(page[..., :3])
    if page.ndim == 3 and page.shape[2] != 3:
        raise FrameDecodeError(
            f"{path}: page {number + 1} has {page.shape[2]} channels: it is neither gray nor in colour"
        )
    return page


@hookimpl
def imgstore_codecs() -> Sequence[Codec]:
    """Give imgstore this codec."""
    return [TiffStackCodec()]

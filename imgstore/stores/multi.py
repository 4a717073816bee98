"""A store with its extra cameras, as imgstore-shaliulab opens them: one is selected, and all are shown side by side."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import numpy.typing as npt

from imgstore.disk.metadata import store_directory
from imgstore.errors import ArgumentError, EndOfStoreError, FrameNotFoundError
from imgstore.group import StoreGroup
from imgstore.group.finding import extra_cameras
from imgstore.group.stand_ins import black_like
from imgstore.opening import new_for_filename as _new_for_filename
from imgstore.stores import _extract_store_metadata as _extract_store_metadata
from imgstore.stores import ensure_color, ensure_grayscale, new_for_format
from imgstore.util import load_config
from imgstore.v04.newer import tell_newer

__all__ = ["MASTER", "MultiStore", "VideoImgStore", "ensure_color", "ensure_grayscale", "load_config", "load_extra_cameras",
           "new_for_filename", "new_for_format"]  # fmt: skip

MASTER = "master"
OLDEST = 1.0  # seconds by which the other cameras' frames may be older

Image = npt.NDArray[Any]
ImageAndMetadata = tuple[Image, tuple[int, float]]


class MultiStore:
    """A store and its extra cameras. The one that is selected tells numbers and times; the others' pictures are the nearest
    that are not later, and not older than `OLDEST`; black where there is none.

    Pictures are one array, side by side in the order of the cameras, each scaled to the size of the master's.

    Parameters
    ----------
    selected, other : str
        Names of the store that is selected at first, and of the one beside it. Of further ones there may be any number.
    **stores : ImgStore
        Open for reading: the store itself as ``master``, and the extra cameras by their names.
    """

    def __init__(self, selected: str = MASTER, other: str | None = None, /, **stores: Any):
        if MASTER not in stores:
            raise ArgumentError(f"one of the stores must be called {MASTER!r}")
        self._stores = {MASTER: stores[MASTER], **stores}
        for name in (selected, other):
            if name is not None:
                self._check(name)
        self._places = dict.fromkeys(self._stores, -1)  # of the frame that was read last
        self.select_store(selected)

    @classmethod
    def new_for_filename(cls, path: str | os.PathLike[str], **kwargs: Any) -> MultiStore:
        """Open a store with its extra cameras; see `new_for_filename`."""
        return new_for_filename(path, **kwargs)

    def _check(self, name: str) -> None:
        if name not in self._stores:
            raise ArgumentError(f"there is no store {name!r}, there are {', '.join(self._stores)}")

    def select_store(self, name: str) -> None:
        """Let a store be the one whose frames are asked for; reading goes on where it was read last.

        Raises
        ------
        ArgumentError
            There is none of this name.
        """
        self._check(name)
        names = list(self._stores)
        self.selected = name
        milliseconds = (
            "framerate" in self._stores[MASTER]._metadata
        )  # are the times of stores that the fork has written
        self._group = StoreGroup(
            list(self._stores.values()),
            reference=names.index(name),
            align="time",
            direction="backward",
            tolerance=OLDEST * (1000 if milliseconds else 1),
            on_error="raise",
            missing="black",
            names=names,
        )

    @property
    def stores(self) -> dict[str, Any]:
        """The stores by their names."""
        return dict(self._stores)

    def __getattr__(self, name: str) -> Any:
        """What is not here is asked of the store that is selected."""
        if name.startswith("__") or name in ("_stores", "selected"):
            raise AttributeError(name)
        return getattr(self._stores[self.selected], name)

    def get_images(self, frame_number: Any = None, exact_only: bool = True, frame_index: Any = None) -> Any:
        """Read a frame of the selected store, and those of the others beside it, and go on from there.

        Returns
        -------
        images : list of ndarray
            One per store, of its own shape.
        metadata : tuple
            Number and time of the selected store's frame.

        Raises
        ------
        FrameNotFoundError
            There is no such frame; also a ValueError.
        FrameDecodeError
            The frame is damaged.
        """
        if frame_index is None:
            frame_index = self._reader.look_up(lambda _: self._reader.position_of(frame_number, exact_only))
        if not 0 <= frame_index < len(self._group):
            raise FrameNotFoundError(
                f"{self.filename}: no frame at index {frame_index}, there are {len(self._group)}, from 0"
            )
        return self._read(int(frame_index))

    def _read(self, position: int) -> tuple[list[Image], tuple[int, float]]:
        self._places[self.selected] = position
        step = self._group[position]
        selected = list(self._stores).index(self.selected)
        images = [black_like(s) if i is None else i for s, i in zip(self._stores.values(), step.images, strict=True)]
        return images, (step.frame_numbers[selected], step.frame_times[selected])

    @property
    def _reader(self) -> Any:
        return self._stores[self.selected]._readable

    def get_image(self, frame_number: Any = None, exact_only: bool = True, frame_index: Any = None) -> ImageAndMetadata:
        """Read the frame of the selected store with a number, or at a position, side by side with the others'."""
        images, metadata = self.get_images(frame_number, exact_only, frame_index)
        return _side_by_side(images), metadata

    def get_nearest_image(
        self, frame_time: float, past: bool | None = None, future: bool | None = None
    ) -> ImageAndMetadata:
        """Read the frame of the selected store that is nearest in time, side by side with the others'."""
        reader = self._reader
        position = reader.look_up(lambda _: reader.position_nearest_time(frame_time, past=past, future=future))
        return self.get_image(frame_index=position)

    def get_next_image(self) -> ImageAndMetadata:
        """Read the next frame of the selected store, side by side with the others'; EndOfStoreError after the last."""
        position = self._places[self.selected] + 1
        if position >= len(self._group):
            raise EndOfStoreError(f"{self.filename}: there is no frame after the last one")
        return self.get_image(frame_index=position)

    def get_chunk(self, chunk: int) -> ImageAndMetadata:
        """Read the first frame of a chunk of the selected store, and go on from there."""
        return self.get_image(frame_index=self._reader.look_up(lambda index: index.chunk_start(chunk)))

    def read(self) -> tuple[bool, Image | None]:
        """Return ``(True, img)`` with the next picture, or ``(False, None)`` after the last."""
        try:
            return True, self.get_next_image()[0]
        except EndOfStoreError:
            return False, None

    def close(self) -> None:
        """Close all stores."""
        for store in self._stores.values():
            store.close()

    release = close

    def __enter__(self) -> MultiStore:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


VideoImgStore = MultiStore


def load_extra_cameras(path: str | os.PathLike[str], **kwargs: Any) -> dict[str, Any]:
    """Open the extra cameras of a store, by their names."""
    return {
        name: _new_for_filename(store, **kwargs) for name, store in extra_cameras(store_directory(path, None)).items()
    }


def new_for_filename(path: str | os.PathLike[str], **kwargs: Any) -> MultiStore:
    """Open a store with its extra cameras, which are in folders within it.

    Parameters
    ----------
    path : path-like
        The store's directory or its ``metadata.yaml``.
    **kwargs
        Of `imgstore.new_for_filename`, for the master.

    Raises
    ------
    NotAStoreError
        There is no store, or not one of its cameras.
    """
    tell_newer("imgstore.multistores", "imgstore.open_group opens the cameras of a recording in step")
    stores: dict[str, Any] = {MASTER: _new_for_filename(path, **kwargs), **load_extra_cameras(path)}
    return MultiStore(**stores)


def _side_by_side(images: list[Image]) -> Image:
    height, width = images[0].shape[:2]
    if any(image.ndim == 3 for image in images):
        images = [ensure_color(image) for image in images]
    return np.concatenate([_scaled(image, height, width) for image in images], axis=1)


def _scaled(image: Image, height: int, width: int) -> Image:
    if image.shape[:2] == (height, width):
        return image
    import cv2

    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA))

"""napari: a reader that napari finds through its own manifest, ``napari.yaml`` beside this file."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import imgstore

__all__ = ["get_reader"]

Layer = tuple[Any, dict[str, Any], str]


def get_reader(path: str | Sequence[str]) -> Callable[[str | Sequence[str]], list[Layer]] | None:
    """Return `read_layers` for stores, and None at once for everything else that napari asks about."""
    paths = [path] if isinstance(path, str) else path
    return read_layers if paths and all(map(imgstore.is_imgstore, paths)) else None


def read_layers(path: str | Sequence[str]) -> list[Layer]:
    """Open stores as image layers.

    Frames are read as they are looked at. Several stores are laid in step by time: the first axis is scaled to seconds and
    begins at each store's first frame, counted from the earliest of them.
    """
    stores = [imgstore.new_for_filename(p) for p in ([path] if isinstance(path, str) else path)]
    start = min((store.frame_time_min for store in stores if len(store)), default=0.0)
    return [_layer(store, start) for store in stores]


def _layer(store: imgstore.ImgStore, start: float) -> Layer:
    color = len(store.image_shape) == 3
    array = store.as_array(color="rgb") if color else store.as_array()
    # Seconds per frame on average, so that stores stay in step over hours; steps are even along an axis of napari.
    step = store.duration / (len(store) - 1) if len(store) > 1 and store.duration > 0 else 1.0
    options = {
        "name": os.path.basename(store.filename),
        "rgb": color,
        "scale": (step, 1.0, 1.0),
        "translate": (store.frame_time_min - start if len(store) else 0.0, 0.0, 0.0),
        "metadata": {"uuid": store.uuid, "format": store.format, "frame_times": store.frame_times},
        "multiscale": False,
    }
    if not color and store.image_dtype.kind == "u" and store.image_dtype.itemsize == 1:
        options["contrast_limits"] = (0, 255)
    return array, options, "image"

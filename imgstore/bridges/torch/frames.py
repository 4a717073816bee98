"""Single frames of stores, or steps of groups of stores, as samples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from imgstore.bridges.torch.dataset import StoreDataset
from imgstore.bridges.torch.layout import Output
from imgstore.bridges.torch.reading import Frames
from imgstore.bridges.torch.sources import Color

__all__ = ["FrameDataset"]


class FrameDataset(StoreDataset):
    """The frames of stores, one after the other, as a map-style dataset.

    A whole batch is read at once: each group of pictures is decoded once for it. With `ChunkSampler` it is decoded once for
    all batches.

    Parameters
    ----------
    stores : path-like, ImgStore, StoreGroup, or a list of such
        Paths are whatever `imgstore.open` takes. Stores and groups that are given open must stay open, and show what they
        were opened to show. Either stores, or groups.
    transform : callable, optional
        Is given each image; its result takes the place of the image.
    output : {'torch', 'numpy'}
        Images are tensors ``(c, h, w)``, as they come from torchcodec and torchvision; or arrays ``(h, w, 3)``, ``(h, w)``
        where they are gray.
    color : {'rgb', 'bgr', 'gray'}
        Of the images. Grayscale frames stay gray.
    extra : bool or sequence of str
        Give with each frame the latest of the records that were added at the frame or before it: True: all columns that hold
        numbers; or these columns, of numbers or of text. Of a group, those of its first store.
    threads : int, optional
        For decoding; default one in a worker, and elsewhere as the store was opened, or as many as there are cores.

    Raises
    ------
    ArgumentError
        An argument cannot be used.
    NotAStoreError, MetadataError, FormatError
        A path cannot be opened.

    Notes
    -----
    A sample is a dict:

    ``image``
        The frame; of a group ``images``, a dict by camera, in which frames that are missing are as the group's `missing` says.
    ``frame_number``, ``frame_time``
        Of the frame, int and float (seconds); of a group int64 and float64 ``(cameras,)``.
    ``present``
        Of a group: bool ``(cameras,)``, False where a camera has no such frame.
    ``store``, ``position``
        Which of the stores or groups, and the position in it: int.
    ``extra``
        A dict by column: float, NaN where there is no record yet; or str.
    """

    def __init__(
        self,
        stores: Any,
        *,
        transform: Callable[[Any], Any] | None = None,
        output: Output = "torch",
        color: Color = "rgb",
        extra: bool | Sequence[str] = False,
        threads: int | None = None,
    ):
        super().__init__(stores, transform, output, color, extra, threads)
        counts = []
        for source in self._sources:
            with source.open(1) as opened:
                counts.append(len(opened))
        self._starts = np.cumsum([0, *counts])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def group_starts(self) -> npt.NDArray[np.int64]:
        found = [np.empty(0, np.int64)]
        for source, start in zip(self._sources, self._starts, strict=False):
            with source.open(None) as opened:
                found.append(source.group_starts(opened) + start)
        return np.concatenate(found)

    def _places(self, sample: int) -> tuple[int, Sequence[int]]:
        number = int(np.searchsorted(self._starts, sample, side="right")) - 1
        return number, (sample - int(self._starts[number]),)

    def _make(self, sample: int, frames: Frames) -> dict[str, Any]:
        number, (position,) = self._places(sample)
        piece, k = frames[number, position]
        images = [
            self._transformed(self._layout.image(of_one[k], color))
            for of_one, color in zip(piece.images, piece.colors, strict=True)
        ]
        where = {"store": number, "position": position}
        names = self._sources[number].names
        if not names:
            number_and_time = {"frame_number": int(piece.numbers[k, 0]), "frame_time": float(piece.times[k, 0])}
            return self._with_records({"image": images[0], **number_and_time, **where}, number, float(piece.times[k, 0]))
        values = self._layout.values
        made = {
            "images": dict(zip(names, images, strict=True)),
            "present": values(piece.present[k].copy()),
            "frame_number": values(piece.numbers[k].copy()),
            "frame_time": values(piece.times[k].copy()),
            **where,
        }
        return self._with_records(made, number, float(piece.moments[k]))

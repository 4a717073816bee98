"""A store as other libraries want to look at it: its frames as an array, its index as a table, its chunks as files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from imgstore.array import FrameArray
from imgstore.pixels.shown import Color
from imgstore.store.reading import Reading
from imgstore.store.shared import Frame

if TYPE_CHECKING:
    import dask.array
    import pandas as pd

__all__ = ["ChunkFile", "Views"]


class ChunkFile(NamedTuple):
    """Where the frames of a chunk are.

    Attributes
    ----------
    chunk : int
        Its number.
    path : str
        Its video file, or the directory of its frames.
    position : int
        Position in the store of its first frame.
    frame_count : int
        How many frames its index lists.
    """

    chunk: int
    path: str
    position: int
    frame_count: int


class Views(Reading):
    """The part of `ImgStore` that shows frames and index in other forms."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of all frames as one array, ``(n, h, w)`` or ``(n, h, w, 3)``."""
        return (self.frame_count, *self.image_shape)

    @property
    def ndim(self) -> int:
        """Number of axes of all frames as one array."""
        return 1 + len(self.image_shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the samples, as `image_dtype`."""
        return self.image_dtype

    def as_array(self, color: Color | None = None) -> FrameArray:
        """Return the frames as a lazy array: for Dask, xarray, napari, and whoever takes arrays.

        Parameters
        ----------
        color : {'bgr', 'rgb', 'gray'}, optional
            Of the frames; default as the store was opened. Grayscale frames stay gray.

        Returns
        -------
        imgstore.array.FrameArray
            Over the frames that are there now; it reads through this store, which must stay open.
        """
        self._readable  # noqa: B018 - one that is written or closed says so
        return FrameArray(self, color)  # type: ignore[arg-type] # a part of ImgStore is never there by itself

    def to_dask(self, frames_per_block: int | None = None) -> dask.array.Array:
        """Return the frames as an array of Dask's, which needs the extra ``dask``.

        Each task reads a block of frames at once, from the store that it opens for itself, and keeps open for the next.

        Parameters
        ----------
        frames_per_block : int, optional
            About how many; default as many as have 64 MB. Blocks end where chunks do, and hold whole groups of pictures.

        Returns
        -------
        dask.array.Array
            ``(n, h, w)`` or ``(n, h, w, 3)``, over the frames that are there now. The store may be closed.
        """
        from imgstore.bridges.dask import store_to_dask

        return store_to_dask(self, frames_per_block)  # type: ignore[arg-type] # a part of ImgStore is never by itself

    def __getitem__(self, key: Any) -> Frame:
        """Return frames by position, as numpy indexes an array of them.

        An integer gives one frame; a slice, a list or an array of positions, or a mask gives ``(n, h, w[, 3])``. A tuple
        goes along the axes: ``store[0:5, ::2, ::2]``, ``store[..., 0]``.

        Raises
        ------
        FrameIndexError
            A position outside the store; also an IndexError.
        FrameDecodeError
            A frame is damaged; it is named.
        """
        return self.as_array()[key]

    def frames_table(self) -> pd.DataFrame:
        """Return what the index knows of each frame.

        Returns
        -------
        pandas.DataFrame
            In store order, with the position as index (``position``) and the columns ``frame_number`` (int64),
            ``frame_time`` (float64, seconds), ``time`` (the same in UTC, datetime64, as if it counted from 1970), ``chunk`` and
            ``frame_index``, the place in the chunk (int64).
        """
        import pandas as pd

        files = self.chunk_files
        counts = np.array([file.frame_count for file in files], np.int64)
        starts = np.array([file.position for file in files], np.int64)
        times = self.frame_times
        positions = np.arange(len(times))
        table: pd.DataFrame = pd.DataFrame(
            {
                "frame_number": self.frame_numbers,
                "frame_time": times,
                "time": pd.to_datetime(times, unit="s", utc=True),
                "chunk": np.repeat(np.array([file.chunk for file in files], np.int64), counts),
                "frame_index": positions - np.repeat(starts, counts),
            },
            index=pd.RangeIndex(len(times), name="position"),
        )
        return table

    def get_key_frames(self) -> npt.NDArray[np.int64]:
        """Find the frames at which decoding may begin: what lies between two of them is read together at little cost.

        Each chunk of videos is opened for it, which takes some milliseconds.

        Returns
        -------
        numpy.ndarray of int64
            Their positions, ascending. The first of each chunk is one; where frames are files, or depend on no others, all.
        """
        return self._readable.key_frames()

    @property
    def color(self) -> Color:
        """Order of the channels of the frames that are returned: ``'bgr'`` or ``'rgb'``; ``'gray'`` where they have none."""
        return (self._shown.color or "bgr") if len(self._frame_kind[0]) == 3 and self._frame_kind[0][2] == 3 else "gray"

    @property
    def chunk_files(self) -> list[ChunkFile]:
        """The chunks that hold frames, in store order: their files, and which frames are in them."""
        index = self._readable.ask_of_all(lambda index: index)
        return [ChunkFile(n, self._chunks.path(n), index.chunk_start(n), index.chunk_count(n)) for n in index.chunks]

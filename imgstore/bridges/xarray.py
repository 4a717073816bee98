"""xarray: ``xarray.open_dataset("store")``, found through xarray's entry point ``xarray.backends``.

https://docs.xarray.dev/en/stable/internals/how-to-add-new-backend.html says what a backend is.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import xarray
from xarray.backends import BackendArray, BackendEntrypoint
from xarray.core import indexing

import imgstore

if TYPE_CHECKING:
    from imgstore.array import FrameArray

__all__ = ["ImgStoreBackend"]

_DIMS = ("time", "y", "x", "channel")
_NANOSECONDS = 1_000_000_000


class _Frames(BackendArray):  # type: ignore[misc]
    """Frames in the form in which xarray asks for them."""

    def __init__(self, array: FrameArray):
        self._array = array
        self.shape = array.shape
        self.dtype = array.dtype

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        support = indexing.IndexingSupport.OUTER_1VECTOR
        return indexing.explicit_indexing_adapter(key, self.shape, support, self._read)

    def _read(self, key: tuple[Any, ...]) -> Any:
        # A list of rows or columns is taken out of whole frames: which ones are decoded is what counts.
        within = [isinstance(part, np.ndarray) for part in key[1:]]
        if not any(within):
            return self._array[key]
        axis = 1 + within.index(True)
        whole = (*key[:axis], slice(None), *key[axis + 1 :])
        frames = self._array[whole]
        gone = sum(isinstance(part, (int, np.integer)) for part in key[:axis])
        return np.take(frames, key[axis], axis - gone)


class ImgStoreBackend(BackendEntrypoint):  # type: ignore[misc]
    """Opens stores as datasets.

    ``frames`` are read when they are asked for. Coordinates along ``time``: the time itself (UTC, nanoseconds),
    ``frame_number``, and ``frame_time``, the seconds as they were recorded. Numeric columns of the extra data are
    variables along ``record``.
    """

    description: ClassVar[str] = "Open imgstore stores"
    open_dataset_parameters: ClassVar[tuple[str, ...]] = ("filename_or_obj", "drop_variables")

    def open_dataset(  # type: ignore[override]
        self, filename_or_obj: str | os.PathLike[str], *, drop_variables: str | Iterable[str] | None = None
    ) -> xarray.Dataset:
        """Open a store; see `xarray.open_dataset`."""
        store = imgstore.new_for_filename(os.fspath(filename_or_obj))
        array = store.as_array()
        dims = _DIMS[: array.ndim]
        times = store.frame_times
        variables = {
            "frames": xarray.Variable(dims, indexing.LazilyIndexedArray(_Frames(array))),
            "frame_number": xarray.Variable(("time",), store.frame_numbers),
            "frame_time": xarray.Variable(("time",), times, {"long_name": "time as recorded, in seconds"}),
            "time": xarray.Variable(("time",), _utc(times)),
        }
        table = store.get_extra_data()
        for column in [] if table is None else table.select_dtypes(["number", "bool"]):
            name = column if column not in variables else f"extra_{column}"
            variables[name] = xarray.Variable(("record",), table[column].to_numpy())
        dropped = {drop_variables} if isinstance(drop_variables, str) else set(drop_variables or ())
        dataset = xarray.Dataset(
            {name: variable for name, variable in variables.items() if name not in dropped},
            attrs={"uuid": store.uuid or "", "format": store.format, "timezone": str(store.created[1])},
        )
        dataset.set_close(store.close)
        return dataset.set_coords([name for name in ("frame_number", "frame_time", "time") if name not in dropped])

    def guess_can_open(self, filename_or_obj: Any) -> bool:
        """Whether this is a store."""
        return isinstance(filename_or_obj, (str, os.PathLike)) and imgstore.is_imgstore(filename_or_obj)


def _utc(seconds: np.ndarray[Any, np.dtype[np.float64]]) -> np.ndarray[Any, np.dtype[np.datetime64]]:
    """Seconds since the epoch as dates; whole seconds apart, so that no more is lost than a float has lost already."""
    whole = np.floor(seconds)
    rest = np.round((seconds - whole) * _NANOSECONDS)
    nanoseconds = whole.astype(np.int64) * _NANOSECONDS + rest.astype(np.int64)
    return nanoseconds.view("datetime64[ns]")

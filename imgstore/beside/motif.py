"""What Motif, the recorder, puts into a store beside frames: its own extra data, frame rates, time zones."""

from __future__ import annotations

import contextlib
import datetime
import os
import warnings
import zoneinfo
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from imgstore.beside.records import load_records
from imgstore.beside.table import records_to_df
from imgstore.disk import hdf5
from imgstore.errors import ArgumentError, ExtraDataError, ImgStoreWarning

if TYPE_CHECKING:
    import h5py
    import pandas as pd

__all__ = [
    "extra_data_h5_attrs",
    "extra_data_h5_to_df",
    "extra_data_json_to_df",
    "get_parse_true_fps",
    "get_recording_timezone",
]


def extra_data_json_to_df(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Read Motif's extra data from JSON.

    Parameters
    ----------
    path : str or PathLike
        A file ``NNNNNN.extra_data.json``.

    Returns
    -------
    pandas.DataFrame
        A row per sample, without the padding (``frame_number`` below 0 or null), sorted by ``frame_index``
        and then by ``sensor_time`` where there is one; rows that are equal in these stay in the order of the
        file.

    Raises
    ------
    ExtraDataError
        The file holds no list of records, or they have no frame numbers and indexes.
    OSError
        It cannot be opened.
    """
    path = os.fspath(path)
    records = load_records(path)
    table: pd.DataFrame = records_to_df(records).take(_used(path, records)).reset_index(drop=True)
    return table


def extra_data_json_records(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Read Motif's extra data from JSON as records: those that are rows of `extra_data_json_to_df`, in their order."""
    path = os.fspath(path)
    records = load_records(path)
    return [records[n] for n in _used(path, records)]


def _used(path: str, records: list[dict[str, Any]]) -> list[int]:
    """Say which records are no padding, sorted by frame and time."""
    if not records:
        return []
    names = ("frame_number", "frame_index", "sensor_time")
    table = records_to_df([{name: record[name] for name in names if name in record} for record in records])
    try:
        used = table[table["frame_number"] >= 0]
        keys = ["frame_index", *(["sensor_time"] if "sensor_time" in table.columns else [])]
        order: list[int] = used.sort_values(keys, kind="stable").index.tolist()
    except KeyError as error:
        raise ExtraDataError(f"extra data {path!r}: the records have no {error.args[0]!r}") from None
    except TypeError as error:
        raise ExtraDataError(f"extra data {path!r}: frame numbers or indexes are no numbers ({error})") from None
    return order


def extra_data_h5_attrs(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read the attributes of Motif's extra data in HDF5: column names, sample rates, ...

    Parameters
    ----------
    path : str or PathLike
        A file ``NNNNNN.extra_data.h5``.

    Returns
    -------
    dict
        ``_datasets`` is the list of the datasets with samples; each other key is the name of something in the
        file, with a dict of its attributes as they are in the file. Those of variable length that are no text,
        and of types that numpy has not, are left out.

    Raises
    ------
    ExtraDataError
        It is no such file.
    OSError
        It cannot be opened.
    """
    with _opened_h5(path) as file:
        attributes: dict[str, Any] = {"_datasets": _names(hdf5.attributes(file)["datasets"])}
        return attributes | {name: hdf5.attributes(hdf5.member(file, name)) for name in file}


def extra_data_h5_to_df(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Read Motif's extra data from HDF5.

    Parameters
    ----------
    path : str or PathLike
        A file ``NNNNNN.extra_data.h5``.

    Returns
    -------
    pandas.DataFrame
        A row per used sample, that is where the frame number is not negative. A column per column of each
        dataset that the file lists, then those of the dataset ``camera`` (``frame_number``, ``frame_time``,
        ``frame_index``, ...) and ``sample_delay``, each in its own dtype.

    Raises
    ------
    ExtraDataError
        It is no such file, it is damaged, its datasets do not fit together, or a part of them is not in the file:
        it was never written, or is in another file.
    OSError
        It cannot be opened.

    Warns
    -----
    ImgStoreWarning
        Two columns have the same name: the last one is returned.
    """
    import pandas as pd

    with _opened_h5(path) as file:
        table: pd.DataFrame = pd.DataFrame(_read_columns(file))
    return table


def _read_columns(file: h5py.File) -> dict[str, npt.NDArray[Any]]:
    path = file.filename
    names = _names(hdf5.attributes(file)["datasets"])
    datasets = [hdf5.dataset(file, name) for name in names]
    camera = hdf5.dataset(file, "camera")
    delay = [hdf5.dataset(file, "sample_delay")] if "sample_delay" in file else []
    if camera.ndim != 1 or "frame_number" not in (camera.dtype.names or ()):
        raise ExtraDataError(f"extra data {path!r}: the dataset 'camera' has no frame numbers")
    column_names = [_names(hdf5.attributes(dataset)["column_names"]) for dataset in datasets]
    for dataset, columns in zip(datasets, column_names, strict=True):
        shape = dataset.shape if dataset.ndim > 1 else (1, *dataset.shape)
        if shape != (len(columns), len(camera)):
            raise ExtraDataError(
                f"extra data {path!r}: the dataset {dataset.name[1:]!r} is of shape {shape}, but there are"
                f" {len(columns)} column names and {len(camera)} samples"
            )
    if delay and delay[0].shape != camera.shape:
        raise ExtraDataError(
            f"extra data {path!r}: 'sample_delay' is of shape {delay[0].shape}, 'camera' of {camera.shape}"
        )
    hdf5.check_sizes(file, [camera, *datasets, *delay])

    samples = camera[...]
    used = samples["frame_number"] >= 0
    for dataset in (camera, *datasets, *delay):
        hdf5.check_written(dataset, used)
    found: list[tuple[str, npt.NDArray[Any]]] = []
    for dataset, columns in zip(datasets, column_names, strict=True):
        found += zip(columns, np.atleast_2d(dataset[...]), strict=True)
    found += [(name, samples[name]) for name in samples.dtype.names]
    found += [("sample_delay", dataset[...]) for dataset in delay]
    counts = Counter(name for name, _ in found)
    for name in (name for name, count in counts.items() if count > 1):
        warnings.warn(
            f"extra data {path!r}: several columns are named {name!r}; the last one is returned",
            ImgStoreWarning,
            stacklevel=4,
        )
    return {name: values[used] for name, values in found}


@contextlib.contextmanager
def _opened_h5(path: str | os.PathLike[str]) -> Iterator[h5py.File]:
    """Open a file of Motif's, and say of whatever is wrong with it which file it is."""
    path = os.fspath(path)
    try:
        with hdf5.open_file(path) as file:
            yield file
    except (FileNotFoundError, PermissionError, IsADirectoryError, ExtraDataError):
        raise
    except (
        AttributeError,
        KeyError,
        MemoryError,
        OSError,
        OverflowError,
        RuntimeError,
        TypeError,
        ValueError,
    ) as error:
        raise ExtraDataError(f"extra data {path!r} is no file of Motif's, or is damaged: {error}") from error


def _names(value: object) -> list[str]:
    """Split an attribute with names, separated by commas; HDF5 may give bytes, str, or an array of them."""
    if isinstance(value, np.ndarray):
        return [name for item in value.ravel().tolist() for name in _names(item)]
    text = value.decode("utf-8") if isinstance(value, bytes) else str(value)
    return [name.strip() for name in text.split(",") if name.strip()]


def get_parse_true_fps(
    store: Any,
    default: float | None = 25.0,
    hardware_only: bool = False,
    *,
    hwardware_only: bool = False,
) -> Any:
    """Return the frame rate of a recording, as the hardware or the recorder noted it.

    Parameters
    ----------
    store : store
        Open for reading.
    default : float or None
        What to return where nothing is noted; None to measure the rate in the first chunk.
    hardware_only : bool
        Leave aside what was asked of the camera, and trust only what timed it.
    hwardware_only : bool
        The same, as 0.x spelt it.

    Returns
    -------
    float
        In frames per second: user metadata ``hwframerate``, else ``motifptpframerate``, else
        ``acquisitionframerate`` if ``acquisitionframerateenable`` is True, else `default`; where that is
        None, one over the median interval between frames in the first chunk that has more than one (NaN where
        none has).

    Raises
    ------
    ArgumentError
        What is noted is no number.
    """
    metadata = store.user_metadata
    for key in ("hwframerate", "motifptpframerate"):
        if metadata.get(key) is not None:
            return _rate(key, metadata[key])
    enabled = metadata.get("acquisitionframerateenable") is True and not (hardware_only or hwardware_only)
    if enabled and metadata.get("acquisitionframerate"):
        return _rate("acquisitionframerate", metadata["acquisitionframerate"])
    return default if default is not None else _measured_rate(store)


def _rate(key: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        raise ArgumentError(f"the store's user metadata {key!r} is no frame rate: {value!r}") from None


def _measured_rate(store: Any) -> float:
    for chunk in store.chunks:
        intervals = np.diff(store._get_chunk_metadata(chunk)["frame_time"])
        if len(intervals):
            with np.errstate(divide="ignore"):
                return float(1.0 / np.median(intervals))
    return float("nan")


def get_recording_timezone(store: Any) -> datetime.tzinfo | None:
    """Return the time zone in which a recording was made.

    Parameters
    ----------
    store : store
        Open for reading.

    Returns
    -------
    tzinfo
        Of user metadata ``timezone`` where that names a zone, else that of ``store.created``.
    """
    name = store.user_metadata.get("timezone")
    if isinstance(name, str) and name:
        try:
            return zoneinfo.ZoneInfo(name)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
            pass  # OSError: the name is that of a directory of the zone database
    zone: datetime.tzinfo | None = store.created[1]
    return zone

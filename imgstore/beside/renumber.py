"""Records of extra data whose frames get other numbers."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from imgstore.beside.records import API_EXTENSION, dumps_record, load_records, write_records
from imgstore.errors import ImgStoreWarning

__all__ = ["NUMBER_BEFORE_REINDEX", "renumber_records"]

NUMBER_BEFORE_REINDEX = "_frame_number_before_reindex"
_TIME_TOLERANCE = 1e-9  # seconds; 0.x wrote times with ten decimals when it reindexed


def renumber_records(
    path: str,
    old_numbers: npt.NDArray[np.integer[Any]],
    frame_times: npt.NDArray[np.floating[Any]],
    new_numbers: npt.NDArray[np.integer[Any]],
    *,
    sync: bool = True,
) -> int:
    """Give the records of a chunk the new numbers of their frames, and keep the old ones beside them.

    A record belongs to the frame at its ``frame_index`` if that has the record's ``frame_time`` (its number may be
    another where an earlier run was interrupted). If it has not, as when chunks before it were deleted, the record
    belongs to the frame with its ``frame_number``, of several to the one nearest in time. A record that belongs to
    no frame stays as it is, with a warning.

    Parameters
    ----------
    path : str
        The chunk's ``.extra.json``, replaced in one step.
    old_numbers, frame_times, new_numbers : ndarray, shape (n,)
        Of all frames of the store, in store order; times in seconds.
    sync : bool
        Wait until it is on the disk.

    Returns
    -------
    int
        How many records were renumbered.

    Raises
    ------
    ExtraDataError
        The file holds no list of records; it is untouched.
    OSError
        The operating system refused; the file is untouched.
    """
    records = load_records(path)
    changed = 0
    for record in records:
        position = _position_of(record, old_numbers, frame_times)
        if position is None:
            continue
        record.setdefault(NUMBER_BEFORE_REINDEX, record["frame_number"])  # the camera's own, however often
        record["frame_number"] = int(new_numbers[position])
        changed += 1
    if changed < len(records):
        warnings.warn(
            f"extra data {path!r}: {len(records) - changed} records belong to no frame of the store and keep"
            " their frame numbers",
            ImgStoreWarning,
            stacklevel=2,
        )
    if changed:
        write_records(path.removesuffix(API_EXTENSION), map(dumps_record, records), sync=sync)
    return changed


def _position_of(
    record: Mapping[str, Any], frame_numbers: npt.NDArray[Any], frame_times: npt.NDArray[Any]
) -> int | None:
    number, time, index = (record.get(key) for key in ("frame_number", "frame_time", "frame_index"))
    if not _is_number(number):
        return None  # added before the first frame
    has_time = _is_number(time)
    if isinstance(index, int) and 0 <= index < len(frame_numbers):
        if has_time and abs(frame_times[index] - time) <= _TIME_TOLERANCE:
            return index
        if not has_time and frame_numbers[index] == number:
            return index
    candidates = np.flatnonzero(frame_numbers == number)
    if len(candidates) > 1 and has_time:
        return int(candidates[np.argmin(np.abs(frame_times[candidates] - time))])
    return int(candidates[0]) if len(candidates) == 1 else None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value

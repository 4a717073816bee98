"""NWB: the videos of a store as an ``ImageSeries`` of external files.

https://nwb-schema.readthedocs.io/en/latest/format.html#imageseries says what one is.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from imgstore.errors import ArgumentError

if TYPE_CHECKING:
    import datetime

    from pynwb.image import ImageSeries

    from imgstore import ImgStore

__all__ = ["image_series"]


def image_series(
    store: ImgStore,
    nwb_path: str | os.PathLike[str],
    session_start_time: datetime.datetime,
    *,
    name: str | None = None,
    description: str | None = None,
    **fields: Any,
) -> ImageSeries:
    """Describe a store's videos for an NWB file. No video is opened: the index knows which frames they hold.

    Parameters
    ----------
    store : ImgStore
        A store of videos, open for reading.
    nwb_path : path-like
        Where the NWB file will be: paths of videos are noted relative to it.
    session_start_time : datetime.datetime
        The NWB file's ``timestamps_reference_time``, which is its ``session_start_time`` where it has no other; with a
        time zone. Times of frames are seconds from it.
    name : str, optional
        Of the series; default that of the store's directory.
    description : str, optional
        Default: format, frames, and gaps in the frame numbers.
    **fields
        Other arguments of `pynwb.image.ImageSeries`, such as ``device``.

    Returns
    -------
    pynwb.image.ImageSeries
        To be added with ``nwbfile.add_acquisition``.

    Raises
    ------
    ArgumentError
        The store has no videos or no frames, the time has no zone, or the times of the frames do not ascend.
    """
    from pynwb.image import ImageSeries

    if session_start_time.tzinfo is None:
        raise ArgumentError("session_start_time needs a time zone: its seconds since the epoch cannot be told without")
    files = [file for file in store.chunk_files if file.frame_count]
    if not files:
        raise ArgumentError(f"{store.filename}: holds no frames")
    if any(os.path.isdir(file.path) for file in files):
        raise ArgumentError(f"{store.filename}: NWB refers to video files, and {store.format} has a file per frame")
    times = store.frame_times - session_start_time.timestamp()
    backwards = np.flatnonzero(np.diff(times) < 0)
    if len(backwards):
        raise ArgumentError(
            f"{store.filename}: NWB wants times that ascend, and {len(backwards)} frames are earlier than the one before, "
            f"the first at position {backwards[0] + 1}"
        )
    # The video of a frame is found through the file system from the NWB file, on this machine and others.
    beside = Path(nwb_path).resolve().parent
    paths = [Path(os.path.relpath(Path(file.path).resolve(), beside)).as_posix() for file in files]
    return ImageSeries(
        name=name or os.path.basename(store.filename.rstrip(os.sep)),
        description=description or _describe(store),
        unit="n.a.",
        format="external",
        external_file=paths,
        starting_frame=np.array([file.position for file in files], np.int32),
        timestamps=times,
        dimension=list(store.image_shape[1::-1]),
        **fields,
    )


def _describe(store: ImgStore) -> str:
    numbers = store.frame_numbers
    missing = int(np.sum(np.maximum(np.diff(numbers) - 1, 0)))
    return (
        f"{len(store)} frames in {store.format}, numbers {numbers[0]} to {numbers[-1]}, {missing} missing; "
        f"read exactly with imgstore (uuid {store.uuid})"
    )

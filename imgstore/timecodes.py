"""Time codes: the times of a store's frames in a form that muxers such as mkvmerge take beside a video.

References
----------
"timestamp format v2", mkvmerge documentation, https://mkvtoolnix.download/doc/mkvmerge.html#mkvmerge.external_timestamp_files
"""

from __future__ import annotations

from typing import Any, TextIO

import numpy as np
import numpy.typing as npt

__all__ = ["generate_timecodes"]

_LINES_AT_ONCE = 65536


def generate_timecodes(store: Any, dest_file: TextIO, *, start: float | None = None) -> npt.NDArray[np.float64]:
    """Write the time of each frame, from the first, in milliseconds, one a line.

    Parameters
    ----------
    store : store
        Open for reading; its position stays where it is.
    dest_file : text file
        Open for writing.
    start : float, optional
        Time in seconds from which they are counted; default that of the first frame.

    Returns
    -------
    ndarray of float64, shape (n,)
        Time of each frame from the first, or from `start`, in seconds.
    """
    times = np.asarray(store.frame_times, dtype=np.float64)
    since_first = times - (times[0] if start is None else start) if len(times) else np.empty(0)
    dest_file.write("# timecode format v2\n")
    for start in range(0, len(since_first), _LINES_AT_ONCE):
        milliseconds = (since_first[start : start + _LINES_AT_ONCE] * 1000.0).tolist()
        dest_file.write("".join(f"{t:.3f}\n" for t in milliseconds))
    return since_first

"""What a store is and what it holds: format, shape, numbers, times; and how it shows itself."""

from __future__ import annotations

import datetime
import math
import os
from typing import Any

import numpy as np
import numpy.typing as npt

from imgstore.disk.layout import METADATA_FILENAME
from imgstore.errors import ArgumentError
from imgstore.store.read_only import read_only
from imgstore.store.shared import Shared

__all__ = ["Contents"]


class Contents(Shared):
    """The part of `ImgStore` that tells what is in it. Of one that is being written, what has been added."""

    _user_metadata: dict[str, Any] | None = None  # made when it is first asked for

    # -- what it is ----------------------------------------------------------------------------------------------

    @property
    def mode(self) -> str:
        """``'r'`` or ``'w'``."""
        return self._mode

    @property
    def filename(self) -> str:
        """The store's directory, absolute; of plain files what was opened: a path, or a pattern."""
        return self._root

    @property
    def full_path(self) -> str:
        """Path of its ``metadata.yaml``; of plain files as `filename`."""
        if self._plain is not None:
            return self._root
        return os.path.join(self._root, METADATA_FILENAME)

    @property
    def format(self) -> str:
        """Name of the format, as in ``metadata.yaml``."""
        return self._meta.format

    @property
    def lossless(self) -> bool:
        """Whether frames come back exactly as they were written."""
        return self._entry.format.lossless if self._mode == "r" else self._lossless

    @property
    def uuid(self) -> str | None:
        """Identity of the recording, 32 hex digits; None in stores that are too old to have one."""
        return self._meta.uuid

    @property
    def origin(self) -> list[str]:
        """The uuids of the recordings that this one was made of, by `imgstore save`; none where it was recorded."""
        found = self._meta.values.get("origin")
        return [uuid for uuid in found if isinstance(uuid, str)] if isinstance(found, list) else []

    @property
    def created(self) -> tuple[datetime.datetime, datetime.tzinfo]:
        """When the store was made, in UTC, and the time zone of the recording."""
        return self._meta.created, self._meta.timezone

    @property
    def user_metadata(self) -> dict[str, Any]:
        """What was given as ``metadata`` when the store was written: a dict that cannot be changed.

        `imgstore.update_metadata` changes it on the disk, and ``store.user_metadata.copy()`` is the caller's own.
        """
        if self._user_metadata is None:
            self._user_metadata = read_only(self._meta.user)
        return self._user_metadata

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Shape of the frames: ``(h, w)`` or ``(h, w, 3)``; of decoded frames where they are decoded when read.

        Of a store that was made for ``(h, w, 1)`` it is that, as in 0.x, also where image files or videos give ``(h, w)``.
        """
        if self._mode != "r":
            return self._given_shape
        return self._frame_kind[0] if self._shown.changes else self._meta.imgshape

    @property
    def _frame_kind(self) -> tuple[tuple[int, ...], np.dtype[Any]]:
        """Shape and type of the frames as reading returns them."""
        return self._shown.applied_to(self._spec.shape, self._spec.dtype)

    @property
    def image_dtype(self) -> np.dtype[Any]:
        """Type of the samples of the frames."""
        return self._frame_kind[1] if self._mode == "r" and self._shown.changes else self._meta.imgdtype

    @property
    def fps(self) -> float:
        """Frames per second: from the metadata, the store's or Motif's, else from the times; NaN where unknown."""
        from imgstore.beside.motif import get_parse_true_fps

        stored = self._meta.values.get("fps", self._meta.values.get("framerate"))  # the latter by the fork
        if not isinstance(stored, (int, float)):
            try:
                stored = get_parse_true_fps(self, math.nan)
            except ArgumentError:  # what is noted is no number
                stored = math.nan
        if stored > 0:
            return float(stored)
        if self._reader is None or self.frame_count < 2:
            return math.nan
        intervals = np.diff(self.frame_times[:10000])
        intervals = intervals[intervals > 0]
        return float(1 / np.median(intervals)) if len(intervals) else math.nan

    # -- what it holds -------------------------------------------------------------------------------------------

    @property
    def frame_count(self) -> int:
        """Number of frames."""
        return self._writer.span.count if self._writer is not None else self._readable.index.frame_count

    def __len__(self) -> int:
        return self.frame_count

    def __bool__(self) -> bool:
        return True  # an empty store is a store

    @property
    def frame_min(self) -> float:
        """Lowest frame number; NaN when empty."""
        return self._writer.span.number_min if self._writer is not None else self._readable.index.frame_min

    @property
    def frame_max(self) -> float:
        """Highest frame number; NaN when empty."""
        return self._writer.span.number_max if self._writer is not None else self._readable.index.frame_max

    @property
    def frame_time_min(self) -> float:
        """Earliest frame time in seconds; 0 when empty."""
        if not self.frame_count:
            return 0.0
        return self._writer.span.time_min if self._writer is not None else self._readable.index.frame_time_min

    @property
    def frame_time_max(self) -> float:
        """Latest frame time in seconds; 0 when empty."""
        if not self.frame_count:
            return 0.0
        return self._writer.span.time_max if self._writer is not None else self._readable.index.frame_time_max

    @property
    def duration(self) -> float:
        """Seconds from the earliest to the latest frame; 0 when empty."""
        return self.frame_time_max - self.frame_time_min if self.frame_count else 0.0

    @property
    def frame_number(self) -> float:
        """Number of the frame that was read or written last; NaN before."""
        return self._writer.frame_number if self._writer is not None else self._readable.frame_number

    @property
    def frame_time(self) -> float:
        """Time in seconds of the frame that was read or written last; NaN before."""
        return self._writer.frame_time if self._writer is not None else self._readable.frame_time

    @property
    def chunks(self) -> list[int]:
        """Numbers of the chunks that hold frames; when writing, of those that are complete."""
        return list(self._writer.chunks if self._writer is not None else self._readable.index.chunks)

    @property
    def frame_numbers(self) -> npt.NDArray[np.int64]:
        """The numbers of all frames in store order, int64 ``(n,)``, read-only."""
        return self._readable.ask_of_all(lambda index: index.frame_numbers)

    @property
    def frame_times(self) -> npt.NDArray[np.float64]:
        """The times of all frames in store order, in seconds, float64 ``(n,)``, read-only."""
        return self._readable.ask_of_all(lambda index: index.frame_times)

    def get_frame_metadata(self) -> dict[str, list[Any]]:
        """Return ``{'frame_number': [...], 'frame_time': [...]}`` of all frames in store order."""
        return self._readable.ask_of_all(lambda index: index.get_all_metadata())

    def convert_frame_time_to_datetime(self, t: float, tz: datetime.tzinfo | None = None) -> datetime.datetime:
        """Turn a frame time into a date and time.

        Parameters
        ----------
        t : float
            Seconds since the epoch.
        tz : datetime.tzinfo, optional
            Zone of the result; default that of the recording.
        """
        return datetime.datetime.fromtimestamp(t, tz if tz is not None else self._meta.timezone)

    # -- at a glance ---------------------------------------------------------------------------------------------

    def _facts(self) -> list[tuple[str, str]]:
        """What a person wants to know at a glance."""
        shape = " x ".join(map(str, self.image_shape))
        facts = [("format", f"{self.format}, {self.image_dtype} {shape}")]
        if self._reader is None and self._writer is None:
            return [*facts, ("state", "closed")]
        facts.append(("frames", f"{self.frame_count} in {len(self.chunks)} chunks"))
        if self.frame_count:
            facts.append(("numbers", f"{self.frame_min} to {self.frame_max}"))
            facts.append(("span", f"{self.duration:.3f} s"))
        if self._writer is not None and not self._finalizer.alive:
            return [*facts, ("state", "written and closed")]
        return [*facts, ("state", "open for reading" if self._mode == "r" else "open for writing")]

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._root!r}: {'; '.join(f'{k} {v}' for k, v in self._facts())}>"

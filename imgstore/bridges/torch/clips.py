"""Clips of several frames as samples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from imgstore.bridges.torch.dataset import StoreDataset, whole_number
from imgstore.bridges.torch.layout import Output
from imgstore.bridges.torch.reading import Frames
from imgstore.bridges.torch.segments import By, Cutter, Ends, Segment, segments_in
from imgstore.bridges.torch.sources import Color
from imgstore.errors import ArgumentError

__all__ = ["ClipDataset"]


class ClipDataset(StoreDataset):
    """Clips of `length` frames out of stores, as a map-style dataset.

    Parameters
    ----------
    stores : path-like, ImgStore, or a list of such
        As in `FrameDataset`.
    length : int
        Frames of a clip.
    stride : float
        From one frame of a clip to the next: frames, or seconds where `by` is ``'time'``, of which the nearest frame counts.
    step : float, optional
        From the beginning of a clip to that of the next one, in the same unit; default `length` times `stride`.
    by : {'position', 'time'}
        What these are counted in.
    ends : {'error', 'repeat_last', 'wrap'}
        What becomes of clips that reach beyond the end of the store, or of their segment: only whole ones are taken, and a
        segment that holds none is an error; their last frame is repeated; or they begin again.
    segments : pandas.DataFrame, optional
        Parts of the stores, such as trials, from which alone clips are taken: ``start``, ``stop`` (the first that does not
        belong to it), and ``store``, the number of the store, where there are several.
    segments_by : {'number', 'time'}
        Whether these are frame numbers or times in seconds.
    transform, output, color, extra, threads
        As in `FrameDataset`; the transform is given a whole clip, and the extra data is that at the clip's first frame.

    Raises
    ------
    ArgumentError
        An argument cannot be used; a segment has no frames, or no whole clip where `ends` is ``'error'``: it is named.
    NotAStoreError, MetadataError, FormatError
        A path cannot be opened.

    Notes
    -----
    A sample is a dict:

    ``clip``
        ``(length, c, h, w)``, for numpy ``(length, h, w[, 3])``.
    ``frame_number``, ``frame_time``, ``position``
        Of each frame, int64, float64 and int64 ``(length,)``.
    ``store``, ``segment``
        Which store, and the place of the segment in the table (0 where there is none): int.
    ``extra``
        As in `FrameDataset`.
    """

    def __init__(
        self,
        stores: Any,
        length: int,
        *,
        stride: float = 1,
        step: float | None = None,
        by: By = "position",
        ends: Ends = "error",
        segments: Any = None,
        segments_by: str = "number",
        transform: Callable[[Any], Any] | None = None,
        output: Output = "torch",
        color: Color = "rgb",
        extra: bool | Sequence[str] = False,
        threads: int | None = None,
    ):
        super().__init__(stores, transform, output, color, extra, threads)
        if self._sources[0].is_group:
            raise ArgumentError("clips are of stores; of a group, give its stores")
        for name, value, allowed in (
            ("by", by, ("position", "time")),
            ("ends", ends, ("error", "repeat_last", "wrap")),
            ("segments_by", segments_by, ("number", "time")),
        ):
            if value not in allowed:
                raise ArgumentError(f"{name} must be one of {', '.join(map(repr, allowed))}, not {value!r}")
        if whole_number(length, "length") < 1:
            raise ArgumentError(f"length must be at least 1, not {length!r}")
        step = length * stride if step is None else step
        for name, distance in (("stride", stride), ("step", step)):
            if by == "position":
                whole_number(distance, f"{name} by position")
            if not distance > 0:
                raise ArgumentError(f"{name} must be positive, not {distance!r}")
        _check_table(segments, len(self._sources))
        self._cut_all(Cutter(length, stride, step, by, ends), segments, segments_by)

    def _cut_all(self, cutter: Cutter, table: Any, segments_by: str) -> None:
        """Find the frames of all clips."""
        clips: list[npt.NDArray[np.int64]] = [np.empty((0, cutter.length), np.int64)]
        stores: list[int] = []
        segments: list[int] = []
        places = {} if table is None else {label: place for place, label in enumerate(table.index)}
        for number, source in enumerate(self._sources):
            with source.open(1) as opened:
                name = opened.filename
                if table is None:
                    found = [Segment("the whole store", number, 0, len(opened))] if len(opened) else []
                else:
                    values = opened.frame_numbers if segments_by == "number" else opened.frame_times
                    found = segments_in(table, segments_by, number, name, values)
                times = opened.frame_times if cutter.by == "time" else None
            for segment in found:
                cut = cutter.cut(segment, times, name)
                clips.append(cut)
                stores += [number] * len(cut)
                segments += [places.get(segment.label, 0)] * len(cut)
        self._clips = np.concatenate(clips)
        self._stores, self._segments = np.array(stores, np.int64), np.array(segments, np.int64)

    def __len__(self) -> int:
        return len(self._clips)

    def group_starts(self) -> npt.NDArray[np.int64]:
        groups = np.empty(len(self), np.int64)
        for number, source in enumerate(self._sources):
            of_it = self._stores == number
            with source.open(None) as opened:
                groups[of_it] = np.searchsorted(opened.get_key_frames(), self._clips[of_it, 0], side="right")
        change = np.ones(len(self), bool)
        for values in (groups, self._stores, self._segments):
            change[1:] &= np.diff(values) == 0
        change[:1] = False
        return np.flatnonzero(~change)

    def _places(self, sample: int) -> tuple[int, Sequence[int]]:
        return int(self._stores[sample]), self._clips[sample].tolist()

    def _make(self, sample: int, frames: Frames) -> dict[str, Any]:
        number, positions = self._places(sample)
        found = [frames[number, position] for position in positions]
        clip = self._layout.images([piece.images[0][k] for piece, k in found], found[0][0].colors[0])
        values = self._layout.values
        made = {
            "clip": self._transformed(clip),
            "frame_number": values(np.array([piece.numbers[k, 0] for piece, k in found], np.int64)),
            "frame_time": values(np.array([piece.times[k, 0] for piece, k in found], np.float64)),
            "position": values(self._clips[sample].copy()),
            "store": number,
            "segment": int(self._segments[sample]),
        }
        piece, k = found[0]
        return self._with_records(made, number, float(piece.times[k, 0]))


def _check_table(segments: Any, stores: int) -> None:
    if segments is None:
        return
    missing = {"start", "stop"}.difference(segments.columns)
    if missing:
        raise ArgumentError(f"a table of segments has the columns 'start' and 'stop', and this one lacks {min(missing)!r}")
    if not segments.index.is_unique:
        raise ArgumentError("a table of segments has a name of its own for each row in its index: table.reset_index()")
    if "store" not in segments:
        if stores > 1:
            raise ArgumentError(f"the column 'store' of a table of segments says which of the {stores} stores each is in")
    elif not segments["store"].isin(range(stores)).all():
        raise ArgumentError(f"the column 'store' of a table of segments counts stores from 0, and there are {stores}")

"""One recording that is looked at: the stores of one or of several cameras in step, and what is said about them."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

import imgstore
from imgstore.errors import ArgumentError, ChunkError, FrameNotFoundError, ImgStoreError
from imgstore.group import StoreGroup, camera_names
from imgstore.local_time import local_time
from imgstore.web.beside import Columns
from imgstore.web.buckets import Events, Positions, Series, edges_of, find_events
from imgstore.web.clock import read_time, round_times

__all__ = ["Camera", "NoFrameError", "Recording", "open_recording"]

_KINDS = {"missing": "sum", "pause": "max", "repeat": "sum", "back": "sum", "clock": "max", "fault": "sum", "absent": "sum"}
_TICKS = 8
_MOST_OPENED = 40  # chunks, to find their key frames
_MOST_FAULTS = 10_000  # that were met and are remembered
_BESIDE = 0.75  # of the usual interval: a frame that is further from a time is not the one of that time
_CACHE = 64 * 2**20  # bytes of decoded frames of each store: a group of pictures, so that going backwards is quick, and no more
_DRIFT = 0.25, 0.01  # seconds, and part of its length, by which the times of a number move apart in cameras that have the same
_LIVE = 10.0  # seconds after which a recording that has not grown is taken for finished


def open_recording(path: str) -> Any:
    """Open what is to be looked at; the only place that does."""
    return imgstore.open(path, cache_size=_CACHE)


class NoFrameError(LookupError):
    """A camera has no frame at this instant."""


class Camera:
    """One store, and what has been found out about it."""

    def __init__(self, store: Any, name: str):
        self.store, self.name = store, name
        self._faults: dict[int, str] = {}
        self._lock = threading.Lock()
        self._known: tuple[int, dict[str, Events], float | None, Series] | None = None
        self._quickest: tuple[int, Positions] | None = None
        self._columns = Columns(store)

    def read(self, position: int) -> tuple[Any, int, float]:
        """Return image, number and time of a frame.

        Raises
        ------
        ChunkError
            It is damaged, which is remembered.
        """
        try:
            img, (number, seconds) = self.store.get_image(frame_index=position)
        except ChunkError as error:
            if len(self._faults) < _MOST_FAULTS:
                self._faults[position] = str(error)
            raise
        self._faults.pop(position, None)
        return img, int(number), float(seconds)

    def tell(self, position: int) -> tuple[int, float]:
        """Return number and time of a frame without decoding it."""
        numbers, times = self.store.frame_numbers, self.store.frame_times
        return int(numbers[position]), float(times[position])

    def facts(self) -> dict[str, Any]:
        """Tell what can be told at once, however long the recording is."""
        store = self.store
        return {
            "name": self.name,
            "path": store.filename,
            "format": store.format,
            "lossless": bool(store.lossless),
            "shape": list(store.image_shape),
            "dtype": str(store.image_dtype),
            "count": store.frame_count,
            "chunks": len(store.chunks),
            "duration": store.duration,
            "from": local_time(store, store.frame_time_min) if store.frame_count else "",
            "to": local_time(store, store.frame_time_max) if store.frame_count else "",
        }

    def index(self) -> tuple[dict[str, Events], Series, float | None]:
        """Return what its index tells of faults, the intervals between frames, and the usual one; kept until it grows."""
        with self._lock:
            if self._known is None or self._known[0] != self.store.frame_count:
                numbers, times = self.store.frame_numbers, self.store.frame_times
                events, usual = find_events(numbers, times)
                intervals = np.diff(times, prepend=math.nan) if len(times) else times
                series = Series(np.arange(len(times), dtype=np.int64), intervals)
                self._known = len(times), events, usual, series
            _, events, usual, series = self._known
        met = np.array(sorted(self._faults), np.int64)
        return {**events, "fault": Events(met, np.ones(len(met)))}, series, usual

    def quickest(self) -> Positions:
        """Return positions of frames that are decoded alone: key frames; of many chunks, or damaged ones, their first frames."""
        with self._lock:
            if self._quickest is None or self._quickest[0] != self.store.frame_count:
                files = self.store.chunk_files
                found = np.array([file.position for file in files], np.int64)
                if len(files) <= _MOST_OPENED:
                    with contextlib.suppress(ImgStoreError, OSError):
                        found = self.store.get_key_frames()
                self._quickest = self.store.frame_count, found
            return self._quickest[1]

    def columns(self) -> Columns:
        """Return what was recorded beside the frames; read from when it is first asked for, and again when there is more."""
        self._columns.begin()
        return self._columns

    def close(self) -> None:
        """Close the store."""
        self._columns.close()
        self.store.close()


class Recording:
    """The cameras of a recording, and its steps: the frames of the only one, or of the first and what belongs to them.

    Parameters
    ----------
    paths : sequence of str
        The stores.
    align : {'', 'number', 'time'}
        What frames of a step have in common; default number where the stores have numbers in common and these are those of
        the same moments, else time.

    Raises
    ------
    ImgStoreError
        They cannot be opened, or do not belong together.
    """

    def __init__(self, paths: Sequence[str], align: str = ""):
        with contextlib.ExitStack() as opened:
            stores = [opened.enter_context(open_recording(path)) for path in paths]
            self.cameras = [Camera(*each) for each in zip(stores, camera_names(stores), strict=True)]
            self.align = ""
            self._group = self._in_step(align)
            opened.pop_all()
        self._lock = threading.Lock()
        self._grown = 0.0  # when it was last seen to grow
        self._rate: tuple[float, int] = (time.monotonic(), self.count)

    def _in_step(self, align: str) -> StoreGroup | None:
        if len(self.cameras) == 1:
            return None
        stores = [camera.store for camera in self.cameras]
        group = None
        tried = [align] if align else ["number", "time"]
        for each in tried:
            try:
                found = StoreGroup(stores, align=each, on_error="raise")  # type: ignore[arg-type]
            except ArgumentError:
                if group is None and each == tried[-1]:
                    raise
            else:
                group, self.align = found, each
                if not _moves_apart(group):
                    break
        return group

    @property
    def count(self) -> int:
        """How many steps there are."""
        return len(self._group) if self._group is not None else int(self.cameras[0].store.frame_count)

    def position(self, camera: int, step: int) -> int:
        """Return where in a camera's store the frame of a step is.

        Raises
        ------
        FrameNotFoundError
            There is no such step.
        NoFrameError
            The camera has no frame for it.
        """
        if not 0 <= step < self.count:
            raise FrameNotFoundError(f"there is no frame at position {step}, there are {self.count}, from 0")
        if self._group is None:
            return step
        found = int(self._group.table.columns[camera, step])
        if found < 0:
            raise NoFrameError(f"{self.cameras[camera].name} has no frame at this instant")
        return found

    def positions(self, camera: int, start: int, stop: int) -> Any:
        """Return where in a camera's store the frames of steps are that it has, as an int64 array."""
        if self._group is None:
            return np.arange(start, min(stop, self.count))
        found = self._group.table.columns[camera, start:stop]
        return found[found >= 0]

    def label(self, camera: int, step: int, number: int, seconds: float) -> dict[str, Any]:
        """Tell which frame this is. Numbers are text: a browser's own are exact below 2**53 alone."""
        store = self.cameras[camera].store
        return {
            "index": step,
            "number": str(number),
            "time": repr(seconds),
            "date": local_time(store, seconds),
            "since": round(seconds - store.frame_time_min, 6) if math.isfinite(seconds) else None,
        }

    def facts(self) -> dict[str, Any]:
        """Tell what it is, without reading the whole index."""
        return {"count": self.count, "align": self.align, "cameras": [camera.facts() for camera in self.cameras]}

    def summary(self) -> dict[str, Any]:
        """Tell how many places of each kind of fault there are in all cameras, and how much of it; and the usual interval."""
        totals: dict[str, list[float]] = {}
        for camera in range(len(self.cameras)):
            for kind, events in self._events(camera).items():
                total = totals.setdefault(kind, [0, 0.0])
                total[0] += len(events.positions)
                total[1] += float(events.amounts.sum())
        _, _, usual = self.cameras[0].index()
        return {"usual": usual, "fps": 1 / usual if usual else None, "totals": totals}

    # -- finding a frame -------------------------------------------------------------------------------------------

    def find(self, what: str, text: str, near: int) -> tuple[int, float]:
        """Return the step that somebody has typed, and the seconds by which it is beside the time, if that is not another's.

        Parameters
        ----------
        what : {'number', 'time'}
            Of the first camera's frames.
        text : str
            A frame number; or a time, see `imgstore.web.clock.read_time`.
        near : int
            The step that is shown: its day is meant, and of frames with the same number or time the next after it.

        Raises
        ------
        ArgumentError, FrameNotFoundError
            There is no such frame.
        """
        camera = self.cameras[0]
        store = camera.store
        if not self.count:
            raise FrameNotFoundError("the recording is empty")
        near = min(max(near, 0), self.count - 1)
        if what == "number":
            try:
                number = np.int64(int(text.strip()))
            except (ValueError, OverflowError):
                raise ArgumentError(f"{text!r} is no frame number") from None
            at = np.flatnonzero(store.frame_numbers[: self.count] == number)
            if not len(at):
                raise FrameNotFoundError(_beside_number(number, store.frame_numbers[: self.count]))
            later = at[at > near]
            return int(later[0] if len(later) and near in at else at[0]), 0.0
        times = store.frame_times[: self.count]
        wanted = read_time(store, text, float(times[near]), float(times[0]))
        away = np.abs(times - wanted)
        if not np.isfinite(away).any():
            raise FrameNotFoundError("the frames have no times")
        found = int(np.nanargmin(away))
        _, _, usual = camera.index()
        beside = float(times[found]) - wanted
        return found, beside if abs(beside) > _BESIDE * (usual or 0.0) else 0.0

    def next_fault(self, step: int, direction: int) -> tuple[int, str, float, str] | None:
        """Return the next step, or the one before, at which something begins to be wrong; what, how much, of which camera."""
        best: tuple[int, str, float, str] | None = None
        for camera in range(len(self.cameras)):
            for kind, events in self._events(camera).items():
                positions, amounts = events.positions, events.amounts
                if kind == "absent":  # many in a row are one
                    begins = np.flatnonzero(np.diff(positions, prepend=-2) > 1)
                    amounts = np.diff(begins, append=len(positions))
                    positions = positions[begins]
                k = int(np.searchsorted(positions, step, side="right" if direction > 0 else "left")) - (direction < 0)
                if 0 <= k < len(positions):
                    position = int(positions[k])
                    if position < self.count and (best is None or (position - best[0]) * direction < 0):
                        best = position, kind, float(amounts[k]), self.cameras[camera].name
        return best

    def _events(self, camera: int) -> dict[str, Events]:
        """Return what is wrong, by steps."""
        events, _, _ = self.cameras[camera].index()
        if self._group is not None:
            column = self._group.table.columns[camera]
            absent = np.flatnonzero(column < 0)
            if camera != 0:
                there = np.flatnonzero(column >= 0)
                events = {kind: _by_steps(column[there], there, each) for kind, each in events.items()}
            events = {**events, "absent": Events(absent.astype(np.int64), np.ones(len(absent)))}
        return events

    # -- the time line ---------------------------------------------------------------------------------------------

    def timeline(self, camera: int, start: int, stop: int, buckets: int) -> dict[str, Any]:
        """Tell what happened between two steps: for each kind the buckets in which it did, see `Events.look`."""
        edges, start, stop = self._edges(start, stop, buckets)
        events = {kind: each.look(edges, _KINDS[kind]) for kind, each in self._events(camera).items()}
        store = self.cameras[camera].store
        answer = {"start": start, "stop": stop, "buckets": len(edges) - 1, "events": events}
        if self._group is None:
            borders = np.array([file.position for file in store.chunk_files], np.int64)
            inside = borders[(borders > start) & (borders < stop)]
            answer["chunks"] = inside.tolist() if len(inside) <= buckets // 4 else []
        if camera == 0 and stop > start:
            answer["ticks"] = self._ticks(start, stop)
        return answer

    def _ticks(self, start: int, stop: int) -> list[list[Any]]:
        """Return positions in a stretch and the times to be written there: round ones, where clocks do not go back."""
        store = self.cameras[0].store
        times = store.frame_times
        back = self.cameras[0].index()[0]["clock"].positions
        if np.searchsorted(back, start + 1) == np.searchsorted(back, stop):
            part = times[start:stop]
            wanted = round_times(store, float(part[0]), float(part[-1]), _TICKS)
            at = np.searchsorted(part, wanted)
            places, kept = np.unique(at, return_index=True)  # of those within a pause the first
            if len(places) > 1:
                return [[start + int(p), local_time(store, wanted[k])] for p, k in zip(places, kept, strict=True)]
        at = np.unique(np.linspace(start, stop - 1, _TICKS + 1).astype(np.int64)[:-1])
        return [[int(p), local_time(store, float(times[p]))] for p in at]

    def pictures(self, start: int, stop: int, count: int) -> list[int]:
        """Return a step in each of so many parts of a stretch: of the first camera's key frames the one next to the middle."""
        edges, _, _ = self._edges(start, stop, count)
        middles = (edges[:-1] + edges[1:]) // 2
        keys = self.cameras[0].quickest()
        if len(keys):
            after = np.minimum(np.searchsorted(keys, middles), len(keys) - 1)
            before = np.maximum(after - 1, 0)
            near = np.where(middles - keys[before] < keys[after] - middles, keys[before], keys[after])
            middles = np.where((near >= edges[:-1]) & (near < edges[1:]), near, middles)
        return [int(step) for step in middles]

    def plot(self, camera: int, column: int | None, start: int, stop: int, buckets: int) -> dict[str, Any]:
        """Return minimum, maximum and count per bucket of a column, or of the intervals between frames.

        Raises
        ------
        ArgumentError
            There is no such column.
        """
        edges, start, stop = self._edges(start, stop, buckets)
        answer: dict[str, Any] = {"start": start, "stop": stop, "buckets": len(edges) - 1}
        own = self._own_edges(camera, edges)
        if column is not None:
            series = self.cameras[camera].columns().series(column)
        else:
            series = self.cameras[camera].index()[1]
        if isinstance(series, Events):
            return {**answer, "events": series.look(own, "sum")}
        low, high, count = series.look(own)
        known = count > 0
        return {
            **answer,
            "low": [float(f"{v:.7g}") if k else None for v, k in zip(low.tolist(), known.tolist(), strict=True)],
            "high": [float(f"{v:.7g}") if k else None for v, k in zip(high.tolist(), known.tolist(), strict=True)],
            "count": count.tolist(),
        }

    def values(self, camera: int, step: int) -> list[str | None]:
        """Return what each column says at a step, as text."""
        return self.cameras[camera].columns().at(self.position(camera, step))

    def _edges(self, start: int, stop: int, buckets: int) -> tuple[Positions, int, int]:
        start = min(max(start, 0), self.count)
        stop = min(max(stop, start), self.count)
        if stop == start:
            stop = min(start + 1, self.count)
            start = max(0, stop - 1)
        return edges_of(start, stop, buckets), start, stop

    def _own_edges(self, camera: int, edges: Positions) -> Positions:
        """Turn steps into positions in a camera's store."""
        if self._group is None or camera == 0:
            return edges
        column = self._group.table.columns[camera]
        there = np.flatnonzero(column >= 0)
        ascending = np.maximum.accumulate(column[there].astype(np.int64)) if len(there) else there
        at = np.searchsorted(there, edges)
        last = int(ascending[-1]) + 1 if len(ascending) else 0
        own: Positions = np.append(ascending, last)[at]
        return own

    # -- a recording that goes on ----------------------------------------------------------------------------------

    def refresh(self) -> dict[str, Any]:
        """Bring in what has been recorded meanwhile, and tell how it goes."""
        with self._lock:
            before = [camera.store.frame_count for camera in self.cameras]
            now = time.monotonic()
            for camera in self.cameras:
                camera.store.refresh()
            if [camera.store.frame_count for camera in self.cameras] != before:
                self._grown = now
                if self._group is not None:
                    with contextlib.suppress(ImgStoreError):  # as it was, until they go together again
                        self._group = self._in_step(self.align)
            since, count = self._rate
            rate = (self.count - count) / (now - since) if now > since else 0.0
            if now - since > 5:
                self._rate = now, self.count
            live = bool(self._grown) and now - self._grown < _LIVE
        answer: dict[str, Any] = {"count": self.count, "duration": self.cameras[0].store.duration, "live": live}
        if live and self.count:
            camera = self.cameras[0]
            missing = camera.index()[0]["missing"]
            newest = float(camera.store.frame_time_max)
            age = time.time() - newest
            answer |= {
                "rate": round(rate, 2),
                "dropped": int(missing.amounts.sum()),
                "age": round(age, 3) if -5 < age < 366 * 86400 else None,  # clocks that count from elsewhere have none
            }
        return answer

    def close(self) -> None:
        """Close the stores."""
        for camera in self.cameras:
            camera.close()


def _beside_number(number: Any, numbers: Any) -> str:
    """Tell why a number is not there, and which are, next to it."""
    low, high = int(numbers.min()), int(numbers.max())
    if not low <= number <= high:
        return f"no frame has the number {number}: they go from {low} to {high}"
    before, after = int(numbers[numbers < number].max()), int(numbers[numbers > number].min())
    return f"no frame has the number {number}: it is missing, between {before} and {after}"


def _moves_apart(group: StoreGroup) -> bool:
    """Whether cameras in step by number are not by time: of other rates, or with counters that do not count what was lost."""
    columns = group.table.columns
    for camera in range(1, len(columns)):
        there = np.flatnonzero(columns[camera] >= 0)
        ends = there[[0, -1]]
        first, last = (store.frame_times[columns[k, ends]] for k, store in ((0, group.stores[0]), (camera, group.stores[camera])))
        seconds, drift = np.ptp(first), abs(np.diff(last)[0] - np.diff(first)[0])
        if drift > max(_DRIFT[0], _DRIFT[1] * seconds):  # never where there are no times
            return True
    return False


def _by_steps(column: Any, there: Any, events: Events) -> Events:
    """Turn positions in a store into the steps at which they are shown, or the first one after them."""
    order = np.maximum.accumulate(column.astype(np.int64)) if len(column) else column
    at = np.searchsorted(order, events.positions)
    inside = at < len(there)
    return Events(there[at[inside]].astype(np.int64), events.amounts[inside])

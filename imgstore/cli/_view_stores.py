"""What is to be seen at a step: the frame of one store, or of several in step; where to go from there; what to save."""

from __future__ import annotations

import contextlib
import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt

from imgstore.cli._facts import find_missing, find_pauses
from imgstore.cli._picture import Levels
from imgstore.errors import ArgumentError, ChunkError
from imgstore.group import StoreGroup, camera_names
from imgstore.local_time import local_time, read_clock

__all__ = ["Seen", "Stores", "save_frames"]

_SECONDS = re.compile(r"([+-]?)(\d{1,15}(?:\.\d*)?)\s*s", re.ASCII)
_WANTED = "a number (250), a position (#12), seconds from the first (12.5s), or a time (14:03:20)"


@dataclass(frozen=True)
class Seen:
    """What one store shows at a step: the frame that was read, and which that is."""

    store: Any
    name: str
    img: npt.NDArray[Any] | None = None
    number: int | None = None
    time: float = math.nan
    problem: str = ""

    @property
    def when(self) -> str:
        """Its date and time where it was recorded, empty where there is no frame."""
        return local_time(self.store, self.time) if self.number is not None else ""


class Stores:
    """One store, or several in step: then the first one's frames are the steps.

    Raises
    ------
    ArgumentError
        They do not belong together.
    """

    def __init__(self, stores: Sequence[Any]):
        self.stores = tuple(stores)
        alone = len(self.stores) == 1
        self.names = (os.path.basename(self.stores[0].filename),) if alone else camera_names(self.stores)
        self._group = _in_step(self.stores)
        self._gaps: tuple[int, npt.NDArray[np.int64]] | None = None

    @property
    def count(self) -> int:
        """How many steps there are."""
        return len(self._group) if self._group is not None else int(self.stores[0].frame_count)

    def read(self, step: int) -> list[Seen]:
        """Read the frames of a step; one that is damaged is told on stderr, and does not end the show."""
        return [self._read(c, step) for c in range(len(self.stores))]

    def _read(self, c: int, step: int) -> Seen:
        store, name = self.stores[c], self.names[c]
        if step >= self.count:
            return Seen(store, name, problem="no frame yet")
        position = int(self._group.table.columns[c, step]) if self._group is not None else step
        if position < 0:
            return Seen(store, name, problem="no frame at this instant")
        try:
            img, (number, time) = store.get_image(None, frame_index=position)
            return Seen(store, name, img, int(number), float(time))
        except ChunkError as error:
            click.echo(f"imgstore: error: {error}", err=True)
            number, time = int(store.frame_numbers[position]), float(store.frame_times[position])
            return Seen(store, name, None, number, time, "cannot be read")

    def refresh(self) -> bool:
        """Bring in what has been recorded meanwhile; return whether that was something."""
        before = [store.frame_count for store in self.stores]
        if [store.refresh() for store in self.stores] == before:
            return False
        if len(self.stores) > 1:
            with contextlib.suppress(ArgumentError):  # as it was, until they go together again
                self._group = _in_step(self.stores)
        return True

    # -- where to go -----------------------------------------------------------------------------------------------

    def gaps(self) -> npt.NDArray[np.int64]:
        """Return the steps before which frames are missing or a pause was long, or from which a camera has none."""
        count = self.count
        if self._gaps is None or self._gaps[0] != count:
            first, at = self.stores[0], np.zeros(count, bool)
            for before in (find_missing(first.frame_numbers[:count])[0], find_pauses(first.frame_times[:count])[0]):
                at[before + 1] = True
            if self._group is not None:
                for column in self._group.table.columns:
                    at |= np.diff(column < 0, prepend=False) & (column < 0)
            self._gaps = count, np.flatnonzero(at)
        return self._gaps[1]

    def gap_from(self, step: int, way: int) -> int | None:
        """Return the next step at a gap, or with a `way` of -1 the one before; None where there is none."""
        gaps = self.gaps()
        there = gaps[gaps > step] if way > 0 else gaps[gaps < step][::-1]
        return int(there[0]) if len(there) else None

    def away(self, step: int, seconds: float) -> int:
        """Return the step whose time is so many seconds later (or earlier), at least one step away."""
        way = 1 if seconds > 0 else -1
        times = self.stores[0].frame_times[: self.count]
        part = times[step + 1 :] if way > 0 else times[:step][::-1]
        if not len(part):
            return step
        distance = np.abs(part - (times[step] + seconds))
        return step + way * (int(np.nanargmin(distance)) + 1 if np.isfinite(distance).any() else 1)

    def find(self, text: str, near: int) -> int:
        """Return the step that somebody has typed: of the first store's numbers and times.

        Parameters
        ----------
        text : str
            ``250``, ``#12`` (position from 1, as it is shown), ``12.5s`` from the first frame (``-2s`` from the last), or
            ``14:03:20.5``, with or without a date before it.
        near : int
            The step that is shown: of frames with the same number the next after it is meant, and its day where none is typed.

        Raises
        ------
        ArgumentError
            There is no such frame.
        """
        text = " ".join(text.split())
        store, count = self.stores[0], self.count
        if not count:
            raise ArgumentError("there is no frame yet")
        if re.fullmatch(r"#\d+", text, re.ASCII):
            if not 1 <= int(text[1:]) <= count:
                raise ArgumentError(f"there is no position {text[1:]}: 1 to {count}")
            return int(text[1:]) - 1
        if re.fullmatch(r"-?\d+", text, re.ASCII):
            at = np.flatnonzero(store.frame_numbers[:count] == int(text))
            if not len(at):
                raise ArgumentError(f"no frame has the number {text}")
            later = at[at > near]
            return int(later[0] if len(later) else at[0])
        times = store.frame_times[:count]
        wanted = _read_time(store, text, times, near)
        distance = np.abs(times - wanted)
        if not np.isfinite(distance).any():
            raise ArgumentError("the frames have no times")
        return int(np.nanargmin(distance))


def _in_step(stores: Sequence[Any]) -> StoreGroup | None:
    """Put several stores in step by number, by time where they have no numbers in common."""
    if len(stores) == 1:
        return None
    try:
        return StoreGroup(stores, align="number")
    except ArgumentError:
        return StoreGroup(stores, align="time")


def _read_time(store: Any, text: str, times: npt.NDArray[np.float64], near: int) -> float:
    seconds = _SECONDS.fullmatch(text)
    if seconds is not None:
        away = float(seconds[2])
        return float(times[-1]) - away if seconds[1] == "-" else float(times[0]) + away
    moment = read_clock(store, text, float(times[near]))
    if moment is None:
        raise ArgumentError(f"{text!r}? {_WANTED}")
    return moment


def save_frames(seen: Sequence[Seen], levels: Sequence[Levels], directory: Path) -> list[Path]:
    """Save the frames of a step as PNG, each named after its store, number and time; never over a file that is there.

    8 and 16 bits are saved as they are, other types as they are shown.

    Raises
    ------
    OSError
        A file cannot be written.
    """
    import cv2

    saved = []
    for each, own in zip(seen, levels, strict=True):
        if each.img is None:
            continue
        samples = each.img if each.img.dtype in (np.uint8, np.uint16) else own.to_8_bits(each.img)
        _, data = cv2.imencode(".png", np.ascontiguousarray(samples))
        name = re.sub(r"[^\w.+-]+", "-", f"{each.name}_{each.number}_{each.when.replace(':', '.')}")
        saved.append(_write_new(directory / name, data.tobytes()))
    return saved


def _write_new(stem: Path, data: bytes) -> Path:
    attempt = 1
    while True:
        path = Path(f"{stem}{f'_{attempt}' if attempt > 1 else ''}.png")
        try:
            file = open(path, "xb")  # noqa: SIM115
        except FileExistsError:
            attempt += 1
            continue
        try:
            with file:
                file.write(data)
        except OSError:
            path.unlink(missing_ok=True)
            raise
        return path

"""What the window shows, drawn: frames side by side, the status bar and the time line under them, and where all that is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from imgstore.cli._picture import Image, enlarged, status_bar

__all__ = ["LINE_HEIGHT", "STATUS_HEIGHT", "Zoom", "cells_of", "column_of", "columns_of", "draw_frames", "draw_help",
           "draw_time_line", "first_size", "fitted", "step_at"]  # fmt: skip

STATUS_HEIGHT, LINE_HEIGHT = 26, 22
_LABEL = 20
_MOST = (1600, 900)  # of a new window
_MOST_ZOOM = 64.0
_TRACK, _GAP, _HERE = (60, 60, 60), (60, 60, 230), (255, 255, 255)


@dataclass(frozen=True)
class Zoom:
    """Which part of the frames is seen: how many times as large, and around which point, in parts of the frame."""

    factor: float = 1.0
    x: float = 0.5
    y: float = 0.5

    def by(self, factor: float, at: tuple[float, float] = (0.5, 0.5)) -> Zoom:
        """Return it zoomed; the point that is seen `at` (in parts of the cell) stays where it is."""
        new = min(_MOST_ZOOM, max(1.0, self.factor * factor))
        shift = 1 / self.factor - 1 / new
        return replace(self, factor=new)._moved((at[0] - 0.5) * shift, (at[1] - 0.5) * shift)

    def drag(self, x: float, y: float) -> Zoom:
        """Return it after the picture was dragged by parts of the cell."""
        return self._moved(-x / self.factor, -y / self.factor)

    def _moved(self, x: float, y: float) -> Zoom:
        edge = 0.5 / self.factor
        return replace(self, x=min(1 - edge, max(edge, self.x + x)), y=min(1 - edge, max(edge, self.y + y)))


def first_size(shapes: Sequence[tuple[int, ...]], bars: int) -> tuple[int, int]:
    """Return height and width of a window in which frames of these shapes are seen."""
    rows, columns = _grid(len(shapes))
    zoom = enlarged(max(shape[1] for shape in shapes) * columns)
    height, width = (zoom * n * max(shape[k] for shape in shapes) for k, n in ((0, rows), (1, columns)))
    scale = min(1.0, _MOST[0] / width, _MOST[1] / height)
    labels = _LABEL * rows if len(shapes) > 1 else 0
    return max(80, round(height * scale)) + labels + bars, max(80, round(width * scale))


def cells_of(size: tuple[int, int], count: int) -> list[tuple[int, int, int, int]]:
    """Return top, left, height and width of the place of each of several frames; above each there is room for its label."""
    rows, columns = _grid(count)
    label = _LABEL if count > 1 else 0
    tops, lefts = ([k * length // n for k in range(n + 1)] for length, n in ((size[0], rows), (size[1], columns)))
    places = [(r, c) for r in range(rows) for c in range(columns)][:count]
    return [
        (tops[r] + label, lefts[c], max(1, tops[r + 1] - tops[r] - label), lefts[c + 1] - lefts[c]) for r, c in places
    ]


def _grid(count: int) -> tuple[int, int]:
    columns = math.ceil(math.sqrt(count))
    return -(-count // columns), columns


def draw_frames(
    size: tuple[int, int], pictures: Sequence[Image | None], labels: Sequence[str], zoom: Zoom
) -> Image:
    """Draw frames side by side, each as large as its place allows, with a label where it has one.

    Parameters
    ----------
    size : tuple of int
        Height and width of all.
    pictures : sequence of (numpy.ndarray or None)
        ``(h, w, 3)`` uint8; None: there is none.
    labels : sequence of str
        What is written above each; of a single one, over its upper edge.
    zoom : Zoom
        The part that is seen, of all alike.
    """
    canvas = np.zeros((*size, 3), np.uint8)
    for (top, left, height, width), picture, label in zip(cells_of(size, len(pictures)), pictures, labels, strict=True):
        if picture is not None:
            _place(canvas[top : top + height, left : left + width], picture, zoom)
        if label:
            above = max(0, top - _LABEL)
            place = canvas[above : above + _LABEL, left : left + width]
            place[:] = status_bar((_LABEL, width), label, "")[: len(place)]
    return canvas


def fitted(cell: tuple[int, int], shape: tuple[int, ...]) -> tuple[float, float]:
    """Return height and width of a whole frame in a place of height and width `cell`."""
    scale = min(cell[0] / shape[0], cell[1] / shape[1])
    return shape[0] * scale, shape[1] * scale


def _place(cell: Image, picture: Image, zoom: Zoom) -> None:
    """Draw the part of a picture that is seen into the middle of its place; each of its pixels whole where it is enlarged."""
    import cv2

    (rows, columns), (height, width) = cell.shape[:2], picture.shape[:2]
    scale = fitted((rows, columns), picture.shape)[0] / height * zoom.factor
    (top, bottom), (left, right) = (
        _part(length, room / scale, middle) for length, room, middle in ((height, rows, zoom.y), (width, columns, zoom.x))
    )
    out_height, out_width = max(1, min(rows, round((bottom - top) * scale))), max(1, min(columns, round((right - left) * scale)))
    part = picture[top:bottom, left:right]
    if (out_height, out_width) != part.shape[:2]:
        how = cv2.INTER_NEAREST if scale >= 1 else cv2.INTER_AREA
        part = cv2.resize(np.ascontiguousarray(part), (out_width, out_height), interpolation=how)  # type: ignore[assignment]
    y, x = (rows - out_height) // 2, (columns - out_width) // 2
    cell[y : y + out_height, x : x + out_width] = part


def _part(length: int, room: float, middle: float) -> tuple[int, int]:
    """Return from where to where a frame is seen, of which so many pixels have room."""
    seen = max(1, min(length, round(room)))
    start = min(length - seen, max(0, round(middle * length - seen / 2)))
    return start, start + seen


def column_of(step: int, width: int, count: int) -> int:
    """Return the column of the time line at which a step begins."""
    return min(width - 1, -(-step * width // count))


def columns_of(steps: npt.NDArray[np.int64], width: int, count: int) -> npt.NDArray[np.int64]:
    """Return the columns at which some steps begin, each once; see `column_of`."""
    there = np.zeros(width, bool)
    if count:
        there[np.minimum(width - 1, -(-steps * width // count))] = True
    return np.flatnonzero(there)


def step_at(column: int, width: int, count: int) -> int:
    """Return the step that is meant by a column of the time line; the last column is the last step."""
    if column >= width - 1:
        return count - 1
    return min(count - 1, max(0, column) * count // width)


def draw_time_line(width: int, count: int, step: int, gaps: npt.NDArray[np.int64]) -> Image:
    """Draw all steps as a line: where the one that is shown is, and the columns in which there are gaps."""
    line = np.zeros((LINE_HEIGHT, width, 3), np.uint8)
    line[4:-4] = _TRACK
    if count:
        line[2:-2, gaps] = _GAP
        here = column_of(step, width, count)
        line[:2, max(0, here - 1) : here + 2] = line[-2:, max(0, here - 1) : here + 2] = _HERE
        line[4:-4, here] = np.where((line[4:-4, here] == _GAP).all(axis=1)[:, None], _GAP, _HERE)
    return line


def draw_help(canvas: Image, lines: Sequence[tuple[str, str]]) -> None:
    """Write what the keys do over the frames."""
    rows = min(24, max(8, canvas.shape[0] // (len(lines) + 1)))
    width = min(canvas.shape[1], 24 * rows)
    for k, (keys, meaning) in enumerate(lines):
        cell = canvas[k * rows : (k + 1) * rows, :width]
        cell[:] = status_bar((rows, width), keys, meaning)[: cell.shape[0]]

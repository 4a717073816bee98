"""A recording at a glance: some of its frames on one picture, each with its number and time."""

from __future__ import annotations

import math
import os
from typing import Any

import numpy as np
import numpy.typing as npt

from imgstore.errors import ArgumentError, ChunkError
from imgstore.exporting.burn_in import Labels
from imgstore.exporting.pictures import Pictures, check_shape, parse_levels
from imgstore.exporting.span import Place, find_range
from imgstore.local_time import local_time

__all__ = ["contact_sheet"]

_MARGIN = 4  # pixels between frames
_BACKGROUND, _INK, _FAULT = 24, 230, (60, 60, 200)
_LINE = 22  # pixels of a line of text
_LEAST = 8  # pixels of a frame
_MOST = 10_000  # pixels of a sheet


def contact_sheet(
    store: Any,
    *,
    start: Place | None = None,
    end: Place | None = None,
    count: int = 24,
    columns: int = 6,
    width: int = 1800,
    levels: Any = None,
    labels: bool = True,
) -> npt.NDArray[np.uint8]:
    """Draw frames that are evenly spread over a recording, or over a part of it.

    Parameters
    ----------
    store : imgstore.store.ImgStore
        Open for reading. Where reading goes on stays as it is.
    start, end : int, float, str, datetime.datetime or datetime.timedelta, optional
        See `imgstore.export`.
    count : int
        How many frames, at most.
    columns : int
        How many in a row.
    width : int
        Of the picture, in pixels.
    levels : sequence of float or str, optional
        The samples that become black and white, see `imgstore.export`.
    labels : bool
        Draw numbers and times, and a line that says what this is.

    Returns
    -------
    numpy.ndarray
        ``(h, w, 3)`` uint8, BGR. Frames that cannot be read are crossed out.

    Raises
    ------
    ArgumentError
        There are no frames, or no room for them.
    """
    with store.open_again(color="bgr") as reader:
        return _sheet(reader, start, end, count, columns, width, parse_levels(levels), labels)


def _sheet(
    store: Any, start: Place | None, end: Place | None, count: int, columns: int, width: int,
    levels: tuple[float, float] | None, labels: bool,
) -> npt.NDArray[np.uint8]:  # fmt: skip
    check_shape(store)
    first, stop = find_range(store, start, end)
    positions = np.unique(np.linspace(first, stop - 1, min(count, stop - first)).round().astype(np.int64)).tolist()
    columns = min(columns, len(positions))
    if min(count, columns) < 1 or width > _MOST or (width - _MARGIN) // columns - _MARGIN < _LEAST:
        raise ArgumentError(f"{columns} frames do not fit beside each other into {width} pixels (at most {_MOST})")
    pictures = Pictures(None, None, levels).for_8_bits(store, range(first, stop))
    cell = (width - _MARGIN) // columns - _MARGIN
    height = max(1, round(cell * store.image_shape[0] / store.image_shape[1]))
    rows, top = math.ceil(len(positions) / columns), _LINE if labels else 0
    if top + rows * (height + _MARGIN) > _MOST:
        raise ArgumentError(f"{rows} rows of {height} pixels are more than {_MOST}: give fewer frames or more columns")
    sheet = np.full((top + _MARGIN + rows * (height + _MARGIN), width, 3), _BACKGROUND, np.uint8)
    scaled, label = pictures._replace(scale=(cell, height)), Labels(store, ("number", "time"))
    for k, position in enumerate(positions):
        y = top + _MARGIN + k // columns * (height + _MARGIN)
        x = _MARGIN + k % columns * (cell + _MARGIN)
        number, time = int(store.frame_numbers[position]), float(store.frame_times[position])
        try:
            img = scaled.apply(store.get_image(None, frame_index=position)[0])
            frame = np.repeat(img[:, :, None], 3, axis=2) if img.ndim == 2 else img
        except ChunkError:
            frame = _crossed_out(height, cell)
        sheet[y : y + height, x : x + cell] = label.draw(frame, number, time) if labels else frame
    if labels:
        _write_title(sheet, store, first, stop)
    return sheet


def _crossed_out(height: int, width: int) -> npt.NDArray[Any]:
    import cv2

    frame = np.zeros((height, width, 3), np.uint8)
    cv2.line(frame, (0, 0), (width - 1, height - 1), _FAULT, 2)
    cv2.line(frame, (0, height - 1), (width - 1, 0), _FAULT, 2)
    return frame


def _write_title(sheet: npt.NDArray[np.uint8], store: Any, first: int, stop: int) -> None:
    import cv2

    times = store.frame_times
    name = os.path.basename(os.path.abspath(store.filename)).encode("ascii", "replace").decode()
    span = " to ".join(local_time(store, float(times[position])) for position in (first, stop - 1))
    text = f"{name}: {stop - first} frame{'s' if stop - first > 1 else ''}, {span}"
    font, scale = cv2.FONT_HERSHEY_SIMPLEX, 0.5
    (needed, _), _ = cv2.getTextSize(text, font, scale, 1)
    scale *= min(1.0, (sheet.shape[1] - 2 * _MARGIN) / max(1, needed))
    cv2.putText(sheet, text, (_MARGIN, _LINE - 6), font, scale, (_INK,) * 3, 1, cv2.LINE_AA)

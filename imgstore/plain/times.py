"""When the frames of plain files were taken: by the files' own clocks, at a rate, or by a table that came along."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from imgstore.codec import Survey
from imgstore.disk.read_file import read_file
from imgstore.errors import ArgumentError
from imgstore.npy_header import npy_header_size, parse_npy_header
from imgstore.plain.options import PlainOptions

__all__ = ["IMAGES_PER_SECOND", "given_times", "times_at_rate", "times_of_videos"]

Times = npt.NDArray[np.float64]

IMAGES_PER_SECOND = 25.0  # what FFmpeg and OpenCV take too, of images that have no times
_MOST_BYTES = 1 << 30  # of a table of times
_TIMECODES = re.compile(r"#\s*time(code|stamp)s? format v2\b", re.IGNORECASE)  # in milliseconds, as muxers have them


def times_at_rate(count: int, first: int, fps: float, start: float) -> Times:
    """Return the times of frames that are evenly spaced, the one at position 0 at `start`."""
    return np.arange(first, first + count) / fps + start


def times_of_videos(surveys: Sequence[Survey], names: Sequence[str], options: PlainOptions) -> list[Times]:
    """Return the times of the frames of each file, one file after the other.

    Raises
    ------
    ArgumentError
        The time of creation is asked for, and a file does not say it.
    """
    found, begin, position = [], Fraction(0), 0
    for survey, name in zip(surveys, names, strict=True):
        fps = options.fps or (survey.fps or IMAGES_PER_SECOND if survey.ticks is None else None)
        if options.start_time == "creation":
            if survey.created is None:
                raise ArgumentError(f"{name}: does not say when it was made: start_time='creation' cannot be")
            start, begin, position = survey.created, Fraction(0), 0
        else:
            start = options.start_time if isinstance(options.start_time, float) else 0.0
        tick = Fraction(*survey.tick)
        if fps is not None or survey.ticks is None or not len(survey.ticks):
            fps = fps or IMAGES_PER_SECOND
            if options.fps is None:
                times = times_at_rate(survey.frame_count, 0, fps, start) + float(begin)
            else:
                times = times_at_rate(survey.frame_count, position, fps, start)
            begin += survey.frame_count / Fraction(fps)
        else:
            ticks = survey.ticks
            origin = 0 if options.start_time == "file" else int(ticks[0])
            offset = Fraction(0) if options.start_time == "file" else begin / tick
            times = _seconds(ticks - origin, tick, offset) + start
            begin += (int(ticks.max()) - int(ticks[0])) * tick + _last_duration(survey)
        found.append(times)
        position += survey.frame_count
    return found


def _seconds(ticks: npt.NDArray[np.int64], tick: Fraction, offset: Fraction) -> Times:
    """Turn ticks, from an offset in ticks on, into seconds, each the nearest float64 as far as that can be."""
    scale = tick.denominator * offset.denominator
    factor, shift = tick.numerator * offset.denominator, offset.numerator * tick.numerator
    largest = max(abs(int(ticks.min(initial=0))), abs(int(ticks.max(initial=0)))) * factor + abs(shift)
    if largest < 1 << 53 and scale < 1 << 53:
        return np.asarray((ticks * factor + shift) / scale, np.float64)
    return np.array([float((Fraction(t) + offset) * tick) for t in ticks.tolist()], np.float64)


def _last_duration(survey: Survey) -> Fraction:
    """Return for how long the last frame is shown: as long as the others are, as a rule."""
    assert survey.ticks is not None
    if survey.fps:
        return 1 / Fraction(survey.fps).limit_denominator(1_000_000)
    steps = np.diff(survey.ticks)
    steps = steps[steps > 0]
    return int(np.median(steps)) * Fraction(*survey.tick) if len(steps) else 1 / Fraction(IMAGES_PER_SECOND)


def given_times(options: PlainOptions, count: int, folder: str) -> Times:
    """Return the times that were given, as an array or as the path of a table.

    Parameters
    ----------
    options : PlainOptions
        ``times`` and ``column``.
    count : int
        How many frames there are.
    folder : str
        Where the files are, in which a table is looked for too.

    Raises
    ------
    ArgumentError
        They are not one number for each frame, or the table cannot be read.
    """
    times = options.times
    if isinstance(times, (str, os.PathLike)):
        path = os.path.expanduser(os.fspath(times))
        if not os.path.exists(path) and os.path.exists(os.path.join(folder, path)):
            path = os.path.join(folder, path)
        path = options.times = os.path.abspath(path)  # it is found from anywhere, when what is opened is pickled
        what, values = path, _table(path, options.column)
    else:
        what, values = "times", times
    try:
        found = np.asarray(values, np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise ArgumentError(f"{what}: these are no times in seconds: {error}") from error
    if found.shape != (count,):
        raise ArgumentError(f"{what}: there are {count} frames, and {len(np.atleast_1d(found))} times for them")
    if not bool(np.isfinite(found).all()):
        raise ArgumentError(f"{what}: a time is no number, the first at position {int(np.argmin(np.isfinite(found)))}")
    return np.array(found)


def _table(path: str, column: Any) -> Any:
    readers = {".csv": _csv, ".tsv": _csv, ".txt": _csv, ".npy": _npy, ".json": _json}
    extension = os.path.splitext(path)[1].lower()
    if extension not in readers:
        raise ArgumentError(f"{path}: times are read from {', '.join(readers)}; give them as an array")
    try:
        data = read_file(path, _MOST_BYTES)
    except OSError as error:
        raise ArgumentError(f"{path}: the times cannot be read: {error.strerror or error}") from error
    try:
        return readers[extension](data, column)
    except (ValueError, KeyError, IndexError, TypeError, RecursionError) as error:
        raise ArgumentError(f"{path}: the times cannot be read: {error}") from error


def _csv(data: bytes, column: Any) -> Any:
    import csv

    text = data.decode("utf-8-sig")
    first = text.partition("\n")[0]
    if _TIMECODES.match(first):
        return [float(line) / 1000 for line in text.splitlines() if line.strip() and line[0] != "#"]
    separator = next((c for c in ",;\t" if c in first), ",")
    rows = [row for row in csv.reader(text.splitlines(), delimiter=separator, skipinitialspace=True) if row]
    if not rows:
        raise ValueError("it is empty")
    names: list[Any] = [name.strip() for name in rows[0]]
    if all(map(_is_number, names)):
        names = list(range(len(names)))
    else:
        rows = rows[1:]
    if isinstance(column, int) and column not in names:
        return [row[column] for row in rows]
    return _column({name: [row[k] for row in rows] for k, name in enumerate(names)}, column)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _npy(data: bytes, column: Any) -> Any:
    size = npy_header_size(data)
    shape, fortran, dtype, nbytes = parse_npy_header(data[:size])
    if dtype.hasobject or len(data) < size + nbytes:
        raise ValueError("it holds Python objects, which are never loaded" if dtype.hasobject else "it is truncated")
    array: npt.NDArray[Any] = np.frombuffer(data, dtype, nbytes // max(1, dtype.itemsize), size)
    array = array.reshape(shape, order="F" if fortran else "C")
    if dtype.names:
        return _column({name: array[name] for name in dtype.names}, column)
    if array.ndim == 2:  # rows are frames, or columns are
        if column is None:
            raise ValueError(f"it has numbers of shape {array.shape}: column says which are the times")
        return (array if len(array) < len(array.T) else array.T)[column]
    return array


def _json(data: bytes, column: Any) -> Any:
    content = json.loads(data)
    if isinstance(content, list) and content and isinstance(content[0], dict):
        names = [name for name in content[0] if all(name in record for record in content)]
        return _column({name: [record[name] for record in content] for name in names}, column)
    if isinstance(content, dict):
        return _column({name: values for name, values in content.items() if isinstance(values, list)}, column)
    return content


def _column(columns: dict[str, Any], name: Any) -> Any:
    if name is None and len(columns) == 1:
        return next(iter(columns.values()))
    if name not in columns:
        raise ValueError(f"column must be one of {', '.join(map(repr, columns))}, not {name!r}")
    return columns[name]

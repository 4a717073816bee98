"""``imgstore info``: what a store holds."""

from __future__ import annotations

import contextlib
import math
import os
from typing import Any

import click
import numpy as np
import numpy.typing as npt

import imgstore
from imgstore.cli._common import HELP, Command, counted, make_table, print_json, print_table
from imgstore.cli._group import describe_group, find_stores
from imgstore.local_time import local_time

__all__ = ["command", "describe_store", "find_gaps"]

# A pause between two frames is a gap where it is longer than this many usual ones: less is a camera's jitter.
GAP_FACTOR = 1.5
_GAPS_SHOWN = 5


@click.command("info", cls=Command, short_help="Tell what a store holds.", context_settings=HELP)
@click.argument("path", nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON, every gap included.")
@click.option("--size/--no-size", default=True, help="Add up the sizes of its files, or not (slow for millions).")
def command(path: tuple[str, ...], as_json: bool, size: bool) -> None:
    """Tell what the store at PATH holds: frames, span, rate, gaps, format, metadata, extra data.

    PATH may be a video, a folder of images or a pattern ('frames/*.png') as well.

    Of several stores, or of a folder with those of one recording, also how they go together.
    """
    with contextlib.ExitStack() as opened:
        stores = [opened.enter_context(imgstore.open(each)) for each in find_stores(path)]
        facts = [describe_store(store, size=size) for store in stores]
        group = describe_group(stores) if len(stores) > 1 else None
        if as_json:
            print_json({"stores": facts, "group": group} if group is not None else facts[0])
            return
        for store, of_store in zip(stores, facts, strict=True):
            _show(store, of_store)
            if group is not None:
                click.echo()
        if group is not None:
            _print_rows(_group_rows(group))


def describe_store(store: Any, *, size: bool = True) -> dict[str, Any]:
    """Gather what can be told about a store without decoding a frame.

    Parameters
    ----------
    store : imgstore.store.ImgStore
        Open for reading.
    size : bool
        Add up the sizes of its files, which takes time where there are millions.

    Returns
    -------
    dict
        Times in seconds, sizes in bytes; see `find_gaps` for ``gaps``.
    """
    created, timezone = store.created
    numbers, times = store.frame_numbers, store.frame_times
    return {
        "path": os.path.abspath(store.filename),
        "uuid": store.uuid,
        "created": created,
        "timezone": str(timezone),
        "class": type(store).__name__,
        "format": store.format,
        "lossless": store.lossless,
        "shape": list(store.image_shape),
        "dtype": str(store.image_dtype),
        "frame_count": store.frame_count,
        "frame_number_first": numbers[0] if len(numbers) else None,
        "frame_number_last": numbers[-1] if len(numbers) else None,
        "frame_number_min": numbers.min() if len(numbers) else None,
        "frame_number_max": numbers.max() if len(numbers) else None,
        "frame_time_min": store.frame_time_min if len(numbers) else None,
        "frame_time_max": store.frame_time_max if len(numbers) else None,
        "duration": store.duration,
        "fps": store.fps,
        "gaps": find_gaps(numbers, times),
        "chunks": list(store.chunks),
        "size": _size(store) if size else None,
        "has_extra_data": bool(store.has_extra_data),
        "extra_data_columns": _extra_data_columns(store),
        "user_metadata": store.user_metadata,
    }


def find_gaps(numbers: npt.NDArray[Any], times: npt.NDArray[np.float64]) -> dict[str, Any]:
    """Find where numbers are missing or a pause is longer than usual.

    Parameters
    ----------
    numbers : numpy.ndarray, shape (n,), integer
        Frame numbers in store order.
    times : numpy.ndarray, shape (n,), float
        Frame times in seconds, in store order.

    Returns
    -------
    dict
        ``missing_numbers``: how many numbers were left out between one frame and the next; ``number_gaps``: a list of
        ``{frame_index, after, before, missing}``, `frame_index` being the position of the frame after the gap;
        ``repeated_numbers`` and ``backward_numbers``: how many frames have the number of the one before, or a lower
        one; ``usual_interval``: the median of the positive intervals (None where there is none); ``time_gaps``: a list
        of ``{frame_index, frame_number, seconds}`` for intervals above 1.5 times that; ``backward_times``: how many
        frames are earlier than the one before.
    """
    # unsigned: numbers may span all of 64 bits, where a difference of int64 would wrap around
    unsigned = numbers.astype(np.uint64)
    step = np.where(numbers[1:] > numbers[:-1], unsigned[1:] - unsigned[:-1], 1)
    at = np.flatnonzero(step > 1)
    interval = np.diff(times)
    forward = interval[interval > 0]
    usual = float(np.median(forward)) if len(forward) else None
    pauses = np.flatnonzero(interval > usual * GAP_FACTOR) if usual is not None else at[:0]
    number_gaps = [
        {"frame_index": k + 1, "after": int(numbers[k]), "before": int(numbers[k + 1]), "missing": int(step[k]) - 1}
        for k in at.tolist()
    ]
    return {
        "missing_numbers": sum(gap["missing"] for gap in number_gaps),
        "number_gaps": number_gaps,
        "repeated_numbers": int(np.count_nonzero(numbers[1:] == numbers[:-1])),
        "backward_numbers": int(np.count_nonzero(numbers[1:] < numbers[:-1])),
        "usual_interval": usual,
        "time_gaps": [
            {"frame_index": k + 1, "frame_number": int(numbers[k + 1]), "seconds": float(interval[k])}
            for k in pauses.tolist()
        ],
        "backward_times": int(np.count_nonzero(interval < 0)),
    }


def _extra_data_columns(store: Any) -> list[str] | None:
    if not store.has_extra_data:
        return None
    table = store.get_extra_data(ignore_corrupt_chunks=True)
    return None if table is None else [str(column) for column in table.columns]


def _size(store: Any) -> int | None:
    """Return how many bytes a store has on the disk, or the files that are read as if they were one; None: not known."""
    if os.path.isdir(store.filename):
        return _size_on_disk(store.filename)
    paths = [file.path for file in store.chunk_files]
    return sum(map(os.path.getsize, paths)) if all(map(os.path.isfile, paths)) else None


def _size_on_disk(directory: str) -> int:
    total, waiting = 0, [directory]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                else:
                    with contextlib.suppress(OSError):  # a link to what is not there, or a file that has gone meanwhile
                        total += entry.stat().st_size
    return total


def _group_rows(group: dict[str, Any]) -> list[tuple[str, str]]:
    if group["align"] is None:
        return [("group", f"none: {group['why']}")]
    head = f"{group['steps']:,} steps by {group['align']}, {group['complete']:,} with a frame of each store"
    return [
        ("group", head),
        *(
            (
                "",
                f"{of['name']}: {of['frames']:,}"
                + (f", at most {of['largest_error']:.6f} s away" if of["frames"] else ""),
            )
            for of in group["stores"]
        ),
    ]


def _print_rows(rows: list[tuple[str, str]]) -> None:
    table = make_table("", "")
    table.show_header = False
    for name, value in rows:
        table.add_row(name, value)
    print_table(table)


def _show(store: Any, facts: dict[str, Any]) -> None:
    _print_rows(_rows(store, facts))
    if facts["user_metadata"]:
        click.echo()
        table = make_table("metadata", "")
        for key, value in facts["user_metadata"].items():
            table.add_row(str(key), str(value))
        print_table(table)


def _rows(store: Any, facts: dict[str, Any]) -> list[tuple[str, str]]:
    count = facts["frame_count"]
    shape = " x ".join(str(n) for n in facts["shape"])
    rows = [
        ("store", facts["path"]),
        ("created", f"{facts['created']:%Y-%m-%d %H:%M:%S} UTC, recorded in {facts['timezone']}"),
        ("uuid", str(facts["uuid"])),
        ("format", f"{facts['format']} ({'lossless' if facts['lossless'] else 'lossy'})"),
        ("frames", f"{count:,} of {shape}{_joined(facts['dtype'])}"),
        ("chunks", _count_of_chunks(facts["chunks"])),
    ]
    if facts["size"] is not None:
        rows.append(("size", _bytes(facts["size"]) + (f", {_bytes(facts['size'] / count)} a frame" if count else "")))
    if count:
        rows += [
            ("numbers", f"{facts['frame_number_first']} to {facts['frame_number_last']}"),
            ("span", f"{local_time(store, facts['frame_time_min'])} to {local_time(store, facts['frame_time_max'])}"),
            ("duration", _duration(facts["duration"])),
            ("rate", f"{facts['fps']:.6g} frames per second" if math.isfinite(facts["fps"]) else "unknown"),
            *_gap_rows(facts["gaps"]),
        ]
    columns = facts["extra_data_columns"]
    rows.append(("extra data", ", ".join(columns) if columns else "none"))
    return rows


def _gap_rows(gaps: dict[str, Any]) -> list[tuple[str, str]]:
    rows = []
    found = gaps["number_gaps"]
    if found:
        missing = gaps["missing_numbers"]
        verb = "is" if missing == 1 else "are"
        rows.append(("gaps", f"{counted(missing, 'frame number', ',')} {verb} missing, in {_times(len(found))}"))
        rows += [("", f"{gap['missing']} between {gap['after']} and {gap['before']}") for gap in found[:_GAPS_SHOWN]]
        rows += _and_more(found)
    else:
        rows.append(("gaps", "no frame number is missing"))
    if gaps["repeated_numbers"] or gaps["backward_numbers"]:
        repeated, backward = gaps["repeated_numbers"], gaps["backward_numbers"]
        repeats, goes = "repeats" if repeated == 1 else "repeat", "goes" if backward == 1 else "go"
        rows.append(("", f"{counted(repeated, 'number')} {repeats} the one before, {backward} {goes} backwards"))
    found = gaps["time_gaps"]
    if found:
        usual = gaps["usual_interval"]
        rows.append(("pauses", f"{_times(len(found))}, where frames are usually {usual * 1000:.4g} ms apart"))
        for gap in found[:_GAPS_SHOWN]:
            rows.append(("", f"{_duration(gap['seconds'])} before frame number {gap['frame_number']}"))
        rows += _and_more(found)
    if gaps["backward_times"]:
        verb = "is" if gaps["backward_times"] == 1 else "are"
        rows.append(("", f"{counted(gaps['backward_times'], 'frame')} {verb} earlier than the one before"))
    return rows


def _and_more(found: list[dict[str, Any]]) -> list[tuple[str, str]]:
    more = len(found) - _GAPS_SHOWN
    return [("", f"and {more:,} more: imgstore info --json tells them")] if more > 0 else []


def _times(n: int) -> str:
    return counted(n, "place", ",")


def _count_of_chunks(chunks: list[int]) -> str:
    if not chunks:
        return "0"
    missing = chunks[-1] - chunks[0] + 1 - len(chunks)
    text = f"{len(chunks):,}, numbered {chunks[0]} to {chunks[-1]}"
    return text + (f", {missing} of these missing" if missing > 0 else "")


def _joined(dtype: str | None) -> str:
    return "" if dtype is None else f", {dtype}"


def _duration(seconds: float) -> str:
    """Tell a length of time as people do: 2 d 03:04:05.678."""
    if seconds < 60:
        return f"{seconds:.3f} s"
    days, rest = divmod(seconds, 86400)
    hours, rest = divmod(rest, 3600)
    minutes, rest = divmod(rest, 60)
    clock = f"{int(hours):02d}:{int(minutes):02d}:{rest:06.3f}"
    return f"{int(days)} d {clock}" if days else clock


def _bytes(n: float) -> str:
    if n < 1000:
        return f"{n:.0f} bytes"
    for unit in ("kB", "MB", "GB"):
        n /= 1000
        if n < 999.5:
            return f"{n:.3g} {unit}"
    return f"{n / 1000:.3g} TB"

"""A recording that is killed, and what a fresh process finds of it.

    python killed.py record PATH FORMAT LOG '{"fps": 100, "chunksize": 40, ...}'
    python killed.py check PATH...

`record` notes each frame and each record of extra data in LOG after the store has accepted it; its parent kills it.
`check` compares what stores hold with what was given to them, and prints a list of JSON objects. It asks for nothing
that imgstore 0.4.0 does not have, so it runs under either.
"""

from __future__ import annotations

import json
import os
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from scenes import coded_frame, shown_number

SHAPE = (96, 128)
LOSSLESS = ("npy", "png", "bpk", "tif", "bmp", "pgm", "ffv1/mkv")
_EXTRA_EVERY = 5  # frames
_EPOCH = 1.6e9


def frame_number(k: int) -> int:
    """Number of the k-th frame: not its position."""
    return 1000 + 3 * k


def frame_time(k: int) -> float:
    return _EPOCH + k / 100


def record(path: str, fmt: str, log: str, options: dict[str, Any]) -> None:
    """Record frames at a pace until killed; ``frames``: after so many wait in silence."""
    import imgstore

    fps, frames, seconds = options.pop("fps"), options.pop("frames", None), options.pop("seconds", 120)
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def note(*words: Any) -> None:
        os.write(descriptor, (" ".join(map(repr, words)) + "\n").encode())

    store = imgstore.new_for_format(fmt, path, imgshape=SHAPE, **options)
    begun, k = time.monotonic(), 0
    while time.monotonic() - begun < seconds:
        if k == frames:
            time.sleep(0.1)
            continue
        store.add_image(coded_frame(frame_number(k), SHAPE), frame_number(k), frame_time(k))
        note(0, k, time.monotonic())
        if k % _EXTRA_EVERY == 0:
            store.add_extra_data(value=k, text=f"beside frame {k}")
            note(1, k, time.monotonic())
        k += 1
        time.sleep(max(0.0, begun + k / fps - time.monotonic()))


def accepted(log: str | Path) -> tuple[list[float], list[float]]:
    """Return when each frame and each record was accepted, by the monotonic clock of the machine."""
    found: tuple[list[float], list[float]] = ([], [])
    for line in Path(log).read_bytes().split(b"\n")[:-1]:
        kind, _, when = line.split()
        found[int(kind)].append(float(when))
    return found


def check(path: str) -> dict[str, Any]:
    """Open a store and compare every frame of it with the one that must be there.

    Returns
    -------
    dict
        ``frames`` and ``records`` found, and ``faults``: what is wrong with them, in words.
    """
    import imgstore

    faults: list[str] = []
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        store = imgstore.new_for_filename(path)
        count = store.frame_count
        fmt = store._metadata["format"]
        for k in range(count):
            try:
                img, (number, when) = store.get_next_image()
            except Exception as error:
                faults.append(f"frame {k} of {count} cannot be read: {error!r}")
                continue
            expected = coded_frame(frame_number(k), SHAPE)
            if number != frame_number(k) or when != frame_time(k):
                faults.append(f"frame {k} has number {number} and time {when}")
            if img.shape != SHAPE or shown_number(img) != frame_number(k) & 0xFFFF:
                faults.append(f"frame {k} shows {shown_number(img)}, not {frame_number(k) & 0xFFFF}")
            elif fmt in LOSSLESS and not np.array_equal(img, expected):
                faults.append(f"frame {k} is not what was written")
        table = store.get_extra_data()
        rows = 0 if table is None else len(table)
        for k in range(rows):
            row, at = table.iloc[k], k * _EXTRA_EVERY
            got = (row["value"], row["text"], row["frame_number"], row["frame_time"], row["frame_index"])
            if got != (at, f"beside frame {at}", frame_number(at), frame_time(at), at):
                faults.append(f"record {k} is {got}")
        store.close()
    notes = [str(w.message) for w in said if issubclass(w.category, UserWarning)]
    return {"frames": count, "records": rows, "faults": faults[:20], "warnings": notes}


def missing(result: dict[str, Any], log: str | Path, killed: float, interval: float) -> list[str]:
    """Say what a store ought to hold and does not: all that was accepted more than `interval` before the kill."""
    faults = list(result["faults"])
    for kind, times in zip(("frames", "records"), accepted(log), strict=True):
        due = sum(when <= killed - interval for when in times)
        if not due <= result[kind] <= len(times) + 1:  # one may have been taken and not noted yet
            faults.append(f"{result[kind]} {kind} are there; {len(times)} were accepted, {due} of them in good time")
    return faults


if __name__ == "__main__":
    if sys.argv[1] == "record":
        record(*sys.argv[2:5], json.loads(sys.argv[5]))
    else:
        print(json.dumps([check(path) for path in sys.argv[2:]]))

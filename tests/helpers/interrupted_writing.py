"""Records stores one after the other, each until it is interrupted, and looks at what is there when it is closed.

    python interrupted_writing.py DIRECTORY FORMAT SECONDS

Prints how often it was interrupted. Chunks are so short that many interruptions come where one ends.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
import time

from interrupted import interrupt
from scenes import SHAPE, coded_frame, shown_number

import imgstore

ENOUGH = 10
AT_MOST = 0.02  # seconds until the interruption


def record(path: str, fmt: str, seconds: float) -> int:
    """Record until it is interrupted; return how many frames were accepted."""
    accepted = 0
    with imgstore.new_for_format(fmt, path, imgshape=SHAPE, chunksize=5) as store:
        try:
            signal.setitimer(signal.ITIMER_REAL, seconds)
            while True:
                store.add_image(coded_frame(accepted), accepted, accepted / 100)
                accepted += 1
        except (KeyboardInterrupt, RuntimeError) as error:
            # `threading` itself may be at its locks, while a thread begins, and then says that in its own way
            assert KeyboardInterrupt in (type(error), type(error.__context__))
    return accepted


def look_at(path: str, accepted: int) -> None:
    left = [name for name in os.listdir(path) if ".journal" in name]
    assert not left, f"{left} of {accepted} frames"
    with imgstore.new_for_filename(path) as store:
        assert len(store) in (accepted, accepted + 1), f"{len(store)} of {accepted} frames"
        for k, (img, (number, _)) in enumerate(store):
            assert shown_number(img) == number == k


def main(directory: str, fmt: str, seconds: float) -> None:
    signal.signal(signal.SIGALRM, interrupt)
    rng = random.Random(1)
    path, interrupted = os.path.join(directory, "s"), 0
    end = time.monotonic() + seconds
    while time.monotonic() < end or interrupted <= ENOUGH:
        look_at(path, record(path, fmt, rng.uniform(1e-4, AT_MOST)))
        shutil.rmtree(path)
        interrupted += 1
    print(interrupted)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]))

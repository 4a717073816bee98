"""Records a store of 45 frames, and forks in the midst of it.

    python forked_recording.py PATH FORMAT {store,recorder} {collect,close,exit}

The child tries to write too, and then gets rid of what it inherited. Fails where it can write, or does not end well.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Iterable
from typing import Any

from scenes import SHAPE, coded_frame

import imgstore
from imgstore.errors import StoreLockedError


def record(recording: Any, numbers: Iterable[int]) -> None:
    for number in numbers:
        recording.add_image(coded_frame(number), number, number / 25)


def is_refused(write: Any, *arguments: Any, **values: Any) -> bool:
    try:
        write(*arguments, **values)
    except StoreLockedError:
        return True
    return False


def main(path: str, fmt: str, writer: str, end: str) -> None:
    recording: Any = imgstore.new_for_format(fmt, path, imgshape=SHAPE, chunksize=20)
    if writer == "recorder":
        recording = imgstore.Recorder(recording)
    record(recording, range(25))
    child = os.fork()
    if child == 0:
        signal.alarm(30)  # where it hangs
        assert is_refused(record, recording, [25])
        assert is_refused(recording.add_extra_data, a=1)
        if end == "close":
            recording.close()
        if end == "exit":
            sys.exit()
        del recording
        gc.collect()
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    record(recording, range(25, 45))
    recording.close()
    sys.exit(0 if status == 0 else 1)


if __name__ == "__main__":
    main(*sys.argv[1:])

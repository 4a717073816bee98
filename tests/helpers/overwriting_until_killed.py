"""Recording over a store, killed before whatever would change a name in its directory.

    python overwriting_until_killed.py

Takes ``[path, format, step]`` as JSON, a line each, and answers each with ``true`` where the recording has ended before so many
changes. Each is a process of its own, forked, so that none has to start Python.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from typing import Any

from scenes import coded_frame

import imgstore

FIRST, COUNT = 500, 5


def overwrite(path: str, fmt: str) -> None:
    """Record over a store, with a record of extra data."""
    with imgstore.new_for_format(fmt, path, imgshape=(48, 64), chunksize=3, overwrite=True) as store:
        for k in range(COUNT):
            store.add_image(coded_frame(FIRST + k), FIRST + k, 2000 + k / 4)
        store.add_extra_data(of="the new one")


def kill_before(path: str, step: int) -> None:
    """Kill this process before it changes the names in a directory for the n-th time."""
    lock, left = threading.Lock(), [step]

    def look(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            changes = isinstance(arguments[2], int) and arguments[2] & os.O_CREAT and _is_below(arguments[0], path)
        elif event in ("os.remove", "os.rmdir", "os.mkdir"):
            changes = arguments[-1] != -1 or _is_below(arguments[0], path)  # or it is relative to an open directory
        else:
            changes = event == "os.rename" and _is_below(arguments[0], path)
        if changes:
            with lock:
                left[0] -= 1
                if not left[0]:
                    os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(look)


def _is_below(name: Any, path: str) -> bool:
    return isinstance(name, (str, bytes, os.PathLike)) and os.fsdecode(name).startswith(path)


def main() -> None:
    imgstore.get_supported_formats()  # codecs are imported once
    for line in sys.stdin:
        path, fmt, step = json.loads(line)
        child = os.fork()
        if not child:
            kill_before(path, step)
            overwrite(path, fmt)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        assert status in (0, signal.SIGKILL), status
        print(json.dumps(status == 0), flush=True)


if __name__ == "__main__":
    main()

"""Takes and releases locks of stores as it is told, line by line: a process of its own, as another writer is.

python lock_program.py

acquire|break WHEN ROOT    at a moment of the machine's monotonic clock; prints "in" or the error's name
release ROOT
fork                       prints the number of a child that waits
exec                       prints the number of another program that it has started, which waits
look SECONDS ROOT          asks for the lock's state all the time, prints which were seen
"""

from __future__ import annotations

import os
import subprocess
import sys
import time

from imgstore.disk import lock
from imgstore.errors import ImgStoreError


def take(root: str, when: float, break_lock: bool) -> str:
    while time.monotonic() < when:
        pass
    try:
        lock.acquire(root, break_lock=break_lock)
    except ImgStoreError as error:
        return type(error).__name__
    return "in"


def look(root: str, seconds: float) -> str:
    end, seen = time.monotonic() + seconds, set()
    while time.monotonic() < end:
        seen.add(lock.lock_state(root))
    return ",".join(sorted(seen))


def main() -> None:
    print("ready", flush=True)
    for line in sys.stdin:
        what, _, rest = line.strip().partition(" ")
        when, _, root = rest.partition(" ")
        if what in ("acquire", "break"):
            answer = take(root, float(when), what == "break")
        elif what == "look":
            answer = look(root, float(when))
        elif what == "release":
            lock.release(rest)
            answer = "released"
        elif what == "exec":
            waiting = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], close_fds=False)
            answer = str(waiting.pid)
        else:
            child = os.fork()
            if child == 0:
                time.sleep(60)
                os._exit(0)
            answer = str(child)
        print(answer, flush=True)


if __name__ == "__main__":
    main()

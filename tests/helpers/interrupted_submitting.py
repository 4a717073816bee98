"""Submits calls to `InOrder`, is interrupted again and again, waits for what was submitted, and goes on.

    python interrupted_submitting.py SECONDS

Prints how often it was interrupted.
"""

from __future__ import annotations

import random
import signal
import sys
import time

from interrupted import interrupt

from imgstore.threads.background import InOrder

AT_MOST = 3e-4  # seconds until the interruption: a few dozen calls


def main(seconds: float) -> None:
    signal.signal(signal.SIGALRM, interrupt)
    rng = random.Random(1)
    work, interrupted = InOrder(limit=3), 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            signal.setitimer(signal.ITIMER_REAL, rng.uniform(1e-6, AT_MOST))
            while True:
                work.submit(lambda: None)
        except (KeyboardInterrupt, RuntimeError) as error:
            # `Condition.wait` may have let go of its lock, and then says that in its own way
            assert KeyboardInterrupt in (type(error), type(error.__context__))
            interrupted += 1
        work.wait()
    print(interrupted)


if __name__ == "__main__":
    main(float(sys.argv[1]))

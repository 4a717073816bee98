"""Reads a store in a way, is interrupted again and again, goes on, and prints how often it was and what it read.

    python interrupted.py STORE in_order|at_random|in_batches SECONDS

A process of its own: what Ctrl-C leaves of Python's threads (one that never begins, for instance) stays until its end.
"""

from __future__ import annotations

import itertools
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from scenes import shown_number

import imgstore

ENOUGH = 20
AT_MOST = 0.01  # seconds until the next interruption, where that is enough to read anything
Shown = Iterator[tuple[Any, int]]


def in_order(store: imgstore.ImgStore, rng: random.Random) -> Shown:
    half = len(store) // 2
    store.get_image(None, frame_index=rng.randrange(half))
    for _ in range(half):
        img, (number, _) = store.get_next_image()
        yield img, number


def at_random(store: imgstore.ImgStore, rng: random.Random) -> Shown:
    for _ in range(len(store) // 2):
        img, (number, _) = store.get_image(rng.randrange(len(store)))
        yield img, number


def in_batches(store: imgstore.ImgStore, rng: random.Random) -> Shown:
    for _ in range(10):
        images, (numbers, _) = store.get_images(frame_indices=[rng.randrange(len(store)) for _ in range(8)])
        yield from zip(images, numbers, strict=True)


def interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


def main(path: str, way: Callable[[imgstore.ImgStore, random.Random], Shown], seconds: float) -> None:
    signal.signal(signal.SIGALRM, interrupt)
    rng = random.Random(1)
    interrupted = read = 0
    at_most = AT_MOST
    with imgstore.new_for_filename(path) as store:
        next(in_batches(store, rng))  # imports what is imported when it is needed: that may not be interrupted
        end = time.monotonic() + seconds
        while time.monotonic() < end or min(interrupted, read) <= ENOUGH:
            for _ in itertools.repeat(None, 20):
                try:
                    signal.setitimer(signal.ITIMER_REAL, rng.uniform(1e-5, at_most))
                    for img, number in way(store, rng):
                        assert shown_number(img) == number, f"frame {number} was asked for"
                        read += 1
                    signal.setitimer(signal.ITIMER_REAL, 0)
                except (KeyboardInterrupt, RuntimeError) as error:
                    # `threading` itself may be at its locks, while a thread begins, and then says that in its own way
                    assert KeyboardInterrupt in (type(error), type(error.__context__))
                    interrupted += 1
            if not read:
                at_most *= 2
    print(interrupted, read)


if __name__ == "__main__":
    ways = {"in_order": in_order, "at_random": at_random, "in_batches": in_batches}
    main(sys.argv[1], ways[sys.argv[2]], float(sys.argv[3]))

"""Reading and recording, in a module of its own that a spawned process can import."""

from __future__ import annotations

import random
import time
from typing import Any

from scenes import SHAPE, coded_frame, shown_number

import imgstore

FRAMES = 90
FIRST = 100


def read_at_random(store: imgstore.stores.ImgStore, seed: int, reads: int = 60) -> int:
    """Read frames by number, position and time, one by one and in batches; return how many were the right ones."""
    rng, right = random.Random(seed), 0
    for _ in range(reads):
        k = rng.randrange(FRAMES)
        way = rng.randrange(4)
        if way == 0:
            found = [store.get_image(FIRST + k)]
        elif way == 1:
            found = [store.get_image(None, frame_index=k)]
        elif way == 2:
            found = [store.get_nearest_image(1000 + 0.5 * k)]
        else:
            imgs, (numbers, times) = store.get_images(frame_indices=[k, (k + 40) % FRAMES, k])
            found = [(img, (int(n), float(t))) for img, n, t in zip(imgs, numbers, times, strict=True)][::2]
        right += all(
            (shown_number(img), number, when) == (FIRST + k, FIRST + k, 1000 + 0.5 * k) for img, (number, when) in found
        )
    return right


def read_in_a_process(store: Any, seed: int, answers: Any) -> None:
    opened = store if isinstance(store, imgstore.stores.ImgStore) else imgstore.new_for_filename(store)
    answers.put(read_at_random(opened, seed, 40))
    opened.close()


def record(path: str, fmt: str, frames: int) -> None:
    with imgstore.new_for_format(fmt, path, imgshape=SHAPE, chunksize=20) as store:
        for k in range(frames):
            store.add_image(coded_frame(k), k, k / 4)
            if k % 5 == 0:
                store.add_extra_data(value=k)
            time.sleep(0.02)  # so that readers see it grow, however fast the format and however busy the machine is

"""The scene that the video benchmarks record: textured background, sensor noise, twenty moving blobs."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np

HEIGHT, WIDTH = 1024, 1280


def scene(
    count: int, *, color: bool = False, height: int = HEIGHT, width: int = WIDTH, noise: float = 3.0
) -> Iterator[np.ndarray]:
    """Give `count` frames, always the same ones."""
    rng = np.random.default_rng(1)
    texture = cv2.GaussianBlur(rng.normal(0, 40, (height, width)).astype(np.float32), (0, 0), 3) * 6 + 120
    background = np.clip(texture, 20, 235).astype(np.uint8)
    # a few patterns of noise, shifted at random: as hard to encode as fresh ones and quick to make
    grains = [rng.normal(0, noise, (height + 64, width + 64)).astype(np.int16) for _ in range(4)]
    start = rng.uniform(0, 1, (20, 2)) * (width, height)
    speed = rng.uniform(-4, 4, (20, 2))
    radius = rng.integers(8, 25, 20)
    for k in range(count):
        img = background.copy()
        for at, by, size in zip(start, speed, radius, strict=True):
            x, y = (at + by * k) % (width, height)
            cv2.ellipse(img, (int(x), int(y)), (int(size), int(size) // 2), k * 3, 0, 360, 30, -1, cv2.LINE_AA)
        dy, dx = rng.integers(0, 64, 2)
        img = np.clip(img + grains[k % 4][dy : dy + height, dx : dx + width], 0, 255).astype(np.uint8)
        if color:
            img = np.dstack([img, np.roll(img, 9, 1) // 2 + 60, 255 - img])
        yield np.ascontiguousarray(img)

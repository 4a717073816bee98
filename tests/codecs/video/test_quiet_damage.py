"""Damage of which FFmpeg tells late, and quietly: no torn picture comes, however many are decoded at a time."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import pytest
from quiet_damage import SIZE, encode_bursts, quietly_damaged
from rounds import long_but

from imgstore.codec import FrameSpec
from imgstore.errors import FrameDecodeError
from imgstore_codecs.video.codec import PyAVCodec


@pytest.mark.parametrize("way", ["in order", "far away"])
@pytest.mark.parametrize("extension, b_frames", long_but([(".mp4", 2)], [(".mp4", 2), (".mp4", 1), (".avi", 0)]))
def test_a_picture_that_ends_too_soon(tmp_path: Path, way: str, extension: str, b_frames: int) -> None:
    whole, path = (tmp_path / f"{name}{extension}" for name in ("whole", "damaged"))
    # the last of its group, to which nothing refers; where there are but two, the first, which is not shown at once
    encode_bursts(whole, b_frames, 2 if b_frames == 2 else 0)
    codec = PyAVCodec()
    fmt = next(f for f in codec.formats if f.extension == extension)
    spec = FrameSpec(SIZE, np.dtype(np.uint8))
    damaged = quietly_damaged(whole, path, 54)
    for _ in range(2):
        position = next(damaged)
        reader = codec.open_reader(str(path), fmt, spec, {"threads": 2})
        for other in range(position) if way == "in order" else (30, 5, 40):
            with contextlib.suppress(FrameDecodeError):  # the one before may refer to it
                reader.read(other)
        with pytest.raises(FrameDecodeError, match="damaged"):
            reader.read(position)
        reader.close()

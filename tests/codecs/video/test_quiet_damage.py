"""Damage of which FFmpeg tells late, and quietly: no torn picture comes, however many are decoded at a time."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from quiet_damage import COUNT, SIZE, encode_bursts, quietly_damaged
from rounds import long_but

from imgstore.codec import ChunkReader, FrameSpec
from imgstore.errors import FrameDecodeError
from imgstore_codecs.video.codec import PyAVCodec
from imgstore_codecs.video.reading.ahead import Ahead
from imgstore_codecs.video.reading.in_order import InOrderDecoder


def open_reader(path: Path) -> ChunkReader:
    codec = PyAVCodec()
    fmt = next(f for f in codec.formats if f.extension == path.suffix)
    return codec.open_reader(str(path), fmt, FrameSpec(SIZE, np.dtype(np.uint8)), {"threads": 2})


@pytest.mark.parametrize("way", ["in order", "far away"])
@pytest.mark.parametrize("extension, b_frames", long_but([(".mp4", 2)], [(".mp4", 2), (".mp4", 1)]))
def test_a_picture_that_ends_too_soon(tmp_path: Path, way: str, extension: str, b_frames: int) -> None:
    whole, path = (tmp_path / f"{name}{extension}" for name in ("whole", "damaged"))
    # the last of its group, to which nothing refers; where there are but two, the first, which is not shown at once
    encode_bursts(whole, b_frames, 2 if b_frames == 2 else 0)
    damaged = quietly_damaged(whole, path, 54)
    for _ in range(2):
        position = next(damaged)
        reader = open_reader(path)
        for other in range(position) if way == "in order" else (30, 5, 40):
            with contextlib.suppress(FrameDecodeError):  # the one before may refer to it
                reader.read(other)
        with pytest.raises(FrameDecodeError, match="damaged"):
            reader.read(position)
        reader.close()


@pytest.mark.parametrize("extension, b_frames", [(".mp4", 2), (".mp4", 1), (".avi", 0)])
def test_what_is_whole_still_comes_from_several_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, extension: str, b_frames: int
) -> None:
    """To the end of the file, with lengths before NAL units and with start codes."""
    came: dict[str, list[bool]] = {}

    def note(where: type, method: str) -> None:
        real, results = getattr(where, method), came.setdefault(method, [])

        def noted(*args: Any) -> Any:
            result = real(*args)
            results.append(result is not None)
            return result

        monkeypatch.setattr(where, method, noted)

    note(Ahead, "on_the_way")
    note(InOrderDecoder, "take")
    path = tmp_path / f"whole{extension}"
    encode_bursts(path, b_frames, b_frames)
    with contextlib.closing(open_reader(path)) as reader:
        for position in (*range(COUNT), 60, 30, COUNT - 1, 10):
            reader.read(position)
    assert all(came["take"]) and len(came["take"]) > COUNT // 2
    assert all(came["on_the_way"]) and came["on_the_way"]

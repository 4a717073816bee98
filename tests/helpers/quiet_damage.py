"""Videos with damage of which FFmpeg tells by a flag of the picture alone, and not before all of it is decoded.

The packet is read to its end without an error, and the picture has not come to its own by then. Where decoders work at
several pictures at a time, another one may give a picture that is still being decoded.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np

SIZE = (240, 320)
COUNT = 72


def encode_bursts(path: Path, b_frames: int, noisy: int) -> None:
    """Write still pictures, and noise as every so many of them, which takes far longer to decode than what follows it."""
    rng = np.random.default_rng(1)
    group = b_frames + 1
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25)
        stream.height, stream.width = SIZE
        stream.pix_fmt = "yuv420p"
        one_piece = f"slices=1:threads=1:keyint=250:scenecut=0:b-adapt=0:b-pyramid=normal:weightp=0:bframes={b_frames}"
        stream.options = {"x264-params": one_piece, "crf": "18", "preset": "fast"}
        for k in range(COUNT):
            img = np.full(SIZE, 100, np.uint8)
            if k % group == noisy and k % 2 == 0:
                img = rng.integers(0, 255, SIZE, np.uint8)
            frame = av.VideoFrame.from_ndarray(img, format="gray").reformat(format="yuv420p")
            frame.pts = k
            out.mux(stream.encode(frame))
        out.mux(stream.encode())


def quietly_damaged(whole: Path, path: Path, first: int) -> Iterator[int]:
    """Damage the packet of one large picture after the other, and give the picture's position where FFmpeg is quiet."""
    data = whole.read_bytes()
    with av.open(str(whole)) as container:
        packets = [(p.pos, p.size, p.pts) for p in container.demux(video=0) if p.size]
    ranks = {pts: k for k, pts in enumerate(sorted(pts for _, _, pts in packets))}
    large = [p for p in packets if p[1] > 5000 and ranks[p[2]] >= first]
    for seed in range(2000):
        pos, size, pts = large[seed % len(large)]
        middle = pos + size // 2
        noise = np.random.default_rng(seed).bytes(32)
        path.write_bytes(data[:middle] + noise + data[middle + 32 :])
        with av.open(str(path)) as container:
            context = container.streams.video[0].codec_context
            context.thread_count = 1
            context.options = {"err_detect": "explode"}
            try:
                corrupt = [k for k, frame in enumerate(container.decode(video=0)) if frame.is_corrupt]
            except av.error.FFmpegError:
                continue
        if ranks[pts] in corrupt:
            yield ranks[pts]

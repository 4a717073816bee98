"""Writing video: our writer beside a bare PyAV encode loop with the same encoder settings, conversion included.

    python benchmarks/video_writing.py [--runs 5] [--frames 150]

The bare loop hands each array to PyAV (`VideoFrame.from_ndarray`), encodes it and muxes it into an ordinary file. Ours
does besides all that makes a recording survive. Runs alternate; medians and their ratio are printed.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import ColorRange
from scene import scene

from imgstore.codec import Format, FrameSpec
from imgstore_codecs.video.codec import PyAVCodec
from imgstore_codecs.video.writing.encoders import configure, settings_for
from imgstore_codecs.video.writing.priority import usual_priority

SIZES = {"480 x 640": (480, 640), "1024 x 1280": (1024, 1280)}


def ours(codec: PyAVCodec, fmt: Format, path: str, images: list[np.ndarray]) -> float:
    writer = codec.open_writer(path, fmt, FrameSpec(images[0].shape, images[0].dtype), {})
    begin = time.perf_counter()
    for img in images:
        writer.add(img)
    writer.close()
    return len(images) / (time.perf_counter() - begin)


def bare(codec: PyAVCodec, fmt: Format, path: str, images: list[np.ndarray]) -> float:
    settings = settings_for(fmt, FrameSpec(images[0].shape, images[0].dtype), {})
    with av.open(path, "w", format=settings.encoder.muxer) as out:
        stream: Any = out.add_stream(settings.encoder.name, rate=settings.rate)
        configure(stream.codec_context, settings)
        with usual_priority():
            out.start_encoding()
        layout = "bgr24" if images[0].ndim == 3 else "gray"
        begin = time.perf_counter()
        for k, img in enumerate(images):
            frame = av.VideoFrame.from_ndarray(img, format=layout)
            if settings.full_range:  # else the noise that has to be encoded would be less
                full = ColorRange.JPEG
                frame = frame.reformat(format=settings.pix_fmt, src_color_range=full, dst_color_range=full)
            frame.pts = k
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
        out.close()
        return len(images) / (time.perf_counter() - begin)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--frames", type=int, default=150)
    parser.add_argument("--formats", default="avc1/mp4,h264/mkv,mjpeg/avi,ffv1/mkv,hevc/mp4,av1/mp4")
    arguments = parser.parse_args()
    codec = PyAVCodec()
    formats = {fmt.name: fmt for fmt in codec.formats}
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, PyAV {av.__version__}; ")
    print("frames per second, medians\n\n| frames | format | imgstore | bare PyAV | ratio |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="imgstore-bench-") as scratch:
        for size, (height, width) in SIZES.items():
            for color in (False, True):
                images = list(scene(arguments.frames, color=color, height=height, width=width))
                for name in arguments.formats.split(","):
                    fmt = formats[name]
                    path = str(Path(scratch) / f"chunk{fmt.extension}")
                    rates: dict[str, list[float]] = {"ours": [], "bare": []}
                    for run in range(arguments.runs):
                        pair = [("ours", ours), ("bare", bare)]
                        for who, write in pair if run % 2 else pair[::-1]:
                            rates[who].append(write(codec, fmt, path, images))
                    a, b = statistics.median(rates["ours"]), statistics.median(rates["bare"])
                    kind = f"{size}{' BGR' if color else ''}"
                    print(f"| {kind} | {name} | {a:.0f} | {b:.0f} | {a / b:.2f} |", flush=True)


if __name__ == "__main__":
    main()

"""`imgstore save` of a video: beside the ffmpeg program with the same encoder settings, and `--copy`, which encodes nothing.

    python benchmarks/save.py [--seconds S] [--runs N] [--json FILE]

H.264 of 1280 x 1024 in colour becomes H.264 again (libx264: veryfast, crf 18, zerolatency, a key frame every 25), as `imgstore
save` makes it and as ffmpeg does, both with all cores. With `--copy` the packets of the same video, 20 times over, are taken as
they are, into files that are copied or linked. Whole commands are timed, their start included. They take turns, and the fastest
run of each counts: others may use this machine. (`--jobs`: see cluster.py.)
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import av
from scene import scene

SETTINGS = ["-c:v", "libx264", "-preset", "veryfast", "-crf", "18", "-tune", "zerolatency", "-bf", "0", "-g", "25"]
SAME_COLOURS = ["-pix_fmt", "yuvj420p", "-fps_mode", "passthrough"]
FFMPEG, SAVE, COPY, LINK = "ffmpeg", "imgstore save", "--copy, files copied", "--copy, files linked"
LONGER = 20


def make_video(path: Path, count: int) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": "veryfast", "crf": "18"})
        stream.width, stream.height, stream.pix_fmt = 1280, 1024, "yuv420p"
        for k, img in enumerate(scene(count, height=1024, width=1280, color=True)):
            frame = av.VideoFrame.from_ndarray(img, format="bgr24")
            frame.pts = k
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def repeat_video(path: Path, longer: Path, times: int) -> None:
    """Put the packets of a video into another one so many times."""
    with av.open(str(longer), "w") as out, av.open(str(path)) as container:
        stream = out.add_stream_from_template(container.streams.video[0])
        for k in range(times):
            container.seek(0)
            for packet in container.demux(video=0):
                if packet.dts is not None and packet.pts is not None:
                    shift = k * container.streams.video[0].duration
                    packet.pts, packet.dts, packet.stream = packet.pts + shift, packet.dts + shift, stream
                    out.mux(packet)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=30, help="of the video, 25 frames each")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    count = arguments.seconds * 25
    save = [sys.executable, "-m", "imgstore", "save"]
    with tempfile.TemporaryDirectory() as directory:
        video, longer, dest = Path(directory, "video.mp4"), Path(directory, "longer.mp4"), Path(directory, "dest")
        make_video(video, count)
        repeat_video(video, longer, LONGER)
        ways = {
            FFMPEG: (count, ["ffmpeg", "-v", "error", "-i", str(video), *SETTINGS, *SAME_COLOURS, f"{dest}.mp4"]),
            SAVE: (count, [*save, str(video), str(dest), "--format", "avc1/mp4"]),
            COPY: (LONGER * count, [*save, str(longer), str(dest), "--copy"]),
            LINK: (LONGER * count, [*save, str(longer), str(dest), "--copy", "--files", "hardlink"]),
        }
        best = dict.fromkeys(ways, float("inf"))
        for _ in range(arguments.runs):
            for name, (_, command) in ways.items():
                began = time.perf_counter()
                subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
                best[name] = min(best[name], time.perf_counter() - began)
                shutil.rmtree(dest, ignore_errors=True)
                Path(f"{dest}.mp4").unlink(missing_ok=True)
    rates = {name: frames / best[name] for name, (frames, _) in ways.items()}
    ratios = {
        "imgstore save beside ffmpeg": rates[SAVE] / rates[FFMPEG],
        "--copy beside encoding": rates[COPY] / rates[SAVE],
    }
    print(f"{count} frames of 1280 x 1024, avc1/mp4")
    for name, rate in rates.items():
        print(f"{name:36} {rate:9.1f} frames/s")
    for name, ratio in ratios.items():
        print(f"{name:36} {ratio:9.2f}")
    if arguments.json:
        arguments.json.write_text(json.dumps({"frames": count, "frames/s": rates, "ratios": ratios}, indent=2))


if __name__ == "__main__":
    main()

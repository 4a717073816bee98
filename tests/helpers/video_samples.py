"""Videos for the tests, made by PyAV: every frame shows its own number as a 4 x 4 grid of cells over a moving scene.

Each maker below takes a path and gives the numbers that a player shows, in order. Together they cover what makes
seeking go wrong: pictures out of order, open groups of pictures, intra refresh, edit lists, odd times, indexes that
lack or say too much.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import av
import numpy as np

from imgstore_codecs.video.writing.priority import usual_priority

HEIGHT, WIDTH = 128, 192
CELL_H, CELL_W = 24, 32
TOP, LEFT = 8, 8
_BITS = 1 << np.arange(16)


@lru_cache(maxsize=1)
def _background() -> np.ndarray:
    """Smooth texture, larger than a picture."""
    rng = np.random.default_rng(7)
    coarse = rng.integers(60, 190, (HEIGHT // 4 + 40, WIDTH // 4 + 40)).astype(np.float32)
    fine = np.kron(coarse, np.ones((4, 4), np.float32))
    for axis in (0, 1):
        fine = (fine + np.roll(fine, 1, axis) + np.roll(fine, 2, axis) + np.roll(fine, 3, axis)) / 4
    return fine.astype(np.uint8)


def picture(number: int, color: bool = False, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """Draw the frame with a number: 16 bits, row-major, bit 0 first, white is 1."""
    step = number % 80
    scene = np.resize(_background(), (height + 80, width + 80))
    img = np.ascontiguousarray(scene[step : step + height, step : step + width])
    for bit in range(16):
        y, x = TOP + bit // 4 * CELL_H, LEFT + bit % 4 * CELL_W
        img[y : y + CELL_H, x : x + CELL_W] = 255 if number >> bit & 1 else 0
    if not color:
        return img
    bgr = np.repeat(img[..., None], 3, axis=2)
    # smooth colour outside of the cells
    bgr[: TOP - 2, :, 0] = 40
    bgr[TOP + 4 * CELL_H + 4 :, :, 1] = 200
    return np.ascontiguousarray(bgr)


def number_of(img: np.ndarray) -> int:
    """Read the number of a frame; -1 where a cell is neither white nor black."""
    top = 65535 if img.dtype == np.uint16 or img.max() > 255 else 255
    grid = img[TOP : TOP + 4 * CELL_H, LEFT : LEFT + 4 * CELL_W].reshape(4, CELL_H, 4, CELL_W, -1)
    levels = grid[:, 5:-5, :, 5:-5].mean(axis=(1, 3, 4)).ravel() / top
    if ((levels > 0.35) & (levels < 0.65)).any():
        return -1
    return int((levels > 0.5) @ _BITS)


def encode(
    path: Path | str | io.IOBase,
    numbers: Iterable[int],
    codec: str = "libx264",
    *,
    pix_fmt: str = "yuv420p",
    options: dict[str, str] | None = None,
    gop: int = 12,
    rate: Fraction | int = 25,
    pts: Sequence[int] | None = None,
    kinds: Sequence[int] | None = None,
    time_base: Fraction | None = None,
    muxer: str | None = None,
    mux: dict[str, str] | None = None,
    color: bool = False,
    full: bool = False,
    matrix: int | None = None,
    sound: bool = False,
    tweak: Callable[[list[av.Packet]], list[av.Packet]] | None = None,
    size: tuple[int, int] = (HEIGHT, WIDTH),
) -> None:
    """Write a video; `pts` in units of `time_base`, by default one per frame; `tweak` may alter the packets."""
    file = path if isinstance(path, io.IOBase) else str(path)
    with av.open(file, "w", format=muxer, options=dict(mux or {})) as out:
        stream = out.add_stream(codec, rate=rate)
        audio = out.add_stream("aac", rate=48000) if sound else None
        context = stream.codec_context
        stream.height, stream.width = size
        stream.pix_fmt = pix_fmt
        context.gop_size = gop
        context.thread_count = 2
        if time_base is not None:
            context.time_base = time_base
        context.color_range = 2 if full else 1
        if matrix is not None:
            context.colorspace = matrix
        stream.options = dict(options or {})
        tick = context.time_base if time_base is None else time_base
        packets: list[av.Packet] = []
        for k, number in enumerate(numbers):
            img = picture(number, color, *size)
            frame = av.VideoFrame.from_ndarray(img, format="bgr24" if color else "gray")
            frame = frame.reformat(
                format=pix_fmt,
                src_color_range="JPEG",
                dst_color_range="JPEG" if full else "MPEG",
                dst_colorspace={1: 1, 9: 9, 7: 7, 4: 4}.get(matrix or 0, 5),
            )
            frame.pts = k if pts is None else pts[k]
            frame.time_base = tick if tick else 1 / Fraction(rate)
            if kinds is not None:
                frame.pict_type = kinds[k]
            with usual_priority():  # the first one opens the encoder
                packets += stream.encode(frame)
        packets += stream.encode(None)
        if len(packets) == 1:
            packets[0].dts = packets[0].pts  # of fewer frames than it holds back, x265 gives what was in memory before
        if tweak is not None:
            packets = tweak(packets)
        if audio is not None:
            sine = np.sin(np.arange(48000) / 20).astype(np.float32)[None]
            for start in range(0, 48000 * 2, 1024):
                piece = av.AudioFrame.from_ndarray(np.resize(sine[:, start % 40000 :], (1, 1024)), "fltp", "mono")
                piece.sample_rate, piece.pts = 48000, start
                packets += audio.encode(piece)
            packets += audio.encode(None)
            packets.sort(key=lambda p: float((p.dts or 0) * p.time_base))
        for packet in packets:
            out.mux(packet)


X264 = "libx264"
X265 = {"x265-params": "log-level=none"}
CLUSTER = b"\x1fC\xb6u"
B_FRAMES = {"x264-params": "bframes=5:b-pyramid=normal:b-adapt=0:scenecut=0"}


def x265(parameters: str) -> dict[str, str]:
    return {"x265-params": f"log-level=none:{parameters}"}


@dataclass(frozen=True)
class Sample:
    """A video to be made: file name, and the function that writes it and gives the numbers that it shows."""

    name: str
    make: Callable[[Path], list[int]]

    def __str__(self) -> str:
        return self.name


def _plain(name: str, count: int = 60, **how: object) -> Sample:
    def make(path: Path) -> list[int]:
        numbers = [(k * 7 + 3) % 65536 for k in range(count)]
        encode(path, numbers, **how)  # type: ignore[arg-type]
        return numbers

    return Sample(name, make)


class _Pipe(io.RawIOBase):
    """A file that cannot seek, so that muxers leave out what needs a second pass."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False

    def write(self, data: object) -> int:
        return self._file.write(data)  # type: ignore[arg-type]

    def close(self) -> None:
        self._file.close()
        super().close()


def _without_cues(path: Path) -> list[int]:
    numbers = list(range(60))
    pipe = _Pipe(path)
    encode(pipe, numbers, muxer="matroska", options=B_FRAMES, mux={"live": "1"})
    pipe.close()
    return numbers


def patch_edit_list(path: Path, skip: int, keep: int | None = None) -> None:
    """Let the edit list of an mp4 file begin `skip` units of the media's time later, and keep `keep` ms."""
    data = bytearray(path.read_bytes())
    at = data.rfind(b"elst")
    version, count = data[at + 4], struct.unpack_from(">I", data, at + 8)[0]
    assert version == 0 and count == 1
    duration, start = struct.unpack_from(">Ii", data, at + 12)
    struct.pack_into(">Ii", data, at + 12, duration if keep is None else keep, start + skip)
    path.write_bytes(data)


def _edited(skip: int, count: int | None = None) -> Callable[[Path], list[int]]:
    def make(path: Path) -> list[int]:
        encode(path, range(60), options=B_FRAMES, mux={"video_track_timescale": "12800"})
        patch_edit_list(path, skip * 512, None if count is None else count * 40)
        return list(range(skip, 60 if count is None else skip + count))

    return make


def _start_without_idr(path: Path) -> list[int]:
    """Cut a stream with open groups of pictures at a key frame that is no IDR, as a copy without re-encoding does."""
    whole = path.with_name(f"whole-{path.stem}.mp4")
    encode(whole, range(60), options={"x264-params": "open-gop=1:bframes=3:b-adapt=0:scenecut=0"})
    with av.open(str(whole)) as source, av.open(str(path), "w") as out:
        stream = source.streams.video[0]
        copy = out.add_stream_from_template(stream)
        begun = None
        for packet in source.demux(stream):
            if packet.dts is None:
                continue
            if begun is None and packet.is_keyframe and packet.pts >= 20 * 512:
                begun = packet.pts
            if begun is not None:
                packet.stream = copy
                out.mux(packet)
    whole.unlink()
    return list(range(begun // 512, 60))


def _out_of_avi(path: Path) -> list[int]:
    """Copy H.264 with B-frames out of an AVI file, which has no times of showing: those of decoding are in their place."""
    source_path = path.with_suffix(".avi")
    encode(source_path, range(60), options=B_FRAMES)
    with av.open(str(source_path)) as source, av.open(str(path), "w") as out:
        copy = out.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.pts = packet.dts
                packet.stream = copy
                out.mux(packet)
    source_path.unlink()
    return list(range(60))


def _clock_jumps_back(path: Path) -> list[int]:
    """Let the clusters of a Matroska file (RFC 9559, 5.1.3) be a second earlier from the 37th frame on."""
    encode(path, range(60), gop=20, options=B_FRAMES, mux={"cluster_time_limit": "100"})
    data = bytearray(path.read_bytes())
    at = data.find(CLUSTER)
    while at >= 0:
        mark, length = data[at + 12], data[at + 13] & 0x7F
        assert mark == 0xE7
        time = int.from_bytes(data[at + 14 : at + 14 + length], "big")
        if time >= 1500:
            data[at + 14 : at + 14 + length] = (time - 1010).to_bytes(length, "big")
        at = data.find(CLUSTER, at + 4)
    path.write_bytes(data)
    return list(range(60))


def _packed_b_frames(path: Path) -> list[int]:
    """MPEG-4 in AVI as DivX 5 wrote it: a B-VOP rides in the packet of the picture before."""

    def pack(packets: list[av.Packet]) -> list[av.Packet]:
        kinds = []
        for packet in packets:
            data = bytes(packet)
            kinds.append(data[data.rfind(b"\x00\x00\x01\xb6") + 4] >> 6)
        packed = []
        k = 0
        while k < len(packets):
            data = bytes(packets[k])
            if k == 0:
                data = data.replace(b"\x00\x00\x01\xb6", b"\x00\x00\x01\xb2DivX503b1393p\x00\x00\x01\xb6", 1)
            if k + 1 < len(packets) and kinds[k] != 2 and kinds[k + 1] == 2:
                packed.append((data + bytes(packets[k + 1]), packets[k]))
                # vop_coded 0: nothing changes
                packed.append((b"\x00\x00\x01\xb6\x50\x3f\xff", packets[k + 1]))
                k += 2
            else:
                packed.append((data, packets[k]))
                k += 1
        out = []
        for n, (data, old) in enumerate(packed):
            packet = av.Packet(data)
            packet.stream, packet.time_base = old.stream, old.time_base
            packet.pts = packet.dts = n
            packet.is_keyframe = old.is_keyframe
            out.append(packet)
        return out

    options = {"bf": "1", "b_strategy": "0", "qscale": "3", "flags": "+qscale"}
    encode(path, range(60), "mpeg4", options=options, tweak=pack)
    return list(range(60))


def _vfr(count: int = 60, unit: int = 1) -> list[int]:
    rng = np.random.default_rng(3)
    return [int(t) * unit for t in np.cumsum(rng.integers(1, 9, count))]


SAMPLES: tuple[Sample, ...] = (
    _plain("h264-b-pyramid.mp4", options=B_FRAMES),
    _plain("h264-b-pyramid-250.mp4", count=130, options=B_FRAMES, gop=250),
    _plain("h264-no-b.mp4", options={"tune": "zerolatency"}),
    _plain("h264-many-references.mp4", options={"x264-params": "ref=8:bframes=8:b-adapt=0:b-pyramid=normal"}, gop=40),
    _plain("h264-open-gop.mp4", options={"x264-params": "open-gop=1:bframes=4:b-adapt=0:scenecut=0"}),
    _plain("h264-open-gop.mkv", options={"x264-params": "open-gop=1:bframes=4:b-adapt=0:scenecut=0"}),
    _plain("h264-intra-refresh.mp4", options={"x264-params": "intra-refresh=1:bframes=0"}, gop=15),
    _plain("h264-intra-refresh.mkv", options={"x264-params": "intra-refresh=1:bframes=0"}, gop=15),
    Sample("h264-start-without-idr.mp4", _start_without_idr),
    Sample("h264-start-without-idr.mkv", _start_without_idr),
    Sample("h264-edit-list-3.mp4", _edited(3)),
    Sample("h264-edit-list-17.mp4", _edited(17)),
    Sample("h264-edit-list-end.mp4", _edited(5, 30)),
    _plain("h264-start-offset.mp4", options=B_FRAMES, pts=[1000 + k for k in range(60)], time_base=Fraction(1, 25)),
    _plain("h264-start-offset.mkv", options=B_FRAMES, pts=[1000 + k for k in range(60)], time_base=Fraction(1, 25)),
    _plain("h264-variable-rate.mp4", options=B_FRAMES, pts=_vfr(), time_base=Fraction(1, 90)),
    _plain("h264-variable-rate.mkv", options=B_FRAMES, pts=_vfr(), time_base=Fraction(1, 90)),
    _plain("h264-ntsc.mp4", options=B_FRAMES, rate=Fraction(30000, 1001)),
    _plain("h264-odd-time-base.mp4", options=B_FRAMES, pts=[k * 13 for k in range(60)], time_base=Fraction(1, 977)),
    _plain("h264-slower-than-one.mp4", options=B_FRAMES, rate=Fraction(1, 7)),
    _plain("h264-2000-fps.mkv", options=B_FRAMES, rate=2000),
    _plain("h264-2000-fps-no-b.mkv", options={"tune": "zerolatency"}, rate=2000),
    _plain("h264-fragmented.mp4", options=B_FRAMES, mux={"movflags": "frag_keyframe+empty_moov+default_base_moof"}),
    _plain("h264-fragment-each.mp4", options=B_FRAMES, mux={"movflags": "frag_every_frame+empty_moov"}),
    _plain("h264-hybrid.mp4", options=B_FRAMES, mux={"movflags": "hybrid_fragmented", "frag_duration": "200000"}),
    _plain("h264-faststart.mp4", options=B_FRAMES, mux={"movflags": "faststart"}),
    _plain("h264-negative-offsets.mp4", options=B_FRAMES, mux={"movflags": "negative_cts_offsets"}),
    _plain("h264-no-edit-list.mp4", options=B_FRAMES, mux={"use_editlist": "0"}),
    _plain("h264-with-sound.mp4", options=B_FRAMES, sound=True),
    _plain("h264-with-sound.mkv", options=B_FRAMES, sound=True),
    Sample("h264-no-cues.mkv", _without_cues),
    _plain("h264-b-frames.avi", options=B_FRAMES),
    Sample("h264-out-of-avi.mkv", _out_of_avi),
    Sample("h264-out-of-avi.mp4", _out_of_avi),
    _plain("h264-no-b.avi", options={"tune": "zerolatency"}),
    _plain("h264-empty-packets.avi", options={"tune": "zerolatency"}, pts=_vfr(), time_base=Fraction(1, 25)),
    _plain("h264-interlaced.mp4", options={"x264-params": "interlaced=1:bframes=3"}),
    _plain("h264-sliced.mp4", options={"x264-params": "slices=4:bframes=2"}),
    _plain("h264-one-slice.mp4", options={"x264-params": "sliced-threads=0:slices=1:bframes=5:b-adapt=0"}),
    _plain("h264-one-slice-open-gop.mkv", count=100,
           options={"x264-params": "sliced-threads=0:slices=1:bframes=4:b-adapt=0:open-gop=1:scenecut=0"}),
    _plain("h264-422.mp4", pix_fmt="yuv422p", options=B_FRAMES),
    _plain("h264-444.mp4", pix_fmt="yuv444p", options=B_FRAMES),
    _plain("h264-10-bit.mp4", pix_fmt="yuv420p10le", options=B_FRAMES),
    _plain("h264-444-10-bit.mkv", pix_fmt="yuv444p10le", options=B_FRAMES),
    _plain("h264-gray.mp4", pix_fmt="gray", options=B_FRAMES),
    _plain("h264-full-range.mp4", full=True, options=B_FRAMES),
    _plain("h264-lossless.mp4", options={"crf": "0"}),
    _plain("h264-color-709.mp4", color=True, matrix=1, options=B_FRAMES),
    _plain("h264-color-601.mp4", color=True, matrix=6, options=B_FRAMES),
    _plain("h264-color-2020-full.mp4", color=True, matrix=9, full=True, options=B_FRAMES),
    _plain("hevc.mp4", codec="libx265", options=X265),
    _plain("hevc-open-gop.mkv", codec="libx265", options=x265("open-gop=1:bframes=4:keyint=12")),
    _plain("hevc-closed-gop.mp4", codec="libx265", options=x265("open-gop=0:bframes=4")),
    _plain("hevc-radl.mp4", codec="libx265", options=x265("open-gop=0:radl=2:bframes=4")),
    _plain("hevc-temporal-layers.mp4", codec="libx265", options=x265("temporal-layers=3:bframes=4")),
    _plain("hevc-intra-refresh.mp4", codec="libx265", options=x265("intra-refresh=1:bframes=0")),
    _plain("hevc-10-bit.mp4", codec="libx265", pix_fmt="yuv420p10le", options=X265),
    _plain("hevc-12-bit-444.mp4", codec="libx265", pix_fmt="yuv444p12le", options=X265),
    _plain("hevc-fragmented.mp4", codec="libx265", options=X265,
           mux={"movflags": "frag_keyframe+empty_moov"}),
    _plain("av1.mp4", codec="libsvtav1", options={"preset": "12"}),
    # at its usual quality the encoder of PyAV 19 leaves too little of two pictures to tell which they are
    _plain("av1-forward-key.mkv", codec="libsvtav1",
           options={"preset": "12", "crf": "20", "svtav1-params": "irefresh-type=1"}),
    _plain("av1-10-bit.mp4", codec="libsvtav1", pix_fmt="yuv420p10le", options={"preset": "12"}),
    _plain("vp8-alt-ref.mkv", codec="libvpx",
           options={"auto-alt-ref": "1", "lag-in-frames": "16", "crf": "10", "b": "2M"}),
    _plain("vp9-alt-ref.mkv", codec="libvpx-vp9",
           options={"lag-in-frames": "16", "crf": "20", "b": "0", "cpu-used": "8"}),
    _plain("mpeg4-b-frames.avi", codec="mpeg4", options={"bf": "2", "qscale": "3", "flags": "+qscale"}),
    _plain("mpeg4-b-frames.mp4", codec="mpeg4", options={"bf": "2", "qscale": "3", "flags": "+qscale"}),
    _plain("mpeg4-b-frames.mkv", codec="mpeg4", options={"bf": "2", "qscale": "3", "flags": "+qscale"}),
    _plain("mpeg4-no-b.avi", codec="mpeg4", options={"qscale": "3", "flags": "+qscale"}),
    _plain("mpeg4-closed-gop.mp4", codec="mpeg4",
           options={"bf": "2", "qscale": "3", "flags": "+qscale+cgop", "sc_threshold": "1000000000"}),
    Sample("mpeg4-packed-b-frames.avi", _packed_b_frames),
    _plain("mpeg2.mkv", codec="mpeg2video", options={"bf": "2", "qscale": "3", "flags": "+qscale"}),
    _plain("mjpeg.avi", codec="mjpeg", pix_fmt="yuvj420p", options={"qmin": "2", "qmax": "4"}),
    _plain("mjpeg.mp4", codec="mjpeg", pix_fmt="yuvj422p", options={"qmin": "2", "qmax": "4"}),
    _plain("mjpeg-444.mkv", codec="mjpeg", pix_fmt="yuvj444p", options={"qmin": "2", "qmax": "4"}),
    Sample("clock-jumps-back.mkv", _clock_jumps_back),
    _plain("mjpeg-empty-packets.avi", codec="mjpeg", pix_fmt="yuvj420p", options={"qmin": "2", "qmax": "4"},
           pts=_vfr(), time_base=Fraction(1, 25)),
    _plain("raw-with-palette.mp4", codec="rawvideo", pix_fmt="gray", muxer="mov"),
    _plain("ffv1.mkv", codec="ffv1", pix_fmt="gray", gop=1),
    _plain("ffv1-long-gop.mkv", codec="ffv1", pix_fmt="yuv420p", gop=10),
    _plain("ffv1-16-bit.mkv", codec="ffv1", pix_fmt="gray16le", gop=1),
    _plain("ffv1-color.avi", codec="ffv1", pix_fmt="bgr0", gop=1, color=True),
    _plain("ffv1-color-16-bit.mkv", codec="ffv1", pix_fmt="gbrp16le", gop=1, color=True),
    _plain("single-h264.mp4", count=1, options=B_FRAMES),
    _plain("single-h264.mkv", count=1, options=B_FRAMES),
    _plain("single-h264.avi", count=1, options=B_FRAMES),
    _plain("single-hevc.mp4", count=1, codec="libx265", options=X265),
    _plain("single-av1.mp4", count=1, codec="libsvtav1", options={"preset": "12"}),
    _plain("single-mpeg4.avi", count=1, codec="mpeg4"),
    _plain("single-mjpeg.avi", count=1, codec="mjpeg", pix_fmt="yuvj420p"),
    _plain("single-ffv1.mkv", count=1, codec="ffv1", pix_fmt="gray"),
    _plain("two-frames.mp4", count=2, options=B_FRAMES),
)  # fmt: skip

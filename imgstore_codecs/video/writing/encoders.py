"""The encoders behind the formats: their settings, the options that people give, and what FFmpeg calls them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from imgstore.codec import Format, FrameSpec
from imgstore.errors import ArgumentError, FormatError
from imgstore_codecs.video.writing.priority import usual_priority

if TYPE_CHECKING:
    from av.video.codeccontext import VideoCodecContext

__all__ = ["ENCODERS", "Encoder", "Settings", "check_encoder", "configure", "option_help", "settings_for"]

# 0.x writes 25 whatever the real rate: the times of frames are in the chunk's index
NOMINAL_RATE = Fraction(25)
_FASTEST_AVI = Fraction(1000)  # that FFmpeg writes

# AVColorRange and AVColorSpace (libavutil/pixfmt.h); SMPTE 170M is BT.601
_LIMITED, _FULL = 1, 2
_SMPTE170M = 6

# Pixels; what is longer needs `Encoder.least_side`
_LONG = 64

# constant quantisers, which FFmpeg's own encoders have instead of a constant quality
_QSCALE = "qscale"


@dataclass(frozen=True)
class Encoder:
    """How one format is written.

    Attributes
    ----------
    name : str
        FFmpeg's name of the encoder.
    muxer : str
        FFmpeg's name of the container.
    gop_size : int
        Frames from one key frame to the next.
    largest_gop : int
        The most that may be asked for.
    crf : tuple of float or None
        Best, worst and default constant quality on the encoder's own scale; None where it has none.
    crf_option : str
        What the encoder calls it, or `_QSCALE`.
    presets : tuple of str
        Allowed values of ``preset``, fastest first; empty where there are none.
    preset : str
        The default.
    gray, color : str
        Pixel formats for 8 bits.
    gray16, color16 : str
        Pixel formats for 16 bits, or ''.
    options : dict
        Further options of the encoder.
    least_side : int
        Height and width that frames need which are longer than 64 pixels.
    batch_threads : bool
        Whether it is faster where Linux takes its threads for batch jobs.
    left_chroma : bool
        Whether chroma lies in the columns of luma, as in MPEG-2, and not between them; that cannot be said in the file.
    says_range : bool
        Whether the file says of which range its samples are; where not, every player takes them for the limited one.
    """

    name: str
    muxer: str
    gop_size: int
    largest_gop: int = 100_000
    crf: tuple[float, float, float] | None = None
    crf_option: str = "crf"
    presets: tuple[str, ...] = ()
    preset: str = ""
    gray: str = "yuv420p"
    color: str = "yuv420p"
    gray16: str = ""
    color16: str = ""
    least_side: int = 1
    batch_threads: bool = False
    left_chroma: bool = False
    says_range: bool = True
    options: Mapping[str, str] = field(default_factory=dict)


_X26X_PRESETS = (
    "ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow", "placebo",
)  # fmt: skip

_H264 = {
    "name": "libx264",
    "gop_size": 25,
    "crf": (0, 51, 18),
    "presets": _X26X_PRESETS,
    "preset": "veryfast",
    # no frame waits in the encoder; chroma is the mean of four pixels, which lies between them
    "options": {"tune": "zerolatency", "bf": "0", "x264-params": "chromaloc=1"},
    "batch_threads": True,
}

_MPEG4 = {
    "name": "mpeg4",
    "gop_size": 25,
    "crf": (2, 31, 3),
    "crf_option": _QSCALE,
    "left_chroma": True,
    "says_range": False,
    "options": {"bf": "0"},
}

ENCODERS: dict[str, Encoder] = {
    "mjpeg/avi": Encoder(
        name="mjpeg", muxer="avi", gop_size=1, crf=(2, 31, 3), crf_option=_QSCALE,
        gray="yuvj420p", color="yuvj420p",
    ),
    "h264/mkv": Encoder(muxer="matroska", **_H264),  # type: ignore[arg-type]
    "avc1/mp4": Encoder(muxer="mp4", **_H264),  # type: ignore[arg-type]
    "divx/avi": Encoder(muxer="avi", **_MPEG4),  # type: ignore[arg-type]
    "mp4v/mp4": Encoder(muxer="mp4", **_MPEG4),  # type: ignore[arg-type]
    "hevc/mp4": Encoder(
        name="libx265", muxer="mp4", gop_size=25, crf=(0, 51, 20), presets=_X26X_PRESETS, preset="ultrafast",
        options={"tune": "zerolatency", "x265-params": "log-level=error:chromaloc=1"},
    ),
    "av1/mp4": Encoder(
        # Where no frame is held back and as many reference pictures are in use as SVT-AV1 4.1 allots, its threads can meet
        # in an order in which it waits for another one for ever. These presets, levels and distances of key frames leave
        # three free (see docs/video.md). Narrow frames, of more than one of its blocks of 64 pixels, it waits for in any case.
        # FFmpeg takes a crf of 0 for none.
        name="libsvtav1", muxer="mp4", gop_size=25, largest_gop=64, least_side=26, crf=(1, 63, 26),
        presets=tuple(str(k) for k in range(9, -1, -1)), preset="9",
        options={"svtav1-params": "pred-struct=1:lookahead=0:hierarchical-levels=5"},
    ),
    "ffv1/mkv": Encoder(
        name="ffv1", muxer="matroska", gop_size=1, gray="gray", color="bgr0", gray16="gray16le", color16="gbrp16le",
        options={"level": "3", "slicecrc": "1"},
    ),
    "h264-nvenc/mp4": Encoder(
        name="h264_nvenc", muxer="mp4", gop_size=25, crf=(0, 51, 20), crf_option="cq",
        presets=("p1", "p2", "p3", "p4", "p5", "p6", "p7"), preset="p4",
        options={"tune": "ull", "rc": "vbr", "zerolatency": "1", "delay": "0", "bf": "0"},
    ),
    "hevc-nvenc/mp4": Encoder(
        name="hevc_nvenc", muxer="mp4", gop_size=25, crf=(0, 51, 22), crf_option="cq",
        presets=("p1", "p2", "p3", "p4", "p5", "p6", "p7"), preset="p4",
        options={"tune": "ull", "rc": "vbr", "zerolatency": "1", "delay": "0", "bf": "0"},
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Settings:
    """All that an encoder is opened with."""

    encoder: Encoder
    width: int
    height: int
    pix_fmt: str
    bits: int  # of the frames' samples
    rate: Fraction
    gop_size: int
    threads: int
    full_range: bool
    options: dict[str, str]


def option_help(encoder: Encoder) -> dict[str, str]:
    """Give the options of a format, each with a line of help."""
    found = {}
    if encoder.crf is not None:
        best, worst, usual = encoder.crf
        if encoder.crf_option != _QSCALE:
            found["crf"] = f"constant quality on the encoder's scale, {best:g} (best) to {worst:g}; default {usual:g}"
        found["quality"] = "the same from 0 (worst) to 100 (best), alike for all formats"
    if encoder.presets:
        found["preset"] = f"one of {', '.join(encoder.presets)} (fastest first); default {encoder.preset}"
    found["gop_size"] = f"frames from one key frame to the next; default {encoder.gop_size}"
    found["pix_fmt"] = "FFmpeg's name of the pixel format in the file; default by the kind of frames"
    found["threads"] = "threads that encode, 0: as many as suit; default 0"
    found["fps"] = "frame rate that the file claims; default 25, as 0.x writes"
    found["encoder_options"] = f"dict of further options of FFmpeg's encoder {encoder.name}, as it names them"
    return found


def settings_for(fmt: Format, spec: FrameSpec, options: Mapping[str, Any]) -> Settings:
    """Turn the options that a person gave into the settings of an encoder.

    Raises
    ------
    ArgumentError
        A value cannot be used; the message says which can.
    FormatError
        The format does not hold frames of this kind.
    """
    encoder = ENCODERS[fmt.name]
    wide = spec.dtype == np.uint16
    pix_fmt = {
        (False, False): encoder.gray,
        (False, True): encoder.color,
        (True, False): encoder.gray16,
        (True, True): encoder.color16,
    }[wide, spec.color]
    if not pix_fmt or spec.dtype not in (np.uint8, np.uint16) or len(spec.shape) not in (2, 3):
        raise FormatError(f"{fmt.name} does not hold frames of {spec.dtype} with shape {spec.shape}")
    height, width = spec.shape[:2]
    if max(height, width) > _LONG and min(height, width) < encoder.least_side:
        raise FormatError(
            f"{fmt.name} does not hold frames of {height} x {width} (height x width): where one side is longer than {_LONG} "
            f"pixels, its encoder needs {encoder.least_side} for the other; ffv1/mkv and h264/mkv take such frames"
        )
    raw = options.get("encoder_options") or {}
    if not isinstance(raw, Mapping):
        raise ArgumentError(f"encoder_options={raw!r}: a dict of option names and values is wanted")
    if options.get("pix_fmt") is not None:
        pix_fmt = str(options["pix_fmt"])
    preset = options.get("preset")
    if preset is not None and str(preset) not in encoder.presets:
        allowed = f"one of {', '.join(encoder.presets)} is wanted" if encoder.presets else f"{fmt.name} has none"
        raise ArgumentError(f"preset={preset!r}: {allowed}")
    gathered = dict(encoder.options)
    if (
        encoder.name == "ffv1"
    ):  # so many can be encoded and decoded at a time; FFmpeg cuts all large pictures, and no line
        is_small = min(height, width) < 64 and width <= 352 and height <= 288
        gathered["slices"] = "1" if is_small or min(height, width) < 2 else "4"
    if encoder.presets:
        gathered["preset"] = str(preset if preset is not None else encoder.preset)
    quality = _quality(fmt, encoder, options)
    if quality is not None and encoder.crf_option == _QSCALE:
        gathered["qmin"] = gathered["qmax"] = str(round(quality))
    elif quality is not None:
        gathered[encoder.crf_option] = f"{quality:g}"
    for name, value in raw.items():
        # lists of parameters for the library behind an encoder add to ours
        joined = name in gathered and str(name).endswith("-params")
        gathered[str(name)] = f"{gathered[name]}:{value}" if joined else str(value)
    return Settings(
        encoder=encoder,
        width=width,
        height=height,
        pix_fmt=pix_fmt,
        bits=16 if wide else 8,
        rate=_rate(options.get("fps"), encoder.muxer),
        gop_size=_whole(options, "gop_size", encoder.gop_size, 1, encoder.largest_gop),
        threads=_whole(options, "threads", 0, 0, 1024) or min(os.cpu_count() or 1, 8),
        full_range=encoder.says_range
        and (not spec.color or pix_fmt.startswith(("yuvj", "bgr", "rgb", "gbr", "gray"))),
        options=gathered,
    )


def _quality(fmt: Format, encoder: Encoder, options: Mapping[str, Any]) -> float | None:
    """Constant quality on the encoder's own scale."""
    crf, quality = options.get("crf"), options.get("quality")
    if encoder.crf is None:
        for name, value in (("crf", crf), ("quality", quality)):
            if value is not None:
                raise ArgumentError(f"{name}={value!r}: {fmt.name} is lossless and has no such option")
        return None
    best, worst, usual = encoder.crf
    if crf is not None and quality is not None:
        raise ArgumentError("crf and quality say the same thing: give one of them")
    if crf is not None:
        if encoder.crf_option == _QSCALE:
            raise ArgumentError(f"crf={crf!r}: {fmt.name} takes quality, 0 to 100")
        return _between("crf", crf, best, worst)
    if quality is not None:
        return worst + (best - worst) * _between("quality", quality, 0, 100) / 100
    return usual


def _between(name: str, value: Any, low: float, high: float) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = float("nan")
    if isinstance(value, bool) or not low <= number <= high:
        raise ArgumentError(f"{name}={value!r}: a number from {low:g} to {high:g} is wanted")
    return number


def _whole(options: Mapping[str, Any], name: str, default: int, low: int, high: int) -> int:
    value = options.get(name)
    if value is None:
        return default
    number = _between(name, value, low, high)
    if number != int(number):
        raise ArgumentError(f"{name}={value!r}: a whole number from {low} to {high} is wanted")
    return int(number)


def _rate(fps: Any, muxer: str) -> Fraction:
    if fps is None:
        return NOMINAL_RATE
    if isinstance(fps, Fraction):
        rate = fps
    else:
        number = _between("fps", fps, 1e-3, 1e6)
        rate = Fraction(number).limit_denominator(1001)
    if rate <= 0:
        raise ArgumentError(f"fps={fps!r}: a number above 0 is wanted")
    return min(rate, _FASTEST_AVI) if muxer == "avi" else rate


def configure(context: VideoCodecContext, settings: Settings) -> None:
    """Set up an encoder that is not open yet."""
    context.width, context.height = settings.width, settings.height
    context.pix_fmt = settings.pix_fmt
    context.framerate = settings.rate
    context.time_base = 1 / settings.rate
    context.gop_size = settings.gop_size
    context.thread_count = settings.threads
    context.color_range = _FULL if settings.full_range else _LIMITED
    if not settings.pix_fmt.startswith(("bgr", "rgb", "gbr", "gray")):
        context.colorspace = _SMPTE170M
    context.options = dict(settings.options)
    if settings.encoder.name == "libsvtav1":
        os.environ.setdefault("SVT_LOG", "1")  # errors alone; it writes to the terminal, past FFmpeg's log


def check_encoder(settings: Settings) -> None:
    """Open the encoder with these settings once, to hear what it says.

    Raises
    ------
    ArgumentError
        It refuses them, does not know an option, or the pixel format holds fewer bits than the frames have.
    """
    import av
    from av.video.codeccontext import VideoCodecContext

    name = settings.encoder.name
    context = VideoCodecContext.create(name, "w")
    assert isinstance(context, VideoCodecContext)
    known = [f.name for f in context.codec.video_formats or ()]
    if known and settings.pix_fmt not in known:
        raise ArgumentError(f"pix_fmt={settings.pix_fmt!r}: the encoder {name} takes {', '.join(known)}")
    bits = max(component.bits for component in av.VideoFormat(settings.pix_fmt, 16, 16).components)
    if bits < settings.bits:
        raise ArgumentError(f"pix_fmt={settings.pix_fmt!r} has {bits} bits per sample, the frames have {settings.bits}")
    with _complaints() as complaints:
        try:
            configure(context, settings)
            with usual_priority():
                context.open()
        except (av.error.FFmpegError, ValueError) as error:
            said = "; ".join(complaints) or error
            raise ArgumentError(
                f"the encoder {name} refuses options {settings.options}, pix_fmt={settings.pix_fmt!r}, "
                f"gop_size={settings.gop_size} for frames of {settings.width} x {settings.height}: {said}"
            ) from error
    unknown = [option for option in context.options if option in settings.options]
    if unknown:
        raise ArgumentError(f"the encoder {name} has no option {', '.join(map(repr, unknown))}")
    refused = [line for line in complaints if "option" in line.lower()]
    if refused:
        raise ArgumentError(f"the encoder {name}, given {settings.options}: {'; '.join(refused)}")


@contextmanager
def _complaints() -> Iterator[list[str]]:
    """Collect what FFmpeg logs as errors and warnings meanwhile: encoders only log parameters that they do not know."""
    import av

    found: list[str] = []
    level = av.logging.get_level()
    av.logging.set_level(av.logging.WARNING)
    try:
        with av.logging.Capture() as lines:
            try:
                yield found
            finally:
                found += [message.strip() for _, _, message in lines]
    finally:
        av.logging.set_level(level)

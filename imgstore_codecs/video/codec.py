"""Video through PyAV, whose wheels bring FFmpeg with its encoders: H.264, HEVC, AV1, MJPEG and lossless FFV1."""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Mapping, Sequence
from functools import cache, partial
from typing import Any

import numpy as np
import numpy.typing as npt

from imgstore.codec import ChunkCodec, ChunkReader, ChunkWriter, Codec, Format, FrameSpec, Survey
from imgstore.hookspecs import hookimpl
from imgstore_codecs.video.writing.encoders import ENCODERS, check_encoder, option_help, settings_for

__all__ = ["PyAVCodec", "imgstore_codecs"]

_FORMATS = (
    Format("mjpeg/avi", ".avi", lossless=False, even_size=True, aliases=("mjpeg",)),
    Format("h264/mkv", ".mkv", lossless=False, even_size=True),
    Format("avc1/mp4", ".mp4", lossless=False, even_size=True),
    Format("hevc/mp4", ".mp4", lossless=False, even_size=True),
    Format("av1/mp4", ".mp4", lossless=False, even_size=True),
    Format("ffv1/mkv", ".mkv", lossless=True, dtypes=("uint8", "uint16")),
    Format("divx/avi", ".avi", lossless=False, even_size=True),
    Format("mp4v/mp4", ".mp4", lossless=False, even_size=True),
    Format("h264-nvenc/mp4", ".mp4", lossless=False, even_size=True, aliases=("h264_nvenc/mp4",)),
    Format("hevc-nvenc/mp4", ".mp4", lossless=False, even_size=True),
)


@cache
def _missing(name: str) -> str | None:
    """Why a format cannot be written here, tried out once."""
    try:
        import av
    except ImportError as error:
        return f"PyAV cannot be imported ({error}): pip install av"
    encoder = ENCODERS[name].name
    try:
        av.codec.Codec(encoder, "w")
    except ValueError:
        return f"this PyAV's FFmpeg has no encoder {encoder}: pip install --force-reinstall av"
    if not encoder.endswith("_nvenc"):
        return None
    fmt = next(f for f in _FORMATS if f.name == name)
    try:
        check_encoder(settings_for(fmt, FrameSpec((256, 256), np.dtype(np.uint8)), {}))
    except Exception as error:
        log = getattr(error.__cause__, "log", None)  # of FFmpeg: level, name, message
        return f"{encoder} needs an NVIDIA GPU and its driver ({log[2].strip() if log else error})"
    return None


def _kept_arrays(path: str, spec: FrameSpec) -> Mapping[str, npt.NDArray[Any]]:
    """Return what the reader of a complete file would keep of it."""
    from imgstore_codecs.video.reading.video_reader import VideoReader

    with contextlib.closing(VideoReader(path, spec, {"threads": 1})) as reader:
        return reader.kept_arrays()


class PyAVCodec(ChunkCodec):
    """All formats that FFmpeg writes for us; reads whatever it decodes.

    What reads and writes is imported when it is used: every program that opens a store asks each codec what it is.
    """

    name = "pyav"
    formats: Sequence[Format] = _FORMATS

    def missing(self, fmt: Format) -> str | None:
        return _missing(fmt.name)

    def missing_for_reading(self, fmt: Format) -> str | None:
        return None if importlib.util.find_spec("av") else "PyAV is not installed: pip install av"

    def write_options(self, fmt: Format) -> Mapping[str, str]:
        return option_help(ENCODERS[fmt.name])

    def check_options(self, fmt: Format, spec: FrameSpec, options: Mapping[str, Any]) -> None:
        # Now, and not when the first frame comes: Ctrl-C in the midst of an import may leave its lock taken.
        from imgstore_codecs.video.writing import video_writer  # noqa: F401

        if fmt.extension == ".mkv":  # `_kept_arrays` is for these, while recording goes on
            from imgstore_codecs.video.reading import video_reader  # noqa: F401

        check_encoder(settings_for(fmt, spec, options))

    def lossless(self, fmt: Format, options: Mapping[str, Any]) -> bool:
        return fmt.lossless and options.get("pix_fmt") is None

    def open_writer(self, path: str, fmt: Format, spec: FrameSpec, options: Mapping[str, Any]) -> ChunkWriter:
        from imgstore_codecs.video.writing.video_writer import VideoWriter

        return VideoWriter(path, spec, settings_for(fmt, spec, options), partial(_kept_arrays, path, spec))

    def open_reader(self, path: str, fmt: Format, spec: FrameSpec, options: Mapping[str, Any]) -> ChunkReader:
        from imgstore_codecs.video.reading.video_reader import VideoReader

        survey = options.get("survey")
        if survey is not None and isinstance(survey.reader, VideoReader):
            survey.reader.become(spec)
            return survey.reader
        if survey is not None:
            options = {**options, "kept_arrays": survey.arrays}
        return VideoReader(path, spec, options)

    def frame_spec(self, path: str, fmt: Format) -> FrameSpec:
        """Tell by the first picture."""
        from imgstore_codecs.video.pixels.convert import spec_of
        from imgstore_codecs.video.reading.video_reader import VideoReader

        reader = VideoReader(path, FrameSpec((2, 2), np.dtype(np.uint8)), {"threads": 1})
        try:
            return spec_of(reader.picture(0))
        finally:
            reader.close()

    @property
    def survey_version(self) -> str:
        import av

        return f"2, {av.__version__}, {sorted(av.library_versions.items())}"

    def survey(self, path: str, options: Mapping[str, Any]) -> Survey | None:
        from imgstore_codecs.video.survey import survey_video

        return survey_video(path, options) if self.missing_for_reading(_FORMATS[0]) is None else None

    def recover(self, damaged: str, target: str, fmt: Format, spec: FrameSpec, limit: int | None = None) -> int:
        from imgstore_codecs.video.mend_torn import recover_video

        return recover_video(damaged, target, spec, limit)


@hookimpl
def imgstore_codecs() -> Sequence[Codec]:
    return (PyAVCodec(),)

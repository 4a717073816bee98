"""What decoding a video depends on besides its packets, so that damage to a file's header is noticed."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from imgstore_codecs.video.open_video import NO_DECODING, open_video, video_stream

if TYPE_CHECKING:
    from av.video.stream import VideoStream

__all__ = ["describe", "describe_file"]


def describe(stream: VideoStream) -> bytes:
    """Put the codec, the size in pixels and the codec's parameters (of H.264 its parameter sets) into bytes.

    They are as the file has them, and not what FFmpeg makes of them, which may change with its version.
    """
    context = stream.codec_context
    size = struct.pack("<ii", context.width, context.height)
    return context.codec.canonical_name.encode() + b"\0" + size + (context.extradata or b"")


def describe_file(path: str) -> bytes:
    """Open a complete video file and describe its video stream.

    Raises
    ------
    OSError
        It cannot be opened, or there is none in it.
    """
    found = _describe_file(path, NO_DECODING)
    return found if found is not None else _describe_file(path, None) or b""


def _describe_file(path: str, options: dict[str, str] | None) -> bytes | None:
    """Describe it; None where no decoder was asked and it alone knows the size, as of MPEG-4 part 2 in MP4."""
    with open_video(path, options) as container:
        stream = video_stream(container)
        if stream is None:
            raise OSError(f"{path}: the file holds no video stream")
        return describe(stream) if stream.codec_context.width or options is None else None

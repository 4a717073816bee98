"""Opening a video file: without waiting for FFmpeg to decode it, and whatever its end is like."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from imgstore_codecs.video.bitstream.h264_parameters import pictures_held_back
from imgstore_codecs.video.torn import whole_fragments

if TYPE_CHECKING:
    from av.container import InputContainer

__all__ = ["NO_DECODING", "open_to_decode", "open_video"]

# Options of FFmpeg, which else decodes frames of H.264 when it opens a file, to learn how many of them a decoder holds
# back: that takes up to 50 ms. (Its log, which PyAV keeps off, says then that a codec is not on a whitelist.)
NO_DECODING = {"codec_whitelist": "none"}

# Containers that have a decoder's configuration where they begin
_CONFIGURED = (".mp4", ".mkv", ".mov", ".m4v")


def open_to_decode(path: str) -> InputContainer:
    """Open a video file as `open_video` does, sooner where a decoder need not be told how many pictures to hold back.

    Raises
    ------
    av.error.FFmpegError
        It is no video, or none that FFmpeg knows.
    """
    if path.lower().endswith(_CONFIGURED):
        container = open_video(path, NO_DECODING)
        video = next(iter(container.streams.video), None)
        context = video.codec_context if video is not None else None
        if context is not None and context.name == "h264" and pictures_held_back(context.extradata) is not None:
            return container
        container.close()
    return open_video(path)


def open_video(path: str, options: dict[str, str] | None = None) -> InputContainer:
    """Open a video file, without its torn end where FFmpeg will not have it otherwise.

    Parameters
    ----------
    path : str
        The file.
    options : dict of str to str, optional
        Of FFmpeg's.

    Raises
    ------
    av.error.FFmpegError
        It is no video, or none that FFmpeg knows.
    """
    import av

    try:
        container = av.open(path, options=options)
    except av.error.FFmpegError:
        start, end = whole_fragments(path)
        if not end:
            raise
    else:
        # of an index that is cut off FFmpeg may take what there is
        start, end = (0, 0) if container.streams.video else whole_fragments(path)
        if not start:
            return container
        container.close()
    return av.open(f"subfile,,start,{start},end,{end},,:{os.path.abspath(path)}", options=options)

"""Opening a video file and nothing else: without waiting for FFmpeg to decode it, and whatever its end is like."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from imgstore.video_facts import in_any_encoding
from imgstore_codecs.video.bitstream.h264_parameters import pictures_held_back
from imgstore_codecs.video.whole_part import whole_fragments

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

__all__ = ["BEST", "NO_DECODING", "address", "open_to_decode", "open_video", "video_stream"]

# Options of FFmpeg, which goes by a file's content: a text in place of a video may be a list of other files, or of addresses.
# So these are all the kinds that it may be, by the names of FFmpeg's demuxers, and none of them leads anywhere else.
_OWN_FILE_ALONE = {
    "format_whitelist": (
        "mov,mp4,matroska,webm,avi,mpegts,mpeg,asf,flv,ogg,nut,mxf,gxf,dv,rm,ivf,yuv4mpegpipe,h261,h263,h264,hevc,vvc,av1,obu,"
        "m4v,mpegvideo,vc1,dirac,mjpeg,gif,apng"
    ),
    "protocol_whitelist": "file,subfile",
    "enable_drefs": "0",
    "use_absolute_path": "0",
}

# Options of FFmpeg, which else decodes frames of H.264 when it opens a file, to learn how many of them a decoder holds
# back: that takes up to 50 ms. (Its log, which PyAV keeps off, says then that a codec is not on a whitelist.)
NO_DECODING = {"codec_whitelist": "none"}

# In the place of the number of a stream
BEST = -1

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
        if len(container.streams.video) == 1:  # FFmpeg finds the best of several by reading a little
            context = container.streams.video[0].codec_context
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

    def opened(name: str) -> InputContainer:
        how = in_any_encoding()
        container: InputContainer = av.open(name, options=options, container_options=_OWN_FILE_ALONE, **how)
        return container

    try:
        container = opened(address(path))
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
    return opened(f"subfile,,start,{start},end,{end},,:{os.path.abspath(path)}")


def address(path: str) -> str:
    """Return a file's path as FFmpeg takes it, which else takes what comes before a colon for a protocol."""
    return f"file:{os.path.abspath(path)}"


def video_stream(container: InputContainer, number: int | None = None) -> VideoStream | None:
    """Return the video that FFmpeg calls the best one of a file, or the stream with a number; a cover is none."""
    from av.stream import Disposition
    from av.video.stream import VideoStream

    if number is None:
        best = container.streams.best("video")
    else:
        best = container.streams[number] if 0 <= number < len(container.streams) else None
    is_cover = best is not None and bool(best.disposition.value & Disposition.attached_pic.value)
    return best if isinstance(best, VideoStream) and not is_cover else None

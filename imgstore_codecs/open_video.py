"""Opening a video file: soon, and without its end where that is torn.

FFmpeg reads Matroska and AVI up to where they break off. It refuses a whole MP4 when its last fragment is half a
description, though everything before that is good: a kill or a power cut leaves such files.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, BinaryIO

from imgstore_codecs.h264_parameters import pictures_held_back

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.codeccontext import VideoCodecContext

__all__ = ["NO_DECODING", "open_to_decode", "open_video", "reorder_depth"]

# Options of FFmpeg, which else decodes frames of H.264 when it opens a file, to learn how many of them a decoder holds
# back: that takes up to 50 ms. (Its log, which PyAV keeps off, says then that a codec is not on a whitelist.)
NO_DECODING = {"codec_whitelist": "none"}

# Containers that have a decoder's configuration where they begin
_CONFIGURED = (".mp4", ".mkv", ".mov", ".m4v")

_NESTED = frozenset([b"moof", b"traf"])
_INSIDE = frozenset([b"mfhd", b"traf", b"tfhd", b"tfdt", b"trun"])
_TOP = frozenset([b"ftyp", b"free", b"moov", b"moof", b"mdat"])
_LONGEST_MOOF = 1 << 20


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
        return av.open(path, options=options)
    except av.error.FFmpegError:
        whole = _whole_fragments(path)
        if not whole:
            raise
        return av.open(f"subfile,,start,0,end,{whole},,:{os.path.abspath(path)}", options=options)


def reorder_depth(context: VideoCodecContext) -> int:
    """Return how many pictures the decoder of an open video holds back, as far as that is known without decoding."""
    said = pictures_held_back(context.extradata) if context.name == "h264" else None
    return max(context.reorder_depth, said or 0)


def _whole_fragments(path: str) -> int:
    """Return where the last whole fragment of an MP4 file ends, 0 where it is none that has been begun by us."""
    try:
        size = os.path.getsize(path)
        with open(path, "rb") as file:
            return _end_of_whole_boxes(file, size)
    except OSError:
        return 0


def _end_of_whole_boxes(file: BinaryIO, size: int) -> int:
    """Walk the boxes of ISO/IEC 14496-12 that follow each other up to the last frame that is whole."""
    at = good = 0
    while at + 8 <= size:
        file.seek(at)
        header = file.read(8)
        length, kind = int.from_bytes(header[:4], "big"), header[4:]
        if kind not in _TOP or length < 8 or at + length > size:
            break
        if kind == b"moof" and (length > _LONGEST_MOOF or not _is_whole(file.read(length - 8))):
            break
        at += length
        if kind == b"mdat":
            good = at
    return good


def _is_whole(content: bytes) -> bool:
    """Whether boxes fill the place that they are said to fill, and are those of a fragment."""
    at = 0
    while at + 8 <= len(content):
        length, kind = int.from_bytes(content[at : at + 4], "big"), content[at + 4 : at + 8]
        if kind not in _INSIDE or length < 8 or at + length > len(content):
            return False
        if kind in _NESTED and not _is_whole(content[at + 8 : at + length]):
            return False
        at += length
    return at == len(content) > 0

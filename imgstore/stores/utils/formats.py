"""Formats as imgstore-shaliulab lists them."""

from __future__ import annotations

from typing import Any

from imgstore.codec import ChunkCodec
from imgstore.plugins import registered_codecs
from imgstore.util import FourCC

__all__ = ["get_formats"]

_RAW = ("npy", "bpk")
# four-character codes that are not the beginning of the format's name
_CODES = {
    "mjpeg/avi": "MJPG",
    "divx/avi": "DIVX",
    "h264/mkv": "H264",
    "hevc/mp4": "hev1",
    "av1/mp4": "av01",
    "ffv1/mkv": "FFV1",
}


def get_formats(video: bool = False, directory: bool = False, raw: bool = False, **kwargs: Any) -> dict[str, Any]:
    """Return the formats of some kinds: of video those that work here, of the others all.

    Parameters
    ----------
    video, directory, raw : bool
        Which kinds: video files, image files, arrays.
    **kwargs
        Taken, and not used.

    Returns
    -------
    dict
        Of video formats, the number of their four-character code; of others, whether they work on this machine.
    """
    found: dict[str, Any] = {}
    for entry in registered_codecs():
        name, works = entry.format.name, entry.codec.missing(entry.format) is None
        if isinstance(entry.codec, ChunkCodec):
            if video and works:
                found[name] = FourCC(*_CODES.get(name, f"{name:.4}".upper() if "nvenc" in name else name[:4]))
        elif raw if name in _RAW else directory:
            found[name] = found.get(name, False) or works
    return found

"""What FFmpeg tells of a video besides its frames: in any encoding, when it was made, how it is turned, what is damaged.

For codecs, and for `imgstore save`, which asks the same of what a server sends.
"""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from imgstore.local_time import is_date

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.codeccontext import VideoCodecContext
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

__all__ = ["creation_time", "in_any_encoding", "tell_of_damage", "turn_of"]


def in_any_encoding() -> dict[str, Any]:
    """Return keywords for ``av.open``: a title in another encoding than UTF-8 is no reason not to read a video.

    Before version 19 PyAV has to be told so.
    """
    import av

    return {"metadata_errors": "surrogateescape"} if int(av.__version__.partition(".")[0]) < 19 else {}


def creation_time(container: InputContainer, stream: VideoStream) -> float | None:
    """Return when a video says that it was made, in seconds since the epoch.

    Many programs write 1904 or 1970, the zeros of their clocks, where they do not know.
    """
    text = container.metadata.get("creation_time") or stream.metadata.get("creation_time")
    try:
        moment = datetime.datetime.fromisoformat(str(text).replace("Z", "+00:00"))
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.timezone.utc)
    seconds = moment.timestamp()
    return seconds if is_date(seconds) else None


def turn_of(picture: VideoFrame) -> tuple[int, int, int, int] | None:
    """Return how a player turns and mirrors a picture, as `imgstore.codec.Survey` has it."""
    from av.sidedata.sidedata import Type

    try:
        found: Any = picture.side_data.get(Type.DISPLAYMATRIX)  # type: ignore[call-overload]
    except ValueError:  # PyAV does not know all that images may have with them; of the matrix it tells the angle then
        turns = round(picture.rotation / 90) % 4
        return ((1, 0, 0, 1), (0, -1, 1, 0), (-1, 0, 0, -1), (0, 1, -1, 0))[turns]
    if found is None:
        return None
    a, b, _, c, d = np.frombuffer(found, np.int32, 9)[:5].tolist()
    return a, b, c, d


def tell_of_damage(context: VideoCodecContext) -> None:
    """Set up a decoder that is not open yet so that it is not kept quiet about damage that FFmpeg notices.

    Of H.264 with several threads FFmpeg gives torn pictures as whole ones: within a slice (its `enable_er`), and some where it
    decodes several pictures at a time. The rest of a torn picture of Motion JPEG it fills with the one before.
    """
    context.thread_type = "SLICE"
    if context.name == "h264":
        context.thread_count = 1
    if context.name == "mjpeg":
        context.options = {"err_detect": "explode"}

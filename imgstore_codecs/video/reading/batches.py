"""The frames of a batch out of one decoder: each group of pictures is decoded once, and no more of it than that takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from imgstore.errors import FrameDecodeError
from imgstore_codecs.video.pixels.convert import PictureConverter
from imgstore_codecs.video.reading.seeker import Seeker

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

__all__ = ["Wanted", "decode_share", "deliver"]

Frame = npt.NDArray[Any]
Wanted = dict[int, list[int]]  # place in decoding order -> where in the batch its frame goes


def decode_share(
    seeker: Seeker,
    places: list[int],
    wanted: Wanted,
    out: Sequence[Frame],
    convert: PictureConverter,
    keep: Callable[[int, VideoFrame], object] | None = None,
) -> None:
    """Decode packets, sorted, into ``out``, each group of pictures once, and take those that came from `wanted`.

    With `keep` the decoder goes on from there afterwards: it is not drained, and pictures that come later are kept.
    """
    drain, rank = keep is None, seeker.table.rank
    first = min((int(rank[place]) for place in places), default=0)

    def take(found: list[tuple[int, VideoFrame]]) -> None:
        for place, picture in found:
            if place in wanted:
                deliver(picture, place, wanted, out, convert)
            elif keep is not None and rank[place] >= first:
                keep(place, picture)

    def is_wanted(place: int) -> bool:
        return place in wanted or (not drain and place < len(rank) and int(rank[place]) >= first)

    for place in places:
        if place not in wanted:
            continue
        stretch = seeker.reaching(place)
        if stretch is None:
            if seeker.stretch is not None:
                take(seeker.stretch.drain())
            if place not in wanted:
                continue
            stretch = seeker.go_to(place, only=[p for p in places if p in wanted and p >= place] if drain else [])
        while stretch.next <= place and not stretch.ended:
            take(stretch.feed(is_wanted(stretch.next)))
    if drain and seeker.stretch is not None:
        take(seeker.stretch.drain())


def deliver(picture: VideoFrame, place: int, wanted: Wanted, out: Sequence[Frame], convert: PictureConverter) -> None:
    """Put a picture where it is wanted in a batch. One that is no frame of the store's kind stays wanted."""
    where = wanted[place]
    first = out[where[0]]
    try:
        if first.flags.c_contiguous:
            convert(picture, first)
        else:
            first[...] = convert(picture)
    except FrameDecodeError:
        return
    del wanted[place]
    for k in where[1:]:
        out[k][...] = first

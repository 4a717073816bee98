"""Which frames a video file lacks, where it holds fewer than it should.

Matroska and AVI are read from one packet to the next. Where the head of one is damaged, it and some that follow are
stepped over, and nothing says so: the frames behind would be taken for those before them. What is left is a hole in the
file, and in a file whose frames are equally far apart, one in their times.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from imgstore_codecs.video.reading.packets import MOST_REORDERED, PacketTable

__all__ = ["frames_behind_holes", "holes_in", "order_with_holes"]

Ints = npt.NDArray[np.int64]

# Bytes between two packets that their heads, and what else there is in a container, do not explain
_HOLE = 100


def holes_in(table: PacketTable) -> Ints:
    """Return the places of the packets before which something is missing in the file."""
    if bool((table.pos < 0).any()):
        return np.empty(0, np.int64)
    between = table.pos[1:] - (table.pos[:-1] + table.size[:-1])
    usual = np.median(between) if len(between) else 0.0  # each frame of an MP4 may have a description before it
    return np.flatnonzero(between > usual + _HOLE) + 1


def order_with_holes(table: PacketTable, count: int) -> Ints | None:
    """Find out where the frames are that a file holds among those it should hold.

    Parameters
    ----------
    table : PacketTable
        Its packets, with fewer frames than `count`.
    count : int
        How many there should be.

    Returns
    -------
    ndarray of int64 or None
        `PacketTable.order` for all that is known, with -1 for each frame that is missing. If nothing is missing but at the
        end, that is the same as before. None: it cannot be told.
    """
    order = table.order
    assert order is not None
    holes = holes_in(table)
    intervals = np.diff(table.pts[order])
    usual = float(np.median(intervals)) if len(intervals) else 0.0
    if usual <= 0:
        return None if len(holes) else order
    steps = np.maximum(np.rint(intervals / usual), 1).astype(np.int64)
    uneven = np.abs(intervals - steps * usual) > 0.3 * usual
    is_even = np.count_nonzero(uneven) <= 0.1 * len(uneven)
    at_hole = np.zeros(len(intervals), np.bool_)
    if len(holes):
        between = np.minimum(order[:-1], order[1:]) + 1
        at_hole = np.abs(between[:, np.newaxis] - holes).min(axis=1) <= MOST_REORDERED
    elif not uneven.any() and (steps - 1).sum() == count - len(order):
        at_hole[:] = True  # bytes that are not there any more leave no hole, but these times cannot mean anything else
    else:
        return order
    missing = np.where(at_hole, steps - 1, 0)
    if not is_even or bool((uneven & at_hole).any()) or not 0 < missing.sum() <= count - len(order):
        return None
    positions = np.arange(len(order)) + np.concatenate(([0], np.cumsum(missing)))
    found = np.full(positions[-1] + 1, -1, np.int64)
    found[positions] = order
    return found


def frames_behind_holes(table: PacketTable) -> list[int]:
    """Return the places of the packets whose frames cannot be told, where `order_with_holes` is at a loss."""
    assert table.order is not None
    first = int(holes_in(table)[0])
    ranks = table.rank[first:]
    shown_from = int(ranks[ranks >= 0].min(initial=len(table.order)))
    places: list[int] = table.order[shown_from:].tolist()
    return places

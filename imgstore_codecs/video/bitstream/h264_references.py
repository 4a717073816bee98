"""Which packets of H.264 have to be decoded to get some of its pictures.

Encoders mark most pictures as ones that others may refer to. Which they may refer to in fact is in their slice headers:
often P pictures refer to the P picture before them alone, and the B pictures between, half of what is marked, are of no
use to what follows. To leave them out is exact if two things hold. First, all that is referred to, directly or not, is
decoded. Second, a decoder that is not given the others makes the same lists of references all the same. FFmpeg's puts a
stand-in for each picture that is missing into its buffer, by the gap in `frame_num`; where that is in the list of
a slice, or where it might change the order of one, more has to be decoded. Both are followed here by the rules of
ITU-T H.264, 8.2.1.1 (order), 8.2.4 (lists) and 8.2.5 (the buffer). What does not keep to these gets no plan.
"""

from __future__ import annotations

import bisect
from collections import OrderedDict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import NamedTuple

from imgstore_codecs.video.bitstream.h264_parameters import ORDER_BY_A_COUNTER
from imgstore_codecs.video.bitstream.h264_slices import CodedPicture, SliceReader
from imgstore_codecs.video.bitstream.key_frames import is_unreferenced
from imgstore_codecs.video.bitstream.nal_units import length_size

__all__ = ["DecodingPlan", "ReferencePlanner"]

# Pictures whose headers are kept
_MOST_KEPT = 4096

# How far back is gone from a B picture to leave no stand-in in the buffer when it is decoded
_FURTHEST_BACK = 4

# Streams in which nothing could be left out of so many packets are taken to be like that throughout
_ENOUGH = 64

_STAND_IN = -1


@dataclass(frozen=True)
class DecodingPlan:
    """What to decode.

    Attributes
    ----------
    wanted : frozenset of int
        The pictures that it is made for, by place in decoding order.
    fed : frozenset of int
        Those that a decoder has to be given, in order.
    right : frozenset of int
        Those of them that come out as they should.
    """

    wanted: frozenset[int]
    fed: frozenset[int]
    right: frozenset[int]


class _Reference(NamedTuple):
    """A picture in the decoder's buffer."""

    frame_num: int
    order: int
    place: int


_Buffer = tuple[_Reference, ...]  # the oldest first
_Lists = tuple[tuple[int, ...], ...]  # places of what each list of each slice refers to


class _Step(NamedTuple):
    """A picture and what is in the buffer when it is decoded."""

    place: int
    picture: CodedPicture
    order: int
    buffer: _Buffer
    lists: _Lists

    @property
    def reference(self) -> _Reference:
        return _Reference(self.picture.frame_num, self.order, self.place)


class _NotFollowedError(Exception):
    """The stream is damaged, or is not as expected."""


@dataclass
class _Group:
    """The pictures from one where decoding begins anew, as far as they have been looked at.

    Attributes
    ----------
    references : list of _Step
        Those that others may refer to.
    buffer : tuple of _Reference
        After the last of these.
    next : int
        Place of the packet that has not been looked at yet.
    """

    next: int
    references: list[_Step] = field(default_factory=list)
    buffer: _Buffer = ()


class ReferencePlanner:
    """Plans what to decode of one stream.

    Parameters
    ----------
    codec : str
        FFmpeg's name of the decoder.
    extradata : bytes or None
        The stream's codec configuration.
    """

    def __init__(self, codec: str, extradata: bytes | None) -> None:
        self._extradata = extradata
        # where lengths are in front of units, damage is noticed
        self._reader = SliceReader(extradata if codec == "h264" and length_size(extradata, 4) else None)
        sequences = self._reader.sequences.values()
        # B pictures that others refer to need two pictures held back, at least
        self._is_worthwhile = any(
            s.order_type == ORDER_BY_A_COUNTER and s.frames_only and (s.held_back is None or s.held_back > 1)
            for s in sequences
        )
        self._in_vain = 0  # packets that were looked at since something could be left out
        self._groups: OrderedDict[int, _Group] = OrderedDict()

    @property
    def is_worthwhile(self) -> bool:
        """Whether anything may be left out that is marked as being referred to."""
        return self._is_worthwhile and self._in_vain < _ENOUGH

    def plan(self, start: int, packets: Sequence[memoryview], wanted: Collection[int]) -> DecodingPlan | None:
        """Plan how to get some pictures.

        Parameters
        ----------
        start : int
            Place in decoding order of an IDR picture, where decoding begins.
        packets : sequence of memoryview
            The packets from there to the last one that is wanted.
        wanted : collection of int
            Places of the pictures that are wanted, none before `start`.

        Returns
        -------
        DecodingPlan or None
            None: nothing can be left out but what is marked so.
        """
        try:
            steps = self._steps(start, packets, wanted)
            plan = _find_plan(steps, wanted)
        except _NotFollowedError:
            plan = None
        self._in_vain = self._in_vain + len(packets) if plan is None else 0
        return plan

    def _steps(self, start: int, packets: Sequence[memoryview], wanted: Collection[int]) -> list[_Step]:
        """Follow the pictures up to the last wanted one; return the references and those wanted, in order."""
        group = self._groups.pop(start, None) or _Group(start)
        self._groups[start] = group
        while len(self._groups) > 1 and sum(len(g.references) for g in self._groups.values()) > _MOST_KEPT:
            self._groups.popitem(last=False)
        last = start + len(packets)
        while group.next < last:
            data = packets[group.next - start]
            if not is_unreferenced("h264", self._extradata, data):
                self._follow(group, data)
            group.next += 1
        steps = [step for step in group.references if step.place < last]
        known = {step.place for step in steps}
        for place in wanted:
            if place not in known:
                steps.append(self._step_of(group, place, packets[place - start]))
        return sorted(steps)

    def _follow(self, group: _Group, data: memoryview) -> None:
        """Take the next packet of a group, whose picture others may refer to."""
        step = self._step(group.references[-1] if group.references else None, group.buffer, group.next, data)
        if not step.picture.is_reference:
            raise _NotFollowedError
        group.buffer = _marked(step.picture, step.reference, step.buffer, strict=True)
        group.references.append(step)

    def _step_of(self, group: _Group, place: int, data: memoryview) -> _Step:
        """Look at a picture that nothing refers to."""
        following = bisect.bisect_left(group.references, place, key=_place)
        if not following:
            raise _NotFollowedError
        is_last = following == len(group.references)
        buffer = group.buffer if is_last else group.references[following].buffer
        return self._step(group.references[following - 1], buffer, place, data)

    def _step(self, before: _Step | None, buffer: _Buffer, place: int, data: memoryview) -> _Step:
        """Look at the picture in a packet, that follows a reference."""
        picture = self._reader.read(data)
        if picture is None:
            raise _NotFollowedError
        if picture.is_idr:
            if picture.frame_num:
                raise _NotFollowedError
            return _Step(place, picture, _order(picture, 0), (), ())
        if before is None or picture.sequence != before.picture.sequence:
            raise _NotFollowedError
        if picture.frame_num != (before.picture.frame_num + 1) % _numbers(picture):
            raise _NotFollowedError  # something is missing
        order = _order(picture, before.order)
        return _Step(place, picture, order, buffer, _lists(picture, order, buffer))


def _place(step: _Step) -> int:
    return step.place


def _numbers(picture: CodedPicture) -> int:
    """How many values `frame_num` has, before it begins anew."""
    return 1 << picture.sequence.frame_num_bits


def _order(picture: CodedPicture, before: int) -> int:
    """Place in the order of showing, given that of the reference before (8.2.1.1)."""
    values = 1 << picture.sequence.order_bits
    counter = before % values
    high = before - counter
    if picture.order < counter and counter - picture.order >= values // 2:
        high += values
    elif picture.order > counter and picture.order - counter > values // 2:
        high -= values
    return high + picture.order


def _lists(picture: CodedPicture, order: int, buffer: _Buffer) -> _Lists:
    """Make the lists of references of all slices (8.2.4)."""
    lists = []
    for part in picture.slices:
        for which, (count, changes) in enumerate(zip(part.active, part.changes, strict=True)):
            made = _first_list(part.is_b, which, order, buffer)[:count]
            number = picture.frame_num
            for at, change in enumerate(changes):
                number = (number + change) % _numbers(picture)
                moved = [r for r in buffer if r.frame_num == number]
                if len(moved) != 1 or at > len(made):
                    raise _NotFollowedError
                made = (made[:at] + moved + [r for r in made[at:] if r is not moved[0]])[:count]
            if len(made) < count:
                raise _NotFollowedError
            lists.append(tuple(r.place for r in made))
    return tuple(lists)


def _first_list(is_b: bool, which: int, order: int, buffer: _Buffer) -> list[_Reference]:
    """Make a list of references before it is changed (8.2.4.2.1 for P, 8.2.4.2.3 for B)."""
    if not is_b:
        return list(reversed(buffer))  # the last decoded first
    shown = sorted(buffer, key=_shown)
    before = [r for r in reversed(shown) if r.order < order]
    after = [r for r in shown if r.order > order]
    first, second = before + after, after + before
    if which and len(second) > 1 and first == second:
        second[:2] = second[1::-1]
    return second if which else first


def _shown(reference: _Reference) -> int:
    return reference.order


def _marked(picture: CodedPicture, reference: _Reference, buffer: _Buffer, *, strict: bool) -> _Buffer:
    """Return what is in the buffer after a reference has been decoded (8.2.5)."""
    if picture.is_idr:
        return (reference,)
    most = picture.sequence.reference_frames
    if picture.drops is None:
        return _slid(buffer, reference, most)
    numbers = {(picture.frame_num - drop) % _numbers(picture) for drop in picture.drops}
    kept = tuple(r for r in buffer if r.frame_num not in numbers)
    if len(kept) >= most or (strict and len(kept) + len(numbers) != len(buffer)):
        raise _NotFollowedError
    return (*kept, reference)


def _slid(buffer: _Buffer, reference: _Reference, most: int) -> _Buffer:
    """Put a reference into the buffer, in place of the oldest where it is full (8.2.5.3)."""
    return (*(buffer[1:] if len(buffer) >= most else buffer), reference)


def _find_plan(steps: list[_Step], wanted: Collection[int]) -> DecodingPlan | None:
    """Find the fewest pictures, nearly, that have to be decoded."""
    by_place = {step.place: step for step in steps}
    right = _referred_to(by_place, [steps[0].place, *wanted])  # decoders show nothing before an IDR picture
    fed, edge = set(right), {place for place in right if _is_b(by_place[place])}
    for _ in range(_FURTHEST_BACK + 1):
        if len(fed) == len(steps):
            return None
        if _comes_out_right(steps, fed, right):
            return DecodingPlan(frozenset(wanted), frozenset(fed), frozenset(right))
        edge = {r.place for place in edge for r in by_place[place].buffer}
        fed |= edge
    return None


def _referred_to(steps: dict[int, _Step], wanted: Collection[int]) -> set[int]:
    """Follow references from some pictures as far as they lead."""
    found = set(wanted)
    open_ends = list(found)
    while open_ends:
        for place in chain.from_iterable(steps[open_ends.pop()].lists):
            if place not in found:
                found.add(place)
                open_ends.append(place)
    return found


def _is_b(step: _Step) -> bool:
    return any(part.is_b for part in step.picture.slices)


def _comes_out_right(steps: list[_Step], fed: set[int], right: set[int]) -> bool:
    """Follow FFmpeg's decoder, given some pictures; say whether those that shall be right refer to what they should."""
    buffer: _Buffer = ()
    before: _Step | None = None
    order = 0
    try:
        for step in steps:
            if step.place not in fed:
                continue
            picture = step.picture
            if before is not None and not picture.is_idr:
                buffer = _with_stand_ins(buffer, before.picture, picture)
                if _order(picture, order) != step.order:
                    return False
                if step.place in right and _is_b(step) and any(r.place == _STAND_IN for r in buffer):
                    return False  # whose place in the order of showing is made up
                if _lists(picture, step.order, buffer) != step.lists and step.place in right:
                    return False
            if picture.is_reference:
                buffer = _marked(picture, step.reference, buffer, strict=False)
                order = step.order
            before = step
    except _NotFollowedError:
        return False
    return True


def _with_stand_ins(buffer: _Buffer, before: CodedPicture, picture: CodedPicture) -> _Buffer:
    """Return what FFmpeg has in its buffer after it has noticed which pictures are missing between two (8.2.5.2)."""
    values, most = _numbers(picture), picture.sequence.reference_frames
    missing = (picture.frame_num - before.frame_num) % values - 1
    for back in range(min(missing, most), 0, -1):
        buffer = _slid(buffer, _Reference((picture.frame_num - back) % values, 0, _STAND_IN), most)
    return buffer

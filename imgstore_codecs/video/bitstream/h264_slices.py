"""What the slice headers of a picture of H.264 say of the pictures that it may refer to.

The syntax is that of ITU-T H.264, 7.3.3.
"""

from __future__ import annotations

from dataclasses import dataclass

from imgstore_codecs.video.bitstream.bits import Bits, unescaped
from imgstore_codecs.video.bitstream.h264_parameters import (
    ORDER_BY_A_COUNTER,
    PictureParameters,
    SequenceParameters,
    picture_parameters,
    sequence_parameters,
)
from imgstore_codecs.video.bitstream.nal_units import is_covered, length_size, nal_units

__all__ = ["CodedPicture", "SliceReader", "SliceReferences"]

_SLICE, _IDR_SLICE = 1, 5
_PARAMETERS = (7, 8)
_WITHOUT_PICTURE = (6, 9, 12)  # supplemental information, delimiters, filler

_P, _B, _I = 0, 1, 2  # slice_type, modulo 5

# Headers are at the start of slices, and seldom longer than 20 bytes
_HEADER = 160


@dataclass(frozen=True)
class SliceReferences:
    """How the lists of pictures are made that a slice refers to.

    Attributes
    ----------
    is_b : bool
        It has two lists, first made in the order in which pictures are shown.
    active : tuple of int
        How many entries of each list it refers to.
    changes : tuple of tuple of int
        By how much the picture number of each picture that is moved to the front of a list differs from the one before.
    """

    is_b: bool
    active: tuple[int, ...]
    changes: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class CodedPicture:
    """A coded frame.

    Attributes
    ----------
    sequence : SequenceParameters
        What it is coded with.
    is_idr, is_reference : bool
        Decoding begins anew; others may refer to it.
    frame_num, order : int
        The counters in its slice headers, of the order of decoding and of showing.
    slices : frozenset of SliceReferences
        Of those slices that refer to others.
    drops : tuple of int or None
        Differences in picture number to pictures that are not referred to any more. None: that is the oldest one, where
        there are too many.
    """

    sequence: SequenceParameters
    is_idr: bool
    is_reference: bool
    frame_num: int
    order: int
    slices: frozenset[SliceReferences]
    drops: tuple[int, ...] | None


class SliceReader:
    """Reads the slice headers of a stream whose parameter sets are in its configuration.

    Parameters
    ----------
    extradata : bytes or None
        The configuration.
    """

    def __init__(self, extradata: bytes | None) -> None:
        self._length = length_size(extradata, 4)
        self._extradata = extradata or b""
        self.sequences = sequence_parameters(extradata)
        self._pictures = picture_parameters(extradata)

    def read(self, data: memoryview) -> CodedPicture | None:
        """Read the headers in a packet.

        Returns
        -------
        CodedPicture or None
            None: the packet is damaged, is not one whole frame, brings parameter sets of its own, or makes use of what few
            encoders do: fields, another way to tell the order, long-term references, data partitions, redundant pictures,
            slice groups.
        """
        if not is_covered(data, self._length):
            return None
        found: CodedPicture | None = None
        firsts = 0
        for nal in nal_units(data, self._length):
            kind = nal[0] & 31
            if kind in _WITHOUT_PICTURE or (kind in _PARAMETERS and bytes(nal).rstrip(b"\0") in self._extradata):
                continue
            if kind not in (_SLICE, _IDR_SLICE):
                return None
            try:
                first, part = self._read_slice(nal[0], Bits(unescaped(bytes(nal[1:_HEADER]))))
            except (EOFError, KeyError):
                return None
            if part is None:
                return None
            firsts += first == 0
            if found is not None:
                if (part.is_idr, part.is_reference, part.frame_num, part.order, part.drops) != (
                    found.is_idr, found.is_reference, found.frame_num, found.order, found.drops,
                ):  # fmt: skip
                    return None
                if part.slices <= found.slices:
                    continue
                part = _with_slices(found, part.slices)
            found = part
        return found if firsts == 1 else None

    def _read_slice(self, header: int, bits: Bits) -> tuple[int, CodedPicture | None]:
        """Return the number of the slice's first macroblock, and what is said in the slice of its picture."""
        is_idr, is_reference = header & 31 == _IDR_SLICE, header >> 5 != 0
        first = bits.golomb()
        kind = bits.golomb() % 5
        used = self._pictures[bits.golomb()]
        sequence = self.sequences[used.sequence]
        if kind > _I or not _is_usual(used, sequence):
            return first, None
        frame_num = bits.read(sequence.frame_num_bits)
        if is_idr:
            bits.golomb()  # idr_pic_id
        order = bits.read(sequence.order_bits)
        references = _read_references(bits, kind, used)
        if references is not None and (used.weighs_p if kind == _P else used.weighs_b):
            _skip_weights(bits, sequence.chroma_format != 0, references.active)
        drops: tuple[int, ...] | None = None
        if is_reference:
            if is_idr:
                bits.read(1)
                if bits.read(1):  # a long-term reference
                    return first, None
            elif bits.read(1):
                drops = _read_drops(bits)
                if drops is None:
                    return first, None
        slices = frozenset(() if references is None else (references,))
        return first, CodedPicture(sequence, is_idr, is_reference, frame_num, order, slices, drops)


def _with_slices(picture: CodedPicture, more: frozenset[SliceReferences]) -> CodedPicture:
    return CodedPicture(
        picture.sequence, picture.is_idr, picture.is_reference, picture.frame_num, picture.order,
        picture.slices | more, picture.drops,
    )  # fmt: skip


def _is_usual(used: PictureParameters, sequence: SequenceParameters) -> bool:
    return (
        used.slice_groups == 1
        and not used.has_redundant_pictures
        and not used.has_bottom_order
        and sequence.frames_only
        and not sequence.separate_planes
        and not sequence.gaps_allowed
        and sequence.order_type == ORDER_BY_A_COUNTER
    )


def _read_references(bits: Bits, kind: int, used: PictureParameters) -> SliceReferences | None:
    """Read which pictures a slice refers to (7.3.3, 7.3.3.1); None if to none."""
    if kind == _I:
        return None
    if kind == _B:
        bits.read(1)  # direct_spatial_mv_pred_flag
    lists = 2 if kind == _B else 1
    active = used.active[:lists]
    if bits.read(1):
        active = tuple(bits.golomb() + 1 for _ in range(lists))
    changes = []
    for _ in range(lists):
        differences: list[int] = []
        if bits.read(1):
            while (way := bits.golomb()) != 3:
                if way > 1:  # a long-term reference
                    raise EOFError("long-term references are not followed")
                difference = bits.golomb() + 1
                differences.append(difference if way else -difference)
        changes.append(tuple(differences))
    return SliceReferences(kind == _B, active, tuple(changes))


def _skip_weights(bits: Bits, has_chroma: bool, active: tuple[int, ...]) -> None:
    """Step over pred_weight_table (7.3.3.2)."""
    bits.golomb()
    if has_chroma:
        bits.golomb()
    for count in active:
        for _ in range(count):
            for values in (2, 4) if has_chroma else (2,):
                if bits.read(1):
                    for _ in range(values):
                        bits.signed_golomb()


def _read_drops(bits: Bits) -> tuple[int, ...] | None:
    """Read which pictures are not referred to any more (7.3.3.3); None where there is more to it."""
    drops = []
    while (operation := bits.golomb()) != 0:
        if operation != 1:
            return None
        drops.append(bits.golomb() + 1)
    return tuple(drops)

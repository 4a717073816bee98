"""From the frames that a user has to the frames that a format holds: what is converted, and that it is said."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from imgstore.codec import Format, FrameSpec
from imgstore.errors import ArgumentError, FormatError
from imgstore.pixels.encodings import check_encoding, decode_to_bgr

__all__ = ["Conformer", "checked_dtype", "checked_shape", "conform", "uncut"]

Frame = npt.NDArray[Any]


@dataclass(frozen=True)
class Conformer:
    """How given frames become stored ones.

    Attributes
    ----------
    given : FrameSpec
        What every frame must look like when it is added.
    stored : FrameSpec
        What the format is handed, and gives back.
    noted : tuple of int
        The shape that ``metadata.yaml`` says: as 0.x does, ``(h, w, 1)`` where that was asked for, though image files and
        videos have no such thing and their frames are ``(h, w)``.
    encoding : str or None
        What ``metadata.yaml`` says about decoding when read.
    losses : list of str
        What is changed on the way; the user is warned of each.
    convert : callable
        Turns a given frame into a C-contiguous stored one.
    """

    given: FrameSpec
    stored: FrameSpec
    noted: tuple[int, ...]
    encoding: str | None
    losses: list[str]
    convert: Callable[[Frame], Frame]


def conform(fmt: Format, imgshape: Sequence[int], imgdtype: Any, encoding: str | None, decoded: bool) -> Conformer:
    """Work out what has to be done to frames so that a format holds them.

    Parameters
    ----------
    fmt : Format
        The format.
    imgshape : sequence of int
        Shape of the given frames.
    imgdtype : dtype-like
        Type of their samples.
    encoding : str or None
        Of raw sensor data.
    decoded : bool
        Whether raw data is to be decoded before writing (``NAME+color``).

    Raises
    ------
    ArgumentError
        Shape, type or encoding are none.
    FormatError
        The format cannot hold such frames, not even converted.
    """
    given = FrameSpec(checked_shape(imgshape), checked_dtype(imgdtype))
    if encoding:
        check_encoding(encoding)
    shape, dtype, losses = given.shape, given.dtype, []
    if encoding and decoded:
        decoded_frame = decode_to_bgr(np.zeros(shape, dtype), encoding)
        shape, dtype = decoded_frame.shape, decoded_frame.dtype
    if not fmt.any_shape and not (len(shape) == 2 or (len(shape) == 3 and shape[2] in (1, 3))):
        raise FormatError(f"format {fmt.name!r} holds grayscale (h, w) and BGR (h, w, 3) frames, not {shape}")
    if not fmt.any_shape and len(shape) == 3 and shape[2] == 1:
        shape = shape[:2]
    if fmt.even_size and (shape[0] % 2 or shape[1] % 2):
        even = (shape[0] & ~1, shape[1] & ~1, *shape[2:])
        if not (even[0] and even[1]):
            raise FormatError(f"format {fmt.name!r} needs frames of at least 2 x 2, not {shape}")
        losses.append(
            f"format {fmt.name!r} stores even sizes only: the last row or column of"
            f" {shape[0]} x {shape[1]} frames is cut"
        )
        shape = even
    if not fmt.holds_color and len(shape) == 3:
        losses.append(f"format {fmt.name!r} is grayscale: the colour of the frames is lost")
    shift = 0
    if fmt.dtypes is not None and dtype.name not in fmt.dtypes:
        if dtype == np.uint16 and "uint8" in fmt.dtypes:
            losses.append(f"format {fmt.name!r} holds 8 bits: the lower 8 bits of uint16 frames are lost")
            shift, dtype = 8, np.dtype(np.uint8)
        else:
            raise FormatError(f"format {fmt.name!r} cannot hold {dtype.name} frames, only {', '.join(fmt.dtypes)}")
    stored = FrameSpec(shape, dtype)
    decode_with = encoding if decoded else None

    def convert(img: Frame) -> Frame:
        if decode_with:
            img = decode_to_bgr(np.ascontiguousarray(img), decode_with)
        if img.shape != stored.shape:
            img = img[: stored.shape[0], : stored.shape[1]].reshape(stored.shape)
        if shift:
            img = (img >> shift).astype(stored.dtype)
        return np.ascontiguousarray(img)

    one_channel = len(given.shape) == 3 and given.shape[2] == 1 and len(stored.shape) == 2
    noted = (*stored.shape, 1) if one_channel else stored.shape
    return Conformer(given, stored, noted, None if decoded else encoding or None, losses, convert)


def uncut(conformer: Conformer) -> Conformer | None:
    """Return how a store takes finished videos of a size that its own frames would be cut to; None where nothing is cut.

    Encoders of the format want even sizes, and decoders do not: files that others made may have any. Such a store takes
    no frames.
    """
    given, stored = conformer.given.shape, conformer.stored.shape
    if given[:2] == stored[:2]:
        return None

    def refuse(img: Frame) -> Frame:
        raise ArgumentError(
            f"this store holds finished videos of {given[0]} x {given[1]}, a size that its format cannot be written in: frames "
            "cannot be added to it"
        )

    shape = (*given[:2], *stored[2:])
    noted = (*shape, *conformer.noted[len(stored) :])
    return replace(conformer, stored=FrameSpec(shape, conformer.stored.dtype), noted=noted, losses=[], convert=refuse)


def checked_shape(imgshape: Sequence[int]) -> tuple[int, ...]:
    """Return the shape of frames as a tuple, or raise ArgumentError."""
    try:
        shape = tuple(int(n) for n in imgshape)
        valid = bool(shape) and all(n > 0 and n == m for n, m in zip(shape, imgshape, strict=True))
    except (TypeError, ValueError):
        valid = False
    if not valid:
        raise ArgumentError(f"imgshape must be the shape of the frames, such as (480, 640), not {imgshape!r}")
    return shape


def checked_dtype(imgdtype: Any) -> np.dtype[Any]:
    """Return the type of samples, in the byte order of this machine, or raise ArgumentError."""
    try:
        dtype = np.dtype(imgdtype)
    except TypeError:
        raise ArgumentError(f"imgdtype must be a numpy type, such as 'uint8', not {imgdtype!r}") from None
    if dtype.hasobject or dtype.fields or dtype.subdtype:
        raise ArgumentError(f"imgdtype must be a plain numeric type, not {imgdtype!r}")
    native: np.dtype[Any] = dtype.newbyteorder("=")
    return native

"""``npy``: a file per frame in numpy's own format, for any type and shape, without loss.

The format is described in NEP 1 and in `numpy.lib.format`. Files are what `numpy.save` writes, byte for byte. Nothing
is ever unpickled: a file with objects in it is refused.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from imgstore.codec import Buffer, Codec, Format, FrameCodec, FrameSpec
from imgstore.errors import FormatError, FrameDecodeError
from imgstore.hookspecs import hookimpl
from imgstore.npy_header import MAX_HEADER, npy_header_size, parse_npy_header

__all__ = ["NpyCodec"]

Frame = npt.NDArray[Any]


class _Header(NamedTuple):
    size: int  # where the samples begin
    shape: tuple[int, ...]
    dtype: np.dtype[Any]  # as in the file, in its byte order
    fortran_order: bool
    file_size: int  # that a whole file has at least
    as_is: bool  # whether a view of the file's bytes is the frame


class NpyCodec(FrameCodec):
    """Arrays as `numpy.save` writes them."""

    name = "npy"
    formats = (Format("npy", ".npy", lossless=True, dtypes=None, any_shape=True),)

    def check_options(self, fmt: Format, spec: FrameSpec, options: Mapping[str, Any]) -> None:
        """Refuse types that would need pickles."""
        _refuse_objects(spec.dtype)

    def frame_spec(self, path: str, fmt: Format) -> FrameSpec:
        """Tell by the header."""
        header = _parse_header(np.fromfile(path, np.uint8, MAX_HEADER + 16))
        return FrameSpec(header.shape, header.dtype.newbyteorder("="))

    def encoder(self, fmt: Format, spec: FrameSpec, options: Mapping[str, Any]) -> Callable[[Frame], Sequence[Buffer]]:
        """Give the function that puts the header, made once, before each frame's samples."""
        _refuse_objects(spec.dtype)
        stream = io.BytesIO()
        np.lib.format.write_array_header_1_0(
            stream,
            {"descr": np.lib.format.dtype_to_descr(spec.dtype), "fortran_order": False, "shape": spec.shape},
        )
        header = stream.getvalue()

        def encode(img: Frame) -> Sequence[Buffer]:
            # as bytes, because not every type of numpy's (datetime64) has the buffer interface
            return (header, img.reshape(-1).view(np.uint8))

        return encode

    def decoder(self, fmt: Format, spec: FrameSpec) -> Callable[[Frame], Frame]:
        """Give the function that looks at a file's bytes as an array."""
        # All files of a store have the same header, so it is parsed once. Threads may parse it twice, no more: what
        # they share is one tuple, replaced as a whole.
        known: tuple[bytes, _Header] | None = None

        def decode(data: Frame) -> Frame:
            nonlocal known
            seen = known
            if seen is not None and data[: seen[1].size].tobytes() == seen[0]:
                header = seen[1]
            else:
                header = _parse_header(data)
                known = (data[: header.size].tobytes(), header)
            if header.file_size > data.size:
                raise FrameDecodeError(
                    f"the npy file is truncated: {data.size} bytes of the {header.file_size} that its header announces"
                )
            if header.as_is:
                img: Frame = np.ndarray(header.shape, header.dtype, data, header.size)
                return img
            samples: Frame = data[header.size : header.file_size].copy().view(header.dtype)
            if header.fortran_order:
                samples = np.ascontiguousarray(samples.reshape(header.shape[::-1]).transpose())
            return samples.reshape(header.shape).astype(header.dtype.newbyteorder("="), copy=False)

        return decode


def _refuse_objects(dtype: np.dtype[Any]) -> None:
    if dtype.hasobject:
        raise FormatError(f"format 'npy' holds no Python objects ({dtype}): they would be pickled")


def _parse_header(data: Frame) -> _Header:
    start = data[: MAX_HEADER + 16].tobytes()
    try:
        size = npy_header_size(start)
        if len(start) < size:
            raise ValueError("it is truncated within its header")
        shape, fortran_order, dtype, nbytes = parse_npy_header(start[:size])
    except ValueError as error:
        raise FrameDecodeError(f"this is no npy file, or it is damaged: {error}") from error
    if dtype.hasobject:
        raise FrameDecodeError("the npy file holds pickled Python objects, which are never loaded")
    if dtype.itemsize == 0:
        raise FrameDecodeError(f"the npy file holds values of no size ({dtype})")
    # numpy pads headers to a multiple of 64 (16 long ago); samples that begin elsewhere would not be aligned
    as_is = not fortran_order and dtype.isnative and size % 16 == 0
    return _Header(size, shape, dtype, fortran_order, size + nbytes, as_is)


@hookimpl
def imgstore_codecs() -> Sequence[Codec]:
    """Give imgstore this codec."""
    return [NpyCodec()]

"""What a decoder must have met before: palettes and tables that come once, the encoder's name, the other field."""

from __future__ import annotations

import re
import struct
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from video_samples import HEIGHT, WIDTH, encode, number_of, picture

from imgstore.codec import FrameSpec
from imgstore_codecs.video.codec import PyAVCodec
from imgstore_codecs.video.reading.video_reader import VideoReader

GRAY = FrameSpec((HEIGHT, WIDTH), np.dtype(np.uint8))
COLOR = FrameSpec((HEIGHT, WIDTH, 3), np.dtype(np.uint8))
COUNT = 30
WALK = [17, 3, 29, 0, 9, 28, 4, 5, 6, 1]


def open_video(path: Path, spec: FrameSpec = GRAY) -> VideoReader:
    reader = PyAVCodec().open_reader(str(path), PyAVCodec.formats[0], spec, {})
    assert isinstance(reader, VideoReader)
    return reader


def check(path: Path, expected: list[np.ndarray], spec: FrameSpec = GRAY) -> None:
    """Fail unless frames are as expected, one by one and in batches, at random and in order."""
    for walk in (WALK, list(range(len(expected)))):
        reader = open_video(path, spec)
        assert reader.frame_count == len(expected)
        for k in walk:
            np.testing.assert_array_equal(reader.read(k), expected[k], err_msg=f"frame {k}")
        batch = np.empty((len(walk), *spec.shape), np.uint8)
        reader.read_many(walk, list(batch))
        for k, frame in zip(walk, batch, strict=True):
            np.testing.assert_array_equal(frame, expected[k], err_msg=f"frame {k} of a batch")
        reader.close()


# -- AVI (RIFF) put together byte by byte --------------------------------------------------------------------------


def chunk(kind: bytes, data: bytes) -> bytes:
    return kind + struct.pack("<I", len(data)) + data + bytes(len(data) % 2)


def write_avi(
    path: Path, frames: list[list[tuple[bytes, bytes]]], fourcc: bytes, size: tuple[int, int], bits: int, palette: bytes = b""
) -> None:
    """Write an AVI; each frame is one or more chunks, of which the last one holds the picture."""
    height, width = size
    largest = max(len(data) for parts in frames for _, data in parts)
    numbers = (40000, largest * 25, 0, 16, len(frames), 0, 1, largest, width, abs(height), 0, 0, 0, 0)
    head = chunk(b"avih", struct.pack("<14I", *numbers))
    stream = chunk(
        b"strh", b"vids" + fourcc + struct.pack("<I2H8I4h", 0, 0, 0, 0, 1, 25, 0, len(frames), largest, 0xFFFFFFFF, 0, 0, 0, 0, 0)
    )
    compression = 0 if fourcc == b"DIB " else int.from_bytes(fourcc, "little")
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, compression, largest, 0, 0, len(palette) // 4, 0) + palette
    head = chunk(b"LIST", b"hdrl" + head + chunk(b"LIST", b"strl" + stream + chunk(b"strf", info)))
    body, index = b"movi", b""
    for parts in frames:
        for kind, data in parts:
            index += kind + struct.pack("<III", 16 if kind != b"00pc" else 0x100, len(body), len(data))
            body += chunk(kind, data)
    path.write_bytes(chunk(b"RIFF", b"AVI " + head + chunk(b"LIST", body) + chunk(b"idx1", index)))


@pytest.mark.parametrize("bits, color", [(24, True), (24, False), (32, True)])
@pytest.mark.parametrize("bottom_up", [True, False])
def test_rows_from_the_bottom_up(tmp_path: Path, bits: int, color: bool, bottom_up: bool) -> None:
    """As BI_RGB has them where the height is positive."""
    images = [picture(k, color=True) for k in range(COUNT)]
    rows = [img if bits == 24 else np.dstack([img, np.zeros((HEIGHT, WIDTH), np.uint8)]) for img in images]
    frames = [[(b"00db", (img[::-1] if bottom_up else img).tobytes())] for img in rows]
    write_avi(tmp_path / "v.avi", frames, b"DIB ", (HEIGHT if bottom_up else -HEIGHT, WIDTH), bits)
    if color:
        check(tmp_path / "v.avi", images, COLOR)
    else:
        reader = open_video(tmp_path / "v.avi")
        assert [number_of(reader.read(k)) for k in WALK] == WALK
        reader.close()


@pytest.mark.parametrize("bottom_up", [True, False])
def test_palettes_that_come_first_and_change(tmp_path: Path, bottom_up: bool) -> None:
    """FFmpeg hands on a palette with one packet, and a chunk in between changes it for those that follow."""
    rng = np.random.default_rng(0)
    palettes = [rng.integers(0, 256, (256, 4), np.uint8) for _ in range(2)]
    for palette in palettes:
        palette[:, 3] = 0
    indexed = [rng.integers(0, 256, (HEIGHT, WIDTH), np.uint8) for _ in range(COUNT)]
    frames = [[(b"00db", (img[::-1] if bottom_up else img).tobytes())] for img in indexed]
    change = COUNT // 2
    frames[change].insert(0, (b"00pc", b"\0\0\0\0" + palettes[1][:, [2, 1, 0, 3]].tobytes()))
    write_avi(
        tmp_path / "v.avi", frames, b"DIB ", (HEIGHT if bottom_up else -HEIGHT, WIDTH), 8, palettes[0].tobytes()
    )
    expected = [palettes[k >= change][img][..., :3] for k, img in enumerate(indexed)]
    with av.open(str(tmp_path / "v.avi")) as container:
        plain = [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]
    for frame, wanted in zip(plain, expected, strict=True):
        np.testing.assert_array_equal(frame, wanted)
    check(tmp_path / "v.avi", expected, COLOR)


def test_jpeg_tables_that_come_with_the_first_picture_alone(tmp_path: Path) -> None:
    """An abbreviated format (ITU-T T.81, B.4): later pictures are coded with the tables of earlier ones."""
    quality = [cv2.IMWRITE_JPEG_QUALITY, 60]
    jpgs = [cv2.imencode(".jpg", picture(k), quality)[1].tobytes() for k in range(COUNT)]
    plain = [cv2.imdecode(np.frombuffer(jpg, np.uint8), cv2.IMREAD_GRAYSCALE) for jpg in jpgs]
    short = [jpgs[0], *(without_tables(jpg) for jpg in jpgs[1:])]
    write_avi(tmp_path / "v.avi", [[(b"00dc", jpg + bytes(len(jpg) % 2))] for jpg in short], b"MJPG", (HEIGHT, WIDTH), 24)
    with av.open(str(tmp_path / "v.avi")) as container:
        decoded = [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]
    assert len(decoded) == COUNT and np.abs(decoded[-1].astype(int) - plain[-1]).max() <= 2
    check(tmp_path / "v.avi", decoded)


def without_tables(jpg: bytes) -> bytes:
    kept, at = jpg[:2], 2
    while jpg[at + 1] != 0xDA:
        size = 2 + int.from_bytes(jpg[at + 2 : at + 4], "big")
        if jpg[at + 1] not in (0xDB, 0xC4):
            kept += jpg[at : at + size]
        at += size
    return kept + jpg[at:]


@pytest.mark.parametrize("version, pix_fmt, matters", [
    (150, "yuv444p", True), (151, "yuv444p", False), (150, "yuv420p", False), (33, "yuv420p", True),
])  # fmt: skip
def test_what_early_versions_of_an_encoder_coded_in_their_own_way(
    tmp_path: Path, version: int, pix_fmt: str, matters: bool
) -> None:
    """FFmpeg goes by a name in the first packet, so a decoder has to have met it."""
    path = tmp_path / "v.mp4"
    encode(path, range(COUNT), pix_fmt=pix_fmt, options={"x264-params": "bframes=0"})
    data = path.read_bytes()
    said = re.search(rb"x264 - core \d+", data)
    assert said is not None
    path.write_bytes(data.replace(said[0], b"x264 - core %3d" % version))
    reader = open_video(path)
    assert reader.table.can_seek != matters
    reader.close()


# -- fields --------------------------------------------------------------------------------------------------------


class Bits(list[int]):
    """Bits of H.264 (ITU-T H.264, 7.2 and 9.1)."""

    def u(self, count: int, value: int) -> Bits:
        self += [value >> k & 1 for k in range(count - 1, -1, -1)]
        return self

    def ue(self, *values: int) -> Bits:
        for value in values:
            length = (value + 1).bit_length()
            self.u(length - 1, 0).u(length, value + 1)
        return self

    def bytes(self, stop: bool = True) -> bytes:
        bits = [*self, 1] if stop else list(self)
        bits += [0] * (-len(bits) % 8)
        return np.packbits(np.array(bits, np.uint8)).tobytes()


def unit(head: int, content: bytes) -> bytes:
    return b"\0\0\0\1" + bytes([head]) + re.sub(rb"\0\0(?=[\0-\3])", b"\0\0\3", content)


SEQUENCE = unit(0x67, Bits().u(8, 77).u(8, 0).u(8, 30).ue(0, 4, 0, 4, 1).u(1, 0).ue(WIDTH // 16 - 1, HEIGHT // 32 - 1)
                .u(5, 0b00100).u(1, 0).bytes())  # fmt: skip
PICTURE = unit(0x68, Bits().ue(0, 0).u(2, 0).ue(0, 0, 0).u(3, 0).ue(0, 0, 0).u(3, 0b100).bytes())


def field(rows: np.ndarray, number: int, bottom: bool, group: int) -> bytes:
    """Code every second row of a picture as macroblocks of plain samples (I_PCM)."""
    is_idr = number % group == 0 and not bottom
    bits = Bits().ue(0, 7, 0).u(8, number % group).u(1, 1).u(1, bottom)
    if is_idr:
        bits.ue(number // group % 2)
    bits.u(8, 2 * (number % group) + bottom).u(2 if is_idr else 1, 0).ue(0, 1)
    out = b""
    for y in range(0, HEIGHT // 2, 16):
        for x in range(0, WIDTH, 16):
            out += bits.ue(25).bytes(stop=False) + rows[y : y + 16, x : x + 16].clip(1, 255).tobytes() + bytes([128]) * 128
            bits = Bits()
    return unit(0x65 if is_idr else 0x61, out + b"\x80")


@pytest.fixture(scope="module")
def fields() -> list[bytes]:
    """The packets of a video in field pictures, two for each frame."""
    packets = []
    for number in range(COUNT):
        img = picture(number)
        first = SEQUENCE + PICTURE if number % 10 == 0 else b""
        packets += [unit(9, b"\xf0") + first + field(img[0::2], number, False, 10)]
        packets += [unit(9, b"\xf0") + field(img[1::2], number, True, 10)]
    return packets


@pytest.mark.parametrize("how", ["two packets", "one packet", "sometimes"])
@pytest.mark.parametrize("extension", ["mp4", "mkv", "ts", "avi"])
def test_two_fields_are_one_frame(tmp_path: Path, fields: list[bytes], how: str, extension: str) -> None:
    pairs = [fields[k : k + 2] for k in range(0, len(fields), 2)]
    path = tmp_path / f"v.{extension}"
    raw = tmp_path / "v.h264"
    raw.write_bytes(b"".join(fields))
    with av.open(str(raw)) as source, av.open(str(path), "w") as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        for number, pair in enumerate(pairs):
            whole = how == "one packet" or (how == "sometimes" and number % 3 == 0)
            for k, data in enumerate([b"".join(pair)] if whole else pair):
                packet = av.Packet(data)
                packet.pts = packet.dts = 2 * number + k
                packet.duration = 2 if whole else 1
                packet.time_base, packet.stream = Fraction(1, 50), stream
                packet.is_keyframe = number % 10 == 0 and k == 0
                out.mux(packet)
    with av.open(str(path)) as container:
        plain = [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]
    assert [number_of(frame) for frame in plain] == list(range(COUNT))
    check(path, plain)


def test_fields_are_told_from_frames_by_pair(fields: list[bytes]) -> Any:
    """A field whose other half is missing stays one by itself, and those that follow keep together."""
    from imgstore_codecs.video.reading.field_pairs import FieldPairs

    pairs = FieldPairs("h264", SEQUENCE + PICTURE)
    packets = [av.Packet(data) for data in (*fields[:5], *fields[6:])]
    for packet in packets:
        packet.time_base = Fraction(1, 50)
    sizes = [packet.size for packet in pairs.joined(iter(packets))]
    wanted = [sum(len(data) for data in fields[k : k + 2]) for k in range(0, len(fields), 2)]
    wanted[2] = len(fields[4])
    assert sizes == wanted

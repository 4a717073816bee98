"""What parameter sets say of the order of pictures is what FFmpeg finds; where they say nothing, FFmpeg has to."""

from __future__ import annotations

from pathlib import Path

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st
from video_samples import encode, number_of

from imgstore.codec import FrameSpec
from imgstore_codecs.video.bitstream.h264_parameters import pictures_held_back, reorder_depth
from imgstore_codecs.video.open_video import open_to_decode
from imgstore_codecs.video.reading.video_reader import VideoReader

COUNT = 24


def extradata_of(path: Path) -> bytes:
    with av.open(str(path)) as container:
        return container.streams.video[0].codec_context.extradata or b""


def join(*units: bytes) -> bytes:
    """Put parameter sets into a configuration (ISO/IEC 14496-15, 5.3.3.1)."""
    sets = b"".join(len(unit).to_bytes(2, "big") + unit for unit in units)
    return b"\x01\x64\x00\x20\xff" + bytes([0xE0 | len(units)]) + sets + b"\x00"


class Writer:
    """Writes bits, as ITU-T H.264 has them in 7.2 and 9.1."""

    def __init__(self) -> None:
        self.bits = ""

    def fixed(self, value: int, count: int) -> Writer:
        self.bits += f"{value:0{count}b}" if count else ""
        return self

    def golomb(self, *values: int) -> Writer:
        for value in values:
            code = f"{value + 1:b}"
            self.bits += "0" * (len(code) - 1) + code
        return self

    def signed(self, *values: int) -> Writer:
        return self.golomb(*(2 * v - 1 if v > 0 else -2 * v for v in values))

    def unit(self) -> bytes:
        bits = self.bits + "1"
        bits += "0" * (-len(bits) % 8)
        data = int(bits, 2).to_bytes(len(bits) // 8, "big")
        escaped, zeros = bytearray(b"\x67"), 0
        for byte in data:
            if zeros >= 2 and byte <= 3:
                escaped.append(3)
                zeros = 0
            escaped.append(byte)
            zeros = zeros + 1 if byte == 0 else 0
        return bytes(escaped)


def parameter_set(order: str, held_back: int | None, profile: int = 77, vui: str = "") -> bytes:
    """Write one; `vui` are the bits of it before those on the order of pictures."""
    out = Writer().fixed(profile, 8).fixed(0, 8).fixed(32, 8).golomb(0)
    if profile == 244:
        out.golomb(3).fixed(0, 1).golomb(0, 0).fixed(0, 1).fixed(1, 1)
        for k in range(12):
            out.fixed(k % 2, 1)
            if k % 2:
                out.signed(*([3, -3] * ((16 if k < 6 else 64) // 2)) if k < 9 else [3, -11])
    out.golomb(4)
    if order == "by a counter":
        out.golomb(0, 4)
    elif order == "by a cycle":
        out.golomb(1).fixed(0, 1).signed(-70, 12).golomb(3).signed(5, -400, 0)
    else:
        out.golomb(2)
    out.golomb(4).fixed(0, 1).golomb(79, 63).fixed(0, 1).fixed(1, 1).fixed(1, 1)
    out.fixed(1, 1).golomb(0, 3, 0, 2)
    if held_back is None and not vui:
        return out.fixed(0, 1).unit()
    out.fixed(1, 1)
    out.bits += vui or "0" * 8
    if held_back is None:
        return out.fixed(0, 1).unit()
    return out.fixed(1, 1).fixed(1, 1).golomb(2, 1, 15, 15, held_back, 16).unit()


_HRD = Writer().golomb(1).fixed(5, 8).golomb(70, 800).fixed(1, 1).golomb(4000, 90000).fixed(0, 1).fixed(99999, 20).bits
VUI = {
    "nothing": "0" * 8,
    "shape": "1" + "00000011" + "0" * 7,
    "another shape": "1" + "1" * 8 + f"{40:016b}{33:016b}" + "0" * 7,
    "overscan": "0" + "11" + "0" * 6,
    "colours": "00" + "1" + "0101" + "1" + "00000001" * 3 + "0" * 5,
    "signal without colours": "00" + "1" + "0101" + "0" + "0" * 5,
    "chroma": "000" + "1" + Writer().golomb(2, 2).bits + "0" * 4,
    "timing": "0000" + "1" + f"{1:032b}{50:032b}" + "1" + "000",
    "buffers": "00000" + "1" + _HRD + "0" + "1" + "0",
    "both buffers": "00000" + "1" + _HRD + "1" + _HRD + "0" + "1",
    "structure": "0" * 7 + "1",
}


@pytest.mark.parametrize("vui", VUI)
@pytest.mark.parametrize("profile", [77, 244])
@pytest.mark.parametrize("order", ["by a counter", "by a cycle"])
@pytest.mark.parametrize("held_back", [0, 1, 3, 16, None])
def test_every_part_is_stepped_over(order: str, held_back: int | None, profile: int, vui: str) -> None:
    assert pictures_held_back(join(parameter_set(order, held_back, profile, VUI[vui]))) == held_back


def test_pictures_that_come_as_they_are_shown() -> None:
    assert pictures_held_back(join(parameter_set("as they come", None))) == 0


def test_what_is_not_said() -> None:
    said, not_said = parameter_set("by a counter", 2), parameter_set("by a counter", None)
    assert pictures_held_back(join(not_said)) is None
    assert pictures_held_back(join(said, not_said)) is None
    assert pictures_held_back(join(said, parameter_set("by a counter", 4))) == 4
    assert pictures_held_back(join(parameter_set("by a counter", 17))) is None  # no decoder holds so many
    assert pictures_held_back(join()) is None
    assert pictures_held_back(b"\x00\x00\x00\x01" + said) == 2  # start codes
    assert pictures_held_back(b"\x00\x00\x01" + said + b"\x00\x00\x00\x01" + not_said) is None
    assert pictures_held_back(None) is None


@given(st.binary(max_size=60))
def test_damaged_parameters_are_never_more_than_nothing(data: bytes) -> None:
    assert pictures_held_back(join(b"\x67" + data)) in (None, *range(17))
    assert pictures_held_back(data) in (None, *range(17))


def test_parameters_that_are_cut_say_nothing() -> None:
    unit = parameter_set("by a counter", 2, 244, VUI["both buffers"])
    for size in range(1, len(unit) - 2):
        assert pictures_held_back(join(unit[:size])) is None
    whole = join(unit)
    for size in range(len(whole) - 1):
        assert pictures_held_back(whole[:size]) is None


X264 = [
    "bframes=0",
    "bframes=0:ref=4:keyint=7",
    "bframes=1:b-pyramid=none",
    "bframes=3:b-pyramid=normal:ref=5",
    "bframes=7:b-pyramid=strict:b-adapt=0",
    "bframes=2:open-gop=1",
    "intra-refresh=1",
    "tff=1:bframes=2",
    "sar=40/33:overscan=show:videoformat=ntsc:colorprim=bt709:transfer=bt709:colormatrix=bt709:chromaloc=2",
    "nal-hrd=vbr:vbv-maxrate=500:vbv-bufsize=800:bframes=2",
    "nal-hrd=cbr:vbv-maxrate=500:vbv-bufsize=800:bitrate=500:pic-struct=1:bframes=1",
    "cqm=jvt:bframes=2",
    "cqm4i=" + ",".join(["17"] * 16) + ":bframes=1",
    "force-cfr=1:frame-packing=3:bframes=2",
    "stitchable=1:bluray-compat=1:bframes=2:vbv-maxrate=500:vbv-bufsize=800",
    "keyint=1",
    "qp=0:bframes=2",
]


@pytest.mark.parametrize("extension", ["mp4", "mkv"])
@pytest.mark.parametrize("parameters", X264)
def test_ffmpeg_finds_the_same(tmp_path: Path, parameters: str, extension: str) -> None:
    path = tmp_path / f"video.{extension}"
    pix_fmt = "yuv444p" if "qp=0" in parameters else "yuv420p"
    encode(path, range(COUNT), pix_fmt=pix_fmt, options={"x264-params": parameters})
    with av.open(str(path)) as container:
        found = container.streams.video[0].codec_context.reorder_depth
    assert pictures_held_back(extradata_of(path)) == found
    with open_to_decode(str(path)) as container:
        context = container.streams.video[0].codec_context
        assert context.pix_fmt is None  # no frame was decoded
        assert reorder_depth(context) == found


def without_vui(extradata: bytes) -> bytes:
    """Say no more than pictures need: the parameter set ends before what is called usability information."""
    size = int.from_bytes(extradata[6:8], "big")
    unit = extradata[8 : 8 + size]
    assert b"\x00\x00\x03" not in unit[:10]
    bits = "".join(f"{byte:08b}" for byte in unit)
    # for 192 x 128 pixels, which need no cropping: width, height, frames alone, direct_8x8, no cropping, what follows
    at = bits.index(Writer().golomb(11, 7).fixed(0b110, 3).bits + "1") + len(Writer().golomb(11, 7).bits) + 3
    cut = bits[:at] + "01"
    cut += "0" * (8 * size - len(cut))
    return extradata[:8] + int(cut, 2).to_bytes(size, "big") + extradata[8 + size :]


@pytest.mark.parametrize("extension", ["mp4", "mkv"])
@pytest.mark.parametrize("parameters", ["bframes=0", "bframes=3:b-pyramid=normal:ref=5", "bframes=2:open-gop=1"])
def test_a_video_that_does_not_say(tmp_path: Path, parameters: str, extension: str) -> None:
    path = tmp_path / f"video.{extension}"
    encode(path, range(COUNT), options={"x264-params": parameters})
    whole = extradata_of(path)
    path.write_bytes(path.read_bytes().replace(whole, without_vui(whole)))
    told = pictures_held_back(extradata_of(path))
    assert told == (0 if parameters == "bframes=0" else None)
    reader = VideoReader(str(path), FrameSpec((128, 192), "uint8"), {})
    for position in (*range(COUNT), *range(COUNT)[::-1], *range(0, COUNT, 5)):
        assert number_of(reader.read(position)) == position
    reader.close()

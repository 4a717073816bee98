"""What `imgstore save` takes frames from: which frames, when, and how they are turned."""

from __future__ import annotations

import os
import struct
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import av
import cv2
import numpy as np
import pytest
from av.video.frame import PictureType
from mp4_boxes import box, inside, replaced
from video_samples import encode, number_of, picture

from imgstore.cli._inputs import metadata_of, open_inputs
from imgstore.cli._source import SourceFrame
from imgstore.cli._sources import open_live
from imgstore.errors import ArgumentError, ChunkError, ImgStoreWarning


def numbers_and_times(path: Path | str) -> tuple[list[int], list[float]]:
    frames = list(opened(path).frames)
    return [number_of(frame.img) for frame in frames], [frame.time for frame in frames]


class Opened(NamedTuple):
    frames: Iterator[SourceFrame]
    count: int
    fps: float
    metadata: dict[str, Any]


def opened(path: Path | str) -> Opened:
    how: dict[str, Any] = dict.fromkeys(["order", "color", "fps", "times", "column", "start", "end"])
    with open_inputs([str(path)], **how, step=1) as found:
        frames = (SourceFrame(*found.read(k)) for k in range(len(found)))
        return Opened(frames, len(found), found.fps, metadata_of(found, [str(path)]))


# -- when frames are shown -----------------------------------------------------------------------------------------


def late_b_frames(codec: str) -> dict[str, Any]:
    """Settings for a video whose first B-frame comes late."""
    if codec == "libx264":
        return {"options": {"x264-params": "bframes=3:b-adapt=0:b-pyramid=none:scenecut=0"}, "gop": 250}
    return {"options": {"bf": "2", "qscale": "3", "flags": "+qscale", "sc_threshold": "1000000000"}, "gop": 250}


@pytest.fixture(scope="module", params=["libx264", "mpeg4"])
def with_b_frames(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An AVI with B-frames; it has times of decoding alone."""
    path = tmp_path_factory.mktemp(request.param) / "clip.avi"
    encode(path, range(40), request.param, **late_b_frames(request.param))
    return path


@pytest.mark.parametrize("copied", [None, "mp4", "mov"])
def test_times_of_decoding_are_given_to_frames_in_the_order_in_which_they_are_shown(
    with_b_frames: Path, tmp_path: Path, copied: str | None
) -> None:
    path = with_b_frames
    if copied is not None:
        path = copy_with_times_of_decoding(path, tmp_path / f"clip.{copied}")
    numbers, times = numbers_and_times(path)
    assert numbers == list(range(40))
    np.testing.assert_allclose(np.diff(times), 1 / 25, atol=1e-6)


def copy_with_times_of_decoding(path: Path, target: Path) -> Path:
    with av.open(str(path)) as source, av.open(str(target), "w") as out:
        copy = out.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.pts, packet.stream = packet.dts, copy
                out.mux(packet)
    return target


def test_times_of_showing_are_left_as_they_are(tmp_path: Path) -> None:
    """Also where the first frames are shown as they are decoded, and where nothing is regular."""
    rng = np.random.default_rng(1)
    pts = np.cumsum(rng.integers(1, 5, 60)).tolist()
    path = tmp_path / "clip.mp4"
    kinds = [PictureType.P if k < 30 else PictureType.NONE for k in range(60)]
    encode(path, range(60), pts=pts, kinds=kinds, **late_b_frames("libx264"))
    with av.open(str(path)) as container:
        expected = [float(frame.time) for frame in container.decode(video=0)]
    assert expected == sorted(expected)
    assert numbers_and_times(path) == (list(range(60)), expected)


# -- which video of a file -----------------------------------------------------------------------------------------


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    encode(tmp_path / "clip.mp4", range(12))
    return tmp_path / "clip.mp4"


def test_a_cover_is_no_video(clip: Path) -> None:
    jpg = cv2.imencode(".jpg", np.full((64, 64, 3), 200, np.uint8))[1].tobytes()
    handler = box(b"hdlr", struct.pack(">II4s", 0, 0, b"mdir") + b"appl" + bytes(9))
    cover = box(b"covr", box(b"data", struct.pack(">II", 13, 0) + jpg))
    user_data = box(b"udta", box(b"meta", bytes(4) + handler + box(b"ilst", cover)))
    whole = clip.read_bytes()
    movie = inside(whole, b"moov")
    clip.write_bytes(replaced(whole, b"moov", movie[: -len(box(b"udta", inside(movie, b"udta")))] + user_data))
    with av.open(str(clip)) as container:
        assert len(container.streams.video) == 2
    assert numbers_and_times(clip)[0] == list(range(12))
    sound = clip.with_name("sound.m4a")
    trak = inside(movie, b"trak")
    sound.write_bytes(replaced(clip.read_bytes(), b"moov", inside(clip.read_bytes(), b"moov").replace(box(b"trak", trak), b"")))
    with pytest.raises(ChunkError, match="no video"):
        opened(sound)


# -- how frames are turned -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name, matrix, turned", [
    ("not at all", (1, 0, 0, 1), lambda img: img),
    ("mirrored left to right", (-1, 0, 0, 1), lambda img: img[:, ::-1]),
    ("mirrored top to bottom", (1, 0, 0, -1), lambda img: img[::-1]),
    ("half a turn", (-1, 0, 0, -1), lambda img: img[::-1, ::-1]),
    ("a quarter to the right", (0, 1, -1, 0), lambda img: np.rot90(img, -1)),
    ("a quarter to the left", (0, -1, 1, 0), lambda img: np.rot90(img)),
    ("mirrored and a quarter", (0, 1, 1, 0), lambda img: np.swapaxes(img, 0, 1)),
    ("mirrored and a quarter back", (0, -1, -1, 0), lambda img: np.swapaxes(img[::-1, ::-1], 0, 1)),
])  # fmt: skip
def test_turned_and_mirrored_as_a_player_does_it(clip: Path, name: str, matrix: tuple[int, ...], turned: Any) -> None:
    a, b, c, d = (value << 16 for value in matrix)
    plain = next(opened(clip).frames).img
    data = bytearray(clip.read_bytes())
    at = data.index(b"tkhd") + 44  # ISO/IEC 14496-12, 8.3.2
    data[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    clip.write_bytes(data)
    np.testing.assert_array_equal(next(opened(clip).frames).img, turned(plain))


# -- images --------------------------------------------------------------------------------------------------------


@pytest.fixture
def in_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    yield tmp_path


@pytest.mark.parametrize("name, numbers", [
    ("img_%04d.png", range(12)),
    ("img_%d.png", range(8, 12)),
    ("%03d.tif", range(500, 503)),
    ("a+b (%02d).bmp", range(98, 103)),
])  # fmt: skip
def test_numbered_images(in_directory: Path, name: str, numbers: range) -> None:
    for number in numbers:
        cv2.imwrite(name % number, picture(number))
    cv2.imwrite("img_x.png", picture(0))
    source = opened(name)
    frames = list(source.frames)
    assert [number_of(frame.img) for frame in frames] == list(numbers)
    assert [frame.number for frame in frames] == list(range(len(numbers))) and source.count == len(numbers)
    np.testing.assert_allclose([frame.time for frame in frames], np.arange(len(numbers)) / source.fps)


def test_numbers_without_an_image_are_told_of(in_directory: Path) -> None:
    for number in (1, 2, 5):
        cv2.imwrite(f"{number}.png", picture(number))
    with pytest.warns(ImgStoreWarning, match="2 numbers have no image"):
        assert numbers_and_times("%d.png")[0] == [1, 2, 5]
    with pytest.raises(ArgumentError, match="no such images"):
        opened("other_%d.png")


@pytest.mark.parametrize("dtype, channels", [(np.uint8, 1), (np.uint16, 1), (np.uint8, 3), (np.uint16, 3)])
def test_every_page_of_a_stack(tmp_path: Path, dtype: type, channels: int) -> None:
    rng = np.random.default_rng(0)
    shape = (48, 64) if channels == 1 else (48, 64, channels)
    pages = [rng.integers(0, np.iinfo(dtype).max + 1, shape, dtype) for _ in range(19)]
    cv2.imwritemulti(str(tmp_path / "stack.tif"), pages)
    source = opened(tmp_path / "stack.tif")
    frames = [frame.img for frame in source.frames]
    assert source.count == len(frames) == 19
    for frame, page in zip(frames, pages, strict=True):
        np.testing.assert_array_equal(frame, page)


def test_pages_of_any_type(tmp_path: Path) -> None:
    pages = [np.full((8, 8), 0.5 + k, np.float32) for k in range(2)]
    cv2.imwritemulti(str(tmp_path / "stack.tif"), pages)
    for frame, page in zip(opened(tmp_path / "stack.tif").frames, pages, strict=True):
        assert frame.img.dtype == np.float32
        np.testing.assert_array_equal(frame.img, page)


@pytest.mark.parametrize("orientation, turned", [
    (1, lambda img: img),
    (3, lambda img: img[::-1, ::-1]),
    (6, lambda img: np.rot90(img, -1)),
    (8, lambda img: np.rot90(img)),
])  # fmt: skip
def test_photographs_are_turned(tmp_path: Path, orientation: int, turned: Any) -> None:
    """As their EXIF data say (TIFF 6.0, section 2, and CIPA DC-008, 4.6.4)."""
    jpg = cv2.imencode(".jpg", picture(5))[1].tobytes()
    (tmp_path / "plain.jpg").write_bytes(jpg)
    exif = b"Exif\0\0MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 0x112, 3, 1, orientation, 0, 0)
    (tmp_path / "photo.jpg").write_bytes(jpg[:2] + b"\xff\xe1" + struct.pack(">H", 2 + len(exif)) + exif + jpg[2:])
    plain, photo = (next(opened(tmp_path / name).frames).img for name in ("plain.jpg", "photo.jpg"))
    np.testing.assert_array_equal(photo, turned(plain))


# -- names ---------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="needs names that Windows does not have")
def test_a_name_with_a_colon_is_no_address(in_directory: Path, clip: Path) -> None:
    os.rename(clip, "12:30:00.mp4")
    assert numbers_and_times("12:30:00.mp4")[0] == list(range(12))


@pytest.mark.skipif(sys.platform != "linux", reason="needs names that are no text, as Linux has them")
def test_a_name_that_is_no_text(in_directory: Path, clip: Path) -> None:
    name = os.fsdecode(b"caf\xe9.mp4")
    os.rename(clip, name)
    source = opened(name)
    assert source.metadata["source"] == "caf\N{REPLACEMENT CHARACTER}.mp4"
    assert len(list(source.frames)) == 12


@pytest.mark.parametrize("address", ["rtsp://127.0.0.1:9/stream", "http://127.0.0.1:9/clip.mp4"])
def test_an_address_is_asked(address: str) -> None:
    with warnings.catch_warnings(), pytest.raises(ArgumentError, match=r"127\.0\.0\.1.*refused"):
        open_live(address, deep=True)

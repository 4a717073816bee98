"""Frames are compared with their checksums when they are read: whatever is damaged, no wrong picture is shown."""

from __future__ import annotations

import random
import zipfile
from pathlib import Path

import av
import numpy as np
import pytest
from rounds import long_but
from scenes import coded_frame
from video_samples import B_FRAMES, HEIGHT, WIDTH, X265, encode, number_of, patch_edit_list

import imgstore
from imgstore.disk.checksums import FRAME_NAME, HASH_NAME, STREAM_NAME
from imgstore.errors import ChunkError, FrameDecodeError, ImgStoreError

SHAPE = (64, 96)
FRAMES = 30
VIDEO = ("mjpeg/avi", "h264/mkv", "avc1/mp4", "hevc/mp4", "av1/mp4", "ffv1/mkv")
FORMATS = ("npy", "png", "bpk", *VIDEO)
DAMAGES = 60  # per format
AT_FIRST = 20  # of these, in `make test`


def need_format(fmt: str) -> None:
    if fmt not in imgstore.get_supported_formats():
        pytest.skip(f"{fmt} cannot be written here")


def write(path: Path, fmt: str, **options: object) -> list[np.ndarray]:
    """Write a store and return what it reads as."""
    with imgstore.new_for_format(fmt, path, imgshape=SHAPE, chunksize=FRAMES, **options) as store:
        for k in range(FRAMES):
            store.add_image(coded_frame(k, SHAPE), k, k / 10)
    with imgstore.new_for_filename(path) as store:
        return [img for img, _ in store]


def files_with_frames(path: Path) -> list[Path]:
    held = (p for p in path.rglob("*") if p.is_file() and p.name[0] != "." and p.suffix not in (".npz", ".yaml"))
    return sorted(held)


def damaged(data: bytes, rng: random.Random) -> bytes:
    at, count = rng.randrange(len(data)), rng.randrange(1, 300)
    return rng.choice(
        [
            data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :],
            data[:at],
            data[:at] + data[at + count :],
            data[:at] + rng.randbytes(count) + data[at:],
            data[:at] + bytes(len(data[at : at + count])) + data[at + count :],
        ]
    )


def read_each(path: Path, order: list[int]) -> dict[int, np.ndarray]:
    """Read frames one by one; those that are errors are left out."""
    found = {}
    try:
        with imgstore.new_for_filename(path) as store:
            for k in order:
                try:
                    img, (number, _) = store.get_image(None, frame_index=k)
                except ImgStoreError:
                    continue
                assert number == k
                found[k] = img
    except ImgStoreError:
        pass
    return found


@pytest.mark.parametrize("damages", long_but([AT_FIRST], [AT_FIRST, DAMAGES]))
@pytest.mark.parametrize("fmt", long_but({"npy", "bpk", "mjpeg/avi", "avc1/mp4"}, FORMATS))
def test_no_damage_shows_a_wrong_picture(fmt: str, damages: int, tmp_path: Path) -> None:
    need_format(fmt)
    good = write(tmp_path / "s", fmt)
    files, rng, lost = files_with_frames(tmp_path / "s"), random.Random(fmt), 0
    for case in range(damages):
        file = rng.choice(files)
        data = file.read_bytes()
        file.write_bytes(damaged(data, rng))
        order = list(range(FRAMES)) if case % 2 else rng.sample(range(FRAMES), FRAMES)
        found = read_each(tmp_path / "s", order)
        for k, img in found.items():
            np.testing.assert_array_equal(img, good[k], err_msg=f"case {case}, frame {k}")
        lost += FRAMES - len(found)
        file.write_bytes(data)
    assert lost > damages / 2  # most damage was damage
    assert len(read_each(tmp_path / "s", list(range(FRAMES)))) == FRAMES


def without_packet(path: Path, lost: int) -> None:
    """Copy the packets of a video into a new file in its place, but for one."""
    copy = path.with_name("copy" + path.suffix)
    with av.open(path) as source, av.open(copy, "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for place, packet in enumerate(source.demux(video=0)):
            if packet.size and place != lost:
                packet.stream = stream
                target.mux(packet)
    copy.replace(path)


@pytest.mark.parametrize("fmt", long_but({"mjpeg/avi", "avc1/mp4"}, ["mjpeg/avi", "h264/mkv", "avc1/mp4", "ffv1/mkv"]))
@pytest.mark.parametrize("lost", [0, 6, 9, FRAMES - 1])
def test_where_a_packet_is_lost_the_others_keep_their_places(fmt: str, lost: int, tmp_path: Path) -> None:
    inter = fmt in ("h264/mkv", "avc1/mp4")
    good = write(tmp_path / "s", fmt, **({"gop_size": 5} if inter else {}))
    (file,) = files_with_frames(tmp_path / "s")
    without_packet(file, lost)
    group = range(lost, (lost // 5 + 1) * 5) if inter else [lost]  # what builds on it is lost as well
    for order in (list(range(FRAMES)), list(range(FRAMES))[::-1], random.Random(lost).sample(range(FRAMES), FRAMES)):
        found = read_each(tmp_path / "s", order)
        assert set(range(FRAMES)) - set(found) == set(group)
        for k, img in found.items():
            np.testing.assert_array_equal(img, good[k])


def test_a_batch_has_no_wrong_picture_either(tmp_path: Path) -> None:
    good = write(tmp_path / "s", "h264/mkv", gop_size=5)
    without_packet(files_with_frames(tmp_path / "s")[0], 12)
    with imgstore.new_for_filename(tmp_path / "s") as store:
        with pytest.raises(FrameDecodeError, match="frame 1[2-4]"):
            store.get_images(frame_indices=range(FRAMES))
        sound = [k for k in range(FRAMES) if k not in (12, 13, 14)]
        np.testing.assert_array_equal(store.get_images(frame_indices=sound)[0], np.array(good)[sound])


def test_a_frame_of_another_chunk_is_an_error(tmp_path: Path) -> None:
    write(tmp_path / "s", "png")
    one, other = files_with_frames(tmp_path / "s")[3:5]
    one.write_bytes(other.read_bytes())
    with imgstore.new_for_filename(tmp_path / "s") as store:
        with pytest.raises(FrameDecodeError, match=r"000003\.png: .*checksum"):
            store.get_image(3)
        assert store.get_image(4)[1][0] == 4


def test_on_request_damaged_frames_are_what_the_decoder_makes_of_them(tmp_path: Path) -> None:
    good = write(tmp_path / "s", "npy")
    file = files_with_frames(tmp_path / "s")[3]
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    with imgstore.new_for_filename(tmp_path / "s", checksums=False) as store:
        img = store.get_image(3)[0]
    assert np.argwhere(img != good[3]).tolist() == [[SHAPE[0] - 1, SHAPE[1] - 1]]


def test_another_header_is_an_error(tmp_path: Path) -> None:
    """Parameter sets decide what packets mean, and stand in no packet."""
    write(tmp_path / "s", "avc1/mp4")
    (file,) = files_with_frames(tmp_path / "s")
    data = file.read_bytes()
    at = data.index(b"avcC", data.rindex(b"moov")) + 4 + 8 + 6  # within the sequence parameter set
    file.write_bytes(data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :])
    with imgstore.new_for_filename(tmp_path / "s") as store, pytest.raises(ChunkError, match="000000.mp4"):
        store.get_image(3)


@pytest.mark.parametrize("fmt", FORMATS)
def test_every_frame_has_a_checksum_and_reindexing_keeps_it(fmt: str, tmp_path: Path) -> None:
    need_format(fmt)
    write(tmp_path / "s", fmt)
    with imgstore.new_for_filename(tmp_path / "s") as store:
        store.reindex()
    (index,) = (p for p in (tmp_path / "s").rglob("*.npz"))
    assert zipfile.is_zipfile(index)
    arrays = np.load(index)
    if fmt in VIDEO:
        assert arrays[FRAME_NAME].shape == (FRAMES,) and arrays[STREAM_NAME].shape == (1,)
    else:
        assert arrays[HASH_NAME].shape == (FRAMES,)


def test_frames_out_of_order_in_the_file_have_checksums_too(tmp_path: Path) -> None:
    good = write(tmp_path / "s", "h264/mkv", encoder_options={"bf": "2"})
    (index,) = (tmp_path / "s").glob("*.npz")
    assert np.load(index)[FRAME_NAME].shape == (FRAMES,)
    assert [int(np.abs(img.astype(int) - coded_frame(k, SHAPE)).mean()) for k, img in enumerate(good)] == [0] * FRAMES
    (file,) = files_with_frames(tmp_path / "s")
    without_packet(file, 13)
    found = read_each(tmp_path / "s", list(range(FRAMES)))
    assert 10 < len(found) < FRAMES
    for k, img in found.items():
        np.testing.assert_array_equal(img, good[k])


@pytest.mark.parametrize("fmt", FORMATS)
def test_reading_goes_on_behind_a_damaged_frame(tmp_path: Path, fmt: str) -> None:
    """In order, and after a jump to one: the next frame comes next."""
    need_format(fmt)
    options = {"gop_size": 5} if fmt in VIDEO and fmt not in ("mjpeg/avi", "ffv1/mkv") else {}
    whole = write(tmp_path / "s", fmt, **options)
    held = files_with_frames(tmp_path / "s")
    victim = held[12] if len(held) > 1 else held[0]
    data = bytearray(victim.read_bytes())
    middle = len(data) // 2
    if fmt in VIDEO:
        with av.open(str(victim)) as container:
            packet = [p for p in container.demux(video=0) if p.size][12]
            middle = packet.pos + packet.size // 2
    data[middle : middle + 8] = bytes(byte ^ 255 for byte in data[middle : middle + 8])
    victim.write_bytes(data)
    with imgstore.new_for_filename(tmp_path / "s") as store:
        seen, errors = [], []
        for expected in range(FRAMES):
            try:
                img, (number, _) = store.get_next_image()
            except FrameDecodeError:
                errors.append(expected)
                continue
            assert number == expected
            np.testing.assert_array_equal(img, whole[number])
            seen.append(number)
        with pytest.raises(EOFError):
            store.get_next_image()
        assert 0 < len(errors) <= 5 and len(seen) + len(errors) == FRAMES
        with pytest.raises(FrameDecodeError):
            store.get_image(errors[-1])
        assert store.get_next_image()[1][0] == errors[-1] + 1


INSERTED = {
    "b-frames.mp4": ("avc1/mp4", {"options": B_FRAMES}),
    "b-frames.mkv": ("h264/mkv", {"options": B_FRAMES}),
    "edited.mp4": ("avc1/mp4", {"options": B_FRAMES}),
    "hevc.mp4": ("hevc/mp4", {"codec": "libx265", "options": X265}),
    "av1.mp4": ("av1/mp4", {"codec": "libsvtav1", "options": {"preset": "9", "crf": "15"}}),
    "mjpeg.avi": ("mjpeg/avi", {"codec": "mjpeg", "pix_fmt": "yuvj420p"}),
}


@pytest.fixture(params=INSERTED)
def inserted(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, int]:
    """A store of a video that another program has made; its file, and the number in its first frame."""
    fmt, how = INSERTED[request.param]
    video = tmp_path / request.param
    encode(video, range(60), mux={"video_track_timescale": "12800"} if video.suffix == ".mp4" else None, **how)
    first = 0
    if request.param == "edited.mp4":
        first = 3
        patch_edit_list(video, first * 512)
    numbers = np.arange(60 - first)
    with imgstore.new_for_format(fmt, tmp_path / "s", imgshape=(HEIGHT, WIDTH), chunksize=60) as store:
        store.insert_chunk(video, numbers, numbers / 25)
    return tmp_path / "s" / f"000000{video.suffix}", first


def numbers_in(path: Path, count: int) -> dict[int, int]:
    return {k: number_of(img) for k, img in read_each(path, random.Random(1).sample(range(count), count)).items()}


def test_an_inserted_video_has_checksums_too(inserted: tuple[Path, int]) -> None:
    """Of damage within one of several slices FFmpeg says nothing where threads share them."""
    file, first = inserted
    assert np.load(file.with_suffix(".npz"))[FRAME_NAME].shape == (60 - first,)
    whole = {k: first + k for k in range(60 - first)}
    assert numbers_in(file.parent, 60 - first) == whole
    with av.open(str(file)) as container:
        packet = [p for p in container.demux(video=0) if p.size][30]
    good = file.read_bytes()
    for at in (packet.pos + packet.size // 3, packet.pos + packet.size - 8):
        data = bytearray(good)
        data[at : at + 4] = bytes(byte ^ 255 for byte in data[at : at + 4])
        file.write_bytes(data)
        found = numbers_in(file.parent, 60 - first)
        assert found.items() <= whole.items() and 40 < len(found) < 60 - first


@pytest.mark.parametrize(
    "inserted", [name for name in INSERTED if name != "av1.mp4"], indirect=True
)  # PyAV copies no AV1
@pytest.mark.parametrize("lost", long_but({31}, [5, 31]))
def test_of_an_inserted_video_too_a_lost_packet_shifts_nothing(inserted: tuple[Path, int], lost: int) -> None:
    file, first = inserted
    without_packet(file, lost)
    count = 60 - first
    found = numbers_in(file.parent, count)
    assert found.items() <= {k: first + k for k in range(count)}.items() and 20 < len(found) < count

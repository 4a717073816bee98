"""What a chunk's index keeps of where packets are: used where the file is what it was made of, and of no consequence else."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st
from scenes import SHAPE, coded_frame, shown_number, write_store

import imgstore
from imgstore.codec import ChunkReader, ChunkWriter
from imgstore.disk.chunk_index import read_all_arrays, write_chunk_index
from imgstore.disk.kept_arrays import KEPT_PREFIX, is_kept, kept_arrays_of, noted_arrays
from imgstore.errors import ImgStoreError
from imgstore.mapping import copy_store, here, map_store
from imgstore.repair import repair_store
from imgstore.verify import verify_store
from imgstore_codecs.video.reading import stretch
from imgstore_codecs.video.reading.kept_table import _narrow, _wide
from imgstore_codecs.video.reading.packets import NO_TIME

FRAMES = 24
FORMATS = ("h264/mkv", "ffv1/mkv")
FEW = 8  # packets, in place of all
Arrays = dict[str, npt.NDArray[Any]]
Found = dict[int, str]


def record(path: Path, fmt: str = "h264/mkv", **options: Any) -> Path:
    if fmt == "h264/mkv":
        options.setdefault("gop_size", 8)
    return Path(write_store(path, fmt, FRAMES, chunksize=FRAMES, **options))


def video_of(path: Path) -> Path:
    return next(p for p in path.iterdir() if p.suffix in (".mkv", ".mp4", ".avi"))


def kept_of(path: Path, chunk: int = 0) -> Arrays:
    return {name: values for name, values in read_all_arrays(path / f"{chunk:06d}").items() if is_kept(name)}


def rewrite(path: Path, change: Callable[[Arrays], Arrays]) -> None:
    """Write the index of the first chunk again, with other arrays."""
    arrays = change(read_all_arrays(path / "000000"))
    numbers, times = arrays.pop("frame_number"), arrays.pop("frame_time")
    write_chunk_index(path / "000000", numbers, times, arrays)


def without_kept(path: Path, target: Path) -> Path:
    shutil.copytree(path, target)
    rewrite(target, lambda arrays: {name: values for name, values in arrays.items() if not is_kept(name)})
    return target


@contextmanager
def counted() -> Iterator[list[int]]:
    """Count the packets that are read, of all files."""
    packets_from, count = stretch.packets_from, [0]

    def counting(*args: Any) -> Iterator[Any]:
        for packet in packets_from(*args):
            count[0] += 1
            yield packet

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stretch, "packets_from", counting)
        yield count


def packets_for_first_frame(path: Path, **options: Any) -> int:
    with counted() as count, imgstore.new_for_filename(path, **options) as store:
        store.get_image(None, frame_index=0)
        return count[0]


def shown(img: npt.NDArray[Any]) -> str:
    """Short, so that it can be told what differs."""
    return f"frame {xxhash.xxh3_64_hexdigest(img.tobytes())}"


def is_error(each: str) -> bool:
    return not each.startswith("frame")


def read_all(path: Path, order: list[int]) -> Found:
    """Read frames one by one, then all in a batch where none is an error: what each is, or which error."""
    found: Found = {}
    try:
        with imgstore.new_for_filename(path) as store:
            for k in order:
                try:
                    img, (number, _) = store.get_image(None, frame_index=k)
                except ImgStoreError as error:
                    found[k] = type(error).__name__
                else:
                    assert number == 100 + k
                    found[k] = shown(img)
            if not any(is_error(each) for each in found.values()):
                assert [shown(img) for img in store.get_images(frame_indices=order)[0]] == [found[k] for k in order]
    except ImgStoreError as error:
        return dict.fromkeys(order, type(error).__name__)
    return found


# -- where they come from --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fmt", FORMATS)
def test_the_first_frame_needs_few_packets(tmp_path: Path, fmt: str) -> None:
    path = record(tmp_path / "s", fmt)
    assert packets_for_first_frame(path) < FEW
    assert packets_for_first_frame(without_kept(path, tmp_path / "without")) >= FRAMES
    assert verify_store(path) == []
    order = random.Random(fmt).sample(range(FRAMES), FRAMES)
    assert read_all(path, order) == read_all(tmp_path / "without", order)


def test_frames_that_are_shown_in_another_order(tmp_path: Path) -> None:
    path = record(tmp_path / "s", encoder_options={"bf": "2"})
    assert packets_for_first_frame(path) < FEW
    with imgstore.new_for_filename(path) as store:
        assert [shown_number(img) for img, _ in store] == list(range(100, 100 + FRAMES))


@pytest.mark.parametrize("fmt", ["avc1/mp4", "mjpeg/avi"])
def test_of_other_containers_nothing_is_kept(tmp_path: Path, fmt: str) -> None:
    path = record(tmp_path / "s", fmt)
    assert kept_of(path) == {}
    assert packets_for_first_frame(path) < FEW


def test_they_take_few_bytes(tmp_path: Path) -> None:
    path = Path(write_store(tmp_path / "s", "ffv1/mkv", 1000, chunksize=1000))
    kept = kept_of(path)
    assert kept["_codec_file_size"].tolist() == [video_of(path).stat().st_size]
    assert sum(values.nbytes for values in kept.values()) < 20 * 1000


@given(least=st.integers(0, 63), most=st.integers(0, 63), near=st.integers(-2, 2), unknown=st.booleans())
def test_numbers_come_back_out_of_the_type_that_they_fit_into(least: int, most: int, near: int, unknown: bool) -> None:
    held = np.iinfo(np.int64)
    numbers = [max(-(1 << least) + near, held.min), 0, min((1 << most) + near, held.max)] + [NO_TIME] * unknown
    values = np.array(numbers, np.int64)
    np.testing.assert_array_equal(_wide({"pts": _narrow(values)}, "pts"), values)
    assert _narrow(np.array([0, NO_TIME, 127])).dtype == np.int8 and _narrow(np.array([-128])).dtype == np.int16


def test_whatever_makes_a_chunk_keeps_them(tmp_path: Path) -> None:
    path = record(tmp_path / "s")
    copy_store(path, tmp_path / "copied", workers=here())
    copy_store(video_of(path), tmp_path / "taken", workers=here())
    map_store(None, path, tmp_path / "mapped", format="ffv1/mkv", chunksize=FRAMES, workers=here())
    with imgstore.new_for_format("h264/mkv", tmp_path / "inserted", imgshape=SHAPE, chunksize=FRAMES) as store:
        store.insert_chunk(video_of(path), np.arange(FRAMES), np.arange(FRAMES) / 2, move=False)
    for name in ("copied", "taken", "mapped", "inserted"):
        assert packets_for_first_frame(tmp_path / name) < FEW, name


def test_who_compares_nothing_believes_nothing(tmp_path: Path) -> None:
    path = record(tmp_path / "s")
    assert packets_for_first_frame(path, checksums=False) >= FRAMES


# -- damage ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=FORMATS)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, list[str]]:
    """A store, the same with nothing kept, and its frames."""
    place = tmp_path_factory.mktemp("pair")
    path = record(place / "s", request.param)
    with imgstore.new_for_filename(path) as store:
        frames = [shown(img) for img, _ in store]
    return path, without_kept(path, place / "without"), frames


@st.composite
def damages(draw: st.DrawFn) -> Callable[[bytes], bytes]:
    """Damage to some bytes: the same wherever it is done."""
    where, count = draw(st.floats(0, 1, exclude_max=True)), draw(st.integers(1, 400))
    other, mask = draw(st.floats(0, 1, exclude_max=True)), draw(st.integers(1, 255))
    kind = draw(st.sampled_from(["flip", "cut", "append", "remove", "insert", "zero", "move", "shift", "repeat"]))

    def damage(data: bytes) -> bytes:
        at, to = int(where * len(data)), int(other * len(data))
        part, rest = data[at : at + count], data[:at] + data[at + count :]
        return {
            "flip": data[:at] + bytes([data[at] ^ mask]) + data[at + 1 :],
            "cut": data[:at],
            "append": data + part,
            "remove": rest,
            "insert": data[:at] + bytes([mask]) * count + data[at:],
            "zero": data[:at] + bytes(len(part)) + data[at + count :],
            "move": rest[:to] + part + rest[to:],  # the same size, and others' places are others
            "shift": rest + bytes(len(part)),
            "repeat": (data[:to] + part + data[to + len(part) :])[: len(data)],
        }[kind]

    return damage


@given(damage=damages(), seed=st.integers(0, 99))
def test_a_damaged_video_reads_as_if_nothing_were_kept(
    pair: tuple[Path, Path, list[str]], damage: Callable[[bytes], bytes], seed: int
) -> None:
    *stores, good = pair
    order = random.Random(seed).sample(range(FRAMES), FRAMES) if seed % 2 else list(range(FRAMES))
    data = video_of(stores[0]).read_bytes()
    try:
        for path in stores:
            video_of(path).write_bytes(damage(data))
        found, expected = (read_all(path, order) for path in stores)
    finally:
        for path in stores:
            video_of(path).write_bytes(data)
    for k in order:
        assert found[k] == (expected[k] if is_error(found[k]) else good[k])


def test_frames_that_have_moved_in_a_file_of_the_same_size_are_read(pair: tuple[Path, Path, list[str]]) -> None:
    *stores, good = pair
    data = video_of(stores[0]).read_bytes()
    at = data.index(b"\x1f\x43\xb6\x75", len(data) // 3)  # a cluster
    moved = data[:at] + b"\xec\x8e" + bytes(14) + data[at:-16]  # behind a void element (RFC 8794, 11.3.2)
    try:
        for path in stores:
            video_of(path).write_bytes(moved)
        assert packets_for_first_frame(stores[0]) < FEW
        found, expected = (read_all(path, list(range(FRAMES))) for path in stores)
        with imgstore.new_for_filename(stores[0]) as store:
            batch = [shown(img) for img in store.get_images(frame_indices=range(FRAMES))[0]]
    finally:
        for path in stores:
            video_of(path).write_bytes(data)
    assert found == expected == dict(enumerate(good)) and batch == good


@given(damage=damages())
def test_a_damaged_index_shows_no_wrong_frame(
    pair: tuple[Path, Path, list[str]], damage: Callable[[bytes], bytes]
) -> None:
    path, _, good = pair
    index, data = path / "000000.npz", (path / "000000.npz").read_bytes()
    try:
        index.write_bytes(damage(data))
        found = read_all(path, list(range(FRAMES)))
    finally:
        index.write_bytes(data)
    assert all(each == good[k] for k, each in found.items() if not is_error(each))


@given(where=st.floats(0, 1, exclude_max=True), mask=st.integers(1, 255))
def test_where_they_are_damaged_all_is_as_if_they_were_not(
    pair: tuple[Path, Path, list[str]], where: float, mask: int
) -> None:
    path, _, good = pair
    index, data = path / "000000.npz", (path / "000000.npz").read_bytes()
    first, last = data.index(b"_codec_file_size.npy"), data.index(b"_codec_checksum.npy")
    at = first + int(where * (data.index(b"PK\3\4", last) - first))
    try:
        index.write_bytes(data[:at] + bytes([data[at] ^ mask]) + data[at + 1 :])
        found = read_all(path, list(range(FRAMES)))
    finally:
        index.write_bytes(data)
    assert [found[k] for k in range(FRAMES)] == good


def _of_other_length(arrays: Arrays) -> Arrays:
    return {name: values[:-1] if is_kept(name) and len(values) == FRAMES else values for name, values in arrays.items()}


def _of_another_type(arrays: Arrays) -> Arrays:
    return {name: values.astype(np.complex64) if is_kept(name) else values for name, values in arrays.items()}


def _of_more_dimensions(arrays: Arrays) -> Arrays:
    return {name: values[None] if is_kept(name) else values for name, values in arrays.items()}


def _in_another_order(arrays: Arrays) -> Arrays:
    return {**arrays, "_codec_order": arrays["_codec_order"][::-1].copy()}


def _all_key_frames(arrays: Arrays) -> Arrays:
    return {**arrays, "_codec_packet": np.full_like(arrays["_codec_packet"], arrays["_codec_packet"][0])}


def _some_missing(arrays: Arrays) -> Arrays:
    return {name: values for name, values in arrays.items() if name != "_codec_pos"}


WRONG = [_of_other_length, _of_another_type, _of_more_dimensions, _in_another_order, _all_key_frames, _some_missing]


@pytest.mark.parametrize("change", WRONG)
def test_arrays_that_are_not_what_was_written(tmp_path: Path, change: Callable[[Arrays], Arrays]) -> None:
    path = record(tmp_path / "s")
    good = read_all(path, list(range(FRAMES)))
    rewrite(path, change)
    assert packets_for_first_frame(path) >= FRAMES
    assert read_all(path, list(range(FRAMES))[::-1]) == good


@pytest.mark.parametrize("change", [*WRONG[:-2], _some_missing])
def test_arrays_that_a_codec_cannot_use(tmp_path: Path, change: Callable[[Arrays], Arrays]) -> None:
    """Another version may have written them, and checksums with them."""
    path = record(tmp_path / "s")
    good, size = read_all(path, list(range(FRAMES))), video_of(path).stat().st_size

    def changed(arrays: Arrays) -> Arrays:
        kept = {KEPT_PREFIX + name: values for name, values in kept_arrays_of(arrays, size).items()}
        named = {name.removeprefix(KEPT_PREFIX): values for name, values in change(kept).items()}
        return {**{k: v for k, v in arrays.items() if not is_kept(k)}, **noted_arrays(named, size)}

    rewrite(path, changed)
    assert kept_arrays_of(read_all_arrays(path / "000000"), size)
    assert read_all(path, list(range(FRAMES))[::-1]) == good


# -- mending ---------------------------------------------------------------------------------------------------------


def test_repair_drops_those_of_a_file_that_it_replaces(tmp_path: Path) -> None:
    path = record(tmp_path / "s")
    video = video_of(path)
    video.write_bytes(video.read_bytes()[: video.stat().st_size * 2 // 3])
    assert {action.kind for action in repair_store(path)} >= {"video", "index"}
    assert kept_of(path) == {}
    with imgstore.new_for_filename(path) as store:
        assert FRAMES // 4 < store.frame_count < FRAMES
        assert [shown_number(img) for img, _ in store] == [100 + k for k in range(store.frame_count)]


def test_repair_keeps_those_of_a_file_that_it_does_not(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with imgstore.new_for_format("h264/mkv", path, imgshape=SHAPE, chunksize=FRAMES) as store:
        for k in range(FRAMES):
            store.add_image(coded_frame(100 + k), 100 + k, k / 2)
        store.add_extra_data(temperature=20)
    kept = kept_of(path)
    records = path / "000000.extra.json"
    records.write_bytes(records.read_bytes()[:-1])
    assert [action.kind for action in repair_store(path)].count("index") == 1
    after = kept_of(path)
    assert kept and {k: v.tolist() for k, v in after.items()} == {k: v.tolist() for k, v in kept.items()}
    assert packets_for_first_frame(path) < FEW


def test_frames_that_are_accepted_get_their_own(tmp_path: Path) -> None:
    path, other = record(tmp_path / "s"), record(tmp_path / "other", encoder_options={"crf": "35"})
    before = kept_of(path)
    shutil.copyfile(video_of(other), video_of(path))
    assert "accepted" in {action.kind for action in repair_store(path, accept_frames=True)}
    assert before["_codec_pos"].tolist() != kept_of(path)["_codec_pos"].tolist() == kept_of(other)["_codec_pos"].tolist()
    assert packets_for_first_frame(path) < FEW
    assert read_all(path, list(range(FRAMES))) == read_all(other, list(range(FRAMES)))


def test_renumbering_keeps_them(tmp_path: Path) -> None:
    path = record(tmp_path / "s", first=-3)
    with imgstore.new_for_filename(path) as store:
        store.reindex()
    assert packets_for_first_frame(path) < FEW


# -- the contract ----------------------------------------------------------------------------------------------------


def test_codecs_keep_nothing_unless_they_say_so() -> None:
    """Those that were written before it could be said go on."""

    class Writer(ChunkWriter):
        def add(self, img: npt.NDArray[Any]) -> None: ...
        def close(self) -> None: ...
        def abandon(self) -> None: ...

    class Reader(ChunkReader):
        frame_count = 0

        def read(self, position: int) -> npt.NDArray[Any]:
            raise IndexError

        def close(self) -> None: ...

    assert Writer().kept_arrays() == Reader().kept_arrays() == {}

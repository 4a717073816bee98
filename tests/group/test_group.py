"""Stores in step: frame-coded pictures in four formats, against looking at every frame; what is missing; what is damaged."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from video_samples import number_of, picture

import imgstore
from imgstore import StoreGroup
from imgstore.errors import ArgumentError, ChunkError, FrameIndexError, ImgStoreWarning, NotAStoreError
from imgstore.group import Clock, Steps
from imgstore.group.camera import Going

START = 1.7e9


def record(
    path: Path,
    shots: list[int],
    fmt: str = "npy",
    rate: float = 25.0,
    late: float = 0.0,
    drift: float = 0.0,
    wrap: int = 2**62,
    size: tuple[int, int] = (128, 192),
    color: bool = False,
) -> str:
    """Write a camera's shots: each frame shows its shot, its number is that too until the counter starts again."""
    shape = (*size, 3) if color else size
    with imgstore.new_for_format(fmt, path, imgshape=shape, chunksize=7, fps=rate) as store:
        for shot in shots:
            store.add_image(picture(shot, color, *size), shot % wrap, START + shot / rate * (1 + drift) + late)
    return str(path)


def dropping(count: int, *dropped: int) -> list[int]:
    return [shot for shot in range(count) if shot not in dropped]


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Five cameras: formats, shapes, rates, lengths and lost frames of their own; one has a clock that is ahead, and drifts."""
    folder = tmp_path_factory.mktemp("cameras")
    return [
        record(folder / "master", dropping(40, 11, 12)),
        record(folder / "png", dropping(44, 3, 20, 21, 22), "png", size=(160, 256), color=True),
        record(folder / "h264", dropping(38, 0, 1, 30), "avc1/mp4", late=0.004),
        record(folder / "fast", dropping(160, 8, 9, 10, 11, 90), "mjpeg/avi", rate=100.0, late=-0.001),
        record(folder / "slow", dropping(14, 5), "h264/mkv", rate=8.0, color=True),
    ]


def shown(images: tuple[Any, ...]) -> list[int | None]:
    return [None if image is None else number_of(image) for image in images]


def expected(paths: list[str], tolerances: list[float], same_number: bool = False) -> list[list[int | None]]:
    """Look at every frame: the shots that each step must show."""
    data = []
    for path in paths:
        with imgstore.new_for_filename(path) as store:
            data.append((store.frame_times.tolist(), store.frame_numbers.tolist()))
    steps = []
    for moment, number in zip(*data[0], strict=True):
        row: list[int | None] = []
        for (times, numbers), tolerance in zip(data, tolerances, strict=True):
            near = [
                (abs(t - moment), k)
                for k, t in enumerate(times)
                if abs(t - moment) <= tolerance and not (same_number and numbers[k] != number)
            ]
            row.append(numbers[min(near)[1]] if near else None)
        steps.append(row)
    return steps


def test_every_step_shows_what_was_filmed_then(paths: list[str]) -> None:
    want = expected(paths, [0.03, 0.03, 0.03, 0.0075, 0.09375])
    with StoreGroup(paths, align="time") as group:
        got = [shown(step.images) for step in group]
        assert got == want
        assert len(group) == 38
        assert group.names == ("master", "png", "h264", "fast", "slow")
        assert group.fps == 25
        assert all(any(row[c] is None for row in want) for c in (1, 2, 3, 4))
        assert len({row[4] for row in want}) < 15  # the slow one has a frame for several steps
        for step in group.iter_images(5, 12):
            moment = step.time
            assert moment == group.stores[0].frame_times[step.index]
            for image, number, time in zip(step.images, step.frame_numbers, step.frame_times, strict=True):
                assert (image is None) == (number is None) == (time != time)
            assert step.present == tuple(image is not None for image in step.images)


def test_by_number_every_step_shows_its_number(paths: list[str]) -> None:
    three = paths[:3]
    want = expected(three, [9e9] * 3, same_number=True)
    with StoreGroup(three) as group:
        assert [shown(step.images) for step in group] == want
        assert any(None in row for row in want)
    with StoreGroup(three, missing="drop") as group:
        assert [shown(step.images) for step in group] == [row for row in want if None not in row]
        assert (group.table.positions >= 0).all()
    with pytest.raises(ArgumentError, match="no frame of 'h264' belongs to any of 'master'.*numbers 2 to 37"):
        StoreGroup(three, tolerance=0.001)


@pytest.mark.parametrize("missing", ["mask", "drop", "hold"])
def test_steps_in_any_order_are_those_of_going_through(paths: list[str], missing: Any) -> None:
    with StoreGroup(paths, align="time", missing=missing) as group:
        steps = list(group)
        assert len(steps) == len(group)
        order = [*range(len(group) - 1, -1, -3), 0, 1, 1, -1]
        some = group.get_images(order)
        assert isinstance(some, Steps)
        assert len(some) == len(order)
        backwards = list(group.iter_images(None, None, -1))[::-1]
        for k, index in enumerate(order):
            step, one = steps[index], group[index]
            assert step.index == one.index == some.indices[k] == index % len(group)
            assert step.time == one.time == some.times[k]
            assert step.frame_numbers == one.frame_numbers
            np.testing.assert_array_equal(step.frame_times, one.frame_times)
            np.testing.assert_array_equal(step.frame_times, some.frame_times[k])
            assert step.present == one.present == tuple(some.present[k].tolist())
            for c, image in enumerate(step.images):
                others = one.images[c], backwards[index].images[c]
                if image is None:
                    assert others == (None, None)
                    assert not some.images[c][k].any()
                else:
                    assert all(np.array_equal(image, other) for other in (*others, some.images[c][k]))
        np.testing.assert_array_equal(group[2:9].images[1], group.get_images(range(2, 9)).images[1])
        mask = np.arange(len(group)) % 5 == 0
        assert group[mask].indices.tolist() == group[[i for i in range(len(group)) if i % 5 == 0]].indices.tolist()


def test_what_stands_for_a_missing_frame(tmp_path: Path) -> None:
    left = record(tmp_path / "left", [0, 1, 2, 3, 4, 5])
    right = record(tmp_path / "right", [1, 2, 5])
    rows = {}
    for missing in ("mask", "drop", "hold", "black"):
        with StoreGroup([left, right], missing=missing) as group:  # type: ignore[arg-type]
            rows[missing] = [(step.frame_numbers[1], shown(step.images)[1]) for step in group]
    assert rows["mask"] == [(None, None), (1, 1), (2, 2), (None, None), (None, None), (5, 5)]
    assert rows["drop"] == [(1, 1), (2, 2), (5, 5)]
    assert rows["hold"] == [(None, 0), (1, 1), (2, 2), (None, 2), (None, 2), (5, 5)]
    assert rows["black"] == [(None, 0), (1, 1), (2, 2), (None, 0), (None, 0), (5, 5)]
    with StoreGroup([left, right], missing="hold") as group:
        assert [number_of(group[i].images[1]) for i in (4, 3, 0)] == [2, 2, 0]
        assert [number_of(image) for image in group[[4, 3, 0]].images[1]] == [2, 2, 0]
        assert [step.frame_numbers[1] for step in group.iter_images(3)] == [None, None, 5]
        assert number_of(next(group.iter_images(3)).images[1]) == 2  # also where nobody has read it before


def test_numbers_that_wrap_and_repeat(tmp_path: Path) -> None:
    """A number that comes again is that of the round in which the step is, or none."""
    master = record(tmp_path / "master", dropping(60, 20), wrap=16)
    other = record(tmp_path / "other", dropping(60, *range(30, 47)), wrap=16, late=0.1, drift=0.01)
    with StoreGroup([master, other]) as group:
        for step in group:
            here, there = shown(step.images)
            assert there == (None if here in range(30, 47) else here)
    again = record(tmp_path / "again", [0, 1, 1, 2, 3])
    with StoreGroup([master, again], tolerance=0.1) as group:
        assert group.table.positions[:5].tolist() == [[0, 0], [1, 1], [2, 3], [3, 4], [4, -1]]
    with pytest.raises(ArgumentError, match="start again"):
        StoreGroup([master, other], reference=None)


def test_all_numbers_without_a_reference(tmp_path: Path) -> None:
    left, right = record(tmp_path / "left", [0, 1, 3]), record(tmp_path / "right", [1, 2, 3, 4], late=0.01)
    with StoreGroup([left, right], reference=None) as group:
        assert [step.frame_numbers for step in group] == [(0, None), (1, 1), (None, 2), (3, 3), (None, 4)]
        np.testing.assert_allclose(group.table.times - START, [0, 0.04, 0.09, 0.12, 0.17], atol=1e-6)
        assert group[2].time == group.table.times[2]


def test_table_has_positions_and_errors(paths: list[str]) -> None:
    with StoreGroup([paths[0], paths[2]], align="time", tolerance=0.01) as group:
        table = group.table
        assert len(table) == 38
        assert table.positions.shape == table.errors.shape == (38, 2)
        there = table.positions >= 0
        assert there[:, 0].all()
        np.testing.assert_array_equal(np.isnan(table.errors), ~there)
        assert (table.errors[:, 0] == 0).all()
        np.testing.assert_allclose(table.errors[there[:, 1], 1], 0.004, atol=1e-6)
        with pytest.raises(ValueError, match="read-only"):
            table.positions[0, 0] = 1


@pytest.mark.parametrize("direction", ["nearest", "backward", "forward"])
def test_no_frame_stands_for_one_that_is_missing(tmp_path: Path, direction: Any) -> None:
    """What is not there for a while is not there, without a tolerance too."""
    master = record(tmp_path / "master", dropping(50))
    other = record(tmp_path / "other", dropping(50, *range(10, 20)), late=0.0001 if direction == "forward" else -0.0001)
    with StoreGroup([master, other], align="time", direction=direction) as group:
        lost = np.flatnonzero(group.table.positions[:, 1] < 0).tolist()
        # one that is 1.5 intervals old at most may be the last before a gap
        assert lost == list({"nearest": range(10, 20), "backward": range(11, 20), "forward": range(10, 19)}[direction])
        assert (np.nan_to_num(group.table.errors) <= 0).all() or direction != "backward"
        assert (np.nan_to_num(group.table.errors) >= 0).all() or direction != "forward"


def test_clocks_with_offset_and_drift(tmp_path: Path) -> None:
    master = record(tmp_path / "master", dropping(100))
    other = record(tmp_path / "other", dropping(100, 50, 51), late=3.2, drift=0.002)
    with StoreGroup([master, other]) as group:
        clocks = group.estimate_offsets()
    assert clocks[0] == Clock()
    assert clocks[1].drift == pytest.approx(0.002, rel=0.01)
    with StoreGroup([master, other], align="time", offsets=clocks) as group:
        assert [shown(step.images)[1] for step in group] == [None if n in (50, 51) else n for n in range(100)]
        assert np.nanmax(np.abs(group.table.errors)) < 1e-5
        again = group.estimate_offsets()
        assert again[1] == pytest.approx(clocks[1])
    with StoreGroup([master, other], align="time", offsets=[0, 3.3], tolerance=0.101) as group:
        assert group.table.positions[0, 1] == 2
    with pytest.raises(ArgumentError, match="no frame of 'other' belongs to any of 'master'.*offsets="):
        StoreGroup([master, other], align="time", offsets=[0, 3600])


def damage(path: str, chunk: str) -> None:
    file = Path(path, chunk)
    data = bytearray(file.read_bytes())
    data[300:] = bytes(len(data) - 300)
    file.write_bytes(data)


@pytest.fixture
def damaged(tmp_path: Path) -> list[str]:
    """Two cameras, of the second of which frames 3 and 8 are damaged."""
    left = record(tmp_path / "left", dropping(12), size=(112, 144))
    right = record(tmp_path / "right", dropping(12), size=(112, 144))
    damage(right, "000000/000003.npy")
    damage(right, "000001/000001.npy")
    return [left, right]


def test_damaged_frames_are_masked_and_named(damaged: list[str]) -> None:
    want = [None if n in (3, 8) else n for n in range(12)]
    with StoreGroup(damaged) as group:
        with pytest.warns(ImgStoreWarning, match="right: frame [38] cannot be read.*checksum") as warned:
            assert [step.frame_numbers[1] for step in group] == want
        assert len(warned) == 2
        with pytest.warns(ImgStoreWarning, match="right: frame 3"):
            some = group[1:6]
        assert some.present[:, 1].tolist() == [True, True, False, True, True]
        assert [number_of(image) for image in some.images[1]] == [1, 2, 0, 4, 5]
        with pytest.warns(ImgStoreWarning, match="right: frame 8"):
            assert group[8].images[1] is None


@pytest.mark.filterwarnings("error")
def test_damaged_frames_with_other_wishes(damaged: list[str]) -> None:
    with StoreGroup(damaged, on_error="skip", missing="hold") as group:
        want = [2 if n == 3 else 7 if n == 8 else n for n in range(12)]
        assert [number_of(step.images[1]) for step in group] == want
        assert [number_of(image) for image in group[:].images[1]] == want
        assert [number_of(group[n].images[1]) for n in range(12)] == want
    with StoreGroup(damaged, on_error="skip", missing="drop") as group:
        want = [n for n in range(12) if n not in (3, 8)]
        assert [step.index for step in group] == group[:].indices.tolist() == want
        with pytest.raises(ChunkError, match="step 3"):
            group[3]
    with StoreGroup(damaged, on_error="raise") as group:
        for ask in (lambda: list(group), lambda: group[3], lambda: group[2:5]):
            with pytest.raises(ChunkError, match="right"):
                ask()


def test_bad_arguments(paths: list[str], tmp_path: Path) -> None:
    for stores, keywords, message in [
        ([], {}, "no stores"),
        (paths[0], {}, "sequence of stores"),
        (paths[:2], {"align": "index"}, "align must be one of 'number', 'time'"),
        (paths[:2], {"direction": "up"}, "direction"),
        (paths[:2], {"missing": "zoh"}, "missing"),
        (paths[:2], {"on_error": "ignore"}, "on_error"),
        (paths[:2], {"tolerance": -1}, "tolerance"),
        (paths[:2], {"reference": 2}, "one of the 2 stores"),
        (paths[:2], {"reference": None, "align": "time"}, "number alone"),
        (paths[:2], {"offsets": [1]}, "offsets: 1 for 2 stores"),
        (paths[:2], {"names": ["a"]}, "names: 1 for 2 stores"),
        (paths[:2], {"offsets": ["a", "b"]}, "an offset is"),
    ]:
        with pytest.raises(ArgumentError, match=message):
            StoreGroup(stores, **keywords)
    with pytest.raises(NotAStoreError, match="nowhere"):
        StoreGroup([paths[0], tmp_path / "nowhere"])
    with StoreGroup(paths[:2]) as group:
        for key in (38, -39, [0, 38], np.zeros(3, bool)):
            with pytest.raises(FrameIndexError):
                group[key]
        for key in (1.5, ["a"]):
            with pytest.raises(ArgumentError, match="whole numbers"):
                group[key]


def test_stores_without_frames(tmp_path: Path) -> None:
    left, nothing = record(tmp_path / "left", [0, 1]), record(tmp_path / "nothing", [])
    for keywords in ({}, {"align": "time"}, {"reference": None}):
        with StoreGroup([left, nothing], **keywords) as group:  # type: ignore[arg-type]
            assert [step.frame_numbers for step in group] == [(0, None), (1, None)]
            assert group[:].images[1].shape == (2, 128, 192)
    with StoreGroup([nothing, left]) as group:
        assert len(group) == len(list(group)) == len(group[:]) == 0
        assert bool(group)


def test_stores_that_are_open_stay_open(paths: list[str]) -> None:
    with imgstore.new_for_filename(paths[0]) as store:
        group = StoreGroup([store, paths[1]], align="time")
        mine = group.stores[1]
        group.close()
        assert store.get_next_image()[1][0] == 0
        with pytest.raises(imgstore.errors.StoreClosedError):
            mine.get_next_image()


def test_videos_that_are_in_no_store(tmp_path: Path) -> None:
    left = record(tmp_path / "left", dropping(6), "avc1/mp4")
    right = record(tmp_path / "right", [1, 2, 5])
    with StoreGroup([str(Path(left, "000000.mp4")), right]) as group:
        assert [shown(step.images) for step in group] == [[0, None], [1, 1], [2, 2], [3, None], [4, None], [5, 5]]
        assert group.names == ("000000.mp4", "right")


def test_batches_do_not_move_the_stores(paths: list[str]) -> None:
    with StoreGroup(paths[:2], align="time") as group:
        group.stores[0].get_next_image()
        group[5], group[2:8]
        assert group.stores[0].get_next_image()[1][0] == 1


def test_pickled_group_is_the_same(paths: list[str]) -> None:
    with StoreGroup(paths, align="time", missing="black", tolerance=0.02) as group:
        other = pickle.loads(pickle.dumps(group))
        with other:
            np.testing.assert_array_equal(other.table.positions, group.table.positions)
            assert shown(other[7].images) == shown(group[7].images)
            assert other.names == group.names
            assert repr(other) == repr(group) == "<StoreGroup of master, png, h264, fast, slow: 38 steps>"


class Counting:
    """Counts the frames that are asked of a store."""

    def __init__(self, count: int) -> None:
        self.asked: list[int] = []
        self.count = count

    def get_image(self, frame_number: None, exact_only: bool = True, frame_index: int = 0) -> Any:
        self.asked.append(frame_index)
        return np.array([frame_index]), (frame_index, float(frame_index))


def test_reading_goes_on_over_a_few_frames_and_jumps_over_many() -> None:
    """So a store goes on decoding ahead; and a frame that serves several steps is read once."""
    store = Counting(1000)
    going = Going(store)
    images = [going.read(position)[0] for position in (500, 501, 501, 501, 504, 700, 701, 300)]
    assert store.asked == [500, 501, 502, 503, 504, 700, 701, 300]
    assert images[1] is images[2] is images[3]


@pytest.fixture(autouse=True)
def no_other_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        yield

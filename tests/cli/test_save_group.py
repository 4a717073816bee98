"""``imgstore save --group``: what is saved is what the group shows, step by step, with all that the other ways to save have."""

from __future__ import annotations

import itertools
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from commands import typed
from mapped import contents
from rounds import long_but

import imgstore
from imgstore.cli import _group
from imgstore.errors import ArgumentError, UnfinishedStoreError
from imgstore.mapping import here, in_step, map_in_step, map_store, side_by_side
from imgstore.mapping.work_directory import WorkDirectory
from imgstore.verify import check_store

Told = list[tuple[int, float, npt.NDArray[Any]]]
MISSING = ("mask", "drop", "hold", "black")
EPOCH = 1.7e9


def write_camera(path: Path, numbers: Any, times: Any, shape: tuple[int, ...], **keywords: Any) -> Path:
    """Write frames that show their positions, with a record beside every third, and one from before all."""
    with imgstore.new_for_format("png", path, imgshape=shape, chunksize=5, metadata={"who": path.name}, **keywords) as store:
        store.add_extra_data(begun=path.name)
        for k, (number, time) in enumerate(zip(numbers, times, strict=True)):
            store.add_image(np.full(shape, 1 + k, np.uint8), number, EPOCH + time)
            if k % 3 == 0:
                store.add_extra_data(beside=k)
    return path


@pytest.fixture
def cameras(tmp_path: Path) -> list[Path]:
    """Left is the reference; right lacks its first, some in the middle and its last frames, and is smaller and in colour; up
    has begun before and has a third of the rate, so that each of its frames is of three steps when they are matched by time.
    """
    numbers = np.array([n for n in range(40) if n % 11 != 7])
    right = np.array([n for n in range(2, 34) if n % 5 != 3 and not 12 <= n < 18])
    up = np.arange(-6, 60, 3)
    folder = tmp_path / "rec"
    return [
        write_camera(folder / "left", numbers, numbers / 30, (16, 24), fps=30),
        write_camera(folder / "right", right, right / 30 + 0.003, (12, 16, 3)),
        write_camera(folder / "up", up + 100, up / 30 + 0.005, (8, 8)),
    ]


def shown(path: Path) -> Told:
    with imgstore.open(path) as store:
        images, (numbers, times) = store.get_images(frame_indices=range(store.frame_count))
        return list(zip(numbers.tolist(), times.tolist(), images, strict=True))


def expected(paths: list[Path], joined: bool, **how: Any) -> list[Told]:
    """What the group shows, step by step."""
    found: list[Told] = [[] for _ in ([0] if joined else paths)]
    with imgstore.StoreGroup(paths, on_error="skip", **how) as group:
        blank = [images[0] * 0 for images in group.get_images([0]).images]
        for step in group:
            if joined:
                images = [b if img is None else img for img, b in zip(step.images, blank, strict=True)]
                found[0].append((step.index, step.time, beside_each_other(images)))
                continue
            for c, (img, time) in enumerate(zip(step.images, step.frame_times, strict=True)):
                if img is not None:
                    found[c].append((step.index, time if math.isfinite(time) else step.time, img))
    return found


def beside_each_other(images: list[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    height, width = max(img.shape[0] for img in images), sum(img.shape[1] for img in images)
    color = any(img.ndim == 3 for img in images)
    picture, left = np.zeros((height, width, 3) if color else (height, width), np.uint8), 0
    for img in images:
        picture[: img.shape[0], left : left + img.shape[1]] = img[..., np.newaxis] if color and img.ndim == 2 else img
        left += img.shape[1]
    return picture


def assert_same(found: Told, wanted: Told) -> None:
    assert [(number, time) for number, time, _ in found] == [(number, time) for number, time, _ in wanted]
    for (number, _, a), (_, _, b) in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(a, b, f"frame number {number}")


@pytest.mark.parametrize("missing", long_but({"hold"}, MISSING))
@pytest.mark.parametrize("joined", [False, True])
@pytest.mark.parametrize("align", long_but({"number"}, ["number", "time"]))
def test_what_is_saved_is_what_the_group_shows(
    cameras: list[Path], tmp_path: Path, align: Any, joined: bool, missing: Any
) -> None:
    sources = cameras[:2] if align == "number" else cameras
    wanted = expected(sources, joined, align=align, missing=missing)
    words = ["--format", "npy", "--chunksize", 4, "--align", align, "--missing", missing, *["--side-by-side"] * joined]
    done = typed("save", "--group", *sources, tmp_path / "out", *words)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    steps = len(wanted[0]) if joined or missing != "mask" else len(shown(sources[0]))
    assert done.stdout.startswith(f"saved {steps} steps of {', '.join(path.name for path in sources)} ")
    made = [tmp_path / "out"] if joined else [tmp_path / "out" / path.name for path in sources]
    for path, frames in zip(made, wanted, strict=True):
        assert_same(shown(path), frames)
        assert check_store(path).faults == []
    with imgstore.open(made[0]) as store, imgstore.open(sources[0]) as first:
        assert store.fps == first.fps == 30
        assert store.origin[0] == first.uuid


@pytest.mark.parametrize("missing", long_but({"hold"}, MISSING))
@pytest.mark.parametrize("joined", [False, True])
def test_a_part_is_that_part_of_the_whole(cameras: list[Path], tmp_path: Path, joined: bool, missing: Any) -> None:
    words = ["--format", "npy", "--align", "time", "--missing", missing, *["--side-by-side"] * joined]
    assert typed("save", "--group", *cameras, tmp_path / "all", *words).returncode == 0
    part = ["--start", "5", "--end", "n33", "--step", "3"]
    done = typed("save", "--group", *cameras, tmp_path / "part", *words, *part)
    assert done.returncode == 0, done.stderr
    with imgstore.open(cameras[0]) as store, imgstore.StoreGroup(cameras, align="time", missing=missing) as group:
        chosen = set(range(5, int(np.searchsorted(store.frame_numbers, 33)), 3))
        steps = {k for k, position in enumerate(group.table.positions[:, 0].tolist()) if position in chosen}
    for name in [""] if joined else ["left", "right", "up"]:
        whole = [frame for frame in shown(tmp_path / "all" / name) if frame[0] in steps]
        assert whole
        assert_same(shown(tmp_path / "part" / name), whole)
    nothing = typed("save", "--group", *cameras, tmp_path / "none", "--align", "time", "--start", "1:30")
    assert nothing.returncode == 2 and "there is no frame from 1:30" in nothing.stderr
    assert not (tmp_path / "none").exists()


def records(path: Path) -> list[tuple[Any, Any]]:
    """Records without what is said of their frames, and the numbers of these."""
    with imgstore.open(path) as store:
        return [
            (record.pop("frame_number"), {k: v for k, v in record.items() if k not in ("frame_index", "frame_time")})
            for record in store.get_extra_records()
        ]


def test_extra_data_stays_beside_its_frames(cameras: list[Path], tmp_path: Path) -> None:
    for missing in ("mask", "hold"):
        dest = tmp_path / missing
        words = ["--format", "npy", "--chunksize", 4, "--align", "time", "--missing", missing]
        assert typed("save", "--group", *cameras, dest, *words).returncode == 0
        with imgstore.StoreGroup(cameras, align="time") as group:
            for c, path in enumerate(cameras):
                column, there = group.table.positions[:, c].tolist(), dest / path.name
                wanted: list[tuple[float, Any]] = []
                for _, record in records(path):
                    position = record.get("beside", -1)
                    kept = [k for k in range(position, -1, -1) if k in column]  # the frame's own, or the one before
                    wanted.append((column.index(kept[0]) if kept else math.nan, record))
                if column and min(p for p in column if p >= 0):  # of those before all that are in no step the last one is kept
                    before = [each for each in wanted if math.isnan(each[0])]
                    wanted = [*before[-1:], *wanted[len(before) :]]
                assert repr(records(there)) == repr(wanted), path.name
    assert typed("save", "--group", *cameras[:2], tmp_path / "joined", "--side-by-side", "--format", "npy").returncode == 0
    told = [record for _, record in records(tmp_path / "joined")]
    for path in cameras[:2]:
        mine = [{k: v for k, v in record.items() if k != "camera"} for record in told if record["camera"] == path.name]
        assert mine == [record for _, record in records(path)]


@pytest.mark.parametrize("joined", [False, True])
@pytest.mark.parametrize("missing", long_but({"hold"}, MISSING))
def test_damaged_frames(cameras: list[Path], tmp_path: Path, joined: bool, missing: Any) -> None:
    """Two of right and one of left: what stands for them is what the group gives, and steps that are dropped are so in both."""
    for path in (cameras[1] / "000000" / "000003.png", cameras[1] / "000001" / "000001.png"):
        path.write_bytes(b"no image")
    shutil.copy(cameras[0] / "000004" / "000001.png", cameras[0] / "000004" / "000002.png")
    wanted = expected(cameras[:2], joined, missing=missing)
    words = ["--format", "npy", "--chunksize", 4, "--missing", missing, *["--side-by-side"] * joined]
    done = typed("save", "--group", *cameras[:2], tmp_path / "out", *words)
    assert done.returncode == 3, done
    what = "step" if missing == "drop" else "frame"
    assert f", 3 {what}s left out\n" in done.stdout, done.stdout
    assert "000003.png" in done.stderr and "checksum" in done.stderr
    for path, frames in zip([""] if joined else ["left", "right"], wanted, strict=True):
        if missing in ("hold", "black") and not joined:  # what stands for a damaged frame has that frame's own time
            frames = [(n, frame[1], img) for (n, _, img), frame in zip(frames, shown(tmp_path / "out" / path), strict=True)]
        assert_same(shown(tmp_path / "out" / path), frames)


def test_what_becomes_of_frames(cameras: list[Path], tmp_path: Path) -> None:
    """They are cut, scaled, made gray or coloured; metadata are added; and a function may write into what it is given."""
    words = ["--format", "npy", "--missing", "hold", "--align", "time"]
    (tmp_path / "mine.py").write_text("def f(img, number, time):\n    img[:2] += number\n    return img\n")
    more = ["--with", f"{tmp_path}/mine.py:f", "--gray", "--crop", "2,0,6,4", "--metadata", "age=7", "--fps", "12"]
    done = typed("save", "--group", *cameras, tmp_path / "out", *words, *more)
    assert done.returncode == 0, done.stderr
    for path, frames in zip(cameras, expected(cameras, False, missing="hold", align="time"), strict=True):
        wanted: Told = []
        for number, time, img in frames:
            gray = imgstore.ensure_grayscale(img).copy()
            gray[:2] += np.uint8(number)
            wanted.append((number, time, gray[:4, 2:8]))
        assert_same(shown(tmp_path / "out" / path.name), wanted)
        with imgstore.open(tmp_path / "out" / path.name) as store:
            assert store.user_metadata == {"who": path.name, "age": 7} and store.fps == 12
    joined = ["--side-by-side", "--color", "--scale", "20x10"]
    assert typed("save", "--group", *cameras[:1], cameras[2], tmp_path / "joined", *words, *joined).returncode == 0
    with imgstore.open(tmp_path / "joined") as store:
        assert store.image_shape == (10, 20, 3)
    outside = typed("save", "--group", *cameras, tmp_path / "no", *words, "--crop", "0,0,20,10")
    assert outside.returncode == 2 and "right: " in outside.stderr and not (tmp_path / "no").exists()


@pytest.mark.parametrize("joined", [False, True])
def test_two_jobs_make_what_one_makes(cameras: list[Path], tmp_path: Path, joined: bool) -> None:
    words = ["--group", *cameras, "--align", "time", "--missing", "hold", "--format", "mjpeg/avi", "--chunksize", 9]
    words += ["--side-by-side"] * joined
    assert typed("save", *words, tmp_path / "one").returncode == 0
    assert typed("save", *words, tmp_path / "two", "--jobs", 2).returncode == 0
    for name in [""] if joined else ["left", "right", "up"]:
        assert contents(tmp_path / "one" / name) == contents(tmp_path / "two" / name)


@pytest.mark.parametrize("joined", [False, True])
def test_what_is_there_stays_until_all_is_whole(cameras: list[Path], tmp_path: Path, joined: bool) -> None:
    """Also the store of a camera whose chunks are all made, while those of another are not."""
    old = [tmp_path / "out" / name for name in ([""] if joined else ["left", "right"])]
    for path in old:
        write_camera(path, range(3), range(3), (4, 4))
    before = [contents(path) for path in old]
    fails = "number > 20" if joined else "number > 20 and img.shape[0] == 12"  # at frames of right
    (tmp_path / "mine.py").write_text(f"def f(img, number, time):\n    assert not ({fails})\n    return img\n")
    words = ["--group", *cameras[:2], tmp_path / "out", "--format", "npy", "--chunksize", 4, *["--side-by-side"] * joined]
    refused = typed("save", *words)
    assert refused.returncode == 1 and "give --overwrite to replace it" in refused.stderr
    function = ["--with", f"{tmp_path}/mine.py:f"]
    failed = typed("save", *words, *function, "--overwrite")
    assert failed.returncode == 1 and "AssertionError" in failed.stderr and "the same command goes on" in failed.stderr
    assert [contents(path) for path in old] == before
    (tmp_path / "mine.py").write_text("def f(img, number, time):\n    return img\n")
    done = typed("save", *words, *function, "--overwrite", "--resume")
    assert done.returncode == 0, done.stderr
    for path, frames in zip(old, expected(cameras[:2], joined), strict=True):
        assert_same(shown(path), frames)
        assert not (path / ".unfinished").exists()
    again = typed("save", *words, "--resume")
    assert again.returncode == 0 and "is whole already" in again.stdout


@pytest.mark.parametrize("call", [1, 2, 3])
def test_interrupted_while_stores_take_their_places(
    cameras: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    """Whichever have got theirs: the same call makes the same, and takes none for the old one, or the old one for new."""
    remove, calls = WorkDirectory.remove, itertools.count(1)

    def interrupted(self: WorkDirectory) -> None:
        if self.begun and next(calls) == call:
            raise KeyboardInterrupt
        remove(self)

    dests = [tmp_path / path.name for path in cameras]
    for dest in dests:
        write_camera(dest, range(2), range(2), (4, 4))
    with imgstore.StoreGroup(cameras, align="time") as group:
        sources = in_step(group)
        how: dict[str, Any] = {"format": "npy", "workers": here(), "chunksize": 7}
        monkeypatch.setattr(WorkDirectory, "remove", interrupted)
        with pytest.raises(KeyboardInterrupt):
            map_in_step(None, sources, dests, overwrite=True, **how)
        monkeypatch.undo()
        begun = [(dest / ".unfinished").exists() for dest in dests]
        assert begun == [k >= call - 1 for k in range(3)]
        made = [imgstore.open(dest).uuid for dest in dests]
        mapped = map_in_step(None, sources, dests, **how)
        assert [each.frame_count for each in mapped] == [source.frame_count for source in sources]
        assert [imgstore.open(dest).uuid for dest in dests] == made
        for dest, frames in zip(dests, expected(cameras, False, align="time"), strict=True):
            assert_same(shown(dest), frames)
            assert not (dest / ".unfinished").exists()


def test_a_store_in_its_place_is_made_anew_for_another_call(
    cameras: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dests = [tmp_path / path.name for path in cameras[:2]]
    remove = WorkDirectory.remove

    def only_the_first(self: WorkDirectory) -> None:
        if self.begun and "right" in self.path:
            raise KeyboardInterrupt
        remove(self)

    with imgstore.StoreGroup(cameras[:2]) as group, imgstore.StoreGroup(cameras[:2], missing="hold") as held:
        monkeypatch.setattr(WorkDirectory, "remove", only_the_first)
        with pytest.raises(KeyboardInterrupt):
            map_in_step(None, in_step(group), dests, format="npy", workers=here())
        monkeypatch.undo()
        with pytest.raises(ArgumentError, match="another store is being made"):
            map_in_step(None, in_step(held)[::-1], dests[::-1], format="npy", workers=here())
        map_in_step(None, in_step(held), dests, format="npy", workers=here(), overwrite=True)
    for dest, frames in zip(dests, expected(cameras[:2], False, missing="hold"), strict=True):
        assert_same(shown(dest), frames)


def test_the_same_in_python(cameras: list[Path], tmp_path: Path) -> None:
    with imgstore.StoreGroup(cameras, align="time", reference=1) as group:
        map_store(None, side_by_side(group, range(3, 12)), tmp_path / "s", format="npy", workers=here())
        frames = expected(cameras, True, align="time", reference=1)[0]
    assert_same(shown(tmp_path / "s"), frames[3:12])
    with imgstore.StoreGroup(cameras[:2], reference=None) as group:
        dests = [tmp_path / "a", tmp_path / "b"]
        map_in_step(None, in_step(group, range(4, 30, 2)), dests, format="npy", workers=here())
        for dest, wanted in zip(dests, expected(cameras[:2], False, reference=None), strict=True):
            assert_same(shown(dest), [frame for frame in wanted if frame[0] in range(4, 30, 2)])
        with pytest.raises(ArgumentError, match="a folder of its own"):
            map_in_step(None, in_step(group), [tmp_path / "c"] * 2, format="npy", workers=here())


def test_resumed_by_its_folder_alone(cameras: list[Path], tmp_path: Path) -> None:
    """One of the stores is not completed by itself, and it is said what is."""
    dest = tmp_path / "out"
    arguments = [*map(str, cameras[:2]), str(dest), "--group", "--format", "npy"]
    with imgstore.StoreGroup(cameras[:2]) as group, pytest.raises(UnfinishedStoreError):
        map_in_step(None, in_step(group), [dest / "left", dest / "right"], format="npy", workers=here(),
                    stop=(dest / "right" / ".unfinished" / "plan.json").exists,
                    note={"arguments": arguments, "folder": str(tmp_path)})  # fmt: skip
    assert not any(map(imgstore.is_imgstore, [dest / "left", dest / "right"]))
    by_itself = typed("save", "--resume", dest / "left")
    assert by_itself.returncode == 1 and f"'imgstore save --resume {dest}' completes" in by_itself.stderr
    done = typed("save", "--resume", dest)
    assert done.returncode == 0 and done.stdout == f"saved 37 steps of left, right in step to {dest}\n", done
    for name, frames in zip(["left", "right"], expected(cameras[:2], False), strict=True):
        assert_same(shown(dest / name), frames)


def test_a_camera_that_has_no_frame_of_a_part(cameras: list[Path], tmp_path: Path) -> None:
    done = typed("save", "--group", *cameras[:2], tmp_path / "out", "--format", "npy", "--end", "2")
    assert done.returncode == 0 and "right: has no frame for any of these steps" in done.stderr
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["left"]
    done = typed("save", "--group", *cameras[:2], tmp_path / "none", "--format", "npy", "--end", "2", "--missing", "drop")
    assert done.returncode == 1 and "there is no step with frames of all stores" in done.stderr
    assert not (tmp_path / "none").exists()


def test_options_that_make_no_sense_together(cameras: list[Path], tmp_path: Path) -> None:
    for words, message in [
        (["--group", "--copy"], "--copy does not go with --group"),
        (["--group", "--order", "time"], "--order does not go with --group"),
        (["--group", "--times", cameras[0] / "metadata.yaml"], "--times does not go with --group"),
        (["--missing", "hold"], "--missing is for several stores in step: add --group"),
    ]:
        done = typed("save", cameras[0], tmp_path / "out", *words)
        assert done.returncode == 2 and message in done.stderr and done.stderr.count("\n") == 1, done.stderr
    assert not (tmp_path / "out").exists()
    assert _group.file_name("../a b:c") == "_a_b_c"

"""``imgstore save``: of which sources, in which order, which part of them, changed how, and what is noted."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from commands import typed
from scenes import coded_frame, shown_number
from video_samples import encode, number_of

import imgstore

SHAPE = (48, 64)
EPOCH = 1.7e9


def write_store(path: Path, numbers: range, start: float = EPOCH, **keywords: Any) -> Path:
    keywords = {"fmt": "npy", "imgshape": SHAPE, "fps": 10, **keywords}
    with imgstore.new_for_format(keywords.pop("fmt"), path, **keywords) as store:
        store.add_extra_data(before=str(path.name))
        for k, number in enumerate(numbers):
            store.add_image(coded_frame(number, keywords["imgshape"]), number, start + k / 10)
            store.add_extra_data(beside=number)
    return path


def codes(path: Path) -> list[int]:
    with imgstore.open(path) as store:
        return [shown_number(img) for img, _ in store]


def save(*arguments: object, status: int = 0) -> str:
    """Save, and return what was told on stderr."""
    done = typed("save", *arguments)
    assert done.returncode == status, done
    return done.stderr


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    folder = tmp_path / "session"
    folder.mkdir()
    for k, name in enumerate(["clip1.mkv", "clip2.mkv", "clip10.mkv"]):
        encode(folder / name, range(10 * k, 10 * k + 6))
    return folder


class TestOrder:
    IN_ORDER = [*range(6), *range(10, 16), *range(20, 26)]

    def shown(self, path: Path) -> list[int]:
        with imgstore.open(path) as store:
            assert store.frame_numbers.tolist() == list(range(18))
            np.testing.assert_allclose(store.frame_times, np.arange(18) / 25, atol=1e-9)
            assert store.user_metadata["source"] and store.fps == 25
            return [number_of(img) for img, _ in store]

    def test_a_folder_and_a_pattern_are_in_natural_order(self, videos: Path, tmp_path: Path) -> None:
        assert save(videos, tmp_path / "a", "--format", "npy") == ""
        assert save(videos / "*.mkv", tmp_path / "b", "--format", "npy") == ""
        assert self.shown(tmp_path / "a") == self.shown(tmp_path / "b") == self.IN_ORDER

    def test_what_a_shell_makes_of_a_pattern_is_too(self, videos: Path, tmp_path: Path) -> None:
        names = sorted(map(str, videos.iterdir()))
        assert names[1].endswith("clip10.mkv")
        assert "taken in natural order" in save(*names, tmp_path / "a", "--format", "npy")
        assert save(*names, tmp_path / "b", "--format", "npy", "--order", "name") == ""
        assert save(*names, tmp_path / "c", "--format", "npy", "--order", "given") == ""
        assert self.shown(tmp_path / "a") == self.shown(tmp_path / "b") == self.IN_ORDER
        assert self.shown(tmp_path / "c") == self.IN_ORDER[:6] + self.IN_ORDER[12:] + self.IN_ORDER[6:12]

    def test_every_source_is_taken_in_the_order_given(self, videos: Path, tmp_path: Path) -> None:
        one, two, three = (videos / f"clip{k}.mkv" for k in (1, 2, 10))
        save("--source", three, "--source", one, two, tmp_path / "a", "--format", "npy")
        assert self.shown(tmp_path / "a") == self.IN_ORDER[12:] + self.IN_ORDER[:12]

    def test_by_time(self, tmp_path: Path) -> None:
        write_store(tmp_path / "a", range(5, 10), EPOCH + 60)
        write_store(tmp_path / "b", range(5))
        assert save(tmp_path / "a", tmp_path / "b", tmp_path / "c", "--order", "time", "--format", "npy") == ""
        with imgstore.open(tmp_path / "c") as store:
            assert store.frame_numbers.tolist() == list(range(10))
            assert store.frame_times.tolist() == [EPOCH + k / 10 for k in range(5)] + [EPOCH + 60 + k / 10 for k in range(5)]
        assert codes(tmp_path / "c") == list(range(10))


class TestStores:
    def test_one_behind_the_other(self, tmp_path: Path) -> None:
        """Records stay beside their frames, those from before the second store beside the last frame of the first."""
        write_store(tmp_path / "a", range(3), metadata={"animal": "fly", "day": 1})
        write_store(tmp_path / "b", range(3), EPOCH + 60, metadata={"animal": "fly", "day": 2})
        told = save(tmp_path / "a", tmp_path / "b", tmp_path / "c", "--format", "npy")
        assert "numbers go up by 3, behind the frames before" in told and "left out: day" in told
        with imgstore.open(tmp_path / "a") as a, imgstore.open(tmp_path / "b") as b, imgstore.open(tmp_path / "c") as store:
            assert store.frame_numbers.tolist() == list(range(6))
            assert store.frame_times.tolist() == [*a.frame_times, *b.frame_times]
            assert store.user_metadata == {"animal": "fly"}
            assert store.origin == [a.uuid, b.uuid]
            told_of = [(r.get("before", r.get("beside")), r["frame_index"]) for r in store.get_extra_records()]
        assert told_of == [("a", -1), (0, 0), (1, 1), (2, 2), ("b", 2), (0, 3), (1, 4), (2, 5)]

    def test_cameras_of_one_recording_are_a_group(self, tmp_path: Path) -> None:
        for name in "ab":
            write_store(tmp_path / "rec" / name, range(3))
        both = tmp_path / "rec" / "a", tmp_path / "rec" / "b"
        assert "--group" in save(*both, tmp_path / "c", status=2)
        assert "are a group" in save(tmp_path / "rec", tmp_path / "c", status=2)
        assert not (tmp_path / "c").exists()
        assert "times by 0.300 s" in save(*both, tmp_path / "c", "--order", "given", "--format", "npy")
        assert codes(tmp_path / "c") == [0, 1, 2, 0, 1, 2]

    def test_of_different_sizes(self, tmp_path: Path) -> None:
        write_store(tmp_path / "a", range(3))
        write_store(tmp_path / "b", range(3), EPOCH + 60, imgshape=(96, 128))
        arguments = tmp_path / "a", tmp_path / "b", tmp_path / "c", "--format", "npy"
        assert "b: its frames are 128 x 96 gray (uint8), and those of" in save(*arguments, status=2)
        save(*arguments, "--scale", "64x48")
        assert codes(tmp_path / "c") == [0, 1, 2, 0, 1, 2]


class TestPart:
    @pytest.mark.parametrize("options, wanted", [
        (["--start", "3", "--end", "7"], range(3, 7)),
        (["--start", "n103", "--end=-2"], range(3, 18)),
        (["--start", "0.5s", "--end", "1s"], range(5, 10)),
        (["--start", "2023-11-14T22:13:20.300+00:00"], range(3, 20)),
        (["--start", "4", "--step", "5"], range(4, 20, 5)),
    ])  # fmt: skip
    def test_frames_keep_numbers_times_and_records(self, tmp_path: Path, options: list[str], wanted: range) -> None:
        write_store(tmp_path / "a", range(100, 120), chunksize=6)
        save(tmp_path / "a", tmp_path / "b", "--format", "npy", "--chunksize", 3, *options)
        assert codes(tmp_path / "b") == [100 + k for k in wanted]
        with imgstore.open(tmp_path / "b") as store:
            assert store.frame_numbers.tolist() == [100 + k for k in wanted]
            assert store.frame_times.tolist() == [EPOCH + k / 10 for k in wanted]
            assert store.fps == 10 / wanted.step
            records = [(r["beside"], r["frame_index"]) for r in store.get_extra_records() if "beside" in r]
        # the last record from before still held; those beside frames that were passed over go with the frame before
        assert records == [(100 + k, -1) for k in [wanted[0] - 1]] + [
            (100 + k, (k - wanted.start) // wanted.step) for k in range(wanted.start, wanted.stop)
        ]

    def test_of_several_sources(self, tmp_path: Path) -> None:
        write_store(tmp_path / "a", range(5))
        write_store(tmp_path / "b", range(5, 10), EPOCH + 0.5)
        save(tmp_path / "a", tmp_path / "b", tmp_path / "c", "--start", 1, "--end", 9, "--step", 3, "--format", "npy")
        assert codes(tmp_path / "c") == [1, 4, 7]

    def test_nothing(self, tmp_path: Path) -> None:
        write_store(tmp_path / "a", range(5))
        told = save(tmp_path / "a", tmp_path / "b", "--start", 7, status=2)
        assert "there is no frame from 7: positions go from 0 to 4, numbers from n0 to n4, seconds from 0s to" in told
        assert "dates from 2" in told

    def test_not_inside_a_store(self, tmp_path: Path) -> None:
        write_store(tmp_path / "a", range(5))
        for inside in ("a/b", "a/b/c"):
            assert "is within the store" in save(tmp_path / "a", tmp_path / inside, status=1)
        assert not (tmp_path / "a" / "b").exists()
        assert "give a position" in save(tmp_path / "a", tmp_path / "b", "--start", "soon", status=2)


class TestShape:
    def test_part_and_size(self, tmp_path: Path) -> None:
        with imgstore.new_for_format("npy", tmp_path / "a", imgshape=(8, 12), imgdtype="uint16") as store:
            image = np.arange(96, dtype=np.uint16).reshape(8, 12) * 100
            store.add_image(image, 0, 0.0)
        save(tmp_path / "a", tmp_path / "b", "--crop", "2,1,8,6", "--format", "npy")
        save(tmp_path / "a", tmp_path / "c", "--crop", "2,1,8,6", "--scale", 0.5, "--format", "npy")
        with imgstore.open(tmp_path / "b") as b, imgstore.open(tmp_path / "c") as c:
            np.testing.assert_array_equal(b[0], image[1:7, 2:10])
            assert c[0].dtype == np.uint16
            np.testing.assert_allclose(c[0], image[1:7, 2:10].reshape(3, 2, 4, 2).mean(axis=(1, 3)), atol=1)
        assert "12 pixels wide" in save(tmp_path / "a", tmp_path / "d", "--crop", "8,0,8,8", status=2)
        assert not (tmp_path / "d").exists()

    def test_colour(self, tmp_path: Path) -> None:
        write_store(tmp_path / "a", range(3))
        save(tmp_path / "a", tmp_path / "b", "--color", "--format", "npy")
        save(tmp_path / "b", tmp_path / "c", "--gray", "--format", "npy")
        with imgstore.open(tmp_path / "a") as a, imgstore.open(tmp_path / "b") as b, imgstore.open(tmp_path / "c") as c:
            assert b.image_shape == (*SHAPE, 3)
            np.testing.assert_array_equal(c[:], a[:])


class TestFunction:
    def test_every_frame_passes_through_it(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Before it is cropped; in this process and in others; a module by name or by its file."""
        (tmp_path / "ofmine.py").write_text(
            "import numpy as np\n"
            "def stitched(img):\n    return np.concatenate([img, 255 - img])\n"
            "def stamped(img, number, time):\n    img = img.copy()\n    img[0, 0] = number\n    return img\n"
            "def broken(img, number, time):\n    return img[2:] if number != 7 else None\n"
        )
        write_store(tmp_path / "a", range(10))
        with imgstore.open(tmp_path / "a") as store:
            frames = store[:]
        for function, how in [("ofmine:stitched", ()), (f"{tmp_path}/ofmine.py:stitched", ("--jobs", "2"))]:
            done = typed("save", tmp_path / "a", tmp_path / "b", "--with", function, "--crop", "0,48,64,48", "--format", "npy",
                         "--chunksize", 4, "--overwrite", *how, cwd=str(tmp_path))  # fmt: skip
            assert done.returncode == 0, done.stderr
            with imgstore.open(tmp_path / "b") as store:
                np.testing.assert_array_equal(store[:], 255 - frames)
        done = typed("save", "a", "c", "--with", "ofmine:stamped", "--format", "npy", cwd=str(tmp_path))
        assert done.returncode == 0, done.stderr
        with imgstore.open(tmp_path / "c") as store:
            assert store[:][:, 0, 0].tolist() == list(range(10))
        done = typed("save", "a", "d", "--with", "ofmine:broken", "--format", "npy", "--chunksize", 4, cwd=str(tmp_path))
        assert done.returncode == 1
        assert "ofmine:broken returned NoneType for frame number 7" in done.stderr and "the same command goes on" in done.stderr
        text = (tmp_path / "ofmine.py").read_text().replace("if number != 7 else None", "")
        (tmp_path / "ofmine.py").write_text(text)
        # in a process of its own a module that has been mended is as it is now; here it must be forgotten first
        import sys

        monkeypatch.delitem(sys.modules, "ofmine")
        done = typed("save", "--resume", "d", cwd=str(tmp_path))
        assert done.returncode == 1 and "give the same command once more" in done.stderr
        done = typed("save", "a", "d", "--with", "ofmine:broken", "--format", "npy", "--chunksize", 4, cwd=str(tmp_path))
        assert (done.returncode, done.stdout) == (0, "saved 10 frames of a to d\n"), done.stderr

    @pytest.mark.parametrize("name, message", [
        ("ofmine", "is not MODULE:FUNCTION"),
        ("nowhere_at_all:f", "cannot be loaded"),
        ("math:nothing", "no such function"),
    ])  # fmt: skip
    def test_none(self, tmp_path: Path, name: str, message: str) -> None:
        write_store(tmp_path / "a", range(2))
        assert message in save(tmp_path / "a", tmp_path / "b", "--with", name, status=2)


class TestTimes:
    def test_rate_of_images(self, tmp_path: Path) -> None:
        (tmp_path / "images").mkdir()
        for k in range(12):
            cv2.imwrite(str(tmp_path / "images" / f"{k}.png"), coded_frame(k, SHAPE))
        save(tmp_path / "images", tmp_path / "a", "--fps", 50, "--format", "png", "--step", 2)
        with imgstore.open(tmp_path / "a") as store:
            assert store.fps == 25 and store.frame_times.tolist() == [k / 50 for k in range(0, 12, 2)]
        assert codes(tmp_path / "a") == list(range(0, 12, 2))

    def test_out_of_a_file(self, videos: Path, tmp_path: Path) -> None:
        """Of all frames of all sources, before a part is taken."""
        times = [EPOCH + k**1.5 for k in range(18)]
        (tmp_path / "times.csv").write_text("frame,seconds\n" + "".join(f"{k},{t!r}\n" for k, t in enumerate(times)))
        how = tmp_path / "times.csv", "--column", "seconds", "--format", "npy"
        save(videos, tmp_path / "a", "--start", 5, "--times", *how, "--chunksize", 4)
        with imgstore.open(tmp_path / "a") as store:
            assert store.frame_times.tolist() == times[5:]
            assert number_of(store[0]) == 5 and number_of(store[1]) == 10
        assert "there are 6 frames, and 18 times" in save(videos / "clip1.mkv", tmp_path / "b", "--times", *how, status=2)

    def test_variable_rate(self, tmp_path: Path) -> None:
        ticks = np.cumsum(np.random.default_rng(3).integers(1, 9, 30)).tolist()
        encode(tmp_path / "clip.mkv", range(30), pts=ticks)
        save(tmp_path / "clip.mkv", tmp_path / "a", "--format", "npy")
        with imgstore.open(tmp_path / "clip.mkv", start_time="file") as video, imgstore.open(tmp_path / "a") as store:
            assert store.frame_times.tolist() == video.frame_times.tolist()
            # Matroska's tick is a millisecond
            np.testing.assert_allclose(store.frame_times, [float(Fraction(t, 25)) for t in ticks], atol=0.0005)


def test_metadata(tmp_path: Path) -> None:
    write_store(tmp_path / "a", range(2), metadata={"animal": "fly 12", "day": 3})
    (tmp_path / "more.json").write_text(json.dumps({"day": 4, "rig": {"number": 2}}))
    save(tmp_path / "a", tmp_path / "b", "--metadata-file", tmp_path / "more.json", "--metadata", "trial=7", "--metadata",
         "note=with = and [ in it", "--format", "npy")  # fmt: skip
    with imgstore.open(tmp_path / "b") as store:
        assert store.user_metadata == {
            "animal": "fly 12", "day": 4, "rig": {"number": 2}, "trial": 7, "note": "with = and [ in it",
        }  # fmt: skip
    (tmp_path / "list.yaml").write_text("- 1\n")
    assert "holds no names" in save(tmp_path / "a", tmp_path / "c", "--metadata-file", tmp_path / "list.yaml", status=2)


class TestUsedWrongly:
    def test_never_the_webcam_by_mistake(self, tmp_path: Path, videos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def no_camera(*args: object) -> None:
            raise AssertionError("a camera was opened")

        monkeypatch.setattr(cv2, "VideoCapture", no_camera)
        clip, other = videos / "clip1.mkv", videos / "clip2.mkv"
        assert f"imgstore save {clip} DEST" in save(clip, status=2)
        assert f"imgstore save SOURCE {tmp_path / 'out'}" in save(tmp_path / "out", status=2)
        assert "SOURCE... DEST" in save(status=2)
        assert f"{other}: is a file" in save(clip, other, status=2)
        assert "is an address" in save(clip, "rtsp://somewhere", status=2)
        assert "name one source" in save("0", clip, tmp_path / "out", status=2)
        assert not (tmp_path / "out").exists()

    @pytest.mark.parametrize("options, message", [
        (["--files", "move"], "--files goes with --copy"),
        (["--copy", "--scale", "0.5"], "--scale does not go with --copy"),
        (["--copy", "--format", "npy"], "--format does not go with --copy"),
        (["--scale", "big"], "a factor such as 0.5"),
        (["--metadata", "animal"], "animal=VALUE is wanted"),
        (["-o", "quality=90", "--format", "npy"], "takes no keyword 'quality'"),
    ])  # fmt: skip
    def test_refused_before_anything_is_written(
        self, tmp_path: Path, videos: Path, options: list[str], message: str
    ) -> None:
        done = typed("save", videos, tmp_path / "out", *options)
        assert done.returncode in (1, 2) and message in done.stderr
        assert not (tmp_path / "out").exists()

"""Exported videos, GIFs and images: the right frames, each at its own time, and tables that say so."""

from __future__ import annotations

import datetime
import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import h5py
import numpy as np
import pandas as pd
import pytest
from commands import typed
from hypothesis import given
from hypothesis import strategies as st
from rounds import long_but
from scenes import coded_frame, shown_number, write_store

import imgstore
from imgstore.errors import ArgumentError, ChunkError, StoreExistsError
from imgstore.exporting.span import find_range
from imgstore.exporting.timing import ticks_for

SAMPLES = sorted(p.name for p in (Path(__file__).parents[1] / "data").iterdir() if p.is_dir() and p.name != "empty")
SOME = {"dir-npy-uint16", "video-avc1-mp4"}
START = 1_700_000_000.0


def shown(path: Path | str) -> tuple[list[int], Fraction, list[np.ndarray[Any, Any]]]:
    """Return when each picture of a video is shown, in ticks, what a tick is, and the pictures."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = list(container.decode(stream))
        assert stream.time_base is not None
        return [f.pts or 0 for f in frames], stream.time_base, [f.to_ndarray(format="bgr24") for f in frames]


def table_of(path: Path | str) -> pd.DataFrame:
    return pd.read_csv(f"{path}.frames.csv", converters={"frame_time": float})  # with all digits


def jittered(path: Path, fmt: str = "avc1/mp4", count: int = 40, **options: Any) -> tuple[str, np.ndarray[Any, Any]]:
    """Write coded frames, numbered 100 and up, at uneven times."""
    times = START + np.cumsum(np.random.default_rng(3).uniform(0.01, 0.09, count))
    with imgstore.new_for_format(fmt, path, imgshape=(96, 128), chunksize=15, **options) as store:
        for k in range(count):
            store.add_image(coded_frame(100 + k, (96, 128)), 100 + k, times[k])
    return str(path), times


class TestVideo:
    @pytest.mark.parametrize("fmt", ["mp4", "mkv"])
    @pytest.mark.parametrize("name", long_but(SOME, SAMPLES))
    def test_every_sample_at_its_times(self, name: str, fmt: str, samples: Path, tmp_path: Path) -> None:
        out = tmp_path / f"clip.{fmt}"
        with imgstore.new_for_filename(samples / name) as store:
            result = imgstore.export(store, out, start=1)
            pts, time_base, _ = shown(out)
            table = table_of(out)
            assert table["position"].tolist() == list(range(1, store.frame_count))
            assert table["frame_number"].tolist() == store.frame_numbers[1:].tolist()
            assert table["frame_time"].tolist() == store.frame_times[1:].tolist()
            seconds = store.frame_times[1:] - store.frame_times[1]
        assert pts == table["pts"].tolist() and time_base == result.time_base
        assert np.abs(np.array(pts) * float(time_base) - seconds).max() <= float(time_base) / 2 + 1e-6
        np.testing.assert_allclose(table["pts_time"], np.array(pts) * float(time_base), rtol=0, atol=1e-9)

    def test_a_cut_shows_its_frames_at_uneven_times(self, tmp_path: Path) -> None:
        store, times = jittered(tmp_path / "s")
        result = imgstore.export(store, tmp_path / "clip.mp4", start=17, end="n135")
        pts, time_base, pictures = shown(tmp_path / "clip.mp4")
        assert [shown_number(img) for img in pictures] == list(range(117, 135)) and result.frame_count == 18
        assert time_base == Fraction(1, 1_000_000)
        np.testing.assert_allclose(np.array(pts) / 1e6, times[17:35] - times[17], rtol=0, atol=1e-6)

    def test_ffprobe_sees_the_times_of_the_table(self, tmp_path: Path, need_tool: Any) -> None:
        import subprocess

        store, _ = jittered(tmp_path / "s")
        imgstore.export(store, tmp_path / "clip.mp4")
        command = [need_tool("ffprobe"), "-v", "error", "-select_streams", "v", "-show_entries", "frame=pts", "-of", "json"]
        said = subprocess.run([*command, tmp_path / "clip.mp4"], capture_output=True, check=True).stdout
        assert [frame["pts"] for frame in json.loads(said)["frames"]] == table_of(tmp_path / "clip.mp4")["pts"].tolist()

    def test_speed_step_and_even_times(self, tmp_path: Path) -> None:
        store, times = jittered(tmp_path / "s")
        imgstore.export(store, tmp_path / "fast.mp4", speed=4, step=3)
        pts, _, pictures = shown(tmp_path / "fast.mp4")
        assert [shown_number(img) for img in pictures] == list(range(100, 140, 3))
        np.testing.assert_allclose(np.array(pts) / 1e6, (times[::3] - times[0]) / 4, rtol=0, atol=1e-6)
        imgstore.export(store, tmp_path / "even.mp4", fps=20)
        assert shown(tmp_path / "even.mp4")[0] == list(range(0, 40 * 50_000, 50_000))

    def test_opened_again_it_is_the_same_recording(self, tmp_path: Path) -> None:
        store, times = jittered(tmp_path / "s", "npy")
        imgstore.export(store, tmp_path / "clip.mkv")
        with imgstore.open(tmp_path / "clip.mkv") as again:
            assert [shown_number(img) for img, _ in again] == list(range(100, 140))
            np.testing.assert_allclose(again.frame_times, times - times[0], rtol=0, atol=0.0006)

    def test_times_that_do_not_increase_are_refused(self, tmp_path: Path) -> None:
        with imgstore.new_for_format("npy", tmp_path / "s", imgshape=(8, 8)) as store:
            for k, time in enumerate([0.0, 1.0, 0.5, 2.0]):
                store.add_image(np.zeros((8, 8), np.uint8), k, time)
        with pytest.raises(ArgumentError, match="position 2 is not later"):
            imgstore.export(tmp_path / "s", tmp_path / "clip.mp4")
        assert not list(tmp_path.glob("*clip*"))
        imgstore.export(tmp_path / "s", tmp_path / "clip.mp4", fps=10)

    def test_damaged_frames_are_left_out_or_an_error(self, tmp_path: Path) -> None:
        path = write_store(tmp_path / "s", "png", 5)
        (tmp_path / "s" / "000000" / "000002.png").write_bytes(b"no picture")
        with pytest.raises(ChunkError):
            imgstore.export(path, tmp_path / "clip.mp4")
        assert not list(tmp_path.glob("*clip*"))
        done = typed("export", path, tmp_path / "clip.mp4")
        assert done.returncode == 3 and "position 2 (number 102)" in done.stderr and "1 frame left out" in done.stdout
        pts, _, pictures = shown(tmp_path / "clip.mp4")
        assert [shown_number(img) for img in pictures] == [100, 101, 103, 104] and pts == [0, 500_000, 1_500_000, 2_000_000]
        assert table_of(tmp_path / "clip.mp4")["frame_number"].tolist() == [100, 101, 103, 104]


class TestPictures:
    @pytest.fixture
    def ramp(self, tmp_path: Path) -> str:
        """Frames of 12 bits, brighter to the right; the third of them darker."""
        img = np.tile(np.arange(0, 4000, 50, np.uint16), (40, 1))
        with imgstore.new_for_format("npy", tmp_path / "ramp", imgshape=img.shape, imgdtype="uint16") as store:
            for k in range(3):
                store.add_image(img // (1 + k // 2), k, START + k)
        return str(tmp_path / "ramp")

    def test_images_as_they_are(self, ramp: str, tmp_path: Path) -> None:
        for fmt in ("png", "tif"):
            imgstore.export(ramp, tmp_path / fmt, format=fmt, start=1)  # type: ignore[arg-type]
            table = table_of(tmp_path / fmt)
            assert table["file"].tolist() == sorted(p.name for p in (tmp_path / fmt).iterdir()) == [
                f"frame_1.{fmt}", f"frame_2.{fmt}"
            ]  # fmt: skip
            with imgstore.new_for_filename(ramp) as store:
                for position, name in zip(table["position"], table["file"], strict=True):
                    img = cv2.imread(str(tmp_path / fmt / name), cv2.IMREAD_UNCHANGED)
                    np.testing.assert_array_equal(img, store[position])

    def test_levels_crop_and_scale(self, ramp: str, tmp_path: Path) -> None:
        imgstore.export(ramp, tmp_path / "p", format="png", levels="1000,2000", crop="10,4,40,20", scale=0.5, end=1)
        img = cv2.imread(str(tmp_path / "p" / "frame_0.png"), cv2.IMREAD_UNCHANGED)
        wide = np.arange(500, 2500, 50).reshape(20, 2).mean(axis=1)  # each the mean of two
        wanted = np.tile(((wide - 1000) * 0.255).clip(0, 255).round(), (10, 1))
        assert img.dtype == np.uint8
        np.testing.assert_allclose(img, wanted, atol=1)

    def test_levels_that_nobody_gave_are_told(self, ramp: str, tmp_path: Path) -> None:
        with pytest.warns(imgstore.errors.ImgStoreWarning, match="0 becomes black and 3950 white"):
            imgstore.export(ramp, tmp_path / "clip.mp4")
        first = shown(tmp_path / "clip.mp4")[2][0]
        assert first[:, :2].max() < 8 and first[:, -2:].min() > 247

    def test_odd_sizes_lose_nothing(self, ramp: str, tmp_path: Path) -> None:
        with pytest.warns(imgstore.errors.ImgStoreWarning, match="even sizes"):
            imgstore.export(ramp, tmp_path / "clip.mp4", crop=(0, 0, 33, 21), levels=(0, 3950), crf=5)
        (img, *_) = shown(tmp_path / "clip.mp4")[2]
        assert img.shape == (22, 34, 3)
        np.testing.assert_allclose(img[:21, :33, 0], np.tile(np.arange(33) * 50 * 255 / 3950, (21, 1)), atol=6)

    def test_burnt_in_labels_differ_and_lie_in_the_corner(self, tmp_path: Path) -> None:
        path = tmp_path / "s"
        with imgstore.new_for_format("npy", path, imgshape=(240, 320), imgdtype=np.uint8) as store:
            for k in range(3):
                store.add_image(np.full((240, 320), 100, np.uint8), 7 + k % 2, START)
        imgstore.export(path, tmp_path / "p", format="png", burn_in="number,time,left eye", fps=1)
        images = [cv2.imread(str(p), cv2.IMREAD_UNCHANGED) for p in sorted((tmp_path / "p").iterdir())]
        assert (images[0] != images[1]).any()  # other numbers
        np.testing.assert_array_equal(images[0], images[2])
        changed = np.argwhere(images[0] != 100)
        assert changed.min() == 0 and changed[:, 0].max() < 30
        assert images[0].min() == 0 and images[0].max() > 240

    def test_gif_of_gray_and_of_colour(self, tmp_path: Path) -> None:
        for name, shape in (("gray", (96, 128)), ("colour", (96, 128, 3))):
            write_store(tmp_path / name, "npy", 6, imgshape=shape)
            imgstore.export(tmp_path / name, tmp_path / f"{name}.gif", start=2, scale=(160, 120))
            pts, time_base, pictures = shown(tmp_path / f"{name}.gif")
            assert [shown_number(img) for img in pictures] == [102, 103, 104, 105]
            assert pts == table_of(tmp_path / f"{name}.gif")["pts"].tolist() == [0, 50, 100, 150]
            assert time_base == Fraction(1, 100) and pictures[0].shape == (120, 160, 3)


class TestTables:
    def test_extra_data_with_the_last_before_the_cut(self, tmp_path: Path) -> None:
        with imgstore.new_for_format("npy", tmp_path / "s", imgshape=(8, 8), chunksize=4) as store:
            for k in range(12):
                store.add_image(np.zeros((8, 8), np.uint8), 50 + k, START + k)
                store.add_extra_data(temperature=20.0 + k)
                if k in (1, 2):
                    store.add_extra_data(light="on" if k == 1 else "off", where=[k, {"x": None}])
        for kind in ("csv", "parquet"):
            imgstore.export(tmp_path / "s", tmp_path / "p", format="png", start=6, end=9, extra_data=kind, sidecar=kind,
                            overwrite=True)  # type: ignore[arg-type] # fmt: skip
        table = pd.read_csv(tmp_path / "p.extra.csv")
        assert table["frame_number"].tolist() == [52, 55, 56, 57, 58]
        assert table["temperature"].tolist()[1:] == [25.0, 26.0, 27.0, 28.0]
        assert table["light"].tolist()[0] == "off" and json.loads(table["where"][0]) == [2, {"x": None}]
        pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "p.extra.parquet"), table, check_dtype=False)
        pd.testing.assert_frame_equal(
            pd.read_parquet(tmp_path / "p.frames.parquet"), table_of(tmp_path / "p"), check_dtype=False
        )

    def test_extra_data_that_is_left_is_told(self, samples: Path, tmp_path: Path) -> None:
        result = imgstore.export(samples / "dir-npy", tmp_path / "clip.mp4", sidecar=None)
        assert any("extra data" in note for note in result.notes) and result.tables == ()
        assert [p.name for p in tmp_path.iterdir()] == ["clip.mp4"]

    def test_sound_is_heard_when_it_was_sampled(self, tmp_path: Path) -> None:
        """A tone begins with frame 25; the cut begins with frame 10, so it comes 0.6 s later."""
        rate, seconds = 8000, 2
        path = write_store(tmp_path / "s", "avc1/mp4", 0, chunksize=100)
        with imgstore.new_for_format("avc1/mp4", path, imgshape=(48, 64), chunksize=100, fps=25, overwrite=True) as store:
            for k in range(25 * seconds):
                store.add_image(np.full((48, 64), k, np.uint8), k, 1000 + k / 25)
        at = np.arange(rate * seconds)
        tone = np.where(at >= rate, np.sin(2 * np.pi * 440 * at / rate), 0).astype(np.float32)
        with h5py.File(Path(path, "000000.extra_data.h5"), "w") as file:
            file.attrs["datasets"] = "analog"
            file["analog"] = tone[None]
            file["analog"].attrs.update(column_names="microphone", samplerate=float(rate))
            camera = np.zeros(len(at), [("frame_number", "i8"), ("frame_time", "f8"), ("frame_index", "i8")])
            camera["frame_number"] = camera["frame_index"] = at * 25 // rate
            camera["frame_time"] = 1000 + camera["frame_number"] / 25
            file["camera"] = camera
        for name, copied in (("exact.mp4", False), ("copied.mkv", True)):
            result = imgstore.export(path, tmp_path / name, start=15, sound="microphone", copy=copied)
            with av.open(str(tmp_path / name)) as container:
                heard = list(container.decode(audio=0))
            samples = np.concatenate([frame.to_ndarray()[0] for frame in heard])
            assert heard[0].time == 0.0
            assert np.flatnonzero(np.abs(samples) > 0.3)[0] / 48000 == pytest.approx(1 - result.start / 25, abs=0.003)
        with pytest.raises(ArgumentError, match="no column 'mike'.*microphone"):
            imgstore.export(path, tmp_path / "other.mp4", sound="mike")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Numbers 0, 2, 4, ..., and the time twice the position."""
    path = tmp_path_factory.mktemp("places") / "s"
    with imgstore.new_for_format("mjpeg/avi", path, imgshape=(4, 4)) as writer:
        for k in range(100):
            writer.add_image(np.zeros((4, 4), np.uint8), 2 * k, START + 2 * k)
    with imgstore.new_for_filename(path) as reader:
        yield reader


class TestPlaces:
    @pytest.mark.parametrize(
        "start, end, wanted",
        [
            (None, None, (0, 100)), (3, -2, (3, 98)), ("3", "-2", (3, 98)), ("n6", "n11", (3, 6)), ("3s", "7.9s", (2, 4)),
            (3.0, 8.0, (2, 4)), ("1:00", "0:01:30", (30, 45)), ("-10s", None, (94, 100)), (-1, None, (99, 100)),
            (datetime.timedelta(seconds=4), 10**9, (2, 100)),
            ("2023-11-14T22:13:24Z", "2023-11-14 22:13:30+00:00", (2, 5)),
            (datetime.datetime(2023, 11, 14, 22, 13, 24, tzinfo=datetime.timezone.utc), None, (2, 100)),
            (-(10**9), np.int64(4), (0, 4)),
        ],
    )  # fmt: skip
    def test_forms(self, store: Any, start: Any, end: Any, wanted: tuple[int, int]) -> None:
        assert find_range(store, start, end) == wanted

    def test_seconds_meet_the_frame_that_has_them(self) -> None:
        """Whatever adding them to a time since 1970 rounds away."""
        for rate in (3, 7, 30, 97, 1000 / 41):
            recording = _Times((START + np.arange(500) / rate).tolist())
            for k in range(0, 500, 7):
                assert find_range(recording, k / rate, None)[0] == k
                assert find_range(recording, f"{k / rate:.6f}s", None)[0] == k

    def test_dates_without_a_zone_are_of_the_recording(self, store: Any) -> None:
        moment = store.convert_frame_time_to_datetime(START + 50).replace(tzinfo=None)
        assert find_range(store, moment, (moment + datetime.timedelta(seconds=3)).isoformat()) == (25, 27)

    @pytest.mark.parametrize("place", ["soon", "12h", "", "1:2:3:4", object(), 1.5j, float("nan"), "n", "--1"])
    def test_what_is_no_place(self, store: Any, place: Any) -> None:
        with pytest.raises(ArgumentError, match="position"):
            find_range(store, place, None)

    @pytest.mark.parametrize("start, end", [(5, 5), (6, 5), ("300s", None), ("n5000", None), (None, 0)])
    def test_no_frame_at_all(self, store: Any, start: Any, end: Any) -> None:
        with pytest.raises(ArgumentError, match="there is no frame"):
            find_range(store, start, end)


class _Times:
    filename = "s"

    def __init__(self, times: list[float]) -> None:
        self.frame_times = np.array(times)
        self.frame_count = len(times)


@given(st.lists(st.floats(2e-6, 5000), min_size=1, max_size=30), st.sampled_from([1.0, 0.1, 7.0]))
def test_ticks_are_the_times(intervals: list[float], speed: float) -> None:
    times = START * 0 + np.cumsum([0.0, *intervals])
    try:
        timing = ticks_for(_Times(times.tolist()), range(len(times)), "mp4", speed=speed)
    except ArgumentError:
        longest = max(intervals) / speed
        assert min(intervals) / speed < 1e-3 * 1.01 or longest > 126_000
        return
    assert (np.diff(timing.pts) > 0).all() and timing.pts[0] == 0
    np.testing.assert_allclose(
        timing.pts * float(timing.time_base), times / speed, rtol=0, atol=float(timing.time_base) * 0.5001
    )
    assert timing.durations[:-1].tolist() == np.diff(timing.pts).tolist() and timing.durations[-1] > 0


class TestRefused:
    @pytest.fixture
    def path(self, tmp_path: Path) -> str:
        return write_store(tmp_path / "s", "mjpeg/avi", 12)

    @pytest.mark.parametrize(
        "out, asked, said",
        [
            ("clip.avi", {}, "mp4, mkv or gif is written"), ("clip.mp4", {"format": "webm"}, "one of mp4, mkv"),
            ("clip.mp4", {"crop": "0,0,65,10"}, "64 pixels wide"), ("clip.mp4", {"crop": "1,2,3"}, "LEFT,TOP"),
            ("clip.mp4", {"scale": "0"}, "a factor"), ("clip.mp4", {"scale": "640x0"}, "a factor"),
            ("clip.mp4", {"levels": "5,5"}, "LOW,HIGH"), ("clip.mp4", {"burn_in": "\u00b5m"}, "ASCII"),
            ("clip.mp4", {"speed": 0.0}, "above 0"), ("clip.mp4", {"fps": float("nan")}, "above 0"),
            ("clip.mp4", {"step": 0}, "1 or more"), ("clip.mp4", {"crf": 52}, "from 0"),
            ("clip.mp4", {"sidecar": "xls"}, "csv or parquet"), ("clip.gif", {"copy": True}, "not into gif"),
            ("clip.gif", {"speed": 100.0}, "steps of 1/100"), ("clip.mp4", {"copy": True, "scale": 2}, "stay what they are"),
            ("clip.mp4", {"scale": 1000}, "16384"), ("s/clip.mp4", {}, "within the store"),
            ("clip.gif", {"sound": "x"}, "sound goes with"), ("clip.mp4", {"sound": "a,b,c"}, "column"),
        ],
    )  # fmt: skip
    def test_with_a_reason_and_nothing_is_left(
        self, path: str, out: str, asked: dict[str, Any], said: str, tmp_path: Path
    ) -> None:
        with pytest.raises(ArgumentError, match=said):
            imgstore.export(path, tmp_path / out, **asked)
        assert [p.name for p in tmp_path.iterdir()] == ["s"]

    def test_what_is_there_stays_unless_told(self, path: str, tmp_path: Path) -> None:
        (tmp_path / "clip.mp4").write_text("mine")
        with pytest.raises(StoreExistsError, match="--overwrite"):
            imgstore.export(path, tmp_path / "clip.mp4")
        assert (tmp_path / "clip.mp4").read_text() == "mine" and len(list(tmp_path.iterdir())) == 2
        imgstore.export(path, tmp_path / "clip.mp4", overwrite=True)
        assert len(shown(tmp_path / "clip.mp4")[0]) == 12

    def test_no_folder_of_somebody_is_replaced(self, path: str, tmp_path: Path) -> None:
        (tmp_path / "p").mkdir()
        (tmp_path / "p" / "thesis.tex").write_text("mine")
        with pytest.raises(StoreExistsError, match="other files"):
            imgstore.export(path, tmp_path / "p", format="png", overwrite=True)
        assert (tmp_path / "p" / "thesis.tex").exists()

    def test_a_video_is_not_exported_onto_itself(self, path: str, tmp_path: Path) -> None:
        imgstore.export(path, tmp_path / "clip.mp4", sidecar=None)
        before = (tmp_path / "clip.mp4").read_bytes()
        with pytest.raises(ArgumentError, match="onto itself"):
            imgstore.export(tmp_path / "clip.mp4", tmp_path / "clip.mp4", overwrite=True)
        assert (tmp_path / "clip.mp4").read_bytes() == before

    def test_colours_are_right_however_the_store_was_opened(self, tmp_path: Path) -> None:
        blue = np.zeros((32, 32, 3), np.uint8)
        blue[..., 0] = 255
        with imgstore.new_for_format("npy", tmp_path / "s2", imgshape=blue.shape) as writer:
            writer.add_image(blue, 0, 0.0)
        for color in ("rgb", "bgr"):
            with imgstore.open(tmp_path / "s2", color=color) as opened:  # type: ignore[arg-type]
                imgstore.export(opened, tmp_path / color, format="png")
            np.testing.assert_array_equal(cv2.imread(str(tmp_path / color / "frame_0.png")), blue)

    def test_reading_in_an_open_store_goes_on(self, path: str, tmp_path: Path) -> None:
        with imgstore.new_for_filename(path) as store:
            store.get_image(103)
            imgstore.export(store, tmp_path / "clip.mp4")
            assert store.get_next_image()[1][0] == 104


class TestCommand:
    def test_dry_run_says_the_same_and_writes_nothing(self, samples: Path, tmp_path: Path) -> None:
        asked = ("export", samples / "video-avc1-mp4", tmp_path / "clip.mp4", "--start", "-6", "--copy", "--json")
        planned = json.loads(typed(*asked, "--dry-run").stdout)
        assert not list(tmp_path.iterdir())
        done = json.loads(typed(*asked).stdout)
        assert planned.pop("dry_run") and not done.pop("dry_run") and planned == done
        assert done["copied"] and done["start"] == 10 and "key frame before" in done["notes"][0]

    def test_words_for_a_person(self, samples: Path, tmp_path: Path) -> None:
        done = typed("export", samples / "dir-png", tmp_path / "a" / "clip.mp4", "--start", "0.1s", "--end", "n3", "--exact")
        assert done.returncode == 1 and "there is no frame from 0.1s to before n3" in done.stderr
        done = typed("export", samples / "dir-png", tmp_path / "a" / "clip.mp4", "--end", "0.01s", "--sidecar", "none")
        assert done.returncode == 0 and "exported 1 frame (position 0) of" in done.stdout
        assert typed("export", samples / "dir-png", tmp_path / "b.mp4", "--copy", "--exact").returncode == 2

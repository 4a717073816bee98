"""``make demo``: what it prints is true, and the contact sheet is there."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

import imgstore


@pytest.fixture(scope="module")
def demo(repository: Path) -> Any:
    """The program as a module."""
    spec = importlib.util.spec_from_file_location("imgstore_demo", repository / "examples" / "demo.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def run_demo(repository: Path, place: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(repository / "examples" / "demo.py"), *map(str, arguments)]
    return subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=300, check=False)


def rows(output: str) -> dict[str, list[str]]:
    """Return the table's rows by format; each is whole within 80 columns."""
    assert max(map(len, output.split("\n\n")[1].splitlines())) < 80
    found = (line.split() for line in output.splitlines())
    return {words[0]: words for words in found if len(words) == 8 and words[0] in imgstore.get_supported_formats()}


@pytest.mark.long
def test_scene(demo: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(demo, "SCENE_FRAMES", 40)
    assert demo.main([]) == 0
    printed = capsys.readouterr().out
    table = rows(printed)
    assert set(table) == set(demo.FORMATS) & set(imgstore.get_supported_formats())
    for fmt, words in table.items():
        path = tmp_path / "demo" / fmt.replace("/", "-")
        with imgstore.new_for_filename(path) as store:
            assert store.frame_count == demo.SCENE_FRAMES
            size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
            assert float(words[1]) == pytest.approx(size / 1e6, abs=0.01)
            right, compared = map(int, words[5].split("/"))
            assert right == compared == 2 * demo.SCENE_FRAMES
            assert (words[6:] == ["exact", "0.00"]) == store.lossless
    assert "contact sheet: " + os.path.join("demo", "contact-sheet.png") in printed
    sheet = cv2.imread(str(tmp_path / "demo" / "contact-sheet.png"))
    assert sheet is not None and sheet.shape[1] > 1000 and sheet.shape[0] > 800
    assert (tmp_path / "demo" / ".gitignore").read_text() == "*\n"
    typed = [line.partition(": ")[2].strip() for line in printed.splitlines()[-2:]]
    assert "info" in typed[0] and "view" in typed[1]
    for line, told in ((typed[0], "avc1/mp4"), (typed[1] + " --help", "Usage")):  # as a person types them
        done = subprocess.run(line, shell=True, cwd=tmp_path, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0 and told in done.stdout, done.stderr


def write_clip(path: Path, count: int) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=20)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        for k in range(count):
            img = np.full((120, 160, 3), 30, np.uint8)
            cv2.circle(img, (20 + 4 * k, 60), 18, (60, 200, 250), -1)
            frame = av.VideoFrame.from_ndarray(img, format="bgr24")
            frame.pts, frame.time_base = k, Fraction(1, 20)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def test_part_of_a_video(demo: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """Where a video goes on beyond what is read of it, that is said; and only there."""
    write_clip(tmp_path / "clip.mp4", 30)
    monkeypatch.setattr(demo, "FORMATS", ("npy",))
    for most, told in ((29, "clip.mp4: the first 29 frames of 160 x 120"), (30, "clip.mp4: 30 frames of 160 x 120")):
        monkeypatch.setattr(demo, "MOST_FRAMES", most)
        assert demo.main([str(tmp_path / "clip.mp4"), "--output", str(tmp_path / "demo")]) == 0
        printed = capsys.readouterr().out
        assert told in printed and ("goes on" in printed) == (most == 29)


@pytest.mark.long
def test_given_video_twice(demo: Any, repository: Path, tmp_path: Path) -> None:
    """A second run replaces what the first one left."""
    path = tmp_path / "clip.mp4"
    write_clip(path, 30)
    assert demo.main([str(path), "--output", str(tmp_path / "results")]) == 0
    result = run_demo(repository, tmp_path, path, "--output", "results")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "clip.mp4: 30 frames of 160 x 120" in result.stdout
    assert set(rows(result.stdout)) >= {"npy", "avc1/mp4"}
    with imgstore.new_for_filename(tmp_path / "results" / "npy") as store:
        assert store.frame_times.tolist() == pytest.approx([k / 20 for k in range(30)])


def test_no_video(repository: Path, tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_text("no video")
    for name in ("clip.mp4", "absent.mp4"):
        result = run_demo(repository, tmp_path, tmp_path / name)
        assert result.returncode == 2
        assert name in result.stderr and "Traceback" not in result.stderr
    assert not (tmp_path / "demo").exists()


def test_judge_tells_a_wrong_frame(demo: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The column "right frame" can be anything but full."""
    monkeypatch.setattr(demo, "SCENE_FRAMES", 60)
    frames = demo.make_scene().frames
    judge = demo.Judge(frames)
    blurred = cv2.GaussianBlur(frames[50], (5, 5), 0)
    assert judge.is_frame(blurred, 50)
    assert not judge.is_frame(blurred, 49) and not judge.is_frame(blurred, 51)
    assert judge.errors(frames[50], 50) == (0, 0.0)
    assert judge.errors(frames[51], 50)[0] > 20


def test_wrong_frames_are_reported(
    demo: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A store that gives a neighbour in place of the frame asked for makes the demo fail."""
    read = imgstore.ImgStore.get_image

    def neighbour(self: Any, frame_number: Any = None, *args: Any, **kwargs: Any) -> Any:
        if frame_number is None:
            return read(self, frame_number, *args, **kwargs)
        img, _ = read(self, max(0, frame_number - 1))
        return img, read(self, frame_number)[1]

    monkeypatch.setattr(imgstore.ImgStore, "get_image", neighbour)
    monkeypatch.setattr(demo, "FORMATS", ("npy",))
    monkeypatch.setattr(demo, "SCENE_FRAMES", 40)
    assert demo.main(["--output", str(tmp_path / "demo")]) == 1
    printed = capsys.readouterr()
    assert "NOT the frames that were recorded: npy" in printed.err
    assert re.search(r"npy .* \d+/\d+ ", printed.out)


def test_contact_sheet(demo: Any, tmp_path: Path) -> None:
    """Thumbnails are the frames that their captions name; few frames make a small sheet."""
    frames = [np.full((60, 80, 3), 10 * k, np.uint8) for k in range(7)]
    recording = demo.Recording("seven grays", frames, [100.0 + k for k in range(7)], 1.0)
    with imgstore.new_for_format("npy", tmp_path / "store", imgshape=(60, 80, 3)) as writer:
        for k, img in enumerate(frames):
            writer.add_image(img, k, recording.times[k])
    with imgstore.new_for_filename(tmp_path / "store") as store:
        sheet = demo.contact_sheet(store, recording)
    height = round(60 * demo.THUMB_WIDTH / 80)
    for k in range(7):
        x = demo.GAP + k % demo.COLUMNS * (demo.THUMB_WIDTH + demo.GAP)
        y = demo.TITLE + k // demo.COLUMNS * (height + demo.CAPTION + demo.GAP)
        assert (sheet[y : y + height, x : x + demo.THUMB_WIDTH] == 10 * k).all()
        caption = sheet[y + height : y + height + demo.CAPTION, x : x + demo.THUMB_WIDTH]
        assert (caption.max(axis=2) < 120).any()  # writing under each

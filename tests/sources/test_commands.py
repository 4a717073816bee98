"""The commands take whatever `imgstore.open` takes."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import pytest
from click.testing import CliRunner, Result
from video_samples import B_FRAMES, encode, number_of, picture

import imgstore
from imgstore import cli


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli.main, [*map(str, arguments)])


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("plain")
    encode(path / "clip.mp4", range(100, 112), options=B_FRAMES)
    (path / "frames").mkdir()
    for k in (9, 10):
        cv2.imwrite(str(path / "frames" / f"{k}.png"), picture(k))
    return path


CASES = [
    ("clip.mp4", list(range(100, 112))),
    ("frames", [9, 10]),
    ("frames/*.png", [9, 10]),
    ("frames/%d.png", [9, 10]),
]
each_case = pytest.mark.parametrize("what, numbers", CASES, ids=[case[0] for case in CASES])


@each_case
def test_info(directory: Path, what: str, numbers: list[int]) -> None:
    facts = json.loads(run("info", "--json", directory / what).stdout)
    assert facts["path"] == str(directory / what) and facts["frame_count"] == len(numbers) and facts["fps"] == 25
    assert facts["has_extra_data"] is False and facts["gaps"]["missing_numbers"] == 0
    if what in ("clip.mp4", "frames"):
        paths = [directory / what] if what == "clip.mp4" else list((directory / what).iterdir())
        assert facts["size"] == sum(path.stat().st_size for path in paths)
    shown = run("info", directory / what)
    assert shown.exit_code == 0 and str(directory / what) in shown.stdout


@each_case
def test_save(directory: Path, tmp_path: Path, what: str, numbers: list[int]) -> None:
    result = run("save", "--source", directory / what, "--format", "npy", tmp_path / "store")
    assert result.exit_code == 0, result.output
    with imgstore.new_for_filename(tmp_path / "store") as store:
        assert [number_of(img) for img, _ in store] == numbers
        assert store.frame_times.tolist() == [k / 25 for k in range(len(numbers))]
        assert store.user_metadata == {"source": Path(what).name}


@each_case
def test_timecodes_and_verify(directory: Path, what: str, numbers: list[int]) -> None:
    lines = run("timecodes", directory / what).stdout.splitlines()
    assert [line for line in lines if line[0].isdigit()] == [f"{k * 40}.000" for k in range(len(numbers))]
    for options, decoded in (([], 1), (["--deep"], len(numbers))):
        result = run("verify", "--json", *options, directory / what)
        report = json.loads(result.stdout)
        assert (result.exit_code, report["ok"], report["frames"]) == (0, True, len(numbers))
        assert report["frames_decoded"] == decoded


def test_verify_finds_what_cannot_be_decoded(directory: Path, tmp_path: Path) -> None:
    for k in range(3):
        cv2.imwrite(str(tmp_path / f"{k}.png"), picture(k))
    (tmp_path / "1.png").write_bytes(b"torn")
    assert run("verify", tmp_path).exit_code == 0
    result = run("verify", "--deep", tmp_path)
    assert result.exit_code == 1 and "frame 1 (number 1)" in result.stdout and "1.png" in result.stdout


@pytest.mark.parametrize("command", ["info", "verify", "timecodes", "view"])
def test_there_is_nothing(tmp_path: Path, command: str) -> None:
    for path in (tmp_path / "absent", tmp_path):
        result = run(command, path)
        assert result.exit_code == 2 and str(path) in result.output and "Traceback" not in result.output
    (tmp_path / "notes.txt").write_text("no video")
    result = run(command, tmp_path / "notes.txt")
    assert result.exit_code in (1, 2) and "notes.txt" in result.output

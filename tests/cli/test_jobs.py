"""``imgstore save --jobs``: what it makes, what it says, and what it refuses. Kills are in `tests/mapping`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from commands import typed
from mapped import contents, write_source
from scenes import WITH_HELPERS

COUNT = 57


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_source(tmp_path_factory.mktemp("source") / "s", "npy", COUNT, shape=(48, 64, 3))


def test_same_as_without(tmp_path: Path, source: Path) -> None:
    keywords = ("--source", source, "--format", "mjpeg/avi", "--gray", "--chunksize", 20, "-o", "quality=90")
    assert typed("save", *keywords, tmp_path / "one").returncode == 0
    result = typed("save", *keywords, "--jobs", 2, tmp_path / "two")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == f"saved {COUNT} frames of {source} to {tmp_path / 'two'}\n"
    assert contents(tmp_path / "two") == contents(tmp_path / "one")


def test_a_video(tmp_path: Path) -> None:
    """The metadata say what it was, and its times are the file's, as without."""
    write_source(tmp_path / "s", "avc1/mp4", COUNT, chunksize=100)
    keywords = ("--source", tmp_path / "s" / "000000.mp4", "--format", "npy", "--chunksize", 30)
    assert typed("save", *keywords, tmp_path / "one").returncode == 0
    assert typed("save", *keywords, "--jobs", 1, tmp_path / "two").returncode == 0
    assert contents(tmp_path / "two") == contents(tmp_path / "one")
    assert contents(tmp_path / "two")["metadata"] == {"source": "000000.mp4"}


def test_damaged_frames_are_left_out(tmp_path: Path) -> None:
    source = write_source(tmp_path / "s", "npy", COUNT, chunksize=100)
    for k in (19, 20, 21):
        (source / "000000" / f"{k:06d}.npy").write_bytes(b"damaged")
    result = typed("save", "--source", source, "--format", "npy", "--chunksize", 20, "--jobs", 2, tmp_path / "d")
    assert result.returncode == 3
    assert result.stdout == f"saved {COUNT - 3} frames of {source} to {tmp_path / 'd'}, 3 frames left out\n"
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith(f"imgstore: warning: {source}: left out: frames 19 to 21 (numbers 137 to 140): ")


@pytest.mark.parametrize(
    "arguments, status, message",
    [
        (("--source", "0"), 2, "--jobs does not go with 0, which is no file"),
        (("--source", "rtsp://somewhere"), 2, "--jobs does not go with rtsp://somewhere, which is no file"),
        (("--source", "nowhere"), 2, "nowhere: there is no such file"),
        (("--preview",), 2, "one goes with neither of the others"),
        (("--cluster", "local"), 2, "one goes with neither of the others"),
        (("--jobs", "0"), 2, "0 is not in the range"),
        (("-o", "cfr=3"), 1, "takes no keyword 'cfr'"),
    ],
)
def test_refusals(tmp_path: Path, source: Path, arguments: tuple[str, ...], status: int, message: str) -> None:
    of = () if "--source" in arguments else ("--source", source)
    result = typed("save", *of, "--jobs", 2, *arguments, tmp_path / "d")
    assert result.returncode == status and message in result.stderr
    assert not (tmp_path / "d").exists()


def test_folders_and_stores_that_are_there(tmp_path: Path, source: Path) -> None:
    keywords = ("save", "--source", source, "--format", "npy", "--jobs", 2)
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "thesis.tex").touch()
    refused = typed(*keywords, tmp_path / "d")
    assert refused.returncode == 1 and "holds files that are no store" in refused.stderr
    (tmp_path / "d" / "thesis.tex").unlink()
    assert typed(*keywords, tmp_path / "d").returncode == 0, "it is empty"
    refused = typed(*keywords, tmp_path / "d")
    assert refused.returncode == 1 and "there is a store already" in refused.stderr
    assert typed(*keywords, "--overwrite", tmp_path / "d").returncode == 0


@pytest.mark.skipif(sys.platform == "win32", reason="no such terminals")
def test_progress_is_shown_at_a_terminal(tmp_path: Path, source: Path) -> None:
    import pty

    command = [sys.executable, "-m", "imgstore", "save", "--source", source, "--format", "npy", "--jobs", "1", tmp_path / "d"]
    ours, theirs = pty.openpty()
    with subprocess.Popen(command, env=WITH_HELPERS, stderr=theirs, stdout=subprocess.PIPE, text=True) as saving:
        os.close(theirs)
        shown = b""
        try:
            while block := os.read(ours, 4096):
                shown += block
        except OSError:  # the other end is closed
            pass
        assert saving.wait() == 0
    os.close(ours)
    assert f"{COUNT}/{COUNT}".encode() in shown

"""What commands say: help with examples, the nearest names, errors in one line, whatever a file is called."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest
from commands import ELSEWHERE, typed
from rounds import long_but
from scenes import write_store

from imgstore import cli

ALL = [command.name for command in cli.COMMANDS]
# colons, formats, spaces, what a shell and click would take for something else, a line break, Unicode, and none
NAMES = [b"a:b", b"100%d", b"-dash", b"~home", b"two  words\nlines", "\u00e4\u4e2d".encode(), b"\xff\xfe"]


@pytest.mark.parametrize("name", [name for name in ALL if name != "save"])
def test_help_has_examples_that_are_whole_at_80_columns(name: str) -> None:
    told = typed(name, "--help")
    assert told.returncode == 0 and f"\n    imgstore {name}" in told.stdout
    assert max(map(len, told.stdout.splitlines())) <= 80


def test_examples_have_options_that_are_there() -> None:
    for command in cli.COMMANDS:
        words = (command.help or "").replace("|", "\n|").splitlines()
        options = {o for parameter in command.params for o in (*parameter.opts, *parameter.secondary_opts)}
        for line in (line for line in words if line.strip().startswith("imgstore ")):
            assert {word for word in line.split() if word.startswith("--")} <= options, line


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["exprot"], "Did you mean export?"), (["xyz"], "There are view, save, export"), (["info", "--plto", "x"], "--plot"),
        (["codecs", "avc1/mp5"], "Did you mean avc1/mp4"), (["export", "a", "b", "--format", "pngg"], "'png'"),
        (["info"], "PATH"), (["verify", "--jobs", "0", "x"], "1<=x<=256"),
    ],
)  # fmt: skip
def test_wrong_use_is_one_line_with_the_nearest_name(arguments: list[str], said: str) -> None:
    done = typed(*arguments)
    (line,) = done.stderr.splitlines()
    assert done.returncode == 2 and done.stdout == ""
    assert line.startswith("imgstore: error: ") and said in line and "--help'" in line


def test_words_of_the_command_not_of_python(tmp_path: Path) -> None:
    path = write_store(tmp_path / "s", "png", 3)
    done = typed("save", "--source", path, path + "2")
    assert done.returncode == 0
    done = typed("save", "--source", path, path + "2")
    assert "--overwrite" in done.stderr and "overwrite=True" not in done.stderr
    done = typed("save", "--source", path, path + "3", "--format", "avc1/mp4", "-o", "cfr=20")
    assert "did you mean crf?" in done.stderr


@pytest.mark.skipif(os.name == "nt" or sys.platform == "darwin", reason="such names are refused there")
@pytest.mark.parametrize("name", long_but([b"\xff\xfe"], NAMES))
def test_any_name(name: bytes, tmp_path: Path) -> None:
    """Stores are read and exported under any name, and what is not there is told of in a line."""
    text = os.fsdecode(name)
    shutil.move(write_store(tmp_path / "s", "mjpeg/avi", 3), tmp_path / text)
    before = Path.cwd()
    os.chdir(tmp_path)
    try:
        for arguments, status in (
            (["info", "--", text], 0), (["info", "--json", "--", text], 0), (["verify", "--", text, text], 0),
            (["verify", "--json", "--", text], 0), (["export", "--", text, f"{text}.mp4"], 0),
            (["export", "--copy", "--", text, f"{text}.mkv"], 0), (["sheet", "--width", "300", "--", text], 0),
            (["repair", "--", text], 0), (["annotate", "--", text, "a=1"], 0), (["index", "--", text], 0),
            (["info", "--", f"{text}none"], 2), (["verify", "--", f"{text}none"], 2), (["repair", "--", f"{text}none"], 2),
            (["export", "--", f"{text}none", "x.mp4"], 2), (["annotate", "--", f"{text}none", "a=1"], 2),
        ):  # fmt: skip
            done = _typed_bytes(*arguments)
            assert done.returncode == status, (arguments, done.stderr)
            assert len(done.stderr.splitlines()) == (1 if status else 0), done.stderr
            if "--json" in arguments:
                json.loads(done.stdout)
    finally:
        os.chdir(before)


def _typed_bytes(*arguments: str) -> subprocess.CompletedProcess[str]:
    """As `typed`, here, and for output that is no Unicode."""
    import contextlib
    import io

    streams = [io.TextIOWrapper(io.BytesIO(), "utf-8", newline="") for _ in range(2)]
    status = 0
    with contextlib.redirect_stdout(streams[0]), contextlib.redirect_stderr(streams[1]):
        try:
            cli.main(list(arguments), prog_name="imgstore")
        except SystemExit as end:
            status = int(end.code or 0)
    texts = []
    for stream in streams:
        stream.flush()
        texts.append(stream.buffer.getvalue().decode("utf-8", "surrogateescape"))  # type: ignore[attr-defined]
    return subprocess.CompletedProcess(list(arguments), status, *texts)


def test_codecs_fits_into_a_terminal_and_tells_of_one() -> None:
    lines = typed("codecs").stdout.splitlines()
    assert len(lines) < 40 and max(len(line) for line in lines if ", by " not in line) <= 80
    told = typed("codecs", "jpg").stdout
    assert told.startswith("format    jpg") and "option" in told
    assert [row["format"] for row in json.loads(typed("codecs", "png+color", "--json").stdout)["formats"]] == ["png"]


@pytest.mark.long
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_as_the_help_tells(shell: str) -> None:
    environment = {**os.environ, "_IMGSTORE_COMPLETE": f"{shell}_source"}
    code = "from imgstore.cli import main; main(prog_name='imgstore')"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, cwd=ELSEWHERE)
    assert "imgstore" in done.stdout and "complete" in done.stdout, done.stderr
    assert f"_IMGSTORE_COMPLETE={shell}_source" in typed("--help").stdout
    words = {"COMP_WORDS": "imgstore exp", "COMP_CWORD": "1" if shell != "fish" else "exp"}
    environment["_IMGSTORE_COMPLETE"] = f"{shell}_complete"
    done = subprocess.run(
        [sys.executable, "-c", code], env={**environment, **words}, capture_output=True, text=True, cwd=ELSEWHERE
    )
    assert "export" in done.stdout


def test_one_is_no_plural(tmp_path: Path) -> None:
    path = write_store(tmp_path / "s", "png", 1)
    for name, *others in (["info"], ["verify"], ["index"], ["export", tmp_path / "a.mp4"], ["sheet", "-o", tmp_path / "a.png"]):
        told = typed(name, path, *others).stdout
        assert "1 frames" not in told and "1 chunks" not in told and "1 files" not in told


def test_each_command_is_a_click_command() -> None:
    assert all(isinstance(command, click.Command) for command in cli.COMMANDS)

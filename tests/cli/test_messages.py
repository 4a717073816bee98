"""What commands say: help with examples, the nearest names, errors in one line, whatever a file is called."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest
import rich.console
from commands import ELSEWHERE, typed
from rounds import long_but
from scenes import write_store

import imgstore
from imgstore import cli
from imgstore.cli._common import make_table

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
        (["codecs", "ffv1"], "Did you mean ffv1/mkv?"), (["save", "a", "b", "--format", "MKV"], "h264/mkv or ffv1/mkv"),
        (["repair", ""], "is empty"), (["save", "clips/*.mp4"], "say where to save clips/*.mp4"),
        (["annotate", "x", "animal"], "animal=VALUE"), (["annotate", "x", "=3"], "has no name"),
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


def test_a_tilde_that_the_shell_has_left_is_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is done to ``./~`` is not done to the home directory."""
    home, here = tmp_path / "home", tmp_path / "here"
    write_store(home, "png", 2)
    write_store(here / "~", "png", 3)
    for variable in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(variable, str(home))
    before = (home / "metadata.yaml").read_bytes()
    for arguments in (["annotate", "./~", "a=1"], ["index", "./~"], ["save", "./~", "./~/../~2"], ["export", "./~", "./~.mp4"],
                      ["save", "--overwrite", "./~2", "./~"], ["timecodes", "./~", "-o", "./~.txt"]):  # fmt: skip
        done = typed(*arguments, cwd=str(here))
        assert done.returncode == 0, (arguments, done.stderr)
    assert (home / "metadata.yaml").read_bytes() == before
    for name in ("~", "~2"):
        with imgstore.open(here / name) as store:
            assert store.frame_count == 3
    assert {"~.mp4", "~.txt"} <= set(os.listdir(here))


def test_what_the_system_refused_is_told_in_words(tmp_path: Path) -> None:
    path = write_store(tmp_path / "s", "png", 2)
    (tmp_path / "file").touch()
    for arguments in (["export", path, tmp_path / "file" / "x.mp4"], ["sheet", path, "-o", tmp_path / "file" / "x.png"],
                      ["save", path, tmp_path / "file" / "x"]):  # fmt: skip
        done = typed(*arguments)
        (line,) = done.stderr.splitlines()
        assert done.returncode == 1 and "[Errno" not in line and str(tmp_path / "file") in line


def test_numbers_in_tables_are_not_folded() -> None:
    table = make_table("store", "lasts", right=frozenset({"lasts"}))
    table.add_row("recordings of the week " * 4, "00:02:24.960")
    console = rich.console.Console(width=40, file=io.StringIO())
    console.print(table)
    assert "00:02:24.960" in console.file.getvalue()  # type: ignore[attr-defined]


def _typed_bytes(*arguments: str) -> subprocess.CompletedProcess[str]:
    """As `typed`, here, and for output that is no Unicode."""
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

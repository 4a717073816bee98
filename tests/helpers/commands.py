"""The commands as a person types them, without a process for each, whose start takes longer than most of them."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import tempfile
import warnings
from pathlib import Path

from imgstore.cli import main

# commands are called there, so that nothing is found by its place in the checkout
ELSEWHERE = tempfile.gettempdir()


def typed(*arguments: object, cwd: str = ELSEWHERE) -> subprocess.CompletedProcess[str]:
    """Call ``imgstore`` with arguments, as its console script does, and return its exit status and what it printed.

    What real processes do otherwise (signals, terminals, pipes, variables) needs real ones, see `test_cli`.
    """
    words = ["imgstore", *(str(argument) for argument in arguments)]
    streams = [io.TextIOWrapper(io.BytesIO(), "utf-8", newline="") for _ in range(2)]
    before = Path.cwd()
    os.chdir(cwd)
    try:
        with (
            contextlib.redirect_stdout(streams[0]),
            contextlib.redirect_stderr(streams[1]),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("default")
            main(words[1:], prog_name=words[0])
    except SystemExit as end:
        assert end.code is None or isinstance(end.code, int)
        status = end.code or 0
    finally:
        os.chdir(before)
    for stream in streams:
        stream.flush()
    printed, told = (stream.buffer.getvalue().decode() for stream in streams)  # type: ignore[attr-defined]
    return subprocess.CompletedProcess(words, status, printed, told)

"""Ctrl-C in the midst of reading, and reading goes on, as in notebooks; Ctrl-C in the midst of recording, and it is whole."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rounds import long_but
from scenes import HELPERS, WITH_HELPERS, write_store

SECONDS = 1.5  # at least: it goes on until there were enough interruptions
OPTIONS: dict[str, dict[str, Any]] = {"default": {}, "b-frames": {"gop_size": 50, "encoder_options": {"bf": "2"}}}


pytestmark = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timers that interrupt on this system")


def run(script: str, *arguments: str) -> list[int]:
    """Run a script beside this file; return the numbers that it prints."""
    command = [sys.executable, str(HELPERS / script), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=WITH_HELPERS)
    assert done.returncode == 0, done.stderr
    return [int(word) for word in done.stdout.split()]


@pytest.mark.parametrize("way", long_but({"at_random"}, ["in_order", "at_random", "in_batches"]))
@pytest.mark.parametrize("options", long_but({"b-frames"}, OPTIONS))
def test_reading_goes_on_after_ctrl_c(tmp_path: Path, options: str, way: str) -> None:
    path = write_store(tmp_path / "s", "avc1/mp4", 150, first=0, chunksize=60, **OPTIONS[options])
    interrupted, read = run("interrupted.py", path, way, str(SECONDS))
    assert interrupted > 20 and read > 20


@pytest.mark.parametrize("fmt", long_but({"avc1/mp4"}, ["npy", "png", "avc1/mp4", "mjpeg/avi"]))
def test_a_recording_that_has_begun_imports_nothing_of_ours(tmp_path: Path, fmt: str) -> None:
    """Ctrl-C in the midst of an import may leave the lock of a module taken, and who imports it next waits for ever."""
    program = (
        "import sys, numpy as np, imgstore\n"
        "with imgstore.new_for_format(sys.argv[2], sys.argv[1], imgshape=(48, 64), chunksize=5) as store:\n"
        "    before = set(sys.modules)\n"
        "    for k in range(12): store.add_image(np.zeros((48, 64), np.uint8), k, k / 10)\n"
        "print([name for name in set(sys.modules) - before if name.startswith('imgstore')])\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "s"), fmt]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize("fmt", long_but({"avc1/mp4"}, ["npy", "avc1/mp4"]))
def test_a_recording_is_whole_after_ctrl_c(tmp_path: Path, fmt: str) -> None:
    (interrupted,) = run("interrupted_writing.py", str(tmp_path), fmt, str(2 * SECONDS))
    assert interrupted > 10

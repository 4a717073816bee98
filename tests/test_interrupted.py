"""Ctrl-C in the midst of reading, as people press it in notebooks, and reading goes on with the same store."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from scenes import write_store

SECONDS = 1.5
OPTIONS: dict[str, dict[str, Any]] = {"default": {}, "b-frames": {"gop_size": 50, "encoder_options": {"bf": "2"}}}


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timers that interrupt on this system")
@pytest.mark.parametrize("way", ["in_order", "at_random", "in_batches"])
@pytest.mark.parametrize("options", OPTIONS)
def test_reading_goes_on_after_ctrl_c(tmp_path: Path, options: str, way: str) -> None:
    path = write_store(tmp_path / "s", "avc1/mp4", 150, first=0, chunksize=60, **OPTIONS[options])
    command = [sys.executable, str(Path(__file__).with_name("interrupted.py")), path, way, str(SECONDS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    interrupted, read = map(int, done.stdout.split())
    assert interrupted > 20 and read > 20

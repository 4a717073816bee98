"""Recordings whose process is killed: what was accepted is there when a fresh process opens them, with no repair."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import killed
import pytest
from commands import typed
from rounds import long_but
from scenes import HELPERS, WITH_HELPERS

import imgstore

FORMATS = ("npy", "png", "bpk", "mjpeg/avi", "h264/mkv", "avc1/mp4", "ffv1/mkv")
CHUNKSIZE = 40
FLUSH_INTERVAL = 1.0

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")


class Recording:
    """A process that records until `kill`."""

    def __init__(self, directory: Path, fmt: str, **options: Any):
        directory.mkdir(parents=True, exist_ok=True)
        self.path, self.log = directory / "store", directory / "log"
        options = {"fps": 100, "chunksize": CHUNKSIZE, "flush_interval": FLUSH_INTERVAL, **options}
        command = [sys.executable, killed.__file__, "record", self.path, fmt, self.log, json.dumps(options)]
        self.process = subprocess.Popen(command, cwd=HELPERS, env=WITH_HELPERS, stderr=subprocess.PIPE)

    def wait_for_frames(self, count: int) -> None:
        """Wait until so many frames have been accepted."""
        deadline = time.monotonic() + 60
        while not self.log.exists() or len(killed.accepted(self.log)[0]) < count:
            if self.process.poll() is not None:
                raise AssertionError(f"the recording ended: {self.process.stderr.read().decode()}")  # type: ignore[union-attr]
            assert time.monotonic() < deadline, "the recording does not get on"
            time.sleep(0.002)

    def kill(self) -> float:
        """Kill the process; return when."""
        when = time.monotonic()
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.communicate()
        return when


def check_in_a_fresh_process(recordings: Sequence[Recording]) -> list[dict[str, Any]]:
    command = [sys.executable, killed.__file__, "check", *(str(recording.path) for recording in recordings)]
    done = subprocess.run(command, env=WITH_HELPERS, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout))


def repair_and_check(recording: Recording) -> dict[str, Any]:
    """Have a killed recording repaired; nothing may be left over, and `verify` must find nothing."""
    for command in (["repair"], ["verify", "--deep"]):
        done = typed(*command, recording.path)
        assert done.returncode == 0, done.stdout + done.stderr
    assert {p.name for p in recording.path.iterdir() if p.name.startswith(".")} <= {".imgstore-index"}
    (result,) = check_in_a_fresh_process([recording])
    return result


@pytest.fixture(autouse=True)
def _usable(request: pytest.FixtureRequest) -> None:
    fmt = request.node.callspec.params.get("fmt") if hasattr(request.node, "callspec") else None
    if fmt is not None and fmt not in imgstore.get_supported_formats():
        pytest.skip(f"needs what writes {fmt}")


@pytest.mark.parametrize("fmt", long_but({"avc1/mp4"}, FORMATS))
def test_killed_while_recording(fmt: str, tmp_path: Path) -> None:
    """Killed inside a chunk, at a border between chunks, and just behind one."""
    recordings = [Recording(tmp_path / str(k), fmt) for k in range(3)]
    waits = [3 * CHUNKSIZE + random.randrange(CHUNKSIZE), 4 * CHUNKSIZE, 4 * CHUNKSIZE + 1]
    killed_at = []
    for recording, frames in zip(recordings, waits, strict=True):
        recording.wait_for_frames(frames)
        time.sleep(random.uniform(0, 0.02))
        killed_at.append(recording.kill())
    found = check_in_a_fresh_process(recordings)
    for recording, result, when in zip(recordings, found, killed_at, strict=True):
        assert not killed.missing(result, recording.log, when, FLUSH_INTERVAL)
        # what a death of the process takes is not a second but nothing
        assert not killed.missing(result, recording.log, when, 0)
    assert repair_and_check(recordings[0]) == found[0] | {"warnings": []}


@pytest.mark.parametrize("fmt", long_but({"mjpeg/avi"}, FORMATS))
def test_killed_in_silence(fmt: str, tmp_path: Path) -> None:
    """A camera stops giving frames: the last one is not held back until another comes."""
    interval = 0.2
    counts = [1, 3]
    recordings = [Recording(tmp_path / str(n), fmt, frames=n, flush_interval=interval) for n in counts]
    killed_at = []
    for recording, frames in zip(recordings, counts, strict=True):
        recording.wait_for_frames(frames)
        time.sleep(1.5 * interval)
        killed_at.append(recording.kill())
    found = check_in_a_fresh_process(recordings)
    assert [result["frames"] for result in found] == counts
    for recording, result, when in zip(recordings, found, killed_at, strict=True):
        assert not killed.missing(result, recording.log, when, interval)

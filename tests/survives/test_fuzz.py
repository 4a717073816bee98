"""Files that hold anything at all are read, or refused with an error of ours; ``benchmarks/fuzz.py`` does it for hours."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import fuzz_finds
import fuzz_targets
import pytest
from scenes import WITH_HELPERS

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="bounds memory with setrlimit")


@pytest.mark.long
def test_what_was_found_stays_mended() -> None:
    command = [sys.executable, "-X", "faulthandler", fuzz_finds.__file__]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=WITH_HELPERS)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    assert f"{len(fuzz_finds.FINDS)} done" in done.stdout


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("readers", [",".join([*fuzz_targets.TARGETS][k::5]) for k in range(5)])
def test_whatever_a_file_holds(readers: str, repository: Path, tmp_path: Path) -> None:
    program = [sys.executable, repository / "benchmarks" / "fuzz.py"]
    if not program[1].is_file():
        pytest.skip("runs in the source tree alone")
    options = ["--readers", readers, "--cases", "8", "--seconds", "300", "--keep", tmp_path / "finds"]
    done = subprocess.run([*program, *options], capture_output=True, text=True, timeout=400, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr

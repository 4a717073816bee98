"""Kill recordings at random moments, and compare what is left with what had been accepted.

    python benchmarks/kills.py [--kills 200] [--formats npy,png,...] [--parallel 8] [--no-peer] [--json FILE]

Each recording runs at 100 frames per second in a process of its own, with chunks of 40 frames and a record of extra
data at every fifth frame. It is killed with SIGKILL at a random moment between 1.5 and 3.5 s; every third one where a
chunk ends and the next begins. Then

* a fresh process opens it without repair: every frame that was accepted more than `flush_interval` (1 s) before the kill
  must be there, with its number, its time and its own picture, and extra data too, and nothing that is listed may be
  unreadable. How many are missing of all that had been accepted up to the kill is in the table as well;
* `imgstore repair` makes an ordinary store of it, `verify --deep` checks that;
* imgstore 0.4.0 reads it (bpk with the original bloscpack). Interpreters that have it are given with ``--peer-python``
  and ``--bpk-python``; without them environments are made, for bpk only where there is a Python 3.8 or 3.9.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
TESTS = HERE.parent / "tests" / "helpers"
sys.path.insert(0, str(TESTS))

import killed  # noqa: E402

FORMATS = ("npy", "png", "bpk", "mjpeg/avi", "h264/mkv", "avc1/mp4", "ffv1/mkv")
UNKNOWN_TO_PEER = ("ffv1/mkv",)  # as a format; its VideoImgStore reads any video that its OpenCV decodes
CHUNKSIZE = 40
FLUSH_INTERVAL = 1.0
PEER = "imgstore==0.4.0"
BPK_PYTHONS = ("3.9", "3.8")


class Kill:
    """One recording, killed once."""

    def __init__(self, directory: Path, fmt: str, at_border: bool):
        self.fmt, self.at_border = fmt, at_border
        directory.mkdir(parents=True)
        self.directory, self.store, self.log = directory, directory / "store", directory / "log"
        self.killed = 0.0
        self.found: dict[str, Any] = {}

    def run(self) -> None:
        """Record and kill."""
        options = {"fps": 100, "chunksize": CHUNKSIZE, "flush_interval": FLUSH_INTERVAL}
        command = [sys.executable, killed.__file__, "record", self.store, self.fmt, self.log, json.dumps(options)]
        process = subprocess.Popen(command, cwd=TESTS, stderr=subprocess.PIPE)
        try:
            self._wait(process, 1)
            time.sleep(random.uniform(1.5, 3.5))
            if self.at_border:
                done = len(killed.accepted(self.log)[0])
                self._wait(process, (done // CHUNKSIZE + 1) * CHUNKSIZE)
                time.sleep(random.uniform(0, 0.012))
            self.killed = time.monotonic()
        finally:
            os.kill(process.pid, signal.SIGKILL)
            process.communicate()

    def _wait(self, process: subprocess.Popen[bytes], frames: int) -> None:
        while not self.log.exists() or len(killed.accepted(self.log)[0]) < frames:
            if process.poll() is not None:
                raise RuntimeError(f"{self.fmt}: the recording ended: {process.communicate()[1].decode()}")
            time.sleep(0.002)

    def check(self) -> None:
        """Have a fresh process read what is there, then repair and read again."""
        self.found = self._read(sys.executable)
        self.faults = killed.missing(self.found, self.log, self.killed, FLUSH_INTERVAL)
        frames, records = killed.accepted(self.log)
        self.accepted = len(frames)
        self.lost = max(0, len(frames) - self.found["frames"]), max(0, len(records) - self.found["records"])
        self.in_chunk = self.found["frames"] % CHUNKSIZE
        for command in (["repair"], ["verify", "--deep"]):
            done = subprocess.run(
                [sys.executable, "-m", "imgstore", *command, str(self.store)], capture_output=True, text=True
            )
            if done.returncode:
                self.faults.append(f"{' '.join(command)}: {done.stdout[-500:]}{done.stderr[-500:]}")
        self._compare(self._read(sys.executable), "after repair")

    def check_with_peer(self, python: str) -> None:
        """Have imgstore 0.4.0 read what was repaired."""
        self._compare(self._read(python), "0.4.0")

    def _compare(self, result: dict[str, Any], who: str) -> None:
        if result["faults"] or any(result[kind] != self.found[kind] for kind in ("frames", "records")):
            self.faults.append(f"{who}: {result}")

    def _read(self, python: str) -> dict[str, Any]:
        command = [python, killed.__file__, "check", str(self.store)]
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
        done = subprocess.run(command, cwd=self.directory, capture_output=True, text=True, env=environment)
        if done.returncode:
            return {"frames": 0, "records": 0, "faults": [done.stderr[-800:]], "warnings": []}
        (result,) = json.loads(done.stdout.splitlines()[-1])
        return dict(result)


def environment(name: str, interpreter: str, *packages: str) -> str:
    """Make a virtual environment unless it is there; return its interpreter."""
    home = HERE / ".venvs" / name
    python = home / "bin" / "python"
    if not python.exists():
        subprocess.run([interpreter, "-m", "venv", str(home)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *packages], check=True)
    return str(python)


def peers(options: argparse.Namespace) -> dict[str, str]:
    """Return the interpreter that reads each format with imgstore 0.4.0."""
    if options.no_peer:
        return {}
    ours = options.peer_python or environment("imgstore-0.4.0", sys.executable, PEER, "opencv-python", "h5py")
    found = {fmt: ours for fmt in options.formats if fmt != "bpk" and fmt not in UNKNOWN_TO_PEER}
    if "bpk" in options.formats:
        old = options.bpk_python
        for version in BPK_PYTHONS if old is None else ():
            interpreter = shutil.which(f"python{version}")
            if interpreter is not None:
                packages = (PEER, "opencv-python-headless", "bloscpack", "blosc", "setuptools<60")
                old = environment("imgstore-0.4.0-bpk", interpreter, *packages)
                break
        if old is not None:
            found["bpk"] = old
    return found


def main() -> int:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=200, help="per format")
    parser.add_argument("--formats", type=lambda text: text.split(","), default=list(FORMATS), help="comma separated")
    parser.add_argument("--parallel", type=int, default=8, help="recordings at a time")
    parser.add_argument("--peer-python", help="an interpreter that has imgstore 0.4.0")
    parser.add_argument("--bpk-python", help="one that has the original bloscpack too")
    parser.add_argument("--no-peer", action="store_true", help="do without imgstore 0.4.0")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()
    readers = peers(options)
    directory = Path(tempfile.mkdtemp(prefix="imgstore-kills-"))
    rows: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    faults: list[str] = []
    lock = threading.Lock()

    def one(k: int, fmt: str) -> None:
        kill = Kill(directory / f"{fmt.replace('/', '-')}-{k}", fmt, at_border=k % 3 == 0)
        kill.run()
        kill.check()
        if fmt in readers:
            kill.check_with_peer(readers[fmt])
        with lock:
            row = rows[fmt]
            row["kills"] += 1
            row["at a border"] += kill.at_border
            row["accepted"] += kill.accepted
            row["read"] += kill.found["frames"]
            row["lost"] += kill.lost[0]
            row["records lost"] += kill.lost[1]
            row["read by 0.4.0"] += fmt in readers
            row["failed"] += bool(kill.faults)
            faults.extend(f"{kill.directory}: {fault}" for fault in kill.faults)
            if sys.stderr.isatty():
                done = sum(r["kills"] for r in rows.values())
                print(f"\r{done} kills, {len(faults)} faults", end="", file=sys.stderr)
        if not kill.faults:
            shutil.rmtree(kill.directory)

    began = time.monotonic()
    with ThreadPoolExecutor(options.parallel) as pool:
        for _ in pool.map(one, *zip(*((k, fmt) for k in range(options.kills) for fmt in options.formats), strict=True)):
            pass
    columns = ("kills", "at a border", "accepted", "read", "lost", "records lost", "read by 0.4.0", "failed")
    print(f"\n{'format':12}" + "".join(f"{name:>15}" for name in columns))
    for fmt in options.formats:
        print(f"{fmt:12}" + "".join(f"{rows[fmt][name]:15}" for name in columns))
    print(f"{time.monotonic() - began:.0f} s; accepted and lost: frames up to the moment of the kill")
    print("\n".join(faults[:50]))
    if options.json:
        options.json.write_text(json.dumps({"rows": rows, "faults": faults}, indent=1))
    if not faults:
        shutil.rmtree(directory)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())

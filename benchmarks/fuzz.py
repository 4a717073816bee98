"""Fuzz every reader of files: whatever a file holds, reading it ends with what was asked for or with an error of ours.

    python benchmarks/fuzz.py [--seconds 3600] [--cases N] [--readers mp4,mkv] [--jobs 1] [--seed 0] [--keep fuzz-finds]
    python benchmarks/fuzz.py --again fuzz-finds/*

Each case damages one file of a small store, in a way that knows a little of what it is, and looks at the store in every
way. Damage after which lines of imgstore ran that had not run before is kept, to be damaged further. Cases run in a process
of their own with 2 GB of memory and 20 s of the processor's time each. Counted are those in which nothing was found to be
wrong, and those that ended with an error of ours; what ends otherwise (a process that dies or does not end, memory that
runs out, an error that is not one of ours) is kept, with the whole store, in the folder that ``--keep`` names, and
``--again`` looks at such stores again. ``TMPDIR`` says where the stores are: in memory they take a third of the time.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import random
import re
import selectors
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "helpers"))

MEMORY = 2 << 30  # bytes that a case may take at most
PATIENCE = 20.0  # seconds of the processor's that a case may take at most
STILLNESS = 120.0  # seconds in all, for one that waits
SLICE = 30.0  # seconds for which one reader is fuzzed before the next
KEPT = 3  # inputs of each fault that are kept
BAD = ("crash", "hang", "memory", "raw error")


# -- the process that runs the cases ---------------------------------------------------------------------------------


class Coverage:
    """Which lines of imgstore have run."""

    def __init__(self) -> None:
        self._seen: set[tuple[Any, int]] = set()
        self._count = 0
        self._folders: tuple[str, ...] = ()

    def start(self) -> None:
        """Look at all threads from now on."""
        import imgstore

        packages = Path(imgstore.__file__).parent.parent
        self._folders = tuple(str(packages / name) + os.sep for name in ("imgstore", "imgstore_codecs"))
        threading.settrace(self._on_call)
        sys.settrace(self._on_call)

    def stop(self) -> None:
        """Look no longer."""
        sys.settrace(None)
        threading.settrace(None)  # type: ignore[arg-type]

    def new(self) -> int:
        """Return how many lines ran for the first time since this was last asked."""
        before, self._count = self._count, len(self._seen)
        return self._count - before

    def _on_call(self, frame: Any, event: str, argument: Any) -> Any:
        return self._on_line if frame.f_code.co_filename.startswith(self._folders) else None

    def _on_line(self, frame: Any, event: str, argument: Any) -> Any:
        self._seen.add((frame.f_code, frame.f_lineno))
        return self._on_line


def work(reader: str, folder: str, corpus: str, seed: str) -> None:
    """Run a case for each line of stdin and tell of it on stdout; the first line is the number of the first case."""
    import faulthandler
    import resource

    import fuzz_targets
    import mutations

    target = fuzz_targets.TARGETS[reader]
    place, templates = Path(folder), Path(folder) / "templates"
    inputs = list(_inputs(target, templates, Path(corpus)))
    coverage = Coverage()
    for template in sorted(templates.iterdir()):  # what is imported and prepared once is not the first case's
        _look(target, _laid(template, place), random.Random(0), coverage)
    coverage.new()
    used = _status("VmData")
    resource.setrlimit(resource.RLIMIT_DATA, (used + MEMORY, used + MEMORY))
    resource.setrlimit(resource.RLIMIT_FSIZE, (MEMORY, MEMORY))
    for line in sys.stdin:
        case = int(line)
        rng = random.Random(f"{seed} {reader} {case}")
        template, name, content = rng.choice(inputs)
        others = [data for _, other, data in inputs if other.suffix == name.suffix]
        changed = mutations.mutated(content, rng, others, target.mutators)
        store = _laid(template, place)
        (store / name).write_bytes(changed)
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")  # the highest use of memory from here on
        before = _status("VmRSS")
        faulthandler.dump_traceback_later(PATIENCE - 2, repeat=True)
        started = time.process_time()
        outcome, told = _look(target, store, rng, coverage)
        seconds = time.process_time() - started
        faulthandler.cancel_dump_traceback_later()
        taken = max(0, _status("VmHWM") - before)
        if outcome in ("right", "our error") and taken > MEMORY:
            outcome = "memory"
        new = coverage.new()
        if new and outcome in ("right", "our error") and len(changed) <= 1 << 17 and seconds < 5:
            _keep(Path(corpus), template.name, name, changed)
            inputs.append((template, name, changed))
        sys.stdout.write(
            json.dumps({"outcome": outcome, "told": told, "seconds": seconds, "taken": taken, "new": new}) + "\n"
        )
        sys.stdout.flush()


def _look(target: Any, store: Path, rng: random.Random, coverage: Coverage) -> tuple[str, str]:
    import fuzz_targets

    coverage.start()
    try:
        return ("right" if fuzz_targets.look_at(target, store, rng) else "our error"), ""
    except MemoryError:
        return "memory", traceback.format_exc()
    except BaseException:  # a SystemExit is an error as raw as any
        return "raw error", traceback.format_exc()
    finally:
        coverage.stop()


def _laid(template: Path, place: Path) -> Path:
    store = place / "store"
    for left in ("store", "copy", "copy.set-aside", "store.set-aside", "saved"):
        shutil.rmtree(place / left, ignore_errors=True)
    shutil.copytree(template, store)
    return store


def _status(name: str) -> int:
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) << 10 for line in file if line.startswith(name + ":"))


def _inputs(target: Any, templates: Path, corpus: Path) -> Iterator[tuple[Path, Path, bytes]]:
    """Give the files to damage, each with its store: those of the templates, and what was found with them."""
    for template in sorted(templates.iterdir()):
        for pattern in target.files:
            for path in sorted(template.glob(pattern)):
                name = path.relative_to(template)
                yield template, name, path.read_bytes()
                for found in sorted((corpus / template.name / name).glob("*")):
                    yield template, name, found.read_bytes()


def _keep(corpus: Path, template: str, name: Path, content: bytes) -> None:
    folder = corpus / template / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / hashlib.sha256(content).hexdigest()[:16]).write_bytes(content)


# -- the process that starts them and looks on -----------------------------------------------------------------------


@dataclass
class Tally:
    """What came of the cases of one reader."""

    outcomes: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    taken: int = 0
    kept: int = 0


class Worker:
    """A process that runs cases of one reader."""

    def __init__(self, *arguments: str):
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        self._process = subprocess.Popen(
            [sys.executable, "-X", "faulthandler", __file__, "--work", *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors,
        )  # fmt: skip
        assert self._process.stdout is not None
        self._ready = selectors.DefaultSelector()
        self._ready.register(self._process.stdout, selectors.EVENT_READ)
        self._first = True

    def run(self, case: int) -> dict[str, Any]:
        """Run a case; return what its process told, or how that ended."""
        assert self._process.stdin is not None and self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(f"{case}\n".encode())
            self._process.stdin.flush()
        # on a machine that others use too, a clock on the wall says little
        began, used = time.monotonic(), self._seconds_used()
        patience, self._first = PATIENCE + (30 if self._first else 0), False  # the first waits for imports
        while not self._ready.select(1):
            taken = self._seconds_used() - used
            if taken > patience or time.monotonic() - began > STILLNESS:
                self._process.kill()
                self._process.wait()
                return {"outcome": "hang", "told": self._last_words(), "seconds": taken, "taken": 0, "new": 0}
        line = self._process.stdout.readline()
        if line:
            result: dict[str, Any] = json.loads(line)
            return result
        code = self._process.wait()
        if code > 0:
            raise RuntimeError(f"the process that runs the cases failed by itself:\n{self._last_words()}")
        told = f"the process ended ({code})\n{self._last_words()}"
        return {"outcome": "crash", "told": told, "seconds": 0, "taken": 0, "new": 0}

    def _seconds_used(self) -> float:
        fields = Path(f"/proc/{self._process.pid}/stat").read_bytes().rpartition(b")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _last_words(self) -> str:
        self._errors.seek(0)
        return self._errors.read()[-6000:].decode("utf-8", "replace")

    @property
    def is_alive(self) -> bool:
        """Whether it can run another case."""
        return self._process.poll() is None

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            with contextlib.suppress(BrokenPipeError):
                stream.close()
        self._ready.close()
        self._errors.close()


def _signature(outcome: str, told: str) -> str:
    """Say what a fault is, without what differs from case to case."""
    lines = re.findall(r'File ".*?/((?:imgstore|imgstore_codecs)/[^"]+)",? line (\d+)', told)
    where = "" if not lines else ":".join(lines[0] if outcome in ("crash", "hang") else lines[-1])
    last = (
        told.strip().splitlines()[-1]
        if told.strip() and outcome in ("raw error", "memory")
        else told.partition("\n")[0]
    )
    last = re.sub(r"'[^']*'|\"[^\"]*\"|0x[0-9a-f]+|\d+|/\S+", "_", last if outcome != "hang" else "")
    return f"{outcome} {where} {last[:100]}".strip()


def fuzz(reader: str, seconds: float, first: int, options: argparse.Namespace, folder: Path, tally: Tally) -> int:
    """Run cases of one reader for a while, the first of the given number; return the number of the next."""
    place = folder / "place"
    corpus = folder / "corpus"
    arguments = (reader, str(place), str(corpus), str(options.seed))
    worker = Worker(*arguments)
    case, end = first, time.monotonic() + seconds
    try:
        while case == first or (time.monotonic() < end and (options.cases is None or case < options.cases)):
            result = worker.run(case)
            tally.outcomes[result["outcome"]] += 1
            tally.slowest = max(tally.slowest, result["seconds"])
            tally.taken = max(tally.taken, result["taken"])
            tally.kept += bool(result["new"])
            if result["outcome"] in BAD:
                _note(reader, case, result, options.keep, place / "store", tally)
            if not worker.is_alive:
                worker.close()
                worker = Worker(*arguments)
            case += 1
    finally:
        worker.close()
    return case


def _note(reader: str, case: int, result: dict[str, Any], keep: Path, store: Path, tally: Tally) -> None:
    signature = _signature(result["outcome"], result["told"])
    tally.faults[signature] += 1
    if tally.faults[signature] > KEPT:
        return
    name = f"{reader.replace(' ', '-')}-{case}"
    print(f"{name}: {signature}", flush=True)
    shutil.rmtree(keep / name, ignore_errors=True)
    if store.exists():
        shutil.copytree(store, keep / name / "store")
    (keep / name / "told.txt").write_text(f"{reader}\n{signature}\n\n{result['told']}", errors="replace")


def _make_templates(reader: str, folder: Path) -> None:
    """Write a reader's stores, in a process of its own: what writing leaves behind is none of the cases' business."""
    templates = folder / "place" / "templates"
    templates.mkdir(parents=True)
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT / 'tests' / 'helpers')!r}); import pathlib, fuzz_targets;"
        f" fuzz_targets.TARGETS[{reader!r}].make(pathlib.Path({str(templates)!r}))"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)


def run_readers(readers: list[str], options: argparse.Namespace, scratch: Path) -> dict[str, Tally]:
    """Fuzz some readers by turns."""
    tallies = {reader: Tally() for reader in readers}
    cases = dict.fromkeys(readers, 0)
    folders = {reader: scratch / reader.replace(" ", "-") for reader in readers}
    for reader in readers:
        _make_templates(reader, folders[reader])
    share = options.seconds * options.jobs / options.readers_in_all
    rounds = max(1, round(share / SLICE)) if options.cases is None else 1
    for turn in range(rounds):
        for reader in readers:
            first = cases[reader]
            cases[reader] = fuzz(reader, share / rounds, first, options, folders[reader], tallies[reader])
        print(
            f"  turn {turn + 1} of {rounds}: {sum(cases.values())} cases of {', '.join(readers)}",
            file=sys.stderr,
            flush=True,
        )
    return tallies


def look_again(folders: list[Path]) -> int:
    """Look at kept stores again, in every way each; return how many are still not as they should be."""
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT / 'tests' / 'helpers')!r}); import random, pathlib, fuzz_targets\n"
        "for k in range(12): fuzz_targets.look_at(fuzz_targets.TARGETS[sys.argv[1]], pathlib.Path(sys.argv[2]), random.Random(k))"
    )
    bad = 0
    for folder in folders:
        reader = (folder / "told.txt").read_text().partition("\n")[0]
        with tempfile.TemporaryDirectory() as directory:
            store = shutil.copytree(folder / "store", Path(directory) / "store")
            command = [
                "prlimit",
                f"--data={MEMORY + (1 << 29)}",
                sys.executable,
                "-X",
                "faulthandler",
                "-c",
                code,
                reader,
                str(store),
            ]
            try:
                done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE * 12, errors="replace")
                status, told = done.returncode, done.stderr
            except subprocess.TimeoutExpired:
                status, told = 1, "it does not end"
        bad += status != 0
        print(f"{folder.name}: {'as it should be' if not status else f'ends with {status}'}")
        if status:
            print("    " + "\n    ".join(told.strip().splitlines()[-12:]))
    return bad


def _print_table(tallies: dict[str, Tally]) -> None:
    print("| file | cases | nothing wrong | error of ours | " + " | ".join(BAD) + " | slowest | memory |")
    print("|---" * (6 + len(BAD)) + "|")
    for reader, tally in tallies.items():
        numbers = [sum(tally.outcomes.values()), *(tally.outcomes[o] for o in ("right", "our error", *BAD))]
        print(f"| {reader} | {' | '.join(map(str, numbers))} | {tally.slowest:.1f} s | {tally.taken >> 20} MB |")
    every = list(tallies.values())
    numbers = [sum(sum(tally.outcomes.values()) for tally in every)]
    numbers += [sum(tally.outcomes[o] for tally in every) for o in ("right", "our error", *BAD)]
    slowest, taken = max(tally.slowest for tally in every), max(tally.taken for tally in every) >> 20
    print(f"| all | {' | '.join(map(str, numbers))} | {slowest:.1f} s | {taken} MB |")


def main() -> int:
    """Run it; the exit status is 1 where something was not as it should be."""
    if sys.argv[1:2] == ["--work"]:
        work(*sys.argv[2:])
        return 0
    import fuzz_targets

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3600, help="in all (default: 3600)")
    parser.add_argument("--cases", type=int, help="so many of each reader, where the time suffices")
    parser.add_argument("--readers", help=f"some of: {', '.join(fuzz_targets.TARGETS)} (default: all)")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--keep", type=Path, default=Path("fuzz-finds"), help="folder for what fails (default: fuzz-finds)"
    )
    parser.add_argument("--again", type=Path, nargs="+", help="look at these kept stores again, and do nothing else")
    options = parser.parse_args()
    if options.again:
        return 1 if look_again(options.again) else 0
    readers = options.readers.split(",") if options.readers else list(fuzz_targets.TARGETS)
    if unknown := [reader for reader in readers if reader not in fuzz_targets.TARGETS]:
        parser.error(f"no such readers: {', '.join(unknown)}")
    options.readers_in_all = len(readers)
    options.jobs = min(options.jobs, len(readers))
    options.keep.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix="imgstore-fuzz-"))
    try:
        with ThreadPoolExecutor(options.jobs) as pool:
            groups = [readers[job :: options.jobs] for job in range(options.jobs)]
            found = [f.result() for f in [pool.submit(run_readers, group, options, scratch) for group in groups]]
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    tallies = {reader: tally for part in found for reader, tally in part.items()}
    _print_table({reader: tallies[reader] for reader in readers})
    faults = sum((tally.faults for tally in tallies.values()), start=Counter[str]())
    for fault, times in faults.most_common():
        print(f"  {times} x {fault}")
    print("  kept in " + str(options.keep) if faults else "nothing was other than it should be")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())

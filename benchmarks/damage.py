"""Damage stores of every format at random, by the thousand: nothing crashes, and no wrong frame is believed.

    python benchmarks/damage.py [--cases 10000] [--first 0] [--jobs 2]

Each case damages one thing in one store (bytes flipped, files cut, swapped, removed, doubled, grown to 10 GB, ...),
then verifies, reads and repairs it in a process of its own with bounded memory and time. ``--first N --cases 1`` runs
one.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "helpers"))
import damage


def _run(first: int, cases: int, jobs: int, job: int, directory: Path) -> damage.Outcome:
    outcome = damage.Outcome()
    seeds = range(first + job, first + cases, jobs)
    for result, outcome in damage.run_cases(seeds, damage.wanted_formats(), directory / str(job)):
        for told in [result["crash"]] if "crash" in result else result["wrong"]:
            print(f"case {result['seed']}: {told}", flush=True)
        if outcome.cases % 500 == 0:
            print(f"  {outcome.cases} of {len(seeds)} cases in process {job}", file=sys.stderr, flush=True)
    return outcome


def main() -> int:
    """Run it; the exit status is 1 where something was wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="imgstore-damage-"))
    jobs = min(options.jobs, options.cases)
    try:
        with ThreadPoolExecutor(jobs) as pool:
            run = [pool.submit(_run, options.first, options.cases, jobs, job, directory) for job in range(jobs)]
            outcomes = [future.result() for future in run]
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    cases = sum(o.cases for o in outcomes)
    changed = sum(o.changed for o in outcomes)
    found = sum(o.found for o in outcomes)
    harmless = sum(o.harmless for o in outcomes)
    wrong = sum(len(o.wrong) for o in outcomes)
    crashed = sum(len(o.crashed) for o in outcomes)
    unnoticed = sum((o.unnoticed for o in outcomes), start=damage.Counter())
    print(f"{cases} cases over {len(damage.wanted_formats())} formats, {changed} changed something")
    print(f"  verify found        {found}")
    print(f"  read as written     {harmless}  {dict(unnoticed)}")
    print(f"  wrong               {wrong}")
    print(f"  crashed or hung     {crashed}")
    slowest = max(outcomes, key=lambda o: o.slowest)
    print(f"  slowest case        {slowest.slowest:.1f} s (case {slowest.slowest_case})")
    print(f"  peak memory         {max(o.peak for o in outcomes) / 2**20:.0f} MiB")
    return 1 if wrong or crashed else 0


if __name__ == "__main__":
    sys.exit(main())

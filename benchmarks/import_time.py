"""How long ``import imgstore`` takes beside ``import numpy``, and the first store that is opened after it.

Run ``python benchmarks/import_time.py`` with the Python in which imgstore is installed. Modules are compiled once
before (as pip does when it installs a wheel), whatever PYTHONDONTWRITEBYTECODE says.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile

_PROGRAM = """
import sys, time
t0 = time.perf_counter(); import numpy
t1 = time.perf_counter(); import imgstore
t2 = time.perf_counter(); imgstore.new_for_filename(sys.argv[1])
t3 = time.perf_counter(); imgstore.new_for_filename(sys.argv[1])
print(t1 - t0, t2 - t0, t3 - t2, time.perf_counter() - t3)
"""


def main() -> None:
    """Print the medians of 15 fresh processes."""
    import numpy as np

    import imgstore

    with tempfile.TemporaryDirectory() as directory:
        with imgstore.new_for_format("npy", directory + "/store", imgshape=(8, 8)) as store:
            for k in range(10):
                store.add_image(np.zeros((8, 8), np.uint8), k, float(k))
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        environment["PYTHONPYCACHEPREFIX"] = directory + "/compiled"
        runs = []
        for _ in range(16):
            done = subprocess.run(
                [sys.executable, "-c", _PROGRAM, directory + "/store"],
                env=environment, capture_output=True, text=True, check=True,
            )  # fmt: skip
            runs.append([float(word) for word in done.stdout.split()])
    numpy, both, first, second = (statistics.median(run[k] for run in runs[1:]) for k in range(4))
    print(f"import numpy                     {numpy * 1e3:7.1f} ms")
    print(f"import imgstore, numpy included  {both * 1e3:7.1f} ms  {both / numpy:.2f} times numpy")
    print(f"first store opened after it      {first * 1e3:7.1f} ms")
    print(f"second                           {second * 1e3:7.1f} ms")


if __name__ == "__main__":
    main()

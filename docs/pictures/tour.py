"""Make the pictures of docs/tour.md, which its own code draws: the page is run, and what it drew is kept.

    python docs/pictures/tour.py
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
PAGES = HERE.parent.parent / "tests" / "helpers" / "doc_pages.py"


def main() -> None:
    with tempfile.TemporaryDirectory() as place:
        environment = {**os.environ, "PYTHONSAFEPATH": "1", "TZ": "UTC", "COLUMNS": "100", "PYTHONPATH": str(PAGES.parent)}
        subprocess.run([sys.executable, PAGES, HERE.parent / "tour.md"], cwd=place, env=environment, check=True)
        for name in ("sheet", "plot"):
            shutil.copyfile(Path(place) / f"{name}.png", HERE / f"tour-{name}.png")


if __name__ == "__main__":
    main()

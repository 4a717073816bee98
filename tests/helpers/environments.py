"""Environments into which packages are installed as a stranger would, without a network and without installing twice."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import textwrap
from pathlib import Path


class Environment:
    """A virtual environment that borrows the dependencies of this one, but not imgstore, and all of another one."""

    def __init__(self, home: Path, beside: Environment | None = None) -> None:
        self._home = home
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(home)], check=True)
        folder = "Scripts" if os.name == "nt" else "bin"
        self.scripts = home / folder
        self.python = str(self.scripts / "python")
        self.site = Path(self.run("import sysconfig; print(sysconfig.get_path('purelib'))").strip())
        # further .pth files are not read there, so an editable imgstore stays out of sight; an installed one
        # comes after the wheel that is put into this environment
        borrowed = sorted({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})
        if beside is not None:
            borrowed.insert(0, str(beside.site))
        (self.site / "borrowed.pth").write_text("\n".join(borrowed) + "\n")

    def install(self, *what: Path) -> None:
        """Install with pip, without a network."""
        options = ["--quiet", "--no-deps", "--no-index", "--ignore-installed", "--no-build-isolation"]
        command = [sys.executable, "-m", "pip", "--python", self.python, "install", *options, *map(str, what)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr

    def run(self, code: str, *arguments: str) -> str:
        """The output of a program that runs there."""
        return self.call([self.python, "-c", textwrap.dedent(code), *arguments])

    def call(self, command: list[str]) -> str:
        clean = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME", "PYTHONWARNINGS")}
        clean.update(COLUMNS="250", NO_COLOR="1", PYTHONUTF8="1")
        done = subprocess.run(command, capture_output=True, text=True, cwd=self._home, env=clean)
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return done.stdout


def copy(package: Path, to: Path) -> Path:
    """Building leaves files behind, which shall not lie in the source tree."""
    return shutil.copytree(
        package, to / package.name, ignore=shutil.ignore_patterns("build", "*.egg-info", "__pycache__")
    )

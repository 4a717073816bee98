"""What is built, what it needs, how long it takes to import, and the files that build and test it elsewhere."""

from __future__ import annotations

import configparser
import os
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
import time
import zipfile
from email.parser import Parser
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version
from sharing_out import group_of

import imgstore

PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
SCRIPTS = ("imgstore", "imgstore-view", "imgstore-save", "imgstore-test", "imgstore-codecs", "imgstore-index")
IN_TREE = pytest.mark.skipif(
    not (Path(__file__).parents[2] / "pyproject.toml").is_file(), reason="runs in the source tree alone"
)
pytestmark = IN_TREE


def project(repository: Path) -> dict[str, Any]:
    """The content of pyproject.toml."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:  # what pytest reads its own settings with on 3.10
        import tomli as tomllib
    return tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def wheel_names(wheel: Path) -> list[str]:
    return zipfile.ZipFile(wheel).namelist()


@pytest.fixture(scope="module")
def wheel_metadata(wheel: Path) -> Any:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        return Parser().parsestr(archive.read(name).decode())


def source_files(repository: Path, folder: str, suffixes: tuple[str, ...]) -> set[str]:
    """Files of the tree, by their paths from its root."""
    return {
        path.relative_to(repository).as_posix()
        for path in (repository / folder).rglob("*")
        if path.suffix in suffixes and "__pycache__" not in path.parts
    }


def test_sdist_holds_the_sources(sdist: Path, repository: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    wanted = {
        "LICENSE",
        "CITATION.cff",
        "CONTRIBUTING.md",
        "README.md",
        "Makefile",
        "pyproject.toml",
        "setup.py",
        "tox.ini",
        ".ci/run",
        "src_ext/_index.pyx",
    }
    for folder in ("imgstore", "imgstore_codecs", "tests", "examples", "docs", "benchmarks"):
        wanted |= {
            n for n in source_files(repository, folder, (".py", ".md", ".toml", ".typed")) if "/.venvs/" not in n
        }
    wanted |= {p.relative_to(repository).as_posix() for p in (repository / "tests" / "data").rglob("*") if p.is_file()}
    assert wanted - names == set()
    assert [n for n in names if n.endswith((".so", ".pyd", ".c", ".pyc"))] == []


def test_wheel_holds_both_packages_and_the_compiled_index(wheel_names: list[str], repository: Path) -> None:
    wanted = {
        name
        for folder in ("imgstore", "imgstore_codecs")
        for name in source_files(repository, folder, (".py", ".pyi", ".typed", ".html", ".js", ".css", ".svg"))
    }
    assert wanted - set(wheel_names) == set()
    compiled = [n for n in wheel_names if re.fullmatch(r"imgstore/index/_index\..*(so|pyd)", n)]
    assert len(compiled) == 1
    tops = {name.split("/")[0] for name in wheel_names}
    assert {t for t in tops if not t.endswith(".dist-info")} == {"imgstore", "imgstore_codecs"}
    assert any(name.endswith("licenses/LICENSE") for name in wheel_names)


def test_wheel_metadata(wheel_metadata: Any) -> None:
    assert wheel_metadata["Name"] == "imgstore"
    assert wheel_metadata["Version"] == imgstore.__version__
    assert wheel_metadata["License-Expression"] == "BSD-3-Clause"
    assert wheel_metadata["Requires-Python"] == ">=3.10"
    assert {"bloscpack", "test", "dev"} <= set(wheel_metadata.get_all("Provides-Extra"))
    classified = {c.rpartition(" ")[2] for c in wheel_metadata.get_all("Classifier") if ":: 3." in c}
    assert classified == set(PYTHONS)


def test_version_is_told_once(repository: Path) -> None:
    """Whoever cites this version, or reads what is new in it, finds its number."""
    citation = yaml.safe_load((repository / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == imgstore.__version__
    (newest, *_) = re.findall(r"^## (\S+) \((\S+)\)$", (repository / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert newest == (citation["version"], str(citation["date-released"]))


def test_wheel_scripts(wheel: Path, wheel_names: list[str]) -> None:
    (name,) = (n for n in wheel_names if n.endswith("entry_points.txt"))
    parser = configparser.ConfigParser()
    with zipfile.ZipFile(wheel) as archive:
        parser.read_string(archive.read(name).decode())
    scripts = dict(parser["console_scripts"])
    assert sorted(scripts) == sorted(SCRIPTS)
    for target in scripts.values():
        module, _, function = target.partition(":")
        assert callable(getattr(__import__(module, fromlist=[function]), function)), target


def test_lowest_versions_are_tested(repository: Path) -> None:
    """`tox -e lowest` pins what pyproject.toml allows at least, package by package."""
    content = project(repository)["project"]
    wanted = [*content["dependencies"], *content["optional-dependencies"]["bloscpack"]]
    tox = configparser.ConfigParser()
    tox.read(repository / "tox.ini")
    pinned = {
        pin.name: next(iter(pin.specifier)).version.removesuffix(".*")
        for pin in map(Requirement, tox["testenv:lowest"]["deps"].split())
    }
    for requirement in map(Requirement, wanted):
        (bound,) = [s for s in requirement.specifier if s.operator != "<"]
        assert bound.operator == ">="
        assert Version(pinned[requirement.name]) == Version(bound.version), requirement


def test_tox_runs_every_python(repository: Path) -> None:
    tox = configparser.ConfigParser()
    tox.read(repository / "tox.ini")
    listed = tox["tox"]["env_list"]
    assert "py{" + ",".join(p.replace(".", "") for p in PYTHONS) + "}" in listed
    for environment in ("lowest", "interop", "lint", "types"):
        assert environment in listed
        assert f"testenv:{environment}" in tox


def test_wheel_workflow(repository: Path) -> None:
    """Wheels are built and tested on three systems for every Python."""
    path = repository / ".github" / "workflows" / "wheels.yml"
    if not path.is_file():
        pytest.skip("not in the sdist")
    workflow = yaml.safe_load(path.read_text())
    job = workflow["jobs"]["wheels"]
    matrix = job["strategy"]["matrix"]
    assert {system.split("-")[0] for system in matrix["os"]} == {"ubuntu", "macos", "windows"}
    assert matrix["python"] == ["cp" + p.replace(".", "") for p in PYTHONS]
    assert job["runs-on"] == "${{ matrix.os }}"
    (build,) = (step for step in job["steps"] if "cibuildwheel" in step.get("uses", ""))
    assert build["env"]["CIBW_BUILD"] == "${{ matrix.python }}-*"
    settings = project(repository)["tool"]["cibuildwheel"]
    assert settings["build"] == [p + "-*" for p in matrix["python"]]
    assert settings["test-command"][0] == "imgstore-test"
    assert settings["test-extras"] == ["test"]


def test_makefile_says_that_no_interpreter_will_do(repository: Path, tmp_path: Path, need_tool: Any) -> None:
    make = need_tool("make")
    shutil.copy(repository / "Makefile", tmp_path)
    (tmp_path / "python3").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "python3").chmod(0o755)
    done = subprocess.run(
        [make, f"PYTHON={tmp_path / 'python3'}", ".venv/made"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode != 0
    assert "needs Python 3.10 or newer" in done.stderr
    assert not (tmp_path / ".venv").exists()


def test_makefile_installs_once(repository: Path, tmp_path: Path, need_tool: Any) -> None:
    """With both stamps newer than the sources, make test only runs pytest; whatever this pytest was given."""
    make = need_tool("make")
    for name in ("Makefile", "pyproject.toml", "setup.py", "src_ext/_index.pyx", "imgstore/_version.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(repository / name, tmp_path / name)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "PYTEST_"))}
    past = time.time() - 1000
    for name in ("made", "installed"):
        (tmp_path / ".venv").mkdir(exist_ok=True)
        (tmp_path / ".venv" / name).touch()
    for path in tmp_path.rglob("*"):
        if path.is_file() and ".venv" not in path.parts:
            os.utime(path, (past, past))
    done = subprocess.run([make, "--dry-run", "test"], cwd=tmp_path, capture_output=True, text=True, env=environment)
    assert "pip install" not in done.stdout and "venv .venv" not in done.stdout
    command = shlex.split(done.stdout.splitlines()[-1])
    assert command[0] == ".venv/bin/pytest" and command[-2:] == ["-m", "not long"]
    os.utime(tmp_path / "src_ext" / "_index.pyx")
    os.utime(tmp_path / ".venv" / "installed", (past, past))
    done = subprocess.run([make, "--dry-run", "test"], cwd=tmp_path, capture_output=True, text=True, env=environment)
    assert "--editable '.[test,bloscpack]'" in done.stdout


def run_python(code: str, cwd: Path) -> str:
    """The output of a fresh interpreter, started where no checkout is."""
    done = subprocess.run([sys.executable, "-c", code], cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_import_brings_nothing_heavy(tmp_path: Path) -> None:
    code = "import sys, imgstore; print(*sorted(m.partition('.')[0] for m in sys.modules))"
    loaded = set(run_python(code, tmp_path).split())
    assert (
        loaded & {"cv2", "pandas", "av", "h5py", "tqdm", "click", "rich", "blosc", "sqlite3", "imgstore_codecs"}
        == set()
    )


def test_one_process_builds_the_wheel(request: pytest.FixtureRequest) -> None:
    """Whatever needs it is in the group of tests that several processes do not share out."""
    needing = [i.nodeid for i in request.session.items if {"sdist", "wheel"} & set(getattr(i, "fixturenames", ()))]
    assert {group_of(nodeid) for nodeid in needing} <= {"the wheel"}  # none where these were not asked for


def test_a_checkout_that_is_not_compiled_says_what_to_do(repository: Path, tmp_path: Path) -> None:
    shutil.copytree(repository / "imgstore", tmp_path / "imgstore", ignore=shutil.ignore_patterns("*.so", "*.pyd"))
    # -S: what an editable installation adds would find the compiled module where it was compiled
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    command = [sys.executable, "-S", "-c", "import imgstore"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)
    last = done.stderr.strip().splitlines()[-1]
    assert done.returncode == 1 and last.startswith(f"ImportError: imgstore in {tmp_path} is not compiled")
    assert "make install" in last and "pip install -e ." in last

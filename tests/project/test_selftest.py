"""The check that a person runs after installing."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import imgstore
from imgstore import plugins
from imgstore.selftest import test_formats as suite

pytestmark = pytest.mark.long  # a process of pytest within pytest for each; `.ci/run` calls the command itself too

FAULTY_PLUGIN = '''
import imgstore
from imgstore.codec import Format, FrameCodec


class Faulty(FrameCodec):
    """Claims to be lossless, and is not."""

    name = "faulty"
    formats = (Format("faulty", ".faulty", lossless=True),)

    def encoder(self, fmt, spec, options):
        return lambda img: [img.tobytes()]

    def decoder(self, fmt, spec):
        def decode(data):
            img = data.reshape(spec.shape)
            img.flat[0] ^= 1
            return img

        return decode


class Absent(Faulty):
    name = "absent"
    formats = (Format("absent", ".absent", lossless=True),)

    def missing(self, fmt):
        return "the moon is not full"


@imgstore.hookimpl
def imgstore_codecs():
    return [Faulty(), Absent()]
'''


def check(*arguments: str, **kwargs: Any) -> subprocess.CompletedProcess[str]:
    """Run ``imgstore test`` in a process of its own, without what this pytest has in the environment."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    environment.update(kwargs.pop("environment", {}))
    command = [sys.executable, "-m", "imgstore", "test", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, env=environment, **kwargs)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[subprocess.CompletedProcess[str], Path]:
    """One run of the check, of gray pictures, from an empty directory."""
    place = tmp_path_factory.mktemp("anywhere")
    return check("-k", "not colour and not raw_camera", cwd=place), place


def test_passes_here(run: tuple[subprocess.CompletedProcess[str], Path]) -> None:
    """It ends in pytest's own summary line, exit status 0, and leaves nothing behind."""
    result, place = run
    assert result.returncode == 0, result.stdout + result.stderr
    last = result.stdout.rstrip().splitlines()[-1]
    assert re.fullmatch(r"=+ (\d+) passed(, \d+ skipped)?(, \d+ deselected)?(, \d+ warnings?)? in [\d.]+s.* =+", last), last
    assert list(place.iterdir()) == []


def test_every_usable_format_is_checked(run: tuple[subprocess.CompletedProcess[str], Path]) -> None:
    result, _ = run
    (usable,) = (line for line in result.stdout.splitlines() if line.startswith("usable: "))
    assert usable.removeprefix("usable: ").split(", ") == imgstore.get_supported_formats()
    names = {parameters.id for parameters in suite.ROUND_TRIPS if not parameters.marks}
    for entry in plugins.registered_codecs():
        if entry.codec.missing(entry.format) is None:
            assert any(name.startswith(f"{entry.format.name}-{entry.codec.name}-gray") for name in names)


def test_what_is_not_usable_is_said_and_why(run: tuple[subprocess.CompletedProcess[str], Path]) -> None:
    result, _ = run
    for entry in plugins.registered_codecs():
        missing = entry.codec.missing(entry.format)
        if missing is not None:
            assert f"not usable: {entry.format.name} ({entry.codec.name}): {missing}" in result.stdout
            assert f"{entry.format.name}-{entry.codec.name} cannot be used here: {missing}" in result.stdout


@pytest.fixture
def faulty_plugin(tmp_path: Path) -> dict[str, str]:
    """The environment in which a plugin with a lossy "lossless" format, and one that is not usable, are installed."""
    place = tmp_path / "site"
    info = place / "imgstore_faulty-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: imgstore-faulty\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[imgstore]\nfaulty = imgstore_faulty_module\n")
    (place / "imgstore_faulty_module.py").write_text(FAULTY_PLUGIN)
    return {"PYTHONPATH": os.pathsep.join([str(place), os.environ.get("PYTHONPATH", "")])}


def test_a_codec_that_changes_frames_fails(faulty_plugin: dict[str, str], tmp_path: Path) -> None:
    """The check can fail: a single wrong bit in a format that says it is lossless, with pytest's exit status."""
    result = check("-k", "faulty or absent", cwd=tmp_path, environment=faulty_plugin)
    assert result.returncode == 1
    assert "FAILED" in result.stdout and "test_round_trip[faulty-faulty-gray-uint8]" in result.stdout
    assert "not usable: absent (absent): the moon is not full" in result.stdout


def test_arguments_go_to_pytest(tmp_path: Path) -> None:
    result = check("-k", "test_list_of_formats", "-v", cwd=tmp_path)
    assert result.returncode == 0
    assert "1 passed" in result.stdout and "test_list_of_formats PASSED" in result.stdout
    assert check("-k", "no_such_test", cwd=tmp_path).returncode == pytest.ExitCode.NO_TESTS_COLLECTED


def test_configuration_around_it_has_no_say(tmp_path: Path) -> None:
    """It is called from within some other project, whose pytest.ini and conftest.py are not meant for it."""
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --no-such-option\n")
    (tmp_path / "conftest.py").write_text("raise RuntimeError('not yours')\n")
    result = check("-k", "test_list_of_formats", cwd=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr


def test_read_only_installation_and_directory(tmp_path: Path) -> None:
    """The package lies where nobody may write, and so does the directory in which it is called."""
    site = tmp_path / "site"
    for package in ("imgstore", "imgstore_codecs"):
        module = __import__(package)
        shutil.copytree(Path(module.__file__).parent, site / package, ignore=shutil.ignore_patterns("__pycache__"))
    before = sorted(site.rglob("*"))
    for path in [site, *before]:
        path.chmod(path.stat().st_mode & ~(stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH))
    try:
        result = check("-q", "-k", "npy", cwd=site, environment={"PYTHONPATH": str(site)})
        after = sorted(path for path in site.rglob("*") if "__pycache__" not in path.parts)
    finally:
        for path in [site, *before]:
            path.chmod(path.stat().st_mode | stat.S_IWUSR)
    assert result.returncode == 0, result.stdout + result.stderr
    assert after == before  # root could have written


def test_without_pytest(tmp_path: Path) -> None:
    """It says what to install."""
    (tmp_path / "pytest.py").write_text("raise ImportError('hidden by a test')\n")
    result = check(cwd=tmp_path, environment={"PYTHONPATH": str(tmp_path)})
    assert result.returncode == 1
    assert "pip install 'imgstore[test]'" in result.stderr and "Traceback" not in result.stderr


def test_function(tmp_path: Path) -> None:
    """``imgstore.test()`` gives the exit status."""
    code = "import sys, imgstore; sys.exit(imgstore.test())"
    environment = {**os.environ, "PYTEST_ADDOPTS": "-k test_list_of_formats"}
    command = [sys.executable, "-c", code]
    result = subprocess.run(
        command, capture_output=True, text=True, timeout=300, cwd=tmp_path, env=environment, check=False
    )
    assert result.returncode == 0 and "1 passed" in result.stdout


@pytest.mark.parametrize("shape", [(suite.HEIGHT, suite.WIDTH), (suite.HEIGHT, suite.WIDTH, 3)])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int32", "float32", "int8"])
def test_pictures_of_the_check_tell_numbers_apart(shape: tuple[int, ...], dtype: str) -> None:
    """What the check takes a frame's number from is right, also after a lossy codec has blurred it."""
    noise = np.random.default_rng(3)
    for number in [0, 1, 2**suite.BITS - 1, *suite.NUMBERS]:
        img = suite.make_frame(number, shape, dtype)
        assert img.shape == shape and img.dtype == dtype
        assert suite.shown_number(img) == number
        spread = float(img.max()) - float(img.min())
        assert suite.shown_number(img + noise.normal(0, spread * 0.1, shape)) == number

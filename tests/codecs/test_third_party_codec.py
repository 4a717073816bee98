"""The example codec, and plugins that are broken, installed with pip into an environment of its own."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from environments import Environment, copy

BROKEN = {  # plugin -> what its report has to say; see broken_plugin/
    "imgstore-broken:no-import": "a_library_that_nobody_has",
    "imgstore-broken:no-module": "no_such_module",
    "imgstore-broken:no-hook": "no_such_argument",
    "imgstore-broken:no-codec": "a codec",
    "imgstore-broken:raises": "no codecs today",
}


@pytest.fixture(scope="module")
def with_broken(environment: Environment, repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """The broken plugins beside the working ones."""
    made = Environment(tmp_path_factory.mktemp("broken"), beside=environment)
    made.install(copy(repository / "tests" / "codecs" / "broken_plugin", tmp_path_factory.mktemp("broken-plugin")))
    return made


def test_the_wheel_is_what_runs(environment: Environment) -> None:
    found = environment.run("import imgstore, imgstore_webp; print(imgstore.__file__); print(imgstore_webp.__file__)")
    assert [Path(line).parents[1] for line in found.split()] == [environment.site, environment.site]


@pytest.mark.long
def test_the_examples_own_tests_pass(environment: Environment, repository: Path, tmp_path: Path) -> None:
    tests = copy(repository / "examples" / "third_party_codec" / "tests", tmp_path)
    said = environment.call([environment.python, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tests)])
    assert " passed" in said and "skipped" not in said


def test_it_is_listed_with_its_package(environment: Environment) -> None:
    formats = json.loads(environment.run("import imgstore, json; print(json.dumps(imgstore.get_supported_formats()))"))
    assert "webp" in formats and "npy" in formats
    shown = environment.call([str(environment.scripts / "imgstore-codecs")])
    (line,) = (line for line in shown.splitlines() if "webp" in line.split())
    assert "imgstore-webp" in line
    assert ".webp" in line
    assert "lossless" in line


ROUND_TRIP = """
    import sys, warnings
    import numpy as np
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        import imgstore
        for fmt in ("webp", "npy", "png", "mjpeg/avi"):
            frames = np.random.default_rng(0).integers(0, 256, (12, 48, 64, 3), dtype=np.uint8)
            base = f"{sys.argv[1]}/{fmt.replace('/', '-')}"
            with imgstore.new_for_format(fmt, basedir=base, imgshape=(48, 64, 3), chunksize=5) as store:
                for n, img in enumerate(frames):
                    store.add_image(img, n, n / 10)
            with imgstore.new_for_filename(base) as store:
                assert store.frame_count == 12
                for n in (11, 3, 7, 0):
                    img, (number, time) = store.get_image(n)
                    assert (number, time) == (n, n / 10)
                    assert fmt == "mjpeg/avi" or np.array_equal(img, frames[n])
    import json
    from imgstore.plugins import broken_plugins
    print(json.dumps([[str(w.message) for w in caught], broken_plugins()]))
"""


def test_nothing_is_reported_without_fault(environment: Environment, tmp_path: Path) -> None:
    warned, broken = json.loads(environment.run(ROUND_TRIP, str(tmp_path)))
    assert warned == []
    assert broken == {}


def test_broken_plugins_are_reported_by_name_and_hurt_nothing(with_broken: Environment, tmp_path: Path) -> None:
    warned, broken = json.loads(with_broken.run(ROUND_TRIP, str(tmp_path)))
    assert set(broken) == set(BROKEN)
    for name, fault in BROKEN.items():
        assert fault in broken[name]
        (report,) = (message for message in warned if repr(name) in message)
        assert fault in report
    assert len(warned) == len(BROKEN)


def test_broken_plugins_are_shown(with_broken: Environment) -> None:
    shown = with_broken.call([with_broken.python, "-m", "imgstore", "codecs"])
    for name in BROKEN:
        assert name in shown
    assert "webp" in shown and "npy" in shown


def blocks(page: str, language: str) -> list[str]:
    """The code blocks of a page in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page, flags=re.MULTILINE | re.DOTALL)


def test_the_page_leads_to_an_installed_codec(
    environment: Environment, repository: Path, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    """The files that docs/writing-a-codec.md shows, installed as it says, and its last program."""
    page = (repository / "docs" / "writing-a-codec.md").read_text(encoding="utf-8")
    module, tried, used = blocks(page, "python")
    (project,) = blocks(page, "toml")
    (tmp_path / "imgstore_zraw.py").write_text(module)
    (tmp_path / "pyproject.toml").write_text(project)
    made = Environment(tmp_path_factory.mktemp("page"), beside=environment)
    formats = json.loads(made.run("import imgstore, json; print(json.dumps(imgstore.get_supported_formats()))"))
    assert "zraw" not in formats
    made.run(f"{module}\n{tried}")
    made.install(tmp_path)
    setting = (
        "import imgstore\nimport numpy as np\nframes = np.arange(20 * 48 * 64, dtype=np.uint16).reshape(20, 48, 64)\n"
    )
    check = "\nimg, (number, time) = record('installed')\nassert number == 7 and np.array_equal(img, frames[7])\n"
    made.run(setting + used + check)
    assert blocks(page, "console") == ["$ pip install .\n$ imgstore-codecs\n"]
    shown = made.call([made.python, "-m", "imgstore", "codecs"])
    (line,) = (line for line in shown.splitlines() if "zraw" in line.split())
    assert "imgstore-zraw" in line and ".zraw" in line and "lossless" in line

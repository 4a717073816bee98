"""The example plugin that archives, installed into an environment of its own, also beside plugins that are broken."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from environments import Environment, copy

SETUP = """
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"
[project]
name = "imgstore-bad-company"
version = "0.0.0"
[project.entry-points.imgstore]
raises = "bad_company_raises"
hangs = "bad_company_hangs"
[tool.setuptools]
py-modules = ["bad_company_raises", "bad_company_hangs"]
"""
RAISES = """
from imgstore.hookspecs import hookimpl

@hookimpl
def imgstore_chunk_closed(store, chunk, paths):
    raise RuntimeError("no chunk today")
"""
HANGS = """
import time
from imgstore.hookspecs import hookimpl

@hookimpl
def imgstore_chunk_closed(store, chunk, paths):
    time.sleep(3600)
"""

RECORD = """
    import json, os, sys, time, warnings
    import numpy as np
    base, fmt, through, patience = sys.argv[1:]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        import imgstore
        import imgstore.writing.listeners
        imgstore.writing.listeners.PATIENCE = float(patience)
        def frame(n):
            img = np.zeros((64, 64), np.uint8)
            img.reshape(4, 16, 4, 16)[...] = ((n >> np.arange(16)) & 1).reshape(4, 1, 4, 1) * 255
            return img
        store = imgstore.new_for_format(fmt, base, imgshape=(64, 64), chunksize=10, metadata={"animal": "fly"})
        sink = imgstore.Recorder(store) if through == "recorder" else store
        began = time.monotonic()
        for n in range(45):
            sink.add_image(frame(n), n, n / 10)
            if n % 5 == 0:
                sink.add_extra_data(temperature=n)
        seen = set()
        archive = os.path.join(os.environ["IMGSTORE_ARCHIVE"], os.path.basename(base))
        while len(seen) < 3 and time.monotonic() - began < 60:  # the recording is still going on
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    seen |= set(imgstore.new_for_filename(archive).chunks)
            except ValueError:
                pass
            time.sleep(0.05)
        during = sorted(seen)
        closing = time.monotonic()
        sink.close()
        closing = time.monotonic() - closing
        result = {}
        for name, path in (("store", base), ("archive", archive)):
            with imgstore.new_for_filename(path) as store:
                order = [44, 3, 17, 0, 29]
                shown = [sum(1 << k for k in range(16) if store.get_image(n)[0][k // 4 * 16 + 8, k % 4 * 16 + 8] > 127)
                         for n in order]
                assert shown == order, shown
                extra = store.get_extra_data()
                result[name] = [store.frame_numbers.tolist(), store.frame_times.tolist(), extra["temperature"].tolist(),
                                store.user_metadata["animal"]]
    print(json.dumps({"during": during, "closing": closing, "caught": [str(w.message) for w in caught], **result}))
"""


@pytest.fixture(scope="module")
def in_bad_company(environment: Environment, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """The same, beside a plugin that raises and one that hangs."""
    bad = tmp_path_factory.mktemp("bad") / "company"
    bad.mkdir()
    (bad / "pyproject.toml").write_text(SETUP)
    (bad / "bad_company_raises.py").write_text(RAISES)
    (bad / "bad_company_hangs.py").write_text(HANGS)
    made = Environment(tmp_path_factory.mktemp("in-bad-company"), beside=environment)
    made.install(bad)
    return made


def content(root: Path) -> dict[str, bytes]:
    """Every file of a store that is not hidden."""
    files = (path for path in root.rglob("*") if path.is_file() and not path.name.startswith("."))
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}


def check(result: dict[str, object], tmp_path: Path) -> None:
    """See that nothing is lost, and that the archive is the store."""
    assert result["store"] == result["archive"]
    assert result["store"] == [list(range(45)), [n / 10 for n in range(45)], list(range(0, 45, 5)), "fly"]
    assert content(tmp_path / "archive" / "s") == content(tmp_path / "s") != {}
    assert {0, 1, 2} <= set(result["during"])  # type: ignore[call-overload]


@pytest.mark.parametrize("through", ["store", "recorder"])
@pytest.mark.parametrize("fmt", ["npy", "avc1/mp4"])
def test_what_is_recorded_is_in_the_archive(
    environment: Environment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fmt: str, through: str
) -> None:
    monkeypatch.setenv("IMGSTORE_ARCHIVE", str(tmp_path / "archive"))
    result = json.loads(environment.run(RECORD, str(tmp_path / "s"), fmt, through, "60"))
    check(result, tmp_path)
    assert result["caught"] == []


@pytest.mark.parametrize("fmt", ["npy", "avc1/mp4"])
def test_plugins_that_raise_and_hang_hurt_neither_recording_nor_archive(
    in_bad_company: Environment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fmt: str
) -> None:
    monkeypatch.setenv("IMGSTORE_ARCHIVE", str(tmp_path / "archive"))
    result = json.loads(in_bad_company.run(RECORD, str(tmp_path / "s"), fmt, "store", "3"))
    check(result, tmp_path)
    assert 2.9 < result["closing"] < 30  # the one that hangs is waited for no longer than that
    (report,) = result["caught"]
    assert "imgstore-bad-company:raises" in report and "no chunk today" in report


@pytest.mark.long
def test_the_examples_own_tests_pass(environment: Environment, repository: Path, tmp_path: Path) -> None:
    tests = copy(repository / "examples" / "archive_plugin" / "tests", tmp_path)
    options = ["-q", "-p", "no:cacheprovider", f"--basetemp={tmp_path / 'their own'}"]
    said = environment.call([environment.python, "-m", "pytest", *options, str(tests)])
    assert " passed" in said and "skipped" not in said and "warning" not in said, said


def test_the_command_completes_an_archive(environment: Environment, tmp_path: Path) -> None:
    environment.run(
        """
        import sys, numpy as np, imgstore
        with imgstore.new_for_format("png", sys.argv[1], imgshape=(8, 8), chunksize=2) as store:
            for n in range(5):
                store.add_image(np.full((8, 8), n, np.uint8), n, n)
        """,
        str(tmp_path / "s"),
    )
    assert not (tmp_path / "archive").exists()
    command = [str(environment.scripts / "imgstore-archive"), str(tmp_path / "s"), str(tmp_path / "archive")]
    assert "3 of 3 chunks copied" in environment.call(command)
    assert content(tmp_path / "archive" / "s") == content(tmp_path / "s")

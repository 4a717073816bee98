"""The commands as a person calls them: real processes, their output, their exit status."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import ELSEWHERE, typed

import imgstore
import imgstore.apps
from imgstore import cli, plugins
from imgstore.cli._facts import _size_on_disk, find_gaps

TIMES = [1_700_000_000.0 + k / 50 for k in range(10)]


def run(*arguments: object, **kwargs: Any) -> subprocess.CompletedProcess[str]:
    """Run ``python -m imgstore`` with arguments, in a process where it takes one to tell it something else."""
    if not kwargs:
        return typed(*arguments)
    command = [sys.executable, "-m", "imgstore", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=ELSEWHERE, **kwargs)


@pytest.fixture
def store_with_gaps(tmp_path: Path) -> Path:
    """Ten frames whose numbers skip 7 to 9, with a pause of 1.5 s before number 14, in two chunks."""
    path = tmp_path / "recording"
    numbers = [3, 4, 5, 6, 10, 11, 12, 13, 14, 15]
    times = [t + (1.5 if number >= 14 else 0) for t, number in zip(TIMES, numbers, strict=True)]
    with imgstore.new_for_format(
        "npy", path, imgshape=(6, 8), imgdtype="uint16", chunksize=6, metadata={"animal": "zebra finch", "weight": 12.5}
    ) as store:
        for number, time in zip(numbers, times, strict=True):
            store.add_image(np.full((6, 8), number, np.uint16), number, time)
        store.add_extra_data(temperature=21.5)
    return path


class TestInfo:
    @pytest.mark.skipif(os.name == "nt", reason="making a link takes a privilege there")
    def test_size_with_links_that_lead_nowhere(self, store_with_gaps: Path) -> None:
        size = _size_on_disk(str(store_with_gaps))
        (store_with_gaps / "notes.txt").symlink_to(store_with_gaps / "not there")
        assert size > 0 and _size_on_disk(str(store_with_gaps)) == size

    def test_json(self, store_with_gaps: Path) -> None:
        result = run("info", "--json", store_with_gaps)
        assert result.returncode == 0, result.stderr
        facts = json.loads(result.stdout)
        assert facts["frame_count"] == 10
        assert (facts["frame_number_first"], facts["frame_number_last"]) == (3, 15)
        assert (facts["frame_number_min"], facts["frame_number_max"]) == (3, 15)
        assert facts["format"] == "npy" and facts["lossless"] is True
        assert facts["shape"] == [6, 8] and facts["dtype"] == "uint16"
        assert facts["chunks"] == [0, 1]
        assert facts["frame_time_min"] == TIMES[0] and facts["frame_time_max"] == TIMES[-1] + 1.5
        assert facts["duration"] == pytest.approx(9 / 50 + 1.5)
        assert facts["fps"] == pytest.approx(50)
        assert facts["gaps"]["missing_numbers"] == 3
        assert facts["gaps"]["number_gaps"] == [{"frame_index": 4, "after": 6, "before": 10, "missing": 3}]
        (pause,) = facts["gaps"]["time_gaps"]
        assert (pause["frame_index"], pause["frame_number"]) == (8, 14)
        assert pause["seconds"] == pytest.approx(1.52)
        assert facts["has_extra_data"] is True and "temperature" in facts["extra_data_columns"]
        assert facts["user_metadata"] == {"animal": "zebra finch", "weight": 12.5}
        assert facts["size"] == sum(f.stat().st_size for f in store_with_gaps.rglob("*") if f.is_file())

    def test_text(self, store_with_gaps: Path) -> None:
        result = run("info", store_with_gaps)
        assert result.returncode == 0, result.stderr
        rows = {line[:13].strip(): line[13:].strip() for line in result.stdout.splitlines() if line[:13].strip()}
        assert rows["frames"] == "10 of 6 x 8, uint16"
        assert rows["format"] == "npy (lossless)"
        assert rows["numbers"] == "3 to 15"
        assert rows["gaps"] == "3 frame numbers are missing, in 1 place"
        assert "3 between 6 and 10" in result.stdout
        assert rows["pauses"].startswith("1 place") and "1.520 s before frame number 14" in result.stdout
        assert "temperature" in rows["extra data"]
        assert "zebra finch" in result.stdout
        assert not any(line != line.rstrip() for line in result.stdout.splitlines())

    def test_metadata_file_as_path(self, store_with_gaps: Path) -> None:
        assert run("info", store_with_gaps / "metadata.yaml").returncode == 0

    def test_no_size(self, store_with_gaps: Path) -> None:
        assert json.loads(run("info", "--json", "--no-size", store_with_gaps).stdout)["size"] is None

    def test_empty_store(self, tmp_path: Path) -> None:
        imgstore.new_for_format("npy", tmp_path / "empty", imgshape=(4, 4)).close()
        result = run("info", tmp_path / "empty")
        assert result.returncode == 0, result.stderr
        assert "0 of 4 x 4" in result.stdout
        facts = json.loads(run("info", "--json", tmp_path / "empty").stdout)
        assert facts["frame_count"] == 0 and facts["frame_time_min"] is None and facts["fps"] is None

    def test_every_sample(self, samples: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """Every store that 0.x or Motif wrote is told of, with the number of frames that it is known to hold."""
        seen = 0
        for expected in sorted(samples.glob("*.expected.json")):
            path = samples / expected.name.removesuffix(".expected.json")
            cli.main(["info", "--json", str(path)], standalone_mode=False)
            facts = json.loads(capsys.readouterr().out)
            if not path.name.startswith("interrupted"):
                frames = json.loads(expected.read_text())["frames"]
                assert facts["frame_count"] == len(frames), path
                seen += 1
        assert seen

    def test_does_not_write(self, store_with_gaps: Path) -> None:
        before = sorted((p, p.stat().st_mtime_ns) for p in store_with_gaps.rglob("*"))
        run("info", store_with_gaps)
        assert sorted((p, p.stat().st_mtime_ns) for p in store_with_gaps.rglob("*")) == before

    def test_output_that_nobody_reads(self, store_with_gaps: Path) -> None:
        """``imgstore info ... | head -1`` ends without a traceback."""
        reading, writing = os.pipe()
        os.close(reading)
        try:
            result = subprocess.run(
                [sys.executable, "-m", "imgstore", "info", str(store_with_gaps)],
                stdout=writing,
                stderr=subprocess.PIPE,
                text=True,
                timeout=120,
                check=False,
                cwd=ELSEWHERE,
            )
        finally:
            os.close(writing)
        assert "Traceback" not in result.stderr and "BrokenPipe" not in result.stderr


class TestFindGaps:
    def test_none(self) -> None:
        gaps = find_gaps(np.arange(5), np.arange(5) / 10)
        assert gaps["missing_numbers"] == 0 and gaps["number_gaps"] == gaps["time_gaps"] == []
        assert gaps["usual_interval"] == pytest.approx(0.1)

    @pytest.mark.parametrize("count", [0, 1])
    def test_too_few_frames(self, count: int) -> None:
        gaps = find_gaps(np.arange(count), np.arange(count) / 10)
        assert gaps["usual_interval"] is None and gaps["number_gaps"] == gaps["time_gaps"] == []

    def test_repeats_and_steps_back(self) -> None:
        gaps = find_gaps(np.array([5, 5, 6, 2, 3]), np.array([0.0, 0.1, 0.2, 0.15, 0.25]))
        assert (gaps["repeated_numbers"], gaps["backward_numbers"], gaps["backward_times"]) == (1, 1, 1)
        assert gaps["missing_numbers"] == 0

    def test_all_of_64_bits(self) -> None:
        gaps = find_gaps(np.array([-(2**63), 2**63 - 1]), np.array([0.0, 1.0]))
        assert gaps["missing_numbers"] == 2**64 - 2


class TestCodecs:
    def test_every_supported_format_is_listed(self) -> None:
        result = run("codecs")
        assert result.returncode == 0, result.stderr
        words = result.stdout.replace(",", " ").split()
        assert set(imgstore.get_supported_formats()) <= set(words)

    def test_json_agrees_with_the_registry(self) -> None:
        listed = json.loads(run("codecs", "--json").stdout)
        assert len(listed["formats"]) == len(plugins.registered_codecs())
        usable = {row["format"] for row in listed["formats"] if row["usable"]}
        assert usable == {name.removesuffix("+color") for name in imgstore.get_supported_formats()}
        for row in listed["formats"]:
            assert row["usable"] == (row["missing"] is None)
        by_name = {row["format"]: row for row in listed["formats"] if row["default"]}
        assert by_name["npy"]["lossless"] is True and by_name["npy"]["dtypes"] is None
        assert by_name["jpg"]["lossless"] is False and by_name["jpg"]["extension"] == ".jpg"
        assert by_name["png"]["variants"] == ["png+color"] and "uint16" in by_name["png"]["dtypes"]
        assert by_name["png"]["package"] == "imgstore"
        for name in usable:  # one default each
            assert sum(row["default"] for row in listed["formats"] if row["format"] == name) == 1

    def test_broken_plugin_is_named(self, tmp_path: Path) -> None:
        """A distribution whose plugin cannot be imported is named with its error, and the formats are all there."""
        info = tmp_path / "imgstore_rotten-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: imgstore-rotten\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("[imgstore]\nrotten = imgstore_rotten_module\n")
        (tmp_path / "imgstore_rotten_module.py").write_text("raise RuntimeError('it went off')\n")
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])}
        result = run("codecs", env=environment)
        assert result.returncode == 0, result.stderr
        (line,) = (line for line in result.stdout.splitlines() if "rotten" in line)
        assert "RuntimeError: it went off" in line
        assert "npy" in result.stdout
        listed = json.loads(run("codecs", "--json", env=environment).stdout)
        assert listed["broken_plugins"] == {"imgstore-rotten:rotten": "RuntimeError: it went off"}


class TestIndex:
    def test_leaves_one_hidden_file(self, store_with_gaps: Path) -> None:
        for hidden in store_with_gaps.glob(".*"):
            hidden.unlink()
        before = set(store_with_gaps.iterdir())
        result = run("index", store_with_gaps)
        assert result.returncode == 0, result.stderr
        assert "10 frames in 2 chunks" in result.stdout
        (added,) = set(store_with_gaps.iterdir()) - before
        assert added.name.startswith(".")
        with imgstore.new_for_filename(store_with_gaps) as store:
            assert store.frame_count == 10

    def test_sqlite(self, store_with_gaps: Path) -> None:
        assert run("index", "--sqlite", store_with_gaps).returncode == 0
        assert (store_with_gaps / ".index.sqlite").is_file()


class TestTimecodes:
    def test_stdout_and_file(self, store_with_gaps: Path, tmp_path: Path) -> None:
        result = run("timecodes", store_with_gaps)
        lines = result.stdout.splitlines()
        assert lines[:3] == ["# timecode format v2", "0.000", "20.000"]
        assert len(lines) == 11
        assert run("timecodes", store_with_gaps, "-o", tmp_path / "times.txt").stdout == f"wrote {tmp_path / 'times.txt'}\n"
        assert (tmp_path / "times.txt").read_text().splitlines() == lines

    def test_nothing_is_replaced_unasked(self, store_with_gaps: Path, tmp_path: Path) -> None:
        (tmp_path / "clip.mp4").write_bytes(b"a video")
        refused = run("timecodes", store_with_gaps, "-o", tmp_path / "clip.mp4")
        assert refused.returncode == 1 and "--overwrite" in refused.stderr
        assert (tmp_path / "clip.mp4").read_bytes() == b"a video"
        assert run("timecodes", store_with_gaps, "-o", tmp_path / "clip.mp4", "--overwrite").returncode == 0
        assert (tmp_path / "clip.mp4").read_bytes().startswith(b"# timecode format v2")


class TestErrors:
    @pytest.mark.parametrize("command", ["info", "index", "view", "timecodes"])
    def test_no_store(self, command: str, tmp_path: Path) -> None:
        """One line that names the path, exit status 2, no traceback."""
        path = tmp_path / "nothing"
        result = run(command, path)
        assert result.returncode == 2
        (line,) = result.stderr.splitlines()
        assert line.startswith("imgstore: error: ") and str(path) in line
        assert result.stdout == ""

    def test_broken_metadata(self, store_with_gaps: Path) -> None:
        (store_with_gaps / "metadata.yaml").write_text("- a list\n")
        result = run("info", store_with_gaps)
        assert result.returncode == 1
        (line,) = result.stderr.splitlines()
        assert "metadata.yaml" in line

    def test_warnings_are_a_line_each(self, store_with_gaps: Path) -> None:
        shutil.rmtree(store_with_gaps / "000001")
        (store_with_gaps / "000001").mkdir()
        result = run("info", "--json", store_with_gaps)
        assert result.returncode == 0
        assert json.loads(result.stdout)["frame_count"] == 6
        assert result.stderr
        assert all(line.startswith("imgstore: warning: ") for line in result.stderr.splitlines())

    @pytest.mark.parametrize("arguments", [["nonsense"], ["info"], ["info", "--nonsense", "x"]])
    def test_usage(self, arguments: list[str]) -> None:
        assert run(*arguments).returncode == 2

    def test_what_the_system_refuses(self, store_with_gaps: Path) -> None:
        (store_with_gaps / "metadata.yaml").unlink()
        (store_with_gaps / "metadata.yaml").mkdir()
        result = run("info", store_with_gaps)
        assert result.returncode in (1, 2)
        (line,) = result.stderr.splitlines()
        assert "metadata.yaml" in line or str(store_with_gaps) in line


class TestNames:
    def test_version(self) -> None:
        result = run("--version")
        assert result.returncode == 0 and imgstore.__version__ in result.stdout

    def test_help_lists_every_command(self) -> None:
        result = run("--help")
        assert result.returncode == 0
        listed = [line.split()[0] for line in result.stdout.partition("Commands:\n")[2].partition("\n\n")[0].splitlines()]
        assert listed == [command.name for command in cli.COMMANDS]
        assert {"view", "save", "info", "codecs", "index", "test"} <= set(listed)

    @pytest.mark.parametrize("name", ["view", "save", "info", "codecs", "index", "timecodes", "test"])
    def test_each_command_has_help(self, name: str) -> None:
        result = run(name, "--help")
        assert result.returncode == 0 and "Usage:" in result.stdout

    @pytest.mark.parametrize(
        "name", ["imgstore", "imgstore-view", "imgstore-save", "imgstore-test", "imgstore-codecs", "imgstore-index"]
    )
    def test_installed_scripts(self, name: str) -> None:
        """The names that 0.x installed are there and lead to the commands."""
        script = shutil.which(name, path=str(Path(sys.executable).parent))
        if script is None:
            pytest.skip(f"needs the installed script {name}")
        result = subprocess.run([script, "--help"], capture_output=True, text=True, timeout=120, check=False)
        assert result.returncode == 0
        assert result.stdout.startswith(f"Usage: {name} ")

    def test_functions_of_the_scripts(self) -> None:
        for name in ("view", "save", "test", "codecs", "index", "timecodes"):
            assert getattr(cli, f"{name}_main").name == name

    @pytest.mark.parametrize(
        "function, arguments, expected",
        [
            ("main_viewer", ["{missing}"], 2),
            ("main_saver", ["--source", "{missing}", "{dest}"], 2),
            ("main_generate_timecodes", ["{missing}"], 2),
            ("main_generate_timecodes", ["{store}"], 0),
            ("main_saver", ["--source", "{store}", "--format", "npy", "{dest}"], 0),
            pytest.param("main_test", ["-q", "-k", "test_list_of_formats"], 0, marks=pytest.mark.long),
        ],
    )
    def test_functions_of_0_x(
        self, function: str, arguments: list[str], expected: int, store_with_gaps: Path, tmp_path: Path
    ) -> None:
        """``imgstore.apps.main_*`` read sys.argv and exit, as they did."""
        places = {"missing": tmp_path / "missing", "dest": tmp_path / "dest", "store": store_with_gaps}
        code = f"import sys, imgstore.apps; sys.argv[0] = 'old'; imgstore.apps.{function}()"
        command = [sys.executable, "-c", code, *(argument.format(**places) for argument in arguments)]
        result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=ELSEWHERE)
        assert result.returncode == expected, result.stderr
        assert "Traceback" not in result.stderr

    def test_importing_the_commands_is_cheap(self) -> None:
        """Parsing arguments and printing help needs no OpenCV, PyAV or pandas."""
        heavy = ("cv2", "av", "pandas", "h5py", "pytest")
        code = f"import sys, imgstore.cli; print([m for m in {heavy} if m in sys.modules])"
        command = [sys.executable, "-c", code]
        result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True, cwd=ELSEWHERE)
        assert result.stdout.strip() == "[]"

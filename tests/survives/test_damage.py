"""Some hundred random damages to stores of every format; ``benchmarks/damage.py`` does it by the thousand."""

from __future__ import annotations

import sys
from pathlib import Path

import damage
import pytest
from rounds import long_but

from imgstore.verify import Fault

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="bounds memory with setrlimit, and files have holes")

# Not by hash or by chance: a case that fails here fails for everybody.
CASES_PER_FORMAT = 15
AT_FIRST = 6  # of these, in `make test`
SOME = ("npy", "mjpeg/avi", "avc1/mp4")


@pytest.mark.parametrize(
    "fmt, cases",
    [(fmt, AT_FIRST) for fmt in SOME] + long_but((), [(fmt, CASES_PER_FORMAT) for fmt in damage.wanted_formats()]),
)
def test_damage_is_found_and_believed_by_nobody(tmp_path: Path, fmt: str, cases: int) -> None:
    outcome = damage.Outcome()
    first = damage.wanted_formats().index(fmt) * 100_000
    for _, outcome in damage.run_cases(range(first, first + cases), [fmt], tmp_path):  # noqa: B007
        pass
    assert outcome.crashed == []
    assert outcome.wrong == []
    assert outcome.cases == cases
    assert outcome.changed > (0.8 if cases > AT_FIRST else 0.6) * outcome.cases
    assert outcome.found > (0.6 if cases > AT_FIRST else 0.3) * outcome.changed, "most damage is to what is needed"
    assert outcome.found + outcome.harmless == outcome.changed
    assert outcome.peak < damage.MEMORY


def test_the_check_notices_a_frame_that_is_wrong(tmp_path: Path) -> None:
    """What is written above could not fail if a wrong frame went unnoticed by it."""
    template = damage.write_template(tmp_path, "npy")
    frames, extra = damage.read_frames(template), damage.read_extra(template)
    wrong: list[str] = []
    assert damage._read(template, damage.Template(template, frames, extra), [], wrong, "now")
    assert wrong == []
    frames[4] = (frames[4][0], frames[4][1], "another picture")
    assert not damage._read(template, damage.Template(template, frames, extra), [], wrong, "now")
    assert wrong == ["now: frame 4 of chunk 0 is wrong, and verify does not name the chunk"]
    named = [Fault("checksum", str(template), 0, 4, "")]
    damage._read(template, damage.Template(template, frames, extra), named, wrong, "now")
    assert wrong[1:] == ["now: frame 4 of chunk 0 is wrong, in spite of its checksum"]


def test_a_crash_and_a_hang_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "place"
    place.mkdir()
    file = tmp_path / "templates.json"
    file.write_text("[]")  # no store to choose from: the process ends with an error
    child = damage._Child(str(file), str(place))
    assert "ended the process" in child.run(1)["crash"]
    child.close()
    monkeypatch.setattr(damage, "PATIENCE", 0.0)
    child = damage._Child(str(file), str(place))
    assert "hung" in child.run(1)["crash"]
    child.close()

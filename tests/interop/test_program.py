"""A program written for imgstore 0.x runs unchanged, and gets the answers that 0.4.0 gives.

Where 0.4.0's answer is a bug, or it lacks what its page promises, `DIFFERENT` says why and what is right.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ANY_ERROR = {"raises": []}
PICTURE_MEAN_ERROR = 3.0  # gray levels, of two decoders on one MJPEG file


class Anything:
    """Equal to any answer that is not an error."""

    def __repr__(self) -> str:
        return "an answer"

    def __eq__(self, other: object) -> bool:
        return not (isinstance(other, dict) and "raises" in other)


class Amended:
    """0.4.0's answer with some parts replaced, or left out where the replacement is None."""

    def __init__(self, **parts: Any) -> None:
        self.parts = parts

    def apply(self, theirs: Any, ours: Any) -> tuple[Any, Any]:
        theirs, ours = dict(theirs), dict(ours)
        for key, value in self.parts.items():
            theirs[key] = value
            if value is None:
                ours[key] = None
        return theirs, ours


# regular expression of labels -> why it differs, what is right
DIFFERENT: dict[str, tuple[str, Any]] = {
    r"new_for_filename: basedir": ("0.4.0 cannot do without path", 25),
    r"new_for_filename: (basedir names the file|neither)": (
        "a TypeError in 0.4.0",
        {"raises": ["ValueError"]},
    ),
    r"written: before the first frame": (
        "0.4.0 gives the clock for the least time",
        Amended(time_min=None, time_max=None),
    ),
    r"read: after frame 12": ("0.4.0 forgets the time of the frame last read", Amended(frame_time=1001.2)),
    r"(npy|video): last number stays": ("as above", [24, 1002.4]),
    r"skipping: last number stays": ("as above", [77, 1002.4]),
    r"negative: last number stays": ("as above", [12, 1002.4]),
    r"(npy|video): numpy integer": ("0.4.0 does not find numpy integers", [7, 1000.7]),
    r"skipping: numpy integer": ("as above", [26, 1000.7]),
    r"negative: numpy integer": ("as above", [-5, 1000.7]),
    r".*: find index -1": ("0.4.0 finds the first frame at -1", [-1, -1]),
    r"directory: (_ext|_chunk_paths)": ("only video stores of 0.4.0 have these", None),
    r"(cv2_enum_to_code|from_cv2_enum) COLOR_BayerBG2BGR": (
        "which name of a constant 0.4.0 takes depends on OpenCV",
        "cv_bayerbg",
    ),
    r"processor: bad default": ("0.4.0 trips over its own message", {"raises": ["ValueError"]}),
    r"processor: convert without code": ("0.4.0 raises a bare KeyError", ANY_ERROR),
    r".*: torn, ignored": ("0.4.0 keeps the record of a chunk's last frame with the next chunk", Anything()),
    r"motif: samplerate": ("0.4.0 calls two datasets of one rate two rates", 100.0),
    r"fps hw, hardware": ("0.4.0 knows no hardware_only", 50.0),
    r"fps .*, hardware": ("0.4.0 knows no hardware_only", Anything()),
}


@pytest.fixture(scope="session")
def answers(
    run: Any, old_python: str, samples: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the program writes down under 0.4.0 and under ours."""
    root = tmp_path_factory.mktemp("program")
    found = []
    for name, python in (("theirs", old_python), ("ours", sys.executable)):
        run(python, "program.py", root / name, root / f"{name}.json", samples)
        found.append(json.loads((root / f"{name}.json").read_text()))
    return found[0], found[1]


def difference(label: str, theirs: Any, ours: Any) -> str | None:
    """Say how two answers differ, in more than a program could notice."""
    if isinstance(theirs, dict) and "raises" in theirs:
        if not (isinstance(ours, dict) and "raises" in ours):
            return f"0.4.0 raises {theirs.get('says', theirs['raises'])!r}, ours gives {ours!r}"
        missing = set(theirs["raises"]) - set(ours["raises"]) - {"Exception"}
        return f"ours is no {sorted(missing)}: {ours['says']}" if missing else None
    if isinstance(ours, dict) and "raises" in ours:
        return f"right is {theirs!r}, ours raises {ours['says']!r}"
    if label in ("direct video: reads", "assembled: pictures"):
        return pictures_differ(theirs, ours)
    return None if theirs == ours else f"right is {theirs!r}, ours gives {ours!r}"


def pictures_differ(theirs: Any, ours: Any) -> str | None:
    """Compare answers that come out of a lossy format, picture by picture."""
    if isinstance(theirs, list) and isinstance(theirs[0], dict):
        if theirs[0]["dtype"] != ours[0]["dtype"] or theirs[1:] != ours[1:]:
            return f"0.4.0 gives {theirs[1:]}, ours {ours[1:]}"
        theirs, ours = theirs[0]["array"], ours[0]["array"]
    error = np.abs(np.array(theirs, float) - np.array(ours, float)).mean()
    return None if error < PICTURE_MEAN_ERROR else f"mean difference {error}"


def test_same_questions(answers: tuple[dict[str, Any], dict[str, Any]]) -> None:
    """The program went the same way under both, to its end."""
    theirs, ours = answers
    assert list(theirs) == list(ours)
    assert len(theirs) > 500


def test_same_answers(answers: tuple[dict[str, Any], dict[str, Any]]) -> None:
    theirs, ours = answers
    found = []
    for label, expected in theirs.items():
        answer = ours.get(label)
        for pattern, (_, right) in DIFFERENT.items():
            if re.fullmatch(pattern, label):
                if isinstance(right, Amended):
                    expected, answer = right.apply(expected, answer)
                else:
                    expected = right
                break
        else:
            right = expected
        if right is None:
            continue
        fault = difference(label, expected, answer)
        if fault is not None:
            found.append(f"{label}: {fault[:400]}")
    assert not found, f"{len(found)} of {len(theirs)} answers differ:\n" + "\n".join(found)


def test_listed_differences_are_there(answers: tuple[dict[str, Any], dict[str, Any]]) -> None:
    """Every line of DIFFERENT is about a question that the program asks."""
    unused = [pattern for pattern in DIFFERENT if not any(re.fullmatch(pattern, label) for label in answers[0])]
    assert not unused

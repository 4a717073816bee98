"""Stores written by one imgstore and read by the other, both ways, 0.4.0 being a black box.

Every store of cases.py is written by each side that can and read by each side; all answers must then be the same,
and the frames those that were written.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

_spec = importlib.util.spec_from_file_location("interop_cases", Path(__file__).with_name("cases.py"))
assert _spec is not None and _spec.loader is not None
cases = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(cases)

OURS, THEIRS = "ours", "0.4.0"
CASES = {spec["name"]: spec for spec in cases.all_cases()}
COMMON = [name for name, spec in CASES.items() if not spec.get("bpk")]
BPK = [name for name, spec in CASES.items() if spec.get("bpk")]
LOSSY_MEAN_ERROR = 3.0  # gray levels, for gray; colour loses more to chroma subsampling
# 0.4.0 seeks by OpenCV's frame position, which is not exact in these
UNSOUND_SEEKS = ("h264/mkv", "avc1/mp4")


@dataclass
class Reading:
    """What one side has read of a store that one side has written."""

    answers: dict[str, Any]
    images: np.ndarray | None


class Exchange:
    """All stores written by both sides and read by both, each side in one process."""

    def __init__(self, run: Any, pythons: dict[str, str], names: Iterable[str], root: Path) -> None:
        self._root = root
        names = list(names)
        for writer, python in pythons.items():
            chosen = [n for n in names if writer in CASES[n]["writers"]]
            results = root / f"written by {writer}.results"
            for directory in (root / writer, results):
                directory.mkdir()
            run(python, "runner.py", "write", root / writer, results, *chosen)
            for reader, other in pythons.items():
                directory = root / f"{writer} read by {reader}"
                directory.mkdir()
                readable = [n for n in chosen if reader in CASES[n]["readers"]]
                run(other, "runner.py", "read", root / writer, directory, *readable)

    def store(self, name: str, writer: str) -> Path:
        error = self._load(self._root / f"written by {writer}.results", name).get("error")
        assert error is None, f"{writer} could not write {name}:\n{error}"
        return self._root / writer / name

    def reading(self, name: str, writer: str, reader: str) -> Reading:
        self.store(name, writer)
        directory = self._root / f"{writer} read by {reader}"
        answers = self._load(directory, name)
        assert "error" not in answers, f"{reader} could not read {name} of {writer}:\n{answers['error']}"
        return Reading(answers, np.load(directory / f"{name}.npy"))

    @staticmethod
    def _load(directory: Path, name: str) -> dict[str, Any]:
        return json.loads((directory / f"{name}.json").read_text())


@pytest.fixture(scope="session")
def exchange(run: Any, old_python: str, tmp_path_factory: pytest.TempPathFactory) -> Exchange:
    pythons = {OURS: sys.executable, THEIRS: old_python}
    return Exchange(run, pythons, COMMON, tmp_path_factory.mktemp("exchange"))


@pytest.fixture(scope="session")
def bpk_exchange(run: Any, bpk_python: str, need_module: Any, tmp_path_factory: pytest.TempPathFactory) -> Exchange:
    need_module("blosc")
    return Exchange(run, {OURS: sys.executable, THEIRS: bpk_python}, BPK, tmp_path_factory.mktemp("bpk"))


def expected_positions(spec: dict[str, Any]) -> list[int]:
    """The positions, counted as they were written, that the store still holds."""
    positions = range(spec["count"])
    if "drop_chunk" in spec:
        return [p for p in positions if p // spec["chunksize"] != spec["drop_chunk"]]
    return list(positions)


def expected_image(spec: dict[str, Any], position: int) -> np.ndarray:
    """What a reader should show for a frame, up to the loss of its format."""
    import cv2

    img = cases.frame(spec, position)
    if spec["format"] == "pgm" and img.ndim == 3:
        return cv2.cvtColor(cv2.cvtColor(img, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    if spec.get("encoding"):
        code = {
            "cv_bayerbg": cv2.COLOR_BayerBG2BGR,
            "cv_bayergb": cv2.COLOR_BayerGB2BGR,
            "cv_bayerrg": cv2.COLOR_BayerRG2BGR,
            "cv_rgb": cv2.COLOR_RGB2BGR,
        }[spec["encoding"]]
        return cv2.cvtColor(img, code)
    if spec["format"].startswith("mjpeg"):
        return img[: img.shape[0] // 2 * 2, : img.shape[1] // 2 * 2]
    return img


def check_reading(spec: dict[str, Any], reading: Reading, reader: str) -> None:
    """Numbers, times and frames are those that were written."""
    positions = expected_positions(spec)
    numbers, times = cases.numbers_and_times(spec)
    expected = [[numbers[p], times[p]] for p in positions]
    answers = reading.answers
    assert answers["frame_count"] == answers["len"] == len(positions)
    assert answers["answers"] == expected
    assert answers["frame_metadata"] == {
        "frame_number": [n for n, _ in expected],
        "frame_time": [t for _, t in expected],
    }
    assert reading.images is not None and len(reading.images) == len(positions)
    lossy = spec["format"].split("+")[0] in cases.LOSSY or spec["format"] == "mjpeg"
    for img, position in zip(reading.images, positions, strict=True):
        wanted = expected_image(spec, position)
        assert img.shape == wanted.shape
        if lossy:
            error = np.abs(img.astype(float) - wanted).mean()
            allowed = LOSSY_MEAN_ERROR if wanted.ndim == 2 else 2 * LOSSY_MEAN_ERROR
            assert error < allowed, f"frame at {position}: mean error {error:.2f}"
        else:
            assert img.dtype == wanted.dtype
            assert np.array_equal(img, wanted), f"frame at {position} differs"
    if reader == THEIRS and spec["format"] in UNSOUND_SEEKS:
        return
    # the first frame with a number is the one that is found by it
    first = dict(reversed(expected))
    for number, time, difference in answers.get("by_number", []):
        assert time == first[number]
        assert difference == 0.0, f"frame {number} read by number is another than in order"


def comparable(answers: dict[str, Any]) -> dict[str, Any]:
    """What two readers of one store must agree on: all but the frames found by seeking, checked elsewhere."""
    return {key: value for key, value in answers.items() if key not in ("by_number", "nearest")}


def rounded(value: Any) -> Any:
    """The same with six decimals."""
    if isinstance(value, dict):
        return {key: rounded(v) for key, v in value.items()}
    if isinstance(value, list):
        return [rounded(v) for v in value]
    return round(value, 6) if isinstance(value, float) else value


def check_exchange(exchange: Exchange, name: str) -> None:
    spec = CASES[name]
    for writer in spec["writers"]:
        readings = {reader: exchange.reading(name, writer, reader) for reader in spec["readers"]}
        for reader, reading in readings.items():
            check_reading(spec, reading, reader)
        if len(readings) == 2:
            ours, theirs = readings[OURS], readings[THEIRS]
            assert comparable(ours.answers) == comparable(theirs.answers)
            assert ours.answers.get("nearest") == theirs.answers.get("nearest")
            assert ours.images is not None and theirs.images is not None
            if ours.images.size:
                assert np.abs(ours.images.astype("c16") - theirs.images.astype("c16")).mean() < LOSSY_MEAN_ERROR
    if len(spec["writers"]) == 2:
        # each side's own reader says the same of both stores
        written = [comparable(exchange.reading(name, writer, OURS).answers) for writer in spec["writers"]]
        for answers in written:
            for own in ("uuid", "created"):
                assert answers.pop(own)
            if spec.get("reindex"):  # 0.4.0 rounds the numbers of extra data when it reindexes
                answers["extra_data"] = rounded(answers["extra_data"])
        assert written[0] == written[1]


@pytest.mark.parametrize("name", COMMON)
def test_both_ways(exchange: Exchange, name: str) -> None:
    check_exchange(exchange, name)


@pytest.mark.long
@pytest.mark.parametrize("name", BPK)
def test_bloscpack_both_ways(bpk_exchange: Exchange, name: str) -> None:
    check_exchange(bpk_exchange, name)


def files_of(base: Path) -> set[str]:
    """All files but hidden ones and those of chunks without frames, which 0.4.0 leaves behind the last."""
    empty = set()
    for path in (*base.glob("*.npz"), *base.glob("*/index.npz")):
        with np.load(path) as arrays:
            if len(arrays["frame_number"]) == 0:
                empty.add(path.relative_to(base).parts[0].split(".")[0])
    found = (path.relative_to(base) for path in base.rglob("*") if path.is_file() and path.name[0] != ".")
    return {path.as_posix() for path in found if path.parts[0].split(".")[0] not in empty}


@pytest.mark.parametrize("name", [n for n in COMMON if len(CASES[n]["writers"]) == 2])
def test_same_files(exchange: Exchange, name: str) -> None:
    """We leave the files that 0.4.0 leaves, apart from hidden ones; no temporary file stays."""
    assert files_of(exchange.store(name, OURS)) == files_of(exchange.store(name, THEIRS))


@pytest.mark.parametrize("name", ["npy-saved-index", "mjpeg-saved-index"])
def test_same_saved_index(exchange: Exchange, name: str) -> None:
    import sqlite3

    contents = []
    for writer in (OURS, THEIRS):
        with sqlite3.connect(exchange.store(name, writer) / ".index.sqlite") as db:
            tables = {
                "frames": "SELECT chunk, frame_idx, frame_number, frame_time FROM frames ORDER BY rowid",
                "index_information": "SELECT name, value FROM index_information ORDER BY name",
                "summary": "SELECT name, value FROM summary ORDER BY name",
                "chunks": "SELECT chunk FROM chunks ORDER BY chunk",
            }
            contents.append({table: db.execute(query).fetchall() for table, query in tables.items()})
        db.close()
    assert contents[0] == contents[1]

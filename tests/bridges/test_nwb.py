"""Videos of a store in NWB files, looked at by NWB's own inspector."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pynwb
import pytest
from nwbinspector import inspect_nwbfile
from scenes import coded_frame, shown_number

import imgstore
from imgstore.bridges import nwb
from imgstore.errors import ArgumentError

START = datetime.datetime(2023, 11, 14, 22, 0, tzinfo=datetime.timezone.utc)


def record(path: Path, fmt: str = "avc1/mp4", chunks: int = 3) -> Path:
    """Four frames a chunk, every seventh number missing."""
    with imgstore.new_for_format(fmt, path, imgshape=(48, 64), chunksize=4) as store:
        numbers = [n for n in range(10**6) if n % 7][: 4 * chunks]
        for number in numbers:
            store.add_image(coded_frame(number), number, START.timestamp() + 60 + number / 30)
    return path


def nwb_file() -> pynwb.NWBFile:
    file = pynwb.NWBFile(
        "a fly walks about in an arena", "fly-12-2023", START, experimenter=["Doe, Jane"], institution="An institute",
        lab="A lab", experiment_description="Walking in the dark", keywords=["behavior"],
        related_publications=["https://doi.org/10.1000/1"],
    )  # fmt: skip
    file.subject = pynwb.file.Subject(
        subject_id="12", species="Drosophila melanogaster", sex="F", age="P3D", description="wild type"
    )
    return file


def test_a_recording_of_several_cameras_and_a_hundred_chunks(tmp_path: Path) -> None:
    file = nwb_file()
    path = tmp_path / "session" / "session.nwb"
    path.parent.mkdir()
    for camera, chunks in (("front", 100), ("side", 2)):
        with imgstore.new_for_filename(record(tmp_path / camera, chunks=chunks)) as store:
            file.add_acquisition(nwb.image_series(store, path, START, description=f"the {camera} camera"))
    with pynwb.NWBHDF5IO(path, "w") as io:
        io.write(file)

    assert [f"{m.check_function_name}: {m.message}" for m in inspect_nwbfile(nwbfile_path=path)] == []
    with pynwb.NWBHDF5IO(path, "r") as io:
        series = io.read().acquisition["front"]
        assert series.external_file[1] == "../front/000001.mp4" and len(series.external_file) == 100
        assert series.starting_frame[:3].tolist() == [0, 4, 8]
        assert series.timestamps[:3] == pytest.approx([60 + n / 30 for n in (1, 2, 3)], abs=1e-6)
        # frame 9 of the series is where it says
        import av

        with av.open(path.parent / series.external_file[2]) as video:
            frame = list(video.decode(video=0))[1].to_ndarray(format="gray")
        assert shown_number(frame) == 11


@pytest.mark.parametrize("wrong", ["empty", "images", "backwards", "no zone"])
def test_what_nwb_cannot_hold(tmp_path: Path, wrong: str) -> None:
    start = START.replace(tzinfo=None) if wrong == "no zone" else START
    path = tmp_path / "s"
    if wrong == "images":
        record(path, "png")
    else:
        times: Any = {"empty": [], "backwards": [1, 3, 2]}.get(wrong, [1, 2])
        with imgstore.new_for_format("avc1/mp4", path, imgshape=(48, 64)) as store:
            for number, time in enumerate(times):
                store.add_image(np.zeros((48, 64), np.uint8), number, time)
    with imgstore.new_for_filename(path) as store, pytest.raises(ArgumentError):
        nwb.image_series(store, tmp_path / "x.nwb", start)

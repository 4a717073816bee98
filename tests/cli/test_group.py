"""Commands over several stores: told together, saved in step."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from commands import typed

import imgstore


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two cameras: gray and small, and in colour and lower, which starts a frame later and has lost one."""
    for name, numbers, shape, late in (("left", range(6), (32, 48), 0.0), ("right", (1, 2, 4, 5), (24, 32, 3), 0.002)):
        with imgstore.new_for_format("png", tmp_path / "rec" / name, imgshape=shape, metadata={"who": name}) as store:
            for n in numbers:
                store.add_image(np.full(shape, 10 + n, np.uint8), n, 1.7e9 + n / 10 + late)
            if name == "left":
                store.add_extra_data(temperature=20)
    return tmp_path / "rec"


def test_info_tells_of_each_and_how_they_go_together(folder: Path) -> None:
    for paths in ([folder], [folder / "left", folder / "right"]):
        told = typed("info", *paths)
        assert told.returncode == 0, told.stderr
        assert [line.split()[:3] for line in told.stdout.splitlines()[2:4]] == [["left", "png", "6"], ["right", "png", "4"]]
        assert "6 steps by number, 4 with a frame of each store" in told.stdout
        assert "right: 4, at most 0.002000 s away" in told.stdout
    *facts, together = map(json.loads, typed("info", folder, "--json").stdout.splitlines())
    assert [store["user_metadata"]["who"] for store in facts] == ["left", "right"]
    assert together["group"]["stores"][1]["frames"] == 4
    assert "group" not in json.loads(typed("info", folder / "left", "--json").stdout)


def test_info_tells_why_stores_do_not_go_together(folder: Path, tmp_path: Path) -> None:
    with imgstore.new_for_format("npy", tmp_path / "other", imgshape=(4, 4)) as store:
        store.add_image(np.zeros((4, 4), np.uint8), 99, 5.0)
    told = typed("info", folder / "left", tmp_path / "other")
    assert told.returncode == 0
    assert "none: no frame of 'other' belongs to any of 'left'" in told.stdout


def test_timecodes_of_several_count_from_the_first_frame_of_any(folder: Path, tmp_path: Path) -> None:
    assert typed("timecodes", folder, "-o", tmp_path / "codes").returncode == 0
    assert (tmp_path / "codes" / "right.txt").read_text().split("\n")[:3] == [
        "# timecode format v2",
        "102.000",
        "202.000",
    ]
    assert (tmp_path / "codes" / "left.txt").read_text().split("\n")[1] == "0.000"
    wrong = typed("timecodes", folder)
    assert wrong.returncode == 2
    assert "--output" in wrong.stderr
    assert typed("timecodes", folder / "left").stdout.startswith("# timecode format v2\n0.000\n100.000\n")


def shown(path: Path) -> list[tuple[int, int]]:
    with imgstore.new_for_filename(path) as store:
        return [(number, int(img.flat[0])) for img, (number, _) in store]


def test_save_in_step_as_stores(folder: Path, tmp_path: Path) -> None:
    told = typed("save", "--group", "--source", folder, "--format", "npy", tmp_path / "out")
    assert told.returncode == 0, told.stderr
    assert told.stdout == f"saved 6 steps of left, right in step to {tmp_path / 'out'}\n"
    with imgstore.open(tmp_path / "out" / "left") as store:
        assert [(r["frame_number"], r["temperature"]) for r in store.get_extra_records()] == [(5, 20)]
    assert shown(tmp_path / "out" / "left") == [(n, 10 + n) for n in range(6)]
    assert shown(tmp_path / "out" / "right") == [(n, 10 + n) for n in (1, 2, 4, 5)]
    with imgstore.open_group(tmp_path / "out") as group, imgstore.open_group(folder) as before:
        np.testing.assert_array_equal(group.table.positions, before.table.positions)
        np.testing.assert_array_equal(group.stores[1].frame_times, before.stores[1].frame_times)
        assert group.stores[1].user_metadata == {"who": "right"}


def test_save_in_step_with_frames_held(folder: Path, tmp_path: Path) -> None:
    sources = ["--source", folder / "right", "--source", folder / "left"]
    assert typed("save", "--group", *sources, "--format", "npy", "--missing", "drop", tmp_path / "out").returncode == 0
    assert shown(tmp_path / "out" / "left") == [(0, 11), (1, 12), (2, 14), (3, 15)]
    sources.reverse()
    args = [
        "--source",
        folder / "left",
        "--source",
        folder / "right",
        "--format",
        "npy",
        "--missing",
        "hold",
        "--align",
        "time",
    ]
    assert typed("save", "--group", *args, tmp_path / "held").returncode == 0
    assert shown(tmp_path / "held" / "right") == [(0, 0), (1, 11), (2, 12), (3, 12), (4, 14), (5, 15)]


def test_save_side_by_side(folder: Path, tmp_path: Path) -> None:
    told = typed("save", "--group", "--side-by-side", "--source", folder, "--format", "npy", tmp_path / "out")
    assert told.returncode == 0, told.stderr
    with imgstore.new_for_filename(tmp_path / "out") as store:
        assert store.image_shape == (32, 80, 3)
        assert store.user_metadata == {"cameras": ["left", "right"]}
        assert store.frame_count == 6
        img, (number, time) = store.get_image(4)
        assert (img[:, :48] == 14).all()
        assert (img[:24, 48:] == 14).all()
        assert not img[24:, 48:].any()
        assert time == pytest.approx(1.7e9 + 0.4)
        assert not store.get_image(3)[0][:, 48:].any()


def test_save_of_damaged_frames_says_so(folder: Path, tmp_path: Path) -> None:
    (folder / "right" / "000000" / "000001.png").write_bytes(b"no image")
    told = typed("save", "--group", "--source", folder, "--format", "npy", tmp_path / "out")
    assert told.returncode == 3
    assert "1 frame left out" in told.stdout
    assert "right: left out: frame 1 (number 2): " in told.stderr
    assert shown(tmp_path / "out" / "right") == [(n, 10 + n) for n in (1, 4, 5)]


def test_save_used_wrongly(folder: Path, tmp_path: Path) -> None:
    for words, message in [
        (["--source", folder / "left", "--source", folder / "right", tmp_path / "out"], "add --group"),
        (["--side-by-side", "--source", folder / "left", tmp_path / "out"], "add --group"),
        (["--group", "--source", folder, folder], "cannot be saved onto itself"),
        (["--group", "--source", tmp_path / "nowhere", tmp_path / "out"], "nowhere"),
    ]:
        told = typed("save", *words)
        assert told.returncode == 2, told
        assert message in told.stderr
    assert not (tmp_path / "out").exists()

"""Contact sheets: which frames are on them, and where they are written."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from commands import typed
from scenes import shown_number, write_store

import imgstore
from imgstore.errors import ArgumentError
from imgstore.exporting import contact_sheet


def test_frames_are_spread_evenly_and_in_order(tmp_path: Path) -> None:
    path = write_store(tmp_path / "s", "png", 31)
    with imgstore.new_for_filename(path) as store:
        sheet = contact_sheet(store, count=7, columns=4, width=4 + 4 * 68, labels=False)
    assert sheet.shape == (4 + 2 * 52, 276, 3)
    cells = [sheet[4 + y * 52 :, 4 + x * 68 :][:48, :64] for y in range(2) for x in range(4)]
    assert [shown_number(cell) for cell in cells[:7]] == [100, 105, 110, 115, 120, 125, 130]
    assert cells[7].min() == cells[7].max()  # nothing


def test_damaged_frames_are_crossed_out(tmp_path: Path) -> None:
    path = write_store(tmp_path / "s", "png", 3)
    (tmp_path / "s" / "000000" / "000001.png").write_bytes(b"no picture")
    with imgstore.new_for_filename(path) as store:
        sheet = contact_sheet(store, columns=3, width=208)
        with pytest.raises(ArgumentError, match="do not fit"):
            contact_sheet(store, columns=3, width=30)
    red = (sheet[..., 2].astype(int) - sheet[..., 0] > 60).any(axis=0)
    assert red[72:136].any() and not red[:68].any() and not red[140:].any()


def test_a_folder_of_stores_has_a_picture_each(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_store(tmp_path / "all" / name, "png", 5)
    done = typed("sheet", tmp_path / "all", "-o", tmp_path / "sheets", "--width", 400)
    assert done.returncode == 0, done.stderr
    names = sorted(path.name for path in (tmp_path / "sheets").iterdir())
    assert names == ["a.sheet.png", "b.sheet.png"] and done.stdout.count("wrote") == 2
    img = cv2.imread(str(tmp_path / "sheets" / "a.sheet.png"))
    assert img is not None and img.shape[1] == 400
    again = typed("sheet", tmp_path / "all", "-o", tmp_path / "sheets", "--width", 300)
    assert again.returncode == 1 and "there already" in again.stderr
    assert typed("sheet", tmp_path / "all" / "a", "-o", tmp_path / "a.txt").returncode == 2


def test_in_the_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_store(tmp_path / "s", "png", 2)
    monkeypatch.setenv("COLUMNS", "60")
    done = typed("sheet", path, "--terminal")
    lines = done.stdout.splitlines()
    assert done.returncode == 0 and lines[0].endswith("2 frames") and np.ptp([len(line) for line in lines[1:]]) == 0
    assert len(lines[1]) == 60 and not list(tmp_path.glob("*.png"))

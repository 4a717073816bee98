"""Which seconds are a date: everything that tells or types times goes by it."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from scenes import SHAPE, coded_frame

import imgstore
from imgstore.local_time import is_date, local_time


@pytest.mark.parametrize(
    ("seconds", "date"),
    [(0.0, False), (-2082844800.0, False), (31_536_000.0, False), (31_536_000.5, True), (1.7e9, True), (math.nan, False)],
)
def test_the_first_year_after_the_epoch_has_no_dates(tmp_path: Path, seconds: float, date: bool) -> None:
    assert is_date(seconds) is date and is_date(np.float64(seconds)) is date
    with imgstore.new_for_format("npy", tmp_path / "s", imgshape=SHAPE) as store:
        store.add_image(coded_frame(1), 1, 1.0)
        assert ("-" in local_time(store, seconds)[1:]) is date

"""Files with extra data as Motif writes them, and tables in a form that can be compared."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd

CAMERA = np.dtype([("frame_number", "i8"), ("frame_time", "f8"), ("frame_index", "i8")])


def write_h5(
    path: str | Path,
    numbers: list[int],
    datasets: dict[str, tuple[str, np.ndarray]] | None = None,
    text: Callable[[str], Any] = str,
    rates: float | dict[str, float] | None = 10.0,
    camera: np.dtype[Any] = CAMERA,
    change: Callable[[h5py.File], Any] | None = None,
) -> str:
    if datasets is None:
        datasets = {"ai": ("x, y", np.arange(2.0 * len(numbers)).reshape(2, -1))}
    with h5py.File(path, "w") as file:
        file.attrs["datasets"] = text(", ".join(datasets))
        for name, (columns, data) in datasets.items():
            dataset = file.create_dataset(name, data=data)
            dataset.attrs["column_names"] = text(columns)
            if rates is not None:
                dataset.attrs["samplerate"] = rates if isinstance(rates, float) else rates[name]
        samples = np.zeros(len(numbers), camera)
        samples["frame_number"] = numbers
        for k, field in enumerate(camera.names or ()):
            if field != "frame_number":
                samples[field] = np.arange(len(numbers)) * 10**k
        file.create_dataset("camera", data=samples)
        file.create_dataset("sample_delay", data=np.arange(len(numbers)) / 8)
        if change is not None:
            change(file)
    return str(path)


def columns_of(table: pd.DataFrame | None) -> dict[str, list[Any]] | None:
    """The columns in order, NaN as None so that they can be compared."""
    if table is None:
        return None
    assert isinstance(table.index, pd.RangeIndex)
    assert table.index.start == 0
    return {
        name: [None if isinstance(v, float) and math.isnan(v) else v for v in table[name].tolist()]
        for name in table.columns
    }

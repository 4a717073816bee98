"""Bridges are tried in environments that have the libraries: ``tox -e bridges`` and ``tox -e torch``."""

from __future__ import annotations

import importlib.util

LIBRARIES = {
    "test_bridges.py": ("dask", "npe2", "pims", "xarray"),
    "test_dask.py": ("dask", "distributed"),
    "test_notebook.py": ("anywidget",),
    "test_nwb.py": ("nwbinspector", "pynwb"),
    "test_torch.py": ("torch",),
}

# Elsewhere there is nothing to collect: these libraries are not among what the tests of imgstore install.
collect_ignore = [name for name, needed in LIBRARIES.items() if not all(map(importlib.util.find_spec, needed))]

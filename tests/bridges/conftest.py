"""Bridges are tried in an environment that has the libraries: ``tox -e bridges``."""

from __future__ import annotations

import importlib.util

LIBRARIES = ("dask", "distributed", "npe2", "nwbinspector", "pims", "pynwb", "xarray")

# Elsewhere there is nothing to collect: these libraries are not among what the tests of imgstore install.
collect_ignore_glob = [] if all(map(importlib.util.find_spec, LIBRARIES)) else ["test_*.py"]

"""Several stores in step: cameras that filmed the same thing."""

from __future__ import annotations

import os
from typing import Any

from imgstore.group.clocks import Clock
from imgstore.group.finding import camera_names, find_cameras
from imgstore.group.group import StoreGroup
from imgstore.group.steps import Step, Steps
from imgstore.group.table import Table

__all__ = ["Clock", "Step", "Steps", "StoreGroup", "Table", "camera_names", "find_cameras", "open_group"]


def open_group(directory: str | os.PathLike[str], **arguments: Any) -> StoreGroup:
    """Open the stores of one recording by several cameras as a group.

    Parameters
    ----------
    directory : path-like
        A folder with a store per camera, or the store of one of them; see `find_cameras`.
    **arguments
        Of `StoreGroup`.

    Returns
    -------
    StoreGroup
        It closes the stores when it is closed.

    Raises
    ------
    NotAStoreError
        There is no store in the directory.
    ArgumentError
        There are stores of several recordings, which are listed; or see `StoreGroup`.
    """
    return StoreGroup(find_cameras(directory), **arguments)

"""What a forked child inherits of FFmpeg and must never free: that waits for threads, which stayed in the parent, for ever."""

from __future__ import annotations

import ctypes
import os
import weakref

__all__ = ["leave_to_parent"]

_owners: weakref.WeakSet[object] = weakref.WeakSet()


def leave_to_parent(owner: object) -> None:
    """Keep an object, and what it refers to, from being freed in a child that is forked while it is there.

    The child is not to use it either.
    """
    _owners.add(owner)


def _keep_all() -> None:
    for owner in list(_owners):
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(owner))
    _owners.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_keep_all)

"""What a forked child inherits of FFmpeg and must never free: that waits for threads, which stayed in the parent, for ever."""

from __future__ import annotations

import ctypes
import gc
import os
import weakref

__all__ = ["leave_to_parent"]

# Without callbacks, as `weakref.WeakSet` has them: Ctrl-C in the midst of one would be lost.
_owners: set[weakref.ref[object]] = set()


def leave_to_parent(owner: object) -> None:
    """Keep an object, and what it refers to, from being freed in a child that is forked while it is there.

    The child is not to use it either.
    """
    _owners.difference_update([reference for reference in list(_owners) if reference() is None])
    _owners.add(weakref.ref(owner))


def _keep_all() -> None:
    # What nobody refers to any more may wait to be collected, as PyAV's containers and their streams refer to each other.
    # What is in a child when it begins is better left to the parent anyway: to look at it would copy its memory.
    gc.freeze()
    for owner in [reference() for reference in _owners]:
        if owner is not None:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(owner))
    _owners.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_keep_all)

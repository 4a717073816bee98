"""Telling, once for each name, that there is a newer one."""

from __future__ import annotations

import warnings

from imgstore.errors import ImgStoreWarning

__all__ = ["tell_newer"]

_told: set[str] = set()


def tell_newer(old: str, newer: str, *, stacklevel: int = 2) -> None:
    """Warn, the first time in this process, that something has another name by now.

    `stacklevel` is that of `warnings.warn` in whoever calls this.
    """
    if old not in _told:
        _told.add(old)
        message = f"{old} is a name of imgstore-shaliulab and goes on working; {newer}"
        warnings.warn(message, ImgStoreWarning, stacklevel=stacklevel + 1)

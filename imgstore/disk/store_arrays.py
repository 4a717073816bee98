"""What a chunk's index says of its store, as 0.x did: programs that read single chunks look there (C++ trackers do).

imgstore itself looks at ``metadata.yaml`` alone. Nothing that would need a pickle is written.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["STORE_NAMES", "store_arrays"]

STORE_NAMES = (
    "format",
    "imgshape",
    "imgdtype",
    "uuid",
    "class",
    "chunksize",
    "extension",
    "encoding",
    "created_utc",
    "timezone_local",
    "version",
)


def store_arrays(values: Mapping[str, Any]) -> dict[str, npt.NDArray[Any]]:
    """Return what ``metadata.yaml`` says of a store in the form in which a chunk's index holds it.

    Parameters
    ----------
    values : mapping
        The content of ``__store``.

    Returns
    -------
    dict
        Texts and numbers without dimensions, and ``imgshape``, int64 ``(2,)`` or ``(3,)``; what is None is an empty text,
        what is neither is left out.
    """
    arrays = {}
    for name in STORE_NAMES:
        if name not in values:
            continue
        value = values[name]
        if value is None or isinstance(value, str):
            arrays[name] = np.array(value or "")
        elif all(_fits(number) for number in (value if isinstance(value, (list, tuple)) else [value])):
            arrays[name] = np.array(value, np.int64)
    return arrays


def _fits(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63

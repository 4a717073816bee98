"""Names that imgstore 0.x had here; pipelines import them, nothing inside the package does."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from imgstore.beside import motif
from imgstore.beside.motif import extra_data_h5_attrs as motif_extra_data_h5_attrs
from imgstore.beside.motif import get_parse_true_fps as motif_get_parse_true_fps
from imgstore.beside.motif import get_recording_timezone as motif_get_recording_timezone
from imgstore.beside.records import JsonCustomEncoder
from imgstore.errors import ArgumentError
from imgstore.pixels.color import ensure_color, ensure_grayscale
from imgstore.pixels.encodings import ImageCodecProcessor

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "FourCC",
    "ImageCodecProcessor",
    "JsonCustomEncoder",
    "ensure_color",
    "ensure_grayscale",
    "load_config",
    "motif_extra_data_h5_attrs",
    "motif_extra_data_h5_to_df",
    "motif_extra_data_json_to_df",
    "motif_get_parse_true_fps",
    "motif_get_recording_timezone",
]


def FourCC(c1: str, c2: str, c3: str, c4: str) -> int:
    """Return the number of a four-character code, as ``cv2.VideoWriter_fourcc`` does.

    Raises
    ------
    ArgumentError
        One of them is no single ASCII character.
    """
    code = 0
    for shift, character in zip((0, 8, 16, 24), (c1, c2, c3, c4), strict=True):
        if not (isinstance(character, str) and len(character) == 1 and character.isascii()):
            raise ArgumentError(f"{character!r} is no character of a four-character code")
        code |= ord(character) << shift
    return code


def load_config(*args: object) -> dict[str, dict[str, bool]]:
    """Return which formats work on this machine, which imgstore-shaliulab keeps in a file of the user's: here there is none.

    Parameters
    ----------
    *args
        Taken, and not used.

    Returns
    -------
    dict
        ``{"codecs": {format: bool}}``
    """
    from imgstore.plugins import registered_codecs

    return {"codecs": {e.format.name: e.codec.missing(e.format) is None for e in registered_codecs()}}


def motif_extra_data_h5_to_df(store: Any, path: str | os.PathLike[str]) -> pd.DataFrame:
    """Read Motif's extra data from HDF5, see `imgstore.beside.motif.extra_data_h5_to_df`; `store` is not used."""
    return motif.extra_data_h5_to_df(path)


def motif_extra_data_json_to_df(store: Any, path: str | os.PathLike[str]) -> pd.DataFrame:
    """Read Motif's extra data from JSON, see `imgstore.beside.motif.extra_data_json_to_df`; `store` is not used."""
    return motif.extra_data_json_to_df(path)

"""Names that imgstore 0.x had here; `imgstore.disk.layout` and `imgstore.beside.extra_data` define them now."""

from __future__ import annotations

from imgstore.beside.extra_data import EXTENSIONS as EXTRA_DATA_FILE_EXTENSIONS
from imgstore.disk.layout import LOCK_FILENAME as STORE_LOCK_FILENAME
from imgstore.disk.layout import METADATA_FILENAME as STORE_MD_FILENAME
from imgstore.disk.layout import METADATA_KEY as STORE_MD_KEY
from imgstore.disk.layout import SQLITE_INDEX_FILENAME as STORE_INDEX_FILENAME

__all__ = [
    "EXTRA_DATA_FILE_EXTENSIONS",
    "FRAME_MD",
    "STORE_INDEX_FILENAME",
    "STORE_LOCK_FILENAME",
    "STORE_MD_FILENAME",
    "STORE_MD_KEY",
]

FRAME_MD = ("frame_number", "frame_time")

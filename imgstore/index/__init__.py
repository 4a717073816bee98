"""Where is frame n: in which chunk, and at which place in it."""

from __future__ import annotations

from imgstore.index.frame_index import ImgStoreIndex
from imgstore.index.frame_index import _unpickle as _unpickle  # where pickles made by earlier versions look for it

__all__ = ["ImgStoreIndex"]

"""A store as users see it: one class, put together from parts that are a module each."""

from __future__ import annotations

from imgstore.store.store import DirectoryImgStore, ImgStore, VideoImgStore
from imgstore.store.store import _reopen as _reopen  # where pickles made by earlier versions look for it

__all__ = ["DirectoryImgStore", "ImgStore", "VideoImgStore"]

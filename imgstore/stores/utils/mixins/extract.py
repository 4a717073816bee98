"""Where programs written for imgstore-shaliulab import it from."""

from __future__ import annotations

from imgstore.stores import _extract_store_metadata as _extract_store_metadata

__all__ = ["_extract_store_metadata"]

"""Several cameras as programs written for imgstore-shaliulab open them; see `imgstore.stores.multi`."""

from __future__ import annotations

from imgstore.stores.multi import MultiStore, new_for_filename

__all__ = ["MultiStore", "new_for_filename"]

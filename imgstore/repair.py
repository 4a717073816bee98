"""Making a damaged store whole: the door to `imgstore.care.repair`."""

from __future__ import annotations

from imgstore.care.repair import Action, repair_store

__all__ = ["Action", "repair_store"]

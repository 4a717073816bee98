"""Checking a store: the door to `imgstore.care.verify`."""

from __future__ import annotations

from imgstore.care.verify import Fault, Report, check_store, verify_store

__all__ = ["Fault", "Report", "check_store", "verify_store"]

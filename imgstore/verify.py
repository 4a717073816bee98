"""Checking a store: the door to `imgstore.care.verify`."""

from __future__ import annotations

from imgstore.care.faults import Fault, Report, describe_frames
from imgstore.care.verify import check_store, verify_store

__all__ = ["Fault", "Report", "check_store", "describe_frames", "verify_store"]

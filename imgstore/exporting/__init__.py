"""Stores, or parts of them, for programs that know nothing of stores: videos, GIFs and images with their tables."""

from imgstore.exporting.outputs import writing
from imgstore.exporting.sheet import contact_sheet
from imgstore.exporting.to_files import Exported, export

__all__ = ["Exported", "contact_sheet", "export", "writing"]

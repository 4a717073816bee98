"""Stores, or parts of them, for programs that know nothing of stores: videos, GIFs and images with their tables."""

from imgstore.exporting.outputs import see_that_it_is_in_no_store, writing
from imgstore.exporting.pictures import Pictures, parse_crop, parse_scale
from imgstore.exporting.sheet import contact_sheet
from imgstore.exporting.span import find_range
from imgstore.exporting.to_files import Exported, export

__all__ = ["Exported", "Pictures", "contact_sheet", "export", "find_range", "parse_crop", "parse_scale",
           "see_that_it_is_in_no_store", "writing"]  # fmt: skip

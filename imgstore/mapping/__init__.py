"""A store out of others, or out of parts of them, made chunk by chunk, by one worker or several at once."""

from __future__ import annotations

from imgstore.mapping.job import BatchMetadata, Job
from imgstore.mapping.left_out import LeftOut
from imgstore.mapping.make_store import Mapped, copy_store, map_store
from imgstore.mapping.named_sources import find_sources, in_natural_order
from imgstore.mapping.process_pool import processes
from imgstore.mapping.recipe import Recipe, opened
from imgstore.mapping.run import Submit, Workers
from imgstore.mapping.selection import Selection
from imgstore.mapping.tasks import Stopped
from imgstore.mapping.this_process import here
from imgstore.mapping.work_directory import is_unfinished, read_note

__all__ = ["BatchMetadata", "Job", "LeftOut", "Mapped", "Recipe", "Selection", "Stopped", "Submit", "Workers", "copy_store",
           "find_sources", "here", "in_natural_order", "is_unfinished", "map_store", "opened", "processes",
           "read_note"]  # fmt: skip

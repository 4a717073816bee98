"""A store out of others, or out of parts of them, made chunk by chunk, by one worker or several at once."""

from __future__ import annotations

from imgstore.mapping.job import BatchMetadata, Job
from imgstore.mapping.left_out import LeftOut
from imgstore.mapping.make_in_step import map_in_step
from imgstore.mapping.make_store import copy_store, map_store
from imgstore.mapping.making import Mapped
from imgstore.mapping.named_sources import find_sources, in_natural_order
from imgstore.mapping.process_pool import processes
from imgstore.mapping.recipe import Recipe, opened
from imgstore.mapping.run import Submit, Workers
from imgstore.mapping.selection import Selection
from imgstore.mapping.source import Source
from imgstore.mapping.stores_in_step import InStep, SideBySide, in_step, side_by_side
from imgstore.mapping.tasks import Stopped
from imgstore.mapping.this_process import here
from imgstore.mapping.work_directory import is_unfinished, read_note

__all__ = ["BatchMetadata", "InStep", "Job", "LeftOut", "Mapped", "Recipe", "Selection", "SideBySide", "Source",
           "Stopped", "Submit", "Workers", "copy_store", "find_sources", "here", "in_natural_order", "in_step",
           "is_unfinished", "map_in_step", "map_store", "opened", "processes", "read_note", "side_by_side"]  # fmt: skip

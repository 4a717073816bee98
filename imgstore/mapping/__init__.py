"""A store out of another, made chunk by chunk by several workers at once."""

from __future__ import annotations

from imgstore.mapping.job import BatchMetadata, Job
from imgstore.mapping.left_out import LeftOut
from imgstore.mapping.make_store import Mapped, map_store
from imgstore.mapping.process_pool import processes
from imgstore.mapping.recipe import Recipe, opened
from imgstore.mapping.run import Submit, Workers
from imgstore.mapping.source_frames import BEFORE_ALL, frames_between, records_by_position
from imgstore.mapping.work_directory import is_unfinished

__all__ = ["BEFORE_ALL", "BatchMetadata", "Job", "LeftOut", "Mapped", "Recipe", "Submit", "Workers", "frames_between",
           "is_unfinished", "map_store", "opened", "processes", "records_by_position"]  # fmt: skip

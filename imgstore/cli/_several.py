"""Commands that take several stores, and folders with stores in them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import click

import imgstore
from imgstore.cli._common import TypedPath
from imgstore.mapping import is_unfinished

__all__ = ["names_for", "paths_argument", "stores_among"]

F = TypeVar("F", bound=Callable[..., Any])


def paths_argument() -> Callable[[F], F]:
    """Return the argument PATH..., of stores, folders with stores in them, and whatever `imgstore.open` takes."""
    return click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=TypedPath())


def stores_among(paths: Iterable[str]) -> list[str]:
    """Return paths as they are, and for each folder that is no store and holds some the stores in it, by name."""
    found: list[str] = []
    for path in paths:
        stores = [] if imgstore.is_imgstore(path) else _stores_in(path)
        found += stores or [path]  # whoever opens it tells what is wrong
    return found


def _stores_in(folder: str) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            # also broken ones, and those that were only begun: none is left out without a word
            return sorted(e.path for e in entries if e.name[0] != "." and e.is_dir() and _is_or_was_to_be_a_store(e.path))
    except OSError:
        return []


def _is_or_was_to_be_a_store(folder: str) -> bool:
    return os.path.lexists(os.path.join(folder, "metadata.yaml")) or is_unfinished(folder)


def names_for(paths: Iterable[str]) -> list[str]:
    """Return a name for each path that is a file's: that of its folder or file, numbered where several have it."""
    taken: dict[str, int] = {}
    names = []
    for path in paths:
        whole = os.path.abspath(path)
        name = os.path.basename(os.path.dirname(whole) if os.path.basename(whole) == "metadata.yaml" else whole) or "sheet"
        name = "".join("_" if letter in '*?"<>|:' else letter for letter in name)
        taken[name] = taken.get(name, 0) + 1
        names.append(name if taken[name] == 1 else f"{name}-{taken[name]}")
    return names

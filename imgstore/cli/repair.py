"""``imgstore repair``: make a damaged or interrupted store whole."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

import imgstore
from imgstore.cli._common import (
    HELP,
    Command,
    TypedPath,
    chunk_progress,
    counted,
    one_line,
    print_json,
    print_json_line,
)
from imgstore.cli._jobs import jobs_option, run_each, worst
from imgstore.cli._several import paths_argument, stores_among
from imgstore.errors import MetadataError, NotAStoreError
from imgstore.mapping import is_unfinished

if TYPE_CHECKING:
    from imgstore.repair import Action
    from imgstore.verify import Fault

__all__ = ["command"]


@click.command("repair", cls=Command, short_help="Make an interrupted or damaged store whole.", context_settings=HELP)
@paths_argument()
@click.option("--dry-run", is_flag=True, help="Change nothing; say what would be done.")
@click.option("--estimate-times", is_flag=True, help="Estimate numbers and times that are lost, and mark them as such.")
@click.option("--accept-metadata", is_flag=True, help="metadata.yaml was changed on purpose: take it as it is now.")
@click.option(
    "--accept-frames", is_flag=True, help="Frames or videos were changed on purpose: take them as they are now."
)
@click.option("--make-metadata", is_flag=True, help="metadata.yaml is missing or broken: make one from the chunks.")
@click.option("--break-lock", is_flag=True, help="The writer that the store's lock names is gone, you know that.")
@click.option("--set-aside", type=TypedPath(path_type=Path), metavar="DIR",
              help="Where to put what cannot be used, on the store's file system; default PATH.set-aside.")  # fmt: skip
@jobs_option()
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON; of several paths a line for each.")
@click.pass_context
def command(
    context: click.Context, /, paths: tuple[str, ...], jobs: int, set_aside: Path | None, as_json: bool, **how: bool
) -> None:
    """Make the store at PATH whole, as far as its files allow, without encoding anything again.

    Journals become indexes, videos are cut after their last good frame, what cannot be read is set aside in a directory
    beside the store, extra data and cached indexes are put in order. Nothing is deleted, and a second run changes
    nothing. Then the store is verified. The exit status is 0 where verify finds no fault any more, 1 where something
    could not be repaired, 2 where there is no store.

    PATH may be a folder with stores in it, and there may be several.

    \b
    Examples:
      imgstore repair recording --dry-run
      imgstore repair recording
      imgstore repair --jobs 4 recordings/
    """
    stores = list(paths) if how["make_metadata"] else stores_among(paths)
    if len(stores) == 1:
        with chunk_progress() as progress:
            done = _repair(stores[0], how, set_aside, progress)
        _tell(done, how["dry_run"], as_json, print_json)
        context.exit(0 if done.whole else 1)
    if set_aside is not None:
        raise click.UsageError("--set-aside is of one store: each of several has a folder of its own beside it")
    statuses = []
    for path, outcome in run_each(partial(_repair, how=how), stores, jobs, "repairing"):
        if outcome.value is not None:
            _tell(outcome.value, how["dry_run"], as_json, print_json_line)
        elif as_json:
            print_json_line({"path": path, "ok": False, "error": outcome.error})
        statuses.append(outcome.status or (0 if outcome.value.whole else 1))
    if not as_json:
        state = "would be whole" if how["dry_run"] else "whole"
        click.echo(f"{statuses.count(0)} of {counted(len(stores), 'store')} {state}")
    context.exit(worst(statuses))


_WHAT_THEN = "imgstore verify tells what is wrong with it still, imgstore save makes a store of the frames that can be read"


@dataclass(frozen=True)
class _Done:
    """What was done to a store, and what verifying it has found afterwards."""

    path: str
    actions: list[Action]
    faults: list[Fault]

    @property
    def left(self) -> list[Action]:
        return [action for action in self.actions if action.kind == "left"]

    @property
    def untold(self) -> list[Fault]:
        told = {action.path for action in self.left}
        return [fault for fault in self.faults if fault.path not in told]

    @property
    def whole(self) -> bool:
        return not self.left and not self.faults


def _repair(
    path: str, how: dict[str, bool], set_aside: Path | None = None, progress: Callable[[int, int], object] | None = None
) -> _Done:
    from imgstore.repair import repair_store
    from imgstore.verify import check_store

    try:
        actions = repair_store(path, set_aside=set_aside, **how)
    except (NotAStoreError, MetadataError) as error:
        begun = isinstance(error, NotAStoreError) and is_unfinished(path)  # which has other ways on
        if how["make_metadata"] or begun or not os.path.exists(path):
            raise
        raise type(error)(f"{error}; --make-metadata makes one where there are chunks") from error
    faults: list[Fault] = []
    if imgstore.is_imgstore(path):  # it is not yet, where --dry-run has made no metadata
        faults = check_store(path, progress=progress).faults
    if how["dry_run"]:
        faults = [fault for fault in faults if not _would_go(fault, actions)]
    return _Done(path, actions, faults)


def _tell(done: _Done, dry_run: bool, as_json: bool, printed: Callable[[object], None]) -> None:
    if as_json:
        printed(
            {
                "path": os.path.abspath(done.path),
                "ok": done.whole,
                "dry_run": dry_run,
                "actions": [asdict(action) for action in done.actions],
                "faults": [asdict(fault) for fault in done.faults],
            }
        )
        return
    for line in _lines(done.actions, dry_run):
        click.echo(line)
    for fault in done.untold:
        click.echo(f"not repaired: {fault.kind}: {one_line(fault)}")
    if not done.actions and done.whole:
        click.echo(f"nothing to do: {one_line(done.path)}")
        return
    count = len(done.actions) - len(done.left)
    verdict = (
        f"{count} {'to do' if dry_run else 'done'}, {len(done.left) + len(done.untold)} not repaired: {one_line(done.path)}"
    )
    click.echo(verdict if done.whole or dry_run else f"{verdict}; {_WHAT_THEN}")


def _would_go(fault: Fault, actions: Sequence[Action]) -> bool:
    """Whether what would be done sees to a fault, as far as can be told without doing it."""
    about = [action for action in actions if action.kind != "left"]
    if any(fault.path == action.path or fault.path.startswith(action.path + os.sep) for action in about):
        return True
    # an index that is cut or made leaves what is in the frames' own files as it is
    return fault.kind not in ("checksum", "frame") and any(fault.chunk == action.chunk is not None for action in about)


def _lines(actions: Sequence[Action], dry_run: bool) -> Iterator[str]:
    """Say what was done, once where the same was done to several files of a directory."""
    for (kind, place, message), same in itertools.groupby(
        actions, lambda action: (action.kind, os.path.dirname(action.path), action.message)
    ):
        paths = [action.path for action in same]
        which = paths[0] if len(paths) == 1 else f"{place}: {counted(len(paths), 'file')}, {_names(paths)}"
        prefix = "not repaired" if kind == "left" else f"would: {kind}" if dry_run else kind
        yield f"{prefix}: {one_line(f'{which}: {message}')}"


def _names(paths: Sequence[str]) -> str:
    return f"{os.path.basename(paths[0])} to {os.path.basename(paths[-1])}"

"""``imgstore repair``: make a damaged or interrupted store whole."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

import imgstore
from imgstore.cli._common import HELP, Command, chunk_progress, counted, print_json, store_argument
from imgstore.errors import MetadataError, NotAStoreError

if TYPE_CHECKING:
    from imgstore.repair import Action
    from imgstore.verify import Fault

__all__ = ["command"]


@click.command("repair", cls=Command, short_help="Make an interrupted or damaged store whole.", context_settings=HELP)
@store_argument()
@click.option("--dry-run", is_flag=True, help="Change nothing; say what would be done.")
@click.option("--estimate-times", is_flag=True, help="Estimate numbers and times that are lost, and mark them as such.")
@click.option("--accept-metadata", is_flag=True, help="metadata.yaml was changed on purpose: take it as it is now.")
@click.option(
    "--accept-frames", is_flag=True, help="Frames or videos were changed on purpose: take them as they are now."
)
@click.option("--make-metadata", is_flag=True, help="metadata.yaml is missing or broken: make one from the chunks.")
@click.option("--break-lock", is_flag=True, help="The writer that the store's lock names is gone, you know that.")
@click.option("--set-aside", type=click.Path(path_type=Path), metavar="DIR",
              help="Where to put what cannot be used, on the store's file system; default PATH.set-aside.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@click.pass_context
def command(
    context: click.Context,
    path: Path,
    dry_run: bool,
    estimate_times: bool,
    accept_metadata: bool,
    accept_frames: bool,
    make_metadata: bool,
    break_lock: bool,
    set_aside: Path | None,
    as_json: bool,
) -> None:
    """Make the store at PATH whole, as far as its files allow, without encoding anything again.

    Journals become indexes, videos are cut after their last good frame, what cannot be read is set aside in a directory
    beside the store, extra data and cached indexes are put in order. Nothing is deleted, and a second run changes
    nothing. Then the store is verified. The exit status is 0 where verify finds no fault any more, 1 where something
    could not be repaired, 2 where there is no store.
    """
    from imgstore.repair import repair_store
    from imgstore.verify import check_store

    try:
        actions = repair_store(
            path,
            dry_run=dry_run,
            estimate_times=estimate_times,
            accept_metadata=accept_metadata,
            accept_frames=accept_frames,
            make_metadata=make_metadata,
            break_lock=break_lock,
            set_aside=set_aside,
        )
    except (NotAStoreError, MetadataError) as error:
        if make_metadata or not path.exists():
            raise
        raise type(error)(f"{error}; --make-metadata makes one where there are chunks") from error
    faults: list[Fault] = []
    if imgstore.is_imgstore(path):  # it is not yet, where --dry-run has made no metadata
        with chunk_progress() as progress:
            faults = check_store(path, progress=progress).faults
    if dry_run:
        faults = [fault for fault in faults if not _would_go(fault, actions)]
    left = [action for action in actions if action.kind == "left"]
    told = {action.path for action in left}
    untold = [fault for fault in faults if fault.path not in told]
    whole = not left and not faults
    if as_json:
        print_json(
            {
                "ok": whole,
                "dry_run": dry_run,
                "actions": [asdict(action) for action in actions],
                "faults": [asdict(fault) for fault in faults],
            }
        )
    else:
        for line in _lines(actions, dry_run):
            click.echo(line)
        for fault in untold:
            click.echo(f"not repaired: {fault.kind}: {' '.join(str(fault).split())}")
        done = len(actions) - len(left)
        if not actions and whole:
            click.echo(f"nothing to do: {path}")
        else:
            verdict = f"{done} {'to do' if dry_run else 'done'}, {len(left) + len(untold)} not repaired: {path}"
            click.echo(verdict if whole or dry_run else f"{verdict}; imgstore verify tells what is wrong with it still")
    context.exit(0 if whole else 1)


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
        yield f"{prefix}: {' '.join(f'{which}: {message}'.split())}"


def _names(paths: Sequence[str]) -> str:
    return f"{os.path.basename(paths[0])} to {os.path.basename(paths[-1])}"

"""``imgstore repair``: make a damaged or interrupted store whole."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from imgstore.cli._common import HELP, Command, print_json, store_argument

__all__ = ["command"]


@click.command("repair", cls=Command, short_help="Make an interrupted or damaged store whole.", context_settings=HELP)
@store_argument()
@click.option("--dry-run", is_flag=True, help="Change nothing; say what would be done.")
@click.option("--estimate-times", is_flag=True, help="Estimate numbers and times that are lost, and mark them as such.")
@click.option("--accept-metadata", is_flag=True, help="metadata.yaml was changed on purpose: take it as it is now.")
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
    break_lock: bool,
    set_aside: Path | None,
    as_json: bool,
) -> None:
    """Make the store at PATH whole, as far as its files allow, without encoding anything again.

    Journals become indexes, videos are cut after their last good frame, what cannot be read is set aside in a directory
    beside the store, extra data and cached indexes are put in order. Nothing is deleted, and a second run changes
    nothing. The exit status is 0 where the store is whole, 1 where something could not be repaired, 2 where there is no
    store.
    """
    from imgstore.repair import repair_store

    actions = repair_store(
        path,
        dry_run=dry_run,
        estimate_times=estimate_times,
        accept_metadata=accept_metadata,
        break_lock=break_lock,
        set_aside=set_aside,
    )
    left = [action for action in actions if action.kind == "left"]
    if as_json:
        print_json({"ok": not left, "dry_run": dry_run, "actions": [asdict(action) for action in actions]})
    else:
        for action in actions:
            prefix = "not repaired" if action.kind == "left" else f"would: {action.kind}" if dry_run else action.kind
            click.echo(f"{prefix}: {' '.join(str(action).split())}")
        done = len(actions) - len(left)
        if not actions:
            click.echo(f"nothing to do: {path}")
        else:
            click.echo(f"{done} {'to do' if dry_run else 'done'}, {len(left)} not repaired: {path}")
    context.exit(1 if left else 0)

"""``imgstore index``: leave a cached index in a store, so that it opens at once however long it is."""

from __future__ import annotations

from pathlib import Path

import click

import imgstore
from imgstore.cli._common import HELP, Command, counted, store_argument

__all__ = ["command"]


@click.command(
    "index",
    cls=Command,
    short_help="Leave a cached index in a store, so that it opens at once.",
    context_settings=HELP,
)
@store_argument()
@click.option("--sqlite", is_flag=True, help="Write .index.sqlite too, which imgstore 0.x reads.")
def command(path: Path, sqlite: bool) -> None:
    """Read the indexes of all chunks of the store at PATH and leave them in it as one file.

    Opening reads that file from then on. It is never needed: a store that changes afterwards is read from its chunks
    again.

    \b
    Examples:
      imgstore index recording
      imgstore index recording --sqlite
    """
    with imgstore.new_for_filename(path) as store:
        store.cache_index()
        if sqlite:
            store.save_index()
        frames, chunks = counted(store.frame_count, "frame"), counted(len(store.chunks), "chunk")
        click.echo(f"indexed {frames} in {chunks}: {store.filename}")

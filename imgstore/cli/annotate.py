"""``imgstore annotate``: what somebody notes about a recording, changed in one step."""

from __future__ import annotations

from typing import Any

import click

import imgstore
from imgstore.cli._common import HELP, Command, counted, make_table, print_json, print_table, store_argument
from imgstore.cli._values import named_values

__all__ = ["command"]


@click.command("annotate", cls=Command, short_help="Change the user's metadata of a store.", context_settings=HELP)
@store_argument()
@click.argument("values", metavar="[KEY=VALUE]...", nargs=-1)
@click.option("--text", multiple=True, metavar="KEY=TEXT", help="The same, with a value that is text whatever it looks like.")
@click.option("--remove", multiple=True, metavar="KEY", help="Take a key away.")
@click.option("--break-lock", is_flag=True, help="The writer that the store's lock names is gone, you know that.")
@click.option("--json", "as_json", is_flag=True, help="Print the metadata as JSON.")
def command(
    path: Any, values: tuple[str, ...], text: tuple[str, ...], remove: tuple[str, ...], break_lock: bool, as_json: bool
) -> None:
    """Set keys of the user's metadata of the store at PATH, or take some away; without any, show them.

    Values are YAML: 12.5 is a number, true a truth, [a, b] a list, 2024-05-01 a date. The file is replaced in one step, and not
    while the store is being written. The frames are not touched.

    \b
    Examples:
      imgstore annotate recording animal="fly 12" weight=12.5
      imgstore annotate recording --text session=007 --remove note
    """
    changes = {**named_values(values, "KEY=VALUE"), **named_values(text, "--text", plain=True)}
    if changes or remove:
        imgstore.update_metadata(path, changes, remove=remove, break_lock=break_lock)
    with imgstore.new_for_filename(path) as store:
        metadata = store.user_metadata
        if as_json:
            print_json(metadata)
        elif changes or remove:
            done = [f"{verb} {counted(len(keys), 'key')}" for verb, keys in (("set", changes), ("removed", remove)) if keys]
            click.echo(f"{', '.join(done)}: {store.filename}")
        elif metadata:
            table = make_table("metadata", "")
            for key, value in metadata.items():
                table.add_row(str(key), str(value))
            print_table(table)
        else:
            click.echo(f"no metadata: {store.filename}")

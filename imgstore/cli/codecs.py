"""``imgstore codecs``: which formats there are, which work on this machine, and what the others lack."""

from __future__ import annotations

from typing import Any

import click

from imgstore.cli._common import HELP, Command, make_table, print_json, print_table
from imgstore.plugins import RegisteredCodec, broken_plugins, registered_codecs

__all__ = ["command", "describe_codecs"]


@click.command(
    "codecs",
    cls=Command,
    short_help="Show which formats there are and what works here.",
    context_settings=HELP,
)
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON, write options included.")
def command(as_json: bool) -> None:
    """Show each format with its codec, and for those that do not work on this machine what is missing."""
    formats, broken = describe_codecs(), broken_plugins()
    if as_json:
        print_json({"formats": formats, "broken_plugins": broken})
        return
    table = make_table("format", "codec", "package", "extension", "lossless", "dtypes", "on this machine")
    # what can be used as it is comes first, each part in order of registration
    for row in sorted(formats, key=lambda row: (not row["usable"], not row["default"])):
        table.add_row(
            ", ".join([row["format"], *row["variants"]]),
            row["codec"],
            row["package"],
            row["extension"],
            "lossless" if row["lossless"] else "lossy",
            "any" if row["dtypes"] is None else ", ".join(row["dtypes"]),
            _state(row),
        )
    print_table(table)
    for name, error in broken.items():
        click.echo(f"plugin {name} does not work and is left out: {error}")


def _state(row: dict[str, Any]) -> str:
    if not row["usable"]:
        return f"missing: {row['missing']}"
    return "works" if row["default"] else f"works, with backend={row['codec']!r}"


def describe_codecs() -> list[dict[str, Any]]:
    """Describe every codec for every format, in order of registration.

    Returns
    -------
    list of dict
        ``format``; ``variants`` (names under which it can be written too, such as ``png+color``); ``aliases`` (names
        under which it is read); ``codec``; ``package``; ``extension``; ``lossless``; ``dtypes`` (None: any);
        ``usable``; ``missing`` (None, or what this machine lacks); ``default`` (whether it is the one that a store
        takes unless told otherwise: where a format has several codecs, the last one that works); ``options``
        (keywords for writing, with their help).
    """
    entries = registered_codecs()
    missing = [entry.codec.missing(entry.format) for entry in entries]
    chosen = {entry.format.name: k for k, entry in enumerate(entries) if missing[k] is None}
    return [
        _describe(entry, lacks, chosen.get(entry.format.name) == k)
        for k, (entry, lacks) in enumerate(zip(entries, missing, strict=True))
    ]


def _describe(entry: RegisteredCodec, missing: str | None, default: bool) -> dict[str, Any]:
    fmt = entry.format
    return {
        "format": fmt.name,
        "variants": [f"{fmt.name}+color"] if fmt.decoded_variant else [],
        "aliases": list(fmt.aliases),
        "codec": entry.codec.name,
        "package": entry.package,
        "extension": fmt.extension,
        "lossless": fmt.lossless,
        "dtypes": None if fmt.dtypes is None else list(fmt.dtypes),
        "usable": missing is None,
        "missing": missing,
        "default": default,
        "options": dict(entry.codec.write_options(fmt)),
    }

"""``imgstore codecs``: which formats there are, which work on this machine, and what the others lack."""

from __future__ import annotations

from typing import Any

import click

from imgstore.cli._common import HELP, Command, make_table, print_json, print_table
from imgstore.plugins import RegisteredCodec, broken_plugins, near_formats, registered_codecs

__all__ = ["command", "describe_codecs"]

_OWN = "imgstore"  # the package of the codecs that ship


@click.command(
    "codecs",
    cls=Command,
    short_help="Show which formats there are and what works here.",
    context_settings=HELP,
)
@click.argument("name", metavar="[FORMAT]", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON, write options included.")
def command(name: str | None, as_json: bool) -> None:
    """Show the formats that stores can have, and for those that do not work on this machine what is missing.

    With FORMAT, show all of it: codec, package, and the options that it takes when a store is written.

    \b
    Examples:
      imgstore codecs
      imgstore codecs avc1/mp4
    """
    formats, broken = describe_codecs(), broken_plugins()
    if name is not None:
        formats = _called(name, formats)
    if as_json:
        print_json({"formats": formats, "broken_plugins": broken})
        return
    # what can be used as it is comes first, each part in order of registration
    formats.sort(key=lambda row: (not row["usable"], not row["default"]))
    if name is not None:
        for k, row in enumerate(formats):
            if k:
                click.echo()
            _show(row)
        return
    first: dict[str, dict[str, Any]] = {}  # of each format's codecs; `imgstore codecs FORMAT` tells of the others
    for row in formats:
        first.setdefault(row["format"], row)
    table = make_table("format", "files", "", "samples", "on this machine")
    for row in first.values():
        table.add_row(
            ", ".join([row["format"], *row["variants"]]),
            row["extension"],
            "lossless" if row["lossless"] else "lossy",
            "any" if row["dtypes"] is None else _shortened(row["dtypes"]),
            ("works" if row["usable"] else "does not work") + ("" if row["package"] == _OWN else f" ({row['package']})"),
        )
    print_table(table)
    for row in formats:
        if not first[row["format"]]["usable"]:
            click.echo(f"{row['format']}, by {row['codec']}: {row['missing']}")
    for plugin, error in broken.items():
        click.echo(f"plugin {plugin} does not work and is left out: {error}")


def _called(name: str, formats: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the formats with a name, which may be that of a variant or an alias."""
    found = [row for row in formats if name in (row["format"], *row["variants"], *row["aliases"])]
    if not found:
        names = [known for row in formats for known in (row["format"], *row["variants"])]
        near = near_formats(name, names)
        meant = f"Did you mean {' or '.join(near)}?" if near else f"There are {', '.join(dict.fromkeys(names))}."
        raise click.UsageError(f"there is no format {name!r}. {meant}")
    return found


def _shortened(dtypes: list[str]) -> str:
    """Name as many types as fit into a line of a terminal."""
    return ", ".join(dtypes if len(dtypes) <= 2 else [*dtypes[:2], "..."])


def _show(row: dict[str, Any]) -> None:
    facts = make_table("", "")
    facts.show_header = False
    names = [*row["variants"], *row["aliases"]]
    for name, value in (
        ("format", row["format"] + (f" (also {', '.join(names)})" if names else "")),
        ("codec", f"{row['codec']}, of the package {row['package']}"),
        ("files", f"{row['extension']}, {'lossless' if row['lossless'] else 'lossy'}"),
        ("samples", "any" if row["dtypes"] is None else ", ".join(row["dtypes"])),
        ("here", _state(row)),
    ):
        facts.add_row(name, value)
    print_table(facts)
    if row["options"]:
        click.echo()
        options = make_table("option", "")
        for name, told in row["options"].items():
            options.add_row(name, told)
        print_table(options)


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

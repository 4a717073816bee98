"""``NAME=VALUE`` as people type it, or as they have it in a file."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import click

__all__ = ["metadata_file", "named_values"]


def named_values(texts: Iterable[str], where: str, plain: bool = False) -> dict[str, Any]:
    """Turn ``NAME=VALUE`` into a dict; values are YAML, so that 23 is a number, unless they are to be `plain` text.

    Raises
    ------
    click.BadParameter
        There is no name, no value, or the value is no YAML.
    """
    import yaml

    found: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise click.BadParameter(f"{text!r} has no value: {text}=VALUE is wanted", param_hint=where)
        if not name.strip():
            raise click.BadParameter(f"{text!r} has no name before the '='", param_hint=where)
        try:
            found[name.strip()] = value if plain else yaml.safe_load(value)
        except yaml.YAMLError:
            raise click.BadParameter(
                f"{value!r} is no YAML; put quotes around text within it, as in {name}='\"{value}\"'", param_hint=where
            ) from None
    return found


def metadata_file(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read metadata out of a YAML file, or a JSON file, which is YAML too.

    Raises
    ------
    click.BadParameter
        It cannot be read, or holds no names with values.
    """
    import yaml

    try:
        with open(path, encoding="utf-8") as file:
            found = yaml.safe_load(file)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        told = " ".join(str(getattr(error, "strerror", None) or error).split())
        raise click.BadParameter(f"{os.fspath(path)}: cannot be read: {told}", param_hint="--metadata-file") from None
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found):
        raise click.BadParameter(f"{os.fspath(path)}: holds no names with values", param_hint="--metadata-file")
    return found

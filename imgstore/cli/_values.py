"""``NAME=VALUE`` as people type it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import click

__all__ = ["named_values"]


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
        if not equals or not name.strip():
            raise click.BadParameter(f"{text!r} is not NAME=VALUE", param_hint=where)
        try:
            found[name.strip()] = value if plain else yaml.safe_load(value)
        except yaml.YAMLError:
            raise click.BadParameter(
                f"{value!r} is no YAML; put quotes around text within it, as in {name}='\"{value}\"'", param_hint=where
            ) from None
    return found

"""``imgstore test``: the check to run after installing."""

from __future__ import annotations

import click

from imgstore import selftest
from imgstore.cli._common import HELP, Command

__all__ = ["command"]


@click.command(
    "test",
    cls=Command,
    short_help="Check every format that works on this machine.",
    context_settings={**HELP, "ignore_unknown_options": True},
)
@click.argument("pytest_arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def command(ctx: click.Context, pytest_arguments: tuple[str, ...]) -> None:
    """Write and read back every format that works on this machine, and say which do not and why.

    PYTEST_ARGUMENTS are handed to pytest (-k png, -x, -v, ...), whose summary and exit status these are.

    \b
    Examples:
      imgstore test
      imgstore test -k png -v
    """
    ctx.exit(selftest.run(pytest_arguments))

"""The commands: ``imgstore COMMAND`` and the names that 0.x installed.

One module per command, each with a `click` command of its own; a new command is a new module and one more line here.
They use the public interface alone.
"""

from __future__ import annotations

import click

from imgstore.cli import annotate, codecs, export, index, info, repair, save, sheet, timecodes, verify, view
from imgstore.cli import test as selftest
from imgstore.cli._common import HELP, Command

__all__ = ["codecs_main", "index_main", "main", "save_main", "test_main", "timecodes_main", "view_main"]

COMMANDS: tuple[click.Command, ...] = (
    view.command,
    save.command,
    export.command,
    sheet.command,
    info.command,
    annotate.command,
    codecs.command,
    index.command,
    verify.command,
    repair.command,
    timecodes.command,
    selftest.command,
)


class _InGivenOrder(click.Group):
    """A group whose help lists the commands as they were added."""

    command_class = Command

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


@click.group(cls=_InGivenOrder, context_settings=HELP)
@click.version_option(package_name="imgstore", prog_name="imgstore")
def main() -> None:
    """Record, look at and look after stores of video frames."""


for _command in COMMANDS:
    main.add_command(_command)

# What the console scripts of these names call.
view_main = view.command
save_main = save.command
test_main = selftest.command
codecs_main = codecs.command
index_main = index.command
timecodes_main = timecodes.command

"""The commands: ``imgstore COMMAND`` and the names that 0.x installed.

One module per command, each with a `click` command of its own; a new command is a new module and one more line here.
They use the public interface alone.
"""

from __future__ import annotations

import difflib

import click

from imgstore.cli import annotate, codecs, export, index, info, repair, save, sheet, timecodes, verify, view
from imgstore.cli import test as selftest
from imgstore.cli._common import HELP, Command, OneLine

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


class _InGivenOrder(OneLine, click.Group):
    """A group whose help lists the commands as they were added, and that knows what a mistyped one was meant to be."""

    command_class = Command

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or suggest one."""
        if args and not args[0].startswith("-") and args[0] not in self.commands:
            near = difflib.get_close_matches(args[0], self.commands, n=2)
            meant = f"Did you mean {' or '.join(near)}?" if near else f"There are {', '.join(self.commands)}."
            ctx.fail(f"there is no command {args[0]!r}. {meant}")
        return super().resolve_command(ctx, args)


@click.group(cls=_InGivenOrder, context_settings=HELP, epilog="""\b
Examples:
  imgstore save video.mp4 recording              a video becomes a store
  imgstore info recording                        what is in it
  imgstore export recording clip.mp4             and a video again
  imgstore verify recording                      is everything there?
\b
Completion, in bash, zsh and fish (for good: in the shell's own start file):
  eval "$(_IMGSTORE_COMPLETE=bash_source imgstore)"
  eval "$(_IMGSTORE_COMPLETE=zsh_source imgstore)"
  _IMGSTORE_COMPLETE=fish_source imgstore | source
""")  # fmt: skip
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

"""What all commands share: how errors and warnings are told, and how tables and JSON are printed."""

from __future__ import annotations

import contextlib
import datetime
import json
import math
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TextIO, TypeVar

import click
import numpy as np

from imgstore.errors import ImgStoreError, NotAStoreError

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["HELP", "Command", "OneLine", "PlainError", "TypedPath", "chunk_progress", "counted", "make_table",
           "one_line", "print_json", "print_json_line", "print_table", "store_argument", "told_error", "warn"]  # fmt: skip

F = TypeVar("F", bound=Callable[..., Any])

_UNFOLDED = 100_000  # columns that no row needs

HELP = {"help_option_names": ["-h", "--help"]}


class PlainError(click.ClickException):
    """An error that is told in one line on stderr, without a traceback."""

    exit_code = 1

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the line."""
        click.echo(f"imgstore: error: {one_line(self.message)}", file=file or sys.stderr)


class _NoStore(PlainError):
    exit_code = 2


class _WrongUse(PlainError):
    """A command that was called wrongly: one line too, with where to read how it is meant."""

    exit_code = 2

    def __init__(self, error: click.UsageError, path: str) -> None:
        message = error.format_message().rstrip()
        stop = "" if message.endswith((".", "?", "!")) else "."
        super().__init__(f"{message}{stop} See '{path} --help'")


class OneLine(click.Command):
    """A command, or a group of some, whose errors of ours are one line on stderr.

    The exit status is 0, 1 after an error, 2 where the command was used wrongly or the path holds no store, 130 after
    Ctrl-C.
    """

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Parse what was typed."""
        path = f"{parent.command_path} {info_name}" if parent is not None else str(info_name)
        with _told_in_one_line(path):
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """Run it, see the class."""
        with _told_in_one_line(ctx.command_path):
            return super().invoke(ctx)


# Newer versions of click have an error of wrong use that is none.
_SHOWS_HELP: tuple[type[Exception], ...] = tuple(
    error for name, error in vars(click.exceptions).items() if name == "NoArgsIsHelpError"
)


@contextlib.contextmanager
def _told_in_one_line(path: str) -> Iterator[None]:
    try:
        yield
    except _SHOWS_HELP:
        raise
    except click.UsageError as error:
        raise _WrongUse(error, path) from error


class Command(OneLine):
    """A command that does something; see `OneLine`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Understand what was typed, and keep it as it was."""
        ctx.meta["imgstore.arguments"] = list(args)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run it, see the class."""
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(AttributeError, ValueError):  # what stands in for one has no encoding
                # names of files that are no Unicode are printed as they are
                stream.reconfigure(errors="surrogateescape")  # type: ignore[union-attr]
        try:
            with _plain_warnings():
                return super().invoke(ctx)
        except BrokenPipeError:
            # The reader of our output (`head`, say) has gone. Python would complain once more while it flushes at exit.
            sys.stdout = open(os.devnull, "w")  # noqa: SIM115
            ctx.exit(1)
        except (ImgStoreError, OSError) as error:
            told = told_error(error, ctx.info_name)
            assert told is not None
            raise type(told)(in_own_words(told.message, self)) from error
        except KeyboardInterrupt:
            ctx.exit(130)


def in_own_words(message: str, command: click.Command) -> str:
    """Turn keywords of Python in a message into the options of a command: ``overwrite=True`` is ``--overwrite`` there."""
    for option in command.params:
        if isinstance(option, click.Option) and option.name is not None:
            typed = max(option.opts, key=len)
            message = re.sub(rf"(?<![\w-]){re.escape(option.name)}=True\b", typed, message)
            message = re.sub(rf"(?<![\w-]){re.escape(option.name)}=(?=\s|$)", typed, message)
    return message


def told_error(error: BaseException, about: object) -> PlainError | None:
    """Return an error as it is told, None where it is a fault of ours; `about` is for those that name nothing."""
    if isinstance(error, NotAStoreError):
        return _NoStore(str(error))
    if isinstance(error, OSError) and (error.strerror or not isinstance(error, ImgStoreError)):
        return PlainError(f"{error.filename or about}: {error.strerror or error}")
    if isinstance(error, ImgStoreError):
        return PlainError(str(error))
    return None


class TypedPath(click.Path):
    """A path that was typed. Where the shell has left a ``~`` in it that is not the first, it is a name, no home directory."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Keep ``./~`` from becoming ``~``; refuse what a variable of the shell that is not set makes."""
        if value == "":
            self.fail("is empty: a name is wanted ('.' is the folder where you are)", param, ctx)
        if isinstance(value, str) and not value.startswith("~") and os.path.normpath(value).startswith("~"):
            value = os.path.abspath(value)
        return super().convert(value, param, ctx)


def store_argument() -> Callable[[F], F]:
    """Return the argument PATH, of a store's directory or its metadata.yaml."""
    return click.argument("path", type=TypedPath(path_type=Path))


def counted(count: int, noun: str, style: str = "") -> str:
    """Say how many there are of something: ``1 frame``, ``2 frames``; `style` is for the number, as in `format`."""
    return f"{count:{style}} {noun}{'' if count == 1 else 's'}"


def one_line(text: object) -> str:
    """Return a text without line breaks."""
    return " ".join(str(text).split())


def warn(message: object, file: TextIO | None = None) -> None:
    """Tell a warning as a line on stderr."""
    click.echo(f"imgstore: warning: {one_line(message)}", file=file or sys.stderr)


@contextlib.contextmanager
def _plain_warnings() -> Iterator[None]:
    """Tell warnings as a line each, without the line of source that Python shows, which is no user's business."""

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        warn(message, file)

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield


def make_table(*headings: str, right: frozenset[str] = frozenset()) -> Table:
    """Return an empty table; the columns named in `right` are aligned to the right."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for heading in headings:
        number = heading in right  # which is no longer one when it is folded
        table.add_column(heading, justify="right" if number else "left", overflow="fold", no_wrap=number)
    return table


def print_table(table: Table) -> None:
    """Print a table, folded to the width of the terminal; in a pipe each row stays one line, for grep."""
    from rich.console import Console

    console = Console(highlight=False, emoji=False, markup=False)
    if console.is_terminal:
        console.print(table)
        return
    console = Console(highlight=False, emoji=False, markup=False, width=_UNFOLDED)
    console.width = max(1, console.measure(table).maximum)
    with console.capture() as capture:
        console.print(table)
    click.echo("\n".join(line.rstrip() for line in capture.get().splitlines()))


def print_json(value: object) -> None:
    """Print a value as JSON; numpy's types and times are turned into JSON's, NaN and infinity into null."""
    click.echo(_json(value, 2))


def print_json_line(value: object) -> None:
    """Print a value as JSON in one line, as programs take them that read line by line."""
    click.echo(_json(value, None))


def _json(value: object, indent: int | None) -> str:
    plain = _jsonable(value)
    text = json.dumps(plain, indent=indent, ensure_ascii=False, allow_nan=False)
    if any("\ud800" <= letter <= "\udfff" for letter in text):  # of a name that is no Unicode, which JSON is
        return json.dumps(plain, indent=indent, allow_nan=False)
    return text


def _jsonable(value: object) -> Any:
    if isinstance(value, dict):
        return {str(key): _jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_jsonable(item) for item in value]
    if isinstance(value, np.ndarray):
        return _jsonable(value.tolist())
    if isinstance(value, np.generic):
        return _jsonable(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, (datetime.datetime, datetime.date, datetime.time)):
        return value.isoformat()
    return str(value)


@contextlib.contextmanager
def chunk_progress() -> Iterator[Callable[[int, int], object] | None]:
    """Show on a terminal how many chunks have been looked at; in a pipe nothing."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("chunks"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("chunks")
        yield lambda done, total: bar.update(task, completed=done, total=total)

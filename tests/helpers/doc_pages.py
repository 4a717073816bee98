"""Pages of documentation as programs: their code blocks are found, and run in the order of the page.

A page is run in a directory and a process of its own, with its Python blocks in one namespace, so that a reader who
types them in one after the other gets what is told. ``python doc_pages.py PAGE.md`` runs a page in the current
directory.

=================  ==========================================================================================
```` ```python ````   run; what it prints must match a block ```` ```output ```` that follows it directly
```` ```console ````  each line ``$ command`` is run and must succeed; the lines below it, if any, are what it prints
                      (a backslash at its end goes on in the next line)
other languages    text, not looked at
=================  ==========================================================================================

``...`` in what is printed stands for anything. A Python block whose first line is ``# not run here: REASON`` is
compiled only.
"""

from __future__ import annotations

import contextlib
import doctest
import io
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from commands import typed

__all__ = ["Block", "Command", "commands", "find_blocks", "run_page"]

NOT_RUN = "# not run here: "
_FENCE = re.compile(r"(?P<indent> *)(?P<fence>`{3,}|~{3,}) *(?P<language>\{?[\w+-]*\}?)")
_OF_SHELLS = re.compile(r"[|<>&;*?$~`]")
_FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE

# Looked at and not run: they install, want a screen or a camera, or take minutes, and have tests of their own.
NOT_RUN_COMMANDS = frozenset({"pip", "make", "tox", "pytest", "bash", "python"})
ONLY_HELP = frozenset({"imgstore-test", "imgstore test", "imgstore-view", "imgstore view"})


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    language: str
    line: int  # of its first line of content, from 1
    text: str
    follows: bool  # whether nothing but blank lines stands between it and the block before


@dataclass(frozen=True)
class Command:
    """A line of a console block."""

    line: int
    text: str
    output: str

    @property
    def program(self) -> str:
        """The program, with its first argument where that is a command of imgstore."""
        words = shlex.split(self.text)
        return " ".join(words[:2]) if words[0] == "imgstore" else words[0]

    @property
    def runs(self) -> bool:
        """Whether the command is run."""
        return self.program not in NOT_RUN_COMMANDS


def find_blocks(text: str) -> list[Block]:
    """Find the fenced blocks of a page."""
    blocks: list[Block] = []
    lines = text.splitlines()
    at, gap = 0, True  # gap: whether there was text since the last block
    while at < len(lines):
        opening = _FENCE.match(lines[at])
        if opening is None:
            gap = gap or bool(lines[at].strip())
            at += 1
            continue
        content, start = [], at + 1
        at = start
        while at < len(lines) and not lines[at].strip().startswith(opening["fence"]):
            content.append(lines[at].removeprefix(opening["indent"]))
            at += 1
        if at == len(lines):
            raise ValueError(f"line {start}: the block that begins here does not end")
        blocks.append(Block(opening["language"], start + 1, "\n".join(content) + "\n", not gap))
        at, gap = at + 1, False
    return blocks


def commands(block: Block) -> Iterator[Command]:
    """Take a console block apart."""
    at, lines = 0, block.text.splitlines()
    while at < len(lines):
        if not lines[at].startswith("$ "):
            raise ValueError(f"line {block.line + at}: a console block has commands ('$ ...') and what they print")
        line, text, output = block.line + at, re.sub(r"\s+# .*", "", lines[at][2:]), []
        at += 1
        while text.endswith("\\"):
            text, at = text[:-1] + lines[at].strip(), at + 1
        while at < len(lines) and not lines[at].startswith("$ "):
            output.append(lines[at])
            at += 1
        yield Command(line, text, "\n".join(output).strip())


def matches(wanted: str, printed: str) -> bool:
    """Whether what was printed is what a page says, ``...`` and spaces aside."""
    return doctest.OutputChecker().check_output(wanted.strip() + "\n", printed.strip() + "\n", _FLAGS)


def _difference(where: str, wanted: str, printed: str) -> str:
    return f"{where}: the page says\n{wanted}\nand this is printed:\n{printed}"


def _run_python(page: Path, block: Block, wanted: str | None, namespace: dict[str, Any]) -> None:
    # numbered as in the page, which is what a traceback names
    code = compile("\n" * (block.line - 1) + block.text, str(page), "exec", dont_inherit=True)
    if block.text.startswith(NOT_RUN):
        return
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed if wanted is not None else sys.stdout):
        exec(code, namespace)
    if wanted is not None and not matches(wanted, printed.getvalue()):
        raise AssertionError(_difference(f"{page}:{block.line}", wanted, printed.getvalue()))


def _run_command(page: Path, command: Command) -> None:
    line = command.text + (" --help" if command.program in ONLY_HELP else "")
    words = shlex.split(line)
    if words[0] == "imgstore" and not _OF_SHELLS.search(line):
        done = typed(*words[1:], cwd=os.getcwd())
    else:
        done = subprocess.run(line, shell=True, text=True, stdin=subprocess.DEVNULL, capture_output=True)
    if done.returncode:
        said = done.stdout + done.stderr
        raise AssertionError(f"{page}:{command.line}: {line} ends with status {done.returncode}: {said}")
    if command.program in ONLY_HELP:
        missing = [word for word in shlex.split(command.text) if word.startswith("--") and word not in done.stdout]
        if missing:
            raise AssertionError(f"{page}:{command.line}: {command.program} has no {', '.join(missing)}")
    elif command.output and not matches(command.output, done.stdout):
        raise AssertionError(_difference(f"{page}:{command.line}: {line}", command.output, done.stdout))


def run_page(page: Path) -> None:
    """Run a page in the current directory."""
    # the commands that were installed beside this interpreter
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    namespace: dict[str, Any] = {"__name__": "__main__"}
    blocks = find_blocks(page.read_text(encoding="utf-8"))
    for k, block in enumerate(blocks):
        if block.language == "python":
            after = blocks[k + 1] if k + 1 < len(blocks) else None
            output = after.text if after is not None and after.language == "output" and after.follows else None
            _run_python(page, block, output, namespace)
        elif block.language == "console":
            for command in commands(block):
                if command.runs:
                    _run_command(page, command)


if __name__ == "__main__":
    run_page(Path(sys.argv[1]))

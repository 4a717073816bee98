"""What a disk may hold after the power has been cut, at every point of a recording.

`trace` runs a program under strace and returns its operations on files below a directory, those that FFmpeg makes
included. `Disk` takes them one by one and knows what is on the disk for certain (what has been synced since) and what
may be. `Disk.crash` makes up one state of the disk that POSIX allows then: what has not been synced is there, missing,
cut off or zeros.
"""

from __future__ import annotations

import os
import random
import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_CALLS = (
    "open,openat,creat,close,write,pwrite64,writev,pwritev,pwritev2,lseek,truncate,ftruncate,fallocate,rename,renameat,"
    "renameat2,link,linkat,unlink,unlinkat,mkdir,mkdirat,rmdir,fsync,fdatasync,dup,dup2,dup3,sendfile,copy_file_range"
)
_LINE = re.compile(r"(\d+) +([\d.]+) (.*)")
_CALL = re.compile(r"(\w+)\((.*)\) += (-?\d+|0x[0-9a-f]+|\?)")
_STRING = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_SECTOR = 512


@dataclass
class Operation:
    """One system call that changed something, or made it durable.

    Attributes
    ----------
    kind : str
        ``create``, ``write``, ``truncate``, ``rename``, ``unlink``, ``mkdir`` or ``sync``.
    path, other : str
        Relative to the directory; ``''`` is the directory itself. `other` is the new name in a rename.
    offset : int
        Of a write in the file; new size where it is truncated.
    data : bytes
        What was written.
    thread : int
        Who did it.
    time : float
        When, in seconds.
    """

    kind: str
    path: str
    other: str = ""
    offset: int = 0
    data: bytes = b""
    thread: int = 0
    time: float = 0.0


def trace(command: Sequence[str], root: Path, log: Path, **how: object) -> list[Operation]:
    """Run a program and return what it did below a directory, in the order in which calls returned."""
    strace = ["strace", "-f", "-ttt", "-xx", "-s", "100000000", "-e", f"trace={_CALLS}", "-e", "signal=none"]
    subprocess.run([*strace, "-o", str(log), *command], check=True, **how)  # type: ignore[call-overload]
    return list(_operations(log, str(root)))


def _lines(log: Path) -> Iterator[tuple[int, float, str]]:
    """Give whole calls: those that were interrupted by others' are put together."""
    begun: dict[int, str] = {}
    with log.open() as file:
        for line in file:
            match = _LINE.match(line)
            assert match is not None, line
            thread, when, text = int(match[1]), float(match[2]), match[3]
            if text.startswith("close(") and text.endswith("<unfinished ...>"):
                # another thread may be given the number before this call returns
                yield thread, when, text.removesuffix("<unfinished ...>") + ") = 0"
            elif text.endswith("<unfinished ...>"):
                begun[thread] = text.removesuffix("<unfinished ...>")
            elif text.startswith("<... close resumed>"):
                continue
            elif text.startswith("<... "):
                yield thread, when, begun.pop(thread) + text.partition(" resumed>")[2]
            else:
                yield thread, when, text


@dataclass
class _Open:
    path: str
    append: bool
    position: int = 0


def _operations(log: Path, root: str) -> Iterator[Operation]:
    files: dict[int, _Open] = {}
    sizes: dict[str, int] = {}

    def below(name: str) -> str | None:
        if name == root:
            return ""
        return name[len(root) + 1 :] if name.startswith(root + "/") else None

    for thread, when, text in _lines(log):
        match = _CALL.match(text)
        if match is None or match[3] in "?" or match[3].startswith("-"):
            continue
        call, arguments, result = match[1], match[2], int(match[3], 0)
        strings = [bytes.fromhex(s.replace("\\x", "")) for s in _STRING.findall(arguments)]
        plain = [part.strip() for part in _STRING.sub("S", arguments).split(",")]
        made = {"thread": thread, "time": when}
        if call in ("open", "openat", "creat"):
            name = below(os.fsdecode(strings[0]))
            files.pop(result, None)
            if name is None:
                continue
            files[result] = _Open(name, "O_APPEND" in arguments)
            if "O_CREAT" in arguments and name not in sizes:
                sizes[name] = 0
                yield Operation("create", name, **made)  # type: ignore[arg-type]
            if "O_TRUNC" in arguments and sizes.get(name):
                sizes[name] = 0
                yield Operation("truncate", name, **made)  # type: ignore[arg-type]
            continue
        if call in ("rename", "renameat", "renameat2"):
            old, new = (below(os.fsdecode(s)) for s in strings)
            assert (old is None) == (new is None), text[:200]
            if old is not None and new is not None:
                sizes[new] = sizes.pop(old)
                for file in files.values():
                    file.path = new if file.path == old else file.path
                yield Operation("rename", old, new, **made)  # type: ignore[arg-type]
            continue
        if call in ("unlink", "unlinkat", "mkdir", "mkdirat"):
            name = below(os.fsdecode(strings[0]))
            if name is not None:
                sizes.pop(name, None)
                yield Operation(call.removesuffix("at"), name, **made)  # type: ignore[arg-type]
            continue
        descriptor = int(plain[0]) if plain[0].isdigit() else -1
        if call == "close":
            files.pop(descriptor, None)
            continue
        file = files.get(descriptor)  # type: ignore[assignment]
        if file is None:
            continue
        if call == "lseek":
            file.position = result
        elif call in ("write", "writev", "pwrite64"):
            at = sizes[file.path] if file.append else int(plain[-1]) if call == "pwrite64" else file.position
            if call != "pwrite64":
                file.position = at + result
            sizes[file.path] = max(sizes[file.path], at + result)
            yield Operation("write", file.path, "", at, b"".join(strings)[:result], **made)  # type: ignore[arg-type]
        elif call == "ftruncate":
            sizes[file.path] = int(plain[1])
            yield Operation("truncate", file.path, "", int(plain[1]), **made)  # type: ignore[arg-type]
        elif call in ("fsync", "fdatasync"):
            yield Operation("sync", file.path, **made)  # type: ignore[arg-type]
        else:
            raise AssertionError(f"{call} is not understood: {text[:200]}")


@dataclass
class _File:
    """Content of a file: what is on the disk, and what has been done since."""

    durable: bytes = b""
    pending: list[Operation] = field(default_factory=list)

    def content(self) -> bytes:
        content = bytearray(self.durable)
        for operation in self.pending:
            _apply(content, operation.offset, operation.data if operation.kind == "write" else None)
        return bytes(content)

    def sync(self) -> None:
        self.durable, self.pending = self.content(), []

    def crash(self, rng: random.Random) -> bytes:
        content, manner = bytearray(self.durable), rng.choice(("nothing", "all", "beginning", "anything"))
        last = rng.randint(0, len(self.pending))
        for k, operation in enumerate(self.pending):
            fate = {
                "nothing": "missing",
                "all": "whole",
                "beginning": "whole" if k < last else "torn" if k == last else "missing",
                "anything": rng.choice(("whole", "whole", "missing", "torn", "zeros")),
            }[manner]
            if fate == "missing":
                continue
            if operation.kind == "truncate" or fate == "whole":
                _apply(content, operation.offset, operation.data if operation.kind == "write" else None)
            else:
                _apply(content, operation.offset, self._damaged(operation, fate, rng))
        return bytes(content)

    def _damaged(self, operation: Operation, fate: str, rng: random.Random) -> bytes:
        """Cut a write off, or have zeros where its bytes ought to be; a disk writes whole sectors."""
        at, data, old = operation.offset, operation.data, len(self.durable)
        cut = rng.randint(0, len(data))
        if at < old:  # over what is there: the sectors have the old bytes or the new ones
            return data[: max(0, (at + cut) // _SECTOR * _SECTOR - at)]
        return data[:cut] if fate == "torn" else data[:cut] + bytes(len(data) - cut)


def _apply(content: bytearray, offset: int, data: bytes | None) -> None:
    if data is None:
        del content[offset:]
    if len(content) < offset:
        content.extend(bytes(offset - len(content)))
    if data is not None:
        content[offset : offset + len(data)] = data


_DIRECTORY = None
Names = dict[str, "_File | None"]


class Disk:
    """A directory while a program writes to it."""

    def __init__(self) -> None:
        self._live: Names = {"": _DIRECTORY}
        self._durable: Names = {"": _DIRECTORY}
        self._pending: dict[str, list[tuple[Operation, _File | None]]] = {"": []}

    def do(self, operation: Operation) -> None:
        """Take the next operation."""
        name = operation.path
        if operation.kind == "create":
            self._live[name] = _File()
        elif operation.kind == "mkdir":
            self._live[name] = _DIRECTORY
            self._pending[name] = []
        elif operation.kind == "sync":
            file = self._live[name]
            if file is not None:
                file.sync()
            else:
                for done, what in self._pending[name]:
                    _rename(self._durable, done, what)
                self._pending[name] = []
            return
        elif operation.kind in ("write", "truncate"):
            file = self._live[name]
            assert file is not None
            file.pending.append(operation)
            return
        what = self._live[name]
        _rename(self._live, operation, what)
        self._pending[os.path.dirname(name)].append((operation, what))

    def files(self) -> dict[str, bytes]:
        """Return what the files hold as long as the power is there."""
        return {name: file.content() for name, file in self._live.items() if file is not None}

    def crash(self, rng: random.Random, place: Path) -> None:
        """Make the directory as it may be found when the power has been cut now."""
        names = dict(self._durable)
        for pending in self._pending.values():
            manner, last = rng.choice(("nothing", "all", "beginning", "anything")), rng.randint(0, len(pending))
            for k, (operation, what) in enumerate(pending):
                there = {"nothing": False, "all": True, "beginning": k < last, "anything": rng.random() < 0.5}[manner]
                if there:
                    _rename(names, operation, what)
        place.mkdir()
        for name, file in sorted(names.items()):
            parent = os.path.dirname(name)
            if not name or parent not in names:
                continue
            if file is None:
                (place / name).mkdir()
            else:
                (place / name).write_bytes(file.crash(rng))


def _rename(names: Names, operation: Operation, what: _File | None) -> None:
    """Do what an operation does to names."""
    if operation.kind in ("create", "mkdir"):
        names[operation.path] = what
    elif operation.kind == "unlink":
        names.pop(operation.path, None)
    else:
        names.pop(operation.path, None)
        names[operation.other] = what

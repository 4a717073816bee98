"""Which files a person means: one, some, those of a folder, those that a pattern names."""

from __future__ import annotations

import fnmatch
import glob
import os
import re
import warnings
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from imgstore.errors import ArgumentError, ImgStoreWarning, NotAStoreError
from imgstore.sources.directory import Files
from imgstore.sources.source import Source

__all__ = ["Named", "absolute_path", "natural_order", "named_files"]

# A name that stands for several, as FFmpeg and OpenCV have it: img_%04d.png
_NUMBERED = re.compile(r"([^%]*)%(0\d+)?d([^%]*)")
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_DIGITS = re.compile(r"(\d+)")
_TAIL_OF_DIGITS = re.compile(r"\d+\Z")


@dataclass(frozen=True)
class Named:
    """Files that somebody means, in order.

    Attributes
    ----------
    what : str
        What they were called, as messages name them; an absolute path or pattern.
    source : Source
        Where they are.
    chosen : bool
        Whether each was chosen, by its name or by a pattern; else they are all of a folder.
    """

    what: str
    source: Source
    chosen: bool = True


def named_files(what: str | os.PathLike[str] | Iterable[str | os.PathLike[str]], extensions: Collection[str]) -> Named:
    """Find the files that are meant. None is opened.

    Parameters
    ----------
    what : path-like or iterable of path-like
        A file; a folder; a pattern of the shell (``*``, ``?``, ``[...]``, ``**``), or with a number (``%04d``); several
        files.
    extensions : collection of str
        What the names of the images in a folder end in, in lower case.

    Raises
    ------
    NotAStoreError
        There is no such file, or none in the folder. Also a FileNotFoundError and a ValueError.
    ArgumentError
        It is no path; or an address.
    """
    if not isinstance(what, (str, bytes, os.PathLike)):
        return _several(what)
    path = absolute_path(what)
    if os.path.isdir(path):
        endings = tuple({case for ending in extensions for case in (ending, ending.upper(), ending.title())})
        names = [name for name in os.listdir(path) if name.endswith(endings) and name[0] != "."]
        if not names:
            raise NotAStoreError(
                f"{path}: is no store, and holds no images ({', '.join(sorted(extensions))}); name videos one by one or by "
                "a pattern"
            )
        return Named(path, Files(path, natural_order(names)), chosen=False)
    if os.path.lexists(path):
        return Named(path, Files("", [path]))
    if _NUMBERED.fullmatch(os.path.basename(path)):
        return _numbered(path)
    if glob.has_magic(path):
        return _matching(path)
    reason = "there is no such file or directory"
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:
        reason = f"cannot be opened: {error.strerror or error}"
    raise NotAStoreError(f"{path}: {reason}")


def _matching(pattern: str) -> Named:
    """Find files by a pattern of the shell; those of one folder with one listing."""
    directory, base = os.path.split(pattern)
    if glob.has_magic(directory) or "**" in base or not os.path.isdir(directory):
        found = [name for name in glob.glob(pattern, recursive=True) if not os.path.isdir(name)]
    else:
        fits = re.compile(fnmatch.translate(os.path.normcase(base))).match
        with os.scandir(directory) as entries:
            hidden = base.startswith(".")
            found = [
                entry.path
                for entry in entries
                if fits(os.path.normcase(entry.name)) and (hidden or entry.name[0] != ".") and not entry.is_dir()
            ]
    if not found:
        raise NotAStoreError(f"{pattern}: no file has such a name")
    return _in_common_folder(pattern, natural_order(found))


def _several(paths: Iterable[str | os.PathLike[str]]) -> Named:
    names = [absolute_path(path) for path in paths]
    if not names:
        raise ArgumentError("there are no files in an empty list")
    for name in names:
        if not os.path.isfile(name):
            raise NotAStoreError(f"{name}: there is no such file")
    return _in_common_folder(os.path.commonpath([os.path.dirname(name) for name in names]), names)


def _in_common_folder(what: str, names: Sequence[str]) -> Named:
    folders = {os.path.dirname(name) for name in names}
    if len(folders) > 1:
        return Named(what, Files("", names))
    folder = folders.pop()
    before = len(os.path.join(folder, ""))
    return Named(what, Files(folder, [name[before:] for name in names]))


def _numbered(path: str) -> Named:
    """Find files that are numbered, in the order of their numbers."""
    directory, base = os.path.split(path)
    before, width, after = re.split(r"%(0\d+)?d", base)
    digits = f"\\d{{{int(width)},}}" if width else r"(?:0|[1-9]\d*)"
    pattern = re.compile(f"{re.escape(before)}({digits}){re.escape(after)}")
    try:
        found = sorted((int(match[1]), match[0]) for match in map(pattern.fullmatch, os.listdir(directory)) if match)
    except OSError as error:
        raise NotAStoreError(f"{path}: {error.strerror or error}") from error
    if not found:
        raise NotAStoreError(f"{path}: there are no such images")
    missing = found[-1][0] - found[0][0] + 1 - len(found)
    if missing > 0:
        warnings.warn(
            f"{path}: {missing} numbers have no image between the first and the last", ImgStoreWarning, stacklevel=5
        )
    return Named(path, Files(directory, [name for _, name in found]))


def absolute_path(path: str | os.PathLike[str]) -> str:
    """Return a path as it is from anywhere.

    Raises
    ------
    ArgumentError
        It is none, or an address.
    """
    try:
        text = os.fsdecode(path)
    except TypeError:
        raise ArgumentError(f"what is opened is a path, or a list of paths, not {type(path).__name__}") from None
    if _ADDRESS.match(text):
        raise ArgumentError(f"{text}: is an address, and files of this machine alone are opened")
    if "\0" in text:
        raise ArgumentError(f"{text!r} is no path that this system can have")
    return os.path.abspath(os.path.expanduser(text))


def natural_order(names: Iterable[str]) -> list[str]:
    """Sort names as people do: numbers in them count as numbers, so that ``2`` comes before ``10``."""
    names = list(names)
    numbers = _numbers_alone(names)
    if numbers is not None:
        return [name for _, _, name in sorted(zip(numbers, map(len, names), names, strict=True))]

    def key(name: str) -> tuple[list[str | int], str]:
        parts: list[str | int] = list(_DIGITS.split(name))
        parts[1::2] = map(int, parts[1::2])
        return parts, name

    return sorted(names, key=key)


def _numbers_alone(names: Sequence[str]) -> list[int] | None:
    """Return the numbers in which names differ, where they differ in nothing else; None where they do. This is fast."""
    first, last = min(names, default=""), max(names, default="")
    before = len(_TAIL_OF_DIGITS.sub("", os.path.commonprefix([first, last])))
    ending = os.path.splitext(first)[1]
    behind = -len(ending) or None
    middles = [name[before:behind] for name in names]
    together = "".join(middles)
    same = all(name.endswith(ending) for name in names)
    if not same or not (together.isdecimal() and together.isascii()) or not all(middles):
        return None
    return list(map(int, middles))

"""Files that appear under their names when they are whole: written beside, brought to the disk, renamed."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import imgstore
from imgstore.errors import ArgumentError, ImgStoreError, StoreExistsError, StoreLockedError, StoreWriteError

__all__ = ["Outputs", "replaced_name", "see_that_it_is_in_no_store", "temporary_name", "told", "writing"]


def temporary_name(path: Path) -> Path:
    """Return the name under which something is written: hidden, beside the one that it gets in the end."""
    return path.with_name(f".{path.name}.exporting")


def replaced_name(path: Path) -> Path:
    """Return the name that a folder has while another takes its place, until it is removed."""
    return path.with_name(f".{path.name}.replaced")


def see_that_it_is_in_no_store(path: Path) -> None:
    """Refuse a place where somebody would take what is put there for a part of a store.

    Raises
    ------
    ArgumentError
        It is within one.
    """
    for above in path.absolute().parents:
        if imgstore.is_imgstore(above):
            raise ArgumentError(f"{path}: is within the store {above}, and only what belongs to a store is put there")


class Outputs:
    """Files and folders that are written together; see `writing`."""

    def __init__(self, overwrite: bool) -> None:
        self._overwrite = overwrite
        self._pairs: list[tuple[Path, Path]] = []
        self._locks: list[int] = []

    def add(self, path: Path, folder: bool = False) -> Path:
        """Return the name under which to write what gets the name `path` in the end. The last one gets it last.

        Raises
        ------
        StoreExistsError
            There is something, and nothing was said of overwriting.
        StoreLockedError
            Another process is writing it.
        StoreWriteError
            The operating system refused.
        """
        self.check([path])
        temporary = temporary_name(path)
        with told(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            if folder:
                with contextlib.suppress(FileExistsError):
                    temporary.mkdir()
            else:
                temporary.open("ab").close()
            self._lock(temporary, path)
            self._pairs.append((temporary, path))
            if folder:  # of a run that was killed
                for left in temporary.iterdir():
                    left.unlink()
                _remove_folder(replaced_name(path))
            else:
                os.truncate(temporary, 0)
        return temporary

    def check(self, paths: Iterable[Path]) -> None:
        """Refuse to replace what is there, unless that was asked for; see `add`."""
        for path in paths:
            if os.path.lexists(path) and not self._overwrite:
                raise StoreExistsError(f"{path}: is there already; give another name, or --overwrite to replace it")

    def _lock(self, temporary: Path, path: Path) -> None:
        """See that nobody else writes there. Windows lets nobody rename or remove what another has open."""
        if sys.platform == "win32":
            return
        import fcntl

        descriptor = os.open(temporary, os.O_RDONLY)
        self._locks.append(descriptor)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreLockedError(f"{path}: another process is exporting to it") from None
        except OSError:
            return  # a file system without locks

    def put_in_place(self) -> None:
        """Bring everything to the disk, and give it its name."""
        for temporary, path in self._pairs:
            with told(path):
                for file in sorted(temporary.iterdir()) if temporary.is_dir() else (temporary,):
                    _sync(file)
        for temporary, path in self._pairs:
            with told(path):
                if temporary.is_dir() and path.is_dir():
                    _replace_folder(temporary, path)
                else:
                    os.replace(temporary, path)
        for folder in {path.parent for _, path in self._pairs}:
            with contextlib.suppress(OSError):  # not every system can
                _sync(folder)

    def close(self) -> None:
        """Remove what has not got its name."""
        for temporary, _ in self._pairs:
            if temporary.is_dir():
                shutil.rmtree(temporary, ignore_errors=True)
            else:
                with contextlib.suppress(OSError):
                    temporary.unlink()
        for descriptor in self._locks:
            os.close(descriptor)


@contextlib.contextmanager
def writing(overwrite: bool) -> Iterator[Outputs]:
    """Write files that get their names when the block has ended without an error, and are gone otherwise.

    A process that is killed leaves temporary names, which the next one that writes there takes away.

    Raises
    ------
    StoreWriteError
        The operating system refused, in the block too.
    """
    outputs = Outputs(overwrite)
    try:
        yield outputs
        outputs.put_in_place()
    finally:
        outputs.close()


def _replace_folder(temporary: Path, path: Path) -> None:
    """Put a folder in the place of another. It is no single step: who is killed in between leaves none, never a part of one."""
    replaced = replaced_name(path)
    os.replace(path, replaced)
    try:
        os.replace(temporary, path)
    except OSError:
        os.replace(replaced, path)
        raise
    _remove_folder(replaced)


def _remove_folder(path: Path) -> None:
    """Remove a folder, or a link to one, where it is there."""
    if path.is_symlink():
        path.unlink()
    elif path.exists():
        shutil.rmtree(path)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDWR if sys.platform == "win32" else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def told(path: Path) -> Iterator[None]:
    """Tell of whatever the operating system or FFmpeg has against writing, with the name that the file gets in the end.

    Raises
    ------
    StoreWriteError
        They have something against it. What is an error of ours already stays.
    """
    import av

    try:
        yield
    except (OSError, av.FFmpegError) as error:
        if isinstance(error, ImgStoreError):
            raise
        raise StoreWriteError(error.errno, f"cannot write: {error.strerror or error}", str(path)) from error

"""Folders that a command writes: nobody else's are touched, and what stands goes only when the new one is whole."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator, Set
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from occ_core.command_line import UsageError

_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)
_SHOWN = 3  # strange things that a sentence names


_held: set[int] = set()  # lock files of this process


def _leave_locks_to_the_parent() -> None:
    for file in _held:
        os.close(file)  # or worker processes would keep the lock of a parent that is killed
    _held.clear()


os.register_at_fork(after_in_child=_leave_locks_to_the_parent)


class OutputError(UsageError):
    """A folder or a file that must not or can't be written: which, why, and what to do."""


@dataclass(frozen=True)
class FolderKind:
    """name: in sentences. marks: patterns of paths, one of which every folder of this kind has and no other.

    contents: patterns of all names that such a folder may hold at its top; () where anything may be beside the marks,
    which is for folders that are added to and never replaced.
    """

    name: str
    marks: tuple[str, ...]
    contents: tuple[str, ...] = ()

    def found_in(self, folder: Path) -> bool:
        """Is this a folder of this kind?"""
        return any(next(folder.glob(mark), None) is not None for mark in self.marks)

    def strange_in(self, folder: Path) -> list[str]:
        """Names in a folder that are no part of this kind."""
        return sorted(n for n in os.listdir(folder) if not any(fnmatch(n, pattern) for pattern in self.contents))


SESSIONS = FolderKind("a folder of sessions", ("*/session.json", "split.json"))


def reason(error: OSError) -> str:
    """What the system says, in words."""
    return os.strerror(errno.ENOSPC) if _is_numpys(error) else error.strerror or str(error)


def _is_numpys(error: OSError) -> bool:
    """Of a disk that is full, `numpy.ndarray.tofile` says how much it took, and no more."""
    return error.errno is None and " requested and " in str(error)


def check_addable(folder: Path, kind: FolderKind, besides: Set[str] = frozenset()) -> None:
    """OutputError for a folder that can't be written, or that holds things and is not of this kind.

    What is hidden does not count, nor do the names in `besides`. Nothing is made or changed.
    """
    folder = Path(folder)
    _check_kind(folder, kind, [name for name in _visible(folder) if name not in besides])
    _check_writable(folder)


def check_replaceable(folder: Path, kind: FolderKind) -> None:
    """What `replaced` would refuse. Nothing is made or changed."""
    folder = Path(folder).resolve()
    _check_replaceable(folder, kind)
    _check_writable(folder.parent)


def check_file(path: Path, start: bytes, what: str) -> None:
    """OutputError for a file that can't be written, or that is there and is something else. start: its first bytes."""
    path = Path(path)
    try:
        if path.is_dir():
            raise OutputError(f"{path} is a folder, {what} is a file")
        if path.exists():
            with open(path, "r+b") as file:
                if (first := file.read(len(start))) and first != start:
                    raise OutputError(f"{path} is there and is not {what}: move it away, or name another")
    except OSError as error:
        raise OutputError(f"can't write {path}: {reason(error)}") from error
    _check_writable(path.parent)


def check_new(folder: Path, what: str) -> None:
    """OutputError for a folder that is there already, or whose parent can't be written."""
    if Path(folder).exists():
        raise OutputError(f"{folder} is there already: {what} is written to a new folder")
    _check_writable(Path(folder))


@contextmanager
def replaced(folder: Path, kind: FolderKind) -> Iterator[Path]:
    """A new empty folder to fill, which takes the place of `folder` when the context ends well.

    Until then the old one stands. What a killed run has left beside is removed, or put back, by the next. OutputError
    before anything is done where the folder is not empty and not of this kind, holds strange things, can't be written,
    or is being written by somebody else.
    """
    folder = Path(folder).resolve()
    beside, old = (folder.with_name(f".{folder.name}.{part}") for part in ("part", "old"))
    _check_replaceable(folder, kind)
    made, theirs = _missing_parents(folder), None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with locked(folder.with_name(f".{folder.name}.lock"), f"{folder} is being written by another run"):
            if old.exists() and not folder.exists():
                old.rename(folder)  # killed between the two renames below
            _check_replaceable(folder, kind)
            for leftover in (beside, old):
                _remove(leftover)
            beside.mkdir()
            try:
                try:
                    yield beside
                except OSError as error:
                    theirs = None if error.errno in _DISK or _is_numpys(error) else error
                    raise
                _check_replaceable(folder, kind)  # somebody may have put something there meanwhile
                if folder.exists():
                    folder.rename(old)
                beside.rename(folder)
            finally:
                shutil.rmtree(beside, ignore_errors=True)
                if old.exists() and not folder.exists():
                    old.rename(folder)
            shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        if error is theirs:
            raise  # of what is read, not of what is written
        raise OutputError(f"can't write {folder}: {reason(error)}") from error
    finally:
        for parent in made:
            with suppress(OSError):  # which is not empty, if all went well
                parent.rmdir()


@contextmanager
def locked(path: Path, taken: str, wait: bool = False) -> Iterator[None]:
    """Hold a lock file, which goes with the process however that ends. OutputError `taken` where another holds it.

    wait: until it is free, instead.
    """
    while True:
        file = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            if _same_file(file, path):
                break
        except BlockingIOError as error:
            os.close(file)
            raise OutputError(taken) from error
        except BaseException:
            os.close(file)
            raise
        os.close(file)  # its last holder has removed it: another one is there by now
    _held.add(file)
    try:
        yield
    finally:
        with suppress(OSError):
            path.unlink()
        _held.discard(file)
        os.close(file)


def _same_file(file: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), os.stat(path))
    except FileNotFoundError:
        return False


def _check_replaceable(folder: Path, kind: FolderKind) -> None:
    names = _names(folder)
    _check_kind(folder, kind, names)
    if names and (strange := kind.strange_in(folder)):
        shown = ", ".join(strange[:_SHOWN]) + (", ..." if len(strange) > _SHOWN else "")
        raise OutputError(
            f"{folder} is {kind.name} and would be replaced, but it also holds {shown}: move that away, or name another"
            " folder"
        )


def _check_kind(folder: Path, kind: FolderKind, names: list[str]) -> None:
    if names and not kind.found_in(folder):
        raise OutputError(
            f"{folder} is not empty and is not {kind.name}, nothing is written there: name another folder"
        )


def _visible(folder: Path) -> list[str]:
    return [name for name in _names(folder) if not name.startswith(".")]


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise OutputError(f"can't write {folder}: {reason(error)}") from error


def _check_writable(folder: Path) -> None:
    """By making the folder and a file in it, since permissions alone don't tell; both are removed again."""
    folder = Path(folder).absolute()
    made = _missing_parents(folder)
    made = made if folder.exists() else [folder, *made]
    trial = folder / f".{os.getpid()}.trial"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        trial.touch()
        trial.unlink()
    except OSError as error:
        why = "a part of the path is no folder" if error.errno in (errno.ENOTDIR, errno.EEXIST) else reason(error)
        raise OutputError(f"can't write {folder}: {why}") from error
    finally:
        for parent in made:
            with suppress(OSError):
                parent.rmdir()


def _missing_parents(folder: Path) -> list[Path]:
    """Those folders above that would have to be made, the nearest first."""
    return [parent for parent in folder.parents if not parent.exists()]


def _remove(path: Path) -> None:
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.exists():
        shutil.rmtree(path)

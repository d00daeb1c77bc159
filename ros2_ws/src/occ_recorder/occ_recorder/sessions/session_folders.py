"""Which session folders a command line means."""

from __future__ import annotations

from pathlib import Path

from occ_core.session import FOLDERS, SessionError


def session_folders(paths: list[Path]) -> list[Path]:
    """The sessions among folders that are sessions themselves or have sessions in them, in order, each once.

    What has lost its session.json but has the folders of one counts, so that damage is found. SessionError for a path
    with nothing of that kind.
    """
    found: dict[Path, None] = {}
    for path in map(Path, paths):
        if not path.is_dir():
            raise SessionError(f"{path}: no such folder")
        inside = [path] if _is_session(path) else sorted(filter(_is_session, path.iterdir()))
        if not inside:
            raise SessionError(f"no sessions in {path}: record some with `tokyo record` or `tokyo up --record`")
        found.update(dict.fromkeys(inside))
    return list(found)


def _is_session(path: Path) -> bool:
    if path.name.startswith("."):
        return False
    return (path / "session.json").is_file() or all((path / name).is_dir() for name in FOLDERS)

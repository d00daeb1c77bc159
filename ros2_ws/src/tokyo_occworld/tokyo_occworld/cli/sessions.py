"""`tokyo sessions`: describe, check, repair, picture, merge and split recorded sessions."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from occ_core.output_folders import SESSIONS, FolderKind, check_addable

_PICTURES = FolderKind("a folder of sessions' pictures", ("pictures.json",))
_DEFAULT_ROOT = Path("data/tokyo_gazebo")


def add_verbs(sessions: argparse.ArgumentParser, parser_class: type[argparse.ArgumentParser]) -> None:
    """Add the verbs below `tokyo sessions`."""
    verbs = sessions.add_subparsers(title="verbs", metavar="VERB", required=True, parser_class=parser_class)

    info = verbs.add_parser("info", help="frames, duration, distance, classes, size; also without a verb")
    _add_folders(info)
    info.set_defaults(handler=_info)

    check = verbs.add_parser("check", help="find damage and say which frames are usable; exit code 1 for damage")
    _add_folders(check)
    check.add_argument("--repair", action="store_true", help="move damaged frames to the session's folder quarantine/")
    check.set_defaults(handler=_check)

    view = verbs.add_parser("view", help="draw frames: cameras, occupancy, LiDAR")
    _add_folders(view)
    view.add_argument("--out", type=Path, default=Path("out/sessions"), help="folder (default: %(default)s)")
    view.add_argument("--frames", type=int, default=4, help="of each session (default: %(default)s)")
    view.set_defaults(handler=_view)

    merge = verbs.add_parser("merge", help="copy sessions into one folder, renaming where names clash")
    _add_folders(merge, nargs="+")
    merge.add_argument("--into", type=Path, required=True, help="folder to copy to")
    merge.set_defaults(handler=_merge)

    split = verbs.add_parser("split", help="write split.json: which sessions are for train, val and test")
    split.add_argument("folder", nargs="?", type=Path, default=_DEFAULT_ROOT, help="of sessions (default: %(default)s)")
    split.add_argument("--by", choices=("session", "place"), default="session", help="(default: %(default)s)")
    split.add_argument("--val", type=float, default=0.2, help="share of the frames (default: %(default)s)")
    split.add_argument("--test", type=float, default=0.0, help="share of the frames (default: %(default)s)")
    split.add_argument("--gap", type=float, help="metres between places (default: the diagonal of the grid)")
    split.add_argument("--seed", type=int, default=42, help="of a split by session (default: %(default)s)")
    split.set_defaults(handler=_split)


def with_default_verb(arguments: list[str]) -> list[str]:
    """`tokyo sessions [DIR ...]` means `tokyo sessions info [DIR ...]`."""
    verbs = ("info", "check", "view", "merge", "split")
    if arguments[:1] == ["sessions"] and arguments[1:2] not in ([v] for v in (*verbs, "-h", "--help")):
        return ["sessions", "info", *arguments[1:]]
    return arguments


def _add_folders(parser: argparse.ArgumentParser, nargs: str = "*") -> None:
    default = f" (default: {_DEFAULT_ROOT})" if nargs == "*" else ""
    parser.add_argument(
        "folders", nargs=nargs, type=Path, metavar="DIR", help=f"a session, or a folder of sessions{default}"
    )


def _folders(args: argparse.Namespace) -> list[Path]:
    from occ_recorder.sessions.session_folders import session_folders

    return session_folders(args.folders or [_DEFAULT_ROOT])


def _info(args: argparse.Namespace) -> int:
    import numpy as np

    from occ_core.session import SessionError
    from occ_recorder.sessions.describe import describe, histogram

    found, failed = [], 0
    for folder in _folders(args):
        try:
            found.append(describe(folder))
            print("\n".join(found[-1].lines()))
        except SessionError as error:
            failed += 1
            print(f"{folder.name}: {error}; see `tokyo sessions check`", file=sys.stderr)
    if len(found) > 1:
        frames, seconds = sum(d.frames for d in found), sum(d.duration for d in found)
        metres, size = sum(d.distance for d in found), sum(d.size for d in found)
        print(f"{len(found)} sessions: {frames} frames, {seconds:.0f} s, {metres:.0f} m, {size / 1e6:.0f} MB")
        print(f"  {histogram(np.sum([d.class_counts for d in found], axis=0))}")
    return 1 if failed else 0


def _check(args: argparse.Namespace) -> int:
    from occ_recorder.sessions.check import check_session
    from occ_recorder.sessions.damage import ranges
    from occ_recorder.sessions.repair import quarantine

    damaged = False
    for folder in _folders(args):
        report = check_session(folder)
        moved = quarantine(report) if args.repair else []
        if moved:
            print(f"{folder.name}: {len(moved)} files put away in {folder / 'quarantine'}")
            report = check_session(folder)
        damaged |= bool(report.damage)
        state = f"{len(report.damage)} problems" if report.damage else "whole"
        print(f"{folder.name}: {state}, usable frames {ranges(report.usable)} ({len(report.usable)})")
        for line in (*map(str, report.damage), *(f"({note})" for note in report.notes)):
            print(f"  {line}")
    return 1 if damaged else 0


def _view(args: argparse.Namespace) -> int:
    if args.frames < 1:
        raise ValueError(f"--frames is {args.frames}, at least 1 is wanted")
    check_addable(args.out, _PICTURES)
    from occ_core.session import Session
    from occ_recorder.sessions.frame_pictures import view_session, write_page

    sessions = [Session.open(folder) for folder in _folders(args)]
    pictures = {session.name: view_session(session, args.frames, args.out) for session in sessions}
    print(f"{write_page(args.out, pictures)}: {sum(map(len, pictures.values()))} pictures")
    return 0


def _merge(args: argparse.Namespace) -> int:
    check_addable(args.into, SESSIONS)
    from occ_recorder.sessions.merge import merge

    for merged in merge(_folders(args), args.into):
        renamed = f" as {merged.target.name}" if merged.target.name != merged.source.resolve().name else ""
        print(f"{merged.source}: " + (f"is there already{renamed}" if merged.already else f"copied{renamed}"))
    return 0


def _split(args: argparse.Namespace) -> int:
    from occ_core.session import find_sessions
    from occ_core.split_file import PARTS, write_split
    from occ_recorder.sessions.split import Shares, split_by_place, split_by_session

    if args.gap is not None and args.by != "place":
        raise ValueError("--gap goes with --by place")
    sessions = find_sessions(args.folder)
    shares = Shares(1 - args.val - args.test, args.val, args.test)
    split = (
        split_by_place(sessions, shares, args.gap)
        if args.by == "place"
        else split_by_session(sessions, shares, args.seed)
    )
    frames = {session.name: len(session) for session in sessions}
    for part in (*PARTS, "left_out"):
        names = getattr(split, part)
        print(f"{part.replace('_', ' ')}: {len(names)} sessions, {sum(map(frames.__getitem__, names))} frames")
    print(f"written: {write_split(args.folder, split)}")
    return 0

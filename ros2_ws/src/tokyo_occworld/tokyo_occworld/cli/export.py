"""`tokyo export`: recorded sessions in the formats of other people's tools."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from tokyo_occworld.cli.option_checks import check_export


def add_export(verbs: Any) -> None:
    """The verb `export`."""
    parser = verbs.add_parser(
        "export",
        help="a recorded session, and a forecast from each of its frames, as a file for rerun",
        description="Timelines of the file: frame, time, and horizon, on which `film` goes from each frame through its"
        " forecast: 123 is 1.5 s after frame 12. Look at it with `rerun out.rrd`.",
    )
    parser.add_argument(
        "session", nargs="+", type=Path, help="folder of a session, or of sessions of several robots of one drive"
    )
    parser.add_argument("--rerun", type=Path, required=True, metavar="RRD", help="file to write")
    parser.add_argument("--checkpoint", type=Path, help="forecast from every frame with this model")
    parser.add_argument(
        "--device", default="auto", choices=("auto", "cpu", "cuda"), help="where it runs (default: %(default)s)"
    )
    parser.add_argument("--frames", type=int, help="of each session at most, from its beginning (default: all)")
    parser.set_defaults(handler=export)


def export(args: argparse.Namespace) -> int:
    """Write the file. ValueError for what can't be written."""
    check_export(args)
    from occ_core.progress import ProgressBar
    from occ_core.session import Session
    from occworld.forecaster import Forecaster
    from occworld_infer.viewer.session_snapshots import session_snapshots
    from tokyo_occworld.rerun_export import export_rerun, require_rerun

    require_rerun()
    whole = [Session.open(path) for path in args.session]
    sessions = [Session(s.folder, s.info, s.numbers[: args.frames]) for s in whole]
    names = [session.info.agent for session in sessions]
    if len(set(names)) < len(names):
        raise ValueError(f"sessions of {', '.join(names)}: one session of each robot goes into a file")
    if empty := [session.folder for session in sessions if not session.numbers]:
        raise ValueError(f"{empty[0]}: the session has no whole frame")
    forecaster = Forecaster.load(args.checkpoint, args.device, sessions[0].info.grid) if args.checkpoint else None
    with ProgressBar(sum(map(len, sessions)), "export", "frame") as progress:

        def told():
            for snapshot in session_snapshots(sessions, forecaster):
                yield snapshot
                progress.update()

        written = export_rerun(told(), args.rerun, " ".join(session.name for session in sessions))
    print(f"{args.rerun}: {written} frames, {args.rerun.stat().st_size / 1e6:.1f} MB; look at it: rerun {args.rerun}")
    return 0

#!/usr/bin/env python3
"""From PLATEAU meshes (OBJ, CityGML, zip) to occupancy sessions in one go, without ROS."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from occ_core.command_line import UsageError, run_command
from occ_core.grid import GRID_HELP, named_grid
from occ_core.output_folders import SESSIONS, check_addable, check_replaceable
from occ_core.parallel import Backend, ParallelError
from tokyo_city.world import CITY, CITY_FILE


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--input", type=Path, help="OBJ or CityGML file, folder, or zip; left out: the city of --city")
    parser.add_argument(
        "--output", type=Path, default=Path("data/tokyo_gazebo"), help="sessions (default: %(default)s)"
    )
    parser.add_argument("--city", type=Path, help="folder of the imported city (default: city beside the sessions)")
    parser.add_argument("--frames", type=int, default=500, help="in each session, 2 a second (default: %(default)s)")
    parser.add_argument("--sessions", type=int, default=10, help="drones and rovers in turn (default: %(default)s)")
    parser.add_argument("--actors", type=int, default=40, help="in traffic, if there are roads (default: %(default)s)")
    parser.add_argument("--altitude", type=float, default=15.0, help="of drones, metres (default: %(default)s)")
    parser.add_argument("--pace", type=float, default=1.0, help="times the usual speeds (default: %(default)s)")
    parser.add_argument("--unsteady", action="store_true", help="they stop, turn and back up now and then")
    parser.add_argument("--image-size", type=int, nargs=2, metavar=("WIDTH", "HEIGHT"), help="record six cameras, too")
    parser.add_argument("--occupancy", choices=("lidar", "accumulated", "ground_truth"), default="accumulated")
    parser.add_argument("--grid", default="tokyo", help=GRID_HELP)
    parser.add_argument("--seed", type=int, default=1, help="of places, traffic and noise (default: %(default)s)")
    parser.add_argument("--workers", type=int, help="drives at a time (default: 1, or what the cluster has room for)")
    parser.add_argument(
        "--engine", choices=[e.value for e in Backend], default="local",
        help="where tiles are read and drives recorded: this machine, or the cluster of RAY_ADDRESS or "
        "DASK_SCHEDULER_ADDRESS, whose machines see the same files",
    )  # fmt: skip
    return parser.parse_args()


def run(args: argparse.Namespace) -> None:
    """What is wrong is found before anything is imported or recorded."""
    city = args.city or args.output.with_name(f"{args.output.name}_city")
    if args.workers is not None and args.workers < 1:
        raise UsageError(f"--workers {args.workers}: at least one process is needed")
    if args.sessions < 1 or args.frames < 1:
        raise UsageError("at least one session of one frame is needed")
    check_addable(args.output, SESSIONS)
    if args.input is not None:
        if not args.input.exists():
            raise FileNotFoundError(f"no file or folder {args.input}")
        check_replaceable(city, CITY)
    elif not (city / CITY_FILE).is_file():
        raise FileNotFoundError(f"no imported city in {city}: give --input, or --city")
    from occ_core.keyframes import OccupancySource
    from tokyo_city.world.city import Options, import_city
    from tokyo_occworld.collecting import Collection, collect

    plan = Collection(
        args.sessions, args.frames, args.seed, args.actors, args.altitude,
        tuple(args.image_size) if args.image_size else None, OccupancySource(args.occupancy), args.pace, args.unsteady,
        named_grid(args.grid),
    )  # fmt: skip
    engine = Backend(args.engine)
    workers = args.workers if args.workers is not None or engine is not Backend.LOCAL else 1
    if args.input is not None:
        report = import_city(args.input, city, Options(engine=engine))
        print(f"{city}: {report.objects} objects, {len(report.skipped)} skipped")
        for problem in (*report.failed, *report.problems):
            print(f"  {problem}", file=sys.stderr)
    sessions = collect(city, args.output, plan, engine, workers)
    for session in sessions:
        print(session)
    print(f"{sum(s.structured for s in sessions) / sum(s.frames for s in sessions):.0%} of the frames hold structure")


def expected() -> tuple[type[Exception], ...]:
    """What the user can put right."""
    from occ_core.session import SessionError
    from tokyo_city.plateau.model import ImportProblem

    return ImportProblem, ParallelError, SessionError, ValueError


if __name__ == "__main__":
    run_command("plateau_to_occworld", lambda: run(arguments()), expected)

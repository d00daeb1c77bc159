"""`tokyo record --bag` and `tokyo bag2sessions`: bags out and in."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from occ_core.grid import GRID_HELP, named_grid
from occ_core.output_folders import SESSIONS, check_addable, check_new
from tokyo_occworld.cli import option_checks

_NO_ROSBAGS = "bags need occ_recorder, rosbags and mcap: pip install rosbags mcap ros2_ws/src/occ_recorder"


def add_record_options(record: argparse.ArgumentParser) -> None:
    """`--bag` and `--topics` of `tokyo record`."""
    record.add_argument("--bag", default="", metavar="FOLDER", help="write a bag of all topics, instead of sessions")
    record.add_argument(
        "--topics", nargs="+", default=[], metavar="TOPIC", help="of --bag: only these; * and ? as in file names"
    )


def record_bag(args: argparse.Namespace) -> int:
    """`tokyo record --bag`. --robots: their topics and the world's; all topics without."""
    folder = Path(args.bag).resolve()
    check_new(folder, "a bag")
    from tokyo_occworld.cli.processes import NodeProcesses
    from tokyo_sim.bringup import bag_node

    # A parameter can't be an empty list; an empty name means the same.
    parameters: dict[str, Any] = {
        "bag": str(folder), "robots": args.robots or [""], "topics": args.topics or [""], "lockstep": args.lockstep,
    }  # fmt: skip
    with NodeProcesses([bag_node(parameters)]) as processes:
        return processes.wait()


def add_bag2sessions(verbs: Any) -> None:
    """The verb `bag2sessions`."""
    parser = verbs.add_parser(
        "bag2sessions",
        help="rosbag2 recordings, yours or other people's, into sessions; needs no ROS",
        description="Each robot in each bag becomes sessions, as if it had been recorded live. Other people's topic and"
        " frame names, extrinsics and ground: a YAML file, see docs/bags.md.",
    )
    parser.add_argument(
        "bags", nargs="+", type=Path, metavar="BAG", help="bag folder, .mcap or .db3, compressed or not"
    )
    parser.add_argument("--output", type=Path, default=Path("data/tokyo_gazebo"), help="folder (default: %(default)s)")
    parser.add_argument("--config", type=Path, help="YAML: what is where in the bag; --inspect writes it")
    parser.add_argument(
        "--inspect", action="store_true",
        help="convert nothing: print what the bag holds, and write a --config that fits it (default: BAG.yaml, here)",
    )  # fmt: skip
    parser.add_argument("--robots", nargs="+", default=[], metavar="NAME", help="only these (default: all)")
    parser.add_argument("--city", default="", help="folder of the imported city, for labels and ground")
    parser.add_argument(
        "--occupancy", default="accumulated", choices=("lidar", "accumulated", "ground_truth"),
        help="how grids are made; ground_truth needs --city and /city/actors (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--grid", default="tokyo", help=GRID_HELP)
    parser.add_argument("--window", type=float, default=3.0, help="seconds of sweeps in a grid (default: %(default)s)")
    parser.add_argument(
        "--session-seconds", type=float, default=0.0, help="start a new session after so many seconds; 0: never"
    )
    parser.add_argument("--jpeg-quality", type=int, default=90, help="of camera images (default: %(default)s)")
    parser.add_argument("--no-cameras", action="store_true", help="leave the images out")
    parser.add_argument("--seed", type=int, default=None, help="of the simulation, for session.json")
    parser.add_argument(
        "--ros-distro", default="", help="whose messages they are, for bags that do not say: humble, ..."
    )
    parser.add_argument(
        "--remap", nargs="+", default=[], metavar="FROM:=TO", help="topics that are named otherwise in the bag"
    )
    parser.add_argument(
        "--ground", default="", choices=("city", "footprint", "takeoff", "topic", "constant"),
        help="where the height of the ground comes from (default: the city, else /tf's base_footprint, else takeoff)",
    )  # fmt: skip
    parser.set_defaults(handler=bag2sessions)


def bag2sessions(args: argparse.Namespace) -> int:
    """Convert every bag; exit code 2 where one could not be, after all others were."""
    if args.inspect:
        return inspect(args)
    check_addable(args.output, SESSIONS)
    option_checks.check_city(args.city)
    for path in args.bags:
        option_checks.check_input(path, "a bag")
    try:
        from occ_recorder.bags.convert import convert
        from occ_recorder.bags.reading import BagError
    except ModuleNotFoundError as error:
        raise ValueError(f"{_NO_ROSBAGS} ({error})") from error

    failed = 0
    for path in args.bags:
        try:
            report = convert(path, args.output, _conversion(args))
        except BagError as error:
            print(f"tokyo: {error}", file=sys.stderr)
            failed += 1
            continue
        for problem in report.problems:
            print(f"  {path.name}: {problem}", file=sys.stderr)
        counts = ", ".join(f"{robot} {frames} frames" for robot, frames in report.frames.items())
        print(f"{path}: {counts}, {report.sessions} sessions in {args.output}")
        failed += not any(report.frames.values())
    return 2 if failed else 0


def inspect(args: argparse.Namespace) -> int:
    """`--inspect`: print what each bag holds, and write a config that fits it; 2 where one can't be read."""
    try:
        from occ_recorder.bags.config import BagConfig
        from occ_recorder.bags.inspecting import inspected, report
        from occ_recorder.bags.proposing import proposal
        from occ_recorder.bags.reading import Bag, BagError
    except ModuleNotFoundError as error:
        raise ValueError(f"{_NO_ROSBAGS} ({error})") from error
    if args.config and len(args.bags) > 1:
        raise ValueError("--inspect writes one --config: name one bag, or leave --config out")

    failed = 0
    for path in args.bags:
        try:
            with Bag(path, dict(_remapping(text) for text in args.remap), args.ros_distro) as bag:
                facts = inspected(bag, BagConfig())
                print(f"{path}: ", end="")
                print("\n".join(report(facts)))
                text = proposal(bag, facts, BagConfig())
        except BagError as error:
            print(f"tokyo: {error}", file=sys.stderr)
            failed += 1
            continue
        print(f"\n{_written(args.config or Path(f'{path.resolve().name}.yaml'), text, path, facts.clouds)}")
        failed += not facts.clouds
    return 2 if failed else 0


def _written(config: Path, text: str, bag: Path, clouds: Any) -> str:
    """Write a proposed config, and say what to do with it; one that is there is somebody's work, and stays."""
    if not text:
        return "its topics are named as here: no --config is needed" if clouds else "no clouds: no --config fits it"
    command = f"tokyo bag2sessions {bag} --config {config} --output ..."
    try:
        with open(config, "x") as file:
            file.write(text)
    except FileExistsError:
        return f"{config} is there already and stays as it is; what would be written:\n\n{text}"
    except OSError as error:
        raise ValueError(f"{config} can't be written: {error.strerror}") from error
    but = " but for what it says to measure" if "measure it" in text else ""
    return f"{config} fits it{but}; read it through, and then: {command}\n\n{text}"


def _conversion(args: argparse.Namespace) -> Any:
    from occ_core.keyframes import OccupancySource
    from occ_recorder.bags.config import BagConfig, GroundSource, read_config
    from occ_recorder.bags.convert import Conversion
    from occ_recorder.bags.reading import BagError

    try:
        config = read_config(args.config) if args.config else BagConfig()
        remap = dict(_remapping(text) for text in args.remap)
        distro = args.ros_distro or config.ros_distro
        config = replace(config, remap=config.remap | remap, ros_distro=distro)
        ground = GroundSource(args.ground) if args.ground else None
        return Conversion(
            config=config,
            robots=tuple(args.robots),
            ground=ground,
            city=args.city,
            occupancy=OccupancySource(args.occupancy),
            window=args.window,
            grid=named_grid(args.grid),
            session_seconds=args.session_seconds,
            jpeg_quality=args.jpeg_quality,
            cameras=not args.no_cameras,
            seed=args.seed,
        )
    except BagError as error:
        raise ValueError(str(error)) from error


def _remapping(text: str) -> tuple[str, str]:
    there, separator, here = text.partition(":=")
    if not (separator and there and here):
        raise ValueError(f"--remap {text}: FROM:=TO is wanted, such as /points:=/rover_0/lidar/points")
    return there, here

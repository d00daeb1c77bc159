"""One robot on one mission, recorded: in the simulator that runs, or in one that is started for it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from occ_core.command_line import run_command
from occ_core.output_folders import SESSIONS, check_addable
from tokyo_sim.bringup import Arguments, NodeSpec, mission_node, nodes, recorder_node
from tokyo_sim.engine.robot import RobotKind
from tokyo_sim.missions.mission import MissionPlan, numbers
from tokyo_sim.missions.plans import Pattern
from tokyo_sim.missions.waypoint_file import read_waypoints

_NAME = "data_collection_mission"

_ABOUT = """Let one robot fly or drive a mission, and record what it senses.

If a simulator runs already, the mission and the recorder join it, and steer its robot (--robot). If none runs, the
simulator is started with one robot in the city of --city, and stopped at the end. Ctrl-C ends everything that was
started here, with what is recorded complete."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> None:
        self.exit(2, f"{_NAME}: {message}; see --help\n")


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point: exit code 0, 1 for a node that failed, 2 for bad usage."""
    run_command(_NAME, lambda: _collect(_parser().parse_args(arguments)), lambda: (ValueError,))


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog=_NAME, description=_ABOUT, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--vehicle", choices=[kind.value for kind in RobotKind], default="drone", help="(default: %(default)s)")
    add("--pattern", choices=[pattern.value for pattern in Pattern], help="(default: survey, street for a rover)")
    add("--altitude", type=float, default=30.0, help="metres above the ground, of a drone (default: %(default)s)")
    add("--speed", type=float, default=5.0, help="metres per second (default: %(default)s)")
    add("--area", default="", metavar="X0,Y0,X1,Y1", help="of a survey, metres in map (default: the whole city)")
    add("--centre", default="", metavar="X,Y", help="of an orbit, metres in map (default: the tallest building)")
    add("--radius", type=float, default=40.0, help="of an orbit, metres (default: %(default)s)")
    add("--waypoints", default="", metavar="FILE", help="YAML, JSON or CSV file of x, y, for pattern 'waypoints'")
    add("--once", action="store_true", help="fly the mission once and hover; without it the mission begins again")
    add("--duration", type=float, default=0.0, help="stop after so many simulated seconds; 0: on Ctrl-C")
    add("--city", default="out/city", help="folder of the imported city (default: %(default)s)")
    add("--robot", default="", help="namespace in a running simulator (default: drone_0 or rover_0)")
    add("--actors", type=int, default=30, help="traffic of a simulator started here (default: %(default)s)")
    add("--no-cameras", action="store_true", help="record without images, which is much faster without a GPU")
    add("--no-record", action="store_true", help="do not record")
    add("--output", default="data/tokyo_gazebo", help="folder of sessions (default: %(default)s)")
    add("--seed", type=int, default=1, help="of everything random (default: %(default)s)")
    return parser


def _collect(args: argparse.Namespace) -> int:
    robot = args.robot or f"{args.vehicle}_0"
    specs = [_mission(args, robot)]
    if not Path(args.city).is_dir():
        raise FileNotFoundError(f"no imported city in {args.city}: run `tokyo city` first")
    if not args.no_record:
        check_addable(Path(args.output), SESSIONS)
        specs.append(_recorder(args, robot))
    if running := robots_running():
        if robot not in running:
            raise ValueError(f"a simulator runs without {robot}, its robots are {', '.join(sorted(running))}: --robot")
        if running[robot]:
            raise ValueError(f"somebody steers {robot} already: start the simulator with --no-missions")
        return _run(args, robot, specs)
    from occ_ros.domain import own_domain

    drones, rovers = (1, 0) if args.vehicle == RobotKind.DRONE.value else (0, 1)
    simulation = Arguments(
        city=args.city, drones=drones, rovers=rovers, actors=args.actors, seed=args.seed, sim="embedded",
        missions=False, drone_altitude=args.altitude, camera_rate=0.0 if args.no_cameras else 10.0,
    )  # fmt: skip
    with own_domain("", [robot], look=False):  # which was done just now
        return _run(args, robot, nodes(simulation) + specs)


def _run(args: argparse.Namespace, robot: str, specs: list[NodeSpec]) -> int:
    """Until the mission has had its time, or Ctrl-C."""
    from tokyo_occworld.cli.clock import SimulatedTime
    from tokyo_occworld.cli.processes import NodeProcesses

    print(f"{_NAME}: {robot}, {specs[-1].name if args.no_record else 'recording to ' + args.output}", flush=True)
    with SimulatedTime() as clock, NodeProcesses(specs) as processes:
        began: float | None = None

        def finished() -> bool:
            nonlocal began
            began = clock.seconds if began is None and clock.seconds > 0 else began
            return args.duration > 0 and began is not None and clock.seconds >= began + args.duration

        return processes.wait(finished)


def _mission(args: argparse.Namespace, robot: str) -> NodeSpec:
    """The mission as a node. ValueError for options that do not go together, before anything is started."""
    pattern = args.pattern or ("survey" if args.vehicle == RobotKind.DRONE.value else "street")
    waypoints = Path(args.waypoints) if args.waypoints else None
    MissionPlan(
        kind=RobotKind(args.vehicle),
        pattern=Pattern(pattern),
        speed=args.speed,
        altitude=args.altitude,
        radius=args.radius,
        centre=numbers("centre", args.centre),
        area=numbers("area", args.area),
        waypoints=waypoints,
    )
    if waypoints is not None:
        read_waypoints(waypoints)
    for name, value, low, high in (("speed", args.speed, 0.1, 15.0), ("altitude", args.altitude, 2.0, 150.0)):
        if not low <= value <= high:
            raise ValueError(f"--{name} {value:g}: {low:g} to {high:g} is wanted")
    mission = {
        "vehicle": args.vehicle,
        "pattern": pattern,
        "speed": args.speed,
        "altitude": args.altitude,
        "radius": args.radius,
        "centre": args.centre,
        "area": args.area,
        "waypoints": str(waypoints.resolve()) if waypoints else "",
        "loop": not args.once,
        "seed": args.seed,
    }
    return mission_node({"city": str(Path(args.city).resolve()), "use_sim_time": True}, {robot: mission})


def _recorder(args: argparse.Namespace, robot: str) -> NodeSpec:
    return recorder_node(
        {
            "city": str(Path(args.city).resolve()),
            "robots": [robot],
            "output": str(Path(args.output).resolve()),
            "cameras": not args.no_cameras,
            "seed": args.seed,
            "use_sim_time": True,
        }
    )


def robots_running() -> dict[str, bool]:
    """Robots of a simulator that runs in this ROS domain, and whether somebody steers each; {} where there is none."""
    from occ_core.topics import CMD_VEL, ODOM
    from occ_ros.domain import current_domain, look_around

    with look_around(current_domain()) as (node, looks):
        for _ in looks:
            pass
        names = [name for name, _ in node.get_topic_names_and_types() if node.count_publishers(name)]
        robots = {name[1 : -len(ODOM.name) - 1] for name in names if name.endswith(f"/{ODOM.name}")}
        return {robot: f"/{robot}/{CMD_VEL.name}" in names for robot in sorted(robots)}

"""How many drives end on a rover's back, tilted or stuck: missions as they are, beside missions without watchdog.

As a program, on imported cities: `python -m bench.driving CITY ... --drives 5 --seconds 60`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import numpy as np

from occ_core.citymap import CityMap
from occ_core.condition import TILTED_DEG, UPSIDE_DOWN_DEG, lean
from tokyo_sim.engine.robot import RobotKind
from tokyo_sim.engine.simulator import Fleet, Simulator
from tokyo_sim.missions.mission import Mission, MissionPlan
from tokyo_sim.missions.plans import Pattern
from tokyo_sim.missions.watchdog import RoverWatchdog
from tokyo_sim.traffic.stored import lane_graph

_COMMAND_S, _TRAFFIC_STEPS = 0.05, 2
_ACTORS, _SPEED = 30, {RobotKind.DRONE: 4.0, RobotKind.ROVER: 3.0}
_MISSION = "tokyo_sim.missions.mission"


@dataclass(frozen=True)
class Outcome:
    """Of one robot's drive. leans: degrees, at most and at the end. metres: driven. problem: why it gave up, or ''."""

    robot: str
    most_lean: float
    last_lean: float
    metres: float
    problem: str


def drives(city: Path, seeds: list[int], seconds: float, careful: bool = True) -> list[Outcome]:
    """Drives of a drone and a rover as `collecting` makes them, without sensors."""
    with ExitStack() as stack:
        if not careful:
            stack.enter_context(patch(f"{_MISSION}.drivable_ahead", lambda *_: np.inf))
            stack.enter_context(patch.object(RoverWatchdog, "allow", lambda self, pose, command: command))
        return [outcome for seed in seeds for outcome in _drive(city, seed, seconds)]


def _drive(city: Path, seed: int, seconds: float) -> list[Outcome]:
    streets = bool(lane_graph(city, CityMap.load(city)).lanes)
    simulator = Simulator(city, Fleet(1, 1, _ACTORS if streets else 0, drone_altitude=15.0, cameras=False), seed)
    pattern = Pattern.STREET if streets else Pattern.ROAM
    missions = [
        Mission(city, MissionPlan(robot.kind, pattern, _SPEED[robot.kind], 15.0, seed=seed))
        for robot in simulator.robots
    ]
    leans: list[list[float]] = [[] for _ in missions]
    metres = np.zeros(len(missions))
    for step in range(round(seconds / _COMMAND_S)):
        for number, mission in enumerate(missions):
            motion = simulator.motion(number)
            others = [actor for actor in simulator.actors() if actor.instance != number + 1]
            command = mission.command(motion.pose, others)
            simulator.command(number, command.linear, np.array([0.0, 0.0, command.yaw_rate]))
            leans[number].append(float(lean(motion.pose.orientation)[0]))
            metres[number] += np.linalg.norm(motion.linear) * _COMMAND_S
        simulator.step(_COMMAND_S)
        if step % _TRAFFIC_STEPS:
            simulator.step_traffic(_TRAFFIC_STEPS * _COMMAND_S)
    return [
        Outcome(robot.name, max(leans[number]), leans[number][-1], float(metres[number]), missions[number].problem)
        for number, robot in enumerate(simulator.robots)
    ]


def row(name: str, outcomes: list[Outcome]) -> str:
    """A line of the table."""
    over = sum(outcome.most_lean > UPSIDE_DOWN_DEG for outcome in outcomes)
    tilted = sum(TILTED_DEG < outcome.most_lean <= UPSIDE_DOWN_DEG for outcome in outcomes)
    gave_up = sum(bool(outcome.problem) for outcome in outcomes)
    most = max(outcome.most_lean for outcome in outcomes)
    metres = np.mean([outcome.metres for outcome in outcomes])
    return f"| {name} | {len(outcomes)} | {over} | {tilted} | {gave_up} | {most:.0f} | {metres:.0f} |"


def table(cities: list[Path], seeds: list[int], seconds: float, tell: Callable[[str], object] = print) -> str:
    """Rovers' and drones' drives in each city, without watchdog and with it."""
    lines = [
        "| drives | number | upside down | tilted | gave up in words | most lean, degrees | metres |",
        "|" + "---|" * 7,
    ]
    for city in cities:
        for careful in (False, True):
            outcomes = drives(city, seeds, seconds, careful)
            for kind in RobotKind:
                name = f"{city.name}, {kind.value}{'' if careful else ', without watchdog'}"
                lines.append(row(name, [o for o in outcomes if o.robot.startswith(kind.value)]))
                tell(lines[-1])
    return "\n".join(lines)


def run(udx: Path, city: Path) -> str:
    """The sample city's."""
    return table([city], [1, 2, 3], 60.0, lambda line: None)


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="bench.driving", description=__doc__)
    parser.add_argument("cities", nargs="+", type=Path, metavar="CITY", help="folder of an imported city")
    parser.add_argument("--drives", type=int, default=5, help="in each city, with seeds from 1")
    parser.add_argument("--seconds", type=float, default=60.0, help="simulated, of each drive")
    args = parser.parse_args()
    table(args.cities, list(range(1, args.drives + 1)), args.seconds)


if __name__ == "__main__":
    main()

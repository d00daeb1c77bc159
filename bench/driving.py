"""How rovers' drives end: on their back, tilted, fallen or stuck; and how without the watchdog of their missions.

As a program, on imported cities: `python -m bench.driving CITY ... --drives 5 --seconds 60 --careless`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import numpy as np

from occ_core.condition import Condition, ConditionWatch, lean
from tokyo_sim.engine.robot import RobotKind
from tokyo_sim.engine.simulator import Fleet, Simulator
from tokyo_sim.missions.mission import Mission, MissionPlan, Surroundings
from tokyo_sim.missions.plans import Pattern
from tokyo_sim.missions.watchdog import RoverWatchdog

COMMAND_S, _TRAFFIC_STEPS = 0.05, 2
_ACTORS, _SPEED = 30, {RobotKind.DRONE: 4.0, RobotKind.ROVER: 3.0}
_MISSION = "tokyo_sim.missions.mission"


@dataclass(frozen=True)
class Outcome:
    """Of one robot's drive. most_lean: degrees. metres: driven. problem: why it gave up, or ''. seen: how it was."""

    robot: str
    most_lean: float
    metres: float
    problem: str
    seen: frozenset[Condition]


@contextmanager
def careless() -> Iterator[None]:
    """Missions as they were before rovers looked after themselves, while the context lasts."""
    with (
        patch.object(RoverWatchdog, "drive", lambda self, pose, follower, free: follower.drive(pose, free)),
        patch(f"{_MISSION}.plans.drivable", lambda city, path: True),
    ):
        yield


def drives(city: Path, seeds: list[int], seconds: float, careful: bool = True) -> list[Outcome]:
    """Drives of a drone and a rover as `collecting` makes them, without sensors."""
    with nullcontext() if careful else careless():
        return [outcome for seed in seeds for outcome in _drive(city, seed, seconds)]


def set_out(city: Path, seed: int) -> tuple[Simulator, list[Mission]]:
    """A drone and a rover among traffic, and what each of them is to do."""
    around = Surroundings(city)
    streets = around.streets
    simulator = Simulator(city, Fleet(1, 1, _ACTORS if streets else 0, drone_altitude=15.0, cameras=False), seed)
    pattern = Pattern.STREET if streets else Pattern.ROAM
    missions = [
        Mission(city, MissionPlan(robot.kind, pattern, _SPEED[robot.kind], 15.0, seed=seed), around)
        for robot in simulator.robots
    ]
    return simulator, missions


def commanded(simulator: Simulator, missions: list[Mission], seconds: float) -> Iterator[None]:
    """Drive on; yields each time when every robot has its command, and none has moved on yet."""
    for step in range(round(seconds / COMMAND_S)):
        for number, mission in enumerate(missions):
            others = [actor for actor in simulator.actors() if actor.instance != number + 1]
            command = mission.command(simulator.motion(number).pose, others)
            simulator.command(number, command.linear, np.array([0.0, 0.0, command.yaw_rate]))
        yield
        simulator.step(COMMAND_S)
        if step % _TRAFFIC_STEPS:
            simulator.step_traffic(_TRAFFIC_STEPS * COMMAND_S)


def _drive(city: Path, seed: int, seconds: float) -> list[Outcome]:
    simulator, missions = set_out(city, seed)
    most_lean, watches = np.zeros(len(missions)), [ConditionWatch() for _ in missions]
    seen: list[set[Condition]] = [set() for _ in missions]
    metres = np.zeros(len(missions))
    for _ in commanded(simulator, missions, seconds):
        for number in range(len(missions)):
            motion = simulator.motion(number)
            most_lean[number] = max(most_lean[number], lean(motion.pose.orientation)[0])
            seen[number].add(watches[number].add(simulator.time, motion.pose, motion.linear))
            metres[number] += np.linalg.norm(motion.linear) * COMMAND_S
    return [
        Outcome(
            robot.name,
            float(most_lean[number]),
            float(metres[number]),
            missions[number].problem,
            frozenset(seen[number]),
        )
        for number, robot in enumerate(simulator.robots)
    ]


def row(name: str, outcomes: list[Outcome]) -> str:
    """A line of the table."""
    states = (Condition.UPSIDE_DOWN, Condition.TILTED, Condition.FALLING, Condition.STUCK)
    # Who lies on its back has been tilted before, and is counted once.
    counts = [sum(next((s for s in states if s in o.seen), None) is state for o in outcomes) for state in states]
    gave_up = sum(bool(outcome.problem) for outcome in outcomes)
    most = max(outcome.most_lean for outcome in outcomes)
    metres = np.mean([outcome.metres for outcome in outcomes])
    return f"| {name} | {len(outcomes)} | {' | '.join(map(str, counts))} | {gave_up} | {most:.0f} | {metres:.0f} |"


def table(
    cities: list[Path], seeds: list[int], seconds: float, careless: bool, tell: Callable[[str], object] = print
) -> str:
    """Rovers' and drones' drives in each city. careless: without watchdog before with it."""
    lines = [
        "| drives | number | upside down | tilted | fell | stuck | gave up in words | most lean, degrees | metres |",
        "|" + "---|" * 9,
    ]
    for line in lines:
        tell(line)
    for city in cities:
        for careful in (False, True) if careless else (True,):
            outcomes = drives(city, seeds, seconds, careful)
            for kind in RobotKind:
                name = f"{city.name}, {kind.value}{'' if careful else ', without watchdog'}"
                lines.append(row(name, [o for o in outcomes if o.robot.startswith(kind.value)]))
                tell(lines[-1])
            for outcome in outcomes:
                if outcome.problem:
                    tell(f"{city.name}, {outcome.robot}: {outcome.problem}")
    return "\n".join(lines)


def run(udx: Path, city: Path) -> str:
    """The sample city's."""
    return table([city], [1, 2, 3], 60.0, True, lambda line: None)


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="bench.driving", description=__doc__)
    parser.add_argument("cities", nargs="+", type=Path, metavar="CITY", help="folder of an imported city")
    parser.add_argument("--drives", type=int, default=5, help="in each city, with seeds from 1")
    parser.add_argument("--seconds", type=float, default=60.0, help="simulated, of each drive")
    parser.add_argument("--careless", action="store_true", help="drive each without watchdog too")
    args = parser.parse_args()
    table(args.cities, list(range(1, args.drives + 1)), args.seconds, args.careless)


if __name__ == "__main__":
    main()

"""A rover from outside, without watchdog above and with it below: `python -m bench.filming CITY SEED OUT.jpg`."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from bench.driving import COMMAND_S, careless, commanded, set_out
from occ_core.condition import UPSIDE_DOWN_DEG, lean
from occ_core.poses import Pose
from tokyo_sim.engine.cameras import CameraRenderer
from tokyo_sim.engine.meshes import robot_vertices
from tokyo_sim.engine.movables import Movable
from tokyo_sim.engine.robot import CameraSpec, Robot

_BEFORE_AND_AFTER_S = (-3.0, -1.0, 0.0, 2.0)  # of the moment at which it turns over
_BEHIND, _LOOK_AT = np.array([-5.0, 3.0, 2.6]), np.array([0.8, 0.0, 0.2])
_SIZE = (480, 320)


def driven(city: Path, seed: int, seconds: float) -> tuple[Robot, list[Pose]]:
    """A rover among traffic, and where it was at each command."""
    simulator, missions = set_out(city, seed)
    number = next(n for n, robot in enumerate(simulator.robots) if robot.name.startswith("rover"))
    poses = [simulator.motion(number).pose for _ in commanded(simulator, missions, seconds)]
    return simulator.robots[number], poses


def turned_over(poses: list[Pose]) -> int | None:
    """The first moment at which a robot lies on its back; None where it never does."""
    over = np.flatnonzero(lean(np.array([pose.orientation for pose in poses])) > UPSIDE_DOWN_DEG)
    return int(over[0]) if len(over) else None


def watching(pose: Pose, heading: float) -> Pose:
    """The optical frame of somebody behind a rover and to its left."""
    level = Pose(pose.position, np.array([np.cos(heading / 2), 0, 0, np.sin(heading / 2)]))
    return Pose.looking(*level.apply(np.array([_BEHIND, _LOOK_AT])))


def strip(renderer: CameraRenderer, robot: Robot, poses: list[Pose], moments: list[int]) -> np.ndarray:
    """Pictures of some moments beside each other: (h, n * w, 3) uint8."""
    width, height = _SIZE
    spec = CameraSpec("outside", "", Pose.identity(), width, height, np.radians(70), 0.1, 1000.0, 1.0)
    vertices = robot_vertices(robot.visuals, robot.kind.semantic)
    heading = poses[moments[0]].yaw
    views = [renderer.render(spec, watching(poses[k], heading), [Movable(vertices, poses[k])]) for k in moments]
    return np.concatenate(views, axis=1)


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="bench.filming", description=__doc__)
    parser.add_argument("city", type=Path)
    parser.add_argument("seed", type=int)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seconds", type=float, default=60.0)
    args = parser.parse_args()
    with careless():
        robot, without = driven(args.city, args.seed, args.seconds)
    over = turned_over(without)
    if over is None:
        parser.error(f"with seed {args.seed} the rover stays on its wheels: try another")
    _, careful = driven(args.city, args.seed, args.seconds)
    moments = [min(max(over + round(after / COMMAND_S), 0), len(without) - 1) for after in _BEFORE_AND_AFTER_S]
    renderer = CameraRenderer.load(args.city)
    rows = [strip(renderer, robot, poses, moments) for poses in (without, careful)]
    Image.fromarray(np.concatenate(rows)).save(args.out, quality=85)


if __name__ == "__main__":
    main()

"""The tf tree of a robot: map, odom, base_link, base_footprint, and the links of its description."""

from __future__ import annotations

from occ_core.poses import Pose, footprint
from tokyo_sim.engine.robot import Robot

Transform = tuple[str, str, Pose]
"""Parent frame, child frame, pose of the child in the parent."""


def frame(robot: Robot, link: str) -> str:
    """A link's frame id: prefixed with the robot's name."""
    return f"{robot.name}/{link}"


def static_transforms(robot: Robot) -> list[Transform]:
    """map to odom, and base_link to every link."""
    base = frame(robot, "base_link")
    links = [(base, frame(robot, link), pose) for link, pose in robot.links.items() if link != "base_link"]
    return [("map", frame(robot, "odom"), Pose.identity()), *links]


def transforms(robot: Robot, base_link: Pose, ground: float) -> list[Transform]:
    """odom to base_link, and base_link to the base_footprint below it. ground: its height in map, metres."""
    below = base_link.inverse() @ footprint(base_link, ground)
    base = frame(robot, "base_link")
    return [(frame(robot, "odom"), base, base_link), (base, frame(robot, "base_footprint"), below)]

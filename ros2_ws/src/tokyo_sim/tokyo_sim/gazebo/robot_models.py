"""Robots as Gazebo takes them: their descriptions, and the places where the embedded engine would put them too."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from lxml import etree

from occ_core.citymap import CityMap
from tokyo_sim.engine.simulator import Fleet
from tokyo_sim.engine.spawn import spawn_poses
from tokyo_sim.missions.obstacles import ObstacleMap
from tokyo_sim.traffic.stored import lane_graph


@dataclass(frozen=True)
class Spawn:
    """A robot to create in Gazebo. xml: its URDF. xyz: metres, yaw: radians, of base_link in map."""

    name: str
    xml: str
    xyz: tuple[float, float, float]
    yaw: float


_URDF_SHARE = 0.8  # by which SDFormat (12 to 16, parser_urdf.cc) divides red, green and blue of a URDF's colours


def spawns(city: Path, fleet: Fleet, seed: int, camera_rate: float) -> list[Spawn]:
    """The same robots at the same places as the embedded engine for a seed. camera_rate: Hz, 0 for no cameras."""
    mesh = CityMap.load(city)
    rng = np.random.default_rng(np.random.SeedSequence(seed).spawn(3)[0])
    robots = fleet.load()
    poses = spawn_poses(
        robots, mesh, lane_graph(city, mesh).sections, ObstacleMap(mesh), fleet.drone_altitude, rng, fleet.places
    )
    return [
        Spawn(robot.name, for_gazebo(robot.xml, camera_rate), tuple(map(float, pose.position)), pose.yaw)
        for robot, pose in zip(robots, poses, strict=True)
    ]


def for_gazebo(urdf: str, rate: float) -> str:
    """The description with cameras at another rate, Hz; without them at 0. Its colours are seen as they are meant."""
    root = etree.fromstring(urdf.encode())
    for colour in root.iter("color"):
        *rgb, alpha = map(float, colour.get("rgba").split())
        colour.set("rgba", " ".join(f"{value:.6g}" for value in (*(_URDF_SHARE * channel for channel in rgb), alpha)))
    for sensor in root.findall("gazebo/sensor[@type='camera']"):
        if rate > 0:
            sensor.find("update_rate").text = str(rate)
        else:
            sensor.getparent().remove(sensor)
    return etree.tostring(root, encoding="unicode")

"""A robot as its URDF describes it: links for physics and pictures, sensors for the engine."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from functools import cached_property

import numpy as np
import xacro
import yaml
from lxml import etree

from occ_core.actors import Actor
from occ_core.classes import Semantic
from occ_core.poses import Pose
from occ_core.urdf import link_poses
from tokyo_sim.engine.lidar_returns import ReturnModel
from tokyo_sim.engine.links import Joint, Link, read_joints, read_links
from tokyo_sim.resources import share


class RobotKind(str, Enum):
    """The two vehicles."""

    DRONE = "drone"
    ROVER = "rover"

    @property
    def semantic(self) -> Semantic:
        """Its class in grids."""
        return Semantic.DRONE if self is RobotKind.DRONE else Semantic.ROVER


@dataclass(frozen=True)
class LidarSpec:
    """elevations: (beams,) and azimuths: (columns,) radians, in the sensor's frame. Ranges in metres."""

    frame: str
    mount: Pose
    elevations: np.ndarray
    azimuths: np.ndarray
    range_min: float
    range_max: float
    noise_stddev: float
    rate: float
    returns: ReturnModel

    @cached_property
    def directions(self) -> np.ndarray:
        """(beams, columns, 3) float32 unit vectors in the sensor's frame."""
        up, around = np.meshgrid(self.elevations, self.azimuths, indexing="ij")
        rays = [np.cos(up) * np.cos(around), np.cos(up) * np.sin(around), np.sin(up)]
        return np.stack(rays, axis=-1).astype(np.float32)


@dataclass(frozen=True)
class CameraSpec:
    """name: as in the topic. frame: its optical frame; mount: that frame in base_link (z forward, x right, y down)."""

    name: str
    frame: str
    mount: Pose
    width: int
    height: int
    horizontal_fov: float
    near: float
    far: float
    rate: float

    @property
    def focal(self) -> float:
        """Pixels; square pixels, principal point in the middle of the image."""
        return self.width / 2 / np.tan(self.horizontal_fov / 2)


@dataclass(frozen=True)
class NoiseSpec:
    """stddev: of one reading; bias: standard deviation when switched on, both in the unit of what is measured.

    bias_walk: that unit per root second; correlation_time: seconds after which the bias has forgotten where it was.
    """

    stddev: float
    bias: float
    bias_walk: float
    correlation_time: float


@dataclass(frozen=True)
class ImuSpec:
    """gyro: rad/s. accel: m/s^2. rate: readings per second."""

    frame: str
    mount: Pose
    gyro: NoiseSpec
    accel: NoiseSpec
    rate: float


@dataclass(frozen=True)
class Rotor:
    """position: (3,) in base_link. direction: 1 counter-clockwise from above, -1 clockwise. most_thrust: N.

    moment_constant: drag torque per thrust, metres, as in Gazebo's motor model.
    """

    position: np.ndarray
    direction: int
    most_thrust: float
    moment_constant: float


@dataclass(frozen=True)
class Primitive:
    """A box (full sizes), or a cylinder (radius, length); pose in base_link, colour RGBA 0-1."""

    shape: str
    size: tuple[float, ...]
    pose: Pose
    rgba: tuple[float, ...]


@dataclass(frozen=True)
class Robot:
    """A parsed robot. name: its namespace. size: (3,) box that holds its visuals; centre in base_link.

    steering_limit: radians, of a rover's front wheels seen as one, 0 for a drone. rotors: a drone's, none for a rover.
    links: pose of each link in base_link at joint positions zero. bodies: the links themselves, by name.
    """

    name: str
    kind: RobotKind
    xml: str
    bodies: dict[str, Link]
    joints: tuple[Joint, ...]
    lidar: LidarSpec
    cameras: tuple[CameraSpec, ...]
    imu: ImuSpec
    steering_limit: float
    rotors: tuple[Rotor, ...]
    visuals: tuple[Primitive, ...]
    size: np.ndarray
    centre: np.ndarray
    links: dict[str, Pose]

    def actor(self, instance: int, base_link: Pose, velocity: np.ndarray) -> Actor:
        """The robot as others see it. base_link: in map; velocity: (3,) m/s in map."""
        pose = base_link @ Pose(self.centre, np.array([1.0, 0, 0, 0]))
        return Actor(instance, self.kind.semantic, pose, self.size, velocity, self.name)


def load_robot(kind: RobotKind, name: str, image_size: tuple[int, int] = (1600, 900)) -> Robot:
    """Expand the xacro of a vehicle and read it. name: ROS namespace, ValueError where it is not one."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise ValueError(f"robot name '{name}' is not a ROS namespace: lower-case letters, digits, underscores")
    arguments = {"namespace": name, "image_width": str(image_size[0]), "image_height": str(image_size[1])}
    xml = xacro.process_file(str(share("urdf", f"{kind.value}.urdf.xacro")), mappings=arguments).toxml()
    links = link_poses(xml)
    tree = etree.fromstring(xml)
    bodies = read_links(tree)
    sensors = {s.get("name"): (s.getparent().get("reference"), s) for s in tree.iter("sensor")}
    visuals = tuple(_visuals(bodies, links))
    low, high = _bounds(visuals)
    return Robot(
        name=name,
        kind=kind,
        xml=xml,
        bodies=bodies,
        joints=read_joints(tree),
        lidar=_lidar(*sensors["lidar"], links),
        cameras=tuple(_camera(*entry, links) for key, entry in sensors.items() if key.startswith("camera_")),
        imu=_imu(*sensors["imu"], links),
        steering_limit=float(tree.findtext("gazebo/plugin/steering_limit", "0")),
        rotors=tuple(
            _rotor(plugin, links) for plugin in tree.iter("plugin") if plugin.find("motorConstant") is not None
        ),
        visuals=visuals,
        size=high - low,
        centre=(low + high) / 2,
        links=links,
    )


def _number(element: etree._Element, path: str) -> float:
    text = element.findtext(path)
    if text is None:
        raise ValueError(f"URDF {element.tag} '{element.get('name')}' has no <{path}>")
    return float(text)


def _lidar(link: str, sensor: etree._Element, links: dict[str, Pose]) -> LidarSpec:
    scan = sensor.find("lidar/scan")
    angles = [
        np.linspace(_number(part, "min_angle"), _number(part, "max_angle"), int(_number(part, "samples")))
        for part in (scan.find("vertical"), scan.find("horizontal"))
    ]
    return LidarSpec(
        frame=link,
        mount=links[link],
        elevations=angles[0],
        azimuths=angles[1],
        range_min=_number(sensor, "lidar/range/min"),
        range_max=_number(sensor, "lidar/range/max"),
        noise_stddev=_number(sensor, "lidar/noise/stddev"),
        rate=_number(sensor, "update_rate"),
        returns=ReturnModel.from_config(
            yaml.safe_load(share("config", "sensors.yaml").read_text())["lidar"]["returns"]
        ),
    )


def _camera(link: str, sensor: etree._Element, links: dict[str, Pose]) -> CameraSpec:
    optical = link.replace("_link", "_optical")
    return CameraSpec(
        name=sensor.get("name").removeprefix("camera_"),
        frame=optical,
        mount=links[optical],
        width=int(_number(sensor, "camera/image/width")),
        height=int(_number(sensor, "camera/image/height")),
        horizontal_fov=_number(sensor, "camera/horizontal_fov"),
        near=_number(sensor, "camera/clip/near"),
        far=_number(sensor, "camera/clip/far"),
        rate=_number(sensor, "update_rate"),
    )


def _imu(link: str, sensor: etree._Element, links: dict[str, Pose]) -> ImuSpec:
    gyro, accel = (_noise(sensor.find(f"imu/{part}/x/noise")) for part in ("angular_velocity", "linear_acceleration"))
    return ImuSpec(frame=link, mount=links[link], gyro=gyro, accel=accel, rate=_number(sensor, "update_rate"))


def _noise(noise: etree._Element) -> NoiseSpec:
    return NoiseSpec(
        stddev=_number(noise, "stddev"),
        bias=_number(noise, "bias_stddev"),
        bias_walk=_number(noise, "dynamic_bias_stddev"),
        correlation_time=_number(noise, "dynamic_bias_correlation_time"),
    )


def _rotor(plugin: etree._Element, links: dict[str, Pose]) -> Rotor:
    """From the motor model that Gazebo runs: thrust is motorConstant x speed^2."""
    return Rotor(
        position=links[plugin.findtext("linkName")].position,
        direction=1 if plugin.findtext("turningDirection") == "ccw" else -1,
        most_thrust=_number(plugin, "motorConstant") * _number(plugin, "maxRotVelocity") ** 2,
        moment_constant=_number(plugin, "momentConstant"),
    )


def _visuals(bodies: dict[str, Link], links: dict[str, Pose]) -> Iterator[Primitive]:
    for link in bodies.values():
        for visual in link.visuals:
            if visual.kind not in ("box", "cylinder"):
                raise ValueError(f"URDF link '{link.name}': visuals are boxes or cylinders")
            yield Primitive(visual.kind, visual.size, links[link.name] @ visual.pose, visual.rgba)


def _bounds(visuals: tuple[Primitive, ...]) -> tuple[np.ndarray, np.ndarray]:
    corners = []
    for part in visuals:
        half = np.array(part.size if part.shape == "box" else (2 * part.size[0], 2 * part.size[0], part.size[1])) / 2
        corners.append(np.abs(part.pose.rotation) @ half + part.pose.position)
        corners.append(part.pose.position - np.abs(part.pose.rotation) @ half)
    return np.min(corners, axis=0), np.max(corners, axis=0)

"""A robot as its URDF describes it: links for physics and pictures, sensors for the engine."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from enum import Enum

import numpy as np
import xacro
import yourdfpy
from lxml import etree

from occ_core.poses import Pose
from occ_core.urdf import link_poses
from tokyo_sim.resources import share


class Kind(str, Enum):
    """The two vehicles."""

    DRONE = "drone"
    ROVER = "rover"


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
class ImuSpec:
    """Standard deviations in rad/s and m/s^2; biases are drawn once per run."""

    frame: str
    mount: Pose
    gyro_noise: float
    gyro_bias: float
    accel_noise: float
    accel_bias: float
    rate: float


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

    links: pose of each link in base_link at joint positions zero.
    """

    name: str
    kind: Kind
    xml: str
    urdf: yourdfpy.URDF
    lidar: LidarSpec
    cameras: tuple[CameraSpec, ...]
    imu: ImuSpec
    visuals: tuple[Primitive, ...]
    size: np.ndarray
    centre: np.ndarray
    links: dict[str, Pose]


def load_robot(kind: Kind, name: str, image_size: tuple[int, int] = (1600, 900)) -> Robot:
    """Expand the xacro of a vehicle and read it. name: ROS namespace, ValueError where it is not one."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise ValueError(f"robot name '{name}' is not a ROS namespace: lower-case letters, digits, underscores")
    arguments = {"namespace": name, "image_width": str(image_size[0]), "image_height": str(image_size[1])}
    xml = xacro.process_file(str(share("urdf", f"{kind.value}.urdf.xacro")), mappings=arguments).toxml()
    urdf = yourdfpy.URDF.load(io.StringIO(xml), build_scene_graph=False, load_meshes=False)
    links = link_poses(xml)
    sensors = {s.get("name"): (s.getparent().get("reference"), s) for s in etree.fromstring(xml).iter("sensor")}
    visuals = tuple(_visuals(urdf, links))
    low, high = _bounds(visuals)
    return Robot(
        name=name,
        kind=kind,
        xml=xml,
        urdf=urdf,
        lidar=_lidar(*sensors["lidar"], links),
        cameras=tuple(_camera(*entry, links) for key, entry in sensors.items() if key.startswith("camera_")),
        imu=_imu(*sensors["imu"], links),
        visuals=visuals,
        size=high - low,
        centre=(low + high) / 2,
        links=links,
    )


def _pose(matrix: np.ndarray | None) -> Pose:
    return Pose.identity() if matrix is None else Pose.from_matrix(matrix)


def _number(element: etree._Element, path: str) -> float:
    text = element.findtext(path)
    if text is None:
        raise ValueError(f"URDF sensor '{element.get('name')}' has no <{path}>")
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
    gyro, accel = sensor.find("imu/angular_velocity/x/noise"), sensor.find("imu/linear_acceleration/x/noise")
    return ImuSpec(
        frame=link,
        mount=links[link],
        gyro_noise=_number(gyro, "stddev"),
        gyro_bias=_number(gyro, "bias_stddev"),
        accel_noise=_number(accel, "stddev"),
        accel_bias=_number(accel, "bias_stddev"),
        rate=_number(sensor, "update_rate"),
    )


def _visuals(urdf: yourdfpy.URDF, links: dict[str, Pose]):
    for link in urdf.robot.links:
        for visual in link.visuals:
            pose = links[link.name] @ _pose(visual.origin)
            rgba = tuple(visual.material.color.rgba)
            if visual.geometry.box is not None:
                yield Primitive("box", tuple(visual.geometry.box.size), pose, rgba)
            elif visual.geometry.cylinder is not None:
                cylinder = visual.geometry.cylinder
                yield Primitive("cylinder", (cylinder.radius, cylinder.length), pose, rgba)
            else:
                raise ValueError(f"URDF link '{link.name}': visuals are boxes or cylinders")


def _bounds(visuals: tuple[Primitive, ...]) -> tuple[np.ndarray, np.ndarray]:
    corners = []
    for part in visuals:
        half = np.array(part.size if part.shape == "box" else (2 * part.size[0], 2 * part.size[0], part.size[1])) / 2
        corners.append(np.abs(part.pose.rotation) @ half + part.pose.position)
        corners.append(part.pose.position - np.abs(part.pose.rotation) @ half)
    return np.min(corners, axis=0), np.max(corners, axis=0)

"""Links and joints of a robot's URDF, as physics and pictures need them: of boxes, cylinders and spheres alone.

Libraries that read any URDF load a mesh library with it, which takes longer than all the rest of a robot.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import cos, sin

import numpy as np
from lxml import etree

from occ_core.poses import Pose


@dataclass(frozen=True)
class Inertial:
    """mass: kg. inertia: (3, 3) kg m2 about the centre of mass, which is at (3,) metres in the link."""

    mass: float
    inertia: np.ndarray
    centre: np.ndarray


@dataclass(frozen=True)
class Shape:
    """kind: box (full sizes), cylinder (radius, length) or sphere (radius), metres. pose: in the link.

    rgba: colour 0-1; none of what is only met.
    """

    kind: str
    size: tuple[float, ...]
    pose: Pose
    rgba: tuple[float, ...] = ()


@dataclass(frozen=True)
class Link:
    """inertial: None where a link has no mass. collisions: what it is met as; visuals: what it looks like."""

    name: str
    inertial: Inertial | None
    collisions: tuple[Shape, ...]
    visuals: tuple[Shape, ...]


@dataclass(frozen=True)
class Joint:
    """kind: fixed, continuous or revolute. origin: of the child in the parent at position zero.

    axis: (3,) in the child. upper: radians, of a revolute joint; infinite for others.
    """

    name: str
    kind: str
    parent: str
    child: str
    origin: Pose
    axis: np.ndarray
    upper: float


def read_links(robot: etree._Element) -> dict[str, Link]:
    """All links by name. ValueError for a shape that is none of the three, or has no colour of its own."""
    return {link.name: link for link in map(_link, robot.findall("link"))}


def read_joints(robot: etree._Element) -> tuple[Joint, ...]:
    """All joints, in the order of the description."""
    return tuple(map(_joint, robot.findall("joint")))


def _link(element: etree._Element) -> Link:
    name, inertial = element.get("name"), element.find("inertial")
    return Link(
        name,
        None if inertial is None else _inertial(inertial),
        tuple(_shapes(name, element.findall("collision"))),
        tuple(_shapes(name, element.findall("visual"))),
    )


def _joint(element: etree._Element) -> Joint:
    axis, limit = element.find("axis"), element.find("limit")
    return Joint(
        name=element.get("name"),
        kind=element.get("type"),
        parent=element.find("parent").get("link"),
        child=element.find("child").get("link"),
        origin=_origin(element),
        axis=np.array([1.0, 0.0, 0.0]) if axis is None else np.array(_numbers(axis.get("xyz"))),
        upper=np.inf if limit is None else float(limit.get("upper")),
    )


def _inertial(element: etree._Element) -> Inertial:
    tensor = element.find("inertia")
    xx, xy, xz, yy, yz, zz = (float(tensor.get(name)) for name in ("ixx", "ixy", "ixz", "iyy", "iyz", "izz"))
    inertia = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
    return Inertial(float(element.find("mass").get("value")), inertia, _origin(element).position)


def _shapes(link: str, elements: list[etree._Element]) -> Iterator[Shape]:
    for element in elements:
        (shape,) = element.find("geometry")
        if shape.tag == "box":
            size = _numbers(shape.get("size"))
        elif shape.tag in ("cylinder", "sphere"):
            size = tuple(float(shape.get(key)) for key in ("radius", "length") if shape.get(key))
        else:
            raise ValueError(f"URDF link '{link}': shapes are boxes, cylinders or spheres, not a {shape.tag}")
        colour = element.find("material/color")
        yield Shape(shape.tag, size, _origin(element), () if colour is None else _numbers(colour.get("rgba")))


def _origin(element: etree._Element) -> Pose:
    origin = element.find("origin")
    if origin is None:
        return Pose.identity()
    # By way of the matrix: a quarter turn is one to the last bit then.
    roll, pitch, yaw = _numbers(origin.get("rpy", "0 0 0"))
    si, sj, sk, ci, cj, ck = sin(roll), sin(pitch), sin(yaw), cos(roll), cos(pitch), cos(yaw)
    matrix = np.eye(4)
    matrix[:3, :3] = [
        [cj * ck, sj * (si * ck) - ci * sk, sj * (ci * ck) + si * sk],
        [cj * sk, sj * (si * sk) + ci * ck, sj * (ci * sk) - si * ck],
        [-sj, cj * si, cj * ci],
    ]
    matrix[:3, 3] = _numbers(origin.get("xyz", "0 0 0"))
    return Pose.from_matrix(matrix)


def _numbers(text: str) -> tuple[float, ...]:
    return tuple(map(float, text.split()))

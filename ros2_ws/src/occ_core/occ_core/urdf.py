"""A robot's URDF: where its links are, which a cloud's or an image's frame id refers to, and what its body fills."""

from __future__ import annotations

from dataclasses import dataclass
from xml.etree import ElementTree

import numpy as np

from occ_core.actors import BOX_MARGIN_M
from occ_core.point_filters import VehicleBox
from occ_core.poses import Pose


@dataclass(frozen=True)
class Joint:
    """A link in the one above it. pose: at position zero. moves: whether it can be elsewhere."""

    parent: str
    child: str
    pose: Pose
    moves: bool


def joints(xml: str) -> list[Joint]:
    """The joints of a URDF. ValueError for XML that is none."""
    return _joints(_parsed(xml))


def link_poses(xml: str, base: str = "base_link") -> dict[str, Pose]:
    """Pose in `base` of every link below it, at joint positions zero. ValueError for XML that is not a URDF, and for
    joints that do not make a tree."""
    return _below(_joints(_parsed(xml)), base)


def _below(tree: list[Joint], base: str) -> dict[str, Pose]:
    children: dict[str, list[Joint]] = {}
    for joint in tree:
        children.setdefault(joint.parent, []).append(joint)
    poses, todo = {base: Pose.identity()}, [base]
    while todo:
        parent = todo.pop()
        for joint in children.get(parent, []):
            if joint.child in poses:
                raise ValueError(f"robot description has two ways to link '{joint.child}'")
            poses[joint.child] = poses[parent] @ joint.pose
            todo.append(joint.child)
    return poses


def body(xml: str, links: dict[str, Pose], margin: float = BOX_MARGIN_M) -> tuple[VehicleBox, ...]:
    """Boxes about the collision shapes of links, about what is seen of one where it has none; in the frame of `links`.

    links: poses of the links that count. Meshes have no size in a URDF and are left out. margin: metres by which a box
    is larger on each side than its shape. ValueError for XML that is not a URDF.
    """
    boxes = []
    for link in _parsed(xml).findall("link"):
        name = link.get("name", "")
        shapes = link.findall("collision") or link.findall("visual")
        for shape in shapes if name in links else []:
            geometry = shape.find("geometry")
            size = _size(geometry) if geometry is not None else None
            if size is not None:
                boxes.append(VehicleBox(links[name] @ _origin(shape.find("origin")), size + 2 * margin))
    return tuple(boxes)


def _parsed(xml: str) -> ElementTree.Element:
    try:
        return ElementTree.fromstring(xml)
    except ElementTree.ParseError as error:
        raise ValueError(f"robot description is not XML: {error}") from error


def _joints(robot: ElementTree.Element) -> list[Joint]:
    found = []
    for joint in robot.findall("joint"):
        parent, child = joint.find("parent"), joint.find("child")
        if parent is None or child is None:
            raise ValueError("robot description has a joint without parent or child")
        moves = joint.get("type", "fixed") != "fixed"
        found.append(Joint(parent.get("link", ""), child.get("link", ""), _origin(joint.find("origin")), moves))
    return found


def _size(geometry: ElementTree.Element) -> np.ndarray | None:
    """(3,) full lengths of the box about a shape, metres; None for a mesh."""
    for shape in geometry:
        if shape.tag == "box":
            return np.array(shape.get("size", "").split(), dtype=float)
        if shape.tag in ("cylinder", "capsule"):
            radius, length = float(shape.get("radius", "nan")), float(shape.get("length", "nan"))
            return np.array([2 * radius, 2 * radius, length + (2 * radius if shape.tag == "capsule" else 0)])
        if shape.tag == "sphere":
            return np.full(3, 2 * float(shape.get("radius", "nan")))
    return None


def _origin(element: ElementTree.Element | None) -> Pose:
    if element is None:
        return Pose.identity()
    xyz, rpy = (np.array(element.get(key, "0 0 0").split(), dtype=float) for key in ("xyz", "rpy"))
    return Pose.from_xyz_rpy(xyz, rpy)

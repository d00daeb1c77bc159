"""Where a robot's links are, from its URDF: the extrinsics that a cloud's or an image's frame id refers to."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np

from occ_core.poses import Pose


def link_poses(xml: str, base: str = "base_link") -> dict[str, Pose]:
    """Pose in `base` of every link below it, at joint positions zero.

    ValueError for XML that is not a URDF, and for joints that do not make a tree.
    """
    try:
        robot = ElementTree.fromstring(xml)
    except ElementTree.ParseError as error:
        raise ValueError(f"robot description is not XML: {error}") from error
    joints = [(j.find("parent"), j.find("child"), j.find("origin")) for j in robot.findall("joint")]
    children: dict[str, list[tuple[str, Pose]]] = {}
    for parent, child, origin in joints:
        if parent is None or child is None:
            raise ValueError("robot description has a joint without parent or child")
        children.setdefault(parent.get("link", ""), []).append((child.get("link", ""), _origin(origin)))
    poses, todo = {base: Pose.identity()}, [base]
    while todo:
        parent_name = todo.pop()
        for name, step in children.get(parent_name, []):
            if name in poses:
                raise ValueError(f"robot description has two ways to link '{name}'")
            poses[name] = poses[parent_name] @ step
            todo.append(name)
    return poses


def _origin(element: ElementTree.Element | None) -> Pose:
    if element is None:
        return Pose.identity()
    xyz, rpy = (np.array(element.get(key, "0 0 0").split(), dtype=float) for key in ("xyz", "rpy"))
    return Pose.from_xyz_rpy(xyz, rpy)

"""Traffic in Gazebo (Harmonic, Ionic): the models of actors, and the services that create and move them.

gz-sim's UserCommands system offers /world/<world>/create and /world/<world>/set_pose. ros_gz_bridge makes ROS services
of them, SpawnEntity and SetEntityPose of ros_gz_interfaces: in Jazzy since its release 1.0.11, and in Kilted. It cannot
bridge /world/<world>/set_pose_vector, which moves many models at once.
"""

from __future__ import annotations

from typing import Any

from lxml import etree

from occ_core.actors import Actor
from occ_core.classes import CLASSES
from tokyo_city.world import SDF_VERSION
from tokyo_city.world.sdf import LABEL_SYSTEM

_MODEL = 2  # ros_gz_interfaces/msg/Entity.MODEL
_DENSITY = 150.0  # kg/m^3 of a car as a box


def model_name(actor: Actor) -> str:
    """The name of an actor's model."""
    return f"actor_{actor.instance}"


def model_sdf(actor: Actor) -> str:
    """A box in the colour of the actor's class, which cameras, LiDAR and segmentation see and robots run into.

    It is not static, since physics engines need not move static models, but weightless: it stays where it is put.
    """
    root = etree.Element("sdf", version=SDF_VERSION)
    link = etree.SubElement(etree.SubElement(root, "model", name=model_name(actor)), "link", name="link")
    _text(link, "gravity", "false")
    inertial = etree.SubElement(link, "inertial")
    x, y, z = (float(side) for side in actor.size)
    mass = _DENSITY * x * y * z
    _text(inertial, "mass", f"{mass:.3f}")
    inertia = etree.SubElement(inertial, "inertia")
    for axis, (a, b) in {"ixx": (y, z), "iyy": (x, z), "izz": (x, y)}.items():
        _text(inertia, axis, f"{mass * (a * a + b * b) / 12:.4f}")
    _box(etree.SubElement(link, "collision", name="collision"), actor)
    visual = etree.SubElement(link, "visual", name="visual")
    _box(visual, actor)
    colour = " ".join(f"{channel / 255:.3f}" for channel in CLASSES[actor.semantic].colour)
    material = etree.SubElement(visual, "material")
    for tag in ("ambient", "diffuse"):
        _text(material, tag, f"{colour} 1")
    label = etree.SubElement(visual, "plugin", filename=LABEL_SYSTEM[0], name=LABEL_SYSTEM[1])
    _text(label, "label", str(int(actor.semantic)))
    return etree.tostring(root, encoding="unicode")


def fill_create(request: Any, actor: Actor, pose: Any) -> Any:
    """A SpawnEntity request filled for an actor. pose: its geometry_msgs/Pose in map, Gazebo's world frame."""
    factory = request.entity_factory
    factory.name, factory.sdf, factory.allow_renaming, factory.pose = model_name(actor), model_sdf(actor), False, pose
    factory.relative_to = "world"
    return request


def fill_pose(request: Any, actor: Actor, pose: Any) -> Any:
    """A SetEntityPose request filled for an actor. pose: its geometry_msgs/Pose in map, Gazebo's world frame."""
    request.entity.name, request.entity.type, request.pose = model_name(actor), _MODEL, pose
    return request


def _text(parent: etree._Element, tag: str, text: str) -> None:
    etree.SubElement(parent, tag).text = text


def _box(parent: etree._Element, actor: Actor) -> None:
    box = etree.SubElement(etree.SubElement(parent, "geometry"), "box")
    _text(box, "size", " ".join(f"{side:.3f}" for side in actor.size))

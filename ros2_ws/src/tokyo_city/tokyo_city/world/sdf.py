"""An imported city as an SDF world, readable by Gazebo and by the embedded engine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lxml import etree

from occ_core.classes import CLASSES, Semantic
from tokyo_city.world import GRAVITY, SDF_VERSION, WORLD_NAME

WORLD_SYSTEMS: tuple[tuple[str, str], ...] = (
    ("gz-sim-physics-system", "gz::sim::systems::Physics"),
    ("gz-sim-user-commands-system", "gz::sim::systems::UserCommands"),
    ("gz-sim-scene-broadcaster-system", "gz::sim::systems::SceneBroadcaster"),
    ("gz-sim-sensors-system", "gz::sim::systems::Sensors"),
    ("gz-sim-imu-system", "gz::sim::systems::Imu"),
)
"""(file name, class) of the systems that every world loads."""

RENDER_ENGINE = "ogre2"
LABEL_SYSTEM = ("gz-sim-label-system", "gz::sim::systems::Label")


@dataclass(frozen=True)
class Anchor:
    """Where `map` has its origin. latitude, longitude: degrees; height: metres above Tokyo Bay mean sea level.

    epsg: the plane rectangular zone; east, north: metres in it.
    """

    latitude: float
    longitude: float
    height: float
    epsg: int
    east: float
    north: float


@dataclass(frozen=True)
class WorldModel:
    """A static model of one class. visual, collision: mesh files relative to the world file, one of them may be ''.

    own_materials: the visual mesh brings its materials; without, it has the colour of its class.
    """

    name: str
    semantic: Semantic
    visual: str
    collision: str
    own_materials: bool = False


def write_world(path: Path, anchor: Anchor, models: list[WorldModel]) -> None:
    """Write the SDF world that holds these models."""
    root = etree.Element("sdf", version=SDF_VERSION)
    world = etree.SubElement(root, "world", name=WORLD_NAME)
    physics = etree.SubElement(world, "physics", name="default", type="ignored")
    _text(physics, "max_step_size", "0.005")  # divides the periods of all sensors
    _text(physics, "real_time_factor", "1.0")
    _text(world, "gravity", f"0 0 {-GRAVITY}")
    for filename, name in WORLD_SYSTEMS:
        plugin = etree.SubElement(world, "plugin", filename=filename, name=name)
        if filename == "gz-sim-sensors-system":
            _text(plugin, "render_engine", RENDER_ENGINE)
    _add_sky_and_sun(world)
    spherical = etree.SubElement(world, "spherical_coordinates")
    _text(spherical, "surface_model", "EARTH_WGS84")
    _text(spherical, "world_frame_orientation", "ENU")
    _text(spherical, "latitude_deg", f"{anchor.latitude:.9f}")
    _text(spherical, "longitude_deg", f"{anchor.longitude:.9f}")
    _text(spherical, "elevation", f"{anchor.height:.3f}")
    _text(spherical, "heading_deg", "0")
    for model in models:
        _add_model(world, model)
    etree.ElementTree(root).write(str(path), xml_declaration=True, encoding="utf-8", pretty_print=True)


def read_world(path: Path) -> list[WorldModel]:
    """The static models of a world that `write_world` wrote. ValueError that names the file and the model."""
    models = []
    parser = etree.XMLParser(resolve_entities=False, no_network=True)
    try:
        world = etree.parse(str(path), parser)
    except etree.XMLSyntaxError as error:
        raise ValueError(f"{path}, line {error.lineno}: {error.msg}") from error
    for model in world.iterfind("world/model"):
        name = model.get("name", "")
        visual = model.findtext("link/visual/geometry/mesh/uri")
        label = model.findtext("link/visual/plugin/label")
        collision = model.findtext("link/collision/geometry/mesh/uri") or ""
        if collision and visual is None:
            models.append(WorldModel(name, Semantic.TERRAIN, "", collision))  # the surface to drive on
            continue
        if visual is None or label is None:
            raise ValueError(f"{path}: model '{name}' has no mesh or no label, it is not one that `tokyo city` wrote")
        own = model.find("link/visual/material") is None
        models.append(WorldModel(name, Semantic(int(label)), visual, collision, own))
    return models


def _text(parent: etree._Element, tag: str, text: str) -> etree._Element:
    child = etree.SubElement(parent, tag)
    child.text = text
    return child


def _add_sky_and_sun(world: etree._Element) -> None:
    scene = etree.SubElement(world, "scene")
    _text(scene, "ambient", "0.5 0.5 0.55 1")
    _text(scene, "background", "0.6 0.75 0.95 1")
    _text(scene, "shadows", "true")
    etree.SubElement(scene, "sky")
    sun = etree.SubElement(world, "light", name="sun", type="directional")
    _text(sun, "cast_shadows", "true")
    _text(sun, "pose", "0 0 200 0 0 0")
    _text(sun, "diffuse", "0.9 0.88 0.8 1")
    _text(sun, "specular", "0.2 0.2 0.2 1")
    _text(sun, "direction", "-0.45 0.35 -0.82")


def _add_model(world: etree._Element, model: WorldModel) -> None:
    element = etree.SubElement(world, "model", name=model.name)
    _text(element, "static", "true")
    link = etree.SubElement(element, "link", name="link")
    if model.collision:
        _add_mesh(etree.SubElement(link, "collision", name="collision"), model.collision)
    if not model.visual:
        return
    visual = etree.SubElement(link, "visual", name="visual")
    _add_mesh(visual, model.visual)
    if not model.own_materials:
        material = etree.SubElement(visual, "material")
        colour = " ".join(f"{channel / 255:.3f}" for channel in CLASSES[model.semantic].colour)
        for tag in ("ambient", "diffuse"):
            _text(material, tag, f"{colour} 1")
        _text(material, "specular", "0.05 0.05 0.05 1")
        _text(material, "double_sided", "true")
    label = etree.SubElement(visual, "plugin", filename=LABEL_SYSTEM[0], name=LABEL_SYSTEM[1])
    _text(label, "label", str(int(model.semantic)))


def _add_mesh(parent: etree._Element, uri: str) -> None:
    mesh = etree.SubElement(etree.SubElement(parent, "geometry"), "mesh")
    _text(mesh, "uri", uri)

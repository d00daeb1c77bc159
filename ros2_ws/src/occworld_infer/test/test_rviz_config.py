"""RViz's file against RViz's own names, and against the table of topics."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from occ_core.topics import (
    ACTORS,
    CAMERAS,
    CITY_MARKERS,
    COSTMAP,
    LIDAR,
    MARKERS,
    OCCUPANCY,
    PATH,
    PREDICTION,
    ROBOT_DESCRIPTION,
    Topic,
    image_topic,
)
from occworld_infer.rviz_config import DEFAULT_ROBOTS, overlay

FILE = Path(__file__).resolve().parents[1] / "rviz/overlay.rviz"

# Properties that the classes register, read in the sources of github.com/ros2/rviz (2024-10-15): display.cpp and
# display_group.cpp of rviz_common, and rviz_default_plugins/displays/*/*.cpp with the transformers of point clouds.
EVERY = {"Class", "Name", "Enabled", "Value"}
CLOUD = {
    "Selectable", "Style", "Size (m)", "Size (Pixels)", "Alpha", "Decay Time", "Position Transformer",
    "Color Transformer", "Channel Name", "Use rainbow", "Invert Rainbow", "Min Color", "Max Color",
    "Autocompute Intensity Bounds", "Min Intensity", "Max Intensity", "Axis", "Autocompute Value Bounds",
    "Use Fixed Frame", "Topic",
}  # fmt: skip
PROPERTIES = {
    "rviz_common/Group": {"Displays"},
    "rviz_default_plugins/Grid": {
        "Reference Frame", "Plane Cell Count", "Normal Cell Count", "Cell Size", "Line Style", "Color", "Alpha",
        "Plane", "Offset",
    },
    "rviz_default_plugins/RobotModel": {
        "Visual Enabled", "Collision Enabled", "Mass Properties", "Update Interval", "Alpha", "Description Source",
        "Description File", "Description Topic", "TF Prefix",
    },
    "rviz_default_plugins/PointCloud2": CLOUD,
    "rviz_default_plugins/MarkerArray": {"Topic", "Namespaces"},
    "rviz_default_plugins/Path": {
        "Topic", "Line Style", "Line Width", "Color", "Alpha", "Buffer Length", "Offset", "Pose Style", "Pose Color",
        "Length", "Radius", "Shaft Length", "Head Length", "Shaft Diameter", "Head Diameter",
    },
    "rviz_default_plugins/Map": {
        "Topic", "Update Topic", "Alpha", "Binary representation", "Binary threshold", "Color Scheme", "Draw Behind",
        "Resolution", "Width", "Height", "Position", "Orientation", "Use Timestamp",
    },
    "rviz_default_plugins/Image": {"Topic", "Normalize Range", "Min Value", "Max Value", "Median window"},
}  # fmt: skip
TOPIC_PROPERTIES = {"Value", "Depth", "History Policy", "Reliability Policy", "Durability Policy", "Filter size"}
CHOICES = {
    "Style": {"Points", "Squares", "Flat Squares", "Spheres", "Boxes", "Tiles"},
    "Color Transformer": {"Intensity", "AxisColor", "FlatColor", "RGB8", "RGBF32"},
    "Description Source": {"Topic", "File"},
    "Line Style": {"Lines", "Billboards"},
    "Color Scheme": {"map", "costmap", "raw"},
    "Pose Style": {"None", "Axes", "Arrows"},
}
DISPLAYED = {
    "rviz_default_plugins/PointCloud2": "sensor_msgs/msg/PointCloud2",
    "rviz_default_plugins/MarkerArray": "visualization_msgs/msg/MarkerArray",
    "rviz_default_plugins/Path": "nav_msgs/msg/Path",
    "rviz_default_plugins/Map": "nav_msgs/msg/OccupancyGrid",
    "rviz_default_plugins/Image": "sensor_msgs/msg/Image",
    "rviz_default_plugins/RobotModel": "std_msgs/msg/String",
}
PER_ROBOT = (
    LIDAR, OCCUPANCY, PREDICTION, MARKERS, PATH, COSTMAP, ROBOT_DESCRIPTION, *(image_topic(name) for name in CAMERAS),
)  # fmt: skip


@pytest.fixture(scope="module")
def config() -> dict:
    return yaml.safe_load(FILE.read_text())


def displays(entries: list[dict]) -> Iterator[dict]:
    for entry in entries:
        yield entry
        yield from displays(entry.get("Displays", []))


def shown(config: dict) -> list[dict]:
    return list(displays(config["Visualization Manager"]["Displays"]))


def topics(robots: tuple[str, ...]) -> dict[str, Topic]:
    """The table, by full name."""
    named = {topic.name: topic for topic in (ACTORS, CITY_MARKERS)}
    return named | {f"/{robot}/{topic.name}": topic for robot in robots for topic in PER_ROBOT}


def test_the_file_is_what_the_module_makes(config: dict) -> None:
    assert config == overlay(DEFAULT_ROBOTS), f"python -m occworld_infer.rviz_config > {FILE.name}"


def test_rviz_knows_every_class_property_and_choice(config: dict) -> None:
    for display in shown(config):
        known = PROPERTIES[display["Class"]] | EVERY
        assert set(display) <= known, f"{display['Name']}: {set(display) - known}"
        for name, choices in CHOICES.items():
            assert display.get(name) in choices | {None}, f"{display['Name']}: {name}"
    manager = config["Visualization Manager"]
    assert {tool["Class"] for tool in manager["Tools"]} <= {
        f"rviz_default_plugins/{name}" for name in ("MoveCamera", "FocusCamera", "Measure", "Select", "Interact")
    }
    assert manager["Views"]["Current"]["Class"] == "rviz_default_plugins/ThirdPersonFollower"
    assert {panel["Class"] for panel in config["Panels"]} <= {"rviz_common/Displays", "rviz_common/Views"}


def test_every_topic_is_in_the_table_with_its_type_and_quality_of_service(config: dict) -> None:
    table = topics(DEFAULT_ROBOTS)
    for display in shown(config):
        for name in {"Topic", "Description Topic"} & set(display):
            asked = display[name]
            topic = table[asked["Value"]]
            assert set(asked) <= TOPIC_PROPERTIES
            assert topic.type == DISPLAYED[display["Class"]]
            assert asked["Reliability Policy"] == ("Reliable" if topic.reliable else "Best Effort")
            assert asked["Durability Policy"] == ("Transient Local" if topic.latched else "Volatile")


def test_everything_of_every_robot_is_shown(config: dict) -> None:
    asked = {
        display[name]["Value"]
        for display in shown(config)
        for name in ("Topic", "Description Topic")
        if name in display
    }
    assert asked == set(topics(DEFAULT_ROBOTS))
    assert config["Visualization Manager"]["Global Options"]["Fixed Frame"] == "map"


def test_other_robots_get_groups_of_their_own() -> None:
    robots = ("drone_0", "drone_1", "rover_0")
    made = overlay(robots)
    groups = [d["Name"] for d in made["Visualization Manager"]["Displays"] if d["Class"] == "rviz_common/Group"]
    assert groups == list(robots)
    cameras = [d["Enabled"] for d in shown(made) if d["Class"] == "rviz_default_plugins/Image"]
    assert cameras == [False] * 12 + [True] * 6
    with pytest.raises(ValueError, match="drones and rovers are both 0"):
        overlay(())

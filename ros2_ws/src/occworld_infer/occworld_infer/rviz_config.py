"""What RViz opens with, for any robots: `python -m occworld_infer.rviz_config ROBOT ... > FILE.rviz`. No ROS.

Names of classes and properties are those of rviz_common and rviz_default_plugins; a name that RViz does not know it
passes over in silence, so the tests hold them against its source.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import yaml

from occ_core.grid import FRAME_PERIOD_S, FUTURE_FRAMES
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
    absolute,
    image_topic,
)
from occworld_infer.layers import FALSE, MISSED, NOW

DEFAULT_ROBOTS = ("drone_0", "rover_0")
Display = dict[str, Any]


def overlay(robots: Sequence[str]) -> dict[str, Any]:
    """The whole file, as plain data. A group of displays for each robot; the view follows the last one.
    ValueError without any.

    The cameras of one robot are open, which is the last: six windows of each robot would hide everything else.
    """
    if not robots:
        raise ValueError("RViz needs a robot to follow: drones and rovers are both 0")
    groups = [_group(robot, _of_robot(robot, cameras=robot == robots[-1])) for robot in robots]
    return {
        "Panels": [
            {"Class": "rviz_common/Displays", "Name": "Displays"},
            {"Class": "rviz_common/Views", "Name": "Views"},
        ],
        "Visualization Manager": {
            "Class": "",
            "Displays": [_grid(), *_of_city(), *groups],
            "Global Options": {"Fixed Frame": "map", "Frame Rate": 30, "Background Color": "38; 42; 50"},
            "Tools": [
                {"Class": "rviz_default_plugins/MoveCamera"},
                {"Class": "rviz_default_plugins/FocusCamera"},
                {"Class": "rviz_default_plugins/Measure"},
            ],
            "Views": {"Current": _behind(robots[-1])},
        },
        "Window Geometry": {"Width": 1700, "Height": 1000},
    }


def _of_city() -> list[Display]:
    return [
        _display("MarkerArray", "City", Topic=_topic(CITY_MARKERS)),
        _display("MarkerArray", "Traffic", Topic=_topic(ACTORS), Namespaces={"velocity": False}),
    ]


def _of_robot(robot: str, cameras: bool) -> list[Display]:
    """cameras: whether their windows are open."""
    model = {"Description Source": "Topic", "Description Topic": _topic(ROBOT_DESCRIPTION, robot), "TF Prefix": robot}
    horizons = [f"+{FRAME_PERIOD_S * (step + 1):.1f} s" for step in range(FUTURE_FRAMES)]
    layers = [NOW, *horizons, MISSED, FALSE, "text"]
    lidar = {
        "Style": "Points",
        "Size (Pixels)": 2,
        "Color Transformer": "AxisColor",
        "Axis": "Z",
        "Use Fixed Frame": True,
    }
    path = {"Line Style": "Billboards", "Line Width": 0.25, "Color": "255; 60; 60", "Pose Style": "None"}
    images = [
        _display("Image", f"{robot} {camera}", cameras, Topic=_topic(image_topic(camera), robot)) for camera in CAMERAS
    ]
    return [
        _display("RobotModel", "Model", **model),
        _display("PointCloud2", "LiDAR", Topic=_topic(LIDAR, robot), **lidar),
        _display(
            "MarkerArray", "Now, forecast and check", Topic=_topic(MARKERS, robot),
            Namespaces={f"{robot}/{layer}": True for layer in layers},
        ),
        _display("Path", "Forecast path", Topic=_topic(PATH, robot), **path),
        _display("Map", "Costmap", False, Topic=_topic(COSTMAP, robot), **{"Color Scheme": "costmap", "Alpha": 0.6}),
        _cloud("Occupancy, every voxel", OCCUPANCY, robot, "label"),
        _cloud("Forecast, every voxel", PREDICTION, robot, "horizon"),
        _group("Cameras", images),
    ]  # fmt: skip


def _cloud(name: str, topic: Topic, robot: str, channel: str) -> Display:
    """All voxels of a grid as they are published, coloured by a field: for a closer look, off at first."""
    boxes = {"Style": "Boxes", "Size (m)": 0.4, "Alpha": 0.5}
    colours = {"Color Transformer": "Intensity", "Channel Name": channel, "Use rainbow": True}
    return _display("PointCloud2", name, False, Topic=_topic(topic, robot), **boxes, **colours)


def _grid() -> Display:
    return _display("Grid", "Grid", **{"Cell Size": 10, "Plane Cell Count": 100, "Alpha": 0.3})


def _behind(robot: str) -> Display:
    """A view that follows a robot and turns with it."""
    return {
        "Class": "rviz_default_plugins/ThirdPersonFollower",
        "Name": f"Behind {robot}",
        "Target Frame": f"{robot}/base_footprint",
        "Distance": 35,
        "Pitch": 0.6,
        "Yaw": 3.14,
        "Focal Point": {"X": 8, "Y": 0, "Z": 0},
    }


def _group(name: str, displays: list[Display]) -> Display:
    return {"Class": "rviz_common/Group", "Name": name, "Enabled": True, "Displays": displays}


def _display(kind: str, name: str, enabled: bool = True, **properties: Any) -> Display:
    return {"Class": f"rviz_default_plugins/{kind}", "Name": name, "Enabled": enabled, "Value": enabled} | properties


def _topic(topic: Topic, robot: str = "") -> Display:
    """RViz's topic property with the quality of service of the table."""
    return {
        "Value": absolute(topic, robot),
        "Depth": 5,
        "History Policy": "Keep Last",
        "Reliability Policy": "Reliable" if topic.reliable else "Best Effort",
        "Durability Policy": "Transient Local" if topic.latched else "Volatile",
    }


def main() -> None:
    """Print the file for the robots on the command line, or for one of each."""
    print(yaml.safe_dump(overlay(sys.argv[1:] or DEFAULT_ROBOTS), sort_keys=False, width=120), end="")


if __name__ == "__main__":
    main()

"""Foxglove's layout against the table of topics, against messages as they are, and against a bag."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

import occ_core.topics as table
from occ_core.grid import TOKYO_GRID
from occ_core.topics import CAMERAS, Topic, camera_info_topic, image_topic
from occ_recorder.bags.definitions import Definitions
from occ_recorder.nodes.bag import _share
from occworld.forecaster import Forecast
from occworld_infer.figures import LATENCY_STAGES, SCORE_COLUMNS, latency_message, score_message
from occworld_infer.forecast_message import Latency, forecast_message, lacking
from occworld_infer.foxglove_layout import layout
from occworld_infer.grading import Grade

FILE = next(p / "docs/foxglove.json" for p in Path(__file__).resolve().parents if (p / "learner").is_dir())
# What Foxglove's 3D panel draws of ROS 2's messages: docs.foxglove.dev, "3D panel", supported messages.
DRAWN = {
    "sensor_msgs/msg/PointCloud2", "visualization_msgs/msg/MarkerArray", "nav_msgs/msg/Path",
    "nav_msgs/msg/OccupancyGrid", "nav_msgs/msg/Odometry",
}  # fmt: skip
PANELS = {"3D", "Image", "Plot", "DiagnosticSummary"}
COLOUR_FIELDS = {
    "lidar/points": {"x", "y", "z", "intensity"},
    "occupancy": {"label"},
    "occworld/prediction": {"horizon"},
}


@pytest.fixture(scope="module")
def made() -> dict:
    return json.loads(FILE.read_text())


def by_name(robot: str) -> dict[str, Topic]:
    """Every topic that there is, by its full name."""
    topics = [value for value in vars(table).values() if isinstance(value, Topic)]
    topics += [image_topic(camera) for camera in CAMERAS] + [camera_info_topic(camera) for camera in CAMERAS]
    return {t.name if t.name.startswith("/") else f"/{robot}/{t.name}": t for t in topics}


def leaves(node: object) -> Iterator[str]:
    if isinstance(node, str):
        yield node
    else:
        assert set(node) == {"direction", "first", "second", "splitPercentage"}
        assert node["direction"] in ("row", "column") and 0 < node["splitPercentage"] < 100
        yield from leaves(node["first"])
        yield from leaves(node["second"])


def named(made: dict) -> dict[str, str]:
    """Every topic that the layout names, and which panel does."""
    found = {}
    for panel, config in made["configById"].items():
        found |= dict.fromkeys(config.get("topics", {}), panel)
        found |= dict.fromkeys(config.get("imageMode", {}).values(), panel)
        found |= {path["value"].split(".")[0]: panel for path in config.get("paths", [])}
        found |= {layer["topic"]: panel for layer in config.get("layers", {}).values()}
        if "topicToRender" in config:
            found[config["topicToRender"]] = panel
    return found


def test_the_file_is_what_the_module_makes(made: dict) -> None:
    assert made == layout(), f"python -m occworld_infer.foxglove_layout > {FILE}"


def test_every_panel_is_of_a_kind_that_foxglove_has_and_is_somewhere_once(made: dict) -> None:
    assert {panel.split("!")[0] for panel in made["configById"]} == PANELS
    assert sorted(leaves(made["layout"])) == sorted(made["configById"])


def test_every_topic_is_there_with_a_type_that_its_panel_shows(made: dict) -> None:
    topics = by_name("rover_0")
    for name, panel in named(made).items():
        kind = topics[name].type
        if panel.startswith("Image!"):
            assert kind in ("sensor_msgs/msg/Image", "sensor_msgs/msg/CameraInfo")
        elif panel.startswith("3D!") and not name.endswith("robot_description"):
            assert kind in DRAWN, f"{name} is {kind}"
    for name, settings in made["configById"]["3D!scene"]["topics"].items():
        if "colorField" in settings:
            assert settings["colorField"] in COLOUR_FIELDS[name.removeprefix("/rover_0/")]


def test_cameras_lidar_occupancy_forecast_and_scores_are_in_it(made: dict) -> None:
    wanted = {
        "lidar/points",
        "occupancy",
        "occworld/prediction",
        "occworld/markers",
        "occworld/forecast",
        "occworld/costmap",
    }
    wanted |= {image_topic(camera).name for camera in CAMERAS}
    assert {f"/rover_0/{name}" for name in wanted} <= set(named(made))


@pytest.mark.parametrize("typed", [True, False])
def test_plots_read_the_numbers_that_they_say(typed: bool) -> None:
    grades = [Grade(0.5 * step, 0.01 * step, 0.001 * step, 0, 0, 9) for step in range(1, 7)]
    latency = Latency(1.0, 2.0, 3.0)
    messages = {"score": score_message(grades), "latency": latency_message(latency)}
    if typed:
        if lacking():
            pytest.skip(lacking())
        nothing = Forecast((), (), np.zeros((0, 3)), np.zeros(0))
        messages = {"forecast": forecast_message(TOKYO_GRID, nothing, "footprint", 0.0, latency, grades)}
    panels, shown = layout(typed=typed)["configById"], {}
    for panel in ("score", "latency"):
        for path in panels[f"Plot!{panel}"]["paths"]:
            topic, field = re.fullmatch(r"/rover_0/occworld/(\w+)\.(.+)", path["value"]).groups()
            shown[path["label"]] = pytest.approx(plotted(messages[topic], field))
            assert hasattr(messages[topic], "header") == (path["timestampMethod"] == "headerStamp")
    assert shown == {
        "IoU 1 s ahead": 0.02, "warp 1 s ahead": 0.002, "IoU 3 s ahead": 0.06, "warp 3 s ahead": 0.006,
        "voxelize": 1.0, "model": 2.0, "total": 3.0,
    }  # fmt: skip
    assert len(SCORE_COLUMNS) == 6 and len(LATENCY_STAGES) == 3


def plotted(message: object, path: str) -> float:
    """The one number that a path leads to in a message: docs.foxglove.dev, "Message path syntax"."""
    found = [message]
    for name, index, wanted, value in re.findall(r"(\w+)(?:\[(:|\d+)\])?(?:\{(\w+)==([\d.]+)\})?\.?", path):
        found = [getattr(node, name) for node in found]
        if index:
            found = [part for node in found for part in (node if index == ":" else [node[int(index)]])]
        if wanted:
            found = [part for part in found if getattr(part, wanted) == float(value)]
    (number,) = found
    return number


def test_a_bag_has_the_schema_of_every_message_that_it_shows(made: dict) -> None:
    topics, definitions = by_name("rover_0"), Definitions(_share)
    for kind in {topics[name].type for name in named(made)}:
        if kind.startswith("occ_msgs/") and lacking():
            continue
        text, hashed = definitions.of(kind)
        # Foxglove decodes by the schema in the file alone: everything nested must be there.
        alone = get_typestore(Stores.EMPTY)
        alone.register(get_types_from_msg(text, kind))
        assert alone.hash_rihs01(kind) == hashed


@pytest.mark.parametrize("typed", [True, False])
def test_another_robot_gets_its_own(typed: bool) -> None:
    text = json.dumps(layout("drone_3", typed))
    assert "/drone_3/lidar/points" in text and "rover_0" not in text

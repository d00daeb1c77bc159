"""What Foxglove opens with: `python -m occworld_infer.foxglove_layout [ROBOT] > docs/foxglove.json`. No ROS.

Scores and latencies are plotted by their names in the typed forecast, or by their places in plain numbers where
occ_msgs is not built (`--plain`).

Names of panels and of their settings are those that Foxglove's layout files have (`configById`, `layout`); a name that
it does not know it passes over in silence, so the tests hold every topic and every path of a plot against its type.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

from occ_core.grid import FRAME_PERIOD_S, FUTURE_FRAMES
from occ_core.topics import (
    ACTORS,
    CAMERAS,
    CITY_MARKERS,
    COSTMAP,
    DIAGNOSTICS,
    FORECAST,
    LATENCY,
    LIDAR,
    MARKERS,
    OCCUPANCY,
    PATH,
    PREDICTION,
    ROBOT_DESCRIPTION,
    SCORE,
    Topic,
    absolute,
    camera_info_topic,
    image_topic,
)
from occworld_infer.figures import LATENCY_STAGES, SCORE_COLUMNS

DEFAULT_ROBOT = "rover_0"
Panel = dict[str, Any]
_VOXEL_PIXELS, _POINT_PIXELS = 7, 2


def layout(robot: str = DEFAULT_ROBOT, typed: bool = True) -> dict[str, Any]:
    """The whole file, as plain data: the scene with everything in it, cameras, scores, latency, diagnostics.

    typed: figures are those of occ_msgs/OccupancyForecast.
    """
    cameras = {f"Image!{camera}": _image(camera, robot) for camera in CAMERAS}
    panels = {
        "3D!scene": _scene(robot),
        **cameras,
        "Plot!score": _scores(robot, typed),
        "Plot!latency": _latencies(robot, typed),
        "DiagnosticSummary!nodes": {
            "minLevel": 0,
            "pinnedIds": [],
            "hardwareIdFilter": "",
            "topicToRender": DIAGNOSTICS.name,
        },
    }
    rows = list(cameras)
    left = _split("column", "3D!scene", _grid(rows), 65)
    right = _split("column", "Plot!score", _split("column", "Plot!latency", "DiagnosticSummary!nodes", 45), 40)
    return {
        "configById": panels,
        "globalVariables": {},
        "userNodes": {},
        "playbackConfig": {"speed": 1},
        "layout": _split("row", left, right, 70),
    }


def _scene(robot: str) -> Panel:
    """Latched and large things hidden where others show the same: the clouds of every voxel, the city."""
    topics = {
        LIDAR: {"colorMode": "colormap", "colorField": "z", "colorMap": "turbo", "pointSize": _POINT_PIXELS},
        OCCUPANCY: {"colorMode": "colormap", "colorField": "label", "pointSize": _VOXEL_PIXELS},
        PREDICTION: {"colorMode": "colormap", "colorField": "horizon", "pointSize": _VOXEL_PIXELS},
        MARKERS: {},
        PATH: {"type": "line", "lineWidth": 0.25},
        COSTMAP: {"colorMode": "costmap"},
        ACTORS: {},
        CITY_MARKERS: {},
    }
    shown = {LIDAR, MARKERS, PATH, ACTORS, CITY_MARKERS}
    description = absolute(ROBOT_DESCRIPTION, robot)
    return {
        "cameraState": {
            "distance": 45, "perspective": True, "phi": 55, "thetaOffset": 90, "target": [0, 0, 0],
            "targetOffset": [0, 0, 0], "targetOrientation": [0, 0, 0, 1], "fovy": 45, "near": 0.5, "far": 5000,
        },
        "followMode": "follow-pose",
        "followTf": f"{robot}/base_footprint",
        "scene": {"backgroundColor": "#262a32"},
        "transforms": {},
        "topics": {absolute(topic, robot): {"visible": topic in shown} | more for topic, more in topics.items()},
        "layers": {
            "robot": {
                "layerId": "foxglove.Urdf", "instanceId": "robot", "label": robot, "visible": True,
                "sourceType": "topic", "topic": description, "framePrefix": f"{robot}/",
            },
        },
    }  # fmt: skip


def _image(camera: str, robot: str) -> Panel:
    mode = {
        "imageTopic": absolute(image_topic(camera), robot),
        "calibrationTopic": absolute(camera_info_topic(camera), robot),
    }
    return {"imageMode": mode, "foxglovePanelTitle": camera.replace("_", " ")}


def _scores(robot: str, typed: bool) -> Panel:
    """IoU beside warp at 1 s and at the last horizon."""
    paths = []
    for seconds in (1.0, FRAME_PERIOD_S * FUTURE_FRAMES):
        row = round(seconds / FRAME_PERIOD_S) - 1
        for name, label in (("iou", "IoU"), ("warp_iou", "warp")):
            plain = f"data[{row * len(SCORE_COLUMNS) + SCORE_COLUMNS.index(name)}]"  # see `figures`
            field = f"scores[:]{{horizon=={seconds:g}}}.{name}"
            paths.append(_path(robot, SCORE, plain, field, f"{label} {seconds:g} s ahead", typed))
    return _plot("IoU over the last 30 s", paths) | {"minYValue": 0, "maxYValue": 1}


def _latencies(robot: str, typed: bool) -> Panel:
    stages = [stage.removesuffix("_s") for stage in LATENCY_STAGES]
    paths = [_path(robot, LATENCY, f"data[{at}]", f"{stage}_seconds", stage, typed) for at, stage in enumerate(stages)]
    return _plot("seconds of a forecast", paths) | {"minYValue": 0}


def _plot(title: str, paths: list[Panel]) -> Panel:
    return {
        "foxglovePanelTitle": title, "paths": paths, "showLegend": True, "legendDisplay": "top", "isSynced": True,
        "xAxisVal": "timestamp", "showXAxisLabels": True, "showYAxisLabels": True, "showPlotValuesInLegend": True,
    }  # fmt: skip


def _path(robot: str, topic: Topic, plain: str, field: str, label: str, typed: bool) -> Panel:
    """A line by the forecasts' own stamps; plain numbers have none, and are plotted by when they were received."""
    value = f"{absolute(FORECAST, robot)}.{field}" if typed else f"{absolute(topic, robot)}.{plain}"
    method = "headerStamp" if typed else "receiveTime"
    return {"value": value, "label": label, "enabled": True, "timestampMethod": method}


def _grid(panels: list[str]) -> Any:
    """Two rows of three."""
    top, bottom = (_row(panels[start : start + 3]) for start in (0, 3))
    return _split("column", top, bottom, 50)


def _row(panels: list[str]) -> Any:
    if len(panels) == 1:
        return panels[0]
    return _split("row", panels[0], _row(panels[1:]), round(100 / len(panels), 1))


def _split(direction: str, first: Any, second: Any, percentage: float) -> Panel:
    return {"direction": direction, "first": first, "second": second, "splitPercentage": percentage}


def main() -> None:
    """Print the file for the robot on the command line."""
    parser = argparse.ArgumentParser(description="Print a layout for Foxglove.")
    parser.add_argument("robot", nargs="?", default=DEFAULT_ROBOT, help="namespace (default: %(default)s)")
    parser.add_argument("--plain", action="store_true", help="of figures without names, where occ_msgs is not built")
    args = parser.parse_args()
    print(json.dumps(layout(args.robot, typed=not args.plain), indent=1))


if __name__ == "__main__":
    main()

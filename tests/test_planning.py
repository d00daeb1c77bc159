"""Costmaps and path checks of the inference node, as a process with nothing but message packages gets them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from nav_msgs.msg import OccupancyGrid
from paths import ROOT
from test_inference_faults import Stage, staged  # noqa: F401

from occ_core.messages import from_cloud
from occ_core.stamps import from_stamp
from occ_core.topics import CHECK_PATH, CONTACT, COSTMAP, FORECAST, HORIZON_COSTMAPS, PREDICTION
from occ_ros.diagnostics import to_stamp
from occ_ros.qos import create_publisher, create_subscription, message_class
from occworld_infer.forecast_message import from_forecast_message, lacking

STRANGER = Path(__file__).with_name("map_listener.py")
WALL_Y = 6.0


class Planner:
    """Sends paths and keeps what comes of them."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.paths = create_publisher(stage.node, CHECK_PATH, "rover_0")
        self.answers: list = []
        create_subscription(stage.node, CONTACT, self.answers.append, "rover_0")

    def ask(self, stamp: float, points: list[tuple[float, float]], frame: str = "map") -> None:
        """A path whose header has a stamp, by which its answer is known."""
        path = message_class(CHECK_PATH.type)()
        path.header.frame_id, path.header.stamp = frame, to_stamp(stamp)
        for x, y in points:
            pose = message_class("geometry_msgs/msg/PoseStamped")()
            pose.pose.position.x, pose.pose.position.y, pose.pose.orientation.w = x, y, 1.0
            path.poses.append(pose)
        self.paths.publish(path)

    def answer(self, stamp: float) -> np.void:
        """The contact cloud's only point."""
        self._stage.until(lambda: any(abs(from_stamp(m.header.stamp) - stamp) < 1e-6 for m in self.answers))
        message = next(m for m in self.answers if abs(from_stamp(m.header.stamp) - stamp) < 1e-6)
        assert message.header.frame_id == "map"
        (point,) = from_cloud(message)
        return point


def test_nav2_gets_a_grid_from_a_process_that_knows_nothing_of_ours(staged, tmp_path: Path) -> None:  # noqa: F811
    stage = staged()
    stage.listening(stage.robot)
    topics = [f"/rover_0/{topic.name}" for topic in (COSTMAP, HORIZON_COSTMAPS[0.5], HORIZON_COSTMAPS[3.0])]
    command = [sys.executable, str(STRANGER), *topics]
    with (tmp_path / "grids.json").open("wb") as output:
        stranger = subprocess.Popen(command, stdout=output)
    try:
        stamp = 0.5
        while stranger.poll() is None:
            stage.drive(stamp, stamp + 0.9)
            stamp += 1.0
            assert stamp < 60, "no costmap has come"
    finally:
        stranger.kill()
    heard = json.loads((tmp_path / "grids.json").read_text())
    assert heard["ours"] == []
    for name, seconds in zip(topics, (0.5, 0.5, 3.0), strict=True):
        grid = heard["grids"][name]
        assert grid["frame"] == "map" and grid["resolution"] == pytest.approx(0.4)
        assert grid["orientation"] == [0, 0, 0, 1], "Nav2's static layer takes no turned grid"
        assert len(grid["data"]) == grid["width"] * grid["height"] and set(grid["data"]) <= set(range(-1, 101))
        cells = np.array(grid["data"]).reshape(grid["height"], grid["width"])
        x, y = grid["origin"][:2]
        rows = y + (np.argwhere(cells > 40)[:, 0] + 0.5) * 0.4
        assert len(rows) > 50 and np.abs(np.median(rows) - WALL_Y) < 0.5, "the wall runs along x, 6 m to the left"
        robot = cells[int((0 - y) / 0.4), int((2.0 * grid["stamp"] - x) / 0.4)]
        assert robot == 0, "nothing is where the robot is"
        assert (cells == -1).sum() > cells.size / 3, "nobody sees behind a wall"
        if name != topics[0]:
            assert grid["of"] - grid["stamp"] == pytest.approx(seconds)


def test_a_path_into_the_wall_meets_it_and_one_along_it_does_not(staged) -> None:  # noqa: F811
    stage = staged()
    stage.listening(stage.robot)
    planner = Planner(stage)
    stage.until(lambda: planner.paths.get_subscription_count())
    # Asked before there is a forecast: it is answered by the first one.
    planner.ask(2.001, [(4.0, 0.0), (4.0, 5.0), (4.0, 10.0)])
    stage.drive(0.5, 2.5)
    into = planner.answer(2.001)
    # From 0 at a metre per second: no wall within three seconds.
    assert (
        not into["contact"]
        and into["y"] == pytest.approx(3.0, abs=0.1)
        and into["time"] == pytest.approx(5.0, abs=0.01)
    )
    planner.ask(2.002, [(4.0, 4.0), (4.0, 10.0)])
    into = planner.answer(2.002)
    assert into["contact"] and into["probability"] > 0.4
    assert into["y"] == pytest.approx(WALL_Y - 0.7, abs=0.5)
    assert into["time"] == pytest.approx(2.0 + (WALL_Y - 0.7 - 4.0), abs=0.6)
    planner.ask(2.003, [(4.0, 0.0), (10.0, 0.0)])
    assert not planner.answer(2.003)["contact"]
    # What can't be checked is said, and nothing ends.
    planner.ask(2.004, [(4.0, 0.0), (10.0, 0.0)], frame="utm")
    planner.ask(200.0, [(4.0, 0.0), (10.0, 0.0)])
    planner.ask(2.005, [])
    stage.until(lambda: int(stage.diagnostics["forecast rover_0"][1].get("unusable messages", 0)) >= 3)
    assert len(planner.answers) == 3
    assert stage.close() == 0


def test_nothing_is_computed_while_nobody_listens(staged) -> None:  # noqa: F811
    stage = staged()
    stage.listening(stage.robot)
    stage.drive(0.5, 3.0)
    stage.forecast(3.0)  # the last one that is due
    stage.idle(0.5)
    heard: list[OccupancyGrid] = []
    create_subscription(stage.node, COSTMAP, heard.append, "rover_0", depth=1)
    stage.idle(1.0)
    assert not heard, "latched, and there is none yet"
    stage.drive(3.1, 4.6)
    stage.until(lambda: heard)
    # Who comes later gets the last one at once.
    later: list[OccupancyGrid] = []
    create_subscription(stage.node, COSTMAP, later.append, "rover_0", depth=1)
    stage.until(lambda: later)
    assert later[-1].header.stamp == heard[-1].header.stamp


@pytest.mark.skipif(bool(lacking()), reason=f"{lacking()}: scripts/build_messages.sh .venv")
def test_the_typed_forecast_has_the_same_voxels_as_the_cloud(staged) -> None:  # noqa: F811
    stage = staged()
    stage.listening(stage.robot)
    typed: list = []
    create_subscription(stage.node, FORECAST, typed.append, "rover_0")
    stage.drive(0.5, 3.0)
    stage.until(lambda: typed and stage.robot.heard[PREDICTION])
    stamps = {from_stamp(m.header.stamp): m for m in typed}
    cloud = next(m for m in stage.robot.heard[PREDICTION] if from_stamp(m.header.stamp) in stamps)
    message, points = stamps[from_stamp(cloud.header.stamp)], from_cloud(cloud)
    assert message.header.frame_id == "rover_0/base_footprint"
    found = from_forecast_message(message)
    assert len(found.voxels) == 6 and found.latency.total_s >= found.latency.model_s > 0
    for (horizon, voxels), odds in zip(found.voxels.items(), found.odds.values(), strict=True):
        there = points[np.isclose(points["horizon"], horizon)]
        centres = voxels.frame.apply(voxels.centres)
        assert np.allclose(centres, np.column_stack([there["x"], there["y"], there["z"]]), atol=1e-3)
        assert np.array_equal(voxels.labels, there["label"]) and np.allclose(odds, there["probability"])


def test_nav2_s_parameters_name_topics_and_frames_that_are_there() -> None:
    params = yaml.safe_load((ROOT / "launch/nav2_params.yaml").read_text())
    for name in ("local_costmap", "global_costmap"):
        values = params[name][name]["ros__parameters"]
        assert values["forecast"]["map_topic"] == f"/rover_0/{COSTMAP.name}"
        assert values["forecast"]["map_subscribe_transient_local"] and COSTMAP.latched
        # Nav2's StaticLayer::interpretValue: trinary makes everything below the threshold free.
        assert not values["trinary_costmap"] and 0 < values["lethal_cost_threshold"] < 100
        assert set(values["plugins"]) <= set(values)

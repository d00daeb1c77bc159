"""docs/own_data.md, followed from top to bottom: the page's files are written and its commands run in their order."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import rclpy
from own_robot import TOPICS, Shuttle
from pages import Command, commands, files_of
from paths import ROOT
from processes import PATIENCE_S
from rclpy.executors import SingleThreadedExecutor
from sensor_msgs.msg import PointCloud2

from occ_core.classes import Semantic
from occ_core.grid import TOKYO_GRID
from occ_core.session import find_sessions
from occ_core.split_file import read_split
from occ_core.topics import PREDICTION
from occ_ros.convert import from_cloud
from occ_ros.qos import create_subscription
from tokyo_occworld.cli.processes import node_environment

PAGE = ROOT / "docs/own_data.md"
PLAYER = Path(__file__).with_name("player.py")
HORIZONS = [0.5, 1.0, 1.5, 2.0, 2.5, 3.0]
DRIVES, SECONDS = 3, 6.0
# Numbers of the page that take an hour, and what a test takes instead.
SHORTER = {"--max-minutes 60": "--max-steps 8"}
# ROS 2's own programs, which are not on PyPI: what the test does instead.
RECORD, PLAY, STATIC_TRANSFORM = "ros2 bag record", "ros2 bag play", "ros2 run tf2_ros"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder as the root of a checkout, with the files that the page asks for and no bag yet."""
    for name in ("learner", "ros2_ws"):
        (tmp_path / name).symlink_to(ROOT / name)
    for name, text in files_of(PAGE).items():
        (tmp_path / name).write_text(text)
    return tmp_path


def environment() -> dict[str, str]:
    """A shell's, with this interpreter's programs first on the PATH."""
    return node_environment(bulky=True) | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_page_leads_from_a_foreign_bag_to_a_live_forecast(checkout: Path) -> None:
    said: dict[str, str] = {}
    forecasts: list[PointCloud2] = []
    node = ""
    for command in commands(PAGE):
        if command.text.startswith(RECORD):
            record(command, checkout)
        elif command.text.startswith(PLAY):
            forecasts = forecasts_of(node, checkout / command.words[3], checkout)
        elif "occworld_infer.nodes.inference" in command.text:
            node = command.text
        elif not command.text.startswith(STATIC_TRANSFORM):
            said[" ".join(command.words[1:3])] = run(command, checkout)

    sessions = find_sessions(checkout / "data/shuttle")
    assert [session.info.agent for session in sessions] == ["shuttle_0"] * DRIVES
    for session in sessions:
        assert len(session) >= 2 * SECONDS - 1
        assert session.image_path(session.numbers[0], "CAM_FRONT").exists()
        the_street_lies_about_the_robot(session.classes(session.numbers[-1]) > 0)
    assert "other 100%" in said["sessions info"]
    assert len(list((checkout / "out/shuttle").rglob("*.png"))) >= DRIVES
    split = read_split(checkout / "data/shuttle")
    assert split is not None and len(split.train) == 2 and len(split.val) == 1
    assert "tensors" in said["learner/train.py --config"]
    scores = json.loads((checkout / "out/shuttle_eval/metrics.json").read_text())["scores"]
    assert [row["horizon_s"] for row in scores["forecast"]] == HORIZONS
    # The right motion out of foreign odometry: knowing where the robot goes helps at every horizon.
    assert all(a["iou"] > b["iou"] for a, b in zip(scores["warp_oracle"], scores["copy"], strict=True))

    forecast = from_cloud(forecasts[-1])
    assert forecasts[-1].header.frame_id == "shuttle_0/base_footprint"
    assert sorted(float(h) for h in np.unique(forecast["horizon"])) == HORIZONS
    # The weights that it began with know what a pavement is; a few steps have not told them otherwise everywhere.
    near = forecast[forecast["horizon"] == 0.5]
    assert (near["label"] == Semantic.OTHER).mean() > 0.25, np.bincount(near["label"])
    the_street_lies_about_the_robot(occupied(near))


def run(command: Command, folder: Path) -> str:
    """What a command printed; it must succeed."""
    text = command.text
    for long, short in SHORTER.items():
        text = text.replace(long, short)
    done = subprocess.run(["bash", "-c", text], cwd=folder, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, f"{PAGE.name}:{command.line}: {text}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout + done.stderr


def record(command: Command, folder: Path) -> None:
    """Bags of the topics that the command names: the one that it writes, and two more drives beside it."""
    first = folder / command.words[command.words.index("-o") + 1]
    assert set(command.words[-len(TOPICS) :]) == set(TOPICS)
    shuttle = Shuttle(seed=5)
    for number in range(DRIVES):
        shuttle.write_bag(first.with_name(f"drive_{number + 1}"), SECONDS, number)


def forecasts_of(node: str, bag: Path, folder: Path) -> list[PointCloud2]:
    """The forecasts of the node while the bag is played; at least one comes, or what the node said is shown."""
    context = rclpy.Context()
    rclpy.init(context=context)
    listener = rclpy.create_node("rviz", context=context)
    heard: list[PointCloud2] = []
    create_subscription(listener, PREDICTION, heard.append, "shuttle_0")
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(listener)
    log = folder / "node.log"
    with log.open("wb") as output:
        command = ["bash", "-c", f"exec {node}"]
        started = subprocess.Popen(command, cwd=folder, env=environment(), stdout=output, stderr=output)
    play = [sys.executable, str(PLAYER), str(bag), "1.0", "1", "/velodyne_points", "/odometry/filtered"]
    player = subprocess.Popen(play, env=environment())
    try:
        end = time.monotonic() + PATIENCE_S
        while (player.poll() is None or not heard) and started.poll() is None and time.monotonic() < end:
            executor.spin_once(timeout_sec=0.2)
    finally:
        for process in (player, started):
            process.send_signal(signal.SIGINT)
            process.wait(PATIENCE_S)
        listener.destroy_node()
        context.try_shutdown()
    assert heard, log.read_text()[-3000:]
    return heard


def occupied(points: np.ndarray) -> np.ndarray:
    """The grid (X, Y, Z) bool of points (n,) with x, y, z; those that ego motion has carried out of it are left out."""
    grid = np.zeros(TOKYO_GRID.shape, bool)
    index, inside = TOKYO_GRID.index(np.column_stack([points[axis] for axis in "xyz"]))
    grid[tuple(index[inside].T)] = True
    return grid


def the_street_lies_about_the_robot(grid: np.ndarray) -> None:
    """grid: (X, Y, Z) bool, base_footprint. The road ahead is flat at z = 0, free above, between walls."""
    ground = int((0.0 - TOKYO_GRID.lower[2]) / TOKYO_GRID.voxel[2])
    ahead, lane = slice(110, 140), slice(96, 105)  # 4 to 16 m ahead, 1.8 m to each side
    assert grid[ahead, lane, ground].mean() > 0.5
    assert grid[ahead, lane, ground + 1 : ground + 4].mean() < 0.02
    assert not grid[:, :, :ground].any()
    for side in (slice(60, 85), slice(115, 140)):  # 6 to 16 m aside
        assert grid[:, side, ground + 1 : ground + 3].any(axis=(1, 2)).mean() > 0.3

"""`tokyo view` on recordings, on a bag, and on a robot that publishes over DDS; and what it refuses."""

from __future__ import annotations

import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import rclpy
from drive import Drive, write_bag
from geometry_msgs.msg import PoseStamped
from nav_msgs.msg import Odometry
from nav_msgs.msg import Path as PathMsg
from PIL import Image
from processes import PATIENCE_S
from rclpy.executors import SingleThreadedExecutor
from std_msgs.msg import Float32MultiArray
from street import SMALL_GRID, write_session

from occ_core.classes import COLOURS, Semantic
from occ_core.grid import TOKYO_GRID
from occ_core.poses import Pose
from occ_core.session import Session
from occ_core.topics import FORECAST, OCCUPANCY, ODOM, PATH, PREDICTION, SCORE
from occ_recorder.bags.config import GroundSource
from occ_recorder.bags.drive import Conversion
from occ_ros.convert import to_cloud, to_pose
from occ_ros.diagnostics import to_stamp
from occ_ros.qos import create_publisher
from occworld.forecaster import Forecast, Forecaster
from occworld.scene import ForecastFrame
from occworld_infer.forecast_message import Latency, forecast_message, lacking
from occworld_infer.grading import Grade
from occworld_infer.grids import grid_points
from occworld_infer.viewer.bag_snapshots import BagSnapshots
from occworld_infer.viewer.recorded import RecordedView
from occworld_infer.viewer.screenshot import Browser, find_chromium
from occworld_infer.viewer.session_snapshots import session_snapshots
from tokyo_occworld.cli.main import main

needs_chromium = pytest.mark.skipif(find_chromium() is None, reason="no Chromium here: apt install chromium")


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_session(tmp_path_factory.mktemp("sessions"), "rover_0", 3, frames=8)


# -- recordings


def test_a_session_is_forecast_from_and_graded(session: Path, untrained_checkpoint: Path) -> None:
    opened = Session.open(session)
    snapshots = list(session_snapshots([opened], Forecaster.load(untrained_checkpoint)))
    assert [snapshot.forecast is not None for snapshot in snapshots] == [False] * 3 + [True] * 5
    first = snapshots[3].forecast
    assert first.horizons_s == (0.5, 1.0, 1.5, 2.0, 2.5, 3.0) and first.seconds > 0
    assert len(first.voxels[0]) > 500
    assert [[g.horizon_s for g in m.grades] for m in snapshots[3:6]] == [[], [0.5], [0.5, 1.0]]
    assert all(0 < grade.iou < 1 and 0 < grade.warp_iou < 1 for grade in snapshots[-1].grades)
    assert (snapshots[0].occupancy.classes == opened.classes(1)).all()


def test_a_gap_in_a_session_begins_the_history_anew(tmp_path: Path, untrained_checkpoint: Path) -> None:
    folder = write_session(tmp_path, "rover_0", 3, frames=6, gap_after=3)
    snapshots = session_snapshots([Session.open(folder)], Forecaster.load(untrained_checkpoint))
    assert all(snapshot.forecast is None for snapshot in snapshots)


def test_drives_of_two_robots_are_shown_together(tmp_path: Path) -> None:
    folders = [write_session(tmp_path, robot, seed, 3, SMALL_GRID) for seed, robot in enumerate(("drone_0", "rover_0"))]
    snapshots = list(session_snapshots([Session.open(folder) for folder in folders], None))
    assert [snapshot.robot for snapshot in snapshots] == ["drone_0", "rover_0"] * 3
    assert [snapshot.stamp for snapshot in snapshots] == [0.0, 0.0, 0.5, 0.5, 1.0, 1.0]


def test_a_bag_is_shown_as_it_would_be_converted(tmp_path: Path) -> None:
    bag = write_bag(tmp_path / "bag", Drive(), Drive().messages(2.0))
    with BagSnapshots(bag, Conversion(ground=GroundSource.CONSTANT), None) as snapshots:
        assert snapshots.robots == ("rover_0",)
        made = list(snapshots)
    assert [snapshot.stamp for snapshot in made] == [0.0, 0.5, 1.0, 1.5, 2.0]
    for snapshot in made:
        wall = snapshot.occupancy.frame.apply(snapshot.occupancy.centres)
        assert np.allclose(wall[:, 0], 12.1, atol=0.5), "the wall stands where it stood"
        assert set(snapshot.pictures) == {"front"}
        assert np.allclose(snapshot.lidar[:, 0], 12.1, atol=0.05)


def test_what_could_be_read_of_a_damaged_session_is_shown_and_the_rest_said(
    session: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    damaged = Path(shutil.copytree(session, tmp_path / session.name))
    file = damaged / "occupancy/000003_occupancy.npz"
    file.write_bytes(file.read_bytes()[:100])
    with RecordedView(session_snapshots([Session.open(damaged)], None), ("rover_0",), None, 0) as view:
        with pytest.raises(ValueError, match="has 0.5 s, there is no time 3.0 s in it"):
            view.read_until(3.0)
    assert "000003_occupancy.npz" in view.problem
    assert "what was read until there is shown" in capsys.readouterr().err


# -- the command


def run(*arguments: object) -> int:
    """Exit code of `tokyo view ...`."""
    with pytest.raises(SystemExit) as ended:
        main(["view", *map(str, arguments)])
    return int(ended.value.code or 0)


@needs_chromium
def test_a_screenshot_is_written(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    session, picture = write_session(tmp_path, "rover_0", 1, 4, SMALL_GRID), tmp_path / "page.png"
    assert run(session, "--port", 0, "--screenshot", picture, "--at", 1, "--ahead", 0, "--colours", "class") == 0
    assert picture.read_bytes().startswith(b"\x89PNG") and picture.stat().st_size > 30_000
    assert str(picture) in capsys.readouterr().out
    pixels = np.asarray(Image.open(picture).convert("RGB")).reshape(-1, 3).astype(int)
    present = np.unique(Session.open(session).classes(3))  # at 1 s
    for colour in COLOURS[present[present > 0]]:
        assert (np.abs(pixels - colour).max(axis=1) < 14).sum() > 40, "a legend keeps its colours, small as they are"


def test_what_can_not_be_shown_is_one_sentence_and_exit_code_2(
    session: Path, tmp_path: Path, untrained_checkpoint: Path, capsys: pytest.CaptureFixture
) -> None:
    """Bad inputs: a folder that is nothing, one of sessions, an empty session, two of one robot, a text file, an empty
    bag, a robot that is not there, a city that is not there, checkpoints that are none or for another grid, a time
    after the end, a port in use, ports out of range, options of the other kind of source."""
    (tmp_path / "nothing").mkdir()
    (tmp_path / "note.txt").write_text("hello")
    (tmp_path / "bad.pth").write_text("no tensors")
    other = write_session(tmp_path / "other", "rover_0", 1, 2, SMALL_GRID)
    empty = write_session(tmp_path / "empty", "rover_0", 1, 1, SMALL_GRID)
    for file in empty.glob("occupancy/*"):
        file.unlink()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        refused = {
            (tmp_path / "nothing",): "nothing is not a bag",
            (tmp_path / "away",): "no recording",
            (tmp_path / "note.txt",): "not a bag",
            (session.parent,): f"holds 1 sessions: name one of them, such as {session}",
            (session, tmp_path / "nothing"): "is no session, it has no session.json",
            (empty,): "the session has no whole frame",
            (session, other): "one session of each robot",
            (session, "--robots", "drone_7"): "no robot 'drone_7' in it; there are rover_0",
            (session, "--city", tmp_path / "nothing"): "no imported city",
            (session, "--checkpoint", tmp_path / "away.pth"): "no checkpoint",
            (session, "--checkpoint", tmp_path / "bad.pth"): "bad.pth",
            (other, "--checkpoint", untrained_checkpoint): "made for another grid",
            (session, "--port", taken.getsockname()[1]): "Address already in use",
            (session, "--port", 70_000): "--port 70000",
            (session, "--port", 0, "--screenshot", tmp_path / "a.png", "--at", 99): "there is no time 99.0 s in it",
            ("--checkpoint", untrained_checkpoint): "--checkpoint goes with a recording",
        }
        for arguments, sentence in refused.items():
            assert run(*arguments) == 2, arguments
            error = capsys.readouterr().err
            assert sentence in error, (arguments, error)
            assert error.count("\n") == 1 and "Traceback" not in error, error


# -- a live run


class Robot:
    """A robot that publishes what the simulator and the inference node would."""

    def __init__(self, typed: bool) -> None:
        """typed: it publishes its forecasts as occ_msgs, else as clouds."""
        self._context = rclpy.Context()
        rclpy.init(context=self._context)
        self._node = rclpy.create_node("robot", context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self._typed = typed
        forecast = (FORECAST,) if typed else (PREDICTION, PATH, SCORE)
        self._topics = {t: create_publisher(self._node, t, "rover_0") for t in (ODOM, OCCUPANCY, *forecast)}
        self._stamp = 10.0

    def live(self) -> None:
        """Half a second of its life: it stands, sees 25 voxels, and forecasts 50."""
        self._stamp += 0.5
        odometry = Odometry()
        odometry.header.stamp = to_stamp(self._stamp)
        odometry.pose.pose = to_pose(Pose.from_xyz_rpy(np.array([7.0, 8.0, 0.4]), np.zeros(3)))
        self._topics[ODOM].publish(odometry)
        self._spin()
        classes = np.zeros(TOKYO_GRID.shape, np.uint8)
        classes[120:125, 100:105, 2] = Semantic.CAR
        self._cloud(OCCUPANCY, grid_points(TOKYO_GRID, classes, 0.0))
        self._spin()
        classes[120:125, 110:115, 2] = Semantic.BUILDING
        horizons = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0)
        if self._typed:
            frames = (ForecastFrame.of_dense(classes, (classes > 0).astype(np.float16)),) * len(horizons)
            said = Forecast(horizons, frames, np.zeros((6, 3)), np.zeros(6))
            grades = (Grade(1.0, 0.321, 0.123, 0.5, 0.4, 9),)
            message = forecast_message(TOKYO_GRID, said, "rover_0/base_footprint", self._stamp, Latency(), grades)
            self._topics[FORECAST].publish(message)
            self._spin()
            return
        self._cloud(PREDICTION, np.concatenate([grid_points(TOKYO_GRID, classes, h) for h in horizons]))
        path = PathMsg()
        path.header.stamp = to_stamp(self._stamp)
        for horizon in horizons:
            step = PoseStamped()
            step.header.stamp, step.pose = to_stamp(self._stamp + horizon), to_pose(Pose.identity())
            path.poses.append(step)
        self._topics[PATH].publish(path)
        self._topics[SCORE].publish(Float32MultiArray(data=[1.0, 0.321, 0.123, 0.5, 0.4, 9.0]))
        self._spin()

    def _cloud(self, topic, points: np.ndarray) -> None:
        self._topics[topic].publish(to_cloud(points, "rover_0/base_footprint", self._stamp))

    def _spin(self) -> None:
        """Let messages go out one after the other, as they do in life."""
        for _ in range(3):
            self._executor.spin_once(timeout_sec=0.03)

    def close(self) -> None:
        self._node.destroy_node()
        self._context.try_shutdown()


@needs_chromium
@pytest.mark.parametrize(
    "typed", [False, pytest.param(True, marks=pytest.mark.skipif(bool(lacking()), reason=lacking()))]
)
def test_a_live_run_is_shown_and_graded(tmp_path: Path, typed: bool) -> None:
    log = tmp_path / "view.log"
    command = [sys.executable, "-m", "tokyo_occworld.cli.main", "view", "--robots", "rover_0", "--port", "0"]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)
    robot = Robot(typed)
    try:
        deadline = time.monotonic() + PATIENCE_S
        while not (found := re.search(r"look at (http://\S+)", log.read_text())):
            assert process.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)
        with Browser(found[1], 900, 700) as browser:
            wanted = ("Left: what rover_0 sees now", "made 1 s before: 50.0%", "1 s ago", "32.1%", "12.3%")
            text = ""
            while not all(part in text for part in wanted):
                said = f"{text}\n--- and the command:\n{log.read_text()}"
                assert process.poll() is None and time.monotonic() < deadline, said
                robot.live()
                time.sleep(0.3)  # about as fast as in life: a browser that draws in software has to keep up
                text = browser.evaluate("document.body ? document.body.innerText : ''")
    finally:
        robot.close()
        process.send_signal(signal.SIGINT)
        code = process.wait(PATIENCE_S)
    assert code == 0, log.read_text()
    read = "typed" if typed else "from clouds, since nobody publishes /rover_0/occworld/forecast"
    assert f"forecasts of rover_0 are read {read}" in log.read_text()

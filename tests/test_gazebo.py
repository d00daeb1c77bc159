"""Gazebo itself, headless: what was right when it was seen, as assertions; and one report that can be sent back.

Runs where `gz sim`, ros_gz_sim and ros_gz_bridge are installed and sourced; elsewhere it skips and says so. On Ubuntu
24.04 with ROS 2 Jazzy (docs/gazebo.md has the set-up):

    sudo apt install ros-jazzy-ros-gz
    source /opt/ros/jazzy/setup.bash && source ros2_ws/install/setup.bash
    GAZEBO_COMPARE=out/gazebo python -m pytest -m gazebo tests/test_gazebo.py; cat out/gazebo/report.md
"""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import signal
import subprocess
from pathlib import Path

import numpy as np
import pytest
from gazebo_facts import Report, check_drive, check_rates, check_shifts, driven
from hearing import heard, spec
from isolation import free_domain
from paths import TOKYO

from occ_core.poses import Pose
from occ_core.session import find_sessions
from occ_core.topics import ACTORS, CLOCK, CMD_VEL, DIAGNOSTICS, ROBOT_DESCRIPTION, SENSOR_TOPICS, TF, TF_STATIC
from tokyo_sim.engine.simulator import Fleet
from tokyo_sim.gazebo.installation import GazeboMissing, require_gazebo
from tokyo_sim.gazebo.robot_models import spawns

HAS_TF = importlib.util.find_spec("tf2_msgs") is not None
ROBOTS = ("drone_0", "rover_0")


def missing() -> str:
    """Why Gazebo can't run here, in one sentence; '' where it can."""
    try:
        require_gazebo()
    except GazeboMissing as error:
        return str(error)
    return ""


pytestmark = [pytest.mark.gazebo, pytest.mark.timeout(900), pytest.mark.skipif(bool(missing()), reason=missing())]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory):
    """Rows from all tests; printed at the end, and left as report.md in the folder that $GAZEBO_COMPARE names."""
    report = Report()
    yield report
    gz = subprocess.run(["gz", "sim", "--versions"], capture_output=True, text=True)
    heading = f"Gazebo {gz.stdout.strip()}, ROS {os.environ.get('ROS_DISTRO', '?')}, {platform.platform()}"
    folder = Path(os.environ.get("GAZEBO_COMPARE") or tmp_path_factory.mktemp("report"))
    folder.mkdir(parents=True, exist_ok=True)
    text = f"# {heading}\n\n{report.markdown()}"
    (folder / "report.md").write_text(text)
    print(f"\n{text}\n(also in {folder / 'report.md'})")


@pytest.fixture(scope="module")
def drive(city: Path, tmp_path_factory: pytest.TempPathFactory):
    """Both robots for 30 simulated seconds, recorded: what a stranger heard, and the sessions."""
    folder = tmp_path_factory.mktemp("gazebo")
    sessions, log = folder / "sessions", (folder / "log.txt").open("wb")
    command = [
        TOKYO, "up", "--city", str(city), "--sim", "gazebo", "--actors", "0", "--drone-altitude", "12",
        "--image-width", "320", "--image-height", "180", "--record", "--output", str(sessions),
    ]  # fmt: skip
    domain = {"ROS_DOMAIN_ID": str(free_domain()), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in domain.items():
            patch.setenv(name, value)
        process = subprocess.Popen(command, start_new_session=True, stdout=log, stderr=log)
        world = [CLOCK, ACTORS, DIAGNOSTICS, *((TF, TF_STATIC) if HAS_TF else ())]
        topics = [spec(t) for t in world]
        topics += [spec(t, robot) for robot in ROBOTS for t in (*SENSOR_TOPICS, CMD_VEL, ROBOT_DESCRIPTION)]
        try:
            result = heard(30.0, topics)
        finally:
            process.send_signal(signal.SIGINT)
            code = process.wait(90)
    text = (folder / "log.txt").read_text(errors="replace")
    assert code == 0, text
    return result, sessions, text


def test_every_topic_is_there(drive, report: Report) -> None:
    result, _, log = drive
    silent = [name for name, stamps in result["stamps"].items() if not stamps]
    report.most("topics that are silent", len(silent), 0)
    assert silent == [], log


def test_stamps_are_on_their_beat(drive, report: Report) -> None:
    before = len(report.rows)
    check_rates(drive[0]["said"], ROBOTS, report)
    assert all(good for *_, good in report.rows[before:])


COMPLAINTS = (
    "will be ignored",  # gz-physics, of a mesh without normals
    "Missing material",
    "Failed to load",
    "Failed to find",  # a joint that a system wants
    "not defined in SDF",
    "Segmentation fault",
)


def test_gazebo_complains_of_none_of_our_files(drive, report: Report) -> None:
    lines = [line for line in drive[2].splitlines() if any(words in line for words in COMPLAINTS)]
    visual = [line for line in lines if "_collision.obj" not in line or "Missing material" not in line]
    report.most("complaints of our files in Gazebo's log", len(visual), 0)
    assert visual == []


def test_robots_driven_by_hand_do_what_was_seen(city: Path, report: Report, tmp_path: Path) -> None:
    """Speeds, the tightest turn, straight flight, no fall at the start, the clouds' layout, turning rates."""
    log = tmp_path / "log.txt"
    command = [
        TOKYO,
        "up",
        "--city",
        str(city),
        "--sim",
        "gazebo",
        "--actors",
        "0",
        "--no-missions",
        "--camera-rate",
        "0",
    ]
    with log.open("wb") as file:
        process = subprocess.Popen(command, start_new_session=True, stdout=file, stderr=file)
        try:
            heard_of = driven()
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(90)
    poses = {
        robot.name: Pose.from_xyz_rpy(np.array(robot.xyz), np.array([0, 0, robot.yaw]))
        for robot in spawns(city, Fleet(1, 1, 0, cameras=False), 1, 0.0)
    }
    before = len(report.rows)
    check_drive(heard_of, poses, report)
    wrong = [row for row in report.rows[before:] if not row[3]]
    assert not wrong, log.read_text(errors="replace")[-3000:]


@pytest.mark.parametrize("robot", ROBOTS)
@pytest.mark.parametrize("topic", SENSOR_TOPICS, ids=lambda topic: topic.name)
def test_a_sensor_has_its_rate(drive, robot: str, topic, report: Report) -> None:
    stamps = np.array(drive[0]["stamps"][f"/{robot}/{topic.name}"])
    settled = stamps[stamps > stamps.max() - 10]
    rate = (len(settled) - 1) / np.ptp(settled)
    report.near(f"/{robot}/{topic.name}, Hz", rate, topic.rate_hz, 0.15 * topic.rate_hz)
    assert rate == pytest.approx(topic.rate_hz, rel=0.15)


def test_the_actors_have_their_rate(drive) -> None:
    stamps = np.array(drive[0]["stamps"]["/city/actors"])
    assert (len(stamps) - 1) / np.ptp(stamps) == pytest.approx(ACTORS.rate_hz, rel=0.15)


@pytest.mark.parametrize("robot", ROBOTS)
def test_ranges_and_images_agree_with_the_embedded_engine(
    drive, robot: str, city: Path, tmp_path: Path, report: Report
) -> None:
    """The pictures, and the figures, are left in the folder that $GAZEBO_COMPARE names."""
    (session,) = (session for session in find_sessions(drive[1]) if session.info.agent == robot)
    assert len(session) >= 30
    out = Path(os.environ.get("GAZEBO_COMPARE", tmp_path)) / robot
    command = [TOKYO, "compare", str(session.folder), "--city", str(city), "--out", str(out), "--frames", "8"]
    result = subprocess.run(command, capture_output=True, text=True)
    report.most(f"{robot}: `tokyo compare`, exit code", result.returncode, 0)
    assert result.returncode == 0, result.stdout + result.stderr
    frames = json.loads((out / "comparison.json").read_text())["frames"]
    before = len(report.rows)
    check_shifts([(view["shift"], view["blank"]) for frame in frames for view in frame["views"]], report)
    assert all(good for *_, good in report.rows[before:])


@pytest.mark.parametrize("robot", ROBOTS)
def test_a_robot_moves_as_its_mission_commands(drive, robot: str) -> None:
    (session,) = (session for session in find_sessions(drive[1]) if session.info.agent == robot)
    states = [session.state(number) for number in session.numbers]
    path = np.array([state.base_link.position for state in states])
    assert np.linalg.norm(np.diff(path, axis=0), axis=1).sum() > 20
    assert max(np.abs(state.base_link.rpy()[:2]).max() for state in states) < 0.6
    if robot.startswith("drone"):
        assert np.ptp(path[len(path) // 3 :, 2]) < 6

"""The launch files, run by launch and launch_ros themselves where they are installed, as in a ROS 2 installation."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import pytest
import yaml
from hearing import heard, spec
from paths import ROOT
from processes import PATIENCE_S, command_line, descendants

from occ_core.session import find_sessions
from occ_core.topics import CITY_MARKERS, CLOCK, IMU, LIDAR, MARKERS, ODOM, PATH, PREDICTION
from tokyo_sim.bringup import Arguments, nodes

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("launch_ros") is None, reason="launch and launch_ros come with a ROS 2 installation only"
)
CITY_LAUNCH = ROOT / "ros2_ws/src/tokyo_sim/launch/city.launch.py"
LIVE_LAUNCH = ROOT / "launch/live.launch.py"
QUICK = ["image_width:=64", "image_height:=36", "actors:=5", "camera_rate:=0"]


def install(prefix: Path, package: str, **executables: str) -> None:
    """A package of an ament prefix, with executables of these shell commands."""
    index = prefix / "share/ament_index/resource_index/packages"
    index.mkdir(parents=True, exist_ok=True)
    (index / package).touch()
    for name, command in executables.items():
        path = prefix / "lib" / package / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{command}\n")
        path.chmod(0o755)


@pytest.fixture
def prefix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What colcon installs of our packages."""
    folder = tmp_path / "install"
    every = [
        *nodes(Arguments(sim="embedded", record=True, predict="some.pth", view=True)),
        *nodes(Arguments(sim="gazebo")),
    ]
    for node in every:
        install(folder, node.package, **{node.executable: f'exec {sys.executable} -m {node.module} "$@"'})
    (folder / "share/tokyo_sim/launch").mkdir(parents=True)
    (folder / "share/tokyo_sim/launch/city.launch.py").symlink_to(CITY_LAUNCH)
    monkeypatch.setenv("AMENT_PREFIX_PATH", f"{folder}:{os.environ.get('AMENT_PREFIX_PATH', sys.prefix)}")
    return folder


def launch_command(file: Path, *arguments: str) -> list[str]:
    return [sys.executable, str(Path(__file__).with_name("launching.py")), str(file), *arguments]


@pytest.fixture
def launch(prefix: Path, tmp_path: Path):
    """Starts a launch file; whatever runs at the end is stopped."""
    running = []

    def start(file: Path, *arguments: str) -> subprocess.Popen:
        log = (tmp_path / "launch.txt").open("wb")
        process = subprocess.Popen(
            launch_command(file, *arguments), start_new_session=True, stdout=log, stderr=subprocess.STDOUT
        )
        running.append(process)
        return process

    yield start
    for process in running:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
            process.wait(PATIENCE_S)


def gone(pids: list[int], seconds: float = PATIENCE_S) -> bool:
    deadline = time.monotonic() + seconds
    while any(command_line(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.2)
    return not any(command_line(pid) for pid in pids)


def test_the_city_starts_and_records_and_stops_on_ctrl_c(
    launch: Callable[..., subprocess.Popen], city: Path, tmp_path: Path
) -> None:
    sessions = tmp_path / "sessions"
    process = launch(CITY_LAUNCH, f"city:={city}", "sim:=embedded", *QUICK, "record:=true", f"output:={sessions}")
    result = heard(5.0, [spec(CLOCK), *(spec(topic, "rover_0") for topic in (LIDAR, IMU, ODOM))])
    assert all(result["stamps"].values())
    children = descendants(process.pid)
    os.kill(process.pid, signal.SIGINT)
    assert process.wait(PATIENCE_S) == 0, (tmp_path / "launch.txt").read_text()
    assert gone(children)
    assert all(len(session) >= 2 for session in find_sessions(sessions))


def test_a_node_that_is_killed_stops_the_launch(
    launch: Callable[..., subprocess.Popen], city: Path, tmp_path: Path
) -> None:
    process = launch(CITY_LAUNCH, f"city:={city}", "sim:=embedded", *QUICK)
    heard(0.5, [spec(CLOCK)])
    children = descendants(process.pid)
    os.kill(next(pid for pid in children if b"tokyo_sim.nodes.simulator" in command_line(pid)), signal.SIGKILL)
    process.wait(PATIENCE_S)
    text = (tmp_path / "launch.txt").read_text()
    assert "process[simulator-1] was required: shutting down launched system" in text and "exit code -9" in text
    assert gone(children)


def test_every_argument_of_the_bringup_is_shown_with_its_description(prefix: Path) -> None:
    from launch import LaunchContext
    from launch.launch_description_sources import get_launch_description_from_python_launch_file

    description = get_launch_description_from_python_launch_file(str(CITY_LAUNCH))
    shown = {argument.name: argument for argument in description.get_launch_arguments()}
    assert list(shown) == [field.name for field in fields(Arguments)]
    for field in fields(Arguments):
        argument = field.metadata["argument"]
        assert shown[field.name].description.startswith(argument.help)
        assert tuple(shown[field.name].choices or ()) == argument.choices
        default = "".join(part.perform(LaunchContext()) for part in shown[field.name].default_value)
        assert default == (str(field.default).lower() if isinstance(field.default, bool) else str(field.default))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["drnes:=2"], "there is no launch argument 'drnes', 'drones' is the nearest"),
        (["sim:=ignition"], "sim"),
        (["record:=yes"], "'record' is 'yes', true or false is wanted"),
        (["rovers:=two"], "'rovers' is 'two', a number is wanted"),
        (["rovers:=-1"], "can't be negative"),
        (["city:=/nowhere"], "/nowhere is no imported city"),
        (["sim:=gazebo"], "no `gz` on the PATH"),
        (["sim:=gazebo", "real_time_factor:=0.5"], "real_time_factor is for the embedded engine"),
    ],
)
def test_wrong_arguments_are_refused_with_a_sentence(
    prefix: Path, city: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: str
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    command = launch_command(CITY_LAUNCH, f"city:={city}", *arguments)
    result = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)
    assert result.returncode != 0 and words in result.stdout + result.stderr


def actions_of(arguments: Arguments) -> tuple[list, list]:
    """The nodes that the launch file makes of arguments, and its inclusions."""
    from launch import LaunchContext
    from launch.actions import IncludeLaunchDescription, OpaqueFunction
    from launch.launch_description_sources import get_launch_description_from_python_launch_file
    from launch_ros.actions import Node

    description = get_launch_description_from_python_launch_file(str(CITY_LAUNCH))
    context = LaunchContext()
    context.launch_configurations.update({f.name: str(getattr(arguments, f.name)) for f in fields(Arguments)})
    (start,) = (entity for entity in description.entities if isinstance(entity, OpaqueFunction))
    actions = start.execute(context)
    included = [dict(action.launch_arguments) for action in actions if isinstance(action, IncludeLaunchDescription)]
    return [action for action in actions if isinstance(action, Node)], included


def test_gazebo_comes_with_its_launch_file_bridge_robots_adapter_and_traffic(
    prefix: Path, city: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(prefix, "ros_gz_sim", create="true")
    install(prefix, "ros_gz_bridge", parameter_bridge="true")
    (prefix / "share/ros_gz_sim/launch").mkdir(parents=True)
    (prefix / "share/ros_gz_sim/launch/gz_sim.launch.py").write_text("")
    (tmp_path / "gz").write_text("#!/bin/sh\n")
    (tmp_path / "gz").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    started, included = actions_of(Arguments(city=str(city), sim="gazebo", drones=1, rovers=2))
    assert included == [
        {"gz_args": f"-r -s --headless-rendering {city.resolve() / 'city.sdf'}", "on_exit_shutdown": "true"}
    ]
    assert [(node.node_package, node.node_executable) for node in started] == [
        ("ros_gz_bridge", "parameter_bridge"),
        *[("ros_gz_sim", "create")] * 3,
        ("tokyo_sim", "gazebo_adapter"),
        ("tokyo_sim", "gazebo_traffic"),
        ("tokyo_sim", "mission"),
    ]


@pytest.fixture
def rviz(prefix: Path, tmp_path: Path) -> Path:
    """RViz stood in for: the file that its `-d` names is copied here, then it sleeps until it is stopped."""
    opened = tmp_path / "opened.yaml"
    code = (
        "import os, shutil, signal, sys; part = sys.argv[1] + '.part'; shutil.copy(sys.argv[3], part); "
        "os.replace(part, sys.argv[1]); signal.pause()"
    )
    install(prefix, "rviz2", rviz2=f'exec {sys.executable} -c "{code}" {opened} "$@"')
    (prefix / "share/occworld_infer").mkdir(parents=True)
    (prefix / "share/occworld_infer/rviz").symlink_to(ROOT / "ros2_ws/src/occworld_infer/rviz")
    return opened


def test_the_live_launch_file_adds_the_forecast_and_rviz_to_the_same_arguments(prefix: Path, rviz: Path) -> None:
    from launch.launch_description_sources import get_launch_description_from_python_launch_file

    description = get_launch_description_from_python_launch_file(str(LIVE_LAUNCH))
    shown = {argument.name for argument in description.get_launch_arguments()}
    assert shown >= {"checkpoint", "rviz", *(f.name for f in fields(Arguments))} - {"predict"}


def test_the_whole_system_forecasts_and_rviz_shows_its_robots(
    launch: Callable[..., subprocess.Popen], city: Path, rviz: Path, untrained_checkpoint: Path, tmp_path: Path
) -> None:
    process = launch(
        LIVE_LAUNCH, f"checkpoint:={untrained_checkpoint}", f"city:={city}", "sim:=embedded", "drones:=0", "actors:=0",
        "camera_rate:=0", "real_time_factor:=0.5",
    )  # fmt: skip
    topics, missing, clock = {spec(CITY_MARKERS), *(spec(t, "rover_0") for t in (PREDICTION, PATH, MARKERS))}, True, 0.0
    deadline = time.monotonic() + PATIENCE_S
    while missing and time.monotonic() < deadline:
        result = heard(clock + 3.0, [spec(CLOCK), *topics])
        clock, missing = result["clock"], not all(result["stamps"].values())
    assert not missing, f"{result['stamps']}\n{(tmp_path / 'launch.txt').read_text()}"
    shown = yaml.safe_load(rviz.read_text())["Visualization Manager"]["Displays"]
    assert [display["Name"] for display in shown if "Displays" in display] == ["rover_0"]
    children = descendants(process.pid)
    (file,) = {part.decode() for pid in children for part in command_line(pid).split(b"\0") if part.endswith(b".rviz")}
    os.kill(process.pid, signal.SIGINT)
    assert process.wait(PATIENCE_S) == 0, (tmp_path / "launch.txt").read_text()
    assert gone(children)
    assert not Path(file).exists(), "a file made for other robots than the installed one's is taken away"

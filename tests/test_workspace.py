"""The workspace as ROS users build it, and the launch file as they read it."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest
from paths import ROOT

from tokyo_sim.bringup import Arguments, nodes

PACKAGES = ("occ_core", "occ_ros", "tokyo_city", "tokyo_sim", "occ_recorder", "occworld_infer", "tokyo_occworld")
COLCON = Path(sys.executable).with_name("colcon")


@pytest.mark.skipif(not COLCON.exists(), reason="no colcon here: make dev")
def test_colcon_builds_every_package_with_its_executables_and_data(tmp_path: Path) -> None:
    workspace = tmp_path / "ws"
    # The wheels' CMake targets name folders of the machine that built them: scripts/build_messages.sh mends that.
    ignore = shutil.ignore_patterns("__pycache__", "*.egg-info", "build", "install", "log", "occ_msgs")
    shutil.copytree(ROOT / "ros2_ws/src", workspace / "src", ignore=ignore)
    environment = os.environ | {"PATH": f"{COLCON.parent}:{os.environ['PATH']}"}
    built = subprocess.run([str(COLCON), "build"], cwd=workspace, env=environment, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    for package in PACKAGES:
        install = workspace / "install" / package
        assert (install / "share/ament_index/resource_index/packages" / package).is_file()
        assert (install / "share" / package / "package.xml").is_file()
    for spec in nodes(Arguments(record=True, predict="some.pth", sim="embedded")):
        assert (workspace / "install" / spec.package / "lib" / spec.package / spec.executable).is_file()
    share = workspace / "install/tokyo_sim/share/tokyo_sim"
    for name in ("launch/city.launch.py", "urdf/rover.urdf.xacro", "config/sensors.yaml", "config/fastdds.xml"):
        assert (share / name).is_file()


@pytest.mark.skipif(
    importlib.util.find_spec("launch_ros") is None, reason="launch and launch_ros come with a ROS 2 installation only"
)
def test_the_launch_file_starts_the_nodes_of_the_bringup(city: Path) -> None:
    from launch import LaunchContext, LaunchDescription
    from launch.actions import DeclareLaunchArgument, OpaqueFunction
    from launch_ros.actions import Node

    location = ROOT / "ros2_ws/src/tokyo_sim/launch/city.launch.py"
    module_spec = importlib.util.spec_from_file_location("city_launch", location)
    module = importlib.util.module_from_spec(module_spec)
    module_spec.loader.exec_module(module)
    description: LaunchDescription = module.generate_launch_description()
    declared = {e.name: e for e in description.entities if isinstance(e, DeclareLaunchArgument)}
    assert set(declared) == {f.name for f in fields(Arguments)}
    assert all(argument.description for argument in declared.values())
    context = LaunchContext()
    context.launch_configurations.update(
        {name: "".join(t.text for t in argument.default_value) for name, argument in declared.items()}
        | {"city": str(city), "sim": "embedded", "record": "true"}
    )
    start = next(e for e in description.entities if isinstance(e, OpaqueFunction))
    started = [action for action in start.execute(context) if isinstance(action, Node)]
    wanted = nodes(Arguments(city=str(city), sim="embedded", record=True))
    assert [(a.node_package, a.node_executable) for a in started] == [(n.package, n.executable) for n in wanted]

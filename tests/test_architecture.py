"""Imports between packages go one way, and what must do without ROS or a simulator does."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from paths import ROOT

from bench.structure import imported

SOURCES = {
    "occ_core": ROOT / "ros2_ws/src/occ_core/occ_core",
    "occ_ros": ROOT / "ros2_ws/src/occ_ros/occ_ros",
    "tokyo_city": ROOT / "ros2_ws/src/tokyo_city/tokyo_city",
    "tokyo_sim": ROOT / "ros2_ws/src/tokyo_sim/tokyo_sim",
    "occ_recorder": ROOT / "ros2_ws/src/occ_recorder/occ_recorder",
    "occworld": ROOT / "learner/occworld",
    "occworld_infer": ROOT / "ros2_ws/src/occworld_infer/occworld_infer",
    "tokyo_occworld": ROOT / "ros2_ws/src/tokyo_occworld/tokyo_occworld",
}
BELOW = {
    "occ_core": set(),
    "occ_ros": {"occ_core"},
    "tokyo_city": {"occ_core"},
    "tokyo_sim": {"occ_core", "occ_ros", "tokyo_city"},
    "occ_recorder": {"occ_core", "occ_ros"},
    "occworld": {"occ_core", "occ_recorder"},
    "occworld_infer": {"occ_core", "occ_ros", "occ_recorder", "occworld"},
    "tokyo_occworld": {"occ_core", "occ_ros", "tokyo_city", "tokyo_sim", "occ_recorder", "occworld", "occworld_infer"},
}
FORBIDDEN = {
    "tokyo_city": ("rclpy", "mujoco", "moderngl", "embreex", "rosgraph_msgs", "sensor_msgs"),
    "occworld": ("rclpy", "mujoco", "moderngl", "embreex", "sensor_msgs"),
    "occ_core": ("rclpy", "mujoco", "moderngl", "embreex", "torch", "sensor_msgs"),
}


@pytest.mark.parametrize("package", SOURCES)
def test_a_package_imports_only_what_is_below_it(package: str) -> None:
    modules = sorted(SOURCES[package].rglob("*.py"))
    assert modules
    up = {
        f"{module.relative_to(ROOT)} imports {name}"
        for module in modules
        for name in imported(module) & set(SOURCES) - {package} - BELOW[package]
    }
    assert not up


@pytest.mark.parametrize("package", FORBIDDEN)
def test_what_needs_no_ros_and_no_simulator_imports_none(package: str) -> None:
    found = {
        f"{module.relative_to(ROOT)} imports {name}"
        for module in SOURCES[package].rglob("*.py")
        for name in imported(module) & set(FORBIDDEN[package])
    }
    assert not found


def test_importing_a_city_loads_no_ros_no_mujoco_and_no_opengl() -> None:
    program = (
        "import sys, tokyo_city.world.city, tokyo_city.download.plateau, tokyo_city.sample_city;"
        "loaded = {m.split('.')[0] for m in sys.modules};"
        "print(sorted(loaded & {'rclpy', 'mujoco', 'moderngl', 'embreex', 'tokyo_sim'}))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


STAMPS = """
import importlib, sys
for name in sys.argv[1:]:
    for loop in vars(importlib.import_module(name)).values():
        if getattr(loop, "py_func", None) and loop.py_func.__module__ == name and hasattr(loop._cache, "_cache_file"):
            print(name, loop.py_func.__name__, loop._cache._cache_file._source_stamp)
"""


def test_what_is_compiled_is_found_again_by_every_process() -> None:
    """A stamp that differs between processes, by a hash or an address, would have each of them compile anew."""
    modules = [
        ".".join(path.relative_to(folder.parent).with_suffix("").parts)
        for folder in SOURCES.values()
        for path in sorted(folder.rglob("*.py"))
        if "from occ_core.loops import" in path.read_text()
    ]
    stamps = [
        subprocess.run(
            [sys.executable, "-c", STAMPS, *modules], capture_output=True, text=True, check=True,
            env=os.environ | {"PYTHONHASHSEED": seed},
        ).stdout.splitlines()
        for seed in ("1", "2")
    ]  # fmt: skip
    assert stamps[0] == stamps[1] and len(stamps[0]) > 100


HEAVY = {
    "torch", "lightning", "matplotlib", "networkx", "trimesh", "mujoco", "skimage", "rclpy", "numba", "moderngl",
    "scipy.spatial", "scipy.ndimage", "scipy.sparse",
}  # fmt: skip


@pytest.mark.parametrize(
    ("module", "allowed"),
    [
        ("train", set()),
        ("tokyo_occworld.cli.main", set()),
        ("tokyo_occworld.cli.processes", set()),
        ("tokyo_occworld.cli.clock", {"rclpy"}),
        ("occ_recorder.nodes.recorder", {"rclpy", "numba"}),
        ("occ_recorder.nodes.bag", {"rclpy"}),
        ("tokyo_sim.nodes.mission", {"rclpy", "numba"}),
        ("tokyo_sim.nodes.simulator", {"rclpy", "numba", "mujoco"}),
        ("occworld_infer.nodes.inference", {"rclpy", "numba"}),
        ("occworld_infer.nodes.overlay", {"rclpy", "numba"}),
    ],
)
def test_a_program_loads_no_heavy_library_that_it_may_not_need(module: str, allowed: set[str]) -> None:
    program = f"import sys, {module}; print(sorted(set(sys.modules) & {HEAVY - allowed!r}))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT / "learner"
    )
    assert done.stdout.strip() == "[]"

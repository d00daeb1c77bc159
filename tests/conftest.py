"""Whole-system fixtures: a small city, and ROS 2 kept to this machine with a domain of its own for each test."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from places import ROOT, TOKYO


@pytest.fixture(autouse=True)
def ros_environment(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """Processes of one test find each other, on loopback, and nobody else."""
    # 101 is the highest domain whose ports stay below Linux's ephemeral range.
    domain = 1 + (os.getpid() * 7 + hash(request.node.nodeid)) % 100
    monkeypatch.setenv("ROS_DOMAIN_ID", str(domain))
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    monkeypatch.setenv("ROS_LOG_DIR", str(tmp_path / "ros_log"))


@pytest.fixture(scope="session")
def city(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The smallest sample city, imported by the command line."""
    folder = tmp_path_factory.mktemp("city") / "city"
    from tokyo_city.sample_city import write_sample_city

    udx = write_sample_city(folder.with_name("citygml"), seed=3, size_m=320.0)
    subprocess.run([TOKYO, "city", str(udx), "--out", str(folder)], check=True)
    return folder


@pytest.fixture(scope="session")
def untrained_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's model as it is before training: its forecast is the warp baseline's."""
    from occworld.checkpoint import Checkpoint, Progress, build_model
    from occworld.config import read_config

    config = read_config(ROOT / "learner/config/demo_tokyo.py")
    path = tmp_path_factory.mktemp("checkpoint") / "untrained.pth"
    Checkpoint(config, build_model(config).state_dict(), Progress()).save(path)
    return path

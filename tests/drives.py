"""Drives in lock step by the command line: one seed gives the same sessions, so that tests may share them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from isolation import free_domain
from paths import TOKYO

from occ_core.session import find_sessions

DRIVEN_S = 5.0
"""Of the drive that tests share, simulated."""


def lockstep(city: Path, output: Path, seconds: float, *more: str) -> list[str]:
    """`tokyo up` of a drone and a rover among traffic, with small images, as fast as it can."""
    return [
        TOKYO, "up", "--city", str(city), "--sim", "embedded", "--lockstep", "--duration", str(seconds), "--record",
        "--output", str(output), "--image-width", "64", "--image-height", "36", "--camera-rate", "2",
        "--actors", "10", "--real-time-factor", "0", *more,
    ]  # fmt: skip


def drive(command: list[str]) -> str:
    """Run it in a ROS domain of its own; what it said."""
    own = {"ROS_DOMAIN_ID": str(free_domain()), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
    done = subprocess.run(
        command, env=os.environ | own, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    return done.stdout


def contents(root: Path) -> dict[str, bytes]:
    """Every file of occupancy, poses and sweeps, by robot and name."""
    return {
        f"{session.info.agent}/{kind}/{path.name}": path.read_bytes()
        for session in find_sessions(root)
        for kind in ("occupancy", "poses", "lidar", "imu")
        for path in (session.folder / kind).iterdir()
    }

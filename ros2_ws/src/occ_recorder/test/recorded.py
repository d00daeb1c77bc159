"""Small sessions for tests, written by the real writer: a straight drive at constant speed with all parts."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

from occ_core.frame import Frame, Occupancy, VehicleState
from occ_core.grid import VoxelGrid
from occ_core.poses import Pose, footprint
from occ_core.session import SessionInfo, SessionWriter
from occ_core.session_log import Event, EventKind
from occ_core.topics import CAMERAS

GRID = VoxelGrid((-8, -8, -2), (8, 8, 5.5), (0.4, 0.4, 1.25))


def frame(index: int, start: tuple[float, float], speed: float, seed: int, cameras: bool) -> Frame:
    """Frame `index` of a drive along x from `start`, metres, at `speed`, m/s, two frames a second."""
    rng = np.random.default_rng([seed, index])
    stamp = 100.0 + 0.5 * index
    base = Pose.from_xyz_rpy([start[0] + speed * 0.5 * index, start[1], 0.4], [0, 0, 0])
    state = VehicleState(stamp, base, np.array([speed, 0, 0]), np.zeros(3), footprint(base, 0.0))
    classes = np.where(rng.random(GRID.shape) < 0.05, rng.integers(1, 16, GRID.shape), 0).astype(np.uint8)
    occupancy = Occupancy(classes, rng.random(GRID.shape) < 0.3, np.zeros(GRID.shape, np.uint16))
    times = stamp - 0.49 + 0.01 * np.arange(50)
    imu = np.column_stack([times, rng.normal(size=(50, 6))])
    images = {channel: jpeg(rng) for channel in CAMERAS.values()} if cameras else {}
    return Frame(state, rng.normal(size=(300, 4)).astype(np.float32), occupancy, images, imu)


def jpeg(rng: np.random.Generator, width: int = 64, height: int = 36) -> bytes:
    """A picture of noise."""
    buffer = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(buffer, "JPEG")
    return buffer.getvalue()


def write_drive(
    root: Path,
    name: str,
    frames: int = 8,
    start: tuple[float, float] = (0.0, 0.0),
    speed: float = 4.0,
    seed: int = 0,
    cameras: bool = True,
) -> Path:
    """A finished session; its agent is the name up to the date."""
    writer = SessionWriter(root / name, SessionInfo("_".join(name.split("_")[:2]), GRID, 0.5, "lidar", seed=seed))
    for index in range(frames):
        writer.write(frame(index, start, speed, seed, cameras))
    writer.note(Event(100.0 + 0.5 * (frames - 1), EventKind.END))
    return writer.folder

"""Made-up drives for tests: a street of boxes, a car that moves at constant speed, an ego that drives along."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

from occ_core.actors import BOX_FACES, Actor
from occ_core.citymap import CityMap
from occ_core.classes import Semantic
from occ_core.frame import Frame, Occupancy, VehicleState
from occ_core.grid import FRAME_PERIOD_S, TOKYO_GRID, VoxelGrid
from occ_core.poses import Pose, footprint
from occ_core.session import SessionInfo, SessionWriter, session_name

SMALL_GRID = VoxelGrid((-16.0, -16.0, -2.0), (16.0, 16.0, 13.0), (0.8, 0.8, 1.25))


def _box(centre: np.ndarray, size: np.ndarray, semantic: Semantic) -> tuple[np.ndarray, Semantic]:
    return Actor(1, semantic, Pose(centre, np.array([1.0, 0, 0, 0])), size, np.zeros(3)).corners()[BOX_FACES], semantic


def street(generator: np.random.Generator, length: float = 400.0) -> CityMap:
    """A road along x with pavements, buildings of random width and height on both sides, and trees."""
    parts = [
        _box(np.array([0, 0, -0.05]), np.array([2 * length, 8, 0.1]), Semantic.ROAD),
        _box(np.array([0, 6.0, 0.0]), np.array([2 * length, 4, 0.3]), Semantic.SIDEWALK),
        _box(np.array([0, -6.0, 0.0]), np.array([2 * length, 4, 0.3]), Semantic.SIDEWALK),
        _box(np.array([0, 0, -0.3]), np.array([2 * length, 120, 0.1]), Semantic.TERRAIN),
    ]
    for side in (-1, 1):
        x = -length
        while x < length:
            width, depth, height = generator.uniform(6, 18), generator.uniform(8, 20), generator.uniform(5, 40)
            y = side * (9 + depth / 2 + generator.uniform(0, 2))
            centre, size = np.array([x + width / 2, y, height / 2]), np.array([width, depth, height])
            parts.append(_box(centre, size, Semantic.BUILDING))
            if generator.random() < 0.5:
                tree = np.array([x + width / 2, side * 7.5, 2.5])
                parts.append(_box(tree, np.array([1.5, 1.5, 5.0]), Semantic.VEGETATION))
            x += width + generator.uniform(0, 4)
    triangles = np.concatenate([triangle for triangle, _ in parts])
    classes = np.concatenate([np.full(len(t), s, np.uint8) for t, s in parts])
    faces = np.arange(3 * len(triangles), dtype=np.int32).reshape(-1, 3)
    return CityMap(triangles.reshape(-1, 3).astype(np.float32), faces, classes)


def _state(stamp: float, x: float, y: float, yaw: float, speed: float, rate: float, height: float) -> VehicleState:
    base = Pose.from_xyz_rpy(np.array([x, y, height]), np.array([0, 0, yaw]))
    return VehicleState(stamp, base, np.array([speed, 0, 0]), np.array([0, 0, rate]), footprint(base, 0.0))


def write_session(
    root: Path, agent: str, seed: int, frames: int, grid: VoxelGrid = TOKYO_GRID, gap_after: int | None = None,
    one_eyed: bool = False,
) -> Path:  # fmt: skip
    """Record a drive. gap_after: one frame is left out after this many, as if the recorder had stalled. one_eyed:
    nothing is seen on the right."""
    generator = np.random.default_rng(seed)
    city = street(generator)
    speed, phase = generator.uniform(3, 8), generator.uniform(0, 6)
    car_speed, lane = generator.uniform(3, 10) * generator.choice([-1, 1]), generator.choice([-2.0, 2.0])
    car_x = generator.uniform(-15, 15)
    folder = root / session_name(agent, datetime(2024, 1, 15, 12) + timedelta(minutes=seed))
    writer = SessionWriter(folder, SessionInfo(agent, grid, FRAME_PERIOD_S, "synthetic", seed=seed))
    x, y, yaw = -100.0, 0.0, 0.0
    for number in range(frames):
        stamp = number * FRAME_PERIOD_S + (FRAME_PERIOD_S if gap_after is not None and number >= gap_after else 0)
        rate = 0.15 * np.cos(0.4 * stamp + phase)
        state = _state(stamp, x, y, yaw, speed, rate, 20.0 if agent.startswith("drone") else 0.3)
        place = np.array([-100 + car_x + (car_speed * 0.5 + speed * 0.5) * stamp, lane, 0.75])
        car = Actor(7, Semantic.CAR, Pose(place, np.array([1.0, 0, 0, 0])), np.array([4.4, 1.8, 1.5]), np.zeros(3))
        classes, instance = city.occupancy(grid, state.footprint, [car])
        observed = np.ones(grid.shape, bool)
        if one_eyed:
            observed[:, : grid.shape[1] // 2] = False
            classes, instance = classes * observed, instance * observed
        occupancy = Occupancy(classes, observed, instance)
        writer.write(Frame(state, np.zeros((1, 4), np.float32), occupancy))
        x += speed * np.cos(yaw) * FRAME_PERIOD_S
        y += speed * np.sin(yaw) * FRAME_PERIOD_S
        yaw += rate * FRAME_PERIOD_S
    return folder

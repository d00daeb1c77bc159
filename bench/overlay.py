"""Bytes and time of an update of the overlay, beside one cube for each voxel of each horizon."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rclpy.serialization import serialize_message
from visualization_msgs.msg import Marker, MarkerArray

from occ_core.grid import TOKYO_GRID
from occ_core.session import Session
from occ_core.topics import MARKERS
from occworld.checkpoint import build_model
from occworld.config import read_config
from occworld.forecaster import Forecaster
from occworld_infer.grids import grid_points, moved
from occworld_infer.layers import RobotLayers
from occworld_infer.marker_messages import to_text, to_update
from occworld_infer.markers import SentMarkers, cube_lists
from tokyo_occworld.collecting import Collection, collect

_CONFIG = Path(__file__).resolve().parents[1] / "learner/config/demo_tokyo.py"
_FRAMES = 24
_POINT_BYTES, _COLOUR_BYTES = 24, 16  # geometry_msgs/Point, std_msgs/ColorRGBA


@dataclass(frozen=True)
class Update:
    """seconds: from clouds to bytes. sent: bytes on the wire. whole: with everything sent. plain: a cube per voxel."""

    seconds: float
    sent: int
    whole: int
    plain: int


def clouds(session: Session, forecaster: Forecaster, number: int) -> tuple[np.ndarray, np.ndarray]:
    """What the inference node publishes at a frame: occupancy and prediction, (n,) GRID_POINT."""
    numbers = range(number - forecaster.history + 1, number + 1)
    grids, states = [session.classes(n) for n in numbers], [session.state(n) for n in numbers]
    result = forecaster(grids, states)
    steps = zip(result.classes, result.horizons_s, result.path, result.path_z, strict=True)
    ahead = [moved(grid_points(TOKYO_GRID, step, horizon), x, y, z, yaw) for step, horizon, (x, y, yaw), z in steps]
    return grid_points(TOKYO_GRID, grids[-1], 0.0), np.concatenate(ahead)


def updates(session: Session, forecaster: Forecaster) -> list[Update]:
    """Every frame of a session that has a forecast."""
    layers, sent, rows = RobotLayers(by_class=False, check=1.0), SentMarkers(), []
    for number in session.numbers[forecaster.history - 1 :]:
        state = session.state(number)
        now, ahead = clouds(session, forecaster, number)
        began = time.perf_counter()
        layers.observe(state.stamp, now, state.footprint)
        layers.expect(state.stamp, ahead, state.footprint)
        lists = [cubes for layer in layers.layers() for cubes in cube_lists(session.info.agent, layer)]
        text = to_text(session.info.agent, "")
        message = to_update(sent.update(lists), text)
        seconds = time.perf_counter() - began
        whole = len(to_update(SentMarkers().update(lists), text))
        empty = len(serialize_message(MarkerArray(markers=[Marker()] * 7)))
        plain = empty + (len(now) + len(ahead)) * (_POINT_BYTES + _COLOUR_BYTES)
        rows.append(Update(seconds, len(message), whole, plain))
    return rows[1:]  # the first compiles


def run(udx: Path, city: Path) -> str:
    """The table. udx: the sample city's CityGML; city: the same imported."""
    forecaster = Forecaster(build_model(read_config(_CONFIG)).eval())
    lines = [
        "| robot | MB/s | sent anew each time | cube per voxel | ratio | ms |",
        "|---|---|---|---|---|---|",
    ]
    with tempfile.TemporaryDirectory() as folder:
        recorded = collect(city, Path(folder), Collection(sessions=2, frames=_FRAMES, seed=3))
        for session in (Session.open(drive.folder) for drive in recorded):
            rows = updates(session, forecaster)
            sent, whole, plain = (
                MARKERS.rate_hz * np.mean([getattr(row, name) for row in rows]) / 1e6
                for name in ("sent", "whole", "plain")
            )
            name, median = session.info.agent, 1e3 * np.median([row.seconds for row in rows])
            lines.append(f"| {name} | {sent:.2f} | {whole:.2f} | {plain:.1f} | {plain / sent:.0f} | {median:.0f} |")
    return "\n".join(lines)

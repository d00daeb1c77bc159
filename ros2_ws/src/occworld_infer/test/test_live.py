"""The live forecast, from sweeps to grids: with the demo's model, untrained."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from occ_core.frame import Frame
from occ_core.grid import FRAME_PERIOD_S, TOKYO_GRID
from occ_core.keyframes import KeyframeBuilder
from occ_core.poses import Pose
from occ_core.sync import Odometry, SyncedSweep
from occ_core.tracker import FrameTracker
from occworld.checkpoint import build_model
from occworld.config import read_config
from occworld.forecaster import Forecaster
from occworld_infer.live import LiveForecast, LiveForecaster

CONFIG = next(p / "learner/config/demo_tokyo.py" for p in Path(__file__).resolve().parents if (p / "learner").is_dir())
WALL = np.array([(x, 6.0, z, 0.5) for x in np.arange(-30, 60, 0.2) for z in np.arange(-1, 4, 0.5)], dtype=np.float32)


@pytest.fixture(scope="module")
def forecaster() -> Forecaster:
    return Forecaster(build_model(read_config(CONFIG)).eval())


class Drive:
    """A robot that drives along a wall at 2 m/s, and what its forecaster delivers."""

    def __init__(self, forecaster: Forecaster) -> None:
        self.forecasts: list[LiveForecast] = []
        self.frames: list[Frame] = []
        tracker = FrameTracker(
            "rover_0", KeyframeBuilder(TOKYO_GRID), {"lidar_link": Pose.identity()}, lambda x, y: -1.0
        )
        self.live = LiveForecaster(tracker, forecaster, FRAME_PERIOD_S, self.forecasts.append, self.frames.append)

    def sweep(self, stamp: float, keyframe: bool | None = None, frame_id: str = "rover_0/lidar_link") -> None:
        pose = Pose(np.array([2.0 * stamp, 0, 0]), np.array([1.0, 0, 0, 0]))
        points = WALL - np.array([2.0 * stamp, 0, 0, 0], dtype=np.float32)
        odometry = Odometry(stamp, pose, np.array([2.0, 0, 0]), np.zeros(3))
        due = abs(stamp / FRAME_PERIOD_S - round(stamp / FRAME_PERIOD_S)) < 1e-6 if keyframe is None else keyframe
        self.live.add(SyncedSweep(stamp, points, frame_id, odometry, [], due))

    def drive(self, start: float, stop: float) -> None:
        """Ten sweeps a second, each taken before the next comes."""
        for stamp in np.arange(round(start * 10), round(stop * 10) + 1) / 10:
            self.sweep(float(stamp))
            time.sleep(0.02)

    def wait(self, frames: int) -> None:
        deadline = time.monotonic() + 60
        while len(self.frames) < frames and time.monotonic() < deadline:
            time.sleep(0.02)
        assert len(self.frames) == frames
        self.live.close()


def test_four_frames_of_history_give_six_grids_ahead(forecaster: Forecaster) -> None:
    drive = Drive(forecaster)
    drive.drive(0.5, 2.0)
    drive.wait(4)
    (result,) = drive.forecasts
    assert result.forecast.horizons_s == (0.5, 1.0, 1.5, 2.0, 2.5, 3.0)
    assert all(grid.shape == TOKYO_GRID.shape and (grid > 0).sum() > 500 for grid in result.forecast.classes)
    # It drives on at 2 m/s: three seconds ahead it is 6 m further.
    assert result.forecast.path[-1, 0] == pytest.approx(6.0, abs=1.0)
    assert abs(result.forecast.path[-1, 1]) < 0.5


def test_a_gap_in_the_sweeps_starts_the_history_anew(forecaster: Forecaster) -> None:
    drive = Drive(forecaster)
    drive.drive(0.5, 1.5)
    drive.drive(4.5, 5.5)
    drive.wait(6)
    assert drive.forecasts == []


def test_a_clock_reset_starts_anew_and_goes_on(forecaster: Forecaster) -> None:
    drive = Drive(forecaster)
    drive.drive(50.5, 52.0)
    drive.drive(0.5, 2.0)
    drive.wait(8)
    assert [round(result.frame.state.stamp, 3) for result in drive.forecasts] == [52.0, 2.0]


def test_a_cloud_in_an_unknown_frame_is_said_and_left_out(forecaster: Forecaster) -> None:
    drive = Drive(forecaster)
    drive.sweep(0.5, frame_id="somewhere")
    drive.drive(1.0, 2.5)
    drive.wait(4)
    assert "somewhere" in drive.live.problem
    assert len(drive.forecasts) == 1

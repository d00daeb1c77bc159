"""The live forecast, from sweeps to grids: with the demo's model, untrained."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from processes import PATIENCE_S

from occ_core.grid import FRAME_PERIOD_S, TOKYO_GRID
from occ_core.keyframes import KeyframeBuilder
from occ_core.poses import Pose
from occ_core.sync import Odometry, SyncedSweep
from occ_core.tracker import FrameTracker
from occworld.checkpoint import build_model
from occworld.config import read_config
from occworld.forecaster import Forecaster, ObservedPast
from occworld_infer.forecasts import ForecastLoop, LiveForecast
from occworld_infer.history import History
from occworld_infer.live_track import LiveTrack, Seen
from occworld_infer.pace import Pace

CONFIG = next(p / "learner/config/demo_tokyo.py" for p in Path(__file__).resolve().parents if (p / "learner").is_dir())
WALL = np.array([(x, 6.0, z, 0.5) for x in np.arange(-30, 60, 0.2) for z in np.arange(-1, 4, 0.5)], dtype=np.float32)


@pytest.fixture(scope="module")
def forecaster() -> Forecaster:
    return Forecaster(build_model(read_config(CONFIG)).eval())


def wait(until: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not until():
        assert time.monotonic() < deadline
        time.sleep(0.02)


class Drive:
    """A robot that drives along a wall at 2 m/s, and what its track delivers."""

    def __init__(self, pace: Pace | None = None, robot: str = "rover_0") -> None:
        self.robot = robot
        self.seen: list[Seen] = []
        tracker = FrameTracker(robot, KeyframeBuilder(TOKYO_GRID), {"lidar_link": Pose.identity()}, lambda x, y: -1.0)
        self.track = LiveTrack(
            robot, tracker, History(4, FRAME_PERIOD_S), pace or Pace(FRAME_PERIOD_S, 10.0), self.seen.append
        )

    def sweep(self, stamp: float, points: np.ndarray | None = None, frame_id: str = "lidar_link") -> None:
        pose = Pose(np.array([2.0 * stamp, 0, 0]), np.array([1.0, 0, 0, 0]))
        points = WALL - np.array([2.0 * stamp, 0, 0, 0], dtype=np.float32) if points is None else points
        odometry = Odometry(stamp, pose, np.array([2.0, 0, 0]), np.zeros(3))
        due = abs(stamp / FRAME_PERIOD_S - round(stamp / FRAME_PERIOD_S)) < 1e-6
        self.track.add(SyncedSweep(stamp, points, frame_id, odometry, [], due))

    def drive(self, start: float, stop: float) -> Drive:
        """Ten sweeps a second, each taken before the next comes."""
        for stamp in np.arange(round(start * 10), round(stop * 10) + 1) / 10:
            self.sweep(float(stamp))
            wait(lambda: not self.track._sweeps)
        return self

    def end(self, frames: int) -> list[float]:
        """Wait for so many frames; the stamps of the histories that were whole."""
        wait(lambda: len(self.seen) >= frames)
        self.track.close()
        assert len(self.seen) == frames
        return [seen.ready.stamp for seen in self.seen if seen.ready]


def test_four_frames_half_a_second_apart_can_be_forecast_from() -> None:
    assert Drive().drive(0.5, 2.0).end(4) == [2.0]


def test_where_there_is_time_every_sweep_brings_a_history() -> None:
    pace = Pace(FRAME_PERIOD_S, 10.0)
    pace.took(0.01)
    drive = Drive(pace).drive(0.5, 2.3)
    # The first of them with the moment at 0.5 s for that at 0.4 s, which it has not got.
    assert drive.end(19) == pytest.approx([1.9, 2.0, 2.1, 2.2, 2.3])
    assert [seen.keyframe for seen in drive.seen].count(True) == 4


def test_a_gap_in_the_sweeps_starts_the_history_anew() -> None:
    assert Drive().drive(0.5, 1.5).drive(4.5, 5.5).end(6) == []


def test_a_clock_reset_starts_anew_and_goes_on() -> None:
    assert Drive().drive(50.5, 52.0).drive(0.5, 2.0).end(8) == [52.0, 2.0]


def test_points_that_are_none_change_nothing() -> None:
    clean, dirty = Drive(), Drive()
    for stamp in (0.5, 1.0, 1.5, 2.0):
        points = WALL - np.array([2.0 * stamp, 0, 0, 0], dtype=np.float32)
        nothing = np.array([[np.nan] * 4, [np.inf, 0, 0, 0], [0, -np.inf, np.nan, 1]], np.float32)
        clean.sweep(stamp, points)
        dirty.sweep(stamp, np.concatenate([nothing, points, nothing]))
    assert clean.end(4) == dirty.end(4) == [2.0]
    assert np.array_equal(clean.seen[-1].frame.occupancy.classes, dirty.seen[-1].frame.occupancy.classes)


def test_a_cloud_in_an_unknown_frame_is_said_and_left_out() -> None:
    drive = Drive()
    drive.sweep(0.5, frame_id="somewhere")
    wait(lambda: "somewhere" in drive.track.problem)
    assert drive.drive(1.0, 2.5).end(4) == [2.5]
    assert drive.track.problem == ""


class Forecasts:
    """Forecasts as a loop delivers them; hold: lets the caller stop the world inside a delivery."""

    def __init__(self, forecaster: Forecaster, hold: Callable[[], None] = lambda: None) -> None:
        self.results: list[LiveForecast] = []
        self._hold = hold
        self.loop = ForecastLoop(forecaster, Pace(FRAME_PERIOD_S, 10.0), self._take)

    def _take(self, result: LiveForecast) -> None:
        self.results.append(result)
        self._hold()

    def wait(self, count: int) -> list[tuple[str, float]]:
        wait(lambda: len(self.results) >= count)
        self.loop.close()
        assert self.loop.failure is None
        return [(result.ready.robot, result.ready.stamp) for result in self.results]


@pytest.fixture(scope="module")
def drives() -> Iterator[list[Drive]]:
    made = [Drive(robot=robot).drive(0.5, 3.5) for robot in ("rover_0", "rover_1")]
    for drive in made:
        drive.end(7)
    yield made


def test_six_grids_ahead(forecaster: Forecaster, drives: list[Drive]) -> None:
    forecasts = Forecasts(forecaster)
    forecasts.loop.offer(drives[0].seen[3].ready)
    forecasts.wait(1)
    forecast = forecasts.results[0].forecast
    assert forecast.horizons_s == (0.5, 1.0, 1.5, 2.0, 2.5, 3.0)
    assert all(grid.shape == TOKYO_GRID.shape and (grid > 0).sum() > 500 for grid in forecast.classes)
    # It drives on at 2 m/s: three seconds ahead it is 6 m further.
    assert forecast.path[-1, 0] == pytest.approx(6.0, abs=1.0)
    assert abs(forecast.path[-1, 1]) < 0.5


def test_a_slow_model_skips_to_the_newest_and_counts_what_it_left_out(
    forecaster: Forecaster, drives: list[Drive]
) -> None:
    rest = [seen.ready for seen in drives[0].seen[4:]]
    forecasts = Forecasts(forecaster, hold=lambda: [forecasts.loop.offer(rest.pop(0)) for _ in range(len(rest))])
    forecasts.loop.offer(drives[0].seen[3].ready)
    assert forecasts.wait(2) == [("rover_0", 2.0), ("rover_0", 3.5)]
    assert forecasts.loop.skipped == {"rover_0": 2}


def test_robots_that_wait_are_forecast_in_one_pass_as_if_each_were_alone(
    forecaster: Forecaster, drives: list[Drive]
) -> None:
    both = [drives[0].seen[3].ready, drives[1].seen[5].ready]
    pasts = [ObservedPast(tuple(m.voxels for m in r.history), tuple(m.state for m in r.history)) for r in both if r]
    together = forecaster.batch(pasts)
    for past, forecast in zip(pasts, together, strict=True):
        (alone,) = forecaster.batch([past])
        assert np.allclose(alone.path, forecast.path, atol=1e-4)
        for a, b in zip(alone.classes, forecast.classes, strict=True):
            assert np.count_nonzero(a != b) <= 1e-4 * np.count_nonzero(a)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_half_precision_forecasts_the_same_but_for_rounding(
    forecaster: Forecaster, drives: list[Drive], precision: str
) -> None:
    ready = drives[0].seen[3].ready
    past = ObservedPast(tuple(m.voxels for m in ready.history), tuple(m.state for m in ready.history))
    (exact,), (rounded,) = (f.batch([past]) for f in (forecaster, replace(forecaster, precision=precision)))
    assert np.allclose(exact.path, rounded.path, atol=0.1)
    for a, b in zip(exact.classes, rounded.classes, strict=True):
        assert np.count_nonzero(a != b) <= 0.05 * np.count_nonzero(a)


def test_a_grid_of_another_size_is_refused_with_both_sizes(forecaster: Forecaster, drives: list[Drive]) -> None:
    states = [m.state for m in drives[0].seen[3].ready.history]
    with pytest.raises(ValueError, match=r"\(200, 200, 121\), got uint8 \(10, 10, 10\)"):
        forecaster([np.zeros((10, 10, 10), np.uint8)] * 4, states)


def test_a_model_that_breaks_is_heard_of(forecaster: Forecaster, drives: list[Drive]) -> None:
    forecasts = Forecasts(forecaster, hold=lambda: 1 // 0)
    forecasts.loop.offer(drives[0].seen[3].ready)
    wait(lambda: forecasts.loop.failure is not None)
    assert isinstance(forecasts.loop.failure, ZeroDivisionError)

"""The topics of one robot's forecast: sensors in; occupancy, prediction, path, latency and score out."""

from __future__ import annotations

import time
from collections import deque
from functools import partial

import numpy as np
from geometry_msgs.msg import PoseStamped
from nav_msgs.msg import Path

from occ_core.grid import FRAME_PERIOD_S, VoxelGrid
from occ_core.poses import Pose
from occ_core.sync import SweepSynchronizer, SyncedSweep
from occ_core.topics import FORECAST, LATENCY, OCCUPANCY, PATH, PREDICTION, SCORE
from occ_core.tracker import FrameTracker
from occ_ros.convert import to_cloud, to_pose
from occ_ros.diagnostics import to_stamp
from occ_ros.guard import Guarded
from occ_ros.qos import create_publisher
from occ_ros.sensor_subscriptions import ActorSubscription, SensorSubscriptions
from occworld.forecaster import Forecast
from occworld_infer.figures import latency_message, score_message
from occworld_infer.forecast_lockstep import ForecastStep
from occworld_infer.forecast_message import Latency, forecast_message, lacking
from occworld_infer.forecasts import ForecastLoop, LiveForecast
from occworld_infer.grading import Grade, Grader
from occworld_infer.grids import grid_points
from occworld_infer.history import History
from occworld_infer.live_track import LiveTrack, Seen
from occworld_infer.pace import Pace
from occworld_infer.planning_topics import PlanningTopics
from occworld_infer.prediction import PublishedPart, occupied, prediction_points

_RATE_OVER_S = 10.0
_SILENT_S = 3.0


class RobotForecaster:
    """One robot, from its first sweep until `close`."""

    def __init__(
        self, node: Guarded, robot: str, grid: VoxelGrid, tracker: FrameTracker, loop: ForecastLoop, history: History,
        pace: Pace, wanted: PublishedPart, actors: ActorSubscription, needs_actors: bool,
        undistort: bool = True,
        lockstep: ForecastStep | None = None,
        description: str = "",
        planning: PlanningTopics | None = None,
    ) -> None:  # fmt: skip
        self._robot, self._grid, self._loop, self._wanted = robot, grid, loop, wanted
        self._frame_id = f"{robot}/base_footprint"
        topics = (OCCUPANCY, PREDICTION, PATH, LATENCY, SCORE)
        if not lacking():
            topics += (FORECAST,)
        self._out = {topic: create_publisher(node, topic, robot) for topic in topics}
        self._grader = Grader(grid)
        self._grades: tuple[Grade, ...] = ()
        self._lockstep, self._planning = lockstep, planning
        tracked = partial(lockstep.tracked, robot) if lockstep else None
        self._track = LiveTrack(robot, tracker, history, pace, self._on_frame, tracked)
        self._synchronizer = SweepSynchronizer(FRAME_PERIOD_S, needs_actors=needs_actors)
        self._dropped: dict[str, int] = {}
        self._lost_said = 0
        self._heard = time.monotonic()
        self._times: deque[float] = deque(maxlen=1000)
        self._newest: tuple[float, float] | None = None
        settled = partial(lockstep.settled, robot) if lockstep else None
        self._subscriptions = SensorSubscriptions(
            node, robot, self._synchronizer, self._on_sweep, actors, undistort=undistort, settled=settled,
            description=description,
        )  # fmt: skip
        if lockstep:
            lockstep.begin(robot)

    def close(self) -> None:
        """Stop its thread."""
        self._track.close()

    def withdraw(self, node: Guarded) -> None:
        """Take its publishers off the network; after `close`, and after the forecasts' thread has ended."""
        for publisher in self._out.values():
            node.destroy_publisher(publisher)
        if self._planning:
            self._planning.withdraw()

    @property
    def failure(self) -> BaseException | None:
        """What ended its thread, if anything did."""
        return self._track.failure

    def status(self) -> tuple[str, dict[str, object]]:
        """What is wrong, '' for nothing, and figures; since the last call. Rates are of wall clock."""
        now = time.monotonic()
        grown = [why for why, n in self._synchronizer.dropped.items() if n > self._dropped.get(why, 0)]
        self._dropped = dict(self._synchronizer.dropped)
        problem = self._track.problem
        if not problem and grown:
            problem = f"waits for what is missing: {', '.join(sorted(grown))}"
        if not problem and now - self._heard > _SILENT_S:
            problem = f"waits: no sweep on /{self._robot}/lidar/points for {now - self._heard:.0f} s"
        lost = sum(publisher.lost for publisher in self._out.values())
        if not problem and lost > self._lost_said:
            problem = f"{lost - self._lost_said} messages could not be published: a listener is too slow"
        self._lost_said = lost
        while self._times and self._times[0] < now - _RATE_OVER_S:
            self._times.popleft()
        values: dict[str, object] = {
            "forecasts": self._loop.made.get(self._robot, 0),
            "skipped": self._loop.skipped.get(self._robot, 0),
            "rate_hz": f"{self._rate():.1f}",
            "late_sweeps": self._track.late,
            "lost_messages": lost,
        }
        if self._newest is not None:
            values |= {"model_ms": round(1e3 * self._newest[0]), "total_ms": round(1e3 * self._newest[1])}
        return problem, values | self._dropped | self._synchronizer.mended

    def _rate(self) -> float:
        """Forecasts a second."""
        times = list(self._times)
        return (len(times) - 1) / (times[-1] - times[0]) if len(times) > 1 else 0.0

    def _on_sweep(self, sweep: SyncedSweep) -> None:
        self._heard = time.monotonic()
        if self._lockstep:
            self._lockstep.delivered(self._robot, sweep.stamp)
        self._track.add(sweep)

    def _on_frame(self, seen: Seen) -> None:
        """On the track's thread. The forecast first: the rest can be done while the model works."""
        if seen.ready:
            if self._planning:
                self._planning.observe(seen.frame)
            if self._lockstep:
                self._lockstep.due(self._robot, seen.ready.stamp)
            if not self._loop.offer(seen.ready) and self._lockstep:
                self._lockstep.forecast(self._robot, seen.ready.stamp)
        if not seen.keyframe:
            return
        stamp = seen.frame.state.stamp
        points = grid_points(self._grid, seen.frame.occupancy.classes, 0.0)
        self._out[OCCUPANCY].publish(to_cloud(points, self._frame_id, stamp))
        self._grades = self._grader.observe(stamp, seen.frame.occupancy)
        if self._grades:
            self._out[SCORE].publish(score_message(self._grades))

    def publish(self, result: LiveForecast) -> None:
        """On the forecasts' thread."""
        forecast, ready = result.forecast, result.ready
        voxels = occupied(forecast)
        points = prediction_points(self._grid, forecast, self._wanted)
        self._out[PREDICTION].publish(to_cloud(points, self._frame_id, ready.stamp))
        self._out[PATH].publish(path_message(forecast, self._frame_id, ready.stamp))
        latency = Latency(ready.voxelize_s, result.model_s, time.perf_counter() - ready.arrived)
        self._out[LATENCY].publish(latency_message(latency))
        if FORECAST in self._out and self._out[FORECAST].get_subscription_count():
            message = forecast_message(
                self._grid, forecast, self._frame_id, ready.stamp, latency, self._grades, self._wanted
            )
            self._out[FORECAST].publish(message)
        self._newest = result.model_s, result.total_s
        self._times.append(time.monotonic())
        if ready.keyframe:
            footprints = np.array([moment.footprint for moment in ready.history])
            self._grader.expect(ready.stamp, forecast.horizons_s, voxels, ready.history[-1].voxels, footprints)
        if self._planning:
            self._planning.forecast(result)


def path_message(forecast: Forecast, frame_id: str, stamp: float) -> Path:
    """The footprints to come, each with the stamp of its horizon."""
    message = Path()
    message.header.frame_id, message.header.stamp = frame_id, to_stamp(stamp)
    for (x, y, yaw), z, horizon in zip(forecast.path, forecast.path_z, forecast.horizons_s, strict=True):
        pose = PoseStamped()
        pose.header.frame_id, pose.header.stamp = frame_id, to_stamp(stamp + horizon)
        pose.pose = to_pose(Pose.from_xyz_rpy([x, y, z], [0, 0, yaw]))
        message.poses.append(pose)
    return message

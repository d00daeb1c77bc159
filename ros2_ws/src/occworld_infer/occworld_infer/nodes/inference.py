"""The forecast as a managed node: LiDAR and odometry in; occupancy, predicted grids, path, latency and score out."""

from __future__ import annotations

import sys
from pathlib import Path

from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn
from std_msgs.msg import String

from occ_core.citymap import CityMap
from occ_core.classes import NAMES
from occ_core.grid import FRAME_PERIOD_S, FUTURE_FRAMES, GRID_HELP
from occ_core.keyframes import DEFAULT_WINDOW_S, KeyframeBuilder, OccupancySource
from occ_core.point_filters import MIN_RANGE_M, PointFilter
from occ_core.topics import ROBOT_DESCRIPTION
from occ_core.tracker import FrameTracker
from occ_core.urdf import body, link_poses
from occ_ros.guard import GuardedLifecycleNode, NodeFailed
from occ_ros.parameters import Parameter, ParameterError, grid_of, read
from occ_ros.qos import create_subscription
from occ_ros.run import run
from occ_ros.sensor_subscriptions import ActorSubscription
from occworld.checkpoint_file import CheckpointError
from occworld.forecaster import Forecaster
from occworld_infer.forecast_lockstep import ForecastStep
from occworld_infer.forecasts import ForecastLoop, LiveForecast
from occworld_infer.history import History
from occworld_infer.pace import Pace
from occworld_infer.planning_topics import PLANNING_PARAMETERS, PlanningTopics, body_of
from occworld_infer.prediction import PublishedPart
from occworld_infer.robot_forecaster import RobotForecaster
from occworld_infer.shipped import shipped_checkpoint

PARAMETERS = (
    Parameter("checkpoint", "", "checkpoint that `train.py` wrote; empty: the one that comes with the package"),
    Parameter("robots", ["rover_0"], "namespaces of the robots to forecast for, all in one pass of the model"),
    Parameter("city", "", "folder of the imported city, for labels and ground; empty: all is `other`"),
    Parameter("device", "auto", "where the model runs; auto: CUDA where there is one", choices=("auto", "cpu", "cuda")),
    Parameter(
        "precision", "auto", "of the model's matrix products; auto: bfloat16 on CUDA, float32 on a CPU",
        choices=("auto", "float32", "bfloat16", "float16"),
    ),
    Parameter(
        "max_rate", 2.0, "forecasts a second at most, of each robot; from 10 on, one with each sweep", 0.1, 100.0
    ),
    Parameter(
        "horizons", [FRAME_PERIOD_S * (i + 1) for i in range(FUTURE_FRAMES)], "seconds ahead that are published"
    ),
    Parameter("min_probability", 0.0, "of being occupied, of voxels that are published", 0.0, 1.0),
    Parameter("classes", list(NAMES[1:]), "names of the classes that are published"),
    Parameter("grid", "tokyo", f"{GRID_HELP}; the checkpoint must be made for it"),
    Parameter(
        "window", DEFAULT_WINDOW_S, "seconds of sweeps in a grid; as in the recordings it learnt from", 0.1, 10.0
    ),
    Parameter("min_range", MIN_RANGE_M, "metres from the sensor; what is nearer is no return", 0.0, 100.0),
    Parameter("self_filter", True, "leave out returns from the robot's own body, by the shapes of its description"),
    Parameter("undistort", True, "put points where they were by their own times, where a cloud has them"),
    Parameter("ground_height", 0.0, "height of the ground in map, metres, where no city is given", -1e4, 1e4),
    Parameter("lockstep", False, "the simulator is in lock step: it waits for each forecast that is due"),
    Parameter("autostart", True, "configure and activate at the start, without a lifecycle manager"),
)  # fmt: skip


class InferenceNode(GuardedLifecycleNode):
    """Configured, it has a warm model; active, it forecasts for every robot whose description it has heard."""

    def __init__(self) -> None:
        self._forecaster: Forecaster | None = None
        self._loop: ForecastLoop | None = None
        self._robots: dict[str, RobotForecaster] = {}
        self._passive: set = set()
        self._refusal = ""
        # Last, since a node that refuses its parameters is destroyed as it is.
        super().__init__("inference")
        self._values = read(self, PARAMETERS + PLANNING_PARAMETERS)
        self.create_timer(1.0, self._report)
        if self._values["autostart"]:
            if self.trigger_configure() != TransitionCallbackReturn.SUCCESS:
                raise ParameterError(self._refusal)
            self.trigger_activate()

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load checkpoint and city, and forecast once for nothing. Fails with a sentence in the log."""
        values = self._values
        try:
            self._wanted = PublishedPart(tuple(values["horizons"]), values["min_probability"], tuple(values["classes"]))
            body_of(values)
            self._forecaster = self._load()
            self._city = CityMap.load(Path(values["city"])) if values["city"] else None
            self._forecaster.warm_up(len(values["robots"]))
        except (ParameterError, ValueError, FileNotFoundError) as error:
            self._forecaster, self._refusal = None, str(error)
            if not values["autostart"]:
                self.get_logger().error(self._refusal)
            return TransitionCallbackReturn.FAILURE
        return super().on_configure(state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Begin to listen."""
        assert self._forecaster is not None
        self._passive = set(self.subscriptions)
        self._pace = Pace(FRAME_PERIOD_S, self._values["max_rate"])
        self._loop = ForecastLoop(self._forecaster, self._pace, self._publish)
        self._lockstep = ForecastStep(self, self._values["robots"]) if self._values["lockstep"] else None
        self._actors = ActorSubscription(self, self._values["lockstep"])
        for robot in self._values["robots"]:
            create_subscription(self, ROBOT_DESCRIPTION, lambda m, robot=robot: self._begin(robot, m), robot, depth=1)
        self.get_logger().info(f"forecasting on {self._forecaster.device} for {', '.join(self._values['robots'])}")
        return super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Listen no more and forget what was heard; the model stays."""
        self._stop()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Let the model go."""
        self._forecaster = None
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """From any state."""
        self._stop()
        return super().on_shutdown(state)

    def destroy_node(self) -> None:
        """Stop the threads before the node goes."""
        self._stop()
        super().destroy_node()

    def _load(self) -> Forecaster:
        values = self._values
        path = Path(values["checkpoint"]) if values["checkpoint"] else shipped_checkpoint()
        try:
            forecaster = Forecaster.load(path, values["device"], grid_of(values), values["precision"])
        except CheckpointError as error:
            raise ParameterError(f"parameter 'checkpoint': {error}") from error
        if (period := forecaster.model.frame_period) != FRAME_PERIOD_S:
            raise ParameterError(f"parameter 'checkpoint': {path} has {period} s frames, {FRAME_PERIOD_S} s are wanted")
        self._wanted.check(forecaster.horizons_s)
        return forecaster

    def _begin(self, robot: str, description: String) -> None:
        if robot in self._robots or self._loop is None or self._forecaster is None:
            return
        grid = self._forecaster.model.grid
        builder = KeyframeBuilder(grid, OccupancySource.ACCUMULATED, self._values["window"], self._city)
        ground = self._city.nearest_ground if self._city else lambda x, y: self._values["ground_height"]
        links = link_poses(description.data)
        own = body(description.data, links) if self._values["self_filter"] else ()
        returns = PointFilter(self._values["min_range"], own)
        tracker = FrameTracker(robot, builder, links, ground, returns)
        tracker.warm_up(actors=self._city is not None)
        history = History(self._forecaster.history, FRAME_PERIOD_S)
        self._robots[robot] = RobotForecaster(
            self, robot, grid, tracker, self._loop, history, self._pace, self._wanted, self._actors,
            needs_actors=self._city is not None, undistort=self._values["undistort"], lockstep=self._lockstep,
            description=description.data, planning=PlanningTopics(self, robot, grid, self._values),
        )  # fmt: skip

    def _publish(self, result: LiveForecast) -> None:
        self._robots[result.ready.robot].publish(result)
        if self._lockstep:
            self._lockstep.forecast(result.ready.robot, result.ready.stamp)

    def _stop(self) -> None:
        for robot in self._robots.values():
            robot.close()
        if self._loop is not None:
            self._loop.close()
            self._loop = None
            for subscription in set(self.subscriptions) - self._passive:
                self.destroy_subscription(subscription)
        for robot in self._robots.values():
            robot.withdraw(self)
        self._robots.clear()

    def _report(self) -> None:
        if self._loop is None:
            return
        for robot in self._values["robots"]:
            problem, values = f"waits for /{robot}/robot_description", {}
            if robot in self._robots:
                problem, values = self._robots[robot].status()
            self.diagnose(f"forecast {robot}", problem, values)
        for failure in (self._loop.failure, *(robot.failure for robot in self._robots.values())):
            if failure is not None:
                raise NodeFailed(f"the forecast stopped: {failure!r}") from failure


def main() -> None:
    """Entry point."""
    sys.exit(run(InferenceNode))


if __name__ == "__main__":
    main()

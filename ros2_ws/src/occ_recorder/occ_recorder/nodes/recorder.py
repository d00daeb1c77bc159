"""The recorder as a node: every robot's topics into sessions."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from rclpy.clock import Clock, ClockType
from rclpy.publisher import Publisher
from std_msgs.msg import Float32, String
from std_srvs.srv import Trigger

from occ_core.citymap import CityMap
from occ_core.grid import FRAME_PERIOD_S, GRID_HELP
from occ_core.keyframes import DEFAULT_WINDOW_S, KeyframeBuilder, OccupancySource
from occ_core.point_filters import MIN_RANGE_M, PointFilter
from occ_core.session import SessionInfo, extrinsics, installed_versions
from occ_core.sync import PATIENCE_S, SweepSynchronizer
from occ_core.topics import CAMERAS, IMAGE_PERIOD, IMU, LIDAR, ODOM, ROBOT_DESCRIPTION, Topic, absolute, image_topic
from occ_core.tracker import FrameTracker
from occ_core.urdf import body, link_poses
from occ_recorder.recording import Mode, RobotRecording
from occ_recorder.reporting import Report, Reporter
from occ_ros.guard import GuardedNode
from occ_ros.lockstep import Overdue, Participant
from occ_ros.parameters import Parameter, ParameterError, grid_of, read
from occ_ros.qos import create_publisher, create_subscription
from occ_ros.run import run
from occ_ros.sensor_subscriptions import ActorSubscription, SensorSubscriptions

# A description can be heard seconds before its robot's other topics are: DDS announces each process every 3 s.
_DISCOVERY_S = 5.0

PARAMETERS = (
    Parameter("robots", ["rover_0"], "namespaces of the robots to record"),
    Parameter("output", "data/tokyo_gazebo", "folder that sessions go to"),
    Parameter("city", "", "folder of the imported city, for labels and ground; empty: all is `other`"),
    Parameter("occupancy", "accumulated", "how grids are made", choices=tuple(s.value for s in OccupancySource)),
    Parameter("grid", "tokyo", GRID_HELP),
    Parameter("solid", False, "ground truth fills the insides of buildings and actors"),
    Parameter("window", DEFAULT_WINDOW_S, "seconds of sweeps that an accumulated grid holds", 0.1, 10.0),
    Parameter("keyframe_period", FRAME_PERIOD_S, "seconds between frames; models are trained on one", 0.05, 60.0),
    Parameter("session_seconds", 0.0, "start a new session after so many seconds; 0: never", 0.0, 1e6),
    Parameter("cameras", True, "record the cameras that are published; a keyframe that lacks an image is dropped"),
    Parameter("imu", True, "record the IMU where it is published"),
    Parameter("jpeg_quality", 90, "of camera images", 1, 100),
    Parameter("min_range", MIN_RANGE_M, "metres from the sensor; what is nearer is no return", 0.0, 100.0),
    Parameter("self_filter", True, "leave out returns from the robot's own body, by the shapes of its description"),
    Parameter("undistort", True, "put points where they were by their own times, where a cloud has them"),
    Parameter("ground_height", 0.0, "height of the ground in map, metres, where no city is given", -1e4, 1e4),
    Parameter("autostart", True, "record at once; false: wait for the service `start`"),
    Parameter("mark_label", "mark", "what the service `mark` writes beside the time; set it before the call"),
    Parameter("seed", -1, "seed of the simulation, for session.json; -1: it has none", -1, 2**31 - 1),
    Parameter("lockstep", False, "the simulator is in lock step: it waits, and no frame is lost however slow all is"),
)


@dataclass
class _Arriving:
    """A robot whose description has come: which wanted topics are seen of it, and when (monotonic, s) the last was."""

    description: str
    cameras: frozenset[str] = frozenset()
    imu: bool = False
    changed: float = field(default_factory=time.monotonic)


class RecorderNode(GuardedNode):
    """One recording per robot; it begins when the robot's description has come and its topics are discovered.

    Services: start, pause, stop, mark.
    """

    def __init__(self) -> None:
        super().__init__("recorder")
        self._values = read(self, PARAMETERS)
        city = self._values["city"]
        self._city = CityMap.load(Path(city)) if city else None
        self._source = OccupancySource(self._values["occupancy"])
        if self._source is OccupancySource.GROUND_TRUTH and not city:
            raise ParameterError("parameter 'occupancy' is 'ground_truth', which needs the parameter 'city'")
        self._grid = grid_of(self._values)
        self._output = _writable(self._values["output"])
        self._mode = Mode.RECORDING if self._values["autostart"] else Mode.STOPPED
        self._recordings: dict[str, RobotRecording] = {}
        self._reporters: dict[str, Reporter] = {}
        self._arriving: dict[str, _Arriving] = {}
        self._participant = Participant(self) if self._values["lockstep"] else None
        self._settled: dict[str, float] = {}
        self._sensors: list[SensorSubscriptions] = []
        self._wishes: list[Publisher] = []
        if self._participant:
            self._patience = Overdue(
                self, self._participant, lambda: sum(i.messages.heard for i in self._sensors), self._go_without
            )
        self._actors = ActorSubscription(self, self._values["lockstep"])
        for robot in self._values["robots"]:
            create_subscription(self, ROBOT_DESCRIPTION, lambda m, robot=robot: self._arrived(robot, m), robot, depth=1)
        self._serve("start", RobotRecording.start, Mode.RECORDING)
        self._serve("pause", RobotRecording.pause, Mode.PAUSED)
        self._serve("stop", RobotRecording.stop, Mode.STOPPED)
        self._serve("mark", lambda recording: recording.mark(self.get_parameter("mark_label").value))
        self.create_timer(1.0, self._report)
        wall = Clock(clock_type=ClockType.STEADY_TIME)  # simulated time may stand still
        self.create_timer(0.1, self._look, clock=wall)

    def _arrived(self, robot: str, description: String) -> None:
        if robot not in self._recordings:
            self._arriving.setdefault(robot, _Arriving(description.data))
            self._look()

    def _look(self) -> None:
        """Begin with each robot whose cameras and IMU, if wanted, are there, or where no more have come for a while.

        In lock step: when all that the simulator publishes is known. It waits meanwhile.
        """
        wanted = frozenset(CAMERAS if self._values["cameras"] else ())
        for robot, arriving in list(self._arriving.items()):
            ready = self._participant is not None and self._participant.knows_all  # asked first: what is known is seen
            cameras = frozenset(name for name in wanted if self._published(image_topic(name), robot))
            imu = self._values["imu"] and self._published(IMU, robot)
            if (cameras, imu) != (arriving.cameras, arriving.imu):
                arriving.cameras, arriving.imu, arriving.changed = cameras, imu, time.monotonic()
            if self._participant is None:
                complete = cameras == wanted and imu == self._values["imu"]
                ready = complete or time.monotonic() > arriving.changed + _DISCOVERY_S
            if ready:
                self._begin(robot, self._arriving.pop(robot))

    def _published(self, topic: Topic, robot: str) -> bool:
        return self.count_publishers(absolute(topic, robot)) > 0

    def _begin(self, robot: str, arriving: _Arriving) -> None:
        try:
            links = link_poses(arriving.description)
        except ValueError as error:
            self.get_logger().error(f"{robot}: {error}")
            return
        city, values = self._city, self._values
        period = values["keyframe_period"]
        builder = KeyframeBuilder(self._grid, self._source, values["window"], city, values["solid"])
        ground = city.nearest_ground if city else lambda x, y: values["ground_height"]
        info = SessionInfo(
            agent=robot,
            grid=self._grid,
            frame_period=period,
            occupancy=self._source.value + (", solid" if values["solid"] else ""),
            city=values["city"],
            seed=values["seed"] if values["seed"] >= 0 else None,
            sensors={name: extrinsics(pose) for name, pose in links.items() if _is_sensor(name)},
            versions=installed_versions("occ_core", "occ_recorder", "numpy"),
        )
        own = body(arriving.description, links) if values["self_filter"] else ()
        returns = PointFilter(values["min_range"], own)
        tracker = FrameTracker(robot, builder, links, ground, returns)
        tracker.warm_up(actors=city is not None)
        recording = RobotRecording(
            tracker, info, self._output, values["session_seconds"], values["jpeg_quality"], self._mode,
            lossless=values["lockstep"],
        )  # fmt: skip
        cameras, imu = arriving.cameras, arriving.imu
        if values["cameras"] and (missing := CAMERAS.keys() - cameras):
            self.get_logger().warning(f"{robot}: nobody publishes images of {', '.join(sorted(missing))}, left out")
        synchronizer = SweepSynchronizer(period, cameras, needs_actors=city is not None, with_imu=imu)
        self._recordings[robot], self._reporters[robot] = recording, Reporter(recording, synchronizer)
        settled = partial(self._on_settled, robot) if self._participant else None
        subscriptions = SensorSubscriptions(
            self, robot, synchronizer, recording.add, self._actors, cameras, imu, values["undistort"], settled,
            arriving.description,
        )  # fmt: skip
        self._sensors.append(subscriptions)
        if cameras:
            self._want_images(robot, period)
        self.get_logger().info(f"{robot}: {self._mode.value}, into {self._output}")
        if settled:
            settled(0.0)

    def _want_images(self, robot: str, period: float) -> None:
        """Ask for no more images than frames need; where frames fall between images, the nearest may be any."""
        images_a_frame = period * image_topic("front").rate_hz
        if abs(images_a_frame - round(images_a_frame)) < 1e-6:
            self._wishes.append(create_publisher(self, IMAGE_PERIOD, robot, depth=1))
            self._wishes[-1].publish(Float32(data=float(period)))

    def _on_settled(self, robot: str, stamp: float) -> None:
        """The simulation may make each robot's next sweep when this one is taken."""
        self._settled[robot] = stamp
        if self._participant and len(self._settled) == len(set(self._values["robots"])):
            self._participant.grant(min(self._settled.values()) + 1 / LIDAR.rate_hz)

    def _go_without(self) -> None:
        if self._participant and self._participant.granted >= 0:
            self.get_logger().warning("lock step: what a frame needs does not come, it is given up")
            self._participant.grant(self._participant.granted + PATIENCE_S + 1 / LIDAR.rate_hz)

    def _serve(self, name: str, act: Callable[[RobotRecording], bool], mode: Mode | None = None) -> None:
        """A service that acts on every robot's recording; robots that come later begin in its mode."""

        def answer(_: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
            done = [robot for robot, recording in self._recordings.items() if act(recording)]
            if done or not self._recordings:
                self._mode = mode or self._mode
            now = [f"{robot} {recording.mode.value}" for robot, recording in self._recordings.items()]
            response.success = bool(done) or (mode is not None and not self._recordings)
            response.message = f"{name}: {', '.join(done) or 'no robot'}; now: {', '.join(now) or 'no robot heard yet'}"
            return response

        self.create_service(Trigger, f"~/{name}", answer)

    def _report(self) -> None:
        problems = []
        for robot in self._values["robots"]:
            reporter = self._reporters.get(robot)
            if reporter and len(publishers := self.get_publishers_info_by_topic(absolute(ODOM, robot))) > 1:
                names = " and ".join(sorted(info.node_name for info in publishers))
                self._recordings[robot].mark_suspect(f"{len(publishers)} nodes publish its odometry: {names}")
            report = reporter.next() if reporter else Report(f"{robot}: no readable robot_description yet", {})
            problems += [report.problem] if report.problem else []
            self.diagnose(f"recorder {robot}", report.problem, report.values)
        if problems:
            self.get_logger().warning("; ".join(problems), throttle_duration_sec=5.0)

    def destroy_node(self) -> None:
        """Write what is queued before the node goes."""
        for robot, recording in self._recordings.items():
            recording.close()
            values = self._reporters[robot].next().values
            self.get_logger().info(f"{robot}: {', '.join(f'{key} {value}' for key, value in values.items() if value)}")
        super().destroy_node()


def _writable(folder: str) -> Path:
    """The folder, made where it is missing. ParameterError where nothing can be written into it."""
    path = Path(folder)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ParameterError(f"parameter 'output': can't make folder {path}: {error.strerror}") from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise ParameterError(f"parameter 'output': no permission to write into {path}")
    return path


def _is_sensor(link: str) -> bool:
    return any(part in link for part in ("optical", "lidar", "imu"))


def main() -> None:
    """Entry point."""
    sys.exit(run(RecorderNode))


if __name__ == "__main__":
    main()

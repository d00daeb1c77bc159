"""Sessions straight from the embedded simulator: no ROS, no clock to keep up with, the same frames."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from tqdm import tqdm

from occ_core.actors import Actor
from occ_core.classes import DYNAMIC_IDS, GROUND_CLASSES
from occ_core.frame_files import jpeg
from occ_core.grid import FRAME_PERIOD_S, TOKYO_GRID, VoxelGrid
from occ_core.keyframes import DEFAULT_WINDOW_S, KeyframeBuilder, OccupancySource
from occ_core.parallel import Backend, run_tasks
from occ_core.progress import ProgressBar
from occ_core.session import SessionError, SessionInfo, SessionWriter, extrinsics, session_name
from occ_core.sync import Odometry, SyncedSweep
from occ_core.topics import CAMERAS
from occ_core.tracker import FrameTracker
from occ_core.urdf import link_poses
from tokyo_sim.engine.robot import RobotKind
from tokyo_sim.engine.simulator import Fleet, Simulator
from tokyo_sim.missions.mission import Mission, MissionPlan, Surroundings
from tokyo_sim.missions.plans import Pattern
from tokyo_sim.missions.unsteady import UnsteadyMission

_SWEEP_S, _COMMAND_S = 0.1, 0.05
_SWEEPS_A_FRAME = round(FRAME_PERIOD_S / _SWEEP_S)
_WARM_UP_SWEEPS = round(DEFAULT_WINDOW_S / _SWEEP_S)
_JPEG_QUALITY = 90
_STRUCTURE = np.ones(256, bool)
_STRUCTURE[[0, *GROUND_CLASSES, *DYNAMIC_IDS]] = False
_FASTEST = 3.0
_SPEED = {RobotKind.DRONE: 4.0, RobotKind.ROVER: 3.0}


@dataclass(frozen=True)
class Collection:
    """sessions: how many; frames: in each, 2 a second. actors: in traffic. image_size: pixels, None for no cameras.

    altitude: of drones, metres above the ground where they start. pace: times the usual speed of either kind. unsteady:
    they stop, turn and back up now and then.
    """

    sessions: int
    frames: int
    seed: int = 1
    actors: int = 40
    altitude: float = 15.0
    image_size: tuple[int, int] | None = None
    occupancy: OccupancySource = OccupancySource.ACCUMULATED
    pace: float = 1.0
    unsteady: bool = False
    grid: VoxelGrid = TOKYO_GRID

    def __post_init__(self) -> None:
        if self.sessions < 1 or self.frames < 1:
            raise ValueError("at least one session of one frame is needed")
        if not 0 < self.pace <= _FASTEST:
            raise ValueError(f"pace {self.pace:g}: more than 0 and at most {_FASTEST:g} is wanted")


@dataclass(frozen=True)
class CollectingJob:
    """One drive of a drone and, unless it is alone, a rover: all that a process needs to record it, on any machine."""

    city: Path
    output: Path
    plan: Collection
    pattern: Pattern
    seed: int
    alone: bool


@dataclass(frozen=True)
class Recorded:
    """A session's folder, its frames, and how many of them hold structure: anything but ground and what moves."""

    folder: Path
    frames: int
    structured: int

    def __str__(self) -> str:
        return f"{self.folder}: {self.structured} of {self.frames} frames hold structure"


def collect(
    city: Path, output: Path, plan: Collection, engine: Backend = Backend.LOCAL, workers: int | None = 1
) -> list[Recorded]:
    """Record sessions in an imported city. Drones and rovers in turn, two of each drive.

    Each drive has its own seed: other places, other traffic. They follow streets; where the city has none from which
    anything is in sight, they roam between what stands there, and there is no traffic. engine, workers: where drives
    are recorded, and how many at a time (one per core where None); what is recorded does not depend on it.
    ParallelError where a backend is missing.
    """
    if workers is not None and workers < 1:
        raise ValueError(f"workers {workers}: at least one process is needed")
    city, output = Path(city).resolve(), Path(output).resolve()
    with ProgressBar(1, "streets", "city") as progress:
        streets = Surroundings(city).streets
        progress.update()
    plan = plan if streets else replace(plan, actors=0)
    pattern = Pattern.STREET if streets else Pattern.ROAM
    drives = [
        CollectingJob(city, output, plan, pattern, plan.seed + number, plan.sessions - 2 * number == 1)
        for number in range((plan.sessions + 1) // 2)
    ]
    sessions: list[Recorded] = []
    with ProgressBar(plan.sessions * plan.frames, "record", "frame") as progress:
        if engine is Backend.LOCAL and workers == 1:
            for drive in drives:
                sessions += record(drive, progress.update)
        else:
            for recorded in run_tasks(engine, record, drives, workers):
                sessions += recorded
                progress.update(len(recorded) * plan.frames)
    return sessions


def record(drive: CollectingJob, tell: Callable[[int], object] = lambda frames: None) -> list[Recorded]:
    """Record one drive; the session of each robot. tell: is called with how many frames more there are."""
    plan = drive.plan
    fleet = Fleet(
        drones=1,
        rovers=0 if drive.alone else 1,
        actors=plan.actors,
        drone_altitude=plan.altitude,
        image_size=plan.image_size or Fleet.image_size,
        cameras=plan.image_size is not None,
    )
    simulator = Simulator(drive.city, fleet, drive.seed)
    missions = _missions(drive, simulator)
    recorders = [_Recorder(simulator, number, drive) for number in range(len(simulator.robots))]
    sweeps = _WARM_UP_SWEEPS + plan.frames * _SWEEPS_A_FRAME
    for number in range(1, sweeps + 1):
        for _ in range(round(_SWEEP_S / _COMMAND_S)):
            for robot, mission in enumerate(missions):
                others = [actor for actor in simulator.actors() if actor.instance != robot + 1]
                command = mission.command(simulator.motion(robot).pose, others)
                simulator.command(robot, command.linear, np.array([0.0, 0.0, command.yaw_rate]))
            simulator.step(_COMMAND_S)
        simulator.step_traffic(_SWEEP_S)
        keyframe = number > _WARM_UP_SWEEPS and (number - _WARM_UP_SWEEPS) % _SWEEPS_A_FRAME == 0
        actors = simulator.actors()
        for recorder in recorders:
            recorder.take(number * _SWEEP_S, actors, keyframe)
        tell(keyframe * len(recorders))
    for recorder, mission in zip(recorders, missions, strict=True):
        recorder.end(sweeps * _SWEEP_S)
        if mission.problem:
            tqdm.write(f"{recorder.folder.name}: {mission.problem}, and stood there from then on")
    return [Recorded(recorder.folder, recorder.frames, recorder.structured) for recorder in recorders]


def _missions(drive: CollectingJob, simulator: Simulator) -> list[Mission] | list[UnsteadyMission]:
    """One for each robot; they share one reading of the city."""
    plan, around, kinds = drive.plan, Surroundings(drive.city), [robot.kind for robot in simulator.robots]
    missions = [
        Mission(
            drive.city,
            MissionPlan(kind, drive.pattern, plan.pace * _SPEED[kind], plan.altitude, seed=drive.seed),
            around,
        )
        for kind in kinds
    ]
    if not plan.unsteady:
        return missions
    moods = np.random.default_rng(drive.seed).spawn(len(kinds))
    return [
        UnsteadyMission(mission, kind, _COMMAND_S, rng)
        for mission, kind, rng in zip(missions, kinds, moods, strict=True)
    ]


class _Recorder:
    """One robot's session."""

    def __init__(self, simulator: Simulator, number: int, drive: CollectingJob) -> None:
        robot = simulator.robots[number]
        links = link_poses(robot.xml)
        occupancy = drive.plan.occupancy
        builder = KeyframeBuilder(drive.plan.grid, occupancy, DEFAULT_WINDOW_S, simulator.city)
        self._simulator, self._number, self._frame_id = simulator, number, robot.lidar.frame
        self._tracker = FrameTracker(robot.name, builder, links, simulator.city.nearest_ground)
        sensors = {name: extrinsics(pose) for name, pose in links.items() if "optical" in name or "lidar" in name}
        info = SessionInfo(
            robot.name, drive.plan.grid, FRAME_PERIOD_S, occupancy.value, str(drive.city), drive.seed, sensors
        )
        self._writer = _new_session(drive.output, info)
        self.folder = self._writer.folder
        self.frames = self.structured = 0

    def take(self, stamp: float, actors: list[Actor], keyframe: bool) -> None:
        """A sweep of now, and at a keyframe a frame with images."""
        motion, sweep = self._simulator.motion(self._number), self._simulator.sweep(self._number)
        points = np.column_stack([sweep.points.reshape(-1, 3), sweep.intensity.ravel()]).astype(np.float32)
        odometry = Odometry(stamp, motion.pose, motion.linear, motion.angular)
        frame = self._tracker.add(SyncedSweep(stamp, points, self._frame_id, odometry, actors, keyframe))
        if frame is not None:
            self.frames += 1
            self.structured += bool(_STRUCTURE[frame.occupancy.classes].any())
            images = self._simulator.images(self._number)
            self._writer.write(
                replace(frame, images={CAMERAS[name]: jpeg(image, _JPEG_QUALITY) for name, image in images.items()})
            )

    def end(self, stamp: float) -> None:
        """Note that the session is whole."""
        self._writer.end(stamp)


def _new_session(root: Path, info: SessionInfo) -> SessionWriter:
    """A session named by the time of day, moved on by seconds where another process has that name or just took it."""
    when = datetime.now()
    while True:
        folder = root / session_name(info.agent, when)
        when += timedelta(seconds=1)
        if folder.exists():
            continue
        try:
            return SessionWriter(folder, info)
        except SessionError:
            if not folder.exists():
                raise

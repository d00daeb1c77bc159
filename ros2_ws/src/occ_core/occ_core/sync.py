"""One robot's messages put together by their stamps: a sweep with the exact pose, actors and images of its instant."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field, replace
from enum import Enum

import numpy as np

from occ_core.actors import Actor
from occ_core.odometry import Odometry, OdometryBuffer
from occ_core.pose_buffer import PoseBuffer
from occ_core.poses import Pose, velocity_between

__all__ = ["PATIENCE_S", "Odometry", "SweepSynchronizer", "SyncedSweep"]

SAME_INSTANT_S = 0.005
_EXACT_S = 1e-6
PATIENCE_S = 1.0  # of message time: what has not come a second later does not come
_MEMORY_S = 10.0  # of poses and heights that no sweep has asked for
_LONGEST_SWEEP_S = 1.0
_ACTORS_CARRIED_S = 0.15
_GLITCHES = 5  # velocities in a row that are no numbers; where there are more, there are none
_DISTRUSTED = "velocities of the odometry are not what its poses do, those of the poses are taken"
_UNMEASURED = "velocities of the odometry are no numbers, those of the poses are taken"
# m/s, rad/s that no robot has: twice a racing car's, and what robots' gyroscopes can say at most, 2,000 deg/s.
MOST_SPEED, MOST_TURN = 150.0, 35.0


@dataclass(frozen=True)
class SyncedSweep:
    """points: (n, 4) float32 x y z intensity in the sensor's frame. odometry: interpolated to the sweep's stamp; its
    velocities are a keyframe's only, where they have to be worked out from poses.

    keyframe: a frame is due at this sweep. images: by camera name, complete for a keyframe: (h, w, 3) uint8, or the
    bytes of a JPEG that came compressed. imu: (n, 7) float64 samples of the period before, columns as
    `frame_files.IMU_COLUMNS`, of a keyframe where IMU is recorded. ground: height of `base_footprint` in map, metres,
    None where nobody measures it.
    missed: why a frame that was due at this sweep can't be made, '' where none was due or one can.
    between: no sweep at all, but a frame that is due between two of them; it has no points of its own.
    times: (n,) float64, seconds after the stamp at which each point was measured, in the sensor's frame of that time;
    None where all were at once. motion: the poses of base_link over those times, known for as many of them as odometry
    is. mounts: where the sensor was in base_link over the same times, where it moves; None: the robot's links say it.
    correction: the frame of odometry in map, where the two are not one (REP 105).
    """

    stamp: float
    points: np.ndarray
    frame_id: str
    odometry: Odometry
    actors: list[Actor]
    keyframe: bool
    images: dict[str, np.ndarray | bytes] = field(default_factory=dict)
    imu: np.ndarray | None = None
    missed: str = ""
    ground: float | None = None
    between: bool = False
    times: np.ndarray | None = None
    motion: PoseBuffer | None = None
    mounts: PoseBuffer | None = None
    correction: Pose | None = None


@dataclass(frozen=True)
class _Sweep:
    stamp: float
    points: np.ndarray
    frame_id: str
    times: np.ndarray | None


class _Wait(Enum):
    WAIT = "something may still come"


_WAIT = _Wait.WAIT


class SweepSynchronizer:
    """Takes messages in any order across topics, gives sweeps in order. Counts what it had to drop, and why.

    Frames are due at whole multiples of `frame_period`, whatever the LiDAR's rate: one that no sweep falls on comes
    between two sweeps, once the second has come, with everything of its own instant.

    cameras: names whose images a keyframe needs. needs_actors: wait for actors of the sweep's instant. needs_ground:
    wait for the height of the ground around it. with_imu: a keyframe waits for the IMU to catch up; where that has gone
    silent the frame goes without, which is counted too. image_tolerance: seconds between a keyframe and its images.
    patience: seconds of message time that a sweep waits for the rest. distrust_twist: take velocities from the poses.
    """

    def __init__(
        self,
        frame_period: float,
        cameras: frozenset[str] = frozenset(),
        needs_actors: bool = False,
        with_imu: bool = False,
        needs_ground: bool = False,
        image_tolerance: float = SAME_INSTANT_S,
        patience: float = PATIENCE_S,
        distrust_twist: bool = False,
    ) -> None:
        self._period, self._cameras, self._needs_actors = frame_period, cameras, needs_actors
        self._needs_ground, self._tolerance, self._patience = needs_ground, image_tolerance, patience
        self._imu: deque[tuple[float, ...]] | None = deque() if with_imu else None
        self._sweeps: deque[_Sweep] = deque()
        self._odometry = OdometryBuffer(_MEMORY_S, patience, distrust_twist)
        self._frame_id = ""
        self._unmeasured = 0
        self._ground: deque[tuple[float, float]] = deque()
        self._actors: deque[tuple[float, list[Actor]]] = deque(maxlen=30)
        self._images: dict[str, deque[tuple[float, np.ndarray | bytes]]] = {}
        # A sweep waits for as long as its patience, and the IMU's samples of a period end at it.
        self._memory = 2 * patience + frame_period
        self._frame: int | None = None
        self._given = self._lost = self._newest = -np.inf
        self._ended = False
        self.dropped: dict[str, int] = {}
        self.mended: dict[str, int] = {}
        """What was set right, and how often."""
        self.resets = 0
        """How often the stamps went back, as where a simulator was started again."""

    def clear(self) -> None:
        """Forget everything that waits."""
        self._forget_after(-np.inf)

    def _forget_after(self, stamp: float) -> None:
        """The clock went back to a stamp: what is newer belongs to the time before."""
        for _ in self._sweeps:
            self.drop("sweep that still waited when the clock went back")
        self._sweeps.clear()
        self._odometry.forget_after(stamp)
        self._ground = deque(entry for entry in self._ground if entry[0] <= stamp)
        self._actors = deque((entry for entry in self._actors if entry[0] <= stamp), maxlen=30)
        if self._imu is not None:
            self._imu = deque(sample for sample in self._imu if sample[0] <= stamp)
        for camera, images in self._images.items():
            self._images[camera] = deque(entry for entry in images if entry[0] <= stamp)
        self._frame = None
        self._given = self._lost = self._newest = -np.inf

    def _reset(self, stamp: float) -> None:
        self.resets += 1
        self._forget_after(stamp + self._patience)

    def add_sweep(self, stamp: float, points: np.ndarray, frame_id: str, times: np.ndarray | None = None) -> None:
        """points: (n, 4) float32 x y z intensity in the frame `frame_id`. A stamp far back is a clock reset.

        times: (n,) float64 seconds after the stamp, of each point, where they differ.
        """
        if stamp <= self._newest:
            if stamp == self._newest:
                other = f"sweep of '{frame_id}' beside one of '{self._frame_id}': of two LiDARs on a topic one is read"
                self.drop("sweep that came twice" if frame_id == self._frame_id else other)
                return
            if stamp > self._newest - self._patience:
                self.drop("sweep out of order")
                return
            self._reset(stamp)
        self._newest, self._frame_id = stamp, frame_id
        self._sweeps.append(_Sweep(stamp, points, frame_id, times))

    def add_odometry(self, odometry: Odometry) -> None:
        """Odometry that is older than what came before is dropped, velocities that can't be are worked out anew."""
        if not self._follows(odometry.stamp):
            return
        self._unmeasured = 0 if odometry.measured else self._unmeasured + 1
        if self._unmeasured > _GLITCHES:
            self._odometry.distrust()
        if self._odometry.distrusted:
            self.mended[_DISTRUSTED if odometry.measured else _UNMEASURED] = 1
            return self._odometry.add_pose(odometry.stamp, odometry.pose)
        possible = odometry if _possible(odometry.linear, odometry.angular) else self._by_poses(odometry)
        if possible is not None:
            self._odometry.add(possible)
            if self._odometry.distrusted:
                self.mended[_DISTRUSTED] = 1

    def add_pose(self, stamp: float, pose: Pose) -> None:
        """Odometry without velocities: they follow from the poses. pose: of base_link."""
        if self._follows(stamp):
            self._odometry.add_pose(stamp, pose)

    def _follows(self, stamp: float) -> bool:
        """Whether odometry is newer than all before; much older is a clock that began anew."""
        if stamp > self._odometry.last:
            return True
        if stamp > self._odometry.last - self._patience:
            return False
        self._reset(stamp)
        return stamp > self._odometry.last

    def _by_poses(self, odometry: Odometry) -> Odometry | None:
        """Its pose with the velocities since the one before; None where there is none, or it jumps. Each is counted."""
        last = self._odometry.last
        if 0 < odometry.stamp - last <= self._patience:
            before = self._odometry.poses.at(last)
            linear, angular = velocity_between(before, odometry.pose, odometry.stamp - last)
            if _possible(linear, angular):
                self.drop("odometry with an impossible velocity, worked out from poses instead")
                return replace(odometry, linear=linear, angular=angular)
        self.drop("odometry with an impossible velocity")
        return None

    def add_ground(self, stamp: float, height: float) -> None:
        """The height of `base_footprint` in map, metres, at a stamp."""
        while self._ground and self._ground[-1][0] >= stamp:
            self._ground.pop()
        self._ground.append((stamp, height))
        while self._ground[0][0] < stamp - _MEMORY_S:
            self._ground.popleft()

    def add_actors(self, stamp: float, actors: list[Actor]) -> None:
        """Where everything that moves is at a stamp, the robot itself included or not."""
        self._actors.append((stamp, actors))

    def add_image(self, stamp: float, camera: str, image: np.ndarray | bytes) -> None:
        """image: (h, w, 3) uint8 RGB, or the bytes of a JPEG."""
        images = self._images.setdefault(camera, deque())
        images.append((stamp, image))
        # A picture takes megabytes: those that no keyframe can want any more go, whether sweeps come or not.
        while not stamp - self._memory <= images[0][0] <= stamp + self._patience:
            images.popleft()

    def add_imu(self, stamp: float, angular: np.ndarray, force: np.ndarray) -> None:
        """angular: (3,) rad/s; force: (3,) m/s^2, specific force with gravity; both in the IMU's frame."""
        if self._imu is None or (self._imu and stamp <= self._imu[-1][0]):
            return
        self._imu.append((stamp, *map(float, angular), *map(float, force)))
        while self._imu[0][0] < stamp - self._memory:
            self._imu.popleft()

    @property
    def settled(self) -> float:
        """Stamp of the newest sweep that was taken or given up, seconds; minus infinity before the first."""
        return max(self._given, self._lost)

    def take(self) -> list[SyncedSweep]:
        """Every sweep that is complete by now, and every frame that is due between sweeps, oldest first."""
        ready: list[SyncedSweep] = []
        while self._sweeps or self._settled() is not None:
            due = self._settled()
            made = self._frame_between(due) if due is not None else self._oldest_sweep()
            if made is _WAIT:
                break
            if isinstance(made, SyncedSweep):
                ready.append(made)
        return ready

    def end(self) -> list[SyncedSweep]:
        """Make what can be made of all that still waits: nothing more will come."""
        self._ended = True
        try:
            return self.take()
        finally:
            self._ended = False

    def _settled(self) -> float | None:
        """When the next frame is due, where all its sweeps have been given and it falls on none of them; else None."""
        if self._frame is None:
            return None
        due = (self._frame + 1) * self._period
        if abs(self._given - due) <= SAME_INSTANT_S:
            return due
        return due if self._sweeps and self._sweeps[0].stamp > due + SAME_INSTANT_S else None

    def _frame_between(self, due: float) -> SyncedSweep | _Wait | None:
        """The frame at an instant between sweeps; None where there can't be one, which the next one then follows."""
        late = self._ended or max(self._newest, self._odometry.last) > due + self._patience
        if self._given <= due - self._period + _EXACT_S:
            # No sweep of the period before it, nor of any before the sweep that waits now.
            if self._sweeps[0].stamp - self.settled > self._period + _EXACT_S:
                self.drop("no sweep for longer than a frame's period, and no frame")
            waiting = int(np.ceil((self._sweeps[0].stamp - SAME_INSTANT_S) / self._period)) - 1
            self._frame = max(waiting, self._frame_number + 1)
            return None
        if abs(self._lost - due) <= SAME_INSTANT_S:
            self._frame = self._frame_number + 1
            return None
        odometry = self._odometry.at(due, late)
        actors = self._actors_at(due)
        if actors is None and not late and self._actors_may_come(due):
            return _WAIT
        actors = self._actors_near(due) if actors is None else actors
        ground = self._ground_at(due)
        lacks = ""
        if odometry is None:
            lacks = "odometry"
        elif self._needs_actors and actors is None:
            lacks = "actors"
        elif self._needs_ground and ground is None:
            lacks = "height of the ground"
        if lacks or odometry is None:
            if not late and self._odometry.poses.first <= due:
                return _WAIT
            if lacks != "odometry":  # Sweeps in a gap of odometry are dropped and counted themselves.
                self.drop(f"no {lacks} at a frame")
            self._frame = self._frame_number + 1
            return None
        attached = self._attached(due, late)
        if attached is None:
            return _WAIT
        images, imu, missed = attached
        self._frame = self._frame_number + 1
        nothing = np.zeros((0, 4), np.float32)
        return SyncedSweep(
            due, nothing, "", odometry, actors or [], not missed, images, imu, missed, ground, between=True
        )

    @property
    def _frame_number(self) -> int:
        return self._frame if self._frame is not None else -1

    def _oldest_sweep(self) -> SyncedSweep | _Wait | None:
        """The oldest sweep put together; None where it can't ever be, which is counted."""
        sweep = self._sweeps[0]
        stamp = sweep.stamp
        late = self._ended or max(self._newest, self._odometry.last) > stamp + self._patience
        if self._frame is None:
            # Keyframes fall on whole periods: a recording that begins between two waits for the next.
            self._frame = int(np.ceil((stamp - SAME_INSTANT_S) / self._period)) - 1
        keyframe = abs(stamp - (self._frame + 1) * self._period) <= _EXACT_S
        odometry = self._odometry.at(stamp, late, moving=keyframe)
        if odometry is None:
            too_old = self._odometry.poses.first > stamp + SAME_INSTANT_S and len(self._odometry.poses) > 0
            if not (late or too_old):
                return _WAIT
            self._lose("no odometry around a sweep")
            return None
        if sweep.times is not None and self._odometry.last < stamp + float(sweep.times.max()) and not late:
            return _WAIT
        actors = self._actors_at(stamp)
        if actors is None and not late and (self._needs_actors or self._actors_may_come(stamp)):
            return _WAIT
        if actors is None and self._needs_actors:
            self._lose("no actors at a sweep")
            return None
        ground = self._ground_at(stamp)
        if ground is None and self._needs_ground:
            if not late:
                return _WAIT
            self._lose("no height of the ground around a sweep")
            return None
        images: dict[str, np.ndarray | bytes] = {}
        imu, missed = None, ""
        if keyframe:
            attached = self._attached(stamp, late)
            if attached is None:
                return _WAIT
            images, imu, missed = attached
            self._frame += 1
        motion = None
        if sweep.times is not None:
            begin, end = stamp + min(float(sweep.times.min()), 0.0), stamp + max(float(sweep.times.max()), 0.0)
            motion = self._odometry.poses.between(begin, end, stamp)
        self._sweeps.popleft()
        self._given = stamp
        self._forget_before(stamp)
        return SyncedSweep(
            stamp, sweep.points, sweep.frame_id, odometry, actors or [], keyframe and not missed, images, imu, missed,
            ground, times=sweep.times, motion=motion,
        )  # fmt: skip

    def _attached(
        self, stamp: float, late: bool
    ) -> tuple[dict[str, np.ndarray | bytes], np.ndarray | None, str] | None:
        """Images and IMU samples of a frame, and what it can't be made for; None while they may still come."""
        images, settled = self._images_at(stamp)
        if not settled and not late:
            return None
        missing = self._cameras - images.keys()
        if not missing and self._imu is not None:
            caught_up = bool(self._imu) and self._imu[-1][0] >= stamp
            if not caught_up and not late:
                return None
            if not caught_up:
                self.drop("IMU silent at a keyframe")
        if missing:
            missed = f"no image of {', '.join(sorted(missing))} at a keyframe"
            self.drop(missed)
            return {}, None, missed
        return images, self._imu_until(stamp) if self._imu is not None else None, ""

    def _lose(self, why: str) -> None:
        """Give the oldest sweep up, and the frame that falls on it."""
        self._lost = self._sweeps.popleft().stamp
        if not self._ended or not why.startswith("no odometry"):  # What came after the last odometry was in time.
            self.drop(why)

    def _ground_at(self, stamp: float) -> float | None:
        """Between two heights, linearly; None until there is one at the stamp or after it."""
        stamps = [at for at, _ in self._ground]
        if not stamps or stamps[-1] < stamp - 1e-9 or stamps[0] > stamp + self._patience:
            return None
        return float(np.interp(stamp, stamps, [height for _, height in self._ground]))

    def _actors_at(self, stamp: float) -> list[Actor] | None:
        return next((actors for at, actors in self._actors if abs(at - stamp) < SAME_INSTANT_S), None)

    def _actors_near(self, stamp: float) -> list[Actor] | None:
        """Actors of the nearest message, where their velocities have carried them at a stamp."""
        at, actors = min(self._actors, key=lambda entry: abs(entry[0] - stamp), default=(np.inf, []))
        if abs(at - stamp) > _ACTORS_CARRIED_S:
            return None
        ahead = stamp - at
        return [
            replace(a, pose=Pose(a.pose.position + ahead * np.asarray(a.velocity), a.pose.orientation)) for a in actors
        ]

    def _actors_may_come(self, stamp: float) -> bool:
        return bool(self._actors) and stamp - self._patience < self._actors[-1][0] < stamp

    def _images_at(self, stamp: float) -> tuple[dict[str, np.ndarray | bytes], bool]:
        """The nearest image of each camera within the tolerance; whether no nearer one can come."""
        nearest: dict[str, np.ndarray | bytes] = {}
        settled = True
        for camera in self._cameras | self._images.keys():
            images = self._images.get(camera, deque())
            apart, image = min(
                ((abs(at - stamp), image) for at, image in images), key=lambda e: e[0], default=(np.inf, b"")
            )
            if apart < self._tolerance:
                nearest[camera] = image
            waits = camera in self._cameras or apart < self._tolerance
            settled &= not waits or apart < SAME_INSTANT_S or (apart < self._tolerance and images[-1][0] >= stamp)
        return nearest, settled

    def _imu_until(self, stamp: float) -> np.ndarray:
        """(n, 7) samples of the period that ends at a keyframe."""
        rows = [sample for sample in self._imu or () if stamp - self._period < sample[0] <= stamp]
        return np.array(rows, dtype=np.float64).reshape(-1, 7)

    def _forget_before(self, stamp: float) -> None:
        self._odometry.forget_before(stamp - _LONGEST_SWEEP_S)
        while len(self._ground) > 2 and self._ground[1][0] < stamp - SAME_INSTANT_S:
            self._ground.popleft()
        for images in self._images.values():
            # Sweeps come in order: no later one is as near to these as the tolerance.
            while images and images[0][0] <= stamp - self._tolerance:
                images.popleft()

    def drop(self, reason: str) -> None:
        """Count something that is left out."""
        self.dropped[reason] = self.dropped.get(reason, 0) + 1


def _possible(linear: np.ndarray, angular: np.ndarray) -> bool:
    return math.hypot(*linear.tolist()) <= MOST_SPEED and math.hypot(*angular.tolist()) <= MOST_TURN

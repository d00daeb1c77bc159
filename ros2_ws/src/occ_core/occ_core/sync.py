"""One robot's messages put together by their stamps: a sweep with the exact pose, actors and images of its instant."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from occ_core.actors import Actor
from occ_core.poses import Pose, interpolate

_SAME_INSTANT_S = 0.005
_PATIENCE_S = 1.0  # of message time: what has not come a second later does not come


@dataclass(frozen=True)
class Odometry:
    """base_link in map at a stamp in seconds; linear, angular: (3,) velocities in base_link."""

    stamp: float
    pose: Pose
    linear: np.ndarray
    angular: np.ndarray


@dataclass(frozen=True)
class SyncedSweep:
    """points: (n, 4) float32 x y z intensity in the sensor's frame. odometry: interpolated to the sweep's stamp.

    keyframe: a frame is due at this sweep. images: (h, w, 3) uint8 by camera name, complete for a keyframe. imu: (n, 7)
    float64 samples of the period before, columns as `frame_files.IMU_COLUMNS`, of a keyframe where IMU is recorded.
    missed: why a frame that was due at this sweep can't be made, '' where none was due or one can.
    """

    stamp: float
    points: np.ndarray
    frame_id: str
    odometry: Odometry
    actors: list[Actor]
    keyframe: bool
    images: dict[str, np.ndarray] = field(default_factory=dict)
    imu: np.ndarray | None = None
    missed: str = ""


class SweepSynchronizer:
    """Takes messages in any order across topics, gives sweeps in order. Counts what it had to drop, and why.

    cameras: names whose images a keyframe needs. needs_actors: wait for actors of the sweep's instant. with_imu: a
    keyframe waits for the IMU to catch up; where that has gone silent the frame goes without, which is counted too.
    """

    def __init__(
        self,
        frame_period: float,
        cameras: frozenset[str] = frozenset(),
        needs_actors: bool = False,
        with_imu: bool = False,
    ) -> None:
        self._period, self._cameras, self._needs_actors = frame_period, cameras, needs_actors
        self._imu: deque[tuple[float, ...]] | None = deque() if with_imu else None
        self._sweeps: deque[tuple[float, np.ndarray, str]] = deque()
        self._odometry: deque[Odometry] = deque()
        self._actors: deque[tuple[float, list[Actor]]] = deque(maxlen=30)
        self._images: dict[str, deque[tuple[float, np.ndarray]]] = {}
        # A sweep waits for as long as its patience, and the IMU's samples of a period end at it.
        self._memory = 2 * _PATIENCE_S + frame_period
        self._frame: int | None = None
        self._newest = -np.inf
        self.dropped: dict[str, int] = {}

    def clear(self) -> None:
        """Forget everything that waits, as after a clock reset."""
        for queue in (self._sweeps, self._odometry, self._actors, self._images):
            queue.clear()
        if self._imu is not None:
            self._imu.clear()
        self._frame = None
        self._newest = -np.inf

    def add_sweep(self, stamp: float, points: np.ndarray, frame_id: str) -> None:
        """points: (n, 4) float32 x y z intensity in the frame `frame_id`. A stamp far back is a clock reset."""
        if stamp <= self._newest:
            if stamp > self._newest - _PATIENCE_S:
                self._drop("sweep out of order")
                return
            self.clear()
        self._newest = stamp
        self._sweeps.append((stamp, points, frame_id))

    def add_odometry(self, odometry: Odometry) -> None:
        """Odometry that is older than what came before is dropped."""
        if self._odometry and odometry.stamp <= self._odometry[-1].stamp:
            if odometry.stamp < self._odometry[-1].stamp - _PATIENCE_S:
                self.clear()
            else:
                return
        self._odometry.append(odometry)

    def add_actors(self, stamp: float, actors: list[Actor]) -> None:
        """Where everything that moves is at a stamp, the robot itself included or not."""
        self._actors.append((stamp, actors))

    def add_image(self, stamp: float, camera: str, pixels: np.ndarray) -> None:
        """pixels: (h, w, 3) uint8 RGB. Of each camera, what is too old to be waited for is let go of."""
        waiting = self._images.setdefault(camera, deque())
        waiting.append((stamp, pixels))
        while not stamp - self._memory <= waiting[0][0] <= stamp + _PATIENCE_S:
            waiting.popleft()

    def add_imu(self, stamp: float, angular: np.ndarray, force: np.ndarray) -> None:
        """angular: (3,) rad/s; force: (3,) m/s^2, specific force with gravity; both in the IMU's frame."""
        if self._imu is None or (self._imu and stamp <= self._imu[-1][0]):
            return
        self._imu.append((stamp, *map(float, angular), *map(float, force)))
        while self._imu[0][0] < stamp - self._memory:
            self._imu.popleft()

    def take(self) -> list[SyncedSweep]:
        """Every sweep that is complete by now, oldest first."""
        ready = []
        while self._sweeps:
            sweep = self._try_oldest()
            if sweep is None:
                break
            self._sweeps.popleft()
            ready.append(sweep) if isinstance(sweep, SyncedSweep) else self._drop(sweep)
        return ready

    def _try_oldest(self) -> SyncedSweep | str | None:
        """The oldest sweep put together; why it can't ever be; or None while something may still come."""
        stamp, points, frame_id = self._sweeps[0]
        late = max(self._sweeps[-1][0], self._odometry[-1].stamp if self._odometry else -np.inf) > stamp + _PATIENCE_S
        odometry = self._odometry_at(stamp)
        if odometry is None:
            too_old = bool(self._odometry) and self._odometry[0].stamp > stamp + _SAME_INSTANT_S
            return "no odometry around a sweep" if late or too_old else None
        actors = self._actors_at(stamp)
        if actors is None and self._needs_actors:
            if not late:
                return None
            return "no actors at a sweep"
        frame = int(np.floor((stamp + _SAME_INSTANT_S) / self._period))
        if self._frame is None:
            # Keyframes fall on whole periods: a recording that begins between two waits for the next.
            self._frame = frame if stamp - frame * self._period > _SAME_INSTANT_S else frame - 1
        keyframe = frame > self._frame
        images, missed = self._images_at(stamp) if keyframe else {}, ""
        if keyframe and self._cameras - images.keys():
            if not late:
                return None
            missed = f"no image of {', '.join(sorted(self._cameras - images.keys()))} at a keyframe"
            self._drop(missed)
            keyframe, images = False, {}
        imu = None
        if keyframe and self._imu is not None:
            caught_up = bool(self._imu) and self._imu[-1][0] >= stamp
            if not caught_up and not late:
                return None
            if not caught_up:
                self._drop("IMU silent at a keyframe")
            imu = self._imu_until(stamp)
        self._frame = max(frame, self._frame)
        self._forget_before(stamp)
        return SyncedSweep(stamp, points, frame_id, odometry, actors or [], keyframe, images, imu, missed)

    def _odometry_at(self, stamp: float) -> Odometry | None:
        after = next((i for i, o in enumerate(self._odometry) if o.stamp >= stamp - 1e-9), None)
        if after is None:
            return None
        b = self._odometry[after]
        if b.stamp - stamp < 1e-9:
            return b
        if after == 0:
            return None
        a = self._odometry[after - 1]
        if b.stamp - a.stamp > _PATIENCE_S:  # too far apart to say what was between
            return None
        part = (stamp - a.stamp) / (b.stamp - a.stamp)
        linear, angular = ((1 - part) * u + part * v for u, v in ((a.linear, b.linear), (a.angular, b.angular)))
        return Odometry(stamp, interpolate(a.pose, b.pose, part), linear, angular)

    def _actors_at(self, stamp: float) -> list[Actor] | None:
        return next((actors for at, actors in self._actors if abs(at - stamp) < _SAME_INSTANT_S), None)

    def _images_at(self, stamp: float) -> dict[str, np.ndarray]:
        found = {
            camera: [pixels for at, pixels in waiting if abs(at - stamp) < _SAME_INSTANT_S]
            for camera, waiting in self._images.items()
        }
        return {camera: images[0] for camera, images in found.items() if images}

    def _imu_until(self, stamp: float) -> np.ndarray:
        """(n, 7) samples of the period that ends at a keyframe."""
        rows = [sample for sample in self._imu or () if stamp - self._period < sample[0] <= stamp]
        return np.array(rows, dtype=np.float64).reshape(-1, 7)

    def _forget_before(self, stamp: float) -> None:
        while len(self._odometry) > 2 and self._odometry[1].stamp < stamp - _SAME_INSTANT_S:
            self._odometry.popleft()
        for waiting in self._images.values():
            while waiting and waiting[0][0] <= stamp - self._period:
                waiting.popleft()

    def _drop(self, reason: str) -> None:
        self.dropped[reason] = self.dropped.get(reason, 0) + 1

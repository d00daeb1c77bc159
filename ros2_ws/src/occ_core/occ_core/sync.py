"""One robot's messages put together by their stamps: a sweep with the exact pose, actors and images of its instant."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from occ_core.actors import Actor
from occ_core.poses import Pose, interpolate

_SAME_INSTANT_S = 0.005
PATIENCE_S = 1.0  # of message time: what has not come a second later does not come
_MEMORY_S = 10.0  # of poses and heights that no sweep has asked for


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

    keyframe: a frame is due at this sweep. images: by camera name, complete for a keyframe: (h, w, 3) uint8, or the
    bytes of a JPEG that came compressed. imu: (n, 7) float64 samples of the period before, columns as
    `frame_files.IMU_COLUMNS`, of a keyframe where IMU is recorded. ground: height of `base_footprint` in map, metres,
    None where nobody measures it.
    missed: why a frame that was due at this sweep can't be made, '' where none was due or one can.
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


class SweepSynchronizer:
    """Takes messages in any order across topics, gives sweeps in order. Counts what it had to drop, and why.

    cameras: names whose images a keyframe needs. needs_actors: wait for actors of the sweep's instant. needs_ground:
    wait for the height of the ground around it. with_imu: a keyframe waits for the IMU to catch up; where that has gone
    silent the frame goes without, which is counted too. image_tolerance: seconds between a keyframe and its images.
    patience: seconds of message time that a sweep waits for the rest.
    """

    def __init__(
        self,
        frame_period: float,
        cameras: frozenset[str] = frozenset(),
        needs_actors: bool = False,
        with_imu: bool = False,
        needs_ground: bool = False,
        image_tolerance: float = _SAME_INSTANT_S,
        patience: float = PATIENCE_S,
    ) -> None:
        self._period, self._cameras, self._needs_actors = frame_period, cameras, needs_actors
        self._needs_ground, self._tolerance, self._patience = needs_ground, image_tolerance, patience
        self._imu: deque[tuple[float, ...]] | None = deque() if with_imu else None
        self._sweeps: deque[tuple[float, np.ndarray, str]] = deque()
        self._odometry: deque[Odometry] = deque()
        self._ground: deque[tuple[float, float]] = deque()
        self._actors: deque[tuple[float, list[Actor]]] = deque(maxlen=30)
        self._images: dict[str, deque[tuple[float, np.ndarray | bytes]]] = {}
        # A sweep waits for as long as its patience, and the IMU's samples of a period end at it.
        self._memory = 2 * patience + frame_period
        self._frame: int | None = None
        self._newest = -np.inf
        self.dropped: dict[str, int] = {}
        self.settled = -np.inf
        """Stamp of the newest sweep that was taken or given up, seconds."""
        self.resets = 0
        """How often the stamps went back, as where a simulator was started again."""

    def clear(self) -> None:
        """Forget everything that waits."""
        self._forget_after(-np.inf)

    def _forget_after(self, stamp: float) -> None:
        """The clock went back to a stamp: what is newer belongs to the time before."""
        for _ in self._sweeps:
            self._drop("sweep that still waited when the clock went back")
        self._sweeps.clear()
        self._odometry = deque(o for o in self._odometry if o.stamp <= stamp)
        self._ground = deque(entry for entry in self._ground if entry[0] <= stamp)
        self._actors = deque((entry for entry in self._actors if entry[0] <= stamp), maxlen=30)
        if self._imu is not None:
            self._imu = deque(sample for sample in self._imu if sample[0] <= stamp)
        for camera, images in self._images.items():
            self._images[camera] = deque(entry for entry in images if entry[0] <= stamp)
        self._frame = None
        self._newest = -np.inf

    def _reset(self, stamp: float) -> None:
        self.resets += 1
        self._forget_after(stamp + self._patience)

    def add_sweep(self, stamp: float, points: np.ndarray, frame_id: str) -> None:
        """points: (n, 4) float32 x y z intensity in the frame `frame_id`. A stamp far back is a clock reset."""
        if stamp <= self._newest:
            if stamp > self._newest - self._patience:
                self._drop("sweep out of order")
                return
            self._reset(stamp)
        self._newest = stamp
        self._sweeps.append((stamp, points, frame_id))

    def add_odometry(self, odometry: Odometry) -> None:
        """Odometry that is older than what came before is dropped."""
        if self._odometry and odometry.stamp <= self._odometry[-1].stamp:
            if odometry.stamp > self._odometry[-1].stamp - self._patience:
                return
            self._reset(odometry.stamp)
        self._odometry.append(odometry)
        while self._odometry[0].stamp < odometry.stamp - _MEMORY_S:
            self._odometry.popleft()

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

    def take(self) -> list[SyncedSweep]:
        """Every sweep that is complete by now, oldest first."""
        ready = []
        while self._sweeps:
            sweep = self._try_oldest()
            if sweep is None:
                break
            self.settled = self._sweeps.popleft()[0]
            ready.append(sweep) if isinstance(sweep, SyncedSweep) else self._drop(sweep)
        return ready

    def _try_oldest(self) -> SyncedSweep | str | None:
        """The oldest sweep put together; why it can't ever be; or None while something may still come."""
        stamp, points, frame_id = self._sweeps[0]
        newest = max(self._sweeps[-1][0], self._odometry[-1].stamp if self._odometry else -np.inf)
        late = newest > stamp + self._patience
        odometry = self._odometry_at(stamp)
        if odometry is None:
            too_old = bool(self._odometry) and self._odometry[0].stamp > stamp + _SAME_INSTANT_S
            return "no odometry around a sweep" if late or too_old else None
        actors = self._actors_at(stamp)
        if actors is None and not late and (self._needs_actors or self._actors_may_come(stamp)):
            return None
        if actors is None and self._needs_actors:
            return "no actors at a sweep"
        ground = self._ground_at(stamp)
        if ground is None and self._needs_ground:
            return "no height of the ground around a sweep" if late else None
        frame = int(np.floor((stamp + _SAME_INSTANT_S) / self._period))
        if self._frame is None:
            # Keyframes fall on whole periods: a recording that begins between two waits for the next.
            self._frame = frame if stamp - frame * self._period > _SAME_INSTANT_S else frame - 1
        keyframe = frame > self._frame
        images: dict[str, np.ndarray | bytes] = {}
        missed = ""
        if keyframe:
            images, settled = self._images_at(stamp)
            if not settled and not late:
                return None
            if missing := self._cameras - images.keys():
                missed = f"no image of {', '.join(sorted(missing))} at a keyframe"
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
        return SyncedSweep(stamp, points, frame_id, odometry, actors or [], keyframe, images, imu, missed, ground)

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
        if b.stamp - a.stamp > self._patience:
            return None  # A pose in the middle of such a gap would be a guess.
        part = (stamp - a.stamp) / (b.stamp - a.stamp)
        linear, angular = ((1 - part) * u + part * v for u, v in ((a.linear, b.linear), (a.angular, b.angular)))
        return Odometry(stamp, interpolate(a.pose, b.pose, part), linear, angular)

    def _ground_at(self, stamp: float) -> float | None:
        """Between two heights, linearly; None until there is one at the stamp or after it."""
        stamps = [at for at, _ in self._ground]
        if not stamps or stamps[-1] < stamp - 1e-9 or stamps[0] > stamp + self._patience:
            return None
        return float(np.interp(stamp, stamps, [height for _, height in self._ground]))

    def _actors_at(self, stamp: float) -> list[Actor] | None:
        return next((actors for at, actors in self._actors if abs(at - stamp) < _SAME_INSTANT_S), None)

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
            settled &= not waits or apart < _SAME_INSTANT_S or (apart < self._tolerance and images[-1][0] >= stamp)
        return nearest, settled

    def _imu_until(self, stamp: float) -> np.ndarray:
        """(n, 7) samples of the period that ends at a keyframe."""
        rows = [sample for sample in self._imu or () if stamp - self._period < sample[0] <= stamp]
        return np.array(rows, dtype=np.float64).reshape(-1, 7)

    def _forget_before(self, stamp: float) -> None:
        while len(self._odometry) > 2 and self._odometry[1].stamp < stamp - _SAME_INSTANT_S:
            self._odometry.popleft()
        while len(self._ground) > 2 and self._ground[1][0] < stamp - _SAME_INSTANT_S:
            self._ground.popleft()
        for images in self._images.values():
            # Sweeps come in order: no later one is as near to these as the tolerance.
            while images and images[0][0] <= stamp - self._tolerance:
                images.popleft()

    def _drop(self, reason: str) -> None:
        self.dropped[reason] = self.dropped.get(reason, 0) + 1

"""One keyframe of a robot: everything that a session keeps of an instant."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from occ_core.poses import Pose


@dataclass(frozen=True)
class VehicleState:
    """Motion of a vehicle at an instant.

    stamp: seconds. base_link: pose in `map`. linear, angular: (3,) m/s and rad/s in `base_link`. footprint:
    `base_footprint` in `map`, the frame of the grid and of the points.
    """

    stamp: float
    base_link: Pose
    linear: np.ndarray
    angular: np.ndarray
    footprint: Pose

    @property
    def pose_13d(self) -> np.ndarray:
        """(13,) float64: x y z qw qx qy qz vx vy vz wx wy wz of base_link."""
        return np.concatenate([self.base_link.position, self.base_link.orientation, self.linear, self.angular])


@dataclass(frozen=True)
class Occupancy:
    """A labelled grid in `base_footprint`.

    classes: uint8 (X, Y, Z), 0 empty. observed: bool (X, Y, Z), what LiDAR has seen, occupied or free. instance:
    uint16 (X, Y, Z), ids of moving things, 0 elsewhere; where nothing moves it may be one 0 without memory of its own,
    not to be written to.
    """

    classes: np.ndarray
    observed: np.ndarray
    instance: np.ndarray


@dataclass(frozen=True)
class Frame:
    """points: (n, 4) float32 x y z intensity in `base_footprint`. images: JPEG bytes by nuScenes channel name.

    imu: (n, 7) float64, samples of the period that ends at it (columns: `frame_files.IMU_COLUMNS`); None: not recorded.
    """

    state: VehicleState
    points: np.ndarray
    occupancy: Occupancy
    images: dict[str, bytes] = field(default_factory=dict)
    imu: np.ndarray | None = None

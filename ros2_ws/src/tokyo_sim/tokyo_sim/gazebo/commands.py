"""Commands as Gazebo's controllers take them."""

from __future__ import annotations

import numpy as np

from occ_core.poses import Pose, footprint


def in_body_frame(level: np.ndarray, base_link: Pose) -> np.ndarray:
    """A drone's velocity in base_link, (3,) m/s: MulticopterVelocityControl turns with the body, our cmd_vel does not.

    level: (3,) m/s, forward and left parallel to the ground, up. base_link: in map.
    """
    return base_link.rotation.T @ footprint(base_link, 0.0).rotation @ level

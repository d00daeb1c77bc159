"""Robots as shapes in the scene."""

from __future__ import annotations

import numpy as np
import viser

from occ_core.classes import COLOURS, Semantic
from occ_core.poses import Pose

_UP = np.array([1.0, 0, 0, 0])


class RobotShape:
    """A robot as a body with four wheels or rotors and a nose that points forward; not to scale of any one model."""

    def __init__(self, server: viser.ViserServer, root: str, name: str) -> None:
        scene, path = server.scene, f"{root}/robots/{name}"
        flies = name.startswith("drone")
        colour = tuple(int(v) for v in COLOURS[Semantic.DRONE if flies else Semantic.ROVER])
        self._frame = scene.add_frame(path, show_axes=False, visible=False)
        scene.add_box(f"{path}/body", colour, (0.5, 0.4, 0.16) if flies else (0.9, 0.55, 0.3))
        scene.add_box(f"{path}/nose", (250, 250, 250), (0.2, 0.3, 0.12), position=(0.3 if flies else 0.5, 0, 0.05))
        reach, radius = (0.42, 0.22) if flies else (0.36, 0.17)
        for number, (x, y) in enumerate([(1, 1), (1, -1), (-1, 1), (-1, -1)]):
            turned = _UP if flies else np.array([np.sqrt(0.5), np.sqrt(0.5), 0, 0])
            scene.add_cylinder(
                f"{path}/round_{number}", radius, 0.02 if flies else 0.1, color=colour if flies else (20, 20, 24),
                wxyz=turned, position=(reach * x, reach * y * (1 if flies else 0.9), 0.1 if flies else -0.12),
            )  # fmt: skip
        scene.add_label(f"{path}/name", name, position=(0, 0, 0.9), anchor="bottom-center")

    def place(self, pose: Pose) -> None:
        """pose: base_link in map."""
        self._frame.position, self._frame.wxyz, self._frame.visible = pose.position, pose.orientation, True

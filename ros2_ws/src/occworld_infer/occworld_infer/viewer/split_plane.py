"""The plane that parts the scene: what came on its left, what had been forecast on its right."""

from __future__ import annotations

import viser

from occ_core.grid import VoxelGrid
from occ_core.poses import Pose

_THICK_M, _HIGH_M, _BESIDE_M = 0.05, 6.0, 3.0
_COLOUR = (255, 255, 255)


def split_at(grid: VoxelGrid, share: float) -> float:
    """Metres to the left of the footprint, for a share of the grid's width from its left edge: 0 to 1."""
    return float(grid.upper[1] + share * (grid.lower[1] - grid.upper[1]))


class SplitPlane:
    """A pane of glass along the robot's way, with the names of both sides beside its far edge."""

    def __init__(self, server: viser.ViserServer, root: str) -> None:
        scene, path = server.scene, f"{root}/split"
        self._server = server
        self._frame = scene.add_frame(path, show_axes=False, visible=False)
        self._pane = scene.add_box(
            f"{path}/pane", _COLOUR, (1.0, _THICK_M, _HIGH_M), opacity=0.16, side="double", cast_shadow=False,
            receive_shadow=False,
        )  # fmt: skip
        self._edge = scene.add_box(f"{path}/edge", _COLOUR, (1.0, _THICK_M, _THICK_M), cast_shadow=False)
        self._came = scene.add_label(f"{path}/came", "", anchor="bottom-right", font_screen_scale=1.15)
        self._forecast = scene.add_label(f"{path}/forecast", "", anchor="bottom-left", font_screen_scale=1.15)

    def show(self, grid: VoxelGrid, frame: Pose, y: float, made_ago: float) -> None:
        """frame: of the grid, in map. y: metres to the left in it. made_ago: seconds, of the forecast."""
        x, middle = float(grid.upper[0]), float(grid.lower[0] + grid.upper[0]) / 2
        length = float(grid.upper[0] - grid.lower[0])
        with self._server.atomic():
            self._frame.position, self._frame.wxyz = frame.position, frame.orientation
            self._pane.dimensions, self._edge.dimensions = (length, _THICK_M, _HIGH_M), (length, _THICK_M, _THICK_M)
            self._pane.position, self._edge.position = (middle, y, _HIGH_M / 2), (middle, y, _HIGH_M)
            self._came.text, self._forecast.text = "◀ what came", f"forecast {made_ago:g} s before ▶"
            self._came.position, self._forecast.position = (x, y + _BESIDE_M, _HIGH_M), (x, y - _BESIDE_M, _HIGH_M)
            self._frame.visible = True

    def hide(self) -> None:
        """Take it away."""
        self._frame.visible = False

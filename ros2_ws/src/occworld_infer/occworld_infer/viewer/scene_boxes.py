"""Many boxes in one node of the scene, changed in place: making it anew would show the scene without it for a blink."""

from __future__ import annotations

import numpy as np
import viser

from occ_core.actors import BOX_FACES
from occ_core.poses import Pose

CUBE = np.array([(x, y, z) for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)], dtype=np.float32)
"""(8, 3): corners of a cube of side 1 about its middle, in the order that `BOX_FACES` counts."""
LEVEL = np.array([[1.0, 0, 0, 0]], dtype=np.float32)
"""(1, 4): not turned."""


class SceneBoxes:
    """Boxes below one path of the scene tree."""

    def __init__(self, server: viser.ViserServer, path: str) -> None:
        self._server = server
        self._visible, self._count = True, 0
        self._handle = server.scene.add_batched_meshes_simple(
            path, CUBE, BOX_FACES, LEVEL, np.zeros((1, 3), np.float32), batched_scales=np.ones((1, 3), np.float32),
            batched_colors=np.zeros((1, 3), np.uint8), flat_shading=True, lod="off", cast_shadow=False,
            receive_shadow=False, visible=False,
        )  # fmt: skip

    def show(
        self, centres: np.ndarray, sizes: np.ndarray, turned: np.ndarray, colours: np.ndarray, frame: Pose | None = None
    ) -> None:  # fmt: skip
        """Show these instead of the last ones; what is as it was is not sent again.

        centres: (n, 3) metres in `frame`, in the root where it is None. sizes: metres; turned: w x y z; both have
        n rows, or both one that the browser takes for all. colours: (n, 3) uint8 sRGB.
        """
        assert len(sizes) == len(turned), "the browser tells one size from three by the rows of both"
        self._count = len(centres)
        if self._count:
            with self._server.atomic():
                self._handle.batched_positions = centres
                self._handle.batched_wxyzs = turned
                self._handle.batched_scales = sizes
                self._handle.batched_colors = colours
                if frame is not None:
                    self._handle.position, self._handle.wxyz = frame.position, frame.orientation
        self.set_visible(self._visible)

    def set_visible(self, visible: bool) -> None:
        """Show or hide them all."""
        self._visible = visible
        if self._handle.visible != (now := visible and self._count > 0):
            self._handle.visible = now

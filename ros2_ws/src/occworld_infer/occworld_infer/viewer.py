"""The browser page: city, robots, LiDAR, what is occupied now and what is forecast, on a slider of seconds. No ROS."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import viser

from occ_core.actors import BOX_FACES, Actor
from occ_core.citymap import CityMap
from occ_core.classes import CLASSES, COLOURS
from occ_core.grid import TOKYO_GRID
from occ_core.poses import Pose
from occworld_infer.grids import GRID_POINT

_MOST_LIDAR_POINTS = 20_000


@dataclass
class _RobotScene:
    """What the page holds of one robot: cubes by horizon in seconds, 0 for now."""

    cubes: dict[float, viser.BatchedMeshHandle] = field(default_factory=dict)
    lidar: viser.PointCloudHandle | None = None


class BrowserView:
    """Serves the page on this machine. Everything is shown in `map`."""

    def __init__(self, port: int, city: CityMap | None, robots: list[str], horizons: tuple[float, ...]) -> None:
        self._server = viser.ViserServer(host="127.0.0.1", port=port, label="Tokyo OccWorld", verbose=False)
        self._server.scene.set_up_direction("+z")
        self.url = f"http://127.0.0.1:{self._server.get_port()}"
        self._robots = {robot: _RobotScene() for robot in robots}
        gui = self._server.gui
        self._robot = gui.add_dropdown("robot", tuple(robots), initial_value=robots[0])
        self._ahead = gui.add_slider("seconds ahead", 0.0, max(horizons), horizons[0], 0.0)
        self._show_lidar = gui.add_checkbox("LiDAR", True)
        self._show_city = gui.add_checkbox("city", True)
        self._follow = gui.add_checkbox("follow the robot", True)
        self._paused = gui.add_checkbox("pause", False)
        self._text = gui.add_markdown("waiting for data")
        self._picture = gui.add_image(np.zeros((9, 16, 3), np.uint8), label="front camera")
        self._city = [] if city is None else self._add_city(city)
        for control in (self._robot, self._ahead, self._show_lidar, self._show_city):
            control.on_update(lambda _: self._refresh())

    def _add_city(self, city: CityMap) -> list[viser.MeshHandle]:
        """One mesh per class, so that each has its colour."""
        handles = []
        for info in CLASSES:
            faces = city.faces[city.classes == info.semantic]
            if len(faces):
                used, renumbered = np.unique(faces, return_inverse=True)
                handles.append(
                    self._server.scene.add_mesh_simple(
                        f"/city/{info.name}",
                        city.vertices[used],
                        renumbered.reshape(-1, 3),
                        color=info.colour,
                        flat_shading=True,
                        side="double",
                        opacity=0.35 if info.name == "building" else None,
                    )
                )
        return handles

    @property
    def shown(self) -> str:
        """The robot that the page looks at."""
        return self._robot.value

    @property
    def paused(self) -> bool:
        """Nothing changes on the page while this is on."""
        return self._paused.value

    @property
    def clients(self) -> list[viser.ClientHandle]:
        """The browsers that look at the page."""
        return list(self._server.get_clients().values())

    def look_ahead(self, seconds: float) -> None:
        """Move the slider."""
        self._ahead.value = seconds
        self._refresh()

    def close(self) -> None:
        """Stop serving."""
        self._server.stop()

    def show_robot(self, name: str, pose: Pose) -> None:
        """Axes at base_link; the camera keeps behind the robot that is looked at."""
        if self.paused:
            return
        self._server.scene.add_frame(
            f"/robots/{name}", axes_length=1.5, axes_radius=0.06, wxyz=pose.orientation, position=pose.position
        )
        if name == self.shown and self._follow.value:
            back = np.array([-np.cos(pose.yaw), -np.sin(pose.yaw), 0.0])
            for client in self.clients:
                client.camera.position = pose.position + 22 * back + [0, 0, 16]
                client.camera.look_at = pose.position - 6 * back

    def show_lidar(self, name: str, points: np.ndarray) -> None:
        """points: (n, 3) metres, map."""
        if self.paused:
            return
        points = points[:: len(points) // _MOST_LIDAR_POINTS + 1]
        self._robots[name].lidar = self._server.scene.add_point_cloud(
            f"/lidar/{name}", points.astype(np.float32), (40, 60, 90), point_size=0.06, precision="float32",
            visible=self._show_lidar.value and name == self.shown,
        )  # fmt: skip

    def show_grid(self, name: str, points: np.ndarray, frame: Pose) -> None:
        """points: (n,) GRID_POINT in a frame whose pose in map is given; each horizon in them is replaced."""
        if self.paused:
            return
        for horizon in np.unique(points["horizon"]):
            chosen = points[points["horizon"] == horizon]
            self._robots[name].cubes[round(float(horizon), 3)] = self._add_cubes(name, float(horizon), chosen, frame)

    def _add_cubes(self, name: str, horizon: float, points: np.ndarray, frame: Pose) -> viser.BatchedMeshHandle:
        assert points.dtype == GRID_POINT
        centres = np.column_stack([points["x"], points["y"], points["z"]]).astype(np.float32)
        vertices, faces = _cube(np.array(TOKYO_GRID.voxel) * (0.96 if horizon == 0 else 0.86))
        return self._server.scene.add_batched_meshes_simple(
            f"/grids/{name}/{horizon:.1f}",
            vertices,
            faces,
            batched_wxyzs=np.tile(np.array([1.0, 0, 0, 0], np.float32), (len(centres), 1)),
            batched_positions=centres,
            batched_colors=COLOURS[points["label"]],
            opacity=None if horizon == 0 else 0.75,
            flat_shading=True,
            lod="off",
            cast_shadow=False,
            wxyz=frame.orientation,
            position=frame.position,
            visible=name == self.shown and self._is_selected(horizon),
        )

    def _is_selected(self, horizon: float) -> bool:
        return abs(horizon - self._ahead.value) < 1e-3

    def show_actors(self, actors: list[Actor]) -> None:
        """Boxes of what moves; robots have their axes."""
        if self.paused:
            return
        for actor in actors:
            if not actor.name:
                self._server.scene.add_box(
                    f"/actors/{actor.instance}", CLASSES[actor.semantic].colour, tuple(actor.size),
                    wxyz=actor.pose.orientation, position=actor.pose.position,
                )  # fmt: skip

    def show_picture(self, name: str, pixels: np.ndarray) -> None:
        """pixels: (h, w, 3) uint8 RGB of the front camera."""
        if name == self.shown and not self.paused:
            self._picture.image = pixels

    def show_text(self, name: str, text: str) -> None:
        """Markdown beside the picture."""
        if name == self.shown:
            self._text.content = text

    def _refresh(self) -> None:
        for handle in self._city:
            handle.visible = self._show_city.value
        for name, scene in self._robots.items():
            looked_at = name == self.shown
            for horizon, handle in scene.cubes.items():
                handle.visible = looked_at and self._is_selected(horizon)
            if scene.lidar is not None:
                scene.lidar.visible = looked_at and self._show_lidar.value


def _cube(size: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(8, 3) vertices and (12, 3) faces of a box about the origin."""
    corners = np.array([(x, y, z) for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)])
    return (corners * size).astype(np.float32), BOX_FACES

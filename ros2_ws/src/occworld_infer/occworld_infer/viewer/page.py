"""The page: draws a snapshot as it was chosen, sends what has changed and nothing else. No ROS."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import viser

from occ_core.actors import Actor
from occ_core.citymap import CityMap
from occ_core.classes import COLOURS
from occ_core.grid import FRAME_PERIOD_S, FUTURE_FRAMES
from occ_core.ports import free_port
from occ_core.poses import Pose, footprint
from occworld_infer.viewer.city_tiles import CityLayer
from occworld_infer.viewer.controls import Choice, Colouring, Controls
from occworld_infer.viewer.panels import (
    caption,
    class_legend,
    comparison,
    grades_table,
    horizon_legend,
    iou_curves,
    no_forecast,
    verdict_legend,
)
from occworld_infer.viewer.robots import RobotShape
from occworld_infer.viewer.scene_boxes import LEVEL, SceneBoxes
from occworld_infer.viewer.snapshot import PlacedVoxels, PredictedFrame, Snapshot
from occworld_infer.viewer.split_plane import SplitPlane, split_at
from occworld_infer.viewer.timeline import Newest
from occworld_infer.viewer.voxel_colours import Cubes, by_class, by_horizon, by_side, by_verdict, verdicts

ROOT = "/world"
HORIZONS_S = tuple(FRAME_PERIOD_S * (step + 1) for step in range(FUTURE_FRAMES))
NO_IOUS = np.zeros((0, 3))
Ious = Callable[[], np.ndarray]
_MOST_LIDAR_POINTS = 15_000
_LIDAR_COLOUR, _PATH_COLOUR = (255, 236, 140), (255, 190, 40)
_BACKGROUND = (38, 44, 56)
_GAP = 0.06  # metres between the cubes of two voxels, so that each can be told


class PortInUse(ValueError):
    """The port can't be had: somebody else serves on it, or it is not for users."""


class Page:
    """Serves on this machine only. The scene is in `map`, moved below the camera so that the robot stays in sight."""

    def __init__(self, port: int, robots: tuple[str, ...], city: CityMap | None = None, live: bool = False) -> None:
        """port: 0 for any that is free. PortInUse where somebody has it."""
        self._server = viser.ViserServer(host="127.0.0.1", port=_free(port), label="Tokyo OccWorld", verbose=False)
        scene = self._server.scene
        scene.set_up_direction("+z")
        scene.set_background_image(np.tile(np.array(_BACKGROUND, np.uint8), (2, 2, 1)))
        scene.configure_fog(110.0, 420.0, color=_BACKGROUND)
        scene.configure_default_lights(False)
        scene.configure_environment_map(None)
        scene.add_light_hemisphere("/sky", sky_color=(235, 240, 255), ground_color=(90, 86, 80), intensity=1.6)
        scene.add_light_directional("/sun", color=(255, 244, 226), intensity=1.5, position=(-30.0, -50.0, 60.0))
        self.url = f"http://127.0.0.1:{self._server.get_port()}"
        self.controls = Controls(self._server, robots, HORIZONS_S, live)
        self._world = scene.add_frame(ROOT, show_axes=False)
        self._city = CityLayer(self._server, ROOT, city) if city is not None else None
        self._voxels, self._traffic = (SceneBoxes(self._server, f"{ROOT}/{name}") for name in ("voxels", "traffic"))
        self._lidar = scene.add_point_cloud(
            f"{ROOT}/lidar", np.zeros((1, 3), np.float32), _LIDAR_COLOUR, point_size=0.1, precision="float16",
            point_shape="circle", visible=False,
        )  # fmt: skip
        self._path = scene.add_line_segments(
            f"{ROOT}/path",
            np.zeros((1, 2, 3), np.float32),
            _PATH_COLOUR,
            thickness=5.0,
            thickness_units="screen",
            visible=False,
        )
        self._split = SplitPlane(self._server, ROOT)
        self._robots = {robot: RobotShape(self._server, ROOT, robot) for robot in robots}
        self._drawn: dict[str, object] = {}
        self.controls.on_change(self._switch_layers)

    @property
    def clients(self) -> list[viser.ClientHandle]:
        """The browsers that look at the page."""
        return list(self._server.get_clients().values())

    def close(self) -> None:
        """Stop serving."""
        self._server.stop()

    def _switch_layers(self) -> None:
        if self._city is not None:
            self._city.set_visible(self.controls.city.value)
        self._traffic.set_visible(self.controls.traffic.value)

    def place(self, robot: str, base_link: Pose, ground: float) -> None:
        """base_link: pose in map. ground: height under the robot that is looked at, metres."""
        self._robots[robot].place(base_link)
        if robot != self.controls.choice.robot:
            return
        if self._city is not None:
            self._city.look_from(base_link)
        follow, turn = self.controls.follows
        if follow or self._changed("looked at", robot):
            level = footprint(base_link, ground)
            seen_from = (level if turn else Pose(level.position, np.array([1.0, 0, 0, 0]))).inverse()
            self._world.position, self._world.wxyz = seen_from.position, seen_from.orientation
        if self._changed("camera", robot):
            self._look_from_behind(float(base_link.position[2]) - ground)

    def _look_from_behind(self, height: float) -> None:
        """height: of the robot above the ground, metres, so that robot and street are in sight."""
        back = 18.0 + 0.8 * height
        # Straight behind, so that the pane between truth and forecast is seen from its edge.
        position, look_at = np.array([-back, 0.0, 12.5 + 1.3 * height]), np.array([6.0, 0.0, 0.4 * height])
        self._server.initial_camera.position, self._server.initial_camera.look_at = position, look_at
        for client in self.clients:
            client.camera.position, client.camera.look_at = position, look_at

    def draw(
        self, snapshot: Snapshot, made: Snapshot | None, newest: Newest | None = None, ious: Ious = lambda: NO_IOUS,
        since: float = 0.0,
    ) -> None:  # fmt: skip
        """Show a snapshot. made: the one whose forecast is shown, or compared with this one; None where there is none.

        newest: the sweep and the traffic that a live run has had since the snapshot, to be shown instead of its own.
        ious: gives those of this robot's forecasts over time, as `Timeline.ious` does. since: seconds from the snapshot
        to now, where it is not the newest because that was not forecast.
        """
        # One packet: a browser that lags behind would show the legend of other voxels than it draws.
        with self._server.atomic():
            self._draw(snapshot, made, newest, ious, since)

    def _draw(self, snapshot: Snapshot, made: Snapshot | None, newest: Newest | None, ious: Ious, since: float) -> None:
        choice, sensed = self.controls.choice, newest or snapshot
        forecast = made.forecast if made is not None else None
        chosen = self._changed("choice", (choice, snapshot.robot, snapshot.stamp))
        if self._replaced("forecast", forecast) or chosen:
            self._draw_voxels(choice, snapshot, made)
            self.controls.tell(curves=iou_curves(ious(), graded_horizon(choice)))
        if self._changed("words", (choice, snapshot.stamp, forecast is None, since)):
            self.controls.tell(words=_words(choice, snapshot, forecast, since))
        if choice.lidar and self._replaced("lidar", sensed.lidar):
            self._show_lidar(sensed.lidar)
        if self._replaced("traffic", sensed.actors):
            self._show_traffic(sensed.actors)
        if self._replaced("pictures", snapshot.pictures):
            self.controls.show_pictures(snapshot.pictures)
        if self._changed("grades", (snapshot.grades, forecast is None)):
            self.controls.tell(grades=grades_table(snapshot.grades, _ungraded(made)))
        self._lidar.visible = choice.lidar
        self._path.visible = choice.path and forecast is not None

    def _changed(self, what: str, now: object) -> bool:
        if self._drawn.get(what) == now:
            return False
        self._drawn[what] = now
        return True

    def _replaced(self, what: str, now: object) -> bool:
        """Is it another object? Arrays are not compared number by number."""
        before, self._drawn[what] = self._drawn.get(what), now
        return before is not now

    def _show_lidar(self, points: np.ndarray) -> None:
        """points: (n, 3) metres, map; evenly thinned to what a browser draws at ease."""
        points = points[:: len(points) // _MOST_LIDAR_POINTS + 1]
        if len(points):
            about = points.mean(axis=0)
            with self._server.atomic():
                self._lidar.points, self._lidar.position = points - about, about

    def _show_traffic(self, actors: tuple[Actor, ...]) -> None:
        """Boxes of what moves; robots, which have names, are drawn by their shapes."""
        boxes = [actor for actor in actors if not actor.name]
        self._traffic.show(
            centres=np.array([actor.pose.position for actor in boxes]),
            sizes=np.array([actor.size for actor in boxes]),
            turned=np.array([actor.pose.orientation for actor in boxes]),
            colours=COLOURS[[int(actor.semantic) for actor in boxes]],
        )

    def _draw_voxels(self, choice: Choice, snapshot: Snapshot, made: Snapshot | None) -> None:
        forecast = made.forecast if made is not None else None
        ahead = forecast.at(choice.ahead) if forecast is not None else None
        cubes, legend = self._coloured(choice, snapshot, made, ahead)
        size = np.array([snapshot.occupancy.grid.voxel]) - _GAP
        self._voxels.show(cubes.centres, size, LEVEL, cubes.colours, cubes.frame)
        if choice.colouring is Colouring.BESIDE and ahead is not None:
            grid, frame = snapshot.occupancy.grid, snapshot.occupancy.frame
            self._split.show(grid, frame, split_at(grid, choice.split), choice.ahead)
        else:
            self._split.hide()
        if made is not None and forecast is not None:
            self._draw_path(made.occupancy.frame.position, forecast)
        self.controls.tell(status=_status(snapshot, forecast, len(cubes.centres)), legend=legend)

    def _coloured(
        self, choice: Choice, snapshot: Snapshot, made: Snapshot | None, ahead: PlacedVoxels | None
    ) -> tuple[Cubes, str]:
        """What is drawn, and the legend of its colours. ahead: the forecast of the chosen horizon."""
        if made is None or made.forecast is None or ahead is None:
            legend = class_legend(np.unique(snapshot.occupancy.labels))
            lacking = no_forecast(choice.ahead, choice.colouring.compares) if choice.ahead > 0 else ""
            return by_class(snapshot.occupancy), lacking + legend
        if choice.colouring is Colouring.HORIZON:
            cubes = by_horizon(made.occupancy, made.forecast, choice.ahead)
            return cubes, horizon_legend(made.forecast.horizons_s)
        if choice.colouring is Colouring.CLASS:
            return by_class(ahead), class_legend(np.unique(ahead.labels))
        found = verdicts(ahead, snapshot.occupancy)
        counts = {verdict: len(numbers) for verdict, numbers in found.items()}
        if choice.colouring is Colouring.TRUTH:
            return by_verdict(ahead, snapshot.occupancy), verdict_legend(counts)
        y = split_at(snapshot.occupancy.grid, choice.split)
        both = np.union1d(snapshot.occupancy.labels, ahead.labels)
        return by_side(ahead, snapshot.occupancy, y), comparison(counts, choice.ahead) + class_legend(both)

    def _draw_path(self, here: np.ndarray, forecast: PredictedFrame) -> None:
        points = np.vstack([np.zeros(3), forecast.path - here]) + [0, 0, 0.3]
        with self._server.atomic():
            self._path.points, self._path.position = np.stack([points[:-1], points[1:]], axis=1), here


def graded_horizon(choice: Choice) -> float:
    """Seconds ahead of the forecasts whose IoU is plotted: those that are compared, else those of a second."""
    return choice.ahead if choice.colouring.compares and choice.ahead > 0 else 1.0


def _words(choice: Choice, snapshot: Snapshot, forecast: PredictedFrame | None, since: float) -> str:
    there = forecast is not None and (choice.ahead == 0 or forecast.at(choice.ahead) is not None)
    compares, beside = choice.colouring.compares, choice.colouring is Colouring.BESIDE
    return caption(
        snapshot.robot, choice.ahead, compares, choice.colouring is Colouring.HORIZON, there, beside, since
    )  # fmt: skip


def _status(snapshot: Snapshot, forecast: PredictedFrame | None, count: int) -> str:
    model = f", model {forecast.seconds:.2f} s" if forecast is not None and forecast.seconds else ""
    return f"{snapshot.robot} at {snapshot.stamp:.1f} s: {count:,} voxels{model}"


def _ungraded(made: Snapshot | None) -> str:
    if made is None or made.forecast is None:
        return "No forecast: one needs two seconds of history, and a model."
    return "A forecast is graded when its time has come."


def _free(port: int) -> int:
    """The port itself, or any where it is 0; viser would take the next one without a word."""
    try:
        return free_port(port)
    except OSError as error:
        raise PortInUse(f"port {port} of 127.0.0.1 can't be had ({error.strerror}): take another") from error

"""`tokyo compare`: a session's frames beside what the embedded engine senses at their poses."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from occ_core.citymap import CityMap
from occ_core.output_folders import replaced
from occ_core.poses import Pose
from occ_core.progress import Steps
from occ_core.session import Session, SessionError
from occ_core.topics import CAMERAS
from tokyo_occworld.compare import COMPARISON
from tokyo_occworld.compare.pictures import draw_ranges, draw_views
from tokyo_occworld.compare.ranges import compare_ranges, range_image
from tokyo_occworld.compare.report import markdown
from tokyo_occworld.compare.verdict import Comparison, FrameDifference, Limits, judge
from tokyo_occworld.compare.views import compare_views
from tokyo_sim.bringup import world_file
from tokyo_sim.engine.cameras import CameraRenderer, CamerasUnavailable
from tokyo_sim.engine.lidar import LidarCaster, Sweep
from tokyo_sim.engine.robot import Robot, RobotKind, load_robot


@dataclass(frozen=True)
class RecordedInstant:
    """What a session has of an instant. points: (n, 3) metres in the sensor's frame; moving: (n,) bool, on traffic.

    images: (h, w, 3) uint8 by camera name.
    """

    number: int
    base_link: Pose
    points: np.ndarray
    moving: np.ndarray
    images: dict[str, np.ndarray]


def read_frame(session: Session, number: int) -> RecordedInstant:
    """A frame as its sensors saw it. SessionError for a damaged file, or extrinsics that are not there."""
    state = session.state(number)
    where = session.info.sensors.get("lidar_link")
    if where is None:
        raise SessionError(f"{session.folder / 'session.json'}: no extrinsics of lidar_link")
    mount = Pose(np.array(where["position"]), np.array(where["orientation_wxyz"]))
    points = session.points(number)[:, :3]
    voxels, inside = session.info.grid.index(points)
    moving = np.zeros(len(points), bool)
    moving[inside] = session.occupancy(number).instance[tuple(voxels[inside].T)] > 0
    to_sensor = (state.base_link @ mount).inverse() @ state.footprint
    images = {}
    for name, channel in CAMERAS.items():
        path = session.image_path(number, channel)
        if path.exists():
            images[name] = np.asarray(Image.open(path).convert("RGB"))
    return RecordedInstant(number, state.base_link, to_sensor.apply(points), moving, images)


class EngineSensors:
    """The embedded engine's sensors; noise, lost returns and traffic left out."""

    def __init__(self, city: Path, robot: Robot, cameras: bool) -> None:
        self.robot = robot
        whole = replace(robot.lidar.returns, half_signal=0.0, random_loss=0.0)
        self._lidar_spec = replace(robot.lidar, noise_stddev=0.0, returns=whole)
        self._lidar = LidarCaster(CityMap.load(city))
        self._cameras: CameraRenderer | None = None
        self.cameras_off = ""
        try:
            self._cameras = CameraRenderer.load(city) if cameras else None
        except CamerasUnavailable as error:
            self.cameras_off = str(error)

    def sweep(self, base_link: Pose) -> Sweep:
        """The sweep at a pose of base_link in map."""
        spec = self._lidar_spec
        return self._lidar.cast(spec, base_link @ spec.mount, [], np.random.default_rng(0))

    def images(self, base_link: Pose) -> dict[str, np.ndarray]:
        """(h, w, 3) uint8 by camera name; none where cameras are off."""
        if self._cameras is None:
            return {}
        return {spec.name: self._cameras.render(spec, base_link @ spec.mount, []) for spec in self.robot.cameras}

    def close(self) -> None:
        """Give the OpenGL context back."""
        if self._cameras is not None:
            self._cameras.close()


def compare_session(folder: Path, city: Path, frames: int, out: Path, limits: Limits | None = None) -> Comparison:
    """Compare some frames, spread evenly, and write pictures, `comparison.json` and `comparison.md`.

    SessionError or ValueError with a sentence for a session or a city that is none. `out`: replaced when all is there.
    """
    world_file(str(city))
    session = Session.open(folder)
    if frames < 1 or not session.numbers:
        raise ValueError(f"{folder}: {len(session)} frames to compare, {frames} asked for: at least one is needed")
    chosen = np.unique(np.linspace(0, len(session) - 1, min(frames, len(session))).round().astype(int))
    recorded = [read_frame(session, session.numbers[i]) for i in chosen]
    with replaced(out, COMPARISON) as new:
        engine = EngineSensors(Path(city), _robot(session, recorded), any(frame.images for frame in recorded))
        try:
            differences = [_compare(frame, engine, new) for frame in Steps(recorded, unit="frame", desc="compare")]
        finally:
            engine.close()
        comparison = judge(session.name, differences, limits or Limits(), engine.cameras_off)
        (new / "comparison.json").write_text(json.dumps(comparison.to_json(), indent=1))
        (new / "comparison.md").write_text(markdown(comparison))
    return comparison


def _robot(session: Session, recorded: list[RecordedInstant]) -> Robot:
    agent = session.info.agent
    kind = next((kind for kind in RobotKind if agent.startswith(kind.value)), None)
    if kind is None:
        raise SessionError(f"{session.folder}: recorded by '{agent}', which is neither a drone nor a rover of ours")
    pictures = [picture for frame in recorded for picture in frame.images.values()]
    height, width = pictures[0].shape[:2] if pictures else (900, 1600)
    return load_robot(kind, agent, (width, height))


def _compare(frame: RecordedInstant, engine: EngineSensors, out: Path) -> FrameDifference:
    spec = engine.robot.lidar
    sweep = engine.sweep(frame.base_link)
    measured = range_image(frame.points, spec)
    hidden = np.isfinite(range_image(frame.points[frame.moving], spec).ranges)
    draw_ranges(out / f"{frame.number:06d}_lidar.png", measured.ranges, sweep.ranges)
    drawn = engine.images(frame.base_link) if frame.images else {}
    views = [
        compare_views(name, frame.images[name], picture) for name, picture in drawn.items() if name in frame.images
    ]
    if views:
        draw_views(out / f"{frame.number:06d}_cameras.png", frame.images, drawn)
    width = next(iter(frame.images.values())).shape[1] if views else 0
    return FrameDifference(frame.number, compare_ranges(measured, sweep, hidden), views, width)

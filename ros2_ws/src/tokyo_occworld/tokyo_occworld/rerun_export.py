"""Recorded sessions, and what was forecast from them, as a file of rerun's (.rrd): https://rerun.io.

Timelines: `frame` and `time`, seconds, on which everything is; and `horizon`, on which the entity `film` goes from each
frame through its forecast: ten times the frame's number and the horizon's number, so that 123 is 1.5 s after frame 12.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from occ_core.classes import CLASSES
from occworld_infer.grading import Grade
from occworld_infer.viewer.snapshot import PlacedVoxels, PredictedFrame, Snapshot

FRAME, TIME, HORIZON = "frame", "time", "horizon"
STEPS_A_FRAME = 10
NEEDED = "rerun's file needs its SDK: pip install 'rerun-sdk>=0.41,<0.42'"


def require_rerun() -> ModuleType:
    """The SDK. ValueError that says what to install where it is not there."""
    try:
        import rerun
    except ImportError as error:
        raise ValueError(f"{NEEDED} ({error})") from error
    return rerun


def entity(horizon: float) -> str:
    """Of a horizon, as the costmaps' topics are named: `t0_5`."""
    return f"t{horizon:.1f}".replace(".", "_")


def export_rerun(snapshots: Iterable[Snapshot], path: Path, name: str) -> int:
    """Write snapshots of one or several robots into a file, which is there only when it is whole. Returns how many.

    name: of the recording, as rerun shows it.
    """
    rerun = require_rerun()
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.part")
    recording = rerun.RecordingStream("tokyo_occworld", recording_id=name)
    recording.save(str(beside))
    written = 0
    try:
        writer = _Writer(rerun, recording)
        for snapshot in snapshots:
            writer.add(snapshot)
            written += 1
        recording.flush()
        recording.disconnect()
        beside.replace(path)
    finally:
        recording.disconnect()
        beside.unlink(missing_ok=True)
    return written


class _Writer:
    """Logs snapshots; frames are counted for each robot."""

    def __init__(self, rerun: ModuleType, recording: Any) -> None:
        self._rerun, self._recording = rerun, recording
        self._frames: dict[str, int] = {}
        names = [(int(info.semantic), info.name, info.colour) for info in CLASSES]
        recording.log("map", rerun.AnnotationContext(names), static=True)
        recording.log("map", rerun.ViewCoordinates.RIGHT_HAND_Z_UP, static=True)

    def add(self, snapshot: Snapshot) -> None:
        """Everything of one instant."""
        rerun, robot, root = self._rerun, snapshot.robot, f"map/{snapshot.robot}"
        number = self._frames[robot] = self._frames.get(robot, 0) + 1
        self._at(number, 0, snapshot.stamp)
        base = snapshot.base_link
        turn = rerun.Quaternion(xyzw=np.roll(base.orientation, -1))
        self._recording.log(f"{root}/base_link", rerun.Transform3D(translation=base.position, quaternion=turn))
        self._recording.log(f"{root}/lidar", rerun.Points3D(snapshot.lidar, radii=0.05))
        self._voxels(f"{root}/occupancy", snapshot.occupancy)
        for camera, picture in snapshot.pictures.items():
            image = rerun.EncodedImage(contents=picture, media_type="image/jpeg")
            self._recording.log(f"camera/{robot}/{camera}", image)
        for grade in snapshot.grades:
            self._grade(f"score/{robot}/{entity(grade.horizon_s)}", grade)
        if snapshot.forecast is not None:
            self._forecast(root, snapshot.forecast)
        self._timeline(f"{root}/film", number, snapshot)

    def _at(self, number: int, step: int, stamp: float | None) -> None:
        """Set the timelines. stamp: seconds, None for what is on the timeline `horizon` alone."""
        self._recording.reset_time()
        self._recording.set_time(HORIZON, sequence=STEPS_A_FRAME * number + step)
        if stamp is not None:
            self._recording.set_time(FRAME, sequence=number)
            self._recording.set_time(TIME, duration=stamp)

    def _voxels(self, path: str, voxels: PlacedVoxels) -> None:
        frame = voxels.frame
        turn = self._rerun.Quaternion(xyzw=np.roll(frame.orientation, -1))
        self._recording.log(path, self._rerun.Transform3D(translation=frame.position, quaternion=turn))
        half = np.array([voxels.grid.voxel]) / 2
        boxes = self._rerun.Boxes3D(
            centers=voxels.centres, half_sizes=np.repeat(half, len(voxels), axis=0), class_ids=voxels.labels,
            fill_mode="solid", show_labels=False,
        )  # fmt: skip
        self._recording.log(path, boxes)

    def _grade(self, path: str, grade: Grade) -> None:
        self._recording.log(f"{path}/forecast", self._rerun.Scalars(grade.iou))
        self._recording.log(f"{path}/warp", self._rerun.Scalars(grade.warp_iou))

    def _forecast(self, root: str, forecast: PredictedFrame) -> None:
        for horizon, voxels in zip(forecast.horizons_s, forecast.voxels, strict=True):
            self._voxels(f"{root}/forecast/{entity(horizon)}", voxels)
        self._recording.log(f"{root}/path", self._rerun.LineStrips3D([forecast.path]))

    def _timeline(self, path: str, number: int, snapshot: Snapshot) -> None:
        self._at(number, 0, None)
        self._voxels(path, snapshot.occupancy)
        for step, voxels in enumerate(snapshot.forecast.voxels if snapshot.forecast else (), start=1):
            self._at(number, step, None)
            self._voxels(path, voxels)

"""Occ3D-nuScenes as it is distributed: the labels that OccWorld was published on, with the poses of nuScenes.

Source: Tian et al., "Occ3D: A Large-Scale 3D Occupancy Prediction Benchmark", NeurIPS 2023, and its annotations.json.
Below a root: `gts/<scene>/<sample token>/labels.npz` (semantics 0 to 17, 17 free; mask_lidar and mask_camera), and
either `annotations.json` or the tables of nuScenes (`v1.0-*/scene.json` and so on), which hold the same poses.
Grids here are uint8: 0 free, and 1 more than Occ3D's id elsewhere, so that 0 means empty as everywhere.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from occ_core.classes import OCC3D_FREE
from occ_core.grid import VoxelGrid
from occ_core.poses import Pose, velocity_between
from occ_core.session import SessionError
from occ_core.sparse_grid import SparseGrid
from occworld.dataset import Window

GRID = VoxelGrid((-40.0, -40.0, -1.0), (40.0, 40.0, 5.4), (0.4, 0.4, 0.4))
NAMES = (
    "free", "others", "barrier", "bicycle", "bus", "car", "construction_vehicle", "motorcycle", "pedestrian",
    "traffic_cone", "trailer", "truck", "driveable_surface", "other_flat", "sidewalk", "terrain", "manmade",
    "vegetation",
)  # fmt: skip
"""By the value in a grid: 0 free."""
_FRAMES_KEPT = 64  # a window holds ten, and the next one nine of them


@dataclass(frozen=True)
class Keyframe:
    """stamp: seconds. pose: of the ego frame in map."""

    token: str
    stamp: float
    pose: Pose


@dataclass(frozen=True)
class Labels:
    """classes: uint8 (200, 200, 16). lidar, camera: bits (ceil(voxels / 8),) of what is seen by either."""

    classes: np.ndarray
    lidar: np.ndarray
    camera: np.ndarray


def is_occ3d(root: Path) -> bool:
    """Does a folder look like this data set, and not like sessions?"""
    return (Path(root) / "gts").is_dir()


def read_labels(path: Path) -> Labels:
    """SessionError with the file's name where it is missing, damaged or of another shape."""
    try:
        with np.load(path, allow_pickle=False) as file:
            semantics, lidar, camera = (file[name] for name in ("semantics", "mask_lidar", "mask_camera"))
    except (OSError, ValueError, KeyError, BadZipFile) as error:
        raise SessionError(f"{path}: no labels of Occ3D ({error})") from error
    if semantics.shape != GRID.shape or semantics.max(initial=0) > OCC3D_FREE:
        raise SessionError(f"{path}: {GRID.shape} ids up to {OCC3D_FREE} are wanted, got {semantics.shape}")
    classes = np.where(semantics == OCC3D_FREE, 0, semantics + 1).astype(np.uint8)
    return Labels(classes, np.packbits(lidar != 0), np.packbits(camera != 0))


class Occ3dDataset:
    """Every window of consecutive keyframes of its scenes. split: 'train' or 'val' as annotations.json says, or 'all'.

    SessionError where there is nothing, and where poses or labels are missing.
    """

    def __init__(self, root: Path, split: str, history: int, steps: int) -> None:
        self.root, self.history, self.steps = Path(root), history, steps
        self.scenes = {name: frames for name, frames in self._chosen(split).items() if frames}
        length = history + steps
        self.windows = [(name, i) for name, frames in self.scenes.items() for i in range(len(frames) - length + 1)]
        if not self.windows:
            raise SessionError(f"no scene of {length} labelled keyframes in {self.root}/gts, split '{split}'")
        self._labels = lru_cache(_FRAMES_KEPT)(self._read)

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, index: int) -> Window:
        """Classes are those of this module; `observed` is what LiDAR has seen."""
        name, start = self.windows[index]
        span = slice(start, start + self.history + self.steps)
        frames = self.scenes[name][span]
        labels = [self._labels(name, frame.token) for frame in frames]
        states = _states(self.scenes[name])[span]
        return Window(
            session=name,
            start=start,
            history=self.history,
            frames=tuple(SparseGrid.from_dense(each.classes) for each in labels),
            footprint=np.array([[*frame.pose.position, frame.pose.yaw] for frame in frames]),
            pose_13d=states,
            observed=np.stack([each.lidar for each in labels]),
        )

    def camera(self, index: int) -> np.ndarray:
        """(t, ceil(voxels / 8)) uint8: bits of what the cameras see in each frame of a window."""
        name, start = self.windows[index]
        frames = self.scenes[name][start : start + self.history + self.steps]
        return np.stack([self._labels(name, frame.token).camera for frame in frames])

    def _read(self, scene: str, token: str) -> Labels:
        return read_labels(self.root / "gts" / scene / token / "labels.npz")

    def _chosen(self, split: str) -> dict[str, list[Keyframe]]:
        """Keyframes of each scene that has labels, in order of time."""
        there = sorted(path.name for path in (self.root / "gts").iterdir() if path.is_dir())
        if split != "all":
            wanted = self._annotations.get(f"{split}_split") if self._annotations else None
            if wanted is None:
                raise SessionError(
                    f"{self.root}: annotations.json has no '{split}_split': --split all takes all scenes"
                )
            there = [name for name in there if name in wanted]
        if self._annotations:
            return {name: _annotated(self._annotations, name, self.root) for name in there}
        return _from_tables(self.root, there)

    @cached_property
    def _annotations(self) -> dict[str, Any]:
        path = self.root / "annotations.json"
        return _table(path) if path.is_file() else {}


def _annotated(annotations: dict[str, Any], scene: str, root: Path) -> list[Keyframe]:
    try:
        frames = [
            Keyframe(token, int(info["timestamp"]) / 1e6, _pose(info["ego_pose"]))
            for token, info in annotations["scene_infos"][scene].items()
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise SessionError(f"{root}/annotations.json: {scene} is not whole ({error!r})") from error
    return _labelled(frames, root / "gts" / scene)


def _from_tables(root: Path, scenes: list[str]) -> dict[str, list[Keyframe]]:
    """Of nuScenes: the ego pose of a keyframe is that of its LIDAR_TOP."""
    versions = sorted(path.parent for path in root.glob("v1.0-*/scene.json"))
    if not versions:
        raise SessionError(
            f"{root}: poses are missing: annotations.json of Occ3D, or a folder v1.0-* of nuScenes tables"
        )
    folder = versions[0]
    try:
        poses = {row["token"]: row for row in _table(folder / "ego_pose.json")}
        of_sample = {
            row["sample_token"]: poses[row["ego_pose_token"]]
            for row in _table(folder / "sample_data.json")
            if row["is_key_frame"] and "LIDAR_TOP" in row["filename"]
        }
        names = {row["token"]: row["name"] for row in _table(folder / "scene.json")}
        found: dict[str, list[Keyframe]] = {name: [] for name in scenes}
        for row in _table(folder / "sample.json"):
            if (name := names[row["scene_token"]]) in found:
                frame = Keyframe(row["token"], row["timestamp"] / 1e6, _pose(of_sample[row["token"]]))
                found[name].append(frame)
    except (KeyError, TypeError) as error:
        raise SessionError(f"{folder}: tables of nuScenes that are not whole ({error!r})") from error
    return {name: _labelled(frames, root / "gts" / name) for name, frames in found.items()}


def _labelled(frames: list[Keyframe], folder: Path) -> list[Keyframe]:
    """In order of time. SessionError for a keyframe without labels: a window would jump over it."""
    frames = sorted(frames, key=lambda frame: frame.stamp)
    if missing := [frame.token for frame in frames if not (folder / frame.token / "labels.npz").is_file()]:
        raise SessionError(f"{folder}: no labels.npz of {missing[0]} ({len(missing)} of {len(frames)} keyframes)")
    return frames


def _pose(row: dict[str, Any]) -> Pose:
    return Pose(np.array(row["translation"], float), np.array(row["rotation"], float))


def _table(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise SessionError(f"{path}: can't be read ({error})") from error


def _states(frames: list[Keyframe]) -> np.ndarray:
    """(n, 13): position, orientation, and velocities of the step before each, in the body's frame; the first has those
    of the second."""
    out = np.zeros((len(frames), 13))
    for row, frame in zip(out, frames, strict=True):
        row[:7] = [*frame.pose.position, *frame.pose.orientation]
    for row, before, now in zip(out[1:], frames, frames[1:], strict=False):
        linear, angular = velocity_between(before.pose, now.pose, max(now.stamp - before.stamp, 1e-3))
        row[7:] = [*linear, *angular]
    if len(frames) > 1:
        out[0, 7:] = out[1, 7:]
    return out

"""A recorded session on disk: one folder per drive, frames that appear whole or not at all."""

from __future__ import annotations

import io
import json
import os
import tokenize
import zipfile
import zlib
from dataclasses import asdict, dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path

import numpy as np

from occ_core.classes import NAMES
from occ_core.frame import Frame, Occupancy, VehicleState
from occ_core.grid import VoxelGrid
from occ_core.poses import Pose

FORMAT_VERSION = 1
FOLDERS = ("images", "lidar", "poses", "occupancy")


# What numpy and zipfile raise for cut, flipped or foreign bytes.
_DAMAGE = (
    OSError, EOFError, KeyError, ValueError, SyntaxError, RuntimeError, zipfile.BadZipFile, zlib.error,
    tokenize.TokenError,
)  # fmt: skip


class SessionError(Exception):
    """A session that can't be read or written: what is wrong, and where."""


@dataclass(frozen=True)
class SessionInfo:
    """What `session.json` says.

    frame_period: seconds. sensors: extrinsics by link name. occupancy: how the grids were made. seed: of the
    simulation, None where there was none.
    """

    agent: str
    grid: VoxelGrid
    frame_period: float
    occupancy: str
    city: str = ""
    seed: int | None = None
    sensors: dict = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> dict:
        """The content of `session.json`."""
        body = {key: value for key, value in asdict(self).items() if key != "grid"}
        return {"format_version": FORMAT_VERSION, "classes": list(NAMES), "grid": self.grid.to_dict(), **body}

    @classmethod
    def from_json(cls, data: dict, where: Path) -> SessionInfo:
        """Read what `to_json` wrote; SessionError for another version or class table."""
        if not isinstance(data, dict):
            raise SessionError(f"{where}: not a session's description")
        if data.get("format_version") != FORMAT_VERSION:
            raise SessionError(
                f"{where}: format version {data.get('format_version')}, this code reads {FORMAT_VERSION}"
            )
        if tuple(data.get("classes", ())) != NAMES:
            raise SessionError(f"{where}: recorded with another class table: {data.get('classes')}")
        fields = {key: data[key] for key in cls.__dataclass_fields__ if key in data and key != "grid"}
        try:
            return cls(grid=VoxelGrid.from_dict(data["grid"]), **fields)
        except (KeyError, TypeError, ValueError) as error:
            raise SessionError(f"{where}: {error}") from error


def session_name(agent: str, when: datetime) -> str:
    """Folder name: agent, date and time, as `drone_0_20240115_120000`."""
    return f"{agent}_{when:%Y%m%d_%H%M%S}"


def _write_whole(path: Path, payload: bytes) -> None:
    beside = path.with_name(f".{path.name}.part")
    with open(beside, "wb") as file:
        file.write(payload)
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, path)


class SessionWriter:
    """Writes the frames of one session; the occupancy file comes last, so a frame without it does not exist yet."""

    def __init__(self, folder: Path, info: SessionInfo) -> None:
        self.folder = Path(folder)
        self.info = info
        self.frames_written = 0
        try:
            self.folder.mkdir(parents=True)
            for name in FOLDERS:
                (self.folder / name).mkdir()
            _write_whole(self.folder / "session.json", json.dumps(info.to_json(), indent=1).encode())
        except OSError as error:
            raise SessionError(f"can't start session {self.folder}: {error.strerror}") from error

    def write(self, frame: Frame) -> int:
        """Write a frame and return its number, from 1. SessionError where the disk refuses; earlier frames stay."""
        if frame.occupancy.classes.shape != self.info.grid.shape:
            raise ValueError(f"occupancy has shape {frame.occupancy.classes.shape}, grid {self.info.grid.shape}")
        number = self.frames_written + 1
        stem = f"{number:06d}"
        payloads = [(f"images/{stem}_{channel}.jpg", jpeg) for channel, jpeg in frame.images.items()]
        payloads.append((f"lidar/{stem}_LIDAR.npy", _npy(np.asarray(frame.points, dtype=np.float32))))
        payloads.append((f"poses/{stem}.json", json.dumps(_pose_json(frame.state)).encode()))
        payloads.append((f"occupancy/{stem}_occupancy.npz", _occupancy_npz(frame.occupancy)))
        try:
            for name, payload in payloads:
                _write_whole(self.folder / name, payload)
        except OSError as error:
            raise SessionError(f"frame {number} of {self.folder} not written: {error.strerror}") from error
        self.frames_written = number
        return number


@dataclass(frozen=True)
class Session:
    """A session to read. numbers: the frames that are whole, ascending."""

    folder: Path
    info: SessionInfo
    numbers: tuple[int, ...]

    @classmethod
    def open(cls, folder: Path) -> Session:
        """List a session's whole frames. SessionError where there is no readable `session.json`."""
        folder = Path(folder)
        where = folder / "session.json"
        try:
            info = SessionInfo.from_json(json.loads(where.read_text()), where)
        except FileNotFoundError as error:
            raise SessionError(f"no session in {folder}: session.json is missing") from error
        except ValueError as error:
            raise SessionError(f"{where}: not JSON, {error}") from error
        stems = {path.name[:6] for path in (folder / "occupancy").glob("[0-9]*_occupancy.npz")}
        whole = [
            s for s in stems if (folder / f"poses/{s}.json").exists() and (folder / f"lidar/{s}_LIDAR.npy").exists()
        ]
        return cls(folder, info, tuple(sorted(int(stem) for stem in whole)))

    @cached_property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.name

    def __len__(self) -> int:
        return len(self.numbers)

    def state(self, number: int) -> VehicleState:
        """Poses and velocities of a frame; SessionError that names the file."""
        path = self.folder / f"poses/{number:06d}.json"
        try:
            data = json.loads(path.read_text())
            return VehicleState(
                stamp=float(data["timestamp"]),
                base_link=_pose(data),
                linear=_xyz(data["velocity"]["linear"]),
                angular=_xyz(data["velocity"]["angular"]),
                footprint=_pose(data["base_footprint"]),
            )
        except (OSError, json.JSONDecodeError, KeyError, TypeError, ValueError) as error:
            raise SessionError(f"{path}: {error!r}") from error

    def occupancy(self, number: int) -> Occupancy:
        """The grids of a frame; SessionError that names the file."""
        path = self.folder / f"occupancy/{number:06d}_occupancy.npz"
        shape = self.info.grid.shape
        try:
            with np.load(path, allow_pickle=False) as data:
                classes, bits, instance = data["occupancy"], data["observed"], data["instance"]
        except _DAMAGE as error:
            raise SessionError(f"{path}: damaged, {error!r}") from error
        if classes.shape != shape or instance.shape != shape:
            raise SessionError(f"{path}: shape {classes.shape}, the session's grid has {shape}")
        observed = np.unpackbits(bits, count=self.info.grid.size).astype(bool).reshape(shape)
        return Occupancy(classes, observed, instance)

    def points(self, number: int) -> np.ndarray:
        """(n, 4) float32: x y z intensity in `base_footprint`. SessionError that names the file."""
        path = self.folder / f"lidar/{number:06d}_LIDAR.npy"
        try:
            points = np.load(path, allow_pickle=False)
        except _DAMAGE as error:
            raise SessionError(f"{path}: damaged, {error!r}") from error
        if not isinstance(points, np.ndarray) or points.ndim != 2 or points.shape[1] != 4:
            raise SessionError(f"{path}: not a list of points x y z intensity")
        return points

    def image_path(self, number: int, channel: str) -> Path:
        """Where the JPEG of a camera is, if the session has images."""
        return self.folder / f"images/{number:06d}_{channel}.jpg"


def find_sessions(root: Path) -> list[Session]:
    """Every session below a folder, by name; SessionError where there is none."""
    sessions = [Session.open(path.parent) for path in sorted(Path(root).glob("*/session.json"))]
    if not sessions:
        raise SessionError(f"no sessions in {root}: record some with `tokyo record` or `tokyo up --record`")
    return sessions


def _npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def _occupancy_npz(occupancy: Occupancy) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        occupancy=np.asarray(occupancy.classes, dtype=np.uint8),
        observed=np.packbits(np.asarray(occupancy.observed, dtype=bool)),
        instance=np.asarray(occupancy.instance, dtype=np.uint16),
    )
    return buffer.getvalue()


def _pose_json(state: VehicleState) -> dict:
    return {
        **_pose_dict(state.base_link),
        "velocity": {"linear": _named(state.linear), "angular": _named(state.angular)},
        "pose_13d": state.pose_13d.tolist(),
        "timestamp": state.stamp,
        "base_footprint": _pose_dict(state.footprint),
        "frame_id": "map",
        "child_frame_id": "base_link",
        "grid_frame_id": "base_footprint",
    }


def _pose_dict(pose: Pose) -> dict:
    return {"position": _named(pose.position), "orientation": dict(zip("wxyz", pose.orientation.tolist(), strict=True))}


def _pose(data: dict) -> Pose:
    return Pose(_xyz(data["position"]), np.array([data["orientation"][axis] for axis in "wxyz"], dtype=float))


def _named(vector: np.ndarray) -> dict[str, float]:
    return dict(zip("xyz", np.asarray(vector, dtype=float).tolist(), strict=True))


def _xyz(data: dict) -> np.ndarray:
    return np.array([data["x"], data["y"], data["z"]], dtype=float)

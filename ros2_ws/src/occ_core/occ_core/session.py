"""A recorded session on disk: one folder per drive, frames that appear whole or not at all."""

from __future__ import annotations

import errno
import json
import os
import shutil
import zlib
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from uuid import uuid4

import numpy as np

from occ_core.classes import NAMES, ids_by_name
from occ_core.frame import Frame, Occupancy, VehicleState
from occ_core.frame_files import (
    SessionError,
    encode,
    image_file,
    imu_file,
    lidar_file,
    occupancy_file,
    pose_file,
    read_classes,
    read_imu,
    read_occupancy,
    read_points,
    read_state,
)
from occ_core.grid import VoxelGrid
from occ_core.poses import Pose
from occ_core.session_log import Event, EventKind, append_checksums, append_event, read_events

FORMAT_VERSION = 1
FOLDERS = ("images", "lidar", "poses", "occupancy")


@dataclass(frozen=True)
class SessionInfo:
    """What `session.json` says.

    frame_period: seconds. sensors: extrinsics by link name. occupancy: how the grids were made. seed: of the
    simulation, None where there was none. source: of frames that come from a bag, which one. suspect: why its
    frames may not be of one drive, '' where nothing says so; it is not trained on unless somebody asks for it.
    classes: names of the ids in its grids, which are read as this code's classes of those names.
    """

    agent: str
    grid: VoxelGrid
    frame_period: float
    occupancy: str
    city: str = ""
    seed: int | None = None
    sensors: dict = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    source: str = ""
    suspect: str = ""
    classes: tuple[str, ...] = NAMES

    def to_json(self) -> dict:
        """The content of `session.json`."""
        body = {key: value for key, value in asdict(self).items() if key not in ("grid", "classes")}
        return {"format_version": FORMAT_VERSION, "classes": list(self.classes), "grid": self.grid.to_dict(), **body}

    @classmethod
    def from_json(cls, data: dict, where: Path) -> SessionInfo:
        """Read what `to_json` wrote; SessionError for another version or class table."""
        if not isinstance(data, dict):
            raise SessionError(f"{where}: not a session's description")
        if data.get("format_version") != FORMAT_VERSION:
            raise SessionError(
                f"{where}: format version {data.get('format_version')}, this code reads {FORMAT_VERSION}"
            )
        fields = {key: data[key] for key in cls.__dataclass_fields__ if key in data and key not in ("grid", "classes")}
        try:
            classes = tuple(data["classes"])
            ids_by_name(classes)
            return cls(grid=VoxelGrid.from_dict(data["grid"]), classes=classes, **fields)
        except (KeyError, TypeError, ValueError) as error:
            raise SessionError(f"{where}: {error}") from error


def extrinsics(pose: Pose) -> dict[str, list[float]]:
    """A sensor's pose in base_link, as `SessionInfo.sensors` holds it."""
    return {"position": pose.position.tolist(), "orientation_wxyz": pose.orientation.tolist()}


def installed_versions(*packages: str) -> dict[str, str]:
    """For `SessionInfo.versions`; 'source' for a package that runs without being installed."""
    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "source"
    return found


def session_name(agent: str, when: datetime) -> str:
    """Folder name: agent, date and time, as `drone_0_20240115_120000`."""
    return f"{agent}_{when:%Y%m%d_%H%M%S}"


def _write_whole(path: Path, payload: bytes) -> None:
    beside = _beside(path)
    with open(beside, "wb") as file:
        file.write(payload)
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, path)


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.part")


class SessionWriter:
    """Writes the frames of one session; the occupancy file comes last, so a frame without it does not exist yet."""

    def __init__(self, folder: Path, info: SessionInfo) -> None:
        self.folder = Path(folder)
        self.info = info
        self.frames_written = 0
        # A name of its own: another process, on another machine maybe, may want this folder at the same moment.
        beside = self.folder.with_name(f".{self.folder.name}.{uuid4().hex}.part")
        try:
            if self.folder.exists():
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
            for name in FOLDERS:
                (beside / name).mkdir(parents=True, exist_ok=True)
            _write_whole(beside / "session.json", json.dumps(info.to_json(), indent=1).encode())
            beside.rename(self.folder)
        except OSError as error:
            shutil.rmtree(beside, ignore_errors=True)
            raise SessionError(f"can't start session {self.folder}: {error.strerror}") from error

    def write(self, frame: Frame) -> int:
        """Write a frame and return its number, from 1. SessionError where the disk refuses; earlier frames stay.

        Nothing stays of a frame that was refused, and its number is given to the next.
        """
        if frame.occupancy.classes.shape != self.info.grid.shape:
            raise ValueError(f"occupancy has shape {frame.occupancy.classes.shape}, grid {self.info.grid.shape}")
        number = self.frames_written + 1
        files = encode(frame, number)
        last = occupancy_file(number)
        try:
            if frame.imu is not None:
                (self.folder / "imu").mkdir(exist_ok=True)
            for name in [name for name in files if name != last]:
                _write_whole(self.folder / name, files[name])
            append_checksums(self.folder, {name: zlib.crc32(payload) for name, payload in files.items()})
            _write_whole(self.folder / last, files[last])
        except OSError as error:
            for path in (self.folder / name for name in files):
                with suppress(OSError):
                    _beside(path).unlink(missing_ok=True)
                    path.unlink(missing_ok=True)
            raise SessionError(f"frame {number} of {self.folder} not written: {error.strerror}") from error
        self.frames_written = number
        return number

    def note(self, event: Event) -> None:
        """Add an event. SessionError where the disk refuses."""
        try:
            append_event(self.folder, event)
        except OSError as error:
            raise SessionError(f"{event.kind.value} not noted in {self.folder}: {error.strerror}") from error

    def mark_suspect(self, why: str) -> None:
        """Say in `session.json` why it is not to be trained on; a first reason stays. SessionError as `note`."""
        if self.info.suspect:
            return
        info = replace(self.info, suspect=why)
        try:
            _write_whole(self.folder / "session.json", json.dumps(info.to_json(), indent=1).encode())
        except OSError as error:
            raise SessionError(f"'{why}' not noted in {self.folder}: {error.strerror}") from error
        self.info = info

    def end(self, stamp: float) -> None:
        """Note that the session is whole. stamp: seconds. SessionError where the disk refuses."""
        self.note(Event(stamp, EventKind.END))


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
        stems = [path.name.partition("_")[0] for path in (folder / "occupancy").glob("[0-9]*_occupancy.npz")]
        # Six digits, and more from a million on.
        listed = sorted(int(stem) for stem in stems if stem.isdecimal() and stem == f"{int(stem):06d}")
        whole = (n for n in listed if (folder / pose_file(n)).exists() and (folder / lidar_file(n)).exists())
        return cls(folder, info, tuple(whole))

    @cached_property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.name

    def __len__(self) -> int:
        return len(self.numbers)

    def state(self, number: int) -> VehicleState:
        """Poses and velocities of a frame; SessionError that names the file."""
        return read_state(self.folder / pose_file(number))

    def occupancy(self, number: int) -> Occupancy:
        """The grids of a frame; SessionError that names the file."""
        return read_occupancy(self.folder / occupancy_file(number), self.info.grid, self.info.classes)

    def classes(self, number: int) -> np.ndarray:
        """uint8 (X, Y, Z): the classes alone of `occupancy`, in a third of its time."""
        return read_classes(self.folder / occupancy_file(number), self.info.grid, self.info.classes)

    def points(self, number: int) -> np.ndarray:
        """(n, 4) float32: x y z intensity in `base_footprint`. SessionError that names the file."""
        return read_points(self.folder / lidar_file(number))

    def imu(self, number: int) -> np.ndarray:
        """(n, 7) float64, as `read_imu`: samples of the period before the frame. SessionError that names the file."""
        return read_imu(self.folder / imu_file(number))

    def image_path(self, number: int, channel: str) -> Path:
        """Where the JPEG of a camera is, if the session has images."""
        return self.folder / image_file(number, channel)

    def events(self) -> list[Event]:
        """Marks, pauses, dropped frames and the end, in the order they were written."""
        return read_events(self.folder)


def find_sessions(root: Path) -> list[Session]:
    """Every session in a folder, by name; hidden folders are copies under way. SessionError where there is none."""
    found = sorted(Path(root).glob("[!.]*/session.json"))
    sessions = [Session.open(path.parent) for path in found]
    if not sessions:
        raise SessionError(f"no sessions in {root}: record some with `tokyo record` or `tokyo up --record`")
    return sessions

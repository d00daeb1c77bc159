"""The files of one frame, to bytes and back. What can't be read raises SessionError that names the file."""

from __future__ import annotations

import io
import json
import tokenize
import zipfile
import zlib
from pathlib import Path
from threading import Lock
from typing import IO

import numpy as np
from PIL import Image

from occ_core.classes import NAMES, ids_by_name
from occ_core.frame import Frame, Occupancy, VehicleState
from occ_core.grid import VoxelGrid
from occ_core.packing import packed_arrays
from occ_core.poses import Pose

IMU_COLUMNS = ("time", "wx", "wy", "wz", "ax", "ay", "az")

# What numpy and zipfile raise for cut, flipped or foreign bytes.
_DAMAGE = (
    OSError, EOFError, KeyError, ValueError, SyntaxError, RuntimeError, zipfile.BadZipFile, zlib.error,
    tokenize.TokenError,
)  # fmt: skip


_HEADERS = Lock()


def jpeg(pixels: np.ndarray, quality: int) -> bytes:
    """An image (height, width, 3) uint8 RGB as a JPEG. quality: 1 to 100."""
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


class SessionError(Exception):
    """A session that can't be read or written: what is wrong, and where."""


def image_file(number: int, channel: str) -> str:
    """Path below the session of a camera's JPEG."""
    return f"images/{number:06d}_{channel}.jpg"


def lidar_file(number: int) -> str:
    """Path below the session of the points."""
    return f"lidar/{number:06d}_LIDAR.npy"


def imu_file(number: int) -> str:
    """Path below the session of the IMU's samples."""
    return f"imu/{number:06d}_IMU.npy"


def pose_file(number: int) -> str:
    """Path below the session of the poses and velocities."""
    return f"poses/{number:06d}.json"


def occupancy_file(number: int) -> str:
    """Path below the session of the grids."""
    return f"occupancy/{number:06d}_occupancy.npz"


def encode(frame: Frame, number: int) -> dict[str, bytes]:
    """Content by path below the session, the occupancy file last. ValueError for a velocity that is not finite."""
    state = frame.state
    if not np.isfinite([state.stamp, *state.linear, *state.angular]).all():
        raise ValueError(f"frame at {state.stamp} s: odometry has velocities that are not finite")
    files = {image_file(number, channel): jpeg for channel, jpeg in frame.images.items()}
    files[lidar_file(number)] = _npy(np.asarray(frame.points, dtype=np.float32))
    if frame.imu is not None:
        files[imu_file(number)] = _npy(np.asarray(frame.imu, dtype=np.float64))
    files[pose_file(number)] = json.dumps(_pose_json(state)).encode()
    files[occupancy_file(number)] = _occupancy_npz(frame.occupancy)
    return files


def read_state(path: Path) -> VehicleState:
    """Poses and velocities of a frame."""
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


def read_occupancy(path: Path, grid: VoxelGrid, names: tuple[str, ...] = NAMES) -> Occupancy:
    """The grids of a frame. names: of the ids in the file; they are mapped by name."""
    classes, bits, instance = _members(path, "occupancy", "observed", "instance")
    for array in (classes, instance):
        _check_shape(path, array, grid)
    if bits.dtype != np.uint8 or bits.shape != (-(-grid.size // 8),):
        raise SessionError(f"{path}: observed has {bits.size} bytes, the grid needs {-(-grid.size // 8)}")
    observed = np.unpackbits(bits, count=grid.size).astype(bool).reshape(grid.shape)
    return Occupancy(classes if names == NAMES else ids_by_name(names)[classes], observed, instance)


def read_classes(path: Path, grid: VoxelGrid, names: tuple[str, ...] = NAMES) -> np.ndarray:
    """uint8 (X, Y, Z): the classes alone of `read_occupancy`, in a third of its time."""
    (classes,) = _members(path, "occupancy")
    _check_shape(path, classes, grid)
    return classes if names == NAMES else ids_by_name(names)[classes]


def _members(path: Path, *names: str) -> list[np.ndarray]:
    try:
        with zipfile.ZipFile(path) as archive:
            packed = [archive.read(f"{name}.npy") for name in names]
        return [_array(io.BytesIO(data)) for data in packed]
    except _DAMAGE as error:
        raise SessionError(f"{path}: damaged, {error!r}") from error


def _check_shape(path: Path, array: np.ndarray, grid: VoxelGrid) -> None:
    if array.shape != grid.shape:
        raise SessionError(f"{path}: shape {array.shape}, the session's grid has {grid.shape}")


def read_points(path: Path) -> np.ndarray:
    """(n, 4) float32: x y z intensity in `base_footprint`."""
    return _table(path, 4, "points x y z intensity")


def read_imu(path: Path) -> np.ndarray:
    """(n, 7) float64: time s, angular velocity rad/s, specific force m/s^2, in the IMU's frame."""
    return _table(path, len(IMU_COLUMNS), f"samples {' '.join(IMU_COLUMNS)}")


def _table(path: Path, columns: int, rows: str) -> np.ndarray:
    try:
        with open(path, "rb") as file:
            table = _array(file)
    except _DAMAGE as error:
        raise SessionError(f"{path}: damaged, {error!r}") from error
    if table.ndim != 2 or table.shape[1] != columns:
        raise SessionError(f"{path}: not a list of {rows}")
    return table


def _array(file: IO[bytes]) -> np.ndarray:
    """An array as NumPy saved it.

    By one thread at a time: its header is a Python literal, and CPython 3.11 takes the depths of two that are parsed at
    once for one another (SystemError: AST constructor recursion depth mismatch).
    """
    with _HEADERS:
        return np.lib.format.read_array(file, allow_pickle=False)


def _npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def _occupancy_npz(occupancy: Occupancy) -> bytes:
    return packed_arrays(
        {
            "occupancy": np.asarray(occupancy.classes, dtype=np.uint8),
            "observed": np.packbits(np.asarray(occupancy.observed, dtype=bool)),
            "instance": np.asarray(occupancy.instance, dtype=np.uint16),
        }
    )


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

"""Sessions packed once to sparse memory-mapped arrays, rebuilt when a session's files have changed.

They are kept beside the sessions, or in the user's cache where the sessions' folder can't be written.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import shutil
import zlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from occ_core.frame import VehicleState
from occ_core.output_folders import reason
from occ_core.progress import Steps
from occ_core.session import Session, SessionError
from occ_core.sparse_grid import SparseGrid
from occworld.motion import from_pose
from occworld.preflight import cache_folder

PACK_VERSION = 2
PACK_FOLDER = ".packed"
_NOT_WRITABLE = (errno.EROFS, errno.EACCES, errno.EPERM)
log = logging.getLogger("occworld")


@dataclass(frozen=True)
class PackedSession:
    """Memory-mapped arrays of n frames.

    offsets: (n + 1,) int64 into voxels int32, classes uint8 and instances uint16. observed: (n, ceil(size / 8)) uint8,
    bits of what LiDAR has seen. footprint: (n, 4) float64 x y z yaw of `base_footprint` in map. pose_13d: (n, 13)
    float64. stamps: (n,) float64 seconds.
    """

    name: str
    agent: str
    offsets: np.ndarray
    voxels: np.ndarray
    classes: np.ndarray
    instances: np.ndarray
    observed: np.ndarray
    footprint: np.ndarray
    pose_13d: np.ndarray
    stamps: np.ndarray

    def __len__(self) -> int:
        return len(self.stamps)

    def frame(self, i: int) -> SparseGrid:
        """The occupied voxels of frame i, from 0."""
        part = slice(self.offsets[i], self.offsets[i + 1])
        return SparseGrid(self.voxels[part], self.classes[part], self.instances[part])

    @cached_property
    def class_counts(self) -> np.ndarray:
        """(256,) int64: occupied voxels of each class."""
        return np.bincount(self.classes, minlength=256)


_ARRAYS = ("offsets", "voxels", "classes", "instances", "observed", "footprint", "pose_13d", "stamps")


def open_packed(session: Session) -> PackedSession:
    """The packed arrays of a session, packing it first where they are missing, damaged or older than its files.

    SessionError where they can be kept nowhere.
    """
    current = _fingerprint(session)
    places = session.folder.parent / PACK_FOLDER / session.name, _in_cache(session)
    folder = next((place for place in places if _is_whole(place, current)), None)
    if folder is None:
        folder = _packed_somewhere(session, places, current)
    arrays = [np.load(folder / f"{name}.npy", mmap_mode="r") for name in _ARRAYS]
    return PackedSession(session.name, session.info.agent, *arrays)


def _in_cache(session: Session) -> Path:
    """Where a session of a folder that can't be written is packed: by the place that it has."""
    place = hashlib.blake2b(str(session.folder.resolve().parent).encode(), digest_size=12).hexdigest()
    return cache_folder() / "packed" / place / session.name


def _is_whole(folder: Path, current: dict) -> bool:
    written = _manifest(folder)
    if written.get("source") != current:
        return False
    sums = written.get("crc32", {})
    if damaged := [name for name in _ARRAYS if _checksum(folder / f"{name}.npy") != sums.get(name)]:
        log.warning("%s: %s damaged, packed again", folder, ", ".join(damaged))
    return not damaged


def _packed_somewhere(session: Session, places: tuple[Path, Path], current: dict) -> Path:
    """In the first place that can be written. A disk that is full is no reason to fill another."""
    for folder in places:
        try:
            _pack(session, folder, current)
            return folder
        except OSError as error:
            refused = error
            if error.errno not in _NOT_WRITABLE:
                break
    raise SessionError(
        f"{session.folder}: can't keep it packed in {folder}: {reason(refused)}; free space there, or let"
        " XDG_CACHE_HOME name a folder that can be written"
    ) from refused


def _manifest(folder: Path) -> dict:
    try:
        written = json.loads((folder / "manifest.json").read_text())
    except (OSError, ValueError):
        return {}
    return written if isinstance(written, dict) else {}


def _checksum(path: Path) -> int | None:
    """CRC-32 of a file, a few MB at a time; None where there is none."""
    total = 0
    try:
        with open(path, "rb") as file:
            while part := file.read(1 << 22):
                total = zlib.crc32(part, total)
    except OSError:
        return None
    return total


def _fingerprint(session: Session) -> dict:
    stats = []
    for number in session.numbers:
        for name in (f"occupancy/{number:06d}_occupancy.npz", f"poses/{number:06d}.json"):
            stat = os.stat(session.folder / name)
            stats.append([name, stat.st_size, stat.st_mtime_ns])
    return {"version": PACK_VERSION, "grid": session.info.grid.to_dict(), "files": stats}


def _pack(session: Session, folder: Path, fingerprint: dict) -> None:
    """OSError where the folder can't be written, before anything is read; nothing stays of what was begun."""
    beside = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    try:
        _write_packed(session, beside, fingerprint)
        shutil.rmtree(folder, ignore_errors=True)
        try:
            os.replace(beside, folder)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            # Another process has packed the session meanwhile, of torchrun's for one.
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _write_packed(session: Session, folder: Path, fingerprint: dict) -> None:
    frames, observed, states = [], [], []
    for number in Steps(session.numbers, desc=f"packing {session.name}", unit="frame", leave=False):
        occupancy = session.occupancy(number)
        frames.append(SparseGrid.from_dense(occupancy.classes, occupancy.instance))
        observed.append(np.packbits(occupancy.observed))
        states.append(_finite(session.state(number), session.folder / f"poses/{number:06d}.json"))
    for name, array in zip(_ARRAYS, _columns(frames, observed, states, session.info.grid.size), strict=True):
        np.save(folder / f"{name}.npy", array)
    sums = {name: _checksum(folder / f"{name}.npy") for name in _ARRAYS}
    (folder / "manifest.json").write_text(json.dumps({"source": fingerprint, "crc32": sums}))


def _finite(state: VehicleState, path: Path) -> VehicleState:
    if not np.isfinite([*state.pose_13d, *from_pose(state.footprint), state.stamp]).all():
        raise SessionError(f"{path}: holds a number that is none (NaN or infinite): delete the frame or the session")
    return state


def _columns(frames: list[SparseGrid], observed: list, states: list[VehicleState], size: int) -> tuple:
    counts = [len(frame.voxels) for frame in frames]
    return (
        np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]).astype(np.int64),
        np.concatenate([f.voxels for f in frames] or [np.zeros(0, np.int32)]),
        np.concatenate([f.classes for f in frames] or [np.zeros(0, np.uint8)]),
        np.concatenate([f.instances for f in frames] or [np.zeros(0, np.uint16)]),
        np.array(observed, np.uint8).reshape(len(frames), -(-size // 8)),
        np.array([from_pose(state.footprint) for state in states]).reshape(-1, 4),
        np.array([state.pose_13d for state in states]).reshape(-1, 13),
        np.array([state.stamp for state in states], float),
    )

"""The files of a session's folders by frame and part, and what is among them that belongs to no frame."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from occ_core.session_log import read_checksums

_NAMES = {
    "images": re.compile(r"(\d{6,})_(CAM_\w+)\.jpg"),
    "lidar": re.compile(r"(\d{6,})_(LIDAR)\.npy"),
    "imu": re.compile(r"(\d{6,})_(IMU)\.npy"),
    "poses": re.compile(r"(\d{6,})()\.json"),
    "occupancy": re.compile(r"(\d{6,})_(occupancy)\.npz"),
}
REQUIRED = frozenset({"lidar", "poses", "occupancy"})
QUARANTINE = "quarantine"


@dataclass(frozen=True)
class Inventory:
    """frames: path of each part by frame number; a part is 'lidar', 'imu', 'poses', 'occupancy' or a camera's channel.

    promised: parts of each frame by the session's checksums. leftovers: of interrupted writes. strangers: whatever else
    lies in the folders. quarantined: numbers put away.
    """

    folder: Path
    frames: dict[int, dict[str, Path]]
    promised: dict[int, frozenset[str]]
    leftovers: tuple[Path, ...]
    strangers: tuple[Path, ...]
    quarantined: frozenset[int]

    @property
    def parts(self) -> frozenset[str]:
        """The parts that a frame of this session has: the required ones and all that any frame has."""
        return REQUIRED.union(*self.frames.values())

    @property
    def channels(self) -> frozenset[str]:
        """The cameras among the parts."""
        return frozenset(part for part in self.parts if part.startswith("CAM_"))


def take_inventory(folder: Path) -> Inventory:
    """List a session's folders; a missing folder is an empty one."""
    frames: dict[int, dict[str, Path]] = {}
    leftovers, strangers = [], []
    for name in _NAMES:
        for path in sorted((folder / name).glob("*")):
            if place := _place(name, path.name):
                frames.setdefault(place[0], {})[place[1]] = path
            elif path.name.endswith(".part"):
                leftovers.append(path)
            else:
                strangers.append(path)
    quarantined = {int(found[0]) for p in (folder / QUARANTINE).rglob("*") if (found := re.match(r"\d{6,}", p.name))}
    promised: dict[int, frozenset[str]] = {}
    for name in read_checksums(folder):
        if place := _place(*name.rpartition("/")[::2]):
            promised[place[0]] = promised.get(place[0], frozenset()) | {place[1]}
    ordered = dict(sorted(frames.items()))
    return Inventory(folder, ordered, promised, tuple(leftovers), tuple(strangers), frozenset(quarantined))


def _place(folder: str, name: str) -> tuple[int, str] | None:
    """Frame number and part of a file by its folder's and its own name, None for one that has no such place."""
    match = _NAMES[folder].fullmatch(name) if folder in _NAMES else None
    return (int(match[1]), match[2] if folder == "images" else folder) if match else None

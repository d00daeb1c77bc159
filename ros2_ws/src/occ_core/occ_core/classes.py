"""Semantic classes of a voxel: names, colours, which of them move, and the map to Occ3D-nuScenes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum

import numpy as np


class Semantic(IntEnum):
    """Class ids as they stand in occupancy grids and meshes."""

    EMPTY = 0
    BUILDING = 1
    ROAD = 2
    SIDEWALK = 3
    TERRAIN = 4
    VEGETATION = 5
    BRIDGE = 6
    FURNITURE = 7
    WATER = 8
    CAR = 9
    TRUCK_BUS = 10
    BICYCLE = 11
    PEDESTRIAN = 12
    DRONE = 13
    ROVER = 14
    OTHER = 15


class Footing(Enum):
    """What a class is to those who stand: nothing, ground that nobody is ever below, water, a deck with room below."""

    NONE = 0
    SHEET = 1
    WATER = 2
    DECK = 3


@dataclass(frozen=True)
class ClassInfo:
    """One row of the class table: what this project knows of a class; what a LiDAR gets back of it is in sensors.yaml.

    colour: on maps, sRGB 0-255. dynamic: it moves. occ3d: the Occ3D-nuScenes id that stands for the class. rank: of
    several classes in a voxel the highest names it: what stands out above the ground. footing: what it is to those who
    stand. material: what a camera sees where there is no texture, sRGB; None: as on maps.
    """

    semantic: Semantic
    colour: tuple[int, int, int]
    dynamic: bool
    occ3d: int
    rank: int
    footing: Footing = Footing.NONE
    material: tuple[int, int, int] | None = None

    @property
    def name(self) -> str:
        """Lower-case name, as in configs and reports."""
        return self.semantic.name.lower()


# Occ3D-nuScenes ids (Tian et al., NeurIPS 2023): 0 others, 1 barrier, 2 bicycle, 3 bus, 4 car, 5 construction
# vehicle, 6 motorcycle, 7 pedestrian, 8 traffic cone, 9 trailer, 10 truck, 11 driveable surface, 12 other flat,
# 13 sidewalk, 14 terrain, 15 manmade, 16 vegetation, 17 free.
OCC3D_FREE = 17
CLASSES: tuple[ClassInfo, ...] = (
    ClassInfo(Semantic.EMPTY, (255, 255, 255), False, OCC3D_FREE, 0),
    ClassInfo(Semantic.BUILDING, (168, 150, 138), False, 15, 8),
    ClassInfo(Semantic.ROAD, (92, 94, 104), False, 11, 4, Footing.SHEET, (84, 85, 90)),
    ClassInfo(Semantic.SIDEWALK, (196, 176, 190), False, 13, 5, Footing.SHEET, (160, 156, 150)),
    ClassInfo(Semantic.TERRAIN, (150, 178, 110), False, 14, 2, Footing.SHEET, (128, 130, 104)),
    ClassInfo(Semantic.VEGETATION, (46, 125, 50), False, 16, 7, material=(66, 108, 58)),
    ClassInfo(Semantic.BRIDGE, (120, 100, 160), False, 15, 6, Footing.DECK, (150, 150, 148)),
    ClassInfo(Semantic.FURNITURE, (240, 190, 40), False, 15, 9, material=(132, 130, 126)),
    ClassInfo(Semantic.WATER, (60, 140, 200), False, 12, 3, Footing.WATER, (74, 104, 120)),
    ClassInfo(Semantic.CAR, (30, 110, 230), True, 4, 11),
    ClassInfo(Semantic.TRUCK_BUS, (20, 170, 190), True, 10, 10),
    ClassInfo(Semantic.BICYCLE, (230, 120, 30), True, 2, 12),
    ClassInfo(Semantic.PEDESTRIAN, (215, 40, 60), True, 7, 13),
    ClassInfo(Semantic.DRONE, (150, 40, 200), True, 0, 15),
    ClassInfo(Semantic.ROVER, (240, 60, 170), True, 0, 14),
    ClassInfo(Semantic.OTHER, (128, 128, 128), False, 0, 1),
)
NUM_CLASSES = len(CLASSES)
NAMES: tuple[str, ...] = tuple(info.name for info in CLASSES)
DYNAMIC_IDS: tuple[int, ...] = tuple(int(info.semantic) for info in CLASSES if info.dynamic)
COLOURS = np.array([info.colour for info in CLASSES], dtype=np.uint8)
MATERIALS = np.array([info.material or info.colour for info in CLASSES], dtype=np.uint8)
"""(classes, 3) uint8 sRGB: what a camera sees where there is no texture."""
RANKS = np.array([info.rank for info in CLASSES], dtype=np.uint8)
SHEET_CLASSES = tuple(info.semantic for info in CLASSES if info.footing in (Footing.SHEET, Footing.WATER))
"""Ground that nobody is ever below."""
GROUND_CLASSES = tuple(info.semantic for info in CLASSES if info.footing is not Footing.NONE)
"""What a robot can stand on: also bridges, which one may drive under, and see from below."""
DRIVEABLE_CLASSES = tuple(info.semantic for info in CLASSES if info.footing in (Footing.SHEET, Footing.DECK))
"""What wheels may go on."""

TO_OCC3D = np.array([info.occ3d for info in CLASSES], dtype=np.uint8)
"""(16,) uint8: class id -> Occ3D-nuScenes id."""

FROM_OCC3D = np.array(
    [
        Semantic.OTHER, Semantic.FURNITURE, Semantic.BICYCLE, Semantic.TRUCK_BUS, Semantic.CAR, Semantic.TRUCK_BUS,
        Semantic.BICYCLE, Semantic.PEDESTRIAN, Semantic.FURNITURE, Semantic.TRUCK_BUS, Semantic.TRUCK_BUS,
        Semantic.ROAD, Semantic.TERRAIN, Semantic.SIDEWALK, Semantic.TERRAIN, Semantic.BUILDING,
        Semantic.VEGETATION, Semantic.EMPTY,
    ],
    dtype=np.uint8,
)  # fmt: skip
"""(18,) uint8: Occ3D-nuScenes id -> class id."""


def ids_by_name(names: tuple[str, ...]) -> np.ndarray:
    """(256,) uint8: what an id of another table, whose names these are, is here; OTHER for ids that it has not got.

    ValueError that names the classes that are not known here, and for a table without `empty`.
    """
    if unknown := [name for name in names if name not in NAMES]:
        raise ValueError(f"classes that are not known here: {', '.join(unknown)}; there are {', '.join(NAMES)}")
    if len(set(names)) < len(names) or "empty" not in names:
        raise ValueError(f"a class table has each name once and 'empty' among them, got {', '.join(names)}")
    found = np.full(256, Semantic.OTHER, np.uint8)
    found[: len(names)] = [NAMES.index(name) for name in names]
    return found


def class_id(name: str) -> int:
    """The id of a class by its lower-case name; ValueError that lists the names for an unknown one."""
    try:
        return NAMES.index(name)
    except ValueError:
        raise ValueError(f"unknown class '{name}', one of {', '.join(NAMES)}") from None

"""Semantic classes of a voxel: names, colours, which of them move, and the map to Occ3D-nuScenes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

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


@dataclass(frozen=True)
class ClassInfo:
    """One row of the class table. colour: sRGB 0-255. occ3d: the Occ3D-nuScenes id that stands for the class."""

    semantic: Semantic
    colour: tuple[int, int, int]
    dynamic: bool
    occ3d: int

    @property
    def name(self) -> str:
        """Lower-case name, as in configs and reports."""
        return self.semantic.name.lower()


# Occ3D-nuScenes ids (Tian et al., NeurIPS 2023): 0 others, 1 barrier, 2 bicycle, 3 bus, 4 car, 5 construction
# vehicle, 6 motorcycle, 7 pedestrian, 8 traffic cone, 9 trailer, 10 truck, 11 driveable surface, 12 other flat,
# 13 sidewalk, 14 terrain, 15 manmade, 16 vegetation, 17 free.
OCC3D_FREE = 17
CLASSES: tuple[ClassInfo, ...] = (
    ClassInfo(Semantic.EMPTY, (255, 255, 255), False, OCC3D_FREE),
    ClassInfo(Semantic.BUILDING, (168, 150, 138), False, 15),
    ClassInfo(Semantic.ROAD, (92, 94, 104), False, 11),
    ClassInfo(Semantic.SIDEWALK, (196, 176, 190), False, 13),
    ClassInfo(Semantic.TERRAIN, (150, 178, 110), False, 14),
    ClassInfo(Semantic.VEGETATION, (46, 125, 50), False, 16),
    ClassInfo(Semantic.BRIDGE, (120, 100, 160), False, 15),
    ClassInfo(Semantic.FURNITURE, (240, 190, 40), False, 15),
    ClassInfo(Semantic.WATER, (60, 140, 200), False, 12),
    ClassInfo(Semantic.CAR, (30, 110, 230), True, 4),
    ClassInfo(Semantic.TRUCK_BUS, (20, 170, 190), True, 10),
    ClassInfo(Semantic.BICYCLE, (230, 120, 30), True, 2),
    ClassInfo(Semantic.PEDESTRIAN, (215, 40, 60), True, 7),
    ClassInfo(Semantic.DRONE, (150, 40, 200), True, 0),
    ClassInfo(Semantic.ROVER, (240, 60, 170), True, 0),
    ClassInfo(Semantic.OTHER, (128, 128, 128), False, 0),
)
NUM_CLASSES = len(CLASSES)
NAMES: tuple[str, ...] = tuple(info.name for info in CLASSES)
DYNAMIC_IDS: tuple[int, ...] = tuple(int(info.semantic) for info in CLASSES if info.dynamic)
COLOURS = np.array([info.colour for info in CLASSES], dtype=np.uint8)

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

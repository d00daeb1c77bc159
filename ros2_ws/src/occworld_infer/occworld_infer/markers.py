"""Layers of voxels as lists of equal cubes, and which of them have changed since they were last sent. No ROS."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from occworld_infer.box_cover import merge
from occworld_infer.layers import Layer

REFRESH = 20
"""Updates in which everything is sent once more, a part with each: RViz drops what comes for a namespace that is
switched off, and needs it when that is switched on."""
_GAP_M = 0.05


@dataclass(frozen=True, eq=False)
class CubeList:
    """One marker. scale: (3,) metres. colour: (4,) RGBA 0-1. centres: (n, 3) float64 metres, map."""

    namespace: str
    number: int
    scale: np.ndarray
    colour: np.ndarray
    centres: np.ndarray

    @property
    def key(self) -> tuple[str, int]:
        """What a marker is known by."""
        return self.namespace, self.number

    def same(self, other: CubeList) -> bool:
        """Whether it looks the same; lists of one key differ in nothing but centres and colour."""
        return np.array_equal(self.centres, other.centres) and np.array_equal(self.colour, other.colour)


def cube_lists(robot: str, layer: Layer) -> list[CubeList]:
    """A layer's voxels as boxes, one list for each class and size. Its namespace names robot and layer."""
    boxes = merge(layer.voxels)
    # A size is a power of two up to 8 along each axis: two bits each.
    powers = np.log2(boxes.size).astype(np.int64)
    numbers = boxes.labels * np.int64(64) + powers @ [1, 4, 16]
    centres = (boxes.lower + boxes.size / 2) * layer.cell + [0.0, 0.0, layer.base]
    order = np.argsort(numbers, kind="stable")
    firsts = np.flatnonzero(np.diff(numbers[order], prepend=-1))
    lists = []
    for chosen in np.split(order, firsts[1:]) if len(order) else []:
        first = chosen[0]
        scale = boxes.size[first] * layer.cell - _GAP_M
        colour = layer.palette[boxes.labels[first]]
        lists.append(CubeList(f"{robot}/{layer.name}", int(numbers[first]), scale, colour, centres[chosen]))
    return lists


@dataclass(frozen=True)
class MarkerUpdate:
    """changed: to add or replace. gone: keys to delete. anew: everything sent before is to be forgotten first."""

    changed: list[CubeList]
    gone: list[tuple[str, int]]
    anew: bool


class SentMarkers:
    """What the receivers have."""

    def __init__(self) -> None:
        self._sent: dict[tuple[str, int], CubeList] = {}
        self._updates, self._anew = 0, True

    def start_anew(self) -> None:
        """Send everything with the next update, as to a receiver that has just come."""
        self._sent.clear()
        self._anew = True

    def update(self, lists: Iterable[CubeList]) -> MarkerUpdate:
        """What to send so that receivers have these lists and no other."""
        current = {cubes.key: cubes for cubes in lists}
        changed = [
            cubes
            for key, cubes in current.items()
            if key not in self._sent or not cubes.same(self._sent[key]) or self._is_refreshed(cubes)
        ]
        update = MarkerUpdate(changed, [key for key in self._sent if key not in current], self._anew)
        self._sent, self._anew = current, False
        self._updates += 1
        return update

    def _is_refreshed(self, cubes: CubeList) -> bool:
        return cubes.number % REFRESH == self._updates % REFRESH

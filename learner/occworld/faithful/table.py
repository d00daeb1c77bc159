"""The class table that a model speaks: ours, or that of Occ3D-nuScenes for published weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from occ_core.classes import FROM_OCC3D, NUM_CLASSES, OCC3D_FREE, TO_OCC3D


@dataclass(frozen=True)
class ClassTable:
    """free: the id that stands for empty. into, out_of: (our ids,) and (its ids,) uint8, to and from our ids."""

    free: int
    into: np.ndarray
    out_of: np.ndarray

    def __len__(self) -> int:
        return len(self.out_of)

    @classmethod
    def of(cls, name: str) -> ClassTable:
        """name: 'tokyo' or 'occ3d'."""
        if name == "occ3d":
            return cls(OCC3D_FREE, TO_OCC3D, FROM_OCC3D)
        same = np.arange(NUM_CLASSES, dtype=np.uint8)
        return cls(0, same, same)

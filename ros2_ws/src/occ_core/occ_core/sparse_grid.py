"""Occupancy as the voxels that are occupied: what packed sessions hold and models take."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from occ_core.loops import compiled


@dataclass(frozen=True)
class SparseGrid:
    """The occupied voxels of a frame. voxels: (n,) int32 flat, ascending. classes: (n,) uint8.

    instances: (n,) uint16, 0 for what is no thing of its own.
    """

    voxels: np.ndarray
    classes: np.ndarray
    instances: np.ndarray

    @classmethod
    def from_dense(cls, classes: np.ndarray, instances: np.ndarray | None = None) -> SparseGrid:
        """classes: uint8 (X, Y, Z); instances: uint16 (X, Y, Z) or None."""
        flat, voxels = classes.reshape(-1), occupied_numbers(classes)
        ids = np.zeros(len(voxels), np.uint16) if instances is None else instances.reshape(-1)[voxels]
        return cls(voxels, flat[voxels], ids)

    def dense(self, shape: tuple[int, int, int]) -> np.ndarray:
        """uint8 (X, Y, Z) class ids."""
        out = np.zeros(int(np.prod(shape)), np.uint8)
        out[self.voxels] = self.classes
        return out.reshape(shape)

    def classes_at(self, voxels: np.ndarray) -> np.ndarray:
        """int64 classes of flat voxels (any shape), 0 where they are empty."""
        if not len(self.voxels):
            return np.zeros(voxels.shape, np.int64)
        place = np.minimum(np.searchsorted(self.voxels, voxels), len(self.voxels) - 1)
        return np.where(self.voxels[place] == voxels, self.classes[place], 0).astype(np.int64)


def occupied_numbers(classes: np.ndarray) -> np.ndarray:
    """(n,) int32 flat numbers of the voxels that are not empty, ascending. classes: uint8 (X, Y, Z).

    Looks at eight voxels at a time, since nearly all are empty, and without the interpreter's lock.
    """
    flat = np.ascontiguousarray(classes).reshape(-1)
    return _occupied(flat, flat[: len(flat) // 8 * 8].view(np.uint64))


@compiled
def _occupied(flat, eights):
    held = len(flat) - 8 * len(eights)
    for eight in eights:
        held += 8 * (eight != 0)
    out = np.empty(held, np.int32)
    n = 0
    for number in range(len(eights)):
        if eights[number] != 0:
            for i in range(8 * number, 8 * number + 8):
                out[n] = i
                n += flat[i] != 0
    for i in range(8 * len(eights), len(flat)):
        if flat[i] != 0:
            out[n] = i
            n += 1
    return out[:n].copy()

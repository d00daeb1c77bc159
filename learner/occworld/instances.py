"""Moving things as instances: from grids alone, followed through time, and how well they are forecast (VPQ)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from occ_core.classes import DYNAMIC_IDS
from occ_core.components import connected
from occ_core.grid import VoxelGrid
from occ_core.sparse_grid import SparseGrid
from occworld import motion as motions

_REACH_M = 6.0  # between frames 0.5 s apart: 43 km/h
_MATCH_IOU = 0.5


@dataclass(frozen=True)
class Segment:
    """One moving thing in one frame. voxels: (n,) flat, ascending."""

    instance: int
    semantic: int
    voxels: np.ndarray


def true_segments(frame: SparseGrid) -> list[Segment]:
    """By recorded instance; a thing of two classes counts as the more frequent one."""
    moving = np.isin(frame.classes, DYNAMIC_IDS) & (frame.instances > 0)
    voxels, classes, ids = frame.voxels[moving], frame.classes[moving], frame.instances[moving]
    return [
        Segment(int(i), int(np.bincount(classes[ids == i]).argmax()), voxels[ids == i]) for i in np.unique(ids).tolist()
    ]


def followed_segments(grid: VoxelGrid, frames: Sequence[SparseGrid], path: np.ndarray) -> list[list[Segment]]:
    """Of frames without instances: connected columns of one class, numbered alike in consecutive frames.

    frames: each in its own footprint. path: (steps, 4) those footprints in one frame. A thing keeps the number of the
    nearest of its class in the frame before, within reach.
    """
    before: dict[int, tuple[int, np.ndarray]] = {}
    count, followed = 0, []
    for frame, place in zip(frames, path, strict=True):
        now: dict[int, tuple[int, np.ndarray]] = {}
        segments = []
        for semantic, voxels in _components(grid, frame):
            index = np.stack(np.unravel_index(voxels, grid.shape), axis=1)
            centre = motions.apply(place, grid.centers(index).mean(axis=0)[None])[0]
            near = [
                (float(np.linalg.norm(centre - where)), i)
                for i, (kind, where) in before.items()
                if kind == semantic and i not in now
            ]
            distance, number = min(near, default=(np.inf, 0))
            if distance > _REACH_M:
                count += 1
                number = count
            now[number] = (semantic, centre)
            segments.append(Segment(number, semantic, voxels))
        before = now
        followed.append(segments)
    return followed


def _components(grid: VoxelGrid, frame: SparseGrid) -> list[tuple[int, np.ndarray]]:
    """(class, flat voxels) of each blob of columns, large ones first."""
    found = []
    moving = np.isin(frame.classes, DYNAMIC_IDS)
    all_voxels, classes = frame.voxels[moving], frame.classes[moving]
    for semantic in np.unique(classes).tolist():
        voxels = all_voxels[classes == semantic]
        columns = voxels // grid.shape[2]
        held = np.zeros(grid.shape[:2], bool)
        held.reshape(-1)[columns] = True
        labels = connected(held).reshape(-1)[columns]
        found += [(semantic, voxels[labels == i]) for i in range(1, labels.max() + 1)]
    return sorted(found, key=lambda part: -len(part[1]))


@dataclass
class PanopticScores:
    """Video panoptic quality of moving things, summed over windows (Kim et al., CVPR 2020, as FIERY uses it).

    A forecast thing is right where it overlaps a true one of its class by more than half, and goes by the number that
    this true one went by before in the window.
    """

    iou: float = 0.0
    right: int = 0
    wrong: int = 0
    missed: int = 0
    _names: dict[int, int] = field(default_factory=dict)

    def begin_window(self) -> None:
        """Numbers of another window mean other things."""
        self._names = {}

    def add(self, forecast: list[Segment], truth: list[Segment]) -> None:
        """One frame; frames of a window in order."""
        matched = set()
        for ours in forecast:
            for theirs in truth:
                if ours.semantic != theirs.semantic or theirs.instance in matched:
                    continue
                both = len(np.intersect1d(ours.voxels, theirs.voxels, assume_unique=True))
                overlap = both / (len(ours.voxels) + len(theirs.voxels) - both)
                if overlap > _MATCH_IOU and self._names.get(theirs.instance, ours.instance) == ours.instance:
                    self._names[theirs.instance] = ours.instance
                    matched.add(theirs.instance)
                    self.iou += overlap
                    break
        self.right += len(matched)
        self.wrong += len(forecast) - len(matched)
        self.missed += len(truth) - len(matched)

    def quality(self) -> float | None:
        """In [0, 1]; None where nothing moved and nothing was said to."""
        total = self.right + (self.wrong + self.missed) / 2
        return self.iou / total if total else None

"""Whole forecast grids: the voxel head where the past shows something, the column prior everywhere else."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from occ_core.grid import VoxelGrid
from occworld.aligned import Aligned
from occworld.fast.column_prior import surplus
from occworld.fast.voxel_head import VoxelHead, VoxelQuery
from occworld.history_features import features
from occworld.scene import ForecastFrame

# Intermediate tensors of this many voxels, or columns, stay in the processor's cache.
_CHUNK = 16384
_COLUMN_CHUNK = 4096


@dataclass(frozen=True)
class TargetView:
    """The past seen from a frame to come.

    row: of the head's tables, one for each step at imagined ego motion, then one for each at planned.
    frames: t of uint8 (X, Y, Z), moving things carried along in the last. motions: (t, 4), the target in each of them.
    motion: (4,), the target in the current frame. way: (t + step + 1, 2) metres, where the vehicle is in each frame up
    to the target, in the target frame. signs: (STRATA, SIGNS), as `hindcast.signs` has them. strata: (n,) of the
    candidates.
    """

    row: int
    frames: tuple[np.ndarray, ...]
    motions: np.ndarray
    motion: np.ndarray
    way: np.ndarray
    aligned: Aligned
    signs: np.ndarray
    strata: np.ndarray


def query_of(view: TargetView, evidence: Tensor, part: slice | np.ndarray) -> VoxelQuery:
    """Of some candidates of a view. evidence: float32 (n, features), theirs; where it is, all is."""
    aligned, device = view.aligned, evidence.device
    stratum = torch.from_numpy(view.strata[part]).to(device)
    return VoxelQuery(
        torch.from_numpy(aligned.candidates[part]).to(device).long(),
        evidence,
        torch.from_numpy(aligned.proposal[part]).to(device).long(),
        torch.from_numpy(aligned.skip[part]).to(device),
        view.row,
        stratum,
        torch.from_numpy(view.signs).to(device),
    )


def fill(grid: VoxelGrid, head: VoxelHead, columns: Tensor, embedding: Tensor, view: TargetView) -> ForecastFrame:
    """One frame. columns: (1, column_dim, X, Y) features. embedding: (classes, e)."""
    classes, probability = np.zeros(grid.shape, np.uint8), np.zeros(grid.shape, np.float16)
    projected = head.project(columns)
    # The prior first: where there is evidence, its judgement replaces the prior's.
    _fill_by_prior(head, columns, projected, embedding, view, classes, probability)
    _fill_candidates(grid, head, projected, embedding, view, classes.reshape(-1), probability.reshape(-1))
    return ForecastFrame.of_dense(classes, probability)


def _fill_by_prior(
    head: VoxelHead, columns: Tensor, projected: Tensor, embedding: Tensor, view: TargetView,
    classes: np.ndarray, probability: np.ndarray,
) -> None:  # fmt: skip
    nz, least = head.height, head.threshold[view.row].min()
    source, told = view.aligned.source.reshape(-1), torch.from_numpy(view.signs).to(columns.device)
    found, logits = [], []
    for seen in (False, True):
        worth, scale = head.weighed_prior(view.row, seen, told)
        chosen = np.flatnonzero((source >= 0) == seen)
        for start in range(0, len(chosen), _COLUMN_CHUNK):
            picked = torch.from_numpy(chosen[start : start + _COLUMN_CHUNK]).to(columns.device)
            of_columns = worth + scale * head.column_prior(columns, picked, seen)
            some = torch.nonzero(of_columns.amax(dim=1) > least).flatten()  # most columns are empty all the way up
            picked, of_columns = picked[some], of_columns[some]
            row, level = torch.nonzero(of_columns > least, as_tuple=True)
            found.append(picked[row] * nz + level)
            logits.append(of_columns[row, level])
    voxels, likely = torch.cat(found), torch.cat(logits)
    without = torch.from_numpy(~view.aligned.holds(voxels.cpu().numpy())).to(voxels.device)
    voxels, likely = voxels[without], likely[without]
    likely = likely - surplus(likely.float().cpu().numpy(), int(np.count_nonzero(view.frames[-1])))
    voxels, likely = voxels[likely > least], likely[likely > least]
    flat, odds = classes.reshape(-1), probability.reshape(-1)
    for start in range(0, len(voxels), _CHUNK):
        part = slice(start, start + _CHUNK)
        query = unseen_query(voxels[part], view.row)
        named = head(projected, query, embedding).classes.argmax(dim=1)
        odds[query.voxels.cpu().numpy()] = likely[part].sigmoid().half().cpu().numpy()
        sure = likely[part] > head.threshold[view.row][named]
        flat[query.voxels[sure].cpu().numpy()] = named[sure].to(torch.uint8).cpu().numpy()


def _fill_candidates(
    grid: VoxelGrid, head: VoxelHead, projected: Tensor, embedding: Tensor, view: TargetView,
    classes: np.ndarray, probability: np.ndarray,
) -> None:  # fmt: skip
    aligned, least = view.aligned, head.threshold[view.row].min()
    classes[aligned.candidates] = 0
    evidence = torch.empty(min(_CHUNK, len(aligned.candidates)), head.from_features.in_features)
    for start in range(0, len(aligned.candidates), _CHUNK):
        part = slice(start, start + _CHUNK)
        voxels = aligned.candidates[part]
        features(grid, view.frames, view.motions, aligned, voxels, evidence.numpy()[: len(voxels)])
        query = query_of(view, evidence[: len(voxels)].to(projected.device), part)
        occupied, described = head.judge(projected, query)
        probability[voxels] = occupied.sigmoid().half().cpu().numpy()
        there = torch.nonzero(occupied > least).flatten()
        named = head.name(described[there], query.proposal[there], embedding).argmax(dim=1)
        sure = occupied[there] > head.threshold[view.row][named]
        classes[voxels[there[sure].cpu().numpy()]] = named[sure].to(torch.uint8).cpu().numpy()


def unseen_query(voxels: Tensor, row: int) -> VoxelQuery:
    """A query without evidence. voxels: (n,) int64 flat."""
    zeros = torch.zeros(len(voxels), dtype=torch.int64, device=voxels.device)
    return VoxelQuery(voxels, None, zeros, zeros.bool(), row)

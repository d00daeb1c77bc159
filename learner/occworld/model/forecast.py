"""Whole forecast grids out of the model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from occworld.evidence import features
from occworld.model.objective import unseen_query
from occworld.model.occworld import OccWorld, TargetView
from occworld.model.scene import Scene
from occworld.model.voxel_head import VoxelQuery

# Intermediate tensors of this many voxels stay in the processor's cache.
_CHUNK = 16384


@dataclass(frozen=True)
class ForecastFrame:
    """classes: uint8 (X, Y, Z), 0 empty. probability: float16 (X, Y, Z) of being occupied."""

    classes: np.ndarray
    probability: np.ndarray


@dataclass(frozen=True)
class SceneForecast:
    """frames: one per step, each in its own forecast footprint. motion: (steps, 4) footprints in the current one."""

    frames: tuple[ForecastFrame, ...]
    motion: np.ndarray


@torch.inference_mode()
def forecast(model: OccWorld, scene: Scene) -> SceneForecast:
    """All steps of one scene. Model in eval mode."""
    imagined = model.imagine([scene])
    future = model.future_motion(scene, imagined.motion[0])
    steps = list(range(model.steps))
    if model.config.motion_compensation:
        views: list[TargetView | None] = list(model.views(scene, future, imagined.velocity[0].cpu().numpy(), steps))
        columns = model.columns(imagined.latents[0], views)
    else:
        views, columns = [None] * model.steps, model.columns_without_past(imagined.latents[0])
    frames = tuple(_frame(model, columns[i : i + 1], view) for i, view in enumerate(views))
    return SceneForecast(frames, future)


def _frame(model: OccWorld, columns: Tensor, view: TargetView | None) -> ForecastFrame:
    shape = model.grid.shape
    classes, probability = np.zeros(shape, np.uint8), np.zeros(shape, np.float16)
    projected, embedding = model.head.project(columns), model.tokenizer.fold.embedding()
    if view is not None:
        _fill_seen(model, projected, embedding, view, classes.reshape(-1), probability.reshape(-1))
    free = np.arange(shape[0] * shape[1]) if view is None else np.flatnonzero(view.aligned.source.reshape(-1) < 0)
    _fill_unseen(model, columns, projected, embedding, view, free, classes.reshape(-1), probability.reshape(-1))
    return ForecastFrame(classes, probability)


def _fill_seen(
    model: OccWorld,
    projected: Tensor,
    embedding: Tensor,
    view: TargetView,
    classes: np.ndarray,
    probability: np.ndarray,
) -> None:
    aligned, device = view.aligned, projected.device
    evidence = features(model.grid, view.frames, view.motions, aligned, aligned.candidates)
    for start in range(0, len(aligned.candidates), _CHUNK):
        part = slice(start, start + _CHUNK)
        voxels = aligned.candidates[part]
        query = VoxelQuery(
            torch.from_numpy(voxels).to(device).long(),
            torch.from_numpy(evidence[part]).to(device),
            torch.from_numpy(aligned.proposal[part]).to(device).long(),
            torch.from_numpy(aligned.skip[part]).to(device),
            view.step,
        )
        occupied, described = model.head.judge(projected, query)
        probability[voxels] = occupied.sigmoid().half().cpu().numpy()
        there = torch.nonzero(occupied > 0).flatten()
        named = model.head.name(described[there], query.proposal[there], embedding).argmax(dim=1)
        classes[voxels[there.cpu().numpy()]] = named.to(torch.uint8).cpu().numpy()


def _fill_unseen(
    model: OccWorld, columns: Tensor, projected: Tensor, embedding: Tensor, view: TargetView | None,
    free: np.ndarray, classes: np.ndarray, probability: np.ndarray,
) -> None:  # fmt: skip
    nz = model.grid.shape[2]
    for start in range(0, len(free), _CHUNK):
        part = torch.from_numpy(free[start : start + _CHUNK]).to(columns.device)
        logits = model.head.column_prior(columns, part)
        probability.reshape(-1, nz)[free[start : start + _CHUNK]] = logits.sigmoid().half().cpu().numpy()
        row, level = torch.nonzero(logits > 0, as_tuple=True)
        voxels = part[row] * nz + level
        named = model.head(projected, unseen_query(voxels, model, view), embedding).classes.argmax(dim=1)
        classes[voxels.cpu().numpy()] = named.to(torch.uint8).cpu().numpy()

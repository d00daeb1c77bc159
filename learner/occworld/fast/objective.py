"""What the fast model is trained on: reconstruction of single frames (stage 1), forecasts of windows (stage 2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from occ_core.classes import DYNAMIC_IDS
from occ_core.sparse_grid import SparseGrid
from occworld import motion as motions
from occworld.config import TrainingConfig
from occworld.dataset import Batch, Window, bits_at
from occworld.fast.fill import TargetView, query_of, unseen_query
from occworld.fast.flow import flow_loss, true_velocity
from occworld.fast.maps import moving
from occworld.history_features import features
from occworld.losses import Losses, class_loss, column_loss, occupancy_loss
from occworld.scene import Scene
from occworld.warp import align, covered

if TYPE_CHECKING:
    from occworld.fast.model import FastOccWorld

_DYNAMIC_WEIGHT = 3.0


@dataclass(frozen=True)
class Rollout:
    """What the transformer says, in the current frame.

    logits: (b, t - 1 + steps, codes, h, w), of the frames after each history frame and each imagined one, or of the
    imagined ones alone, (b, steps, codes, h, w). latents: (b, steps, d, h, w). motion: (b, steps, 4), footprints to
    come.
    """

    logits: Tensor
    latents: Tensor
    motion: Tensor


@dataclass(frozen=True)
class Imagined(Rollout):
    """velocity: (b, 3, X, Y) of moving things."""

    velocity: Tensor


class FastObjective(nn.Module):
    """Wraps the model so that one forward call gives the losses of either stage. class_weights: (classes,) float32."""

    class_weights: Tensor

    def __init__(self, model: FastOccWorld, training: TrainingConfig, class_weights: np.ndarray) -> None:
        super().__init__()
        self.model, self.config = model, training
        self.register_buffer("class_weights", torch.from_numpy(class_weights), persistent=False)

    def forward(self, batch: Batch, stage: int) -> Losses:
        """stage: 1 reconstructs, 2 forecasts."""
        return self.reconstruction(batch.windows) if stage == 1 else self.forecast(batch.windows)

    def reconstruction(self, windows: list[Window]) -> Losses:
        """First and last frame of each window through codes and back."""
        frames = [frame for window in windows for frame in (window.frames[0], window.future[-1])]
        tokens = self.model.tokenizer(frames)
        columns = self.model.columns_without_past(tokens.latents)
        parts = [
            self._by_prior(part, self.model.head.project(part), frame, None)
            for part, frame in zip(columns.split(1), frames, strict=True)
        ]
        column, classes = (torch.stack(part).mean() for part in zip(*parts, strict=True))
        zero = column.detach() * 0
        total = column + classes + tokens.loss
        return Losses(total, zero, column, classes, tokens.loss, zero, zero, tokens.use, tokens.perplexity)

    def forecast(self, windows: list[Window]) -> Losses:
        """Some horizons of each window."""
        model = self.model
        share = 1.0 if model.config.condition == "poses" else self.config.plan_share
        scenes = [Scene.of(model.grid, w, bool(torch.rand(()) < share)) for w in windows]
        imagined = model.imagine(scenes)
        parts = []
        for i, (scene, window) in enumerate(zip(scenes, windows, strict=True)):
            parts.append(self._window(scene, window, imagined, i))
        occupancy, column, classes, flow = (torch.stack(part).mean() for part in zip(*parts, strict=True))
        code, use, perplexity = self._code_loss(scenes, windows, imagined)
        truth = torch.from_numpy(np.stack([w.motion[w.history :] for w in windows])).to(imagined.motion)
        pose = F.smooth_l1_loss(imagined.motion, truth, beta=0.1)
        total = occupancy + 0.5 * column + 0.5 * classes + 0.1 * code + 0.3 * pose + 0.2 * flow
        return Losses(total, occupancy, column, classes, code, pose, flow, use, perplexity)

    def _window(
        self, scene: Scene, window: Window, imagined: Imagined, i: int
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        model = self.model
        count = min(self.config.horizons_per_step, model.steps)
        chosen = torch.randperm(model.steps)[:count].tolist()
        latents = imagined.latents[i, chosen]
        future = model.future_motion(scene, imagined.motion[i])
        velocity = imagined.velocity[i].detach().cpu().numpy()
        views = [model.view(scene, future, velocity, step) for step in chosen]
        columns = model.columns(scene, latents, views)
        parts = []
        for step, view, part in zip(chosen, views, columns.split(1), strict=True):
            truth, asked = window.future[step], self._asked(window, step)
            projected = model.head.project(part)
            column, classes = self._by_prior(part, projected, truth, view, asked)
            occupancy, seen_classes = self._by_evidence(projected, truth, view, asked)
            parts.append((occupancy, column, seen_classes + 0.3 * classes))
        occupancy, column, classes = (torch.stack(part).mean() for part in zip(*parts, strict=True))
        return occupancy, column, classes, self._flow_loss(window, imagined, i)

    def _asked(self, window: Window, step: int) -> np.ndarray | None:
        """Bits of the voxels that count in a frame to come, (ceil(voxels / 8),) uint8; None for all."""
        return window.observed[window.history + step] if self.config.observed_only else None

    def _flow_loss(self, window: Window, imagined: Imagined, i: int) -> Tensor:
        """Of what LiDAR saw of moving things, before and after: beside the whole of a thing its near side has moved."""
        model = self.model
        now = window.frames[window.history - 1]
        if not moving(now).any():
            return imagined.velocity[i].sum() * 0
        later = [
            align(model.grid, window.frames[t], window.motion[t])
            for t in range(window.history, min(window.history + 3, len(window.frames)))
        ]
        voxels, truth = true_velocity(model.grid, now, later, model.frame_period)
        return flow_loss(imagined.velocity[i], model.grid, voxels, truth)

    def _by_evidence(
        self, projected: Tensor, truth: SparseGrid, view: TargetView, asked: np.ndarray | None
    ) -> tuple[Tensor, Tensor]:
        """Occupancy and class loss over a sample of the candidates. asked: as of `_asked`."""
        model, aligned, device = self.model, view.aligned, projected.device
        if not len(aligned.candidates):
            return projected.sum() * 0, projected.sum() * 0
        chosen = torch.randint(len(aligned.candidates), (self.config.voxel_samples,)).numpy()
        if asked is not None:
            chosen = chosen[bits_at(asked, aligned.candidates[chosen])]
            if not len(chosen):
                return projected.sum() * 0, projected.sum() * 0
        voxels = aligned.candidates[chosen]
        # Copied, and not `from_numpy`: BLAS rounds by how its input lies in memory, and a resumed run must equal an
        # unbroken one bit for bit.
        evidence = torch.tensor(features(model.grid, view.frames, view.motions, aligned, voxels)).to(device)
        query = query_of(view, evidence, chosen)
        logits = model.head(projected, query, model.tokenizer.fold.embedding())
        there = truth.classes_at(voxels)
        labels = torch.from_numpy(there).to(device)
        occupied = labels > 0
        dynamic = np.isin(aligned.proposal[chosen], DYNAMIC_IDS) | np.isin(there, DYNAMIC_IDS)
        weights = 1.0 + (_DYNAMIC_WEIGHT - 1.0) * torch.from_numpy(dynamic).to(device).float()
        return (
            occupancy_loss(logits.occupied, occupied, weights),
            class_loss(logits.classes[occupied], labels[occupied], self.class_weights),
        )

    def _by_prior(
        self,
        columns: Tensor,
        projected: Tensor,
        truth: SparseGrid,
        view: TargetView | None,
        asked: np.ndarray | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Column and class loss over a sample of columns, without the candidates in them. view: None for a single
        frame. asked: as of `_asked`."""
        model = self.model
        source = view.aligned.source.reshape(-1) if view else np.full(np.prod(model.grid.shape[:2]), -1, np.int8)
        parts = []
        for seen in (False, True):
            free = np.flatnonzero((source >= 0) == seen)
            if len(free):
                parts.append(self._columns_of(free, seen, columns, projected, truth, view, asked))
        column, classes = (torch.stack(part).sum() for part in zip(*parts, strict=True))
        return column, classes

    def _columns_of(
        self,
        free: np.ndarray,
        seen: bool,
        columns: Tensor,
        projected: Tensor,
        truth: SparseGrid,
        view: TargetView | None,
        asked: np.ndarray | None,
    ) -> tuple[Tensor, Tensor]:
        model, device = self.model, columns.device
        nz = model.grid.shape[2]
        pick = np.sort(free[torch.randperm(len(free))[: self.config.column_samples].numpy()])
        voxels = (pick[:, None] * nz + np.arange(nz)).astype(np.int32).reshape(-1)
        labels = truth.classes_at(voxels)
        counts = np.ones(len(voxels), bool) if asked is None else bits_at(asked, voxels)
        if seen and view is not None:
            counts &= ~view.aligned.holds(voxels)
        picked = torch.from_numpy(pick).to(device)
        logits = model.head.column_prior(columns, picked, seen)
        occupied = np.flatnonzero(counts & (labels > 0))
        occupied = occupied[torch.randperm(len(occupied)).numpy()[: self.config.voxel_samples // 2]]
        query = unseen_query(torch.from_numpy(voxels[occupied]).to(device).long(), view.row if view else 0)
        classes = model.head(projected, query, model.tokenizer.fold.embedding()).classes
        named = torch.from_numpy(labels[occupied]).to(device)
        mask = torch.from_numpy(counts.reshape(logits.shape)).to(device)
        there = torch.from_numpy(labels.reshape(logits.shape) > 0).to(device)
        return column_loss(logits, there, mask), class_loss(classes, named, self.class_weights)

    def _code_loss(self, scenes: list[Scene], windows: list[Window], imagined: Imagined) -> tuple[Tensor, float, float]:
        """Cross entropy of the codes of true frames in the current frame, where they reach."""
        model = self.model
        frames, masks = [], []
        for scene, window in zip(scenes, windows, strict=True):
            frames += scene.aligned[1:]
            for t in range(1, len(window.frames)):
                motion = window.motion[t]
                masks.append(covered(model.grid, motions.inverse(motion)))
                if t >= window.history:
                    frames.append(align(model.grid, window.future[t - window.history], motion))
        with torch.no_grad():
            tokens = model.tokenizer(frames)
        h, w = model.tokenizer.size
        cells = torch.from_numpy(np.stack(masks)).float()[:, None]
        reach = F.interpolate(cells, size=(h, w), mode="area")[:, 0].to(imagined.logits.device) > 0.99
        target = torch.where(reach, tokens.codes, torch.full_like(tokens.codes, -100))
        return F.cross_entropy(imagined.logits.flatten(0, 1), target, ignore_index=-100), tokens.use, tokens.perplexity

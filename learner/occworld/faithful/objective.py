"""What the faithful model is trained on: reconstruction (stage 1), codes and poses of the next frame (stage 2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from occworld.config import TrainingConfig
from occworld.dataset import Batch, Window
from occworld.faithful.ego import EgoTrack
from occworld.layers.attention import TimeCache
from occworld.losses import Losses, lovasz_softmax
from occworld.motion import relative_poses

if TYPE_CHECKING:
    from occworld.faithful.model import FaithfulOccWorld

# As in the reference configuration: reconstruction, Lovasz and codebook terms stand 10 : 1 : 1, codes and pose 1 : 0.1.
_RECONSTRUCTION = 10.0
_POSE = 0.1


class FaithfulObjective(nn.Module):
    """One forward call gives the losses of either stage. class_weights: (our classes,) float32."""

    class_weights: Tensor

    def __init__(self, model: FaithfulOccWorld, training: TrainingConfig, class_weights: np.ndarray) -> None:
        super().__init__()
        self.model, self.config = model, training
        table = model.tokenizer.table
        weights = class_weights[table.out_of]
        # The commonest class of all: no heavier than any that is occupied, or the model is best off with empty streets.
        weights[table.free] = weights.min()
        self.register_buffer("class_weights", torch.from_numpy(weights), persistent=False)

    def forward(self, batch: Batch, stage: int) -> Losses:
        """stage: 1 reconstructs, 2 forecasts."""
        return self.reconstruction(batch.windows) if stage == 1 else self.forecast(batch.windows)

    def reconstruction(self, windows: list[Window]) -> Losses:
        """First and last frame of each window through codes and back, judged on a sample of columns.

        Half of the sample holds something: nine columns in ten of a street's grid are worth a look, most levels of
        each are not, and a loss over all 4.84 M voxels would mostly praise the sky.
        """
        model = self.model
        frames = [frame for window in windows for frame in (window.frames[0], window.future[-1])]
        tokens = model.tokenizer.encode(frames)
        features = model.tokenizer.decode(tokens.latents)
        nx, ny, nz = model.grid.shape
        count = max(self.config.column_samples // len(frames), 1)
        chosen, labels = [], []
        for i, frame in enumerate(frames):
            held = np.unique(frame.voxels // nz)
            half = held[torch.randint(max(len(held), 1), (count // 2,)).numpy()] if len(held) else held
            columns = np.concatenate([half, torch.randint(nx * ny, (count - len(half),)).numpy()])
            chosen.append(columns + i * nx * ny)
            voxels = (columns[:, None] * nz + np.arange(nz)).astype(np.int32)
            labels.append(model.tokenizer.table.into[frame.classes_at(voxels)])
        picked = torch.from_numpy(np.concatenate(chosen)).to(model.device)
        truth = torch.from_numpy(np.concatenate(labels).astype(np.int64)).to(model.device).flatten()
        logits = model.tokenizer.head(features, picked, model.tokenizer.embedding).flatten(0, 1).float()
        entropy = F.cross_entropy(logits, truth, weight=self.class_weights)
        lovasz = lovasz_softmax(logits.softmax(dim=1), truth)
        zero = entropy.detach() * 0
        total = _RECONSTRUCTION * entropy + lovasz + tokens.loss
        return Losses(total, lovasz, zero, entropy, tokens.loss, zero, zero, tokens.use, tokens.perplexity)

    def forecast(self, windows: list[Window]) -> Losses:
        """Every frame foretells the next, given the true ones before it."""
        model = self.model
        frames = [frame for window in windows for frame in (*window.frames[: window.history], *window.future)]
        tokens = model.tokenizer.encode_in_parts(frames)
        latents, codes = (x.unflatten(0, (len(windows), -1)) for x in (tokens.latents, tokens.codes))
        tracks = [_track(window) for window in windows]
        # With a plan a token tells of the frame after its own.
        shift = 1 if model.config.condition == "poses" else 0
        n = latents.shape[1] - 1
        out = model.transformer(latents[:, :-1], model.ego.embed(tracks)[:, shift : n + shift], TimeCache(keeps=False))
        code = F.cross_entropy(out.logits.flatten(0, 1).float(), codes[:, 1:].flatten(0, 1))
        pose = self._pose_loss(out.pose, tracks)
        zero = code.detach() * 0
        losses = Losses(code + _POSE * pose, zero, zero, zero, code, pose, zero, tokens.use, tokens.perplexity)
        if any(weight.requires_grad for weight in model.tokenizer.parameters()):
            again = self.reconstruction(windows)
            losses.total = losses.total + again.total
            losses.occupancy, losses.classes = again.occupancy, again.classes
        return losses

    def _pose_loss(self, tokens: Tensor, tracks: list[EgoTrack]) -> Tensor:
        """Metres along the track, as in the paper: errors of steps add up. tokens: (b, n, c) of all but the last."""
        before = [EgoTrack(track.footprint[:-1], track.twist[:-1]) for track in tracks]
        steps = self.model.ego.next_steps(tokens, before)[:, 1:]
        truth = torch.from_numpy(np.stack([track.steps[2:] for track in tracks])).to(steps)
        return F.smooth_l1_loss(steps.cumsum(dim=1), truth.cumsum(dim=1), beta=0.1)


def _track(window: Window) -> EgoTrack:
    current = window.footprint[window.history - 1]
    return EgoTrack(window.motion, relative_poses(window.pose_13d, current))

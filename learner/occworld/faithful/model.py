"""OccWorld: codes and ego poses of the frames so far to those of the frames to come, one frame at a time.

Source: Zheng et al., "OccWorld: Learning a 3D Occupancy World Model for Autonomous Driving", ECCV 2024.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import nn

from occ_core.grid import VoxelGrid
from occworld import motion as motions
from occworld.config import TrainingConfig
from occworld.dataset import GazeboOccWorldDataset
from occworld.faithful.ego import EgoTrack, ModeTokens, TwistTokens
from occworld.faithful.fold import ClassTable
from occworld.faithful.objective import FaithfulObjective
from occworld.faithful.plan_u import PlanU
from occworld.faithful.published import load_published
from occworld.faithful.tokenizer import Tokenizer
from occworld.forecast_model import Intake
from occworld.layers.attention import TimeCache
from occworld.layers.blocks import set_recompute
from occworld.model_config import ConfigError, FaithfulConfig
from occworld.scene import ForecastFrame, Scene, SceneForecast


class FaithfulOccWorld(nn.Module):
    """Frames stay each in its own `base_footprint`: what the ego motion does to the view is for the model to learn."""

    def __init__(self, grid: VoxelGrid, config: FaithfulConfig, history: int, steps: int, frame_period: float) -> None:
        super().__init__()
        if history + steps > config.max_frames + 1:
            raise ConfigError(f"{history} + {steps} frames do not fit into model.max_frames {config.max_frames}")
        self.grid, self.config, self.history, self.steps, self.frame_period = grid, config, history, steps, frame_period
        c = config
        self.tokenizer = Tokenizer(grid, c)
        self.transformer = PlanU(
            self.tokenizer.size, c.num_codes, c.embed_dim, c.num_layers, c.num_heads, c.temporal_attn_layers,
            c.pose_attn_layers, c.dropout, c.max_frames,
        )  # fmt: skip
        tokens = TwistTokens if c.pose == "twist" else ModeTokens
        self.ego = tokens(c.embed_dim, c.pose_hidden, c.pose_layers)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.tokenizer.embedding.device

    def use_occ3d_classes(self) -> None:
        """From now on grids in and out hold Occ3D's classes as `occworld.occ3d` numbers them, and not ours.

        ConfigError for a model of our class table.
        """
        if self.config.class_table != "occ3d":
            raise ConfigError(
                "data of Occ3D-nuScenes are for a model with class_table 'occ3d', such as the published one"
            )
        self.tokenizer.table = self.tokenizer.fold.table = ClassTable.of("occ3d_itself")

    def freeze(self, vae: bool, transformer: bool, pose: bool) -> None:
        """Which parts stay as they are in stage 2."""
        self.tokenizer.requires_grad_(not vae)
        self.transformer.requires_grad_(not transformer)
        self.ego.requires_grad_(not pose)

    @property
    def conditions(self) -> tuple[str, ...]:
        """The one that it was trained for."""
        return (self.config.condition,)

    def recompute(self) -> None:
        """Activations are computed again in the backward pass from now on."""
        set_recompute(self, True)

    def objective(self, training: TrainingConfig, class_weights: np.ndarray) -> FaithfulObjective:
        """What it is trained on. class_weights: (our classes,) float32. ConfigError for observed_only: codes are of
        whole frames."""
        if training.observed_only:
            raise ConfigError("training.observed_only is for model.architecture 'fast'")
        return FaithfulObjective(self, training, class_weights)

    def calibrate(self, data: GazeboOccWorldDataset, limit: int | None) -> None:
        """Nothing to fit: the likeliest class is taken."""
        self.eval()

    def load_published(self, body: object) -> Intake:
        """Take what fits of a loaded `latest.pth`."""
        return load_published(self, body)

    @torch.inference_mode()
    def forecast(self, scene: Scene) -> SceneForecast:
        """Autoregressive: the likeliest code of each cell is fed back. Model in eval mode."""
        known = EgoTrack(scene.motion, scene.relative)
        ahead = known
        if scene.planned is not None:
            for step in motions.between(np.vstack([known.footprint[-1:], scene.planned[:-1]]), scene.planned):
                ahead = ahead.extended(step, self.frame_period)
        cache, frames = TimeCache(), []
        tokens = self.tokenizer.encode_in_parts(list(scene.frames)).latents[None]
        # With a plan a token tells of the frame after its own.
        shift = 0 if scene.planned is None else 1
        first, last = 0, self.history
        for _ in range(self.steps):
            window = slice(first + shift, last + shift)
            poses = self.ego.embed([EgoTrack(ahead.footprint[: window.stop], ahead.twist[: window.stop])])[:, window]
            out = self.transformer(tokens, poses, cache)
            if scene.planned is None:
                so_far = EgoTrack(ahead.footprint[:last], ahead.twist[:last])
                follow = self.ego.next_steps(out.pose[:, -1:], [so_far])[0, -1]
                ahead = ahead.extended(follow.double().cpu().numpy(), self.frame_period)
            codes = out.logits[:, -1].argmax(dim=1)
            tokens = self.tokenizer.quantizer.codebook[codes].permute(0, 3, 1, 2)[:, None]
            frames.append(tokens[0])
            first, last = last, last + 1
        return SceneForecast(tuple(self._dense(latents) for latents in frames), ahead.footprint[self.history :])

    def forecasts(self, scenes: list[Scene]) -> Iterator[SceneForecast]:
        """All steps of some scenes, one scene after the other: the autoencoder alone fills a machine."""
        return map(self.forecast, scenes)

    def without_torch(self) -> None:
        """None: its layers are PyTorch's alone."""

    def _dense(self, latents: torch.Tensor) -> ForecastFrame:
        nx, ny, nz = self.grid.shape
        classes, probability = np.empty((nx * ny, nz), np.uint8), np.empty((nx * ny, nz), np.float16)
        table = self.tokenizer.table
        features = self.tokenizer.decode(latents)
        for columns, logits in self.tokenizer.head.slabs(features, self.tokenizer.embedding):
            part = slice(int(columns[0]), int(columns[-1]) + 1)
            share = logits.float().softmax(dim=2)
            probability[part] = (1 - share[..., table.free]).half().cpu().numpy()
            classes[part] = table.out_of[share.argmax(dim=2).to(torch.uint8).cpu().numpy()]
        return ForecastFrame.of_dense(classes.reshape(nx, ny, nz), probability.reshape(nx, ny, nz))

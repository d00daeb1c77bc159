"""The fast model: imagines codes and ego motion of the frames to come, then decodes them over the aligned past."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from einops import rearrange
from torch import Tensor, nn

from occ_core.classes import NUM_CLASSES
from occ_core.grid import VoxelGrid
from occworld.aligned import align_history
from occworld.config import TrainingConfig
from occworld.dataset import GazeboOccWorldDataset
from occworld.fast.autoencoder import BevDecoder
from occworld.fast.calibration import calibrate
from occworld.fast.fill import TargetView, fill
from occworld.fast.flow import FlowHead, resample_latents
from occworld.fast.gate import fit_gate
from occworld.fast.maps import CHANNELS, dynamic_maps, surroundings
from occworld.fast.numpy_model import NumpyOccWorld, seen_from
from occworld.fast.objective import FastObjective, Imagined, Rollout
from occworld.fast.pose import PoseDecoder, PoseEncoder, integrate
from occworld.fast.thresholds import decided
from occworld.fast.tokenizer import PatchTokenizer
from occworld.fast.transformer import OccWorldTransformer
from occworld.fast.voxel_head import VoxelHead
from occworld.forecast_model import Intake
from occworld.hindcast import HINDCASTS, strata
from occworld.history_features import feature_count
from occworld.layers.attention import TimeCache
from occworld.model_config import GENTLY, ConfigError, FastConfig
from occworld.scene import ForecastFrame, Scene, SceneForecast
from occworld.tracks import advance

_TURN_LEFT = 0.75


class FastOccWorld(nn.Module):
    """OccWorld's tokens over a history carried into one frame by ego motion; before training it forecasts the warp."""

    def __init__(self, grid: VoxelGrid, config: FastConfig, history: int, steps: int, frame_period: float) -> None:
        super().__init__()
        self.grid, self.config, self.history, self.steps, self.frame_period = grid, config, history, steps, frame_period
        c = config
        self.tokenizer = PatchTokenizer(grid, c)
        self.transformer = OccWorldTransformer(
            self.tokenizer.size, c.code_dim, c.num_codes, c.embed_dim, c.num_heads, c.num_layers,
            c.temporal_attn_layers, c.dropout, history + steps,
        )  # fmt: skip
        self.pose_encoder = PoseEncoder(c.pose_hidden, c.embed_dim, c.pose_layers)
        self.pose_decoder = PoseDecoder(c.embed_dim, c.pose_hidden, c.pose_layers)
        # How much of the present motion is left in each step: turns end sooner than drives do.
        self.persistence = nn.Parameter(torch.tensor([[1.0, 1.0, 1.0, _TURN_LEFT**i] for i in range(steps)]))
        self.flow = FlowHead(history, c.flow_channel)
        self.decoder = BevDecoder(
            c.code_dim, c.base_channel, 1 + CHANNELS, c.column_dim, c.patch, self.tokenizer.fold.size
        )
        self.head = VoxelHead(
            grid.shape[2], NUM_CLASSES, feature_count(history), c.column_dim, c.voxel_hidden, c.class_dim, 2 * steps,
        )  # fmt: skip

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.head.prior.weight.device

    def freeze(self, vae: bool, transformer: bool, pose: bool) -> None:
        """Which parts stay as they are in stage 2."""
        self.tokenizer.requires_grad_(not vae)
        self.transformer.requires_grad_(not transformer)
        self.pose_encoder.requires_grad_(not pose)
        self.pose_decoder.requires_grad_(not pose)
        self.persistence.requires_grad_(not pose)

    @property
    def conditions(self) -> tuple[str, ...]:
        """It is trained for both."""
        return "none", "poses"

    def recompute(self) -> None:
        """Always ConfigError: its activations are small."""
        raise ConfigError("training.recompute is for model.architecture 'faithful'")

    def objective(self, training: TrainingConfig, class_weights: np.ndarray) -> FastObjective:
        """What it is trained on. class_weights: (classes,) float32."""
        return FastObjective(self, training, class_weights)

    def calibrate(self, data: GazeboOccWorldDataset, limit: int | None) -> None:
        """The gate of its voxel head, and what its decisions need to know."""
        fit_gate(self, data, limit)
        calibrate(self, data, limit)

    def load_published(self, body: object) -> Intake:
        """Always ConfigError: the published weights are of the faithful architecture."""
        raise ConfigError("weights of the published OccWorld, for model.architecture 'faithful' only")

    def forecast(self, scene: Scene) -> SceneForecast:
        """All steps of one scene. Model in eval mode."""
        (only,) = self.forecasts([scene])
        return only

    def forecasts(self, scenes: list[Scene]) -> Iterator[SceneForecast]:
        """All steps of each scene, as soon as they are made: on a processor by the model without PyTorch, which is
        several times faster and computes in float32 alone, by the layers elsewhere and in other precisions. Model in
        eval mode."""
        if self.device.type == "cpu" and not torch.is_autocast_enabled("cpu"):
            return self.without_torch().forecasts(scenes)
        return self.by_layers(scenes)

    def without_torch(self) -> NumpyOccWorld:
        """The same model as it is now, to forecast on a processor."""
        tensors = {name: tensor.detach().cpu().float().numpy() for name, tensor in self.state_dict().items()}
        return NumpyOccWorld(self.grid, self.config, self.history, self.steps, self.frame_period, tensors)

    @torch.inference_mode()
    def by_layers(self, scenes: list[Scene]) -> Iterator[SceneForecast]:
        """As `forecasts`, by operations of PyTorch; imagined in one pass."""
        imagined = self.imagine(scenes)
        for i, scene in enumerate(scenes):
            future, velocity = self.future_motion(scene, imagined.motion[i]), imagined.velocity[i].float().cpu().numpy()
            yield SceneForecast(tuple(self.filled(scene, imagined.latents[i], future, velocity)), future)

    def filled(self, scene: Scene, latents: Tensor, future: np.ndarray, velocity: np.ndarray) -> list[ForecastFrame]:
        """The frames. latents: (steps, d, h, w). future: (steps, 4). velocity: (3, X, Y)."""
        embedding, steps = self.tokenizer.fold.embedding(), range(self.steps)
        views = [self.view(scene, future, velocity, step) for step in steps]
        columns = self.columns(scene, latents, views).split(1)
        frames = [fill(self.grid, self.head, columns[step], embedding, views[step]) for step in steps]
        return [self._decided(frame, view.row) for frame, view in zip(frames, views, strict=True)]

    def _decided(self, frame: ForecastFrame, row: int) -> ForecastFrame:
        return decided(frame, *(table[row].cpu().numpy() for table in (self.head.named_right, self.head.missed)))

    def imagine(self, scenes: list[Scene]) -> Imagined:
        """Autoregressive rollout; each step feeds back the mean code under its own prediction."""
        latents = self.tokenizer([frame for scene in scenes for frame in scene.aligned]).latents
        rollout = self._rollout(scenes, rearrange(latents, "(b t) d h w -> b t d h w", b=len(scenes)))
        return Imagined(rollout.logits, rollout.latents, rollout.motion, self._velocity(scenes))

    def _rollout(self, scenes: list[Scene], latents: Tensor) -> Rollout:
        """latents: (b, t, d, h, w) of the history."""
        relative = torch.tensor(np.stack([scene.relative for scene in scenes])).to(self.device)
        constant = torch.tensor(np.stack([scene.step(self.frame_period) for scene in scenes])).to(self.device)
        return self.rollout(latents, relative, constant)

    def rollout(self, latents: Tensor, relative: Tensor, constant: Tensor) -> Rollout:
        """latents: (b, t, d, h, w) of the history. relative: (b, t, 13), its poses. constant: (b, 4), the step now."""
        cache = TimeCache()
        ahead = self.transformer(latents, self.pose_encoder(relative), cache)
        logits, imagined = [ahead.logits], []
        steps = [constant * self.persistence[0] + GENTLY * self.pose_decoder(ahead.pose[:, -1])]
        for _ in range(self.steps):
            imagined.append(self.tokenizer.quantizer.expected(logits[-1][:, -1]))
            if len(imagined) == self.steps:
                break
            pose = self._as_relative(integrate(torch.stack(steps, 1))[:, -1], relative[:, -1])
            ahead = self.transformer(imagined[-1][:, None], self.pose_encoder(pose)[:, None], cache)
            logits.append(ahead.logits)
            steps.append(constant * self.persistence[len(steps)] + GENTLY * self.pose_decoder(ahead.pose[:, -1]))
        return Rollout(torch.cat(logits, dim=1), torch.stack(imagined, dim=1), integrate(torch.stack(steps, dim=1)))

    def _velocity(self, scenes: list[Scene]) -> Tensor:
        maps = np.stack([dynamic_maps(self.grid, scene.aligned) for scene in scenes])
        tracked = np.stack([scene.tracks.map(self.grid) / self.frame_period for scene in scenes])
        return self.flow(torch.tensor(maps).to(self.device), torch.tensor(tracked).to(self.device))

    @staticmethod
    def _as_relative(motion: Tensor, last: Tensor) -> Tensor:
        """motion: (b, 4) of a footprint to come. last: (b, 13) of the current frame. Returns (b, 13)."""
        position = last[:, :3] + motion[:, :3] / 10
        half, zero = motion[:, 3] / 2, torch.zeros_like(motion[:, 3])
        turn = torch.stack([torch.cos(half), zero, zero, torch.sin(half)], dim=1)
        return torch.cat([position, turn, last[:, 7:]], dim=1)

    def future_motion(self, scene: Scene, imagined: Tensor) -> np.ndarray:
        """(steps, 4) float64: the plan where it is given, else what was imagined, (steps, 4)."""
        if scene.planned is not None:
            return np.asarray(scene.planned, float)
        return imagined.detach().double().cpu().numpy()

    def view(self, scene: Scene, future: np.ndarray, velocity: np.ndarray, step: int) -> TargetView:
        """The past seen from a step (from 0). future: (steps, 4). velocity: (3, X, Y) m/s."""
        past = scene.past
        if velocity.any():
            past = advance(self.grid, past, scene.tracks, velocity, (step + 1) * self.frame_period)
        row, relative, way, told = seen_from(scene, future, step)
        aligned = align_history(self.grid, past, relative)
        before, copied = (frame.reshape(-1)[aligned.candidates] > 0 for frame in past.frames[-2:])
        kinds = strata(self.grid, aligned.candidates, aligned.proposal, aligned.skip, copied, before)
        return TargetView(row, past.frames, relative, future[step], way, aligned, told, kinds)

    def columns(self, scene: Scene, latents: Tensor, views: list[TargetView]) -> Tensor:
        """Features (n, column_dim, X, Y) of target frames. latents: (n, d, h, w) in the current frame."""
        return self.decoder(**self.decoder_inputs(scene, latents, views))

    def decoder_inputs(self, scene: Scene, latents: Tensor, views: list[TargetView]) -> dict[str, Tensor]:
        """What the decoder makes columns of, by the names of its arguments, in their order."""
        past = self.tokenizer.fold([view.aligned.occupied() for view in views])
        seen = torch.from_numpy(np.stack([view.aligned.source >= 0 for view in views])).to(self.device)
        cover = nn.functional.avg_pool2d(seen[:, None].float(), self.config.patch)
        moved = resample_latents(latents, np.stack([view.motion for view in views]), self.grid)
        size = self.tokenizer.fold.size
        around = [surroundings(self.grid, size, view.way, self.history, scene.height) for view in views]
        context = torch.cat([cover, torch.tensor(np.stack(around)).to(cover)], dim=1)
        # The same for all steps: the last of the history, folded as it is, and what the past was worth in it.
        still, foretold = self.tokenizer.fold([scene.frames[-1]]), torch.from_numpy(scene.hindcast(size)).to(past)[None]
        return {
            "latents": moved, "past": past, "still": still.expand(len(views), -1, -1, -1), "context": context,
            "foretold": foretold.expand(len(views), -1, -1, -1),
        }  # fmt: skip

    def columns_without_past(self, latents: Tensor) -> Tensor:
        """Column features from codes alone, as the original decodes. latents: (n, d, h, w)."""
        n, (h, w) = len(latents), self.tokenizer.fold.size
        past = latents.new_zeros(n, self.config.base_channel, h, w)
        context, foretold = (latents.new_zeros(n, channels, h, w) for channels in (1 + CHANNELS, HINDCASTS))
        return self.decoder(latents, past, past, context, foretold)

"""The faithful model, both stages, learns a window by heart, and two each night."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from street import write_session

from occ_core.grid import VoxelGrid
from occworld.checkpoint import build_model
from occworld.config import Config, FaithfulConfig, TrainingConfig
from occworld.dataset import Batch, DatasetConfig, GazeboOccWorldDataset
from occworld.faithful.objective import FaithfulObjective
from occworld.losses import class_weights
from occworld.metrics import confusion, score
from occworld.scene import Scene

GRID = VoxelGrid((-6.4, -6.4, -2.0), (6.4, 6.4, 8.0), (0.8, 0.8, 1.25))


def learn(objective: FaithfulObjective, batch: Batch, stage: int, steps: int, rate: float) -> None:
    weights = [weight for weight in objective.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=rate, weight_decay=0.0)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = rate * min(1.0, (step + 1) / 10, 2 * (steps - step) / steps)
        loss = objective(batch, stage).total
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()


@pytest.mark.timeout(1500)
@pytest.mark.parametrize(
    ("count", "steps", "iou"), [(1, (60, 40), 0.8), pytest.param(2, (300, 120), 0.95, marks=pytest.mark.nightly)]
)
def test_windows_are_learned_by_heart(tmp_path: Path, count: int, steps: tuple[int, int], iou: float) -> None:
    for seed in range(count):
        write_session(tmp_path, "rover_0", seed, frames=4, grid=GRID)
    config = Config(
        data=DatasetConfig(
            history_frames=2, future_frames=2, point_cloud_range=(*GRID.lower, *GRID.upper), voxel_size=GRID.voxel
        ),
        model=FaithfulConfig(
            base_channel=32, channel_mult=(1, 2), num_res_blocks=1, num_codes=256, code_dim=32, embed_dim=32,
            num_layers=1, temporal_attn_layers=1, pose_attn_layers=1, num_heads=4, dropout=0.0, pose_hidden=32,
        ),
        training=TrainingConfig(column_samples=8 * 16 * 16),
    )  # fmt: skip
    data = GazeboOccWorldDataset(tmp_path, config.data)
    windows = [data[number] for number in range(count)]
    model = build_model(config)
    objective = FaithfulObjective(model, config.training, class_weights(data.class_counts()))
    # Stage 1 looks at the first and the last frame of a window: two halves, so that it sees all.
    halves = [replace(w, frames=w.frames[i : i + 2], history=1) for w in windows for i in (0, 2)]
    learn(objective, Batch(halves), 1, steps[0], 3e-3)
    model.freeze(True, False, False)
    model.tokenizer.eval()
    learn(objective, Batch(windows), 2, steps[1], 3e-3)
    model.eval()
    matrix = np.zeros((16, 16), np.int64)
    for window in windows:
        for frame, truth in zip(
            model.forecast(Scene.of(model.grid, window, False)).frames, window.frames[2:], strict=True
        ):
            matrix += confusion(frame.classes, truth.dense(GRID.shape))
    assert score(matrix, 0).iou > iou, score(matrix, 0)

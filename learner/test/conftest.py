"""Fixtures: small drives on disk and a small model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from street import SMALL_GRID, write_session

from occworld.config import Config, EvaluationConfig, FaithfulConfig, FastConfig, TrainingConfig
from occworld.dataset import DatasetConfig, GazeboOccWorldDataset

torch.set_num_threads(1)  # networks this small are fastest so


@pytest.fixture(autouse=True)
def seeded() -> None:
    """The same weights and samples in every run."""
    torch.manual_seed(0)
    np.random.seed(0)


@pytest.fixture(scope="session")
def drives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two drives of each agent type on a small grid, 14 frames each."""
    root = tmp_path_factory.mktemp("drives")
    for seed, agent in enumerate(("drone_0", "drone_0", "rover_0", "rover_0")):
        write_session(root, agent, seed, frames=14, grid=SMALL_GRID)
    return root


@pytest.fixture(scope="session")
def config(drives: Path) -> Config:
    """A model of small widths on the small grid."""
    return Config(
        data_root=str(drives),
        data=DatasetConfig(
            point_cloud_range=(*SMALL_GRID.lower, *SMALL_GRID.upper), voxel_size=SMALL_GRID.voxel, val_fraction=0.5
        ),
        model=FastConfig(
            base_channel=16, num_codes=32, code_dim=16, embed_dim=16, num_heads=2, num_layers=1,
            temporal_attn_layers=1, dropout=0.0, pose_hidden=16, column_dim=8, voxel_hidden=24,
        ),
        evaluation=EvaluationConfig(interval=1, windows=1),
        training=TrainingConfig(max_epochs=2, tokenizer_epochs=1, voxel_samples=1024, column_samples=256),
    )  # fmt: skip


@pytest.fixture(scope="session")
def faithful(config: Config) -> Config:
    """The faithful architecture, narrow, on the small grid."""
    model = FaithfulConfig(
        class_dim=4, base_channel=8, channel_mult=(1, 2), num_res_blocks=1, num_codes=32, code_dim=16, embed_dim=16,
        num_layers=2, temporal_attn_layers=1, pose_attn_layers=1, num_heads=2, dropout=0.0, max_frames=12,
        pose_hidden=16,
    )  # fmt: skip
    return replace(config, model=model)


@pytest.fixture(scope="session")
def data(drives: Path, config: Config) -> GazeboOccWorldDataset:
    """All windows of the small drives."""
    return GazeboOccWorldDataset(drives, replace(config.data, split="all"))

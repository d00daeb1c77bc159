"""The demo's model, as narrow as it can be, before training: it forecasts the warp baseline, and in no time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from paths import ROOT

from occworld.checkpoint import Checkpoint, TrainingState, build_model
from occworld.config import Config, read_config
from occworld.model_config import FastConfig

SMALL = FastConfig(
    base_channel=8, num_codes=16, code_dim=16, embed_dim=16, num_layers=1, temporal_attn_layers=1, num_heads=2,
    column_dim=8, voxel_hidden=8, pose_hidden=16, flow_channel=4,
)  # fmt: skip


def config() -> Config:
    """The demo's, with the smallest model."""
    return replace(read_config(ROOT / "learner/config/demo_tokyo.py"), model=SMALL)


def save(made_for: Config, path: Path) -> Path:
    """Its weights as they are drawn: as training saves them, or exported where the path says so."""
    torch.manual_seed(0)
    made = Checkpoint(made_for, build_model(made_for).state_dict(), TrainingState())
    (made.export if path.suffix == ".safetensors" else made.save)(path)
    return path

"""Whole-system fixtures: a small city, and a model to run in it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from isolation import made_once
from places import ROOT, TOKYO


@pytest.fixture(scope="session")
def city(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The smallest sample city, imported by the command line."""
    from tokyo_city.sample_city import write_sample_city

    def make(folder: Path) -> None:
        udx = write_sample_city(folder / "citygml", seed=3, size_m=320.0)
        subprocess.run([TOKYO, "city", str(udx), "--out", str(folder / "city")], check=True)

    return made_once(tmp_path_factory, "small_sample_city", make) / "city"


@pytest.fixture(scope="session")
def untrained_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's model as it is before training: its forecast is the warp baseline's."""
    from occworld.checkpoint import Checkpoint, TrainingState, build_model
    from occworld.config import read_config

    config = read_config(ROOT / "learner/config/demo_tokyo.py")
    path = tmp_path_factory.mktemp("checkpoint") / "untrained.pth"
    Checkpoint(config, build_model(config).state_dict(), TrainingState()).save(path)
    return path

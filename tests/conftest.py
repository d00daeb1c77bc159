"""Whole-system fixtures: a small city, and a model to run in it."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_cities import small_sample_city


@pytest.fixture(scope="session")
def city(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The smallest sample city."""
    return small_sample_city(tmp_path_factory)


@pytest.fixture(scope="session")
def untrained_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model of the demo's kind as it is before training: its forecast is the warp baseline's."""
    from small_model import config, save

    return save(config(), tmp_path_factory.mktemp("checkpoint") / "untrained.pth")

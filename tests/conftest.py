"""Whole-system fixtures: a small city, and a model to run in it."""

from __future__ import annotations

from pathlib import Path

import pytest
from drives import DRIVEN_S, drive, lockstep
from isolation import made_once
from small_cities import small_sample_city


@pytest.fixture(scope="session")
def city(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The smallest sample city."""
    return small_sample_city(tmp_path_factory)


@pytest.fixture(scope="session")
def untrained_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model of the demo's kind as it is before training: its forecast is the warp baseline's."""
    from small_model import config, save

    return save(config(), tmp_path_factory.mktemp("checkpoint") / "untrained.safetensors")


@pytest.fixture(scope="session")
def driven(city: Path, untrained_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A drive of `DRIVEN_S` with all that takes part in lock step, made once for all workers of a run.

    `sessions`; `bag`, of all topics and the forecast; `said.txt`, what the command said.
    """

    def make(folder: Path) -> None:
        more = ("--bag", str(folder / "bag"), "--predict", str(untrained_checkpoint))
        said = drive(lockstep(city, folder / "sessions", DRIVEN_S, *more))
        (folder / "said.txt").write_text(said)

    return made_once(tmp_path_factory, "lockstep_drive", make)

"""The configuration reference says what the dataclasses say."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields
from pathlib import Path

from occworld.config import (
    DatasetConfig,
    EvaluationConfig,
    FaithfulConfig,
    FastConfig,
    OptimizerConfig,
    ScheduleConfig,
    TrainingConfig,
)
from occworld.config_page import main, page

PAGE = Path(__file__).resolve().parents[2] / "docs/configuration.md"
SECTIONS = {
    "data": DatasetConfig, "optimizer": OptimizerConfig, "lr_config": ScheduleConfig, "evaluation": EvaluationConfig,
    "training": TrainingConfig,
}  # fmt: skip


def test_the_page_in_docs_is_the_one_that_is_written_now() -> None:
    assert PAGE.read_text() == page(), "run: python -m occworld.config_page docs/configuration.md"


def test_every_setting_of_every_section_has_a_row() -> None:
    rows = [line.split("`")[1] for line in page().splitlines() if line.startswith("| `")]
    wanted = {f"{section}.{field.name}" for section, kind in SECTIONS.items() for field in fields(kind)}
    wanted |= {f"model.{field.name}" for kind in (FaithfulConfig, FastConfig) for field in fields(kind)}
    assert set(rows) == wanted | {"data_root", "truth_root", "load_from"}


def test_values_of_a_config_stand_beside_the_defaults(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("optimizer = dict(lr=0.125)\nmodel = dict(architecture='fast', patch=8)\n")
    text = page(tmp_path)
    assert "| `optimizer.lr` | float | `0.0001` | `0.125` mine |" in text
    assert "| `model.patch` | int | `4` | `8` mine |" in text


def test_the_command_writes_the_page_and_names_a_folder_that_is_not_there(tmp_path: Path) -> None:
    assert main([str(tmp_path / "page.md")]) == 0
    assert (tmp_path / "page.md").read_text() == page()
    command = [sys.executable, "-m", "occworld.config_page", str(tmp_path / "nowhere/page.md")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1 and "nowhere" in done.stderr

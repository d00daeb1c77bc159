"""The networks as ONNX graphs say what PyTorch says, also of other windows than the one that they were written with."""

from __future__ import annotations

import json
from pathlib import Path

import export as export_command
import pytest
import torch
from torch import nn

from occworld import onnx_parts
from occworld.checkpoint import Checkpoint, TrainingState, build_model
from occworld.config import Config, ConfigError
from occworld.dataset import GazeboOccWorldDataset

pytest.importorskip("onnxscript", reason="onnx is not installed: pip install onnx onnxscript onnxruntime")
NAMES = ("encoder", "rollout", "decoder", "voxels_0", "voxels_6")


@pytest.fixture(scope="module")
def model(config: Config) -> nn.Module:
    torch.manual_seed(1)
    model = build_model(config)
    with torch.no_grad():
        for weights in model.parameters():  # what begins with zeros would prove nothing
            weights += 0.05 * torch.randn_like(weights)
    return model.eval()


def test_graphs_agree_on_windows_of_any_size(model: nn.Module, data: GazeboOccWorldDataset, tmp_path: Path) -> None:
    import onnxruntime

    paths = onnx_parts.export_onnx(model, data[0], tmp_path, NAMES)
    assert [path.stem for path in paths] == list(NAMES) and set(json.loads((tmp_path / "parts.json").read_text())) == {
        *NAMES
    }
    other = {part.name: part for part in onnx_parts.parts(model, data[len(data) - 1])}
    first = {part.name: part for part in onnx_parts.parts(model, data[0])}
    assert len(other["voxels_0"].inputs["voxels"]) != len(first["voxels_0"].inputs["voxels"])
    for path in paths:
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        assert onnx_parts._difference(other[path.stem], session) < 2e-4


def test_a_graph_that_says_something_else_is_an_error(
    model: nn.Module, data: GazeboOccWorldDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_parts, "_AGREES", -1.0)
    with pytest.raises(onnx_parts.OnnxError, match=r"encoder.onnx: differs from PyTorch by"):
        onnx_parts.export_onnx(model, data[0], tmp_path, ("encoder",))


def test_the_faithful_model_is_refused(
    faithful: Config, drives: Path, tmp_path: Path, data: GazeboOccWorldDataset, capsys: pytest.CaptureFixture
) -> None:
    with pytest.raises(ConfigError, match="'fast'"):
        onnx_parts.export_onnx(build_model(faithful), data[0], tmp_path)
    Checkpoint(faithful, build_model(faithful).state_dict(), TrainingState()).save(tmp_path / "model.pth")
    arguments = [
        "--checkpoint",
        str(tmp_path / "model.pth"),
        "--data-root",
        str(drives),
        "--out",
        str(tmp_path / "out"),
    ]
    assert export_command.main([*arguments, "--command", "none", "--format", "onnx"]) == 2
    assert "'fast'" in capsys.readouterr().err

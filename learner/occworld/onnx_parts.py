"""The fast model's networks as ONNX graphs, each checked against PyTorch on a recorded window.

What lies between them is geometry, and stays where it is: the fold of sparse frames, the past aligned to a target
frame, evidence of its voxels. `parts.json` names what goes into each graph and what comes out, with shapes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from occworld.dataset import Window
from occworld.fast.fill import query_of
from occworld.fast.model import FastOccWorld
from occworld.fast.voxel_head import VoxelQuery
from occworld.forecast_model import ForecastModel
from occworld.history_features import features
from occworld.model_config import ConfigError
from occworld.scene import Scene

_NEEDS = "--format onnx needs onnx, onnxscript and onnxruntime: pip install onnx onnxscript onnxruntime"
_AGREES = 2e-4  # of logits and codes that are about one: the order of float32 sums differs
_OPSET = 18


class OnnxError(Exception):
    """A graph that can't be written, or does not say what PyTorch says: which, and by how much."""


class _Encoder(nn.Module):
    def __init__(self, model: FastOccWorld) -> None:
        super().__init__()
        self.encoder, self.quantizer = model.tokenizer.encoder, model.tokenizer.quantizer

    def forward(self, folded: Tensor) -> Tensor:
        z = self.encoder(folded)
        codes = self.quantizer.nearest(z.permute(0, 2, 3, 1).flatten(0, 2))
        return self.quantizer.codebook[codes].reshape(z.shape[0], *z.shape[2:], -1).permute(0, 3, 1, 2)


class _Rollout(nn.Module):
    def __init__(self, model: FastOccWorld) -> None:
        super().__init__()
        self.model = model

    def forward(self, latents: Tensor, relative: Tensor, step: Tensor) -> tuple[Tensor, Tensor]:
        rollout = self.model.rollout(latents, relative, step)
        return rollout.latents, rollout.motion


class _Voxels(nn.Module):
    """Of one row of the head's tables: steps at imagined ego motion first, then steps of a plan."""

    def __init__(self, model: FastOccWorld, row: int) -> None:
        super().__init__()
        self.head, self.fold, self.row = model.head, model.tokenizer.fold, row

    def forward(
        self,
        columns: Tensor,
        voxels: Tensor,
        evidence: Tensor,
        proposal: Tensor,
        skip: Tensor,
        stratum: Tensor,
        signs: Tensor,
    ) -> tuple[Tensor, Tensor]:
        query = VoxelQuery(voxels, evidence, proposal, skip, self.row, stratum, signs)
        logits = self.head(self.head.project(columns), query, self.fold.embedding())
        return logits.occupied, logits.classes


@dataclass(frozen=True)
class Part:
    """One graph. inputs: by name, of a window. outputs: names. many: inputs whose first axis may have any length."""

    name: str
    module: nn.Module
    inputs: dict[str, Tensor]
    outputs: tuple[str, ...]
    many: tuple[str, ...] = ()


@torch.inference_mode()
def parts(model: FastOccWorld, window: Window) -> list[Part]:
    """The graphs with what goes into them for a window: encoder, rollout, decoder, and the voxel head of each row."""
    scene = Scene.of(model.grid, window, planned=False)
    folded = model.tokenizer.fold(scene.aligned)
    latents = _Encoder(model)(folded)[None]
    relative, step = torch.tensor(scene.relative)[None], torch.tensor(scene.step(model.frame_period))[None]
    rollout = model.rollout(latents, relative, step)
    future = model.future_motion(scene, rollout.motion[0])
    velocity = np.zeros((3, *model.grid.shape[:2]), np.float32)
    view = model.view(scene, future, velocity, 0)
    decoded = model.decoder_inputs(scene, rollout.latents[0, :1], [view])
    columns = model.decoder(*decoded.values())
    evidence = torch.from_numpy(features(model.grid, view.frames, view.motions, view.aligned, view.aligned.candidates))
    query = query_of(view, evidence, slice(None))
    asked = {
        "columns": columns, "voxels": query.voxels, "evidence": evidence, "proposal": query.proposal,
        "skip": query.skip, "stratum": query.stratum, "signs": query.signs,
    }  # fmt: skip
    history = {"latents": latents, "relative": relative, "step": step}
    graphs = [
        Part("encoder", _Encoder(model), {"folded": folded}, ("latents",)),
        Part("rollout", _Rollout(model), history, ("latents_ahead", "motion")),
        Part("decoder", model.decoder, decoded, ("columns",)),
    ]  # fmt: skip
    many = ("voxels", "evidence", "proposal", "skip", "stratum")
    rows = len(model.head.threshold)
    return graphs + [
        Part(f"voxels_{row}", _Voxels(model, row), asked, ("occupied", "classes"), many) for row in range(rows)
    ]


def export_onnx(model: ForecastModel, window: Window, folder: Path, only: tuple[str, ...] = ()) -> list[Path]:
    """Write the graphs and parts.json; the graphs' paths. only: names of graphs, all of them where it is left out.

    ConfigError for a model that is not the fast one, OnnxError where a package is missing, a graph can't be written, or
    what onnxruntime says of the window differs from what PyTorch says.
    """
    if not isinstance(model, FastOccWorld):
        raise ConfigError("--format onnx is for model.architecture 'fast'")
    try:
        import onnxruntime
        import onnxscript  # noqa: F401 - torch's exporter is made of it
    except ModuleNotFoundError as error:
        raise OnnxError(f"{_NEEDS} ({error})") from error
    folder.mkdir(parents=True, exist_ok=True)
    paths, described = [], {}
    for part in parts(model.eval(), window):
        if only and part.name not in only:
            continue
        path = folder / f"{part.name}.onnx"
        _write(part, path)
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        difference = _difference(part, session)
        if not difference <= _AGREES:
            raise OnnxError(f"{path}: differs from PyTorch by {difference:g}, more than {_AGREES:g}")
        described[part.name] = {
            "inputs": {each.name: [each.type, each.shape] for each in session.get_inputs()},
            "outputs": {each.name: [each.type, each.shape] for each in session.get_outputs()},
            "largest_difference_from_pytorch": difference,
        }
        paths.append(path)
    (folder / "parts.json").write_text(json.dumps(described, indent=1))
    return paths


def _write(part: Part, path: Path) -> None:
    count = torch.export.Dim("count")
    shapes: dict[str, Any] = {name: {0: count} if name in part.many else None for name in part.inputs}
    with torch.no_grad():
        program = torch.onnx.export(
            part.module, tuple(part.inputs.values()), dynamo=True, opset_version=_OPSET, verbose=False,
            input_names=list(part.inputs), output_names=list(part.outputs),
            dynamic_shapes=tuple(shapes.values()) if part.many else None,
        )  # fmt: skip
    if program is None:
        raise OnnxError(f"{path}: PyTorch wrote nothing")
    program.save(str(path), external_data=False)


@torch.inference_mode()
def _difference(part: Part, session: Any) -> float:
    """Largest difference of any output on the part's inputs, relative to numbers above one."""
    ours = part.module(*part.inputs.values())
    theirs = session.run(None, {name: value.numpy() for name, value in part.inputs.items()})
    pairs = zip(ours if isinstance(ours, tuple) else (ours,), theirs, strict=True)
    return max(float((np.abs(a.numpy() - b) / np.maximum(np.abs(a.numpy()), 1)).max(initial=0)) for a, b in pairs)

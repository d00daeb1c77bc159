"""How far each voxel's logit is to be believed, beside what the past was worth in this very scene.

Between streets that it knows, the perceptron sees more than copy and warp; on ground that it has never seen it throws
away what they keep. So each stratum of candidates (how far away, ground or standing, foretold by what) has a logistic
regression on the perceptron's logit and on the logit of how often such a voxel came true in the history: three numbers
per stratum and horizon, fitted on training windows. Where the perceptron says nothing that holds, the past speaks.

So for names: the class nearby in the past is overruled no more than pays on training windows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from tqdm import tqdm

from occ_core.classes import NUM_CLASSES
from occworld.dataset import GazeboOccWorldDataset, Window
from occworld.evaluator import evenly
from occworld.fast.fill import query_of
from occworld.fast.voxel_head import GATE
from occworld.hindcast import KINDS, STRATA
from occworld.history_features import features
from occworld.scene import Scene

if TYPE_CHECKING:
    from occworld.fast.model import FastOccWorld

_SAMPLES = 8000  # voxels of a frame
_PULL = 50.0  # towards the fit of all strata of a kind, and of those towards no gate: weighs as so many voxels
_NEWTON_STEPS = 20
NAMING = (0.0, 0.25, 0.5, 0.75, 1.0)  # of the perceptron's say in names, what is tried
_PAYS = 0.002  # of mean IoU over classes: what more say in names has to bring
_SUPPORT = 200  # voxels of a class below which nothing is concluded


@dataclass(frozen=True)
class Judged:
    """Sampled candidates of a row of the head. stratum: (n,). logit: (n,), the perceptron's. foretold: (n,). true:
    (n,) bool, occupied by anything."""

    stratum: np.ndarray
    logit: np.ndarray
    foretold: np.ndarray
    true: np.ndarray


def fit_gate(model: FastOccWorld, data: GazeboOccWorldDataset, limit: int | None, seed: int = 0) -> None:
    """Set `model.head.gate` and `naming` from windows of a dataset, with and without a plan. Leaves the model in eval
    mode."""
    model.eval()
    generator = np.random.default_rng(seed)
    model.head.naming.fill_(1.0)
    rows: list[list[Judged]] = [[] for _ in range(len(model.head.gate))]
    names = np.zeros((len(rows), len(NAMING), NUM_CLASSES, NUM_CLASSES), np.int64)
    for index in tqdm(evenly(len(data), limit), desc="weighing the past", unit="window", leave=False):
        window = data[index]
        for planned in (False, True):
            for row, judged, named in _judged(model, window, planned, generator):
                rows[row].append(judged)
                names[row] += named
    gates = [fitted_gate(_joined(parts)) for parts in rows]
    model.head.gate.copy_(torch.from_numpy(np.stack(gates)))
    model.head.naming.copy_(torch.tensor([fitted_naming(matrices) for matrices in names]))


@torch.inference_mode()
def _judged(
    model: FastOccWorld, window: Window, planned: bool, generator: np.random.Generator
) -> list[tuple[int, Judged, np.ndarray]]:
    scene = Scene.of(model.grid, window, planned)
    imagined = model.imagine([scene])
    future, velocity = model.future_motion(scene, imagined.motion[0]), imagined.velocity[0].float().cpu().numpy()
    out = []
    for step in range(model.steps):
        view = model.view(scene, future, velocity, step)
        candidates = view.aligned.candidates
        chosen = np.sort(generator.permutation(len(candidates))[:_SAMPLES])
        projected = model.head.project(model.columns(scene, imagined.latents[0, step : step + 1], [view]))
        evidence = features(model.grid, view.frames, view.motions, view.aligned, candidates[chosen])
        query = query_of(view, torch.from_numpy(evidence).to(model.device), chosen)
        logit, described = model.head.judge(projected, replace(query, stratum=None))
        there = window.frames[window.history + step].classes_at(candidates[chosen])
        strata = view.strata[chosen]
        judged = Judged(strata, logit.float().cpu().numpy(), view.foretold[strata], there > 0)
        out.append((view.row, judged, _named(model, described, query.proposal, there)))
    return out


def _named(model: FastOccWorld, described: torch.Tensor, proposal: torch.Tensor, there: np.ndarray) -> np.ndarray:
    """(len(NAMING), classes, classes) int64: what occupied voxels are (rows), and are called with so much say."""
    occupied = torch.from_numpy(there > 0).to(described.device)
    embedding, true = model.tokenizer.fold.embedding(), there[there > 0]
    out = np.empty((len(NAMING), NUM_CLASSES, NUM_CLASSES), np.int64)
    for matrix, say in zip(out, NAMING, strict=True):
        named = model.head.name(say * described[occupied], proposal[occupied], embedding).argmax(dim=1).cpu().numpy()
        matrix[:] = np.bincount(true * NUM_CLASSES + named, minlength=matrix.size).reshape(matrix.shape)
    return out


def fitted_naming(matrices: np.ndarray) -> float:
    """The least say in names from which more would not pay. matrices: (len(NAMING), classes, classes), true in rows."""
    common = [c for c in range(1, NUM_CLASSES) if matrices[0, c].sum() >= _SUPPORT]
    if not common:
        return 1.0
    hit = matrices[:, common, common]
    union = matrices[:, common].sum(axis=2) + matrices[:, :, common].sum(axis=1) - hit
    quality = (hit / union).mean(axis=1)
    return NAMING[int(np.argmax(quality >= quality.max() - _PAYS))]


def _joined(parts: list[Judged]) -> Judged:
    return Judged(*(np.concatenate([getattr(part, name) for part in parts]) for name in Judged.__dataclass_fields__))


def fitted_gate(judged: Judged) -> np.ndarray:
    """(STRATA, 3) float32 bias, scale and trust. A stratum with few voxels has nearly those of its kind."""
    out = np.empty((STRATA, len(GATE)))
    for kind in range(KINDS):
        of_kind = _logistic(judged, judged.stratum % KINDS == kind, np.array(GATE))
        for stratum in range(kind, STRATA, KINDS):
            out[stratum] = _logistic(judged, judged.stratum == stratum, of_kind)
    return out.astype(np.float32)


def _logistic(judged: Judged, chosen: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """Weights (3,) of the likeliest logistic regression on one, the logit and what was foretold; by Newton's method."""
    inputs = np.column_stack([np.ones(chosen.sum()), judged.logit[chosen], judged.foretold[chosen]]).astype(float)
    true, weights = judged.true[chosen].astype(float), prior.astype(float).copy()
    for _ in range(_NEWTON_STEPS):
        likely = 1 / (1 + np.exp(-np.clip(inputs @ weights, -30, 30)))
        slope = inputs.T @ (likely - true) + _PULL * (weights - prior)
        curve = (inputs * (likely * (1 - likely))[:, None]).T @ inputs + _PULL * np.eye(len(prior))
        step = np.linalg.solve(curve, slope)
        weights -= np.clip(step, -1, 1)
        if np.abs(step).max() < 1e-6:
            break
    return weights

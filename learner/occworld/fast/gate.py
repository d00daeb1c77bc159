"""How far each voxel's logit is to be believed, beside what the past was worth in this very scene.

Between streets that it knows, the perceptron sees more than copy and warp; on ground that it has never seen it throws
away what they keep. So each stratum of candidates (how far away, ground or standing, foretold by what) has a logistic
regression, fitted on training windows for each horizon: on how often such voxels came true in the history, how far the
vehicle goes and how high it is (`hindcast.signs`), and on the perceptron's logit. Where the perceptron says nothing
that holds, the past speaks.

The priors of columns have one each, where nothing of the past is near: by what they say, and by how much was new.

So for names: the class nearby in the past is overruled no more than pays on training windows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from occ_core.classes import NUM_CLASSES
from occ_core.loops import compiled
from occ_core.progress import Steps
from occ_core.sparse_grid import SparseGrid
from occworld.dataset import GazeboOccWorldDataset, Window
from occworld.evaluator import evenly
from occworld.fast.candidates import GATE
from occworld.fast.fill import TargetView, query_of
from occworld.hindcast import KINDS, NEWS, SIGNS, STRATA
from occworld.history_features import features
from occworld.scene import Scene

if TYPE_CHECKING:
    from occworld.fast.model import FastOccWorld

_SAMPLES = 8000  # voxels of a frame
_COLUMNS = 1500  # of a frame, of each prior
_LEAST = -5.0  # logit of a prior below which a voxel is empty in any case
# Towards the fit of all strata of a kind, and of those towards no gate: weighs as so many voxels. Much for what is the
# same for all voxels of a scene, of which there are few beside voxels.
_PULL = np.array([50.0, 50.0] + [1000.0] * (SIGNS - 2) + [50.0])
_NEWTON_STEPS = 20
NAMING = (0.0, 0.25, 0.5, 0.75, 1.0)  # of the perceptron's say in names, what is tried
_PAYS = 0.002  # of mean IoU over classes: what more say in names has to bring
_SUPPORT = 200  # voxels of a class below which nothing is concluded


@dataclass(frozen=True)
class Judged:
    """Sampled candidates of a row of the head. stratum: (n,). logit: (n,), the perceptron's. signs: (n, SIGNS), of
    their strata. true: (n,) bool, occupied by anything."""

    stratum: np.ndarray
    logit: np.ndarray
    signs: np.ndarray
    true: np.ndarray


def fit_gate(model: FastOccWorld, data: GazeboOccWorldDataset, limit: int | None, seed: int = 0) -> None:
    """Set `model.head.gate`, `prior_gate` and `naming` from windows of a dataset, with and without a plan. Leaves the
    model in eval mode."""
    model.eval()
    generator = np.random.default_rng(seed)
    model.head.naming.fill_(1.0)
    rows: list[list[Judged]] = [[] for _ in range(len(model.head.gate))]
    priors: list[list[Judged]] = [[] for _ in range(len(model.head.gate))]
    names = np.zeros((len(rows), len(NAMING), NUM_CLASSES, NUM_CLASSES), np.int64)
    for index in Steps(evenly(len(data), limit), desc="weighing the past", unit="window", leave=False):
        window = data[index]
        for planned in (False, True):
            for row, judged, prior, named in _judged(model, window, planned, generator):
                rows[row].append(judged)
                priors[row].append(prior)
                names[row] += named
    gates = [fitted_gate(_joined(parts)) for parts in rows]
    model.head.gate.copy_(torch.from_numpy(np.stack(gates)))
    model.head.prior_gate.copy_(torch.from_numpy(np.stack([fitted_prior_gate(_joined(parts)) for parts in priors])))
    model.head.naming.copy_(torch.tensor([fitted_naming(matrices) for matrices in names]))


@torch.inference_mode()
def _judged(
    model: FastOccWorld, window: Window, planned: bool, generator: np.random.Generator
) -> list[tuple[int, Judged, Judged, np.ndarray]]:
    """Of each step its row, a sample of its candidates, one of what the priors say (stratum: does a past frame cover
    the column?), and `_named`."""
    scene = Scene.of(model.grid, window, planned)
    imagined = model.imagine([scene])
    future, velocity = model.future_motion(scene, imagined.motion[0]), imagined.velocity[0].float().cpu().numpy()
    out = []
    for step in range(model.steps):
        view = model.view(scene, future, velocity, step)
        candidates = view.aligned.candidates
        chosen = np.sort(generator.permutation(len(candidates))[:_SAMPLES])
        columns = model.columns(scene, imagined.latents[0, step : step + 1], [view])
        projected = model.head.project(columns)
        evidence = features(model.grid, view.frames, view.motions, view.aligned, candidates[chosen])
        query = query_of(view, torch.from_numpy(evidence).to(model.device), chosen)
        logit, described = model.head.judge(projected, replace(query, stratum=None))
        truth = window.future[step]
        there = truth.classes_at(candidates[chosen])
        strata = view.strata[chosen]
        judged = Judged(strata, logit.float().cpu().numpy(), view.signs[strata], there > 0)
        prior = _prior_judged(model, view, columns, truth, generator)
        out.append((view.row, judged, prior, _named(model, described, query.proposal, there)))
    return out


def _prior_judged(
    model: FastOccWorld, view: TargetView, columns: torch.Tensor, truth: SparseGrid, generator: np.random.Generator
) -> Judged:
    parts, nz = [], model.grid.shape[2]
    for seen in (False, True):
        free = np.flatnonzero((view.aligned.source.reshape(-1) >= 0) == seen)
        picked = np.sort(generator.permutation(free)[:_COLUMNS])
        logit = model.head.column_prior(columns, torch.from_numpy(picked).to(columns.device), seen).cpu().numpy()
        voxels = (picked[:, None] * nz + np.arange(nz)).astype(np.int32)
        likely = logit > _LEAST
        voxels, logit = voxels[likely], logit[likely]
        asked = np.flatnonzero(~view.aligned.holds(voxels))
        asked = np.sort(generator.permutation(asked)[:_SAMPLES])
        voxels, logit = voxels[asked], logit[asked]
        told = np.repeat(view.signs[NEWS][None], len(voxels), axis=0)
        parts.append(Judged(np.full(len(voxels), int(seen)), logit, told, truth.classes_at(voxels) > 0))
    return _joined(parts)


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
    """(STRATA, SIGNS + 1) float32, as of `VoxelHead`. A stratum with few voxels has nearly those of its kind."""
    out = np.empty((STRATA, len(GATE)))
    for kind in range(KINDS):
        of_kind = _logistic(judged, judged.stratum % KINDS == kind, np.array(GATE))
        for stratum in range(kind, STRATA, KINDS):
            out[stratum] = _logistic(judged, judged.stratum == stratum, of_kind)
    return out.astype(np.float32)


def fitted_prior_gate(judged: Judged) -> np.ndarray:
    """(2, SIGNS + 1) float32, as of `VoxelHead`: of columns that no past frame covers, and of those that one does."""
    fits = [_logistic(judged, judged.stratum == seen, np.array(GATE)) for seen in (0, 1)]
    return np.stack(fits).astype(np.float32)


def _logistic(judged: Judged, chosen: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """Weights (SIGNS + 1,) of the likeliest logistic regression on signs and logit; by Newton's method."""
    inputs = np.column_stack([judged.signs[chosen], judged.logit[chosen]]).astype(float)
    true, weights = judged.true[chosen].astype(float), prior.astype(float).copy()
    for _ in range(_NEWTON_STEPS):
        slope, curve = _slope_and_curve(inputs, true, weights)
        step = np.linalg.solve(curve + np.diag(_PULL), slope + _PULL * (weights - prior))
        weights -= np.clip(step, -1, 1)
        if np.abs(step).max() < 1e-6:
            break
    return weights


@compiled
def _slope_and_curve(inputs, true, weights):
    """First and second derivatives, (k,) and (k, k), of minus the log likelihood. inputs: (n, k); true: (n,) 0 or 1.

    In one pass: this is the half of a short training.
    """
    count = len(weights)
    slope, curve = np.zeros(count), np.zeros((count, count))
    for n in range(len(inputs)):
        logit = 0.0
        for k in range(count):
            logit += inputs[n, k] * weights[k]
        likely = 1 / (1 + np.exp(-min(max(logit, -30.0), 30.0)))
        off, spread = likely - true[n], likely * (1 - likely)
        for k in range(count):
            slope[k] += off * inputs[n, k]
            weighed = spread * inputs[n, k]
            for j in range(k + 1):
                curve[k, j] += weighed * inputs[n, j]
    for k in range(count):
        curve[:k, k] = curve[k, :k]
    return slope, curve

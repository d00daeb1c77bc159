"""What the past was worth in this very scene, and what a forecast makes of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from street import SMALL_GRID as GRID

from occ_core.classes import Semantic
from occ_core.sparse_grid import SparseGrid
from occworld.checkpoint import Checkpoint, TrainingState, build_model
from occworld.config import Config
from occworld.dataset import GazeboOccWorldDataset
from occworld.fast.gate import NAMING, Judged, _judged, fit_gate, fitted_gate, fitted_naming
from occworld.fast.voxel_head import GATE
from occworld.hindcast import HINDCASTS, KINDS, SIGNS, STRATA, hindcast_maps, persistence, rings, signs
from occworld.scene import Scene
from occworld.warp import resample

STEP = GRID.voxel[0]
MOTION = np.array([[-3 * STEP, 0, 0, 0], [-2 * STEP, 0, 0, 0], [-STEP, 0, 0, 0], [0, 0, 0, 0]])
"""(4, 4): a voxel ahead in each frame."""
LATER = ("head.gate", "head.prior_gate", "head.naming", "head.named_right", "head.missed", "decoder.foretold")


def _rates(logits: np.ndarray) -> np.ndarray:
    """(3, 2, KINDS): ring, ground or standing, kind."""
    return (1 / (1 + np.exp(-logits))).reshape(3, 2, KINDS)


def _still(generator: np.random.Generator, semantic: Semantic) -> list[SparseGrid]:
    """A random world that stays where it is while the vehicle drives through it."""
    world = np.where(generator.random((GRID.shape[0] + 3, *GRID.shape[1:])) < 0.2, int(semantic), 0).astype(np.uint8)
    return [SparseGrid.from_dense(world[i : i + GRID.shape[0]]) for i in range(4)]


def _plain(generator: np.random.Generator) -> list[SparseGrid]:
    """Ground of which the sweep shows the same places from wherever the vehicle is."""
    seen = np.where(generator.random(GRID.shape) < 0.2, int(Semantic.TERRAIN), 0).astype(np.uint8)
    return [SparseGrid.from_dense(seen)] * 4


@pytest.mark.parametrize("planned", [False, True])
@pytest.mark.parametrize("lag", [1, 2, 3, 9])
def test_on_a_plain_copy_came_true_and_among_what_stands_warp_did(lag: int, planned: bool) -> None:
    generator = np.random.default_rng(0)
    # Of the third ring this grid has corners alone.
    plain = _rates(persistence(GRID, _plain(generator), MOTION, lag, planned))[:2, 0]
    assert (plain[:, 2] > 0.9).all() and (plain[:, 3] < 0.3).all() and (plain[:, 5] > 0.7).all()
    assert (plain[:, 0] < 0.1).all()  # nothing is new
    houses = _rates(persistence(GRID, _still(generator, Semantic.BUILDING), MOTION, lag, planned))[:2, 1]
    assert (houses[:, [1, 2]] < 0.3).all() and (houses[:, 3] > 0.9).all() and (houses[:, [4, 5]] > 0.7).all()


def test_who_turned_has_no_record_without_a_plan() -> None:
    """A world that stays; the vehicle has turned by a quarter in the last step."""
    generator, still = np.random.default_rng(5), np.array([0, 0, 0, -np.pi / 2])
    world = np.where(generator.random(GRID.shape) < 0.2, int(Semantic.BUILDING), 0).astype(np.uint8)
    turned = SparseGrid.from_dense(resample(GRID, world, -still))
    frames = [*[SparseGrid.from_dense(world)] * 3, turned]
    motion = np.array([still, still, still, np.zeros(4)])
    known, expected = (_rates(persistence(GRID, frames, motion, 1, planned)) for planned in (True, False))
    assert known[0, 1, 3] > 0.8 > 0.4 > expected[0, 1, 5]


def test_rates_are_those_of_dense_grids() -> None:
    generator = np.random.default_rng(1)
    dense = [
        np.where(generator.random(GRID.shape) < 0.3, generator.integers(1, 16, GRID.shape), 0).astype(np.uint8)
        for _ in range(4)
    ]
    motion = np.array(
        [[*generator.uniform(-2, 2, 2), generator.uniform(-2, 2), generator.uniform(-1, 1)] for _ in range(4)]
    )
    motion[-1] = 0
    logits = persistence(GRID, [SparseGrid.from_dense(each) for each in dense], motion, 2, True)
    moved, before = resample(GRID, dense[1], _inverse(motion[1])), dense[0] > 0
    ground = [int(s) for s in (Semantic.ROAD, Semantic.SIDEWALK, Semantic.TERRAIN, Semantic.WATER, Semantic.BRIDGE)]
    ring = np.repeat(rings(GRID), GRID.shape[2]).reshape(GRID.shape)
    for stratum in range(STRATA):
        kind, standing, distance = stratum % KINDS, stratum // KINDS % 2, stratum // KINDS // 2
        copied, warped, now = (
            (each > 0) & (np.isin(each, ground) != bool(standing)) for each in (dense[1], moved, dense[3])
        )
        chosen = (3 * warped + copied * (1 + before) == kind) & (ring == distance)
        came = dense[3] > 0
        if kind == 0:  # how much of what is there now is new
            chosen, came = now & (ring == distance), ~(copied | warped)
        rate = (25 + came[chosen].sum()) / (50 + chosen.sum())
        assert logits[stratum] == pytest.approx(np.log(rate / (1 - rate)), abs=1e-5)


def test_signs_tell_how_far_it_is_and_what_the_other_baseline_was_worth() -> None:
    record = np.random.default_rng(4).normal(size=(3, STRATA)).astype(np.float32)
    told = signs(record, MOTION, 5, np.array([3.0, 4.0, 0, -0.5]), 10.0)
    assert told.shape == (STRATA, SIGNS) and (told[:, 1] == record[2]).all() and (told[:, 2] == record[0]).all()
    # Copy beside warp, warp beside what copy and the frame before had, both beside what is new.
    assert [told[KINDS + kind, 3] for kind in range(KINDS)] == [record[2, KINDS + k] for k in (5, 3, 3, 2, 0, 0)]
    came = np.log(6 / (3 * STEP + 1))
    assert told[0, 4:] == pytest.approx([np.log1p(5 / 4), came, 0.5, 0.5], abs=1e-6)
    assert signs(record, MOTION, 0, np.zeros(4), 0.4)[0, 1] == record[0, 0]


def _inverse(motion: np.ndarray) -> np.ndarray:
    c, s = np.cos(motion[3]), np.sin(motion[3])
    return np.array([-c * motion[0] - s * motion[1], s * motion[0] - c * motion[1], -motion[2], -motion[3]])


def test_maps_tell_a_half_of_open_ground_from_a_half_of_houses() -> None:
    generator = np.random.default_rng(2)
    half = GRID.shape[1] // 2
    frames = []
    for open_ground, houses in zip(_plain(generator), _still(generator, Semantic.BUILDING), strict=True):
        both = open_ground.dense(GRID.shape)
        both[:, half:] = houses.dense(GRID.shape)[:, half:]
        frames.append(SparseGrid.from_dense(both))
    maps = hindcast_maps(GRID, frames, MOTION, (4, 4))
    assert maps.shape == (HINDCASTS, 4, 4)
    for first in (0, 4):
        copy, warp, copy_whole, warp_whole = maps[first : first + 4]
        assert (copy[1:3, :2] > warp[1:3, :2] + 0.3).all() and (warp[1:3, 2:] > copy[1:3, 2:] + 0.3).all()
        assert np.ptp(copy_whole) == np.ptp(warp_whole) == 0


def _made(generator: np.random.Generator, count: int, helps: str) -> Judged:
    logit, told = generator.normal(0, 2, count).astype(np.float32), generator.normal(0, 1, (count, SIGNS))
    told[:, 0] = 1
    likely = 1 / (1 + np.exp(-(logit if helps == "logit" else 1 + told[:, 1])))
    return Judged(
        generator.integers(0, STRATA, count), logit, told.astype(np.float32), generator.random(count) < likely
    )


def test_the_gate_believes_what_came_true() -> None:
    generator = np.random.default_rng(3)
    by_logit, by_past = (fitted_gate(_made(generator, 400_000, helps)) for helps in ("logit", "past"))
    past = np.zeros(SIGNS + 1)
    past[:2] = 1
    assert np.abs(by_logit - np.array(GATE)).max() < 0.15
    assert np.abs(by_past - past).max() < 0.15
    nothing = Judged(*(values[:0] for values in vars(_made(generator, 1, "logit")).values()))
    assert fitted_gate(nothing) == pytest.approx(np.tile(GATE, (STRATA, 1)))


def test_a_fitted_gate_is_likelier_than_perceptron_and_past_alone(config: Config, data: GazeboOccWorldDataset) -> None:
    torch.manual_seed(0)
    model = build_model(config).eval()
    with torch.no_grad():
        model.head.out_weight.normal_(0, 3)  # noise
    fit_gate(model, data, 4)
    gate = model.head.gate.numpy()
    generator = np.random.default_rng(0)
    for index in (0, len(data) // 2, len(data) - 1):
        for row, judged, _, _ in _judged(model, data[index], False, generator):
            weights = gate[row][judged.stratum]
            gated = (weights * np.column_stack([judged.signs, judged.logit])).sum(axis=1)
            gated = _surprise(gated, judged.true)
            assert gated < _surprise(judged.logit, judged.true)
            assert gated < _surprise(judged.signs[:, 1], judged.true)


def _surprise(logit: np.ndarray, true: np.ndarray) -> float:
    """Mean negative log likelihood."""
    return float(np.logaddexp(0, np.where(true, -logit, logit)).mean())


@pytest.mark.parametrize(("gain", "say"), [(0.0, 0.0), (0.001, 0.0), (0.05, 0.5)])
def test_the_past_s_names_are_overruled_no_more_than_pays(gain: float, say: float) -> None:
    """gain: of the hits that half a say or more brings."""
    matrices = np.zeros((len(NAMING), 16, 16), np.int64)
    for matrix, tried in zip(matrices, NAMING, strict=True):
        right = 8000 + int(10_000 * gain * (tried >= 0.5))
        matrix[1, 1], matrix[1, 2], matrix[2, 2] = right, 10_000 - right, 10_000
    assert fitted_naming(matrices) == say


def test_a_checkpoint_of_before_forecasts_what_it_did(
    config: Config, data: GazeboOccWorldDataset, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    model = build_model(config).eval()
    older = {name: value for name, value in model.state_dict().items() if name not in LATER}
    assert len(older) == len(model.state_dict()) - len(LATER)
    Checkpoint(config, older, TrainingState()).save(tmp_path / "older.pth")
    loaded = Checkpoint.load(tmp_path / "older.pth").model(tmp_path / "older.pth").eval()
    scene = Scene.of(GRID, data[0], False)
    for ours, theirs in zip(model.forecast(scene).frames, loaded.forecast(replace(scene)).frames, strict=True):
        assert (ours.classes == theirs.classes).all() and (ours.probability == theirs.probability).all()


def test_a_gate_of_before_says_what_it_did(config: Config, tmp_path: Path) -> None:
    model = build_model(config)
    weights, generator = model.state_dict(), torch.Generator().manual_seed(0)
    older = torch.randn(len(model.head.gate), STRATA // KINDS * 4, 3, generator=generator)
    older[:, ::4, 2] = 0
    Checkpoint(config, {**weights, "head.gate": older}, TrainingState()).save(tmp_path / "older.pth")
    Checkpoint.load(tmp_path / "older.pth").fill(model, "older.pth")
    told = torch.randn(STRATA, SIGNS, generator=generator)
    told[:, 0] = 1
    for row in range(len(older)):
        worth, scale = model.head.weighed(row, told)
        for stratum in range(STRATA):
            group, kind = stratum // KINDS, (0, 1, 1, 2, 3, 3)[stratum % KINDS]
            bias, former, trust = older[row, 4 * group + kind]
            assert worth[stratum] == pytest.approx(float(bias + trust * told[stratum, 1]), abs=1e-5)
            assert scale[stratum] == pytest.approx(float(former), abs=1e-6)

"""Motions, warps and metrics against brute force."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import binary_dilation, generate_binary_structure, map_coordinates

from occ_core.classes import DYNAMIC_IDS, Semantic
from occ_core.grid import VoxelGrid
from occ_core.sparse_grid import SparseGrid, occupied_numbers
from occworld import motion as motions
from occworld.aligned import DensePast, align_history
from occworld.fast.maps import CHANNELS, surroundings
from occworld.history_features import features
from occworld.metrics import confusion, score
from occworld.tracks import track
from occworld.warp import align, resample, resample_voxels

GRID = VoxelGrid((-4.0, -4.0, -2.0), (4.0, 4.0, 4.0), (0.5, 0.5, 1.0))
metres = st.floats(-3, 3, allow_nan=False)
any_motion = st.tuples(metres, metres, metres, st.floats(-3.1, 3.1)).map(np.array)


def noise(seed: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return (generator.integers(1, 16, GRID.shape) * (generator.random(GRID.shape) < 0.2)).astype(np.uint8)


@given(any_motion, any_motion)
def test_motions_form_a_group(a: np.ndarray, b: np.ndarray) -> None:
    assert np.allclose(motions.compose(motions.inverse(a), a), 0, atol=1e-9)
    points = np.random.default_rng(0).normal(size=(5, 3))
    assert np.allclose(motions.apply(motions.compose(a, b), points), motions.apply(a, motions.apply(b, points)))


@settings(deadline=None, max_examples=40)
@given(any_motion, st.integers(0, 100))
def test_the_warp_equals_brute_force(motion: np.ndarray, seed: int) -> None:
    source = noise(seed)
    centres = GRID.centers(np.argwhere(np.ones(GRID.shape)))
    index, inside = GRID.index(motions.apply(motion, centres))
    expected = np.where(inside, source[tuple(index.T)], 0).reshape(GRID.shape)
    assert (resample(GRID, source, motion) != expected).mean() < 1e-3  # rounding on faces


def test_a_whole_number_of_voxels_is_exact_and_moves_back() -> None:
    source = noise(1)
    motion = np.array([1.0, -0.5, 1.0, 0.0])
    moved = resample(GRID, source, motion)
    assert np.array_equal(moved[:-2, 1:, :-1], source[2:, :-1, 1:])
    sparse = align(GRID, SparseGrid.from_dense(source), motions.inverse(motion))
    assert np.array_equal(sparse.dense(GRID.shape), moved)


def test_constant_velocity_continues_a_circle() -> None:
    step = np.array([2.0, 0.1, 0.0, 0.2])
    poses = [np.zeros(4)]
    for _ in range(9):
        poses.append(motions.compose(poses[-1], step))
    truth = motions.between(poses[3], np.array(poses[4:]))
    assert np.allclose(motions.extrapolate(np.array(poses[:4]), 6), truth)


@settings(deadline=None, max_examples=10)
@given(metres, metres, metres, st.floats(-2, 2))
def test_a_twist_is_the_limit_of_many_small_steps(vx: float, vy: float, vz: float, rate: float) -> None:
    pose, small = np.zeros(4), np.array([vx, vy, vz, rate]) * 0.5 / 2000
    for _ in range(2000):
        pose = motions.compose(pose, small)
    assert np.allclose(motions.from_twist(np.array([vx, vy, vz]), rate, 0.5), pose, atol=2e-3)


@settings(deadline=None, max_examples=20)
@given(any_motion, st.integers(0, 100))
def test_evidence_starts_from_the_warp(motion: np.ndarray, seed: int) -> None:
    frames = np.stack([noise(seed + i) for i in range(2)])
    frames[:, ::2, :, 3:] = 0  # sky, whose bound is what the search stops at
    past = DensePast.of(GRID, [SparseGrid.from_dense(frame) for frame in frames])
    assert np.array_equal(past.frames, frames)
    relative = np.stack([motions.compose(np.array([0.5, 0, 0, 0]), motion), motion])
    aligned = align_history(GRID, past, relative)
    skip = np.zeros(GRID.size, bool)
    skip[aligned.candidates[aligned.skip]] = True
    assert np.array_equal(skip.reshape(GRID.shape), resample(GRID, frames[1], motion) > 0)
    assert (aligned.proposal > 0).all()
    found = features(GRID, past.frames, relative, aligned, aligned.candidates)
    centre = found[:, 2 * 2 + 13]
    assert np.array_equal(centre > 0, aligned.warped.reshape(-1)[aligned.candidates] > 0)
    assert np.abs(found[:, -4:-1]).max() <= 0.5 + 1e-6
    assert np.array_equal(found[:, -1] > 0, frames[1].reshape(-1)[aligned.candidates] > 0)
    near = binary_dilation(aligned.warped > 0, generate_binary_structure(3, 1)) | (frames[1] > 0)
    assert np.array_equal(np.flatnonzero(near), aligned.candidates)


@settings(deadline=None, max_examples=20)
@given(any_motion, st.integers(0, 100))
def test_evidence_is_interpolated_and_looks_at_every_neighbour(motion: np.ndarray, seed: int) -> None:
    past = DensePast.of(GRID, [SparseGrid.from_dense(noise(seed + i)) for i in range(2)])
    relative = np.stack([motions.compose(np.array([0.5, 0.2, 0.3, 0.1]), motion), motion])
    aligned = align_history(GRID, past, relative)
    found = features(GRID, past.frames, relative, aligned, aligned.candidates)
    index = np.stack(np.unravel_index(aligned.candidates, GRID.shape), axis=1)
    for t, solid in enumerate((past.frames[0] * ~np.isin(past.frames[0], DYNAMIC_IDS), past.frames[1])):
        there = (motions.apply(relative[t], GRID.centers(index)) - GRID.lower) / GRID.voxel - 0.5
        expected = map_coordinates((solid > 0).astype(float), there.T, order=1, mode="grid-constant")
        assert np.allclose(found[:, t], expected, atol=1e-5)
    around = np.pad(aligned.warped > 0, 1)
    offsets = np.stack(np.meshgrid(*[[0, 1, 2]] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    assert np.array_equal(found[:, 4:31], np.stack([around[tuple((index + offset).T)] for offset in offsets], axis=1))


@settings(deadline=None, max_examples=40)
@given(any_motion, st.integers(0, 100), st.sampled_from([0.0, 0.02, 0.2, 1.0]))
def test_occupied_voxels_and_whole_grids_are_warped_alike(motion: np.ndarray, seed: int, share: float) -> None:
    source = noise(seed) if share < 1 else np.ones(GRID.shape, np.uint8)
    source[np.random.default_rng(seed).random(GRID.shape) > share] = 0
    voxels = occupied_numbers(source)
    assert voxels.dtype == np.int32 and np.array_equal(voxels, np.flatnonzero(source))
    warped = resample_voxels(GRID, voxels, motion)
    assert np.array_equal(warped, np.flatnonzero(resample(GRID, source, motion)))


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 23])
def test_occupied_voxels_of_grids_of_any_size(count: int) -> None:
    for seed in range(20):
        flat = np.random.default_rng(seed).integers(0, 2, count).astype(np.uint8) * 255
        assert np.array_equal(occupied_numbers(flat), np.flatnonzero(flat))


@settings(deadline=None, max_examples=40)
@given(st.floats(-2, 2), st.floats(-2, 2), st.floats(-1, 1), st.floats(-0.4, 0.4))
def test_a_thing_is_tracked_from_a_vehicle_that_turns(vx: float, vy: float, forward: float, turn: float) -> None:
    # A box of 2 m x 2 m that moves by (vx, vy) a frame; the vehicle's own motion must not count.
    grid = VoxelGrid((-20.0, -20.0, -2.0), (20.0, 20.0, 4.0), (0.25, 0.25, 1.0))
    corner = np.stack(np.meshgrid(*[np.arange(-1, 1, 0.1)] * 2, [0.5], indexing="ij"), axis=-1).reshape(-1, 3)
    ego, frames = np.zeros(4), []
    for step in range(4):
        ego = motions.compose(ego, np.array([forward, 0, 0, turn])) if step else ego
        seen = motions.apply(motions.inverse(ego), corner + [5 + vx * step, 3 + vy * step, 0])
        classes = np.zeros(grid.shape, np.uint8)
        classes[tuple(grid.index(seen)[0].T)] = Semantic.CAR
        frames.append((SparseGrid.from_dense(classes), ego))
    tracks = track(grid, [frame for frame, _ in frames], motions.between(ego, np.array([at for _, at in frames])))
    expected = motions.apply(motions.inverse([0, 0, 0, ego[3]]), np.array([[vx, vy, 0.0]]))[0]
    assert len(tracks.things) == 1 and np.abs(tracks.step[0] - expected).max() < 0.125
    moved = tracks.map(grid)
    held = np.zeros(grid.shape[:2], bool)
    held.reshape(-1)[tracks.things[0].voxels // grid.shape[2]] = True
    assert np.allclose(moved[:, held].T, tracks.step[0]) and not moved[:, ~held].any()


def test_surroundings_know_what_came_nearer() -> None:
    way = np.stack([np.linspace(-3, 0, 4), np.zeros(4)], axis=1)  # along x, to where the target frame is
    maps = surroundings(GRID, (4, 4), way, 2, 10.0)
    assert maps.shape == (CHANNELS, 4, 4) and maps[6, 0, 0] == 0.5
    assert np.allclose(maps[0, :, 0], [-0.75, -0.25, 0.25, 0.75]) and np.allclose(maps[0], maps[1].T)
    assert np.allclose(maps[2], np.hypot(maps[0], maps[1]))
    assert (maps[5, 2:] > 0).all(), "what is ahead is nearer than it was"
    assert np.isclose(maps[4, 3, 2] * 4, np.hypot(3.0 + 2.0, 1.0)), "the history ended at x = -2"


def test_scores_of_a_known_case() -> None:
    truth, prediction = np.zeros(8, np.uint8), np.zeros(8, np.uint8)
    truth[:4], prediction[2:6] = [1, 1, 9, 9], [1, 9, 9, 9]
    result = score(confusion(prediction, truth), 0.5)
    assert result.iou == 2 / 6
    assert result.per_class == {"building": 0.0, "car": 1 / 4}
    assert result.dynamic_iou == 1 / 4
    keep = np.packbits(np.array([1, 1, 1, 1, 0, 0, 0, 0], bool))
    assert score(confusion(prediction, truth, keep), 0.5).iou == 2 / 4
